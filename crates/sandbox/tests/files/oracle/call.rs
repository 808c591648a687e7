//! The calls that are compared, and how they are chosen.

use std::fs;

use minke_abi::linux::OpenFlags;
use minke_kernel::Errno;
use proptest::prelude::{Strategy, any, prop_oneof};

/// The user who is not root.
pub(super) const USER: u32 = 1000;
/// Names and paths that get in each other's way; `lower` and what it holds is there from the start.
pub(super) const PATHS: &[&str] = &[
    "a",
    "b",
    "a/",
    "a/b",
    "a/b/",
    "a/./b",
    "a/../b",
    "a/b/c",
    "b/c",
    "l",
    "l/",
    "l/a",
    "m",
    ".",
    "..",
    "a/.",
    "a/..",
    "lower",
    "lower/f",
    "lower/g",
    "lower/d",
    "lower/d/x",
    "lower/l",
    "lower/d/../f",
    "lower/f/x",
    "",
];
/// Where symbolic links lead.
pub(super) const TARGETS: &[&str] = &[
    "a",
    "b",
    "a/b",
    "../start/a",
    "l",
    "lower",
    "lower/f",
    "m",
    "nowhere",
    "/start/lower/d",
];
pub(super) const MODES: &[u32] = &[
    0o777, 0o755, 0o700, 0o644, 0o600, 0o444, 0o555, 0o111, 0o000, 0o1777,
];

/// A call, with indices into the tables above.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Open {
        path: usize,
        flags: u32,
        mode: usize,
    },
    Read {
        length: usize,
        offset: u64,
    },
    Write {
        length: usize,
        offset: u64,
    },
    Append {
        length: usize,
    },
    StatOpen,
    TruncateOpen {
        size: u64,
    },
    Mkdir {
        path: usize,
        mode: usize,
    },
    Unlink {
        path: usize,
    },
    Rmdir {
        path: usize,
    },
    Rename {
        old: usize,
        new: usize,
        flags: u32,
    },
    Link {
        old: usize,
        new: usize,
        follow: bool,
    },
    Symlink {
        target: usize,
        path: usize,
    },
    ReadLink {
        path: usize,
    },
    Stat {
        path: usize,
        follow: bool,
    },
    List {
        path: usize,
    },
    Chmod {
        path: usize,
        mode: usize,
    },
    Chown {
        path: usize,
        uid: Option<u32>,
        gid: Option<u32>,
    },
    Truncate {
        path: usize,
        size: u64,
    },
    Access {
        path: usize,
        mode: u32,
    },
    Touch {
        path: usize,
        is_now: bool,
    },
    Chdir {
        path: usize,
    },
    Getcwd,
}

pub(super) fn path() -> impl Strategy<Value = usize> {
    0..PATHS.len()
}

/// A mode; sticky directories, the last, only where the host protects them as minke does.
pub(super) fn mode() -> impl Strategy<Value = usize> {
    let is_set = |(name, value): &(&str, &str)| {
        let path = format!("/proc/sys/fs/protected_{name}");
        fs::read_to_string(path).is_ok_and(|text| text.trim() == *value)
    };
    let ours = [("regular", "2"), ("symlinks", "1"), ("fifos", "1")];
    let sticky = usize::from(ours.iter().all(is_set));
    0..MODES.len() - 1 + sticky
}

pub(super) fn owner() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![
        proptest::strategy::Just(None),
        proptest::strategy::Just(Some(0)),
        proptest::strategy::Just(Some(USER)),
    ]
}

pub(super) fn open_flags() -> impl Strategy<Value = u32> {
    let access = 0..3_u32;
    let others = [
        OpenFlags::CREAT,
        OpenFlags::EXCL,
        OpenFlags::TRUNC,
        OpenFlags::NOFOLLOW,
        OpenFlags::DIRECTORY,
        OpenFlags::PATH,
    ];
    (access, any::<[bool; 6]>(), any::<[bool; 6]>()).prop_map(move |(access, set, also)| {
        let chosen = others.iter().zip(set.iter().zip(also));
        // Each flag in a quarter of the calls.
        let flags = chosen.filter(|(_, (set, also))| **set && *also);
        flags.fold(access, |all, (flag, _)| all | flag.bits())
    })
}

