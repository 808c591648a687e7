//! Makes a tree of tokens. Spec: Go `text/template`, "Actions", "Pipelines", "Variables".

use minke_engine::image::nearest;
use serde_json::Value;

use super::functions;
use super::scan::{Kind, Token};
use super::{DEPTH_MAX, Problem};

/// A part of a template.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    /// Prints the value, unless it is kept in a variable.
    Action(Pipeline),
    If(Branch),
    With(Branch),
    Range(Branch),
    Break,
    Continue,
}

/// A condition or a list, and what is done with it.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) pipeline: Pipeline,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// Commands, each of which is given the value of the one before.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    /// Names that take the value; two in a `range` with its key or index.
    pub(super) variables: Vec<String>,
    /// Whether the names are new.
    pub(super) is_declaration: bool,
    pub(super) commands: Vec<Command>,
    pub(super) at: usize,
}

/// A function and its arguments, or a value alone.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) first: Operand,
    pub(super) arguments: Vec<Operand>,
}

/// A value, and the fields that lead into it.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) base: Base,
    /// With their places.
    pub(super) fields: Vec<(String, usize)>,
    pub(super) at: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Base {
    Dot,
    Variable(String),
    Function(String),
    Literal(Value),
    Nested(Box<Pipeline>),
}

/// Words that begin an action of their own.
const UNSUPPORTED: &[&str] = &["define", "template", "block"];

/// How a list of nodes ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    Source,
    End,
    Else,
}

/// Parses a whole template.
pub(super) fn parse(tokens: &[Token]) -> Result<Vec<Node>, Problem> {
    let mut parser = Parser {
        tokens,
        at: 0,
        variables: vec!["$".to_owned()],
        depth: 0,
        ranges: 0,
    };
    let (nodes, stop) = parser.nodes()?;
    match stop {
        Stop::Source => Ok(nodes),
        Stop::End | Stop::Else => Err(Problem::new(
            parser.place(),
            "`end` or `else` without `if`, `with` or `range`",
        )),
    }
}

