//! Expansion: a word's template to its value.

use super::pattern::Pattern;
use super::{Choice, ExpandError, Lookup, Modifier, Part, Template, Unset};

pub(super) struct Expander<'a, 'lookup> {
    pub(super) lookup: &'a mut Lookup<'lookup>,
    /// Bounds the value.
    pub(super) bytes_max: usize,
}

impl Expander<'_, '_> {
    pub(super) fn expand(&mut self, template: &Template) -> Result<String, ExpandError> {
        let mut value = String::new();
        for part in template {
            match part {
                Part::Text(text) => value.push_str(text),
                Part::Variable { name, modifier } => {
                    value.push_str(&self.variable(name, modifier.as_ref())?);
                }
            }
            if value.len() > self.bytes_max {
                return Err(ExpandError::TooLong);
            }
        }
        Ok(value)
    }

    fn variable(&mut self, name: &str, modifier: Option<&Modifier>) -> Result<String, ExpandError> {
        let value = (self.lookup)(name);
        match modifier {
            None => Ok(value.unwrap_or_default()),
            Some(Modifier::Choose {
                choice,
                unset,
                word,
            }) => {
                let is_set = |value: &String| *unset == Unset::Missing || !value.is_empty();
                self.choose(name, *choice, value.filter(is_set), word)
            }
            Some(Modifier::Trim {
                end,
                length,
                pattern,
            }) => {
                let value = value.unwrap_or_default();
                let pattern = self.expand(pattern)?;
                let trimmed = Pattern::parse(&pattern)
                    .and_then(|pattern| pattern.trim(&value, *end, *length));
                trimmed
                    .map(str::to_owned)
                    .map_err(|problem| ExpandError::Pattern { pattern, problem })
            }
            Some(Modifier::Replace {
                count,
                pattern,
                replacement,
            }) => {
                let value = value.unwrap_or_default();
                let (pattern, replacement) = (self.expand(pattern)?, self.expand(replacement)?);
                let replaced = Pattern::parse(&pattern).and_then(|pattern| {
                    pattern.replace(&value, *count, &replacement, self.bytes_max)
                });
                replaced.map_err(|problem| ExpandError::Pattern { pattern, problem })
            }
        }
    }

    /// POSIX: 2.6.2 Parameter Expansion.
    fn choose(
        &mut self,
        name: &str,
        choice: Choice,
        set: Option<String>,
        word: &Template,
    ) -> Result<String, ExpandError> {
        match (choice, set) {
            (Choice::Default | Choice::Required, Some(set)) => Ok(set),
            (Choice::Default, None) | (Choice::Alternative, Some(_)) => self.expand(word),
            (Choice::Alternative, None) => Ok(String::new()),
            (Choice::Required, None) => {
                let message = match self.expand(word)? {
                    empty if empty.is_empty() => "it is required".to_owned(),
                    message => message,
                };
                let name = name.to_owned();
                Err(ExpandError::Required { name, message })
            }
        }
    }
}
