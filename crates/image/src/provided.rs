//! An image that the program brings along: found by its names where the store has none of them.
//!
//! It is put into the store when it is first asked for, so it is an image as any other from then on, and can be removed. Several
//! processes may do so at once: blobs are placed whole, and the name is one write.

use std::io::{self, Read};
use std::path::Path;

use crate::database::now_ns;
use crate::store::at;
use crate::{Blob, Digest, Image, Reference, Store, StoreError};

/// What an unmodified one was made by, its only step: images that were made from it have more.
const STEP: &str = "minke base";
const BLOBS: &str = "blobs/sha256/";

/// An image in memory.
#[derive(Debug, Clone, Copy)]
pub struct Provided {
    /// Without tags; `latest` of each is meant.
    pub names: &'static [&'static str],
    /// An OCI archive of one image, plain; none where the program was built without.
    pub archive: Option<&'static [u8]>,
    /// The digest of its manifest, as text.
    pub manifest: &'static str,
    /// What to do where there is no archive.
    pub hint: &'static str,
}

impl Provided {
    /// Returns the name that `wanted` is, if it is one of this image's.
    fn name(&self, wanted: &str) -> Option<Reference> {
        let wanted: Reference = wanted.parse().ok()?;
        let mut names = self.names.iter().filter_map(|name| name.parse().ok());
        names.find(|name| wanted == *name)
    }
}

impl Store {
    /// Returns the image that `wanted` names: a name with or without tag, an id or its beginning, or `name@digest`.
    ///
    /// A name of the image that the program brings leads to that one if the store has none of the name, or one that another
    /// program brought.
    pub fn image(&self, wanted: &str) -> Result<Image, StoreError> {
        let found = self.stored_image(wanted);
        let Some(provided) = &self.provided else {
            return found;
        };
        let Some(name) = provided.name(wanted) else {
            return found;
        };
        match (found, provided.archive) {
            (Err(error), _) if !error.is_not_found() => Err(error),
            (Err(_), None) => Err(StoreError::NotProvided {
                wanted: wanted.to_owned(),
                hint: provided.hint,
            }),
            (Ok(image), None) => Ok(image),
            (Ok(image), Some(_)) if !is_replaced(&image, provided) => Ok(image),
            (_, Some(archive)) => self.import_provided(provided, archive, &name),
        }
    }

    fn import_provided(
        &self,
        provided: &Provided,
        archive: &[u8],
        name: &Reference,
    ) -> Result<Image, StoreError> {
        let lease = self.lease()?;
        let failed = || at("read the image of", Path::new(provided.names[0]));
        for entry in tar::Archive::new(archive).entries().map_err(failed())? {
            let entry = entry.map_err(failed())?;
            if let Some(blob) = blob(&entry).map_err(failed())? {
                lease.import_blob(&blob, entry)?;
            }
        }
        let manifest: Digest = provided
            .manifest
            .parse()
            .map_err(|_| failed()(io::Error::other("the digest of its manifest is malformed")))?;
        lease.hold_image(&self.image_by_manifest(&manifest)?)?;
        let now_s = now_ns() / 1_000_000_000;
        let image = lease.adopt(&manifest, std::slice::from_ref(name), now_s)?;
        self.publish()?;
        Ok(image)
    }
}

/// Whether an image is one that another program brought under the name, and nobody has put another there.
fn is_replaced(image: &Image, provided: &Provided) -> bool {
    let is_unmodified = match &image.history[..] {
        [only] => only.created_by == STEP,
        _ => false,
    };
    is_unmodified && image.manifest_digest.to_string() != provided.manifest
}

/// The blob that a member of an archive is.
fn blob<R: Read>(entry: &tar::Entry<'_, R>) -> io::Result<Option<Blob>> {
    let path = entry.path_bytes();
    let digits = std::str::from_utf8(&path).ok();
    let digits = digits.and_then(|path| path.strip_prefix(BLOBS));
    Ok(digits.and_then(Digest::from_hex).map(|digest| Blob {
        digest,
        size_bytes: entry.size(),
    }))
}
