//! File name patterns, for `COPY` and for `.dockerignore`.
//!
//! A pattern is matched by following all its readings at once, one character at a time, so that the time is bounded by the
//! product of the lengths whatever the pattern is.
//!
//! Spec: Go `path/filepath` Match; moby/patternmatcher for `**`.

/// Bounds a pattern, and with it the states that are followed.
pub const PATTERN_BYTES_MAX: usize = 4096;

/// A pattern for paths whose parts are separated by `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    tokens: Vec<Token>,
}

/// Whose patterns they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Copy,
    Ignore,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    One(char),
    /// `?`: one character other than `/`.
    Any,
    /// `*`: any number of characters other than `/`.
    Run,
    /// `**` at the end: anything.
    Deep,
    /// `**/`: nothing, or anything that ends in `/`.
    DeepDirectory,
    /// `[a-z]`, `[^a-z]`: one character other than `/`.
    Class {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Glob {
    /// Parses a pattern of `COPY`, where `**` is no more than `*`. Fails with what is wrong.
    pub fn for_copy(pattern: &str) -> Result<Self, &'static str> {
        parse(pattern, Dialect::Copy)
    }

    /// Parses a pattern of `.dockerignore`, where `**` goes through directories. Fails with what is wrong.
    pub fn for_ignore(pattern: &str) -> Result<Self, &'static str> {
        parse(pattern, Dialect::Ignore)
    }

    /// Returns whether a text has characters that are special in a pattern.
    pub fn is_pattern(text: &str) -> bool {
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' => drop(characters.next()),
                '*' | '?' | '[' => return true,
                _ => {}
            }
        }
        false
    }

    /// Returns whether the pattern matches the whole path.
    pub fn matches(&self, path: &str) -> bool {
        let mut states = States::new(self.tokens.len() + 1);
        states.enter(&self.tokens, 0);
        for character in path.chars() {
            let mut next = States::new(self.tokens.len() + 1);
            for state in states.iter() {
                self.step(state, character, &mut next);
            }
            if next.is_empty() {
                return false;
            }
            states = next;
        }
        states.has(self.tokens.len())
    }

    fn step(&self, state: usize, character: char, next: &mut States) {
        let Some(token) = self.tokens.get(state) else {
            return;
        };
        match token {
            Token::One(wanted) if *wanted == character => next.enter(&self.tokens, state + 1),
            Token::Any if character != '/' => next.enter(&self.tokens, state + 1),
            Token::Class { is_negated, ranges } if character != '/' => {
                let is_in = ranges
                    .iter()
                    .any(|(low, high)| (*low..=*high).contains(&character));
                if is_in != *is_negated {
                    next.enter(&self.tokens, state + 1);
                }
            }
            Token::Run if character != '/' => next.enter(&self.tokens, state),
            Token::Deep => next.enter(&self.tokens, state),
            Token::DeepDirectory if character == '/' => next.enter(&self.tokens, state),
            Token::DeepDirectory => next.add(state),
            _ => {}
        }
    }
}

/// The places in a pattern that the text so far may have led to.
struct States {
    has: Vec<bool>,
}

impl States {
    fn new(count: usize) -> Self {
        Self {
            has: vec![false; count],
        }
    }

    /// Adds a place, and those behind it that need no character.
    fn enter(&mut self, tokens: &[Token], mut state: usize) {
        self.add(state);
        while matches!(
            tokens.get(state),
            Some(Token::Run | Token::Deep | Token::DeepDirectory)
        ) {
            state += 1;
            self.add(state);
        }
    }

    fn add(&mut self, state: usize) {
        self.has[state] = true;
    }

    fn has(&self, state: usize) -> bool {
        self.has[state]
    }

    fn is_empty(&self) -> bool {
        !self.has.contains(&true)
    }

    fn iter(&self) -> impl Iterator<Item = usize> {
        self.has
            .iter()
            .enumerate()
            .filter_map(|(state, has)| has.then_some(state))
    }
}

fn parse(pattern: &str, dialect: Dialect) -> Result<Glob, &'static str> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err("it is too long");
    }
    let mut tokens = Vec::new();
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        tokens.push(match character {
            '?' => Token::Any,
            '[' => class(&mut characters)?,
            '\\' => Token::One(characters.next().ok_or("it ends in a backslash")?),
            '*' if dialect == Dialect::Ignore && characters.next_if_eq(&'*').is_some() => {
                while characters.next_if_eq(&'*').is_some() {}
                let has_slash = characters.next_if_eq(&'/').is_some();
                if characters.peek().is_none() && !has_slash {
                    Token::Deep
                } else {
                    Token::DeepDirectory
                }
            }
            '*' => Token::Run,
            character => Token::One(character),
        });
    }
    Ok(Glob { tokens })
}

fn class(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Token, &'static str> {
    const PROBLEM: &str = "a `[` is not closed, or has nothing in it";
    let is_negated = characters.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let low = match characters.next().ok_or(PROBLEM)? {
            ']' if ranges.is_empty() => return Err(PROBLEM),
            ']' => return Ok(Token::Class { is_negated, ranges }),
            '\\' => characters.next().ok_or(PROBLEM)?,
            low => low,
        };
        let high = match characters.next_if_eq(&'-') {
            None => low,
            Some(_) => match characters.next().ok_or(PROBLEM)? {
                ']' => return Err("a range in `[ ]` has no end"),
                '\\' => characters.next().ok_or(PROBLEM)?,
                high => high,
            },
        };
        ranges.push((low, high));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(glob: Result<Glob, &'static str>, hits: &[&str], misses: &[&str]) {
        let glob = glob.expect("the pattern is valid");
        hits.iter()
            .for_each(|path| assert!(glob.matches(path), "{path}"));
        misses
            .iter()
            .for_each(|path| assert!(!glob.matches(path), "{path}"));
    }

    #[test]
    fn copy_patterns_stay_within_a_part() {
        check(
            Glob::for_copy("*.py"),
            &["a.py", ".py"],
            &["a.pyc", "d/a.py", ""],
        );
        check(
            Glob::for_copy("src/*/m?in.[ch]"),
            &["src/a/main.c", "src/b/mxin.h"],
            &["src/main.c", "src/a/b/main.c", "src/a/m/in.c"],
        );
        check(Glob::for_copy("[^a-c]\\*"), &["d*"], &["a*", "dd"]);
        check(Glob::for_copy("**"), &["ab"], &["a/b"]);
    }

    #[test]
    fn ignore_patterns_go_through_directories() {
        check(
            Glob::for_ignore("**/*.o"),
            &["a.o", "x/a.o", "x/y/a.o"],
            &["a.oo", "a.o/b"],
        );
        check(Glob::for_ignore("a/**"), &["a/b", "a/b/c"], &["a", "b/a/c"]);
        check(
            Glob::for_ignore("a/**/b"),
            &["a/b", "a/x/b", "a/x/y/b"],
            &["ab", "a/xb"],
        );
        check(Glob::for_ignore("**"), &["a", "a/b"], &[]);
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for pattern in ["[", "[]", "[a", "[a-]", "a\\", "[^]"] {
            assert!(Glob::for_copy(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_doubles_its_readings_is_matched_in_time() {
        let glob = Glob::for_copy(&"*a".repeat(1000)).expect("the pattern is valid");
        assert!(!glob.matches(&"a".repeat(999)));
    }
}
