//! Names that rules look at.

use crate::instruction::{Stage, Step};

/// Returns the instruction's name as typed.
pub(super) fn typed_name(step: &Step) -> &str {
    step.text.split_whitespace().next().unwrap_or_default()
}

/// Returns the beginning of a name, for a message.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(100).collect()
}

/// Returns whether a stage's name has the platform's system or architecture in it, which makes it one of several.
pub(super) fn is_named_for(stage: &Stage, platform: &str) -> bool {
    let name = stage.from.name.as_deref().unwrap_or_default();
    let mut parts = platform.split('/').take(2);
    parts.any(|part| !part.is_empty() && name.contains(part))
}

/// BuildKit: `validations.go` getSecretsRegex().
pub(super) fn is_secret(name: &str) -> bool {
    const SECRETS: [&str; 10] = [
        "apikey",
        "auth",
        "credential",
        "credentials",
        "key",
        "password",
        "passwd",
        "pword",
        "secret",
        "token",
    ];
    const ALLOWED: [&str; 3] = ["file", "public", "version"];
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| name.split('_').any(|word| words.contains(&word));
    has(&SECRETS) && !has(&ALLOWED)
}

/// Spec: OCI distribution-spec 1.1, "Pulling manifests"; distribution `reference/regexp.go`. Case does not matter here.
pub(super) fn is_image_name(name: &str) -> bool {
    let (name, digest) = match name.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (name, None),
    };
    let (path, tag) = match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (name, None),
    };
    let is_tag = |tag: &str| {
        !tag.is_empty()
            && tag.len() <= 128
            && !tag.starts_with(['.', '-'])
            && tag
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter))
    };
    let is_part = |part: &str| {
        let is_letter = |letter: char| letter.is_ascii_alphanumeric();
        part.starts_with(is_letter)
            && part.ends_with(is_letter)
            && part
                .chars()
                .all(|letter| is_letter(letter) || "._-:".contains(letter))
    };
    let is_digest = |digest: &str| {
        digest.split_once(':').is_some_and(|(algorithm, hex)| {
            !algorithm.is_empty()
                && hex.len() >= 32
                && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    };
    path.split('/').all(is_part) && tag.is_none_or(is_tag) && digest.is_none_or(is_digest)
}
