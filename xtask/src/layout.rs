//! Where things are: the workspace, its build products, the guest programs.

use std::path::{Path, PathBuf};

/// The workspace's root directory.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a directory of the workspace")
}

/// Where cargo builds: `$CARGO_TARGET_DIR`, else `target`.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => std::path::absolute(directory).expect("a directory has a name"),
        None => root().join("target"),
    }
}

/// Where `cargo xtask guests` leaves programs: `target/guests`.
pub fn guests_dir() -> PathBuf {
    target_dir().join("guests")
}
