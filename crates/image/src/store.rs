//! The store: its directory, what goes wrong with it, and finding images by name.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::build_cache::BUILD_CACHE_BYTES_MAX;
use crate::check::{is_corrupt, quoted};
use crate::database::Database;
use crate::nearest::nearest;
use crate::provided::Provided;
use crate::reference::{ParseReferenceError, Reference};
use crate::remembered::{self, Answer, Remembered, Version};
use crate::snapshots::SnapshotError;
use crate::{Digest, Image, ImageSummary, lease};

/// What to do about a database that cannot be read.
const REPAIR: &str =
    "`minke system check --repair` makes it again from the images' blobs, and says what is lost";
/// The database's file in the store.
pub(crate) const DATABASE: &str = "images.db";
/// The shortest id prefix that is looked up. One digit is what Docker accepts.
const ID_PREFIX_DIGITS_MIN: usize = 1;

/// A content store in a directory. Several processes may have it open.
#[derive(Debug)]
pub struct Store {
    pub(crate) root: PathBuf,
    pub(crate) database: Database,
    /// Of the database as it was when the store was opened; what is not known is asked.
    remembered: Option<Remembered>,
    /// Bounds what only build steps need, in bytes; [`BUILD_CACHE_BYTES_MAX`] unless it is changed.
    pub build_cache_bytes_max: u64,
    /// An image that is found although nobody put it here.
    pub provided: Option<Provided>,
}

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {action} `{}`", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("cannot use the image database `{}`", path.display())]
    Database {
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error("the image database `{}` is missing", path.display())]
    LostDatabase { path: PathBuf },
    #[error("the store has format {found}, this minke reads {supported}")]
    NewerFormat { found: i64, supported: i64 },
    #[error("no such image: `{wanted}`")]
    NotFound {
        wanted: String,
        nearest: Option<String>,
    },
    #[error("no such image: `{wanted}`, which this minke was built without")]
    NotProvided { wanted: String, hint: &'static str },
    #[error("`{wanted}` is the beginning of {count} image ids")]
    Ambiguous { wanted: String, count: usize },
    #[error(transparent)]
    Reference(#[from] ParseReferenceError),
    #[error("image `{image}` is used by {holder}")]
    InUse { image: String, holder: String },
    #[error("image `{image}` has {tags} names")]
    SeveralNames { image: String, tags: usize },
    #[error("blob `{digest}` is missing from the store")]
    MissingBlob { digest: Digest },
    #[error("blob `{digest}` is corrupt: its content has the digest `{found}`")]
    CorruptBlob { digest: Digest, found: Digest },
    #[error("blob `{digest}` is corrupt: {reason}")]
    MalformedBlob { digest: Digest, reason: String },
    #[error(transparent)]
    WrongDiffId(Box<WrongDiffId>),
    /// Of the file system without files, or of a layer.
    #[error("cannot make the disk of {}", layer.map_or("an empty root".to_owned(), |layer| format!("layer `{layer}`")))]
    Snapshot {
        layer: Option<Digest>,
        source: Box<SnapshotError>,
    },
    #[error("`{digest}` needs `{feature}`, which minke does not read yet")]
    Unsupported { digest: Digest, feature: String },
    #[error("{what} has more than {max} {unit}")]
    TooLarge {
        what: String,
        max: u64,
        unit: &'static str,
    },
}

/// A layer's blob that is whole, and holds another tar than an image's configuration says.
#[derive(Debug, thiserror::Error)]
#[error(
    "layer `{layer}`{} holds `{found}`, its configuration says `{expected}`",
    of_images(images)
)]
pub struct WrongDiffId {
    /// Digest of the blob.
    pub layer: Digest,
    /// Images that say so: names, or ids.
    pub images: Vec<String>,
    pub found: Digest,
    pub expected: Digest,
}

