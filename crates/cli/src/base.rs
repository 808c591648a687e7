//! The image that the command carries: `minke/base`, a small Linux with a shell.

use minke_engine::image::Provided;

/// As `build.rs` found it; empty where `cargo xtask guests base` had not made it.
const ARCHIVE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/base.tar"));

/// What names lead to it, and how to have it.
pub(crate) const BASE: Provided = Provided {
    names: &["minke/base", "balenaos/base"],
    archive: if ARCHIVE.is_empty() {
        None
    } else {
        Some(ARCHIVE)
    },
    manifest: env!("BASE_MANIFEST"),
    hint: "make it with `cargo xtask guests base`, and build minke again",
};
