//! The image that the command carries: `minke/base`, a small Linux with a shell.

use minke_engine::image::Provided;

use crate::embedded;

/// What names lead to it, and how to have it.
pub(crate) const BASE: Provided = Provided {
    names: &["minke/base", "balenaos/base"],
    archive: match embedded::BASE {
        Some(it) => Some(it.bytes),
        None => None,
    },
    manifest: match embedded::BASE {
        Some(it) => it.digest,
        None => "",
    },
    hint: "make it with `cargo xtask guests base`, and build minke again",
};
