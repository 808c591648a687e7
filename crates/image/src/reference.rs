//! References: the names that people give to images.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Bounds the text of a reference. Spec: distribution/reference, `NameTotalLengthMax` (255) plus a tag (128).
const REFERENCE_BYTES_MAX: usize = 255 + 1 + TAG_BYTES_MAX;
/// Bounds a tag. Spec: distribution/reference grammar, `tag := /[\w][\w.-]{0,127}/`.
const TAG_BYTES_MAX: usize = 128;
/// The tag of a name that says none.
const TAG_DEFAULT: &str = "latest";
/// The registry of a name that says none, and the organisation there of a name with one part. Both are left out of what people see.
const REGISTRY_DEFAULT: &str = "docker.io";
const REGISTRY_DEFAULT_ORGANISATION: &str = "library/";

/// A name with its tag: `[registry/]repository:tag`.
///
/// Names are lower-cased, as a `Balenafile` may say `FROM BalenaOS/python` (Docker refuses upper case there).
/// Docker's default registry is left out, so `docker.io/library/hello` and `hello` are one name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Reference {
    /// Host and optional port, none for the default.
    pub registry: Option<String>,
    /// Path parts joined by `/`.
    pub repository: String,
    pub tag: String,
}

/// A text that is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an image name: {reason}")]
pub struct ParseReferenceError {
    pub text: String,
    pub reason: &'static str,
}

impl From<Reference> for String {
    fn from(reference: Reference) -> String {
        reference.to_string()
    }
}

impl TryFrom<String> for Reference {
    type Error = ParseReferenceError;

    fn try_from(text: String) -> Result<Self, ParseReferenceError> {
        text.parse()
    }
}

impl FromStr for Reference {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, ParseReferenceError> {
        parse(text).map_err(|reason| ParseReferenceError {
            text: text.chars().take(REFERENCE_BYTES_MAX).collect(),
            reason,
        })
    }
}

/// Spec: distribution/reference `reference.go` grammar and `splitDockerDomain()`.
fn parse(text: &str) -> Result<Reference, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > REFERENCE_BYTES_MAX {
        return Err("it is too long");
    }
    if text.contains('@') {
        return Err("a digest cannot be a name to give");
    }
    let (name, tag) = match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (text, TAG_DEFAULT),
    };
    if !is_tag(tag) {
        return Err(
            "its tag is not 1 to 128 letters, digits, `_`, `.` and `-` that begin with none of the last two",
        );
    }
    let name = name.to_ascii_lowercase();
    let (registry, repository) = split_registry(&name);
    if !registry.is_none_or(is_registry) {
        return Err("its registry is not a host name with an optional port");
    }
    if !repository.split('/').all(is_path_part) {
        return Err("its parts are not letters and digits with `.`, `_`, `__` or `-` between them");
    }
    Ok(Reference {
        registry: registry.map(str::to_owned),
        repository: repository.to_owned(),
        tag: tag.to_owned(),
    })
}

fn split_registry(name: &str) -> (Option<&str>, &str) {
    let (registry, rest) = match name.split_once('/') {
        Some((first, rest)) if first == "localhost" || first.contains(['.', ':']) => (first, rest),
        _ => (REGISTRY_DEFAULT, name),
    };
    if registry == REGISTRY_DEFAULT || registry == "index.docker.io" {
        return (
            None,
            rest.strip_prefix(REGISTRY_DEFAULT_ORGANISATION)
                .unwrap_or(rest),
        );
    }
    (Some(registry), rest)
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= TAG_BYTES_MAX
        && tag.bytes().next().is_some_and(is_word)
        && tag
            .bytes()
            .all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

/// `domain := domain-component ['.' domain-component]* [':' port-number]`.
fn is_registry(registry: &str) -> bool {
    let (host, port) = registry.rsplit_once(':').unwrap_or((registry, "0"));
    let is_word = |byte: u8| byte.is_ascii_alphanumeric();
    let is_part = |part: &str| {
        part.bytes().next().is_some_and(is_word)
            && part.bytes().next_back().is_some_and(is_word)
            && part.bytes().all(|byte| is_word(byte) || byte == b'-')
    };
    host.split('.').all(is_part) && port.parse::<u16>().is_ok()
}

/// `path-component := alpha-numeric [separator alpha-numeric]*`, `separator := /[_.]|__|[-]*/`.
fn is_path_part(part: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let separators =
        part.split(|character: char| character.is_ascii_lowercase() || character.is_ascii_digit());
    part.bytes().next().is_some_and(is_word)
        && part.bytes().next_back().is_some_and(is_word)
        && separators.into_iter().all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
        })
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = &self.registry {
            write!(formatter, "{registry}/")?;
        }
        write!(formatter, "{}:{}", self.repository, self.tag)
    }
}

impl Reference {
    /// Returns the name without the tag, as the column `REPOSITORY` shows it.
    pub fn name(&self) -> String {
        match &self.registry {
            Some(registry) => format!("{registry}/{}", self.repository),
            None => self.repository.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let reference: Reference = text.parse().expect(text);
        assert_eq!(reference.to_string(), expected);
        assert_eq!(
            reference.to_string().parse(),
            Ok(reference),
            "the text of a reference is that reference"
        );
    }

    #[test]
    fn names_are_completed_and_lower_cased() {
        check("hello", "hello:latest");
        check("hello:1", "hello:1");
        check("BalenaOS/python", "balenaos/python:latest");
        check("docker.io/library/hello", "hello:latest");
        check("docker.io/some/hello:V2", "some/hello:V2");
        check("localhost/hello", "localhost/hello:latest");
        check("localhost:5000/hello", "localhost:5000/hello:latest");
        check(
            "registry.example/a/b-c__d.e:x",
            "registry.example/a/b-c__d.e:x",
        );
    }

    #[test]
    fn texts_outside_the_grammar_are_refused() {
        for text in [
            "",
            ":1",
            "a:",
            "a//b",
            "/a",
            "a/",
            "-a",
            "a..b",
            "a___b",
            "a b",
            "../a",
            "a.b:x/c",
            "-a.b/c",
            "a:b c",
            "a@sha256:00",
            "é",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
