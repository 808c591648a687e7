//! Words: text with quotes, escapes and variables, parsed once and expanded later.
//!
//! Spec: Dockerfile reference, "Environment replacement"; BuildKit `frontend/dockerfile/shell/lex.go`.

mod expand;
mod lexer;
mod pattern;

use std::collections::HashSet;

use self::expand::Expander;
use self::lexer::{Lexer, Quotes};
use crate::line::{Line, Piece, Problem};
use crate::source::Span;

/// Bounds what a word expands to: `ENV A=$A$A` doubles at each step. A here-document may be as long as twice its text.
pub const EXPANSION_BYTES_MAX: usize = 128 << 10;

/// A word as its instruction means it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The word as typed.
    pub text: String,
    pub span: Span,
    template: Template,
}

type Template = Vec<Part>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable {
        name: String,
        modifier: Option<Modifier>,
    },
}

/// What stands between a variable's name and the `}`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Modifier {
    /// `-`, `+`, `?`
    Choose {
        choice: Choice,
        unset: Unset,
        word: Template,
    },
    /// `#`, `##`, `%`, `%%`
    Trim {
        end: End,
        length: Length,
        pattern: Template,
    },
    /// `/`, `//`
    Replace {
        count: Count,
        pattern: Template,
        replacement: Template,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// `-`: the word if unset.
    Default,
    /// `+`: the word if set, else nothing.
    Alternative,
    /// `?`: an error if unset, whose text is the word.
    Required,
}

/// Which variables count as unset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unset {
    Missing,
    /// With a colon.
    MissingOrEmpty,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Prefix,
    Suffix,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Shortest,
    Longest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    First,
    All,
}

/// Why a word has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    #[error("the value has more than {EXPANSION_BYTES_MAX} bytes once its variables are replaced")]
    TooLong,
    #[error("variable `{name}` is not set: {message}")]
    Required { name: String, message: String },
    #[error("`{pattern}` is not a pattern: {problem}")]
    Pattern {
        pattern: String,
        problem: &'static str,
    },
}

/// Answers what a variable's value is; none means unset.
pub type Lookup<'lookup> = dyn FnMut(&str) -> Option<String> + 'lookup;

impl Word {
    /// Parses one word, or a text with white space that counts as one.
    pub(crate) fn parse(line: &Line, piece: Piece<'_>, escape: char) -> Result<Self, Problem> {
        Self::parse_text(piece.text, line.span_of(piece), piece, escape)
    }

    /// Parses a text that stands in the source in another form, such as JSON. Problems point to `place`.
    pub(crate) fn parse_text(
        text: &str,
        span: Span,
        place: Piece<'_>,
        escape: char,
    ) -> Result<Self, Problem> {
        let template = Lexer::new(text, place, escape, Quotes::Special).template()?;
        Ok(Self {
            text: text.to_owned(),
            span,
            template,
        })
    }

    /// Parses the text of a here-document, where quotes are not special and a backslash always escapes.
    ///
    /// BuildKit: `dockerfile2llb/convert.go` dispatch(), ExpandRaw.
    pub(crate) fn parse_heredoc(
        text: String,
        span: Span,
        place: Piece<'_>,
    ) -> Result<Self, Problem> {
        let template = Lexer::new(&text, place, '\\', Quotes::Plain).template()?;
        Ok(Self {
            text,
            span,
            template,
        })
    }

    /// Returns a word in which nothing is special.
    pub(crate) fn from_literal(text: String, span: Span) -> Self {
        let template = vec![Part::Text(text.clone())];
        Self {
            text,
            span,
            template,
        }
    }

    /// Returns the word with its variables replaced by what `lookup` answers; an unset one is empty.
    pub fn expand(&self, lookup: &mut Lookup<'_>) -> Result<String, ExpandError> {
        let bytes_max = EXPANSION_BYTES_MAX.max(2 * self.text.len());
        Expander { lookup, bytes_max }.expand(&self.template)
    }

    /// Returns the value if the word has no variables.
    pub fn literal(&self) -> Option<String> {
        let parts = self.template.iter();
        parts
            .map(|part| match part {
                Part::Text(text) => Some(text.as_str()),
                Part::Variable { .. } => None,
            })
            .collect()
    }

    /// Returns the names of the word's variables, also of those inside others, each once.
    pub fn variables(&self) -> Vec<&str> {
        let mut names = Vec::new();
        variables(&self.template, &mut names);
        let mut seen = HashSet::new();
        names.retain(|name| seen.insert(*name));
        names
    }
}

fn variables<'word>(template: &'word Template, names: &mut Vec<&'word str>) {
    for part in template {
        let Part::Variable { name, modifier } = part else {
            continue;
        };
        names.push(name);
        match modifier {
            None => {}
            Some(Modifier::Choose { word, .. }) => variables(word, names),
            Some(Modifier::Trim { pattern, .. }) => variables(pattern, names),
            Some(Modifier::Replace {
                pattern,
                replacement,
                ..
            }) => {
                variables(pattern, names);
                variables(replacement, names);
            }
        }
    }
}
