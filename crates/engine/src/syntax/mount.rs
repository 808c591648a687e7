//! Mounts in Docker's long form: `type=bind,source=DIR,target=DIR,readonly`.

use std::path::{Path, PathBuf};

use minke_sandbox::spec::MountSpec;

use super::volume::{DiskWords, check_target, named_volume};
use super::{SyntaxError, parse_bytes};

const FORM: &str = "write `type=bind,source=./site,target=/srv,readonly`, `type=volume,source=data,target=/data` `type=tmpfs,target=/cache,tmpfs-size=64m` or `type=disk,source=data.img,target=/data,noatime`";

/// What was found in a mount so far.
#[derive(Default)]
struct Fields<'a> {
    kind: &'a str,
    source: &'a str,
    target: &'a str,
    is_read_only: bool,
    size_bytes: Option<u64>,
    is_not_filled: Option<bool>,
    disk: DiskWords,
}

/// Parses a mount; a relative source is below `directory`, the working directory of who typed it. Docker: `opts/mount.go`.
pub fn parse_mount(text: &str, directory: &Path) -> Result<MountSpec, SyntaxError> {
    let mut fields = Fields::default();
    for field in text.split(',') {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (field, None),
        };
        take(&mut fields, text, key, value)?;
    }
    match fields.kind {
        "bind" => bind(&fields, text, directory),
        "tmpfs" => tmpfs(&fields, text),
        "disk" => disk(&fields, text, directory),
        // Docker: a mount without a type is a volume.
        "volume" | "" => volume(&fields, text),
        kind => Err(SyntaxError::new(
            format!("unknown mount type `{kind}` in `{text}`"),
            "use `type=bind`, `type=volume`, `type=tmpfs` or `type=disk`",
        )),
    }
}

fn take<'a>(
    fields: &mut Fields<'a>,
    text: &str,
    key: &str,
    value: Option<&'a str>,
) -> Result<(), SyntaxError> {
    match (key.to_ascii_lowercase().as_str(), value) {
        ("type", Some(value)) => fields.kind = value,
        ("source" | "src", Some(value)) => fields.source = value,
        ("target" | "dst" | "destination", Some(value)) => fields.target = value,
        ("readonly" | "ro", None | Some("true" | "1")) => fields.is_read_only = true,
        ("readonly" | "ro", Some("false" | "0")) => fields.is_read_only = false,
        ("volume-nocopy", None | Some("true" | "1")) => fields.is_not_filled = Some(true),
        ("volume-nocopy", Some("false" | "0")) => fields.is_not_filled = Some(false),
        ("sync", None | Some("true" | "1")) => fields.disk.is_synchronous = true,
        ("sync", Some("false" | "0")) => fields.disk.is_synchronous = false,
        ("noatime", None | Some("true" | "1")) => fields.disk.keeps_access_times = true,
        ("noatime", Some("false" | "0")) => fields.disk.keeps_access_times = false,
        ("volume-driver", Some("local")) => {}
        ("tmpfs-size", Some(value)) => fields.size_bytes = Some(parse_bytes(value)?),
        // What these ask for is always so: guests see a bind's own files, and nothing of mounts below it changes.
        ("bind-propagation", Some("rprivate" | "private")) | ("bind-nonrecursive", _) => {}
        ("tmpfs-mode", Some("1777")) => {}
        (_, None) if key.is_empty() || !KEYS.contains(&key) => {
            return Err(SyntaxError::new(
                format!("invalid field `{key}` in mount `{text}`: it must be `KEY=VALUE`"),
                FORM,
            ));
        }
        _ => {
            return Err(SyntaxError::new(
                format!(
                    "unexpected `{key}{}` in mount `{text}`",
                    value.map(|value| format!("={value}")).unwrap_or_default()
                ),
                FORM,
            ));
        }
    }
    Ok(())
}

/// Keys that stand alone.
const KEYS: [&str; 5] = ["readonly", "ro", "volume-nocopy", "sync", "noatime"];

fn bind(fields: &Fields<'_>, text: &str, directory: &Path) -> Result<MountSpec, SyntaxError> {
    refuse_disk_words(fields, text)?;
    Ok(MountSpec::Bind {
        source: host_source(fields, text, directory)?,
        target: fields.target.to_owned(),
        is_read_only: fields.is_read_only,
    })
}

fn disk(fields: &Fields<'_>, text: &str, directory: &Path) -> Result<MountSpec, SyntaxError> {
    let source = host_source(fields, text, directory)?;
    Ok(fields
        .disk
        .mount(source, fields.target, fields.is_read_only))
}

