//! Parser directives: `# name=value` at the top of a file.
//!
//! Spec: Dockerfile reference, "Parser directives"; BuildKit `frontend/dockerfile/parser/directives.go`.

use crate::instruction::Literal;
use crate::lint::LintOptions;
use crate::source::{Diagnostic, Source, Span};
use crate::split::physical_lines;

/// What the directives of a file say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directives {
    /// The character that continues a line and quotes the next one.
    pub(crate) escape: char,
    /// `syntax`: a frontend for Docker to fetch. This crate is the frontend.
    pub(crate) syntax: Option<Literal>,
    pub(crate) check: LintOptions,
    /// Lines that are directives.
    pub(crate) count: usize,
}

/// Reads the directives, which end at the first line that is none.
pub(crate) fn read(source: &Source) -> Result<Directives, Diagnostic> {
    let mut directives = Directives {
        escape: '\\',
        syntax: None,
        check: LintOptions::default(),
        count: 0,
    };
    let mut seen = Vec::new();
    for (text, start) in physical_lines(source.text()) {
        let Some((name, value)) = directive(text) else {
            break;
        };
        let end = start + text.trim_end().len();
        let span = Span { start, end };
        if seen.contains(&name) {
            let message = format!("directive `{name}` is given twice");
            return Err(source.error(span, message, Some("remove one of them")));
        }
        match name.as_str() {
            "escape" => directives.escape = escape(source, span, value)?,
            "syntax" => {
                let text = value.to_owned();
                directives.syntax = Some(Literal { text, span });
            }
            _ => directives.check = check(source, span, value)?,
        }
        seen.push(name);
        directives.count += 1;
    }
    Ok(directives)
}

/// Returns name and value of `# name=value`, if the name is one that Docker knows.
fn directive(text: &str) -> Option<(String, &str)> {
    let (name, value) = text.trim_start().strip_prefix('#')?.split_once('=')?;
    let name = name.trim().to_ascii_lowercase();
    let value = value.trim();
    let is_known = matches!(name.as_str(), "escape" | "syntax" | "check");
    (is_known && !value.is_empty()).then_some((name, value))
}

fn escape(source: &Source, span: Span, value: &str) -> Result<char, Diagnostic> {
    match value {
        "\\" => Ok('\\'),
        "`" => Ok('`'),
        _ => {
            let message = format!("`{value}` cannot be the escape character");
            Err(source.error(span, message, Some("write # escape=` or # escape=\\")))
        }
    }
}

fn check(source: &Source, span: Span, value: &str) -> Result<LintOptions, Diagnostic> {
    // Docker: what follows a space is a comment.
    let value = value.split(' ').next().unwrap_or_default();
    LintOptions::parse(value).map_err(|message| {
        let hint = "write # check=skip=RULE,RULE;error=true";
        source.error(span, message, Some(hint))
    })
}