impl StoreError {
    /// Returns what a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { path, source, .. } => io_hint(path, source.kind()),
            Self::Database { path, source } => database_hint(path, source),
            Self::LostDatabase { .. } => Some(REPAIR.into()),
            Self::NewerFormat { .. } => {
                Some("use the newer minke that wrote it, or another `MINKE_HOME`".into())
            }
            Self::NotFound {
                nearest: Some(nearest),
                ..
            } => Some(format!("did you mean `{nearest}`?")),
            Self::NotFound {
                wanted,
                nearest: None,
            } => Some(format!(
                "build it first: `minke build -t {wanted} DIRECTORY`; `minke images` lists what is there"
            )),
            Self::NotProvided { hint, .. } => Some((*hint).to_owned()),
            Self::Ambiguous { .. } => Some("give more digits of the id".into()),
            Self::InUse { .. } => Some(
                "remove that container first, or remove the name only with `minke rmi -f`".into(),
            ),
            Self::SeveralNames { image, .. } => Some(format!(
                "remove it by name, or all of it with `minke rmi -f {image}`"
            )),
            Self::MissingBlob { .. } | Self::CorruptBlob { .. } | Self::MalformedBlob { .. } => {
                Some(
                    "`minke system check --repair` restores what can be derived; else load or build the image again"
                        .into(),
                )
            }
            Self::WrongDiffId(_) => Some(
                "the image is not what it says, and nothing of it was run: remove it with `minke rmi`, and load or build one that you trust"
                    .into(),
            ),
            Self::TooLarge { .. } => {
                Some("make it smaller: fewer or shorter values, fewer files".into())
            }
            Self::Unsupported { .. } => {
                Some("convert the image with another tool, such as `skopeo copy`".into())
            }
            Self::Snapshot { source, .. } => source.hint(),
            Self::Reference(_) => None,
        }
    }

    /// Returns whether the failure is an image or name that is not there, which commands tell apart.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::NotProvided { .. })
    }
}

fn of_images(names: &[String]) -> String {
    match names.is_empty() {
        true => String::new(),
        false => format!(" of image {}", quoted(names)),
    }
}

pub(crate) fn io_hint(path: &Path, kind: io::ErrorKind) -> Option<String> {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(format!(
            "free space on the file system of `{}`, or set `MINKE_HOME` to another",
            path.display()
        )),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Some("set `MINKE_HOME` to a directory that you may write".into())
        }
        _ => None,
    }
}

fn database_hint(path: &Path, source: &rusqlite::Error) -> Option<String> {
    // The index of the log is in shared memory, a file beside the database, and this is how a full disk is said of it.
    // Spec: sqlite.org/rescode.html, "SQLITE_IOERR_SHMSIZE".
    if source.sqlite_error().map(|error| error.extended_code)
        == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
    {
        return io_hint(path, io::ErrorKind::StorageFull);
    }
    match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => io_hint(path, io::ErrorKind::StorageFull),
        Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen) => {
            io_hint(path, io::ErrorKind::PermissionDenied)
        }
        _ if is_corrupt(source) => Some(REPAIR.into()),
        Some(rusqlite::ErrorCode::DatabaseBusy) => {
            Some("another minke is busy with it; try again".into())
        }
        _ => None,
    }
}

/// Makes an I/O error name what was attempted and where.
pub(crate) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io {
        action,
        path,
        source,
    }
}

