//! Applies a template's tree to a value.

use std::borrow::Cow;

use minke_engine::image::nearest;
use serde_json::Value;

use super::functions::{self, Does, Function, is_true};
use super::parse::{Base, Branch, Command, Node, Operand, Pipeline};
use super::print::{self, text};
use super::{Problem, STEPS_MAX, TEXT_BYTES_MAX};

/// What a template is applied to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// An object to show.
    Row,
    /// The headings of a table's columns.
    Headings,
}

/// Applies a template.
pub(super) fn render(nodes: &[Node], value: &Value, pass: Pass) -> Result<String, Problem> {
    let dot = Dot(Cow::Borrowed(value));
    let mut run = Run {
        pass,
        variables: vec![("$", dot.0.clone())],
        steps_left: STEPS_MAX,
        bytes_left: TEXT_BYTES_MAX,
        out: String::new(),
    };
    run.nodes(nodes, &dot)?;
    Ok(run.out)
}

/// What `.` is at some place.
struct Dot<'a>(Cow<'a, Value>);

struct Run<'a> {
    pass: Pass,
    /// Innermost last.
    variables: Vec<(&'a str, Cow<'a, Value>)>,
    steps_left: usize,
    /// Of all texts that are made.
    bytes_left: usize,
    out: String,
}

/// What came of an expression.
#[derive(Clone)]
enum Got<'a> {
    Value(Cow<'a, Value>),
    /// A field that is not there: false where it is asked, a mistake where it is used.
    Missing(Problem),
}

impl<'a> Got<'a> {
    fn value(self) -> Result<Cow<'a, Value>, Problem> {
        match self {
            Got::Value(value) => Ok(value),
            Got::Missing(problem) => Err(problem),
        }
    }

    fn is_true(&self) -> bool {
        match self {
            Got::Value(value) => is_true(value),
            Got::Missing(_) => false,
        }
    }

    fn owned(value: Value) -> Got<'a> {
        Got::Value(Cow::Owned(value))
    }
}

/// How to go on after a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

impl<'a> Run<'a> {
    fn nodes(&mut self, nodes: &'a [Node], dot: &Dot<'a>) -> Result<Flow, Problem> {
        let known = self.variables.len();
        let mut flow = Flow::Next;
        for node in nodes {
            flow = self.node(node, dot)?;
            if flow != Flow::Next {
                break;
            }
        }
        self.variables.truncate(known);
        Ok(flow)
    }

    fn node(&mut self, node: &'a Node, dot: &Dot<'a>) -> Result<Flow, Problem> {
        match node {
            Node::Text(text) => self.print(text, 0)?,
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?.value()?;
                match pipeline.variables.is_empty() {
                    true => self.print(&text(&value), pipeline.at)?,
                    false => self.set(pipeline, 0, value),
                }
            }
            Node::If(branch) | Node::With(branch) => {
                return self.condition(branch, matches!(node, Node::With(_)), dot);
            }
            Node::Range(branch) => return self.range(branch, dot),
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, text: &str, at: usize) -> Result<(), Problem> {
        self.step(at, text.len())?;
        self.out.push_str(text);
        Ok(())
    }

    /// Counts work, and bytes that it made.
    fn step(&mut self, at: usize, bytes: usize) -> Result<(), Problem> {
        let left = (
            self.steps_left.checked_sub(1),
            self.bytes_left.checked_sub(bytes),
        );
        let (Some(steps), Some(bytes)) = left else {
            return Err(Problem::new(at, "the template does too much work"));
        };
        (self.steps_left, self.bytes_left) = (steps, bytes);
        Ok(())
    }

    fn set(&mut self, pipeline: &'a Pipeline, variable: usize, value: Cow<'a, Value>) {
        let name = pipeline.variables[variable].as_str();
        if pipeline.is_declaration {
            return self.variables.push((name, value));
        }
        let mut known = self.variables.iter_mut().rev();
        if let Some(known) = known.find(|(known, _)| *known == name) {
            known.1 = value;
        }
    }

    fn condition(
        &mut self,
        branch: &'a Branch,
        is_with: bool,
        dot: &Dot<'a>,
    ) -> Result<Flow, Problem> {
        let known = self.variables.len();
        let got = self.pipeline(&branch.pipeline, dot)?;
        let (is_true, value) = (got.is_true(), got.value().unwrap_or_default());
        if !branch.pipeline.variables.is_empty() {
            self.set(&branch.pipeline, 0, value.clone());
        }
        let flow = match (is_true, is_with) {
            (false, _) => self.nodes(&branch.otherwise, dot),
            (true, false) => self.nodes(&branch.body, dot),
            (true, true) => self.nodes(&branch.body, &Dot(value)),
        };
        self.variables.truncate(known);
        flow
    }

