//! Options: which rules apply, as `# check=` says.
//!
//! Spec: Dockerfile reference, "check"; BuildKit `linter/linter.go` ParseLintOptions(), WithMergedConfigFromComments().

use std::borrow::Cow;

use super::Rule;

/// `check=skip=RULE,...;experimental=RULE,...;error=BOOLEAN`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LintOptions {
    skip: Names,
    experimental: Names,
    /// Whether a finding fails the build.
    pub is_error: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    is_all: bool,
    names: Vec<String>,
}

impl LintOptions {
    /// Reads the text after `check=`. Fails with what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut options = Self::default();
        let text = text.trim();
        for option in text.split(';').filter(|_| !text.is_empty()) {
            let (key, value) = option
                .split_once('=')
                .ok_or_else(|| format!("`{option}` is no option of `check`"))?;
            match key.trim() {
                "skip" => options.skip = Names::parse(value),
                "experimental" => options.experimental = Names::parse(value),
                "error" => options.is_error = boolean(value.trim())?,
                other => return Err(format!("`check` has no option `{other}`")),
            }
        }
        Ok(options)
    }

    /// Returns whether a rule applies.
    pub fn includes(&self, rule: &Rule) -> bool {
        match rule.is_experimental {
            true => self.experimental.has(rule.name),
            false => !self.skip.has(rule.name),
        }
    }

    /// Returns the options with what the comments above an instruction add: `# check=skip=RULE`.
    pub(super) fn with_comments(&self, comments: &[String]) -> Cow<'_, Self> {
        let option = |comment: &String| {
            let (name, value) = comment.split_once('=')?;
            let is_check = name.trim().eq_ignore_ascii_case("check");
            is_check.then(|| value.split_whitespace().next().map(Self::parse))?
        };
        match comments.iter().find_map(option) {
            Some(Ok(more)) => {
                let mut merged = self.clone();
                merged.skip.extend(more.skip);
                merged.experimental.extend(more.experimental);
                Cow::Owned(merged)
            }
            _ => Cow::Borrowed(self),
        }
    }
}

impl Names {
    fn parse(text: &str) -> Self {
        let text = text.trim();
        Self {
            is_all: text == "all",
            names: text.split(',').map(|name| name.trim().to_owned()).collect(),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.is_all || self.names.iter().any(|known| known == name)
    }

    fn extend(&mut self, more: Self) {
        self.is_all |= more.is_all;
        self.names.extend(more.names);
    }
}

fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" => Ok(true),
        "0" | "f" | "false" => Ok(false),
        _ => Err(format!("`error` of `check` is true or false, not `{text}`")),
    }
}
