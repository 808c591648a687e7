//! Splitting: a source's lines joined where they are continued, with the comments above and the here-documents below.
//!
//! Spec: Dockerfile reference, "Escape", "Here-Documents"; BuildKit `frontend/dockerfile/parser/parser.go` Parse().

use std::iter::Peekable;

use crate::directive::Directives;
use crate::heredoc::{self, HeredocWord};
use crate::line::{HeredocText, LINE_BYTES_MAX, Line};
use crate::source::{Diagnostic, Source, Span};

/// Splits a source into lines, each of which begins with a word.
pub(crate) fn split(source: &Source, directives: &Directives) -> Result<Vec<Line>, Diagnostic> {
    let mut splitter = Splitter {
        source,
        escape: directives.escape,
        physical: physical_lines(source.text()).peekable(),
    };
    let mut lines = Vec::new();
    let mut comments = Vec::new();
    let mut number = 0;
    while let Some((text, start)) = splitter.next() {
        number += 1;
        match comment(text) {
            // Spec: Dockerfile reference; an empty comment ends a description.
            Some("") => comments.clear(),
            Some(_) if number <= directives.count => {}
            Some(comment) => comments.push(comment.to_owned()),
            None if text.trim().is_empty() => {}
            None => {
                let mut line = splitter.join((text, start))?;
                splitter.read_heredocs(&mut line)?;
                line.comments = std::mem::take(&mut comments);
                lines.extend((!line.text.is_empty()).then_some(line));
            }
        }
    }
    Ok(lines)
}

/// Returns each line without its end, and its offset.
pub(crate) fn physical_lines(text: &str) -> PhysicalLines<'_> {
    PhysicalLines {
        lines: text.split_inclusive('\n'),
        start: 0,
    }
}

pub(crate) struct PhysicalLines<'text> {
    lines: std::str::SplitInclusive<'text, char>,
    start: usize,
}

impl<'text> Iterator for PhysicalLines<'text> {
    type Item = (&'text str, usize);

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.lines.next()?;
        let start = self.start;
        self.start += line.len();
        Some((line.trim_end_matches(['\n', '\r']), start))
    }
}

/// Returns the text of a comment.
fn comment(text: &str) -> Option<&str> {
    text.trim_start().strip_prefix('#').map(str::trim)
}

struct Splitter<'text> {
    source: &'text Source,
    escape: char,
    physical: Peekable<PhysicalLines<'text>>,
}

impl<'text> Splitter<'text> {
    fn next(&mut self) -> Option<(&'text str, usize)> {
        self.physical.next()
    }

    /// Joins a line with those that continue it.
    fn join(&mut self, first: (&'text str, usize)) -> Result<Line, Diagnostic> {
        let mut line = Line::default();
        let indent = first.0.len() - first.0.trim_start().len();
        let mut next = Some((&first.0[indent..], first.1 + indent));
        while let Some((text, start)) = next {
            let (text, continues) = without_escape(text, self.escape);
            line.push(text, start);
            if line.text.len() > LINE_BYTES_MAX {
                return Err(self.too_long(first.1));
            }
            next = match continues {
                true => self.next_part(&mut line),
                false => None,
            };
        }
        let trimmed = line.text.trim_end().len();
        line.text.truncate(trimmed);
        Ok(line)
    }

    fn too_long(&self, start: usize) -> Diagnostic {
        let message = format!("the instruction has more than {LINE_BYTES_MAX} bytes");
        let hint = "put long texts into a file and `COPY` it";
        self.source
            .error(Span { start, end: start }, message, Some(hint))
    }

    /// Returns the next line that is neither a comment nor empty, as continuations skip both.
    fn next_part(&mut self, line: &mut Line) -> Option<(&'text str, usize)> {
        while let Some((text, start)) = self.next() {
            if comment(text).is_some() {
                continue;
            }
            if !text.trim().is_empty() {
                return Some((text, start));
            }
            let span = Span { start, end: start };
            line.empty_line.get_or_insert(span);
        }
        None
    }

    /// Reads what the line's `<<NAME` words stand for.
    fn read_heredocs(&mut self, line: &mut Line) -> Result<(), Diagnostic> {
        for word in heredoc::words(&line.text) {
            let span = line.span_of(word.piece);
            let text = self.heredoc(&word).ok_or_else(|| {
                let message = format!("here-document `{}` is not closed", word.name);
                let hint = format!(
                    "end it with a line that is `{}` and nothing else",
                    word.name
                );
                self.source.error(span, message, Some(&hint))
            })?;
            line.heredocs.push(text);
        }
        Ok(())
    }

    /// Reads up to the line that is the word's name; none if there is no such line.
    fn heredoc(&mut self, word: &HeredocWord<'_>) -> Option<HeredocText> {
        let end = self.source.text().len();
        let start = self.physical.peek().map_or(end, |(_, start)| *start);
        loop {
            let (text, end) = self.next()?;
            let text = match word.strips_tabs {
                true => text.trim_start_matches('\t'),
                false => text,
            };
            if text == word.name {
                let span = Span { start, end };
                let text = self.source.text()[start..end].to_owned();
                let (name, at) = (word.name.clone(), word.piece.start);
                return Some(HeredocText {
                    name,
                    at,
                    text,
                    span,
                });
            }
        }
    }
}

/// Returns the text without the escape at its end, and whether there was one. An escaped escape is none.
fn without_escape(text: &str, escape: char) -> (&str, bool) {
    match text.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(before) if !before.ends_with(escape) => (before, true),
        _ => (text, false),
    }
}
