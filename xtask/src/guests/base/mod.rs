//! The image `minke/base`: a small Linux of the programs that [`linux`](super::linux) makes, as an archive that minke carries.
//!
//! Equal programs and files make equal bytes: entries are sorted, have one time, and are packed by the zstd of our lock file.

mod archive;
mod tree;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// Files of ours that are in it as they are, relative to the workspace.
pub const FILES: &str = "images/base";
/// The programs in it, as `cargo xtask guests` names them.
pub const PROGRAMS: &[&str] = &["bash", "busybox", "dash", "gzip", "tar", "xz"];

/// What is left: the archive, and the digest of its image's manifest.
#[derive(Debug)]
pub struct BaseImage {
    /// Where the programs lie.
    pub programs: PathBuf,
    pub archive: PathBuf,
}

impl BaseImage {
    pub fn make(&self) -> Result<()> {
        let image = archive::pack(&tree::tar(&self.programs)?)?;
        let wrote = |path: PathBuf, bytes: &[u8]| {
            fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
        };
        // The archive last: who waits for it finds the digest.
        wrote(self.digest(), image.manifest.as_bytes())?;
        wrote(self.archive.clone(), &image.archive)
    }

    pub fn outputs(&self) -> Vec<PathBuf> {
        vec![self.digest(), self.archive.clone()]
    }

    fn digest(&self) -> PathBuf {
        self.archive.with_extension("digest")
    }
}
