//! Source text, places in it, and what is said about them.

use std::fmt;

use crate::lint::Rule;

/// Bounds a file. The longest Dockerfiles in public use have a few thousand lines.
pub const BALENAFILE_BYTES_MAX: usize = 1 << 20;

/// Bounds the characters of a source line that a message shows.
const EXCERPT_CHARS_MAX: usize = 100;

/// A range of bytes in a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

/// A file's text, known to be UTF-8 without NUL and within bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name that messages give, such as `Balenafile`.
    pub name: String,
    text: String,
}

/// Whether a diagnostic ends the build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

/// Something to say about a place in a source.
///
/// Its text is `file:line:column: message`, then the source line with carets under the place. The hint is apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// The rule that found it.
    pub rule: Option<&'static Rule>,
    pub file: Box<str>,
    /// Counted from 1.
    pub line: usize,
    /// Counted in characters from 1.
    pub column: usize,
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// A part of the source line, at most a screen wide, without control characters.
    excerpt: Box<str>,
    /// Characters of the excerpt before the place, and in it.
    caret_column: u8,
    caret_width: u8,
}

/// Something wrong with a place in a source that is not at hand. [`Source::complain`] makes a [`Diagnostic`] of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    pub span: Span,
    pub message: String,
    pub hint: Option<String>,
}

impl Source {
    /// Checks a file's bytes.
    pub fn new(name: impl Into<String>, bytes: &[u8]) -> Result<Self, Diagnostic> {
        let name = name.into();
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if bytes.len() > BALENAFILE_BYTES_MAX {
            let message = format!("the file has more than {BALENAFILE_BYTES_MAX} bytes");
            return Err(Self {
                name,
                text: String::new(),
            }
            .error(Span::default(), message, Some("is this the right file?")));
        }
        let (valid, problem) = match str::from_utf8(bytes) {
            Ok(text) => (text, text.find('\0')),
            Err(error) => (
                str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
                Some(error.valid_up_to()),
            ),
        };
        let source = Self {
            name,
            text: valid.to_owned(),
        };
        match problem {
            None => Ok(source),
            Some(at) => Err(source.error(
                Span { start: at, end: at },
                "the file is binary: this byte cannot be part of a text",
                Some("give a text file in UTF-8, with `-f FILE` if it has another name"),
            )),
        }
    }

    /// Returns the text, without a byte order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns an error about a place.
    pub fn error(&self, span: Span, message: impl Into<String>, hint: Option<&str>) -> Diagnostic {
        self.diagnostic(
            Severity::Error,
            span,
            message.into(),
            hint.map(str::to_owned),
        )
    }

    /// Returns a warning about a place.
    pub fn warning(
        &self,
        span: Span,
        message: impl Into<String>,
        hint: Option<&str>,
    ) -> Diagnostic {
        self.diagnostic(
            Severity::Warning,
            span,
            message.into(),
            hint.map(str::to_owned),
        )
    }

    /// Returns what a rule found.
    pub(crate) fn finding(
        &self,
        rule: &'static Rule,
        span: Span,
        message: String,
        hint: &str,
    ) -> Diagnostic {
        Diagnostic {
            rule: Some(rule),
            ..self.warning(span, message, Some(hint))
        }
    }

    /// Returns the error that a complaint about a place of this source is.
    pub fn complain(&self, complaint: Complaint) -> Diagnostic {
        self.diagnostic(
            Severity::Error,
            complaint.span,
            complaint.message,
            complaint.hint,
        )
    }

    /// Returns the number of the line that a byte is on, from 1.
    pub fn line_number(&self, at: usize) -> usize {
        self.before(at).matches('\n').count() + 1
    }

    fn before(&self, at: usize) -> &str {
        let at = (0..=at.min(self.text.len()))
            .rev()
            .find(|at| self.text.is_char_boundary(*at))
            .unwrap_or(0);
        &self.text[..at]
    }

    pub(crate) fn diagnostic(
        &self,
        severity: Severity,
        span: Span,
        message: String,
        hint: Option<String>,
    ) -> Diagnostic {
        let before = self.before(span.start);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text[line_start..].lines().next().unwrap_or_default();
        let column = before[line_start..].chars().count() + 1;
        let width = self
            .before(span.end.min(line_start + line.len()))
            .len()
            .saturating_sub(before.len());
        let width = self.text[before.len()..before.len() + width]
            .chars()
            .count()
            .max(1);
        let (excerpt, caret_column) = excerpt(line, column - 1);
        Diagnostic {
            severity,
            rule: None,
            file: self.name.as_str().into(),
            line: self.line_number(span.start),
            column,
            message,
            hint,
            caret_width: narrow(
                width
                    .min(excerpt.chars().count().saturating_sub(caret_column))
                    .max(1),
            ),
            caret_column: narrow(caret_column),
            excerpt: excerpt.into(),
        }
    }
}

/// Returns a count of characters of an excerpt, which has few.
fn narrow(characters: usize) -> u8 {
    u8::try_from(characters).unwrap_or(u8::MAX)
}

/// Returns the part of a line around `column`, and where the column is in it.
fn excerpt(line: &str, column: usize) -> (String, usize) {
    let first = column.saturating_sub(EXCERPT_CHARS_MAX / 2);
    let shown = line.chars().skip(first).take(EXCERPT_CHARS_MAX);
    // A tab or an escape sequence would move the carets away from what they point at.
    let shown: String = shown
        .map(|shown| if shown.is_control() { ' ' } else { shown })
        .collect();
    (shown.trim_end().to_owned(), column - first)
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}:{}: {}",
            self.file, self.line, self.column, self.message
        )?;
        if self.excerpt.is_empty() {
            return Ok(());
        }
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let (indent, carets) = (
            " ".repeat(self.caret_column.into()),
            "^".repeat(self.caret_width.into()),
        );
        write!(
            formatter,
            "\n {number} | {}\n {margin} | {indent}{carets}",
            self.excerpt
        )
    }
}

impl std::error::Error for Diagnostic {}