pub(super) fn call() -> impl Strategy<Value = Call> {
    let size = 0..9000_u64;
    let length = 0..6000_usize;
    prop_oneof![
        4 => (path(), open_flags(), mode()).prop_map(|(path, flags, mode)| Call::Open { path, flags, mode }),
        4 => path().prop_map(|path| Call::Open { path, flags: 0o102, mode: 0 }),
        2 => (length.clone(), size.clone()).prop_map(|(length, offset)| Call::Read { length, offset }),
        2 => (length.clone(), size.clone()).prop_map(|(length, offset)| Call::Write { length, offset }),
        1 => length.prop_map(|length| Call::Append { length }),
        1 => proptest::strategy::Just(Call::StatOpen),
        1 => size.clone().prop_map(|size| Call::TruncateOpen { size }),
        4 => (path(), mode()).prop_map(|(path, mode)| Call::Mkdir { path, mode }),
        2 => path().prop_map(|path| Call::Unlink { path }),
        2 => path().prop_map(|path| Call::Rmdir { path }),
        4 => (path(), path(), 0..3_u32).prop_map(|(old, new, flags)| Call::Rename { old, new, flags }),
        2 => (path(), path(), any::<bool>()).prop_map(|(old, new, follow)| Call::Link { old, new, follow }),
        2 => (0..TARGETS.len(), path()).prop_map(|(target, path)| Call::Symlink { target, path }),
        1 => path().prop_map(|path| Call::ReadLink { path }),
        3 => (path(), any::<bool>()).prop_map(|(path, follow)| Call::Stat { path, follow }),
        2 => path().prop_map(|path| Call::List { path }),
        2 => (path(), mode()).prop_map(|(path, mode)| Call::Chmod { path, mode }),
        2 => (path(), owner(), owner()).prop_map(|(path, uid, gid)| Call::Chown { path, uid, gid }),
        1 => (path(), size).prop_map(|(path, size)| Call::Truncate { path, size }),
        1 => (path(), 0..8_u32).prop_map(|(path, mode)| Call::Access { path, mode }),
        1 => (path(), any::<bool>()).prop_map(|(path, is_now)| Call::Touch { path, is_now }),
        1 => path().prop_map(|path| Call::Chdir { path }),
        1 => proptest::strategy::Just(Call::Getcwd),
    ]
}

/// What a call gave, as text: both sides must write the same.
pub(super) type Outcome = Result<String, Errno>;

/// Bytes that tell their position.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8 + 1).collect()
}

/// A checksum that shows differences without printing kilobytes.
pub(super) fn digest(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(0_u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    format!("{} bytes {sum:x}", bytes.len())
}

/// Linux on one side, minke on the other.
pub(super) trait Side {
    fn run(&mut self, call: &Call, is_user: bool) -> Outcome;
}

/// Writes a call with its paths.
pub(super) fn shown(call: &Call) -> String {
    let named = |path: &usize| PATHS[*path];
    match call {
        Call::Rename { old, new, .. } | Call::Link { old, new, .. } => {
            format!("{call:?} `{}` `{}`", named(old), named(new))
        }
        Call::Symlink { target, path } => {
            format!("{call:?} `{}` `{}`", TARGETS[*target], named(path))
        }
        Call::Open { path, .. }
        | Call::Mkdir { path, .. }
        | Call::Unlink { path }
        | Call::Rmdir { path }
        | Call::ReadLink { path }
        | Call::Stat { path, .. }
        | Call::List { path }
        | Call::Chmod { path, .. }
        | Call::Chown { path, .. }
        | Call::Truncate { path, .. }
        | Call::Access { path, .. }
        | Call::Touch { path, .. }
        | Call::Chdir { path } => format!("{call:?} `{}`", named(path)),
        _ => format!("{call:?}"),
    }
}

pub(super) fn calls() -> impl Strategy<Value = Vec<(Call, bool)>> {
    proptest::collection::vec((call(), any::<bool>()), 1..60)
}
