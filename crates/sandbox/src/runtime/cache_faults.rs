//! Reading every compiled module of a cache, and comparing it with its seal.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::cache::{ModuleCache, Seal, hex};

impl ModuleCache {
    /// Returns the artefacts that are not what was stored, with the reason. They are never used: the next start compiles again.
    pub fn faults(&self) -> io::Result<Vec<(PathBuf, String)>> {
        let mut faults = Vec::new();
        for entry in std::fs::read_dir(self.directory())? {
            let path = entry?.path();
            if path
                .extension()
                .is_none_or(|extension| extension != "cwasm")
            {
                continue;
            }
            let reason = match self.read_note::<Seal>(&path.with_extension("seal")) {
                Ok(Some(seal)) => {
                    let mut hasher = Sha256::new();
                    io::copy(&mut File::open(&path)?, &mut hasher)?;
                    let is_right = hex(&hasher.finalize()) == seal.sha256;
                    (!is_right).then(|| "its digest is not the one that was stored".to_owned())
                }
                // Between an artefact and its seal is a moment in which another process writes them.
                Ok(None) => None,
                Err(error) => Some(error.to_string()),
            };
            faults.extend(reason.map(|reason| (path, reason)));
        }
        faults.sort();
        Ok(faults)
    }
}
