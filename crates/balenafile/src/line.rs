//! Lines: an instruction's text on one line, and where each part of it stands in the source.

use crate::source::{Complaint, Span};

/// Bounds a line after its continuations are joined. BuildKit: `bufio.MaxScanTokenSize` per physical line.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// One instruction's text: physical lines joined, comments and escapes at line ends gone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    pub(crate) text: String,
    /// Where pieces of `text` come from: (offset in `text`, offset in the source), ascending.
    origins: Vec<(usize, usize)>,
    /// The here-documents below, in the order of their words in `text`.
    pub(crate) heredocs: Vec<HeredocText>,
    /// The comments above, without `#`.
    pub(crate) comments: Vec<String>,
    /// The first empty line within.
    pub(crate) empty_line: Option<Span>,
}

/// The lines of a here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeredocText {
    /// The word that ends it.
    pub(crate) name: String,
    /// Where its word begins in the line.
    pub(crate) at: usize,
    /// As they stand in the source, without the one that ends it.
    pub(crate) text: String,
    pub(crate) span: Span,
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

impl Problem {
    pub(crate) fn new(piece: Piece<'_>, message: impl Into<String>) -> Self {
        Self {
            start: piece.start,
            end: piece.start + piece.text.len(),
            message: message.into(),
            hint: None,
        }
    }

    /// Returns the complaint with its place in the source.
    pub(crate) fn located(self, line: &Line) -> Complaint {
        Complaint {
            span: line.span(self.start, self.end),
            message: self.message,
            hint: self.hint,
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

    /// Returns where a part of the line is in the source.
    pub(crate) fn span_of(&self, piece: Piece<'_>) -> Span {
        self.span(piece.start, piece.start + piece.text.len())
    }

    /// Returns the here-document whose word this is.
    pub(crate) fn heredoc(&self, word: Piece<'_>) -> Option<&HeredocText> {
        let found = self
            .heredocs
            .binary_search_by_key(&word.start, |heredoc| heredoc.at);
        found.ok().and_then(|index| self.heredocs.get(index))
    }

    pub(crate) fn push(&mut self, text: &str, origin: usize) {
        self.origins.push((self.text.len(), origin));
        self.text.push_str(text);
    }
}
