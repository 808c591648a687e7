//! Modules in files of the container.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use minke_kernel::File;
use minke_kernel::vfs::Metadata;

use crate::runtime::{FileIdentity, MODULE_BYTES_MAX, ModuleSource};

/// A module in a file of the container.
pub(crate) struct ContainerFile {
    file: Arc<dyn File>,
    metadata: Metadata,
    identity: Option<FileIdentity>,
}

impl ContainerFile {
    /// Takes an open file; `identity` is there where nobody can change it.
    pub(crate) fn new(
        file: Arc<dyn File>,
        metadata: Metadata,
        identity: Option<FileIdentity>,
    ) -> ContainerFile {
        ContainerFile {
            file,
            metadata,
            identity,
        }
    }
}

impl ModuleSource for ContainerFile {
    fn identity(&self) -> Option<FileIdentity> {
        self.identity.clone()
    }

    fn read(&self) -> io::Result<Cow<'_, [u8]>> {
        // What is too large is found out by one byte more.
        let length = self.metadata.size.min(MODULE_BYTES_MAX + 1);
        let mut bytes = vec![0; length as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            let read = self.file.read_at(&mut bytes[filled..], filled as u64);
            match read.map_err(io::Error::other)? {
                0 => break,
                count => filled += count,
            }
        }
        bytes.truncate(filled);
        Ok(Cow::Owned(bytes))
    }

    fn keep(&self) -> Option<Box<dyn ModuleSource>> {
        Some(Box::new(ContainerFile {
            file: Arc::clone(&self.file),
            metadata: self.metadata.clone(),
            identity: self.identity.clone(),
        }))
    }

    fn is_unchanged(&self) -> bool {
        let now = self.file.metadata();
        now.is_ok_and(|now| now.changed == self.metadata.changed)
    }
}
