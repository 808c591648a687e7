//! Files, by Landlock: a deny-all with the policy's trees as exceptions.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use serde::{Deserialize, Serialize};

use crate::jail::JailPolicy;

/// The newest interface that we know; older kernels get what they have of it.
const LANDLOCK_ABI: ABI = ABI::V6;

/// What host name look-ups read: the resolver's configuration, and the C library's modules for it.
const RESOLVER_PATHS: &[&str] = &[
    "/etc",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/dev/urandom",
];

/// What standard streams, bound files and the C library reopen.
const PROCESS_PATHS: &[&str] = &[
    "/proc/self",
    "/proc/meminfo",
    "/proc/sys/vm",
    "/sys/devices/system/cpu",
];

/// How far Landlock confines files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FilesConfined {
    /// By every rule that we asked for.
    Fully,
    /// By those that this kernel knows.
    Partly,
    /// Not at all: the kernel has no Landlock.
    No,
}

/// Landlock's version that has all that we ask for.
pub const LANDLOCK_VERSION_WANTED: u32 = 6;

/// Returns the version of Landlock that the host's kernel has; 0 for none.
pub fn landlock_version() -> u32 {
    let known = [ABI::V1, ABI::V2, ABI::V3, ABI::V4, ABI::V5, ABI::V6];
    let there = known
        .into_iter()
        .take_while(|version| has_version(*version));
    there.map(|_| 1).sum()
}

/// Asks for everything of a version; nothing is confined by asking.
fn has_version(abi: ABI) -> bool {
    let files = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi));
    let network = AccessNet::from_all(abi);
    let scopes = Scope::from_all(abi);
    files
        .and_then(|rules| match network.is_empty() {
            true => Ok(rules),
            false => rules.handle_access(network),
        })
        .and_then(|rules| match scopes.is_empty() {
            true => Ok(rules),
            false => rules.scope(scopes),
        })
        .is_ok()
}

/// Denies all file access but the policy's.
pub(super) fn confine(policy: &JailPolicy) -> Result<FilesConfined, RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK_ABI))?
        .scope(Scope::from_all(LANDLOCK_ABI))?;
    if !policy.has_network {
        ruleset = ruleset.handle_access(AccessNet::from_all(LANDLOCK_ABI))?;
    }
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let all = AccessFs::from_all(LANDLOCK_ABI) & !BitFlags::from(AccessFs::Execute);
    let mut rules = ruleset.create()?;
    rules = allow(rules, &policy.writable, all)?;
    rules = allow(rules, &policy.readable, read)?;
    // Other containers' directories have files in them, which this does not let go.
    rules = allow(rules, &policy.removable, AccessFs::RemoveDir.into())?;
    rules = allow(rules, &paths(PROCESS_PATHS), read)?;
    if policy.has_network {
        // Execute lets the C library map its resolver modules.
        rules = allow(rules, &paths(RESOLVER_PATHS), read | AccessFs::Execute)?;
    }
    Ok(match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => FilesConfined::Fully,
        RulesetStatus::PartiallyEnforced => FilesConfined::Partly,
        RulesetStatus::NotEnforced => FilesConfined::No,
    })
}

fn paths(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(PathBuf::from).collect()
}

/// Adds an exception for each path that exists; one that does not needs none.
fn allow(
    mut rules: RulesetCreated,
    paths: &[PathBuf],
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    for path in paths {
        if let Ok(fd) = PathFd::new(path) {
            rules = rules.add_rule(PathBeneath::new(fd, fitting(path, access)))?;
        }
    }
    Ok(rules)
}

/// Drops the rights that only directories have from a rule about a file; Landlock refuses it otherwise.
fn fitting(path: &Path, access: BitFlags<AccessFs>) -> BitFlags<AccessFs> {
    if path.is_dir() {
        access
    } else {
        access & AccessFs::from_file(LANDLOCK_ABI)
    }
}
