//! Mounts: the options of `RUN --mount`, expanded and checked.
//!
//! Spec: Dockerfile reference, "RUN --mount"; BuildKit `instructions/commands_runmount.go` parseMount(),
//! `dockerfile2llb/convert_runmount.go`, `convert_secrets.go`.

use crate::instruction::{Mount, MountFlag, MountKind, MountOption, Sharing};
use crate::source::Complaint;
use crate::table;
use crate::word::Lookup;

/// Where a secret is found, by its id.
const SECRETS_DIRECTORY: &str = "/run/secrets";
/// The agent that is meant without an id. Docker: `--ssh default`.
const AGENT_DEFAULT: &str = "default";

const KEYS: [&str; 19] = [
    "destination",
    "dst",
    "env",
    "from",
    "gid",
    "id",
    "mode",
    "readonly",
    "readwrite",
    "required",
    "ro",
    "rw",
    "sharing",
    "size",
    "source",
    "src",
    "target",
    "type",
    "uid",
];

const KINDS: [(&str, MountKind); 5] = [
    ("bind", MountKind::Bind),
    ("cache", MountKind::Cache),
    ("tmpfs", MountKind::Tmpfs),
    ("secret", MountKind::Secret),
    ("ssh", MountKind::Ssh),
];

const SHARINGS: [(&str, Sharing); 3] = [
    ("shared", Sharing::Shared),
    ("private", Sharing::Private),
    ("locked", Sharing::Locked),
];

/// What is wrong with a mount, and with which of its options.
pub(crate) struct MountProblem {
    pub(crate) option: Option<usize>,
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// What is wrong with an option.
type Wrong = (String, String);

impl MountFlag {
    /// Replaces the variables by what `lookup` answers, and checks the options.
    pub fn resolve(&self, lookup: &mut Lookup<'_>) -> Result<Mount, Complaint> {
        self.check(lookup).map_err(|problem| Complaint {
            span: problem
                .option
                .and_then(|index| self.options.get(index))
                .map_or(self.span, |option| option.span),
            message: problem.message,
            hint: Some(problem.hint),
        })
    }

    /// Returns whether nothing of it depends on variables.
    pub(crate) fn is_literal(&self) -> bool {
        let is_literal = |option: &MountOption| match &option.value {
            Some(value) => value.literal().is_some(),
            None => true,
        };
        self.options.iter().all(is_literal)
    }

