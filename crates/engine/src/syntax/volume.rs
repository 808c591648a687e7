//! Volumes and binds, `NAME:GUEST[:ro|:rw]` and `HOST:GUEST[:ro|:rw]`, and in-memory directories, `DIR[:size=64m]`.

use std::path::{Path, PathBuf};

use minke_sandbox::spec::MountSpec;

use minke_disk::is_disk;

use super::{SyntaxError, parse_bytes};
use crate::plan::MountsFrom;
use crate::volumes::check_name;

/// Parses a bind mount, `HOST:GUEST`, or a volume, `NAME:GUEST` or `GUEST` alone. A `HOST` that is a file with an ext2, ext3 or
/// ext4 file system is mounted as a disk, as are those with the options of one, `sync` and `noatime`. A relative `HOST` is below `directory`, the
/// working directory of who typed it; a single name there is a volume's, unless it is such a file's. Docker: `volume/mounts/linux_parser.go`, `ParseMountRaw()`.
pub fn parse_volume(text: &str, directory: &Path) -> Result<MountSpec, SyntaxError> {
    let form = "write `HOST:GUEST[:ro]`, such as `./site:/srv:ro`, or `NAME:GUEST[:ro]`";
    let parts: Vec<&str> = text.split(':').collect();
    let (host, guest, options) = match parts[..] {
        [guest] => (None, guest, ""),
        [host, guest] => (Some(host), guest, ""),
        [host, guest, options] => (Some(host), guest, options),
        _ => return Err(SyntaxError::new(format!("invalid volume `{text}`"), form)),
    };
    if text.is_empty() || host == Some("") {
        return Err(SyntaxError::new(format!("invalid volume `{text}`"), form));
    }
    let host = host.unwrap_or_default();
    let source = std::path::absolute(directory.join(host)).unwrap_or_else(|_| PathBuf::from(host));
    let has_disk = !host.is_empty() && is_disk(&source);
    let is_path = has_disk || host.contains('/') || host.starts_with('.');
    let (mut is_read_only, mut is_filled) = (false, true);
    let mut disk = DiskWords::default();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "rw" => is_read_only = false,
            "ro" => is_read_only = true,
            "nocopy" if !is_path => is_filled = false,
            "sync" if is_path => disk.is_synchronous = true,
            "noatime" if is_path => disk.keeps_access_times = true,
            _ => {
                return Err(SyntaxError::new(
                    format!("unknown option `{option}` in volume `{text}`"),
                    "use `ro` or `rw`, `nocopy` for a volume with a name, `sync` or `noatime` for a disk",
                ));
            }
        }
    }
    check_target(text, guest)?;
    if !is_path {
        return named_volume(host, guest, is_read_only, is_filled);
    }
    Ok(match disk.is_any() || has_disk {
        true => disk.mount(source, guest, is_read_only),
        false => MountSpec::Bind {
            source,
            target: guest.to_owned(),
            is_read_only,
        },
    })
}

/// What only mounts of disks are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DiskWords {
    pub(super) is_synchronous: bool,
    pub(super) keeps_access_times: bool,
}

impl DiskWords {
    pub(super) fn is_any(self) -> bool {
        self.is_synchronous || self.keeps_access_times
    }

    pub(super) fn mount(self, source: PathBuf, target: &str, is_read_only: bool) -> MountSpec {
        MountSpec::Disk {
            source,
            target: target.to_owned(),
            is_read_only,
            is_synchronous: self.is_synchronous,
            keeps_access_times: self.keeps_access_times,
        }
    }
}

/// Asks for a volume; one that has no name gets one.
pub(super) fn named_volume(
    name: &str,
    target: &str,
    is_read_only: bool,
    is_filled: bool,
) -> Result<MountSpec, SyntaxError> {
    let is_anonymous = name.is_empty();
    match check_name(name) {
        Err(error) if !is_anonymous => {
            return Err(SyntaxError::new(
                error.to_string(),
                "for a directory of the host write a path, such as `./data`",
            ));
        }
        _ => {}
    }
    Ok(MountSpec::Volume {
        name: name.to_owned(),
        is_disk: false,
        source: PathBuf::new(),
        target: target.to_owned(),
        is_read_only,
        is_anonymous,
        is_filled,
    })
}

/// Parses `CONTAINER[:ro|:rw]`. Docker: `volume/mounts/volume_parser.go`, `ParseVolumesFrom()`.
pub fn parse_mounts_from(text: &str) -> Result<MountsFrom, SyntaxError> {
    let (container, mode) = text.split_once(':').unwrap_or((text, "rw"));
    let is_read_only = match mode {
        "ro" => true,
        "rw" => false,
        _ => {
            return Err(SyntaxError::new(
                format!("unknown option `{mode}` in `--volumes-from {text}`"),
                "use `ro` or `rw`",
            ));
        }
    };
    match container.is_empty() {
        true => Err(SyntaxError::new(
            "`--volumes-from` names no container",
            "write `CONTAINER[:ro]`",
        )),
        false => Ok(MountsFrom {
            container: container.to_owned(),
            is_read_only,
        }),
    }
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
    fn volumes_have_names_or_get_them() {
        for (text, expected) in [
            ("data:/d", ("data", "/d", false, false, true)),
            ("data:/d:ro", ("data", "/d", true, false, true)),
            ("d.1_-x:/d:nocopy,ro", ("d.1_-x", "/d", true, false, false)),
            ("/d", ("", "/d", false, true, true)),
        ] {
            let Ok(MountSpec::Volume {
                name,
                target,
                is_read_only,
                is_anonymous,
                is_filled,
                ..
            }) = parse_volume(text, Path::new("/here"))
            else {
                panic!("{text} is a volume");
            };
            let found = (&*name, &*target, is_read_only, is_anonymous, is_filled);
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn volumes_that_are_none_are_refused() {
        for text in [
            "",
            "a",
            ":/b",
            "/a:b",
            "/a:/b:xx",
            "/a:/b:ro:c",
            "n:/b",
            "na!me:/b",
            "name:/b:z",
            "./name:/b:nocopy",
            "name:b",
            "/",
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
