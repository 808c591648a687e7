//! Lines: parser directives, comments and continuations.
//!
//! Spec: Dockerfile reference, "Parser directives", "Escape"; BuildKit `frontend/dockerfile/parser/parser.go` Parse().

use crate::source::{Diagnostic, Source, Span};

/// Bounds a line after its continuations are joined. BuildKit: `bufio.MaxScanTokenSize` per physical line.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// Bounds the warnings about lines, each of which counts the lines before it.
const WARNINGS_MAX: usize = 20;

/// One instruction's text: physical lines joined, comments and escapes at line ends gone.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) text: String,
    /// Where pieces of `text` come from: (offset in `text`, offset in the source), ascending.
    origins: Vec<(usize, usize)>,
}

/// A part of a line's text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'line> {
    pub(crate) text: &'line str,
    /// Offset in the line.
    pub(crate) start: usize,
}

/// Something wrong with a part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// A file's lines and what its directives say.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) lines: Vec<Line>,
    /// The character that continues a line and quotes the next one.
    pub(crate) escape: char,
    pub(crate) warnings: Vec<Diagnostic>,
}

impl Problem {
    pub(crate) fn new(piece: Piece<'_>, message: impl Into<String>) -> Self {
        Self {
            start: piece.start,
            end: piece.start + piece.text.len(),
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl<'line> Piece<'line> {
    /// Returns the part of this piece between two offsets in it.
    pub(crate) fn part(self, start: usize, end: usize) -> Self {
        Self {
            text: &self.text[start..end],
            start: self.start + start,
        }
    }

    /// Returns the piece without the white space around it.
    pub(crate) fn trimmed(self) -> Self {
        let start = self.text.len() - self.text.trim_start().len();
        self.part(start, start + self.text.trim().len())
    }

    /// Splits off the first word. The rest has no leading white space.
    pub(crate) fn split_word(self) -> (Self, Self) {
        let piece = self.trimmed();
        let end = piece
            .text
            .find(char::is_whitespace)
            .unwrap_or(piece.text.len());
        (
            piece.part(0, end),
            piece.part(end, piece.text.len()).trimmed(),
        )
    }

    /// Splits at white space.
    pub(crate) fn words(self) -> impl Iterator<Item = Piece<'line>> {
        let mut rest = self.trimmed();
        std::iter::from_fn(move || {
            let (word, after) = rest.split_word();
            rest = after;
            (!word.text.is_empty()).then_some(word)
        })
    }
}

impl Line {
    pub(crate) fn piece(&self) -> Piece<'_> {
        Piece {
            text: &self.text,
            start: 0,
        }
    }

    /// Returns where a range of the text is in the source.
    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        let last = end.saturating_sub(1).max(start);
        Span {
            start: self.origin(start),
            end: self.origin(last) + (end - start).min(1),
        }
    }

    fn origin(&self, at: usize) -> usize {
        let index = self
            .origins
            .partition_point(|(offset, _)| *offset <= at)
            .saturating_sub(1);
        self.origins
            .get(index)
            .map_or(0, |(offset, source)| source + (at - offset))
    }

    fn push(&mut self, text: &str, origin: usize) {
        self.origins.push((self.text.len(), origin));
        self.text.push_str(text);
    }
}

/// Splits a source into lines.
pub(crate) fn split(source: &Source) -> Result<Lines, Diagnostic> {
    let mut physical = physical_lines(source.text()).peekable();
    let mut lines = Lines {
        lines: Vec::new(),
        escape: '\\',
        warnings: Vec::new(),
    };
    let mut seen = Vec::new();
    while let Some((text, start)) = physical.peek().copied() {
        let Some(directive) = directive(text) else {
            break;
        };
        let span = Span {
            start,
            end: start + text.len(),
        };
        if seen.contains(&directive.0) {
            return Err(source.error(
                span,
                format!("directive `{}` is given twice", directive.0),
                Some("remove one of them"),
            ));
        }
        apply_directive(source, span, &directive, &mut lines)?;
        seen.push(directive.0);
        physical.next();
    }
    while let Some((text, start)) = physical.next() {
        if !is_comment(text) && !text.trim().is_empty() {
            let line = join(source, (text, start), &mut physical, &mut lines)?;
            lines.lines.push(line);
        }
    }
    Ok(lines)
}

