//! Go's template language, as far as `--format` needs it, over JSON values.
//!
//! Spec: Go `text/template`, and Docker: `docs/cli/formatting`. There: text, `{{.A.B}}`, `{{index .A "b" 0}}`, pipes, variables,
//! `if`, `with`, `range`, `break`, `continue`, comments, trim markers and the functions of [`functions`]. Not there: templates
//! that name others (`define`, `template`, `block`), and methods but `.Label "key"`.
//!
//! JSON does not say what a record is and what a map. So a missing name that begins with a capital is a mistake, and one
//! that does not is a key without a value; and what is missing counts as false in a condition, so that
//! `{{if .State.Health}}` works. A name in other letters (`.ID` for `Id`) is found, because Docker's clients offer both.
//!
//! | module | is |
//! |---|---|
//! | `scan` | text to tokens |
//! | `parse` | tokens to a tree |
//! | `run` | a tree and a value to text |
//! | `functions` | the functions, as a table |
//! | `print` | values as Go prints them |

use serde_json::Value;

mod functions;
mod parse;
mod print;
mod run;
mod scan;
#[cfg(test)]
mod tests;

/// Bounds a template's text.
const SOURCE_BYTES_MAX: usize = 64 << 10;

/// Bounds how deep parentheses and blocks nest: each level is a call of ours.
const DEPTH_MAX: usize = 64;

/// Bounds the steps of one rendering: a `range` in a `range` multiplies.
const STEPS_MAX: usize = 1 << 20;

/// Bounds each text that a rendering makes: a variable that is set to itself twice doubles at each step.
const TEXT_BYTES_MAX: usize = 16 << 20;

/// A template that was understood.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    source: String,
    nodes: Vec<parse::Node>,
}

/// Why a template is refused, or cannot be applied to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TemplateError {
    /// With the place.
    pub(crate) message: String,
    /// An action.
    pub(crate) hint: Option<String>,
}

/// What is wrong, and at which byte of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Problem {
    at: usize,
    message: String,
    hint: Option<String>,
}

impl Problem {
    fn new(at: usize, message: impl Into<String>) -> Problem {
        Problem {
            at,
            message: message.into(),
            hint: None,
        }
    }

    fn hint(self, hint: impl Into<String>) -> Problem {
        Problem {
            hint: Some(hint.into()),
            ..self
        }
    }

    fn within(self, source: &str) -> TemplateError {
        TemplateError {
            message: format!("template: {}: {}", place(source, self.at), self.message),
            hint: self.hint,
        }
    }
}

impl Template {
    /// Whether a field's name stands in the template; whether it is looked at too is not known before.
    pub(crate) fn mentions(&self, field: &str) -> bool {
        self.source.contains(&format!(".{field}"))
    }

    /// Understands a template.
    pub(crate) fn parse(source: &str) -> Result<Template, TemplateError> {
        if source.len() > SOURCE_BYTES_MAX {
            let long = format!("it is longer than {SOURCE_BYTES_MAX} bytes");
            return Err(Problem::new(0, long).within(source));
        }
        let nodes = scan::scan(source)
            .and_then(|tokens| parse::parse(&tokens))
            .map_err(|problem| problem.within(source))?;
        Ok(Template {
            source: source.to_owned(),
            nodes,
        })
    }

    /// Returns the text that the template makes of a value.
    pub(crate) fn render(&self, value: &Value) -> Result<String, TemplateError> {
        run::render(&self.nodes, value, run::Pass::Row)
            .map_err(|problem| problem.within(&self.source))
    }

    /// Returns the text that the template makes of headings, one for each field: functions leave them as they are.
    /// Docker: `cli/command/formatter`, `HeaderFunctions`.
    pub(crate) fn headings(&self, headings: &Value) -> Result<String, TemplateError> {
        run::render(&self.nodes, headings, run::Pass::Headings)
            .map_err(|problem| problem.within(&self.source))
    }
}

impl std::fmt::Display for TemplateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        self.hint
            .iter()
            .try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

impl std::error::Error for TemplateError {}

/// Returns `column 3`, with the line where there are several; both count from 1.
fn place(source: &str, at: usize) -> String {
    let before = source.get(..at).unwrap_or(source);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before[start..].chars().count() + 1;
    match source.contains('\n') {
        true => format!("line {}, column {column}", before.matches('\n').count() + 1),
        false => format!("column {column}"),
    }
}
