//! Volumes, `HOST:GUEST[:ro|:rw]`, and in-memory directories, `DIR[:size=64m]`.

use std::path::{Path, PathBuf};

use minke_sandbox::spec::MountSpec;

use super::{SyntaxError, parse_bytes};

/// Parses a bind mount. A relative `HOST` is below `directory`, the working directory of who typed it.
pub fn parse_volume(text: &str, directory: &Path) -> Result<MountSpec, SyntaxError> {
    let form = "write `HOST:GUEST[:ro]`, such as `./site:/srv:ro`";
    let parts: Vec<&str> = text.split(':').collect();
    let (host, guest, options) = match parts[..] {
        [host, guest] => (host, guest, ""),
        [host, guest, options] => (host, guest, options),
        _ => return Err(SyntaxError::new(format!("invalid volume `{text}`"), form)),
    };
    let is_read_only = match options {
        "" | "rw" => false,
        "ro" => true,
        _ => {
            return Err(SyntaxError::new(
                format!("unknown option `{options}` in volume `{text}`"),
                "use `ro` or `rw`",
            ));
        }
    };
    if host.is_empty() {
        return Err(SyntaxError::new(format!("invalid volume `{text}`"), form));
    }
    if !host.contains('/') && !host.starts_with('.') {
        return Err(SyntaxError::new(
            format!("`{host}` in volume `{text}` is a name; named volumes are not supported yet"),
            format!("for a directory of the host write `./{host}:{guest}`"),
        ));
    }
    check_target(text, guest)?;
    let source = std::path::absolute(directory.join(host)).unwrap_or_else(|_| PathBuf::from(host));
    Ok(MountSpec::Bind {
        source,
        target: guest.to_owned(),
        is_read_only,
    })
}

/// Parses an in-memory directory. Docker: `--tmpfs`; of its options `size`, and those that are always so.
pub fn parse_tmpfs(text: &str) -> Result<MountSpec, SyntaxError> {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    check_target(text, target)?;
    let mut size_bytes = None;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("size", size)) => size_bytes = Some(parse_bytes(size)?),
            None if matches!(option, "rw" | "nosuid" | "nodev" | "noexec") => {}
            _ => {
                return Err(SyntaxError::new(
                    format!("unknown option `{option}` in tmpfs `{text}`"),
                    "use `size=BYTES`, such as `/tmp:size=64m`",
                ));
            }
        }
    }
    Ok(MountSpec::Tmpfs {
        target: target.to_owned(),
        size_bytes,
    })
}

pub(super) fn check_target(text: &str, target: &str) -> Result<(), SyntaxError> {
    let is_inside = target.split('/').all(|part| part != "..");
    let is_root = target.split('/').all(|part| part.is_empty() || part == ".");
    if target.starts_with('/') && is_inside && !is_root {
        return Ok(());
    }
    Err(SyntaxError::new(
        format!("invalid mount path `{target}` in `{text}`"),
        "the path in the container is absolute, without `..`, and not `/` itself",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, source: &str, target: &str, is_read_only: bool) {
        match parse_volume(text, Path::new("/here")) {
            Ok(MountSpec::Bind {
                source: s,
                target: t,
                is_read_only: r,
            }) => {
                assert_eq!(
                    (s.as_path(), t.as_str(), r),
                    (Path::new(source), target, is_read_only)
                );
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn volumes_are_absolute_or_below_the_working_directory() {
        check("/data:/srv", "/data", "/srv", false);
        check("./site:/srv:ro", "/here/site", "/srv", true);
        check(".:/srv:rw", "/here", "/srv", false);
    }

    #[test]
    fn volumes_that_are_none_are_refused() {
        for text in [
            "",
            "/a",
            ":/b",
            "/a:b",
            "/a:/b:xx",
            "/a:/b:ro:c",
            "name:/b",
            "/a:/",
            "/a:/b/../c",
        ] {
            assert!(parse_volume(text, Path::new("/")).is_err(), "{text}");
        }
    }

    #[test]
    fn a_tmpfs_has_a_size() {
        let parsed = parse_tmpfs("/tmp:rw,size=64m,noexec");
        assert!(
            matches!(&parsed, Ok(MountSpec::Tmpfs { target, size_bytes: Some(67_108_864) }) if target == "/tmp"),
            "{parsed:?}"
        );
        assert!(parse_tmpfs("tmp").is_err());
        assert!(parse_tmpfs("/tmp:mode=7").is_err());
    }
}
