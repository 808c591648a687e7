//! Which images are meant by filters, in Docker's words.
//!
//! Docker: `docs/reference/commandline/images.md`, "Filtering"; `image_prune.md`.

use std::collections::BTreeMap;

use crate::{Digest, ImageSummary, Reference, Store, StoreError};

/// The keys of a list's filters.
const KEYS: [&str; 7] = [
    "before",
    "dangling",
    "label",
    "label!",
    "reference",
    "since",
    "until",
];

/// What an image must be like. Keys of one kind that are given several times must all hold, except for references, of which one does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFilter {
    /// Whether it has no name.
    pub is_dangling: Option<bool>,
    /// Names and values that its labels have, or (`false`) must not have.
    pub labels: Vec<(LabelPattern, bool)>,
    /// Patterns of names, as in a shell.
    pub references: Vec<String>,
    /// Images that must be younger.
    pub before: Vec<String>,
    /// Images that must be older.
    pub since: Vec<String>,
    /// Seconds since 1970 that it must be older than.
    pub until_s: Option<i64>,
}

/// A label, with any value or with this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelPattern {
    pub name: String,
    pub value: Option<String>,
}

/// A filter that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseFilterError {
    #[error("invalid filter `{0}`: it is not of the form `KEY=VALUE`")]
    Form(String),
    #[error("invalid filter `{0}`")]
    Key(String),
    #[error("invalid filter `{key}={value}`")]
    Value { key: String, value: String },
}

impl ParseFilterError {
    /// Returns what a person can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Form(_) | Self::Key(_) => {
                format!("use one of {}, such as `dangling=true`", KEYS.join(", "))
            }
            Self::Value { key, .. } if key == "dangling" => {
                "write `dangling=true` or `dangling=false`".to_owned()
            }
            Self::Value { .. } => {
                "write a time such as `2026-01-31T12:00:00Z`, or a duration such as `24h`"
                    .to_owned()
            }
        }
    }
}

impl ImageFilter {
    /// Adds a filter as typed; `time` reads a time or a duration before now as seconds since 1970.
    pub fn add(
        &mut self,
        text: &str,
        time: impl Fn(&str) -> Option<i64>,
    ) -> Result<(), ParseFilterError> {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| ParseFilterError::Form(text.to_owned()))?;
        let wrong = || ParseFilterError::Value {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        match key {
            "dangling" => self.is_dangling = Some(truth(value).ok_or_else(wrong)?),
            "label" => self.labels.push((LabelPattern::of(value), true)),
            "label!" => self.labels.push((LabelPattern::of(value), false)),
            "reference" => self.references.push(value.to_owned()),
            "before" => self.before.push(value.to_owned()),
            "since" => self.since.push(value.to_owned()),
            "until" => self.until_s = Some(time(value).ok_or_else(wrong)?),
            _ => return Err(ParseFilterError::Key(key.to_owned())),
        }
        Ok(())
    }

    /// Returns the images of `all` that are meant; of their names those that a reference asks for.
    pub fn apply(
        &self,
        store: &Store,
        all: Vec<ImageSummary>,
    ) -> Result<Vec<ImageSummary>, StoreError> {
        let created = |wanted: &String| {
            let manifest = store.resolve(wanted)?;
            let image = all.iter().find(|image| image.manifest_digest == manifest);
            Ok::<_, StoreError>(image.map_or(0, ImageSummary::made_s))
        };
        let before = self
            .before
            .iter()
            .map(created)
            .collect::<Result<Vec<_>, _>>()?;
        let since = self
            .since
            .iter()
            .map(created)
            .collect::<Result<Vec<_>, _>>()?;
        let mut meant = Vec::new();
        for image in all {
            let time = image.made_s();
            let is_in_time = before.iter().all(|limit| time < *limit)
                && since.iter().all(|limit| time > *limit)
                && self.until_s.is_none_or(|limit| time < limit);
            let is_wanted = self
                .is_dangling
                .is_none_or(|is_dangling| image.tags.is_empty() == is_dangling);
            if !is_in_time || !is_wanted || !self.has_labels(store, &image.manifest_digest)? {
                continue;
            }
            meant.extend(self.named(image));
        }
        Ok(meant)
    }

    /// Returns whether these labels are as the filter wants them.
    pub fn lets_through(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |pattern: &LabelPattern| {
            let found = labels.get(&pattern.name);
            found.is_some_and(|found| pattern.value.as_ref().is_none_or(|value| value == found))
        };
        self.labels
            .iter()
            .all(|(pattern, is_wanted)| has(pattern) == *is_wanted)
    }