impl Store {
    /// Opens the store in `root`, making it if there is none, and sweeps what dead writers left.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        Self::refuse_lost_database(&root)?;
        let store = Self::open_to_repair(&root)?;
        if lease::sweep_dead(&store)? > 0 {
            // A writer that was killed may have put blobs into place that nobody names.
            store.collect()?;
        }
        Ok(store)
    }

    /// Blobs without a database would be taken for what nobody needs, by the first collection.
    fn refuse_lost_database(root: &Path) -> Result<(), StoreError> {
        let path = root.join(DATABASE);
        let mut blobs = fs::read_dir(root.join("blobs/sha256"))
            .into_iter()
            .flatten();
        let is_empty = fs::metadata(&path).map_or(0, |file| file.len()) == 0;
        match is_empty && blobs.next().is_some() {
            true => Err(StoreError::LostDatabase { path }),
            false => Ok(()),
        }
    }

    /// Opens a store and leaves everything in it as it is.
    pub(crate) fn open_to_repair(root: &Path) -> Result<Self, StoreError> {
        Self::prepare(root)?;
        let store = Self {
            root: root.to_owned(),
            database: Database::new(root.join(DATABASE)),
            remembered: Remembered::read(root),
            build_cache_bytes_max: BUILD_CACHE_BYTES_MAX,
            provided: None,
        };
        if store.remembered.is_none() {
            store.database.connect()?;
        }
        Ok(store)
    }

    /// Makes the directories that are missing.
    fn prepare(root: &Path) -> Result<(), StoreError> {
        for directory in [
            root.to_owned(),
            root.join("blobs"),
            root.join("blobs/sha256"),
            root.join("layers"),
            root.join("snapshots"),
            root.join("tmp"),
        ] {
            make_directory(&directory)?;
        }
        Ok(())
    }

    /// Returns the directory of the store.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the image that `wanted` names, of those that the store has. See [`Store::image`].
    pub fn stored_image(&self, wanted: &str) -> Result<Image, StoreError> {
        let remembered = self.remembered.as_ref();
        if let Some(found) = remembered.and_then(|known| known.answer(&self.root, wanted)) {
            return self.image_with_tags(&found.manifest, found.tags);
        }
        let version = Version::settled(&self.root);
        let manifest = self.resolve(wanted)?;
        let image = self.image_by_manifest(&manifest)?;
        if let Some(version) = version {
            let tags = image.tags.clone();
            remembered::keep(&self.root, version, wanted, Answer { manifest, tags });
        }
        Ok(image)
    }

    /// Returns the manifest digest that `wanted` names. See [`Store::image`].
    pub fn resolve(&self, wanted: &str) -> Result<Digest, StoreError> {
        if let Some(digest) = exact_digest(wanted) {
            let found = self.database.manifests_of_digest(&digest)?;
            return found.first().copied().ok_or_else(|| self.not_found(wanted));
        }
        if let Ok(reference) = wanted.parse::<Reference>()
            && let Some(manifest) = self.database.manifest_of_tag(&reference.to_string())?
        {
            return Ok(manifest);
        }
        let digits = wanted.strip_prefix("sha256:").unwrap_or(wanted);
        if is_id_prefix(digits) {
            return self.resolve_prefix(wanted, digits);
        }
        // A text that cannot be a name is a mistake of another kind than a name that is not there.
        wanted.parse::<Reference>()?;
        Err(self.not_found(wanted))
    }

    fn resolve_prefix(&self, wanted: &str, digits: &str) -> Result<Digest, StoreError> {
        let found = self
            .database
            .manifests_of_id_prefix(&format!("sha256:{digits}"))?;
        let mut ids: Vec<Digest> = found.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        match (ids.len(), found.first()) {
            (1, Some((_, manifest))) => Ok(*manifest),
            (0, _) | (_, None) => Err(self.not_found(wanted)),
            (count, _) => Err(StoreError::Ambiguous {
                wanted: wanted.to_owned(),
                count,
            }),
        }
    }

    /// Returns every image, newest first, those without a name too.
    pub fn images(&self) -> Result<Vec<ImageSummary>, StoreError> {
        self.database.images()
    }

    fn not_found(&self, wanted: &str) -> StoreError {
        let names: Vec<String> = self
            .database
            .images()
            .into_iter()
            .flatten()
            .flat_map(|image| image.tags)
            .map(|tag| tag.to_string())
            .collect();
        StoreError::NotFound {
            wanted: wanted.to_owned(),
            nearest: nearest_image(wanted, &names),
        }
    }
}

/// Returns the digest of `sha256:<64 digits>` or of `name@sha256:<64 digits>`.
fn exact_digest(wanted: &str) -> Option<Digest> {
    let text = wanted.rsplit_once('@').map_or(wanted, |(_, digest)| digest);
    text.parse().ok().or_else(|| Digest::from_hex(text))
}

fn is_id_prefix(digits: &str) -> bool {
    (ID_PREFIX_DIGITS_MIN..64).contains(&digits.len())
        && digits
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns the name that `wanted` is likely to mean, with the tag compared only where `wanted` has one.
fn nearest_image(wanted: &str, names: &[String]) -> Option<String> {
    let wanted = wanted.to_ascii_lowercase();
    let compared = |name: &String| match (wanted.contains(':'), name.rsplit_once(':')) {
        (false, Some((bare, _))) => bare.to_owned(),
        _ => name.clone(),
    };
    let all: Vec<String> = names.iter().map(compared).collect();
    let best = nearest(&wanted, all.iter().map(String::as_str))?;
    let index = all.iter().position(|name| name == best)?;
    names.get(index).cloned()
}

pub(crate) fn make_directory(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    // An image may hold secrets that its owner put there: nobody else reads the store.
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(at("make the directory", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
        .map_err(at("make the directory", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_or_forbidden_disk_has_a_hint_that_names_it() {
        let hint = |kind: io::ErrorKind| at("write", Path::new("/store/blob"))(kind.into()).hint();
        let full = hint(io::ErrorKind::StorageFull).expect("there is a hint");
        assert!(
            full.contains("free space on the file system of `/store/blob`"),
            "{full}"
        );
        let forbidden = hint(io::ErrorKind::ReadOnlyFilesystem).expect("there is a hint");
        assert!(forbidden.contains("`MINKE_HOME`"), "{forbidden}");
        assert_eq!(hint(io::ErrorKind::InvalidData), None);
    }
}