struct Parser<'t> {
    tokens: &'t [Token],
    at: usize,
    /// Names that are known here.
    variables: Vec<String>,
    /// Blocks and parentheses around this place.
    depth: usize,
    /// `range`s around this place.
    ranges: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Kind> {
        self.tokens.get(self.at).map(|token| &token.kind)
    }

    /// Where the next token is, or the last one when there is none.
    fn place(&self) -> usize {
        let token = self.tokens.get(self.at).or(self.tokens.last());
        token.map_or(0, |token| token.at)
    }

    fn take(&mut self, kind: &Kind) -> bool {
        let is_next = self.peek() == Some(kind);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, kind: &Kind, text: &str) -> Result<(), Problem> {
        match self.take(kind) {
            true => Ok(()),
            false => Err(Problem::new(self.place(), format!("expected `{text}`"))),
        }
    }

    fn enter(&mut self) -> Result<(), Problem> {
        self.depth += 1;
        match self.depth > DEPTH_MAX {
            true => Err(Problem::new(
                self.place(),
                format!("nested deeper than {DEPTH_MAX}"),
            )),
            false => Ok(()),
        }
    }

    /// Parses nodes up to the end, an `end` or an `else`, whose word is taken and whose `}}` is not.
    fn nodes(&mut self) -> Result<(Vec<Node>, Stop), Problem> {
        let mut nodes = Vec::new();
        loop {
            match self.peek() {
                None => return Ok((nodes, Stop::Source)),
                Some(Kind::Text(text)) => {
                    nodes.push(Node::Text(text.clone()));
                    self.at += 1;
                }
                Some(_) => {
                    self.expect(&Kind::Open, "{{")?;
                    if let Some(stop) = self.stop() {
                        return Ok((nodes, stop));
                    }
                    nodes.push(self.action()?);
                }
            }
        }
    }

    fn stop(&mut self) -> Option<Stop> {
        let stop = match self.peek() {
            Some(Kind::Word(word)) if word == "end" => Stop::End,
            Some(Kind::Word(word)) if word == "else" => Stop::Else,
            _ => return None,
        };
        self.at += 1;
        Some(stop)
    }

    /// Parses what follows `{{`, with its `}}`.
    fn action(&mut self) -> Result<Node, Problem> {
        let word = match self.peek() {
            Some(Kind::Word(word)) => word.clone(),
            _ => String::new(),
        };
        let start = self.place();
        match word.as_str() {
            "if" | "with" | "range" => {
                self.at += 1;
                self.block(&word, start)
            }
            "break" | "continue" if self.ranges == 0 => {
                Err(Problem::new(start, format!("`{word}` outside of `range`")))
            }
            "break" | "continue" => {
                self.at += 1;
                self.expect(&Kind::Close, "}}")?;
                Ok(match word.as_str() {
                    "break" => Node::Break,
                    _ => Node::Continue,
                })
            }
            word if UNSUPPORTED.contains(&word) => {
                let message = format!("`{word}` is not supported");
                Err(Problem::new(start, message).hint("write its contents where it is used"))
            }
            _ => {
                let pipeline = self.pipeline(1)?;
                self.expect(&Kind::Close, "}}")?;
                Ok(Node::Action(pipeline))
            }
        }
    }

    /// Parses a block after its word, with its `end`.
    fn block(&mut self, word: &str, start: usize) -> Result<Node, Problem> {
        self.enter()?;
        let known = self.variables.len();
        let is_range = word == "range";
        let pipeline = self.pipeline(if is_range { 2 } else { 1 })?;
        self.expect(&Kind::Close, "}}")?;
        self.ranges += usize::from(is_range);
        let (body, stop) = self.nodes()?;
        self.ranges -= usize::from(is_range);
        let otherwise = match stop {
            Stop::Source => return Err(unclosed(word, start)),
            Stop::End => {
                self.expect(&Kind::Close, "}}")?;
                Vec::new()
            }
            Stop::Else => self.otherwise(word, start)?,
        };
        self.variables.truncate(known);
        self.depth -= 1;
        let branch = Branch {
            pipeline,
            body,
            otherwise,
        };
        Ok(match word {
            "if" => Node::If(branch),
            "with" => Node::With(branch),
            _ => Node::Range(branch),
        })
    }

    /// Parses what follows `else`, up to the block's `end`. `else if` is an `if` of its own with the same `end`.
    fn otherwise(&mut self, word: &str, start: usize) -> Result<Vec<Node>, Problem> {
        let chained = match self.peek() {
            Some(Kind::Word(next)) if next == word && word != "range" => next.clone(),
            _ => {
                self.expect(&Kind::Close, "}}")?;
                let (nodes, stop) = self.nodes()?;
                return match stop {
                    Stop::End => self.expect(&Kind::Close, "}}").map(|()| nodes),
                    Stop::Else => Err(Problem::new(self.place(), "a second `else`")),
                    Stop::Source => Err(unclosed(word, start)),
                };
            }
        };
        let at = self.place();
        self.at += 1;
        Ok(vec![self.block(&chained, at)?])
    }

    /// Parses a pipeline with at most so many variables.
    fn pipeline(&mut self, variables_max: usize) -> Result<Pipeline, Problem> {
        let at = self.place();
        let (variables, is_declaration) = self.declaration(variables_max)?;
        let mut commands = vec![self.command()?];
        while self.take(&Kind::Pipe) {
            commands.push(self.command()?);
        }
        // The names are known from here on, not in their own values.
        if is_declaration {
            self.variables.extend(variables.iter().cloned());
        }
        Ok(Pipeline {
            variables,
            is_declaration,
            commands,
            at,
        })
    }

    /// Parses `$x :=`, `$x =` or `$i, $x :=`, if that is there.
    fn declaration(&mut self, variables_max: usize) -> Result<(Vec<String>, bool), Problem> {
        let start = self.at;
        let mut variables = Vec::new();
        while let Some(Kind::Variable(name)) = self.peek() {
            variables.push(name.clone());
            self.at += 1;
            if !self.take(&Kind::Comma) {
                break;
            }
        }
        let is_declaration = self.take(&Kind::Declare);
        let is_assignment = !is_declaration && self.take(&Kind::Assign);
        if variables.is_empty() || !(is_declaration || is_assignment) {
            self.at = start;
            return Ok((Vec::new(), false));
        }
        let place = self.tokens[start].at;
        if variables.len() > variables_max {
            return Err(Problem::new(place, "too many variables"));
        }
        if is_assignment {
            variables
                .iter()
                .try_for_each(|name| self.check_variable(name, place))?;
        }
        Ok((variables, is_declaration))
    }

    fn check_variable(&self, name: &str, at: usize) -> Result<(), Problem> {
        match self.variables.iter().any(|known| known == name) {
            true => Ok(()),
            false => Err(Problem::new(at, format!("undefined variable `{name}`"))),
        }
    }

    fn command(&mut self) -> Result<Command, Problem> {
        let Some(first) = self.operand()? else {
            return Err(Problem::new(
                self.place(),
                "expected a field, a function or a value",
            ));
        };
        let mut arguments = Vec::new();
        while let Some(argument) = self.operand()? {
            arguments.push(argument);
        }
        Ok(Command { first, arguments })
    }

    /// Parses one operand with its fields; `None` where none begins.
    fn operand(&mut self) -> Result<Option<Operand>, Problem> {
        let at = self.place();
        let Some(kind) = self.peek().cloned() else {
            return Ok(None);
        };
        let base = match kind {
            // The field itself comes with those that follow it.
            Kind::Field(_) => Base::Dot,
            Kind::Dot => self.taken(Base::Dot),
            Kind::Literal(value) => self.taken(Base::Literal(value)),
            Kind::Variable(name) => {
                self.check_variable(&name, at)?;
                self.taken(Base::Variable(name))
            }
            Kind::Word(name) => {
                check_function(&name, at)?;
                self.taken(Base::Function(name))
            }
            Kind::LeftParen => {
                self.at += 1;
                self.enter()?;
                let nested = self.pipeline(1)?;
                self.expect(&Kind::RightParen, ")")?;
                self.depth -= 1;
                Base::Nested(Box::new(nested))
            }
            _ => return Ok(None),
        };
        let is_field = matches!(self.peek(), Some(Kind::Field(_))) && at == self.place();
        let fields = self.fields(is_field);
        Ok(Some(Operand { base, fields, at }))
    }

    fn taken(&mut self, base: Base) -> Base {
        self.at += 1;
        base
    }

    /// Takes fields that follow without a space; the first may stand alone.
    fn fields(&mut self, is_first_free: bool) -> Vec<(String, usize)> {
        let mut fields = Vec::new();
        while let Some(Token {
            kind: Kind::Field(name),
            at,
            is_glued,
        }) = self.tokens.get(self.at)
        {
            if !(*is_glued || is_first_free && fields.is_empty()) {
                break;
            }
            fields.push((name.clone(), *at));
            self.at += 1;
        }
        fields
    }
}

fn unclosed(word: &str, at: usize) -> Problem {
    Problem::new(at, format!("`{word}` without `end`")).hint("end it with `{{end}}`")
}

fn check_function(name: &str, at: usize) -> Result<(), Problem> {
    if functions::names().any(|known| known == name) {
        return Ok(());
    }
    let problem = Problem::new(at, format!("function `{name}` not defined"));
    Err(match nearest(name, functions::names()) {
        Some(nearest) => problem.hint(format!("did you mean `{nearest}`?")),
        None => problem.hint(format!("fields begin with a dot: `.{name}`")),
    })
}