    fn range(&mut self, branch: &'a Branch, dot: &Dot<'a>) -> Result<Flow, Problem> {
        let list = match self.pipeline(&branch.pipeline, dot)? {
            Got::Value(list) => list,
            Got::Missing(_) => Cow::Owned(Value::Null),
        };
        let items = items(list, self.pass, branch.pipeline.at)?;
        if items.is_empty() {
            return self.nodes(&branch.otherwise, dot);
        }
        for (key, item) in items {
            let known = self.variables.len();
            self.step(branch.pipeline.at, 0)?;
            match branch.pipeline.variables.len() {
                0 => {}
                1 => self.set(&branch.pipeline, 0, item.clone()),
                _ => {
                    self.set(&branch.pipeline, 0, Cow::Owned(key));
                    self.set(&branch.pipeline, 1, item.clone());
                }
            }
            let flow = self.nodes(&branch.body, &Dot(item))?;
            self.variables.truncate(known);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    fn pipeline(&mut self, pipeline: &'a Pipeline, dot: &Dot<'a>) -> Result<Got<'a>, Problem> {
        let mut piped = None;
        for command in &pipeline.commands {
            piped = Some(self.command(command, dot, piped)?);
        }
        // The parser makes no pipeline without a command.
        piped.ok_or_else(|| Problem::new(pipeline.at, "an empty pipeline"))
    }

    fn command(
        &mut self,
        command: &'a Command,
        dot: &Dot<'a>,
        piped: Option<Got<'a>>,
    ) -> Result<Got<'a>, Problem> {
        let first = &command.first;
        if let (Base::Function(name), []) = (&first.base, first.fields.as_slice()) {
            return self.call(name, first.at, &command.arguments, dot, piped);
        }
        if let Some(got) = self.label(command, dot, &piped) {
            return got;
        }
        if !command.arguments.is_empty() || piped.is_some() {
            let message = "only functions take arguments";
            return Err(Problem::new(first.at, message).hint("put a function's name first"));
        }
        self.operand(first, dot)
    }

    /// `.Label "key"`, the one method of Docker's rows that scripts use.
    fn label(
        &mut self,
        command: &'a Command,
        dot: &Dot<'a>,
        piped: &Option<Got<'a>>,
    ) -> Option<Result<Got<'a>, Problem>> {
        let is_label = matches!(command.first.fields.as_slice(), [(name, _)] if name == "Label");
        let ([argument], true, None) = (command.arguments.as_slice(), is_label, piped) else {
            return None;
        };
        let key = match self.operand(argument, dot).and_then(Got::value) {
            Ok(key) => key,
            Err(problem) => return Some(Err(problem)),
        };
        let key = key.as_str().unwrap_or_default();
        Some(Ok(Got::owned(Value::from(match self.pass {
            // Docker: `cli/command/formatter/container.go`, `Label()`.
            Pass::Headings => key
                .rsplit('.')
                .next()
                .unwrap_or(key)
                .replace(['-', '_'], " "),
            Pass::Row => label_of(&dot.0, key),
        }))))
    }

    fn operand(&mut self, operand: &'a Operand, dot: &Dot<'a>) -> Result<Got<'a>, Problem> {
        self.step(operand.at, 0)?;
        let mut got = match &operand.base {
            Base::Dot => Got::Value(dot.0.clone()),
            Base::Literal(value) => Got::Value(Cow::Borrowed(value)),
            Base::Variable(name) => self.variable(name, operand.at)?,
            Base::Nested(pipeline) => self.pipeline(pipeline, dot)?,
            Base::Function(name) => self.call(name, operand.at, &[], dot, None)?,
        };
        for (name, at) in &operand.fields {
            got = match got {
                Got::Value(value) => self.field(&Dot(value), name, *at)?,
                missing => missing,
            };
        }
        Ok(got)
    }

    fn variable(&self, name: &str, at: usize) -> Result<Got<'a>, Problem> {
        let known = self.variables.iter().rev();
        let found = known.clone().find(|(known, _)| *known == name);
        // The parser has seen its declaration.
        let missing = || Problem::new(at, format!("undefined variable `{name}`"));
        found
            .map(|(_, value)| Got::Value(value.clone()))
            .ok_or_else(missing)
    }

    fn field(&self, dot: &Dot<'a>, name: &str, at: usize) -> Result<Got<'a>, Problem> {
        let found = match &dot.0 {
            Cow::Borrowed(value) => entry(value, name).map(Cow::Borrowed),
            Cow::Owned(value) => entry(value, name).cloned().map(Cow::Owned),
        };
        if let Some(found) = found {
            return Ok(Got::Value(found));
        }
        let missing = format!("no field `{name}`");
        match (&*dot.0, self.pass) {
            (Value::String(_), Pass::Headings) => Ok(Got::owned(Value::from(name.to_uppercase()))),
            (Value::Object(_), Pass::Row) if !name.starts_with(char::is_uppercase) => {
                Ok(Got::owned(Value::Null))
            }
            (Value::Object(fields), _) => {
                let hint = fields_hint(name, fields.keys().map(String::as_str));
                Ok(Got::Missing(Problem::new(at, missing).hint(hint)))
            }
            (Value::Null, _) => Ok(Got::Missing(Problem::new(
                at,
                format!("{missing}: there is no value before it"),
            ))),
            (other, _) => Err(Problem::new(
                at,
                format!("{missing}: before it is {}", print::noun(other)),
            )),
        }
    }

    fn call(
        &mut self,
        name: &str,
        at: usize,
        arguments: &'a [Operand],
        dot: &Dot<'a>,
        piped: Option<Got<'a>>,
    ) -> Result<Got<'a>, Problem> {
        // The parser has looked it up.
        let undefined = || Problem::new(at, format!("function `{name}` not defined"));
        let function = functions::find(name).ok_or_else(undefined)?;
        let count = arguments.len() + usize::from(piped.is_some());
        check_count(function, count, at)?;
        let stops_at = match function.does {
            Does::And => Some(false),
            Does::Or => Some(true),
            Does::Not | Does::Compute(_) | Does::Shape(_) => None,
        };
        let mut values = Vec::new();
        for argument in arguments {
            let got = self.operand(argument, dot)?;
            if stops_at == Some(got.is_true()) {
                return Ok(got);
            }
            values.push(got);
        }
        values.extend(piped);
        self.apply(function, values, at)
    }

    /// Applies a function to all its arguments.
    fn apply(
        &mut self,
        function: &Function,
        mut values: Vec<Got<'a>>,
        at: usize,
    ) -> Result<Got<'a>, Problem> {
        let compute = match (function.does, self.pass) {
            (Does::Not, _) => {
                let is_true = values.iter().any(Got::is_true);
                return Ok(Got::owned(Value::Bool(!is_true)));
            }
            (Does::And | Does::Or, _) => {
                return Ok(values.pop().unwrap_or_else(|| Got::owned(Value::Null)));
            }
            (Does::Shape(_), Pass::Headings) => return Ok(values.swap_remove(0)),
            (Does::Shape(compute) | Does::Compute(compute), _) => compute,
        };
        let values = values
            .into_iter()
            .map(|got| Ok(got.value()?.into_owned()))
            .collect::<Result<Vec<Value>, Problem>>()?;
        let failed = |message| Problem::new(at, format!("`{}` {message}", function.name));
        let value = compute(&values).map_err(failed)?;
        self.step(at, value.as_str().map_or(0, str::len))?;
        Ok(Got::owned(value))
    }
}

