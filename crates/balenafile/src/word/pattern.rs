//! Patterns of `${name#pattern}` and its relatives: `*`, `?` and characters.
//!
//! A pattern is matched by following all its readings at once, so that the time is bounded by the product of the
//! lengths whatever the pattern is.
//!
//! Spec: POSIX 2.14 Pattern Matching Notation, without brackets; BuildKit `shell/lex.go` convertShellPatternToRegex().

use super::{Count, End, Length};

/// Bounds the work of one pattern: characters of the value, by places where a match may begin, by the pattern.
const STEPS_MAX: usize = 1 << 23;

/// What is wrong with a pattern.
type Problem = &'static str;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    One(char),
    /// `?`: one character, but for a newline, as Go's regular expressions have it.
    Any,
    /// `*`: any number of them.
    Run,
}

impl Token {
    fn matches(self, character: char) -> bool {
        match self {
            Self::One(wanted) => wanted == character,
            Self::Any | Self::Run => character != '\n',
        }
    }
}

impl Pattern {
    /// Parses a pattern. Fails with what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let mut tokens = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            tokens.push(match character {
                '*' => Token::Run,
                '?' => Token::Any,
                '\\' => match characters.next() {
                    Some(escaped @ ('*' | '?' | '\\' | '}' | '/')) => Token::One(escaped),
                    _ => return Err("a backslash stands before `*`, `?`, `\\`, `}` or `/` only"),
                },
                character => Token::One(character),
            });
        }
        Ok(Self { tokens })
    }

    /// Returns a value without what matches at its end.
    pub(super) fn trim<'value>(
        &self,
        value: &'value str,
        end: End,
        length: Length,
    ) -> Result<&'value str, Problem> {
        let mut steps = STEPS_MAX;
        match end {
            End::Prefix => {
                let matched = self.matched_bytes(value.chars(), length, &mut steps)?;
                Ok(&value[matched.unwrap_or(0)..])
            }
            End::Suffix => {
                let mut reversed = self.clone();
                reversed.tokens.reverse();
                let characters = value.chars().rev();
                let matched = reversed.matched_bytes(characters, length, &mut steps)?;
                Ok(&value[..value.len() - matched.unwrap_or(0)])
            }
        }
    }

    /// Returns a value with its longest matches replaced, leftmost first. Ends early with more than `bytes_max`.
    ///
    /// Spec: Go `regexp` ReplaceAllString(): an empty match right after another does not count.
    pub(super) fn replace(
        &self,
        value: &str,
        count: Count,
        replacement: &str,
        bytes_max: usize,
    ) -> Result<String, Problem> {
        let mut steps = STEPS_MAX;
        let (mut result, mut rest, mut follows_match) = (String::new(), value, false);
        while result.len() <= bytes_max {
            let matched = self.matched_bytes(rest.chars(), Length::Longest, &mut steps)?;
            let matched = matched.filter(|matched| *matched > 0 || !follows_match);
            if let Some(matched) = matched {
                result.push_str(replacement);
                rest = &rest[matched..];
                if count == Count::First {
                    break;
                }
            }
            follows_match = matched.is_some_and(|matched| matched > 0);
            if !follows_match {
                let Some(next) = rest.chars().next() else {
                    break;
                };
                result.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
        result.push_str(rest);
        Ok(result)
    }

    /// Returns the length of the shortest or the longest match at the beginning of a text.
    fn matched_bytes(
        &self,
        characters: impl Iterator<Item = char>,
        length: Length,
        steps: &mut usize,
    ) -> Result<Option<usize>, Problem> {
        let mut states = vec![false; self.tokens.len() + 1];
        self.enter(&mut states, 0);
        let is_end = |states: &[bool]| states[self.tokens.len()];
        let (mut bytes, mut matched) = (0, is_end(&states).then_some(0));
        for character in characters {
            if matched.is_some() && length == Length::Shortest || !states.contains(&true) {
                break;
            }
            let cost = self.tokens.len() + 1;
            *steps = steps
                .checked_sub(cost)
                .ok_or("it takes too long to match")?;
            states = self.step(&states, character);
            bytes += character.len_utf8();
            matched = is_end(&states).then_some(bytes).or(matched);
        }
        Ok(matched)
    }

    fn step(&self, states: &[bool], character: char) -> Vec<bool> {
        let mut next = vec![false; self.tokens.len() + 1];
        for (state, token) in self.tokens.iter().enumerate() {
            if states[state] && token.matches(character) {
                let stays = *token == Token::Run;
                self.enter(&mut next, if stays { state } else { state + 1 });
            }
        }
        next
    }

    /// Adds a place, and those behind it that need no character.
    fn enter(&self, states: &mut [bool], mut state: usize) {
        states[state] = true;
        while self.tokens.get(state) == Some(&Token::Run) {
            state += 1;
            states[state] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect("the pattern is valid")
    }

    #[test]
    fn a_pattern_that_doubles_its_readings_is_matched_in_time() {
        let doubling = pattern(&"*a".repeat(1000));
        let value = "a".repeat(999);
        assert_eq!(
            doubling.trim(&value, End::Prefix, Length::Longest),
            Ok(&value[..])
        );
        let value = "ab".repeat(50_000);
        assert!(
            doubling
                .replace(&value, Count::All, "", usize::MAX)
                .is_err()
        );
    }

    #[test]
    fn empty_matches_are_replaced_as_in_go() {
        let replaced = |text, value: &str| {
            let replaced = pattern(text).replace(value, Count::All, "-", usize::MAX);
            replaced.expect("it is short")
        };
        assert_eq!(replaced("", "ab"), "-a-b-");
        assert_eq!(replaced("*", "ab"), "-");
        assert_eq!(replaced("*", ""), "-");
        assert_eq!(replaced("b", "abba"), "a--a");
    }
}