/// Returns each line without its end, and its offset.
fn physical_lines(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut start = 0;
    text.split_inclusive('\n').map(move |line| {
        let at = start;
        start += line.len();
        (line.trim_end_matches(['\n', '\r']), at)
    })
}

fn is_comment(text: &str) -> bool {
    text.trim_start().starts_with('#')
}

/// Returns name and value of `# name=value`, if the name is one that Docker knows.
fn directive(text: &str) -> Option<(String, String)> {
    let (name, value) = text.trim_start().strip_prefix('#')?.split_once('=')?;
    let name = name.trim().to_ascii_lowercase();
    matches!(name.as_str(), "escape" | "syntax" | "check").then(|| (name, value.trim().to_owned()))
}

fn apply_directive(
    source: &Source,
    span: Span,
    (name, value): &(String, String),
    lines: &mut Lines,
) -> Result<(), Diagnostic> {
    match (name.as_str(), value.as_str()) {
        ("escape", "\\") => {}
        ("escape", "`") => lines.escape = '`',
        ("escape", _) => {
            let message = format!("`{value}` cannot be the escape character");
            return Err(source.error(span, message, Some("write # escape=` or # escape=\\")));
        }
        ("syntax", _) => {
            let message = format!("`# syntax={value}` has no effect: minke reads the file itself");
            lines
                .warnings
                .push(source.warning(span, message, Some("remove the line")));
        }
        _ => {}
    }
    Ok(())
}

/// Joins a line with those that continue it.
fn join<'text>(
    source: &Source,
    first: (&'text str, usize),
    rest: &mut impl Iterator<Item = (&'text str, usize)>,
    lines: &mut Lines,
) -> Result<Line, Diagnostic> {
    let mut line = Line {
        text: String::new(),
        origins: Vec::new(),
    };
    let indent = first.0.len() - first.0.trim_start().len();
    let mut next = Some((&first.0[indent..], first.1 + indent));
    while let Some((text, start)) = next {
        let (text, continues) = without_escape(text, lines.escape);
        line.push(text, start);
        if line.text.len() > LINE_BYTES_MAX {
            let message = format!("the instruction has more than {LINE_BYTES_MAX} bytes");
            return Err(source.error(
                Span {
                    start: first.1,
                    end: first.1,
                },
                message,
                Some("put long texts into a file and `COPY` it"),
            ));
        }
        next = if continues {
            next_part(source, rest, &mut lines.warnings)
        } else {
            None
        };
    }
    let trimmed = line.text.trim_end().len();
    line.text.truncate(trimmed);
    Ok(line)
}

/// Returns the next line that is neither a comment nor empty, as continuations skip both.
fn next_part<'text>(
    source: &Source,
    rest: &mut impl Iterator<Item = (&'text str, usize)>,
    warnings: &mut Vec<Diagnostic>,
) -> Option<(&'text str, usize)> {
    for (text, start) in rest {
        if is_comment(text) {
            continue;
        }
        if !text.trim().is_empty() {
            return Some((text, start));
        }
        if warnings.len() < WARNINGS_MAX {
            warnings.push(source.warning(
                Span { start, end: start },
                "an empty line inside an instruction is skipped",
                Some("remove it, or begin it with `#`"),
            ));
        }
    }
    None
}

/// Returns the text without the escape at its end, and whether there was one. An escaped escape is none.
fn without_escape(text: &str, escape: char) -> (&str, bool) {
    match text.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(before) if !before.ends_with(escape) => (before, true),
        _ => (text, false),
    }
}