fn check_count(function: &Function, count: usize, at: usize) -> Result<(), Problem> {
    let (fewest, most) = function.arguments;
    if (fewest..=most).contains(&count) {
        return Ok(());
    }
    let wanted = match (fewest, most) {
        (fewest, most) if fewest == most => fewest.to_string(),
        (fewest, usize::MAX) => format!("at least {fewest}"),
        (fewest, most) => format!("{fewest} to {most}"),
    };
    let message = format!(
        "`{}` wants {wanted} {}, not {count}",
        function.name,
        match most {
            1 => "argument",
            _ => "arguments",
        }
    );
    Err(Problem::new(at, message))
}

/// Returns a field by its name, or by its name in other letters if only one has it.
fn entry<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let fields = value.as_object()?;
    fields.get(name).or_else(|| {
        let mut alike = fields
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let (_, value) = alike.next()?;
        alike.next().is_none().then_some(value)
    })
}

fn fields_hint<'n>(name: &str, fields: impl Iterator<Item = &'n str> + Clone) -> String {
    match nearest(name, fields.clone()) {
        Some(nearest) => format!("did you mean `.{nearest}`?"),
        None => {
            let names: Vec<_> = fields.map(|name| format!("`.{name}`")).collect();
            format!("fields are {}", names.join(", "))
        }
    }
}

/// Finds a label in Docker's `a=1,b=2`, or in a map.
fn label_of(row: &Value, key: &str) -> String {
    match entry(row, "Labels") {
        Some(Value::String(labels)) => labels
            .split(',')
            .filter_map(|label| label.split_once('='))
            .find_map(|(name, value)| (name == key).then(|| value.to_owned()))
            .unwrap_or_default(),
        Some(Value::Object(labels)) => labels.get(key).map(text).unwrap_or_default(),
        _ => String::new(),
    }
}

/// Returns what `range` goes through, with indexes or keys.
fn items<'a>(
    list: Cow<'a, Value>,
    pass: Pass,
    at: usize,
) -> Result<Vec<(Value, Cow<'a, Value>)>, Problem> {
    let items: Vec<Cow<'a, Value>> = match list {
        Cow::Borrowed(Value::Array(items)) => items.iter().map(Cow::Borrowed).collect(),
        Cow::Owned(Value::Array(items)) => items.into_iter().map(Cow::Owned).collect(),
        Cow::Borrowed(Value::Object(fields)) => {
            let fields = fields.iter();
            return Ok(fields
                .map(|(k, v)| (k.as_str().into(), Cow::Borrowed(v)))
                .collect());
        }
        Cow::Owned(Value::Object(fields)) => {
            let fields = fields.into_iter();
            return Ok(fields.map(|(k, v)| (k.into(), Cow::Owned(v))).collect());
        }
        ref value if value.is_null() => Vec::new(),
        heading if pass == Pass::Headings => vec![heading],
        other => {
            let message = format!("cannot `range` over {}", print::noun(&other));
            return Err(Problem::new(at, message));
        }
    };
    Ok(items
        .into_iter()
        .enumerate()
        .map(|(index, item)| (index.into(), item))
        .collect())
}
