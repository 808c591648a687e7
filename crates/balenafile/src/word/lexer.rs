//! The lexer: a word's text to its template.
//!
//! Spec: POSIX 2.2 Quoting, 2.6.2 Parameter Expansion; BuildKit `shell/lex.go` processStopOn(), processDollar().

use std::iter::Peekable;
use std::str::Chars;

use super::{Choice, Count, End, Length, Modifier, Part, Template, Unset};
use crate::line::{Piece, Problem};

/// Bounds `${a:-${b:-…}}` inside each other, each of which is a call deeper.
const NESTING_MAX: usize = 16;

/// Whether quotes mean something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    Special,
    Plain,
}

/// What becomes of an escape.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// It goes, and what it quotes is not special.
    Removed,
    /// It stays too, for the pattern that is to read it.
    Kept,
}

pub(super) struct Lexer<'text, 'line> {
    characters: Peekable<Chars<'text>>,
    /// Where problems point to.
    place: Piece<'line>,
    escape: char,
    quotes: Quotes,
    depth: usize,
}

impl<'text, 'line> Lexer<'text, 'line> {
    pub(super) fn new(text: &'text str, place: Piece<'line>, escape: char, quotes: Quotes) -> Self {
        Self {
            characters: text.chars().peekable(),
            place,
            escape,
            quotes,
            depth: 0,
        }
    }

    /// Reads to the end.
    pub(super) fn template(mut self) -> Result<Template, Problem> {
        self.until(None, Escapes::Removed)
    }

    fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(self.place, message)
    }

    /// Reads to the end, or past `stop`.
    fn until(&mut self, stop: Option<char>, escapes: Escapes) -> Result<Template, Problem> {
        let mut template = Template::new();
        while let Some(character) = self.characters.next() {
            match character {
                _ if Some(character) == stop => return Ok(template),
                '\'' if self.quotes == Quotes::Special => self.single_quoted(&mut template)?,
                '"' if self.quotes == Quotes::Special => {
                    self.double_quoted(&mut template, escapes)?;
                }
                '$' => self.dollar(&mut template)?,
                _ if character == self.escape => {
                    if escapes == Escapes::Kept {
                        push(&mut template, character);
                    }
                    if let Some(escaped) = self.characters.next() {
                        push(&mut template, escaped);
                    }
                }
                _ => push(&mut template, character),
            }
        }
        match stop {
            None => Ok(template),
            Some('/') => Err(self
                .problem("a `/` is missing in `${…/…}`")
                .hint("write `${name/pattern/replacement}`")),
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
            match self.characters.next() {
                Some('\'') => return Ok(()),
                Some(character) => push(template, character),
                None => return Err(self.unclosed('\'')),
            }
        }
    }

    fn double_quoted(&mut self, template: &mut Template, escapes: Escapes) -> Result<(), Problem> {
        template.push(Part::Text(String::new()));
        loop {
            match self.characters.next() {
                Some('"') => return Ok(()),
                Some('$') => self.dollar(template)?,
                Some(character) if character == self.escape => {
                    let escape = self.escape;
                    let is_special = |next: &char| matches!(next, '"' | '$') || *next == escape;
                    let escaped = self.characters.next_if(is_special);
                    if escaped.is_none() || escapes == Escapes::Kept {
                        push(template, character);
                    }
                    escaped.into_iter().for_each(|next| push(template, next));
                }
                Some(character) => push(template, character),
                None => return Err(self.unclosed('"')),
            }
        }
    }

    fn unclosed(&self, quote: char) -> Problem {
        let hint = format!(
            "close it, or write `{}{quote}` for the character itself",
            self.escape
        );
        self.problem(format!("a {quote} quote is not closed"))
            .hint(hint)
    }

    fn dollar(&mut self, template: &mut Template) -> Result<(), Problem> {
        if self.characters.next_if_eq(&'{').is_some() {
            let variable = self.braced()?;
            template.push(variable);
            return Ok(());
        }
        match self.name() {
            name if name.is_empty() => push(template, '$'),
            name => template.push(Part::Variable {
                name,
                modifier: None,
            }),
        }
        Ok(())
    }

    /// Reads a variable's name, a position or a special parameter. The latter two are never set in a build.
    fn name(&mut self) -> String {
        let mut name = String::new();
        let first = self.characters.peek().copied();
        if first.is_some_and(char::is_numeric) {
            while let Some(digit) = self.characters.next_if(|next| next.is_numeric()) {
                name.push(digit);
            }
            return name;
        }
        // POSIX: 2.5.2 Special Parameters.
        let is_special = |next: &char| matches!(next, '@' | '*' | '#' | '?' | '-' | '$' | '!');
        if let Some(special) = self.characters.next_if(is_special) {
            return special.into();
        }
        let is_letter = |next: &char| next.is_alphanumeric() || *next == '_';
        while let Some(letter) = self.characters.next_if(is_letter) {
            name.push(letter);
        }
        name
    }

    fn braced(&mut self) -> Result<Part, Problem> {
        if self.characters.peek().is_none() {
            return Err(self.unclosed_brace());
        }
        let name = self.name();
        if name.is_empty() {
            return Err(self
                .problem("`${` needs a variable's name")
                .hint("write `\\$` for a dollar sign"));
        }
        if self.characters.next_if_eq(&'}').is_some() {
            let modifier = None;
            return Ok(Part::Variable { name, modifier });
        }
        if self.depth >= NESTING_MAX {
            let message = format!("more than {NESTING_MAX} variables inside each other");
            return Err(self
                .problem(message)
                .hint("set a variable of its own before"));
        }
        self.depth += 1;
        let modifier = Some(self.modifier()?);
        self.depth -= 1;
        Ok(Part::Variable { name, modifier })
    }

    fn modifier(&mut self) -> Result<Modifier, Problem> {
        let unset = match self.characters.next_if_eq(&':') {
            Some(_) => Unset::MissingOrEmpty,
            None => Unset::Missing,
        };
        match (self.characters.next(), unset) {
            (None, _) => Err(self.unclosed_brace()),
            (Some('-'), _) => self.choose(Choice::Default, unset),
            (Some('+'), _) => self.choose(Choice::Alternative, unset),
            (Some('?'), _) => self.choose(Choice::Required, unset),
            (Some('#'), Unset::Missing) => self.trim(End::Prefix, '#'),
            (Some('%'), Unset::Missing) => self.trim(End::Suffix, '%'),
            (Some('/'), Unset::Missing) => self.replace(),
            (Some(character), _) => {
                let colon = match unset {
                    Unset::Missing => "",
                    Unset::MissingOrEmpty => ":",
                };
                let message = format!("`{colon}{character}` does not follow a name in `${{`");
                Err(self
                    .problem(message)
                    .hint("write `${name}`, `${name:-default}` or `${name:+other}`"))
            }
        }
    }

    fn choose(&mut self, choice: Choice, unset: Unset) -> Result<Modifier, Problem> {
        let word = self.until(Some('}'), Escapes::Removed)?;
        Ok(Modifier::Choose {
            choice,
            unset,
            word,
        })
    }

    fn trim(&mut self, end: End, sign: char) -> Result<Modifier, Problem> {
        let length = match self.characters.next_if_eq(&sign) {
            Some(_) => Length::Longest,
            None => Length::Shortest,
        };
        let pattern = self.until(Some('}'), Escapes::Kept)?;
        Ok(Modifier::Trim {
            end,
            length,
            pattern,
        })
    }

    fn replace(&mut self) -> Result<Modifier, Problem> {
        let count = match self.characters.next_if_eq(&'/') {
            Some(_) => Count::All,
            None => Count::First,
        };
        let pattern = self.until(Some('/'), Escapes::Kept)?;
        let replacement = self.until(Some('}'), Escapes::Kept)?;
        Ok(Modifier::Replace {
            count,
            pattern,
            replacement,
        })
    }
}

fn push(template: &mut Template, character: char) {
    match template.last_mut() {
        Some(Part::Text(text)) => text.push(character),
        _ => template.push(Part::Text(character.into())),
    }
}
