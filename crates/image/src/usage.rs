//! How much room images take on the disk, and which of it they share.

use std::collections::HashMap;
use std::fs;

use crate::check::named_files;
use crate::database::digest;
use crate::{Digest, ImageSummary, Store, StoreError};

/// What the store has on the disk.
#[derive(Debug, Clone, Default)]
pub struct DiskUsage {
    /// Each image with what it needs: blobs, and layers by their diff ids.
    pub images: Vec<(ImageSummary, Vec<Digest>)>,
    /// Bytes of each content: the blob, or the unpacked tar.
    pub sizes: HashMap<Digest, u64>,
}

impl DiskUsage {
    /// Returns the bytes of these contents together.
    pub fn bytes<'digest>(&self, contents: impl IntoIterator<Item = &'digest Digest>) -> u64 {
        contents
            .into_iter()
            .filter_map(|digest| self.sizes.get(digest))
            .sum()
    }
}

impl Store {
    /// Returns what is on the disk.
    pub fn disk_usage(&self) -> Result<DiskUsage, StoreError> {
        let mut usage = DiskUsage::default();
        for directory in ["blobs/sha256", "layers"] {
            for (digest, path) in named_files(&self.root.join(directory))? {
                let size_bytes = fs::metadata(&path).map_or(0, |file| file.len());
                if let Some(digest) = digest {
                    *usage.sizes.entry(digest).or_default() += size_bytes;
                }
            }
        }
        let mut contents = self.contents()?;
        usage.images = self
            .images()?
            .into_iter()
            .map(|image| {
                let needed = contents.remove(&image.manifest_digest).unwrap_or_default();
                (image, needed)
            })
            .collect();
        Ok(usage)
    }

    fn contents(&self) -> Result<HashMap<Digest, Vec<Digest>>, StoreError> {
        self.database.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT manifest, digest FROM contents")?;
            let mut rows = statement.query([])?;
            let mut contents: HashMap<Digest, Vec<Digest>> = HashMap::new();
            while let Some(row) = rows.next()? {
                contents
                    .entry(digest(row, 0)?)
                    .or_default()
                    .push(digest(row, 1)?);
            }
            Ok(contents)
        })
    }
}