    fn named(&self, mut image: ImageSummary) -> Option<ImageSummary> {
        if !self.references.is_empty() {
            image.tags.retain(|tag| {
                self.references
                    .iter()
                    .any(|pattern| matches_name(pattern, tag))
            });
            if image.tags.is_empty() {
                return None;
            }
        }
        Some(image)
    }

    /// Labels are in the configuration, which is read only where they matter. One that cannot be read has none.
    fn has_labels(&self, store: &Store, manifest: &Digest) -> Result<bool, StoreError> {
        if self.labels.is_empty() {
            return Ok(true);
        }
        let labels = store.image_by_manifest(manifest)?.config.labels;
        Ok(self.lets_through(&labels))
    }
}

impl LabelPattern {
    fn of(text: &str) -> Self {
        match text.split_once('=') {
            Some((name, value)) => Self {
                name: name.to_owned(),
                value: Some(value.to_owned()),
            },
            None => Self {
                name: text.to_owned(),
                value: None,
            },
        }
    }
}

/// Go: `strconv.ParseBool`, which Docker reads it with.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Docker: distribution/reference `helpers.go`, `FamiliarMatch()`: the name with its tag, or without.
fn matches_name(pattern: &str, name: &Reference) -> bool {
    matches(pattern, &name.to_string()) || matches(pattern, &name.name())
}

/// Returns whether a pattern of `*`, `?`, `[a-z]` and `\` matches the whole text. Go: `path.Match()`: none of them matches `/`.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    // Where the last `*` is, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    let (mut at, mut read) = (0, 0);
    while read < text.len() {
        if pattern.get(at) == Some(&'*') {
            star = Some((at, read));
            at += 1;
        } else if let Some(width) = matches_one(&pattern[at..], text[read]) {
            at += width;
            read += 1;
        } else if let Some((star_at, taken)) = star.filter(|(_, taken)| text[*taken] != '/') {
            star = Some((star_at, taken + 1));
            (at, read) = (star_at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

/// Returns how much of the pattern stands for this one character, none if it does not match.
fn matches_one(pattern: &[char], found: char) -> Option<usize> {
    match pattern {
        ['?', ..] => (found != '/').then_some(1),
        ['[', rest @ ..] => {
            let end = rest.iter().skip(1).position(|it| *it == ']')? + 1;
            let (is_negated, class) = match &rest[..end] {
                ['^', class @ ..] => (true, class),
                class => (false, class),
            };
            (is_in_class(class, found) != is_negated && found != '/').then_some(end + 2)
        }
        ['\\', literal, ..] => (*literal == found).then_some(2),
        [literal, ..] => (*literal == found).then_some(1),
        [] => None,
    }
}

fn is_in_class(class: &[char], found: char) -> bool {
    match class {
        [low, '-', high, rest @ ..] => (*low..=*high).contains(&found) || is_in_class(rest, found),
        [one, rest @ ..] => *one == found || is_in_class(rest, found),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, name: &str, expected: bool) {
        assert_eq!(
            matches_name(pattern, &name.parse().expect("a name")),
            expected,
            "{pattern} {name}"
        );
    }

    #[test]
    fn references_are_matched_as_by_docker() {
        check("app", "app:1", true);
        check("app:1", "app:1", true);
        check("app:2", "app:1", false);
        check("a*", "app:1", true);
        check("*:1", "app:1", true);
        check("*pp*", "app:1", true);
        check("*", "org/app:1", false);
        check("*/*", "org/app:1", true);
        check("org/*", "org/app:1", true);
        check("a?p", "app:1", true);
        check("a[o-q]p:[12]", "app:1", true);
        check("a[^p]p", "app:1", false);
        check("[", "app:1", false);
        check("ap", "app:1", false);
    }

    #[test]
    fn filters_are_read_and_wrong_ones_named() {
        let mut filter = ImageFilter::default();
        for text in [
            "dangling=true",
            "label=a",
            "label!=b=c",
            "reference=x",
            "until=9",
        ] {
            filter.add(text, |time| time.parse().ok()).expect(text);
        }
        assert_eq!(filter.is_dangling, Some(true));
        assert_eq!(filter.until_s, Some(9));
        assert_eq!(
            filter.labels[1].0,
            LabelPattern {
                name: "b".into(),
                value: Some("c".into())
            }
        );
        assert!(!filter.labels[1].1);
        for text in ["dangling", "dangling=maybe", "colour=red", "until=x"] {
            assert!(
                filter.add(text, |time| time.parse().ok()).is_err(),
                "{text}"
            );
        }
    }
}
