//! Words: text with quotes, escapes and variables, parsed once and expanded later.
//!
//! Spec: Dockerfile reference, "Environment replacement"; BuildKit `frontend/dockerfile/shell/lex.go`.

use std::iter::Peekable;
use std::str::CharIndices;

use crate::line::{Line, Piece, Problem};
use crate::source::Span;

/// Bounds what a word expands to: `ENV A=$A$A` doubles at each step.
pub const EXPANSION_BYTES_MAX: usize = 128 << 10;
/// Bounds `${a:-${b:-…}}` inside each other, each of which is a call deeper.
const NESTING_MAX: usize = 16;

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

#[derive(Debug, Clone, PartialEq, Eq)]
struct Modifier {
    kind: ModifierKind,
    /// Whether an empty value counts as unset: the form with a colon.
    empty_is_unset: bool,
    word: Template,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ModifierKind {
    /// `-`: the word if unset.
    Default,
    /// `+`: the word if set, else nothing.
    Alternative,
    /// `?`: an error if unset, whose text is the word.
    Required,
}

/// Why a word has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    #[error("the value has more than {EXPANSION_BYTES_MAX} bytes once its variables are replaced")]
    TooLong,
    #[error("variable `{name}` is not set: {message}")]
    Required { name: String, message: String },
}

impl Word {
    /// Parses one word, or a text with white space that counts as one.
    pub(crate) fn parse(line: &Line, piece: Piece<'_>, escape: char) -> Result<Self, Problem> {
        let span = line.span(piece.start, piece.start + piece.text.len());
        Self::parse_text(piece.text, span, piece, escape)
    }

    /// Parses a text that stands in the source in another form, such as JSON. Problems point to `place`.
    pub(crate) fn parse_text(
        text: &str,
        span: Span,
        place: Piece<'_>,
        escape: char,
    ) -> Result<Self, Problem> {
        let template = Lexer::new(text, place, escape, Quotes::Special).until(None)?;
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
        let template = Lexer::new(&text, place, '\\', Quotes::Plain).until(None)?;
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

    /// Returns the word with its variables replaced by what `lookup` answers; none means unset, which is empty.
    pub fn expand(
        &self,
        lookup: &mut dyn FnMut(&str) -> Option<String>,
    ) -> Result<String, ExpandError> {
        let mut value = String::new();
        expand(&self.template, lookup, &mut value)?;
        Ok(value)
    }

    /// Returns the value if the word has no variables.
    pub fn literal(&self) -> Option<String> {
        let text = |part: &Part| match part {
            Part::Text(text) => Some(text.clone()),
            Part::Variable { .. } => None,
        };
        self.template.iter().map(text).collect()
    }
}

fn expand(
    template: &Template,
    lookup: &mut dyn FnMut(&str) -> Option<String>,
    value: &mut String,
) -> Result<(), ExpandError> {
    for part in template {
        match part {
            Part::Text(text) => value.push_str(text),
            Part::Variable {
                name,
                modifier: None,
            } => value.push_str(&lookup(name).unwrap_or_default()),
            Part::Variable {
                name,
                modifier: Some(modifier),
            } => modify(name, modifier, lookup, value)?,
        }
        if value.len() > EXPANSION_BYTES_MAX {
            return Err(ExpandError::TooLong);
        }
    }
    Ok(())
}

/// POSIX: 2.6.2 Parameter Expansion.
fn modify(
    name: &str,
    modifier: &Modifier,
    lookup: &mut dyn FnMut(&str) -> Option<String>,
    value: &mut String,
) -> Result<(), ExpandError> {
    // A word with a default is how one asks for a variable that may be unset.
    let set = lookup(name).filter(|set| !(modifier.empty_is_unset && set.is_empty()));
    match (modifier.kind, set) {
        (ModifierKind::Default | ModifierKind::Required, Some(set)) => value.push_str(&set),
        (ModifierKind::Default, None) | (ModifierKind::Alternative, Some(_)) => {
            expand(&modifier.word, lookup, value)?;
        }
        (ModifierKind::Alternative, None) => {}
        (ModifierKind::Required, None) => {
            let mut message = String::new();
            expand(&modifier.word, lookup, &mut message)?;
            let message = if message.is_empty() {
                "it is required".to_owned()
            } else {
                message
            };
            return Err(ExpandError::Required {
                name: name.to_owned(),
                message,
            });
        }
    }
    Ok(())
}

struct Lexer<'text, 'line> {
    characters: Peekable<CharIndices<'text>>,
    place: Piece<'line>,
    escape: char,
    quotes: Quotes,
    depth: usize,
}

/// Whether quotes mean something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Special,
    Plain,
}

impl<'text, 'line> Lexer<'text, 'line> {
    fn new(text: &'text str, place: Piece<'line>, escape: char, quotes: Quotes) -> Self {
        Self {
            characters: text.char_indices().peekable(),
            place,
            escape,
            quotes,
            depth: 0,
        }
    }

    fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(self.place, message)
    }

    fn next(&mut self) -> Option<char> {
        self.characters.next().map(|(_, character)| character)
    }

    fn peek(&mut self) -> Option<char> {
        self.characters.peek().map(|(_, character)| *character)
    }

    /// Reads to the end, or past `stop`.
    fn until(&mut self, stop: Option<char>) -> Result<Template, Problem> {
        let mut template = Template::new();
        while let Some(character) = self.next() {
            match character {
                _ if Some(character) == stop => return Ok(template),
                '\'' if self.quotes == Quotes::Special => self.single_quoted(&mut template)?,
                '"' if self.quotes == Quotes::Special => self.double_quoted(&mut template)?,
                '$' => self.dollar(&mut template)?,
                _ if character == self.escape => {
                    if let Some(escaped) = self.next() {
                        push(&mut template, escaped);
                    }
                }
                _ => push(&mut template, character),
            }
        }
        match stop {
            None => Ok(template),
            Some(_) => Err(self.unclosed_brace()),
        }
    }

    fn unclosed_brace(&self) -> Problem {
        self.problem("a `${` is not closed")
            .hint("close it with `}`, or write `\\$` for a dollar sign")
    }

    fn single_quoted(&mut self, template: &mut Template) -> Result<(), Problem> {
        // An empty quotation is an empty text, which is still a word.
        template.push(Part::Text(String::new()));
        loop {
            match self.next() {
                Some('\'') => return Ok(()),
                Some(character) => push(template, character),
                None => return Err(self.unclosed('\'')),
            }
        }
    }

    fn double_quoted(&mut self, template: &mut Template) -> Result<(), Problem> {
        template.push(Part::Text(String::new()));
        loop {
            match self.next() {
                Some('"') => return Ok(()),
                Some('$') => self.dollar(template)?,
                Some(character) if character == self.escape => match self.next() {
                    Some(escaped) if escaped == '"' || escaped == '$' || escaped == self.escape => {
                        push(template, escaped);
                    }
                    Some(other) => {
                        push(template, character);
                        push(template, other);
                    }
                    None => return Err(self.unclosed('"')),
                },
                Some(character) => push(template, character),
                None => return Err(self.unclosed('"')),
            }
        }
    }

    fn unclosed(&self, quote: char) -> Problem {
        self.problem(format!("a {quote} quote is not closed"))
            .hint(format!(
                "close it, or write `{}{quote}` for the character itself",
                self.escape
            ))
    }

    fn dollar(&mut self, template: &mut Template) -> Result<(), Problem> {
        if self.peek() == Some('{') {
            self.next();
            return self.braced(template);
        }
        let name = self.name();
        if name.is_empty() {
            push(template, '$');
        } else {
            template.push(Part::Variable {
                name,
                modifier: None,
            });
        }
        Ok(())
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(character) = self.peek() {
            let fits = character == '_'
                || character.is_ascii_alphabetic()
                || (!name.is_empty() && character.is_ascii_digit());
            if !fits {
                break;
            }
            name.push(character);
            self.next();
        }
        name
    }

    fn braced(&mut self, template: &mut Template) -> Result<(), Problem> {
        let name = self.name();
        if name.is_empty() {
            return Err(self
                .problem("`${` needs a variable's name")
                .hint("write `\\$` for a dollar sign"));
        }
        let modifier = match self.next() {
            Some('}') => None,
            Some(':') => {
                let operator = self.next();
                Some(self.modifier(operator, true, &name)?)
            }
            operator => Some(self.modifier(operator, false, &name)?),
        };
        template.push(Part::Variable { name, modifier });
        Ok(())
    }

    fn modifier(
        &mut self,
        operator: Option<char>,
        empty_is_unset: bool,
        name: &str,
    ) -> Result<Modifier, Problem> {
        let kind = match operator {
            Some('-') => ModifierKind::Default,
            Some('+') => ModifierKind::Alternative,
            Some('?') => ModifierKind::Required,
            Some(character @ ('#' | '%' | '/')) => {
                return Err(self
                    .problem(format!("`${{{name}{character}…}}` is not supported yet"))
                    .hint("set the variable to what is needed"));
            }
            None => return Err(self.unclosed_brace()),
            _ => {
                return Err(self
                    .problem("a variable in braces is malformed")
                    .hint("write `${name}`, `${name:-default}` or `${name:+other}`"));
            }
        };
        if self.depth >= NESTING_MAX {
            return Err(self.problem(format!(
                "more than {NESTING_MAX} variables inside each other"
            )));
        }
        self.depth += 1;
        let word = self.until(Some('}'))?;
        self.depth -= 1;
        Ok(Modifier {
            kind,
            empty_is_unset,
            word,
        })
    }
}

fn push(template: &mut Template, character: char) {
    match template.last_mut() {
        Some(Part::Text(text)) => text.push(character),
        _ => template.push(Part::Text(character.into())),
    }
}