    pub(crate) fn check(&self, lookup: &mut Lookup<'_>) -> Result<Mount, MountProblem> {
        let mut values = Vec::new();
        for (index, option) in self.options.iter().enumerate() {
            values.push(value(option, lookup).map_err(|wrong| at(Some(index), wrong))?);
        }
        let pairs = || self.options.iter().zip(&values).enumerate();
        let mut mount = Draft::default();
        // Which options there are depends on the type, wherever it stands.
        for (index, (_, value)) in pairs().filter(|(_, (option, _))| option.key == "type") {
            mount.kind = choice("type", value, &KINDS).map_err(|wrong| at(Some(index), wrong))?;
        }
        for (index, (option, value)) in pairs() {
            mount
                .set(&option.key, value)
                .map_err(|wrong| at(Some(index), wrong))?;
        }
        mount.finish(self).map_err(|wrong| at(None, wrong))
    }
}

fn at(option: Option<usize>, (message, hint): Wrong) -> MountProblem {
    MountProblem {
        option,
        message,
        hint,
    }
}

/// Returns the value of an option, `true` for one of those that need none.
fn value(option: &MountOption, lookup: &mut Lookup<'_>) -> Result<String, Wrong> {
    let key = option.key.as_str();
    if !KEYS.contains(&key) {
        let shown: String = key.chars().take(40).collect();
        let hint = match table::nearest(key, KEYS.into_iter()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => "write `--mount=type=TYPE,target=PATH`".to_owned(),
        };
        return Err((format!("`--mount` has no option `{shown}`"), hint));
    }
    match &option.value {
        Some(word) => word.expand(lookup).map_err(|error| {
            let hint = "set it with `ENV`, `ARG` or `--build-arg`".to_owned();
            (error.to_string(), hint)
        }),
        None if matches!(key, "readonly" | "ro" | "readwrite" | "rw" | "required") => {
            Ok("true".to_owned())
        }
        None => Err((
            format!("`{key}` of `--mount` needs a value"),
            format!("write `{key}=VALUE`"),
        )),
    }
}

fn choice<Value: Copy>(
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

fn invalid(key: &str, value: &str) -> String {
    let shown: String = value.chars().take(40).collect();
    format!("`{shown}` is no value of `{key}`")
}

/// A mount while its options are read.
#[derive(Default)]
struct Draft {
    kind: MountKind,
    source: String,
    target: String,
    is_read_only: Option<bool>,
    size_bytes: Option<u64>,
    id: String,
    sharing: Option<Sharing>,
    is_required: bool,
    variable: Option<String>,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
}

impl Draft {
    fn set(&mut self, key: &str, value: &str) -> Result<(), Wrong> {
        match key {
            "source" | "src" => value.clone_into(&mut self.source),
            "target" | "dst" | "destination" => value.clone_into(&mut self.target),
            "id" => value.clone_into(&mut self.id),
            "readonly" | "ro" => self.is_read_only = Some(boolean(key, value)?),
            "readwrite" | "rw" => self.is_read_only = Some(!boolean(key, value)?),
            "required" => {
                self.allow(key, &[MountKind::Secret, MountKind::Ssh])?;
                self.is_required = boolean(key, value)?;
            }
            "size" => {
                self.allow(key, &[MountKind::Tmpfs])?;
                self.size_bytes = Some(size_bytes(value).ok_or_else(|| {
                    let hint = "write a number with a unit: `size=64m`".to_owned();
                    (invalid(key, value), hint)
                })?)
                .filter(|bytes| *bytes > 0);
            }
            "sharing" => {
                self.allow(key, &[MountKind::Cache])?;
                self.sharing = Some(choice(key, value, &SHARINGS)?);
            }
            "mode" => self.mode = Some(self.number(key, value, 8)?),
            "uid" => self.uid = Some(self.number(key, value, 10)?),
            "gid" => self.gid = Some(self.number(key, value, 10)?),
            "env" => self.variable = Some(value.to_owned()),
            _ => {}
        }
        Ok(())
    }

    fn allow(&self, key: &str, kinds: &[MountKind]) -> Result<(), Wrong> {
        if kinds.contains(&self.kind) {
            return Ok(());
        }
        let name = self.kind_name();
        let message = format!("`{key}` is no option of a `{name}` mount");
        Err((message, "remove it".to_owned()))
    }

    fn kind_name(&self) -> &'static str {
        let found = KINDS.iter().find(|(_, kind)| *kind == self.kind);
        found.map_or("bind", |(name, _)| name)
    }

    fn number(&self, key: &str, value: &str, radix: u32) -> Result<u32, Wrong> {
        self.allow(key, &[MountKind::Secret, MountKind::Ssh, MountKind::Cache])?;
        let is_digits = value.bytes().all(|digit| digit.is_ascii_digit());
        let number = u32::from_str_radix(value, radix).ok();
        number.filter(|_| is_digits).ok_or_else(|| {
            let hint = match radix {
                8 => "write an octal number: `mode=0400`".to_owned(),
                _ => format!("write a number: `{key}=1000`"),
            };
            (invalid(key, value), hint)
        })
    }

    fn finish(self, flag: &MountFlag) -> Result<Mount, Wrong> {
        let from = flag.from.clone();
        if from.is_some() {
            let kinds = [
                MountKind::Bind,
                MountKind::Cache,
                MountKind::Tmpfs,
                MountKind::Ssh,
            ];
            self.allow("from", &kinds)?;
        }
        let is_writable = matches!(self.kind, MountKind::Cache | MountKind::Tmpfs);
        let mut mount = Mount {
            kind: self.kind,
            from,
            source: self.source,
            target: self.target,
            is_read_only: self.is_read_only.unwrap_or(!is_writable),
            size_bytes: self.size_bytes,
            id: self.id,
            sharing: self.sharing.unwrap_or_default(),
            is_required: self.is_required,
            variable: self.variable,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
        };
        match mount.kind {
            MountKind::Secret => mount.name_secret()?,
            MountKind::Cache if mount.id.is_empty() => mount.id = clean(&mount.target),
            MountKind::Ssh if mount.id.is_empty() => AGENT_DEFAULT.clone_into(&mut mount.id),
            _ => {}
        }
        Ok(mount)
    }
}

impl Mount {
    /// Fills in the id of a secret, its file and its variable.
    fn name_secret(&mut self) -> Result<(), Wrong> {
        if !self.source.is_empty() && !self.id.is_empty() {
            let message = "a secret has both `source` and `id`".to_owned();
            return Err((message, "remove one of them".to_owned()));
        }
        if self.id.is_empty() {
            self.id = std::mem::take(&mut self.source);
        }
        if self.id.is_empty() {
            base_name(&self.target).clone_into(&mut self.id);
        }
        if self.id.is_empty() {
            let message = "a secret has no `id` and no `target`".to_owned();
            return Err((message, "name it: `--mount=type=secret,id=NAME`".to_owned()));
        }
        match &mut self.variable {
            Some(variable) if variable.is_empty() => self.id.clone_into(variable),
            None if self.target.is_empty() => {
                self.target = format!("{SECRETS_DIRECTORY}/{}", base_name(&self.id));
            }
            _ => {}
        }
        Ok(())
    }
}

fn base_name(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

/// Drops `.`, `..` and empty parts. Spec: Go `path.Clean`.
fn clean(path: &str) -> String {
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
fn boolean(key: &str, value: &str) -> Result<bool, Wrong> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err((invalid(key, value), format!("write `{key}=true`"))),
    }
}

/// Reads `64m`, `1.5GiB` or `4096`. Docker: go-units RAMInBytes(), whose units are powers of 1024.
fn size_bytes(text: &str) -> Option<u64> {
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
