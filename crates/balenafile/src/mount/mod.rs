//! Mounts: the options of `RUN --mount`, expanded and checked.
//!
//! Spec: Dockerfile reference, "RUN --mount"; BuildKit `instructions/commands_runmount.go` parseMount(),
//! `dockerfile2llb/convert_runmount.go`, `convert_secrets.go`.

mod draft;
mod values;

use self::draft::Draft;
use self::values::choice;
use crate::instruction::{Mount, MountFlag, MountKind, MountOption};
use crate::source::Complaint;
use crate::table;
use crate::word::Lookup;

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