/// Returns the absolute path of what is mounted from the host.
fn host_source(fields: &Fields<'_>, text: &str, directory: &Path) -> Result<PathBuf, SyntaxError> {
    if fields.source.is_empty() {
        return Err(SyntaxError::new(
            format!("mount `{text}` has no source"),
            FORM,
        ));
    }
    refuse_size(fields, text)?;
    refuse_nocopy(fields, text)?;
    check_target(text, fields.target)?;
    let source = directory.join(fields.source);
    Ok(std::path::absolute(&source).unwrap_or(source))
}

fn volume(fields: &Fields<'_>, text: &str) -> Result<MountSpec, SyntaxError> {
    refuse_size(fields, text)?;
    refuse_disk_words(fields, text)?;
    check_target(text, fields.target)?;
    let is_filled = !fields.is_not_filled.unwrap_or(false);
    named_volume(fields.source, fields.target, fields.is_read_only, is_filled)
}

fn refuse_disk_words(fields: &Fields<'_>, text: &str) -> Result<(), SyntaxError> {
    match fields.disk.is_any() {
        false => Ok(()),
        true => Err(SyntaxError::new(
            format!("`sync` and `noatime` in mount `{text}`, which is no disk"),
            "leave them out, or write `type=disk`",
        )),
    }
}

fn refuse_size(fields: &Fields<'_>, text: &str) -> Result<(), SyntaxError> {
    match fields.size_bytes {
        None => Ok(()),
        Some(_) => Err(SyntaxError::new(
            format!("`tmpfs-size` in mount `{text}`, which is no tmpfs"),
            "leave it out",
        )),
    }
}

fn refuse_nocopy(fields: &Fields<'_>, text: &str) -> Result<(), SyntaxError> {
    match fields.is_not_filled {
        None => Ok(()),
        Some(_) => Err(SyntaxError::new(
            format!("`volume-nocopy` in mount `{text}`, which is no volume"),
            "leave it out",
        )),
    }
}

fn tmpfs(fields: &Fields<'_>, text: &str) -> Result<MountSpec, SyntaxError> {
    if !fields.source.is_empty() || fields.is_read_only {
        return Err(SyntaxError::new(
            format!("a tmpfs has no source and is not read-only: `{text}`"),
            FORM,
        ));
    }
    refuse_nocopy(fields, text)?;
    refuse_disk_words(fields, text)?;
    check_target(text, fields.target)?;
    Ok(MountSpec::Tmpfs {
        target: fields.target.to_owned(),
        size_bytes: fields.size_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<MountSpec, SyntaxError> {
        parse_mount(text, Path::new("/here"))
    }

    #[test]
    fn every_name_of_a_field_is_understood() {
        for text in [
            "type=bind,source=./site,target=/srv,readonly",
            "type=bind,src=site,dst=/srv,ro=true",
            "Type=bind,src=/here/site,destination=/srv,readonly=1",
        ] {
            let MountSpec::Bind {
                source,
                target,
                is_read_only,
            } = parse(text).expect(text)
            else {
                panic!("{text} is a bind");
            };
            assert_eq!(
                (source.as_path(), target.as_str()),
                (Path::new("/here/site"), "/srv")
            );
            assert!(is_read_only, "{text}");
        }
        assert!(matches!(
            parse("type=tmpfs,target=/cache,tmpfs-size=1m"),
            Ok(MountSpec::Tmpfs {
                size_bytes: Some(1_048_576),
                ..
            })
        ));
    }

    #[test]
    fn a_disk_has_options_of_its_own() {
        let parsed = parse("type=disk,src=data.img,dst=/data,noatime,sync=true,ro");
        let Ok(MountSpec::Disk {
            source,
            is_read_only: true,
            is_synchronous: true,
            keeps_access_times: true,
            ..
        }) = &parsed
        else {
            panic!("{parsed:?}");
        };
        assert_eq!(source, Path::new("/here/data.img"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("", "invalid field ``"),
            ("type=bind,target=/srv", "no source"),
            ("type=bind,source=/a", "invalid mount path ``"),
            ("type=volume,source=./data,target=/d", "no name of a volume"),
            ("source=data", "invalid mount path ``"),
            ("type=bind,source=/a,target=/b,volume-nocopy", "no volume"),
            ("type=cluster,target=/d", "unknown mount type `cluster`"),
            ("type=bind,source=/a,target=/b,colour=red", "`colour=red`"),
            ("type=bind,source=/a,target=/b,shiny", "`shiny`"),
            ("type=tmpfs,source=/a,target=/b", "no source and"),
            ("type=bind,source=/a,target=/b,tmpfs-size=1m", "no tmpfs"),
            ("type=bind,source=/a,target=/b,noatime", "no disk"),
            ("type=volume,source=a,target=/b,sync", "no disk"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.message.contains(part), "{text}: {error}");
        }
    }
}
