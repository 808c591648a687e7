//! A mount while its options are read, and the defaults that it gets at the end.

use super::values::{base_name, boolean, choice, clean, invalid, size_bytes};
use super::{KINDS, Wrong};
use crate::instruction::{Mount, MountFlag, MountKind, Sharing};

/// Where a secret is found, by its id.
const SECRETS_DIRECTORY: &str = "/run/secrets";
/// The agent that is meant without an id. Docker: `--ssh default`.
const AGENT_DEFAULT: &str = "default";

const SHARINGS: [(&str, Sharing); 3] = [
    ("shared", Sharing::Shared),
    ("private", Sharing::Private),
    ("locked", Sharing::Locked),
];

/// The options as they were given.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) kind: MountKind,
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
    /// Takes an option whose type is known.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<(), Wrong> {
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

    /// Makes the mount.
    pub(super) fn finish(self, flag: &MountFlag) -> Result<Mount, Wrong> {
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
