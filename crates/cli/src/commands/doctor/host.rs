//! The host's answers: small files, numbers, versions.

use std::path::{Path, PathBuf};

/// Reads a small file of the host's kernel, without the space around it.
pub(super) fn text(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

/// Reads a file that holds one number.
pub(super) fn number(path: &str) -> Option<u64> {
    text(path)?.parse().ok()
}

/// Returns the kernel's release, and its first two numbers.
pub(super) fn kernel() -> (String, (u32, u32)) {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|digits| digits.parse().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    (release, version)
}

/// Looks for a program in `PATH`.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|directory| directory.join(name));
    places.find(|place| place.is_file())
}

/// Returns what is there of a path: it itself, or the nearest above it.
pub(super) fn existing(path: &Path) -> &Path {
    let mut places = path.ancestors();
    places
        .find(|place| place.exists())
        .unwrap_or(Path::new("/"))
}

/// Names a file system by its magic number. Linux: include/uapi/linux/magic.h.
pub(super) fn file_system(magic: u64) -> &'static str {
    match magic {
        0xef53 => "ext4",
        0x5846_5342 => "xfs",
        0x9123_683e => "btrfs",
        0x0102_1994 => "tmpfs",
        0x794c_7630 => "overlay",
        0x2fc1_2fc1 => "zfs",
        0xf2f5_2010 => "f2fs",
        0x6969 => "nfs",
        0xff53_4d42 | 0xfe53_4d42 => "smb",
        0x6573_5546 => "fuse",
        _ => "another file system",
    }
}
