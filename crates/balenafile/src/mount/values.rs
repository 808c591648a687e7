//! Values of options.

use super::Wrong;
use crate::table;

pub(super) fn choice<Value: Copy>(
    key: &str,
    typed: &str,
    values: &[(&'static str, Value)],
) -> Result<Value, Wrong> {
    let found = values
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(typed));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
        let hint = match table::nearest(typed, names.iter().copied()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("write one of `{}`", names.join("`, `")),
        };
        (invalid(key, typed), hint)
    })
}

pub(super) fn invalid(key: &str, value: &str) -> String {
    let shown: String = value.chars().take(40).collect();
    format!("`{shown}` is no value of `{key}`")
}

pub(super) fn base_name(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

/// Drops `.`, `..` and empty parts. Spec: Go `path.Clean`.
pub(super) fn clean(path: &str) -> String {
    let root = if path.starts_with('/') { "/" } else { "" };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if !root.is_empty() => {}
            part => parts.push(part),
        }
    }
    match (root, parts.is_empty()) {
        ("", true) => ".".to_owned(),
        _ => format!("{root}{}", parts.join("/")),
    }
}

/// Spec: Go `strconv.ParseBool`.
pub(super) fn boolean(key: &str, value: &str) -> Result<bool, Wrong> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err((invalid(key, value), format!("write `{key}=true`"))),
    }
}

/// Reads `64m`, `1.5GiB` or `4096`. Docker: go-units RAMInBytes(), whose units are powers of 1024.
pub(super) fn size_bytes(text: &str) -> Option<u64> {
    let end = text.find(|character: char| !character.is_ascii_digit() && character != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let unit = match unit.strip_suffix('b').unwrap_or(&unit) {
        "" => 0,
        unit => {
            let letter = unit.strip_suffix('i').unwrap_or(unit);
            1 + ["k", "m", "g", "t", "p"]
                .iter()
                .position(|known| *known == letter)?
        }
    };
    let number: f64 = number.parse().ok()?;
    let bytes = number * 1024_f64.powi(i32::try_from(unit).ok()?);
    // Exact enough: a limit of more than 2^53 bytes limits nothing.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "digits make no negative number, and the cast saturates"
    )]
    bytes.is_finite().then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_docker() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("1b", 1),
            ("64m", 64 << 20),
            ("1.5GiB", 3 << 29),
            ("2 kB", 2048),
        ] {
            assert_eq!(size_bytes(text), Some(bytes), "{text}");
        }
        for text in ["", "m", "-1", "1x", "1.2.3", "1mm", "1  k"] {
            assert_eq!(size_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn paths_are_cleaned_as_in_go() {
        for (path, cleaned) in [
            ("/a//b/", "/a/b"),
            ("/../a/./b/..", "/a"),
            ("a/../..", ".."),
            ("", "."),
            ("/", "/"),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
        }
    }
}
