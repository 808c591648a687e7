//! Archives: tars that a build takes files from, plain or packed.
//!
//! They come from strangers. An archive is unpacked into a file without a name, and what it holds is a tree in memory whose
//! contents are ranges of that file: nothing of it is ever a file of this machine, so no name in it can lead anywhere.
//!
//! Spec: POSIX pax, "ustar Interchange Format"; Dockerfile reference, "ADD", "Adding local tar archives".

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use minke_image::tree::{Node, NodeKind, Tree};
use minke_image::{
    Digest, EntryMetadata, FileDigest, FileHasher, HEADER_BYTES_MAX, Hasher, HeaderBytes,
    LAYER_BYTES_MAX, Lease, Packing, StoreError, attributes_of,
};
use tar::{Archive, EntryType, Header};

use crate::context::{CONTEXT_FILES_MAX, DIRECTORY_DEPTH_MAX};
use crate::origin::{FrozenFile, TreeOrigin};

/// The unit of a tar.
const BLOCK_BYTES: usize = 512;

/// Bounds how many times its size an archive may swell to, once it is past [`SWOLLEN_BYTES_MIN`]. Real archives stay below
/// a hundred; packed zeros reach a thousand with gzip, and ten thousand with zstd.
const SWELLING_MAX: u64 = 1000;

/// An archive below this is small enough whatever it was packed from.
const SWOLLEN_BYTES_MIN: u64 = 256 << 20;

/// Bounds what is unpacked to see whether it is a tar: bzip2 gives nothing before the end of its first 900 kB.
const PACKED_START_BYTES_MAX: u64 = 4 << 20;

/// Bounds the path of an entry. Linux: `PATH_MAX`.
const PATH_BYTES_MAX: usize = 4096;

/// Bounds each part of a path. Linux: `NAME_MAX`.
const NAME_BYTES_MAX: usize = 255;

/// Why an archive is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the archive is damaged: {0}")]
    Damaged(io::Error),
    #[error("the archive ends in the middle of `{0}`")]
    Cut(String),
    #[error("cannot unpack the archive: {0}")]
    Io(io::Error),
    #[error("the archive needs too much memory: {0}")]
    Packing(io::Error),
    #[error(
        "the archive unpacks to more than {SWELLING_MAX} times its size, or than {LAYER_BYTES_MAX} bytes"
    )]
    TooLarge,
    #[error("the archive has more than {CONTEXT_FILES_MAX} files")]
    TooMany,
    #[error("the archive's `{0}` leads out of it by `..`")]
    Outside(String),
    #[error("the archive has a name that no file can have: `{0}`")]
    BadName(String),
    #[error("the archive's `{path}` is below `{above}`, which is not a directory")]
    NotDirectory { path: String, above: String },
    #[error("the archive's `{0}` is a directory and a file")]
    FileOverDirectory(String),
    #[error(
        "the archive's `{path}` is a hard link to `{target}`, which is no file before it in the archive"
    )]
    BadLink { path: String, target: String },
    #[error(
        "the archive's entry {0} has more than {HEADER_BYTES_MAX} bytes of names and attributes"
    )]
    LongHeaders(u64),
    #[error("the archive's `{0}` is a sparse file, which is not read")]
    Sparse(String),
}

impl ArchiveError {
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Store(_) | Self::Io(_) => "check the disk",
            Self::Packing(_) => "pack it again, as with `xz -6`, or unpack it first",
            Self::TooLarge | Self::TooMany => {
                "take apart what belongs into the image, and copy that"
            }
            Self::Cut(_) => "fetch or pack it again",
            Self::LongHeaders(_) => {
                "list the archive with `tar -tf`, and pack it again without that entry"
            }
            Self::Sparse(_) => "pack it again without `--sparse`",
            _ => "pack it again, with names below one directory: `tar -C DIRECTORY -cf ARCHIVE .`",
        }
    }
}

/// Returns whether bytes begin an archive: a tar, or something packed.
pub(crate) fn is_archive(start: &[u8]) -> bool {
    Packing::of_start(start) != Packing::None || is_tar(start)
}

/// Returns whether bytes begin a tar: its first header has the right sum.
pub(crate) fn is_tar(start: &[u8]) -> bool {
    let Some(block) = start.first_chunk::<BLOCK_BYTES>() else {
        return false;
    };
    /// Where the sum itself stands, which counts as spaces.
    const SUM: std::ops::Range<usize> = 148..156;
    let header = Header::from_byte_slice(block);
    let counted = |(index, byte): (usize, &u8)| match SUM.contains(&index) {
        true => u32::from(b' '),
        false => u32::from(*byte),
    };
    let sum: u32 = block.iter().enumerate().map(counted).sum();
    header.cksum().is_ok_and(|stored| stored == sum)
}

/// Returns whether a file that begins so is a tar, plain or packed, as far as its beginning tells.
pub(crate) fn holds_tar(start: &[u8], rest: impl Read + Send) -> bool {
    let packing = Packing::of_start(start);
    if packing == Packing::None {
        return is_tar(start);
    }
    let mut block = [0; BLOCK_BYTES];
    let unpacked = packing.unpack(start.chain(rest).take(PACKED_START_BYTES_MAX));
    match unpacked.and_then(|mut reader| reader.read_exact(&mut block)) {
        Ok(()) => is_tar(&block),
        // Docker unpacks these; that it is not done here must not go unsaid.
        Err(error) => error.kind() == io::ErrorKind::Unsupported,
    }
}

/// An archive, unpacked.
pub(crate) struct Unpacked {
    /// The tar.
    file: File,
    /// Of the tar.
    digest: Digest,
    /// Of what was read.
    pub(crate) packed_digest: FileDigest,
}

/// Unpacks an archive to a file without a name.
pub(crate) fn unpack(
    mut reader: BufReader<impl Read + Send>,
    lease: &Lease<'_>,
) -> Result<Unpacked, ArchiveError> {
    let start = io::BufRead::fill_buf(&mut reader).map_err(ArchiveError::Io)?;
    let packing = Packing::of_start(start);
    let packed_bytes = AtomicU64::new(0);
    let mut packed = Counting::new(reader, &packed_bytes);
    let mut file = lease.scratch_file()?;
    let mut hasher = Hasher::new();
    {
        let mut tar = packing.unpack(&mut packed).map_err(ArchiveError::Damaged)?;
        copy_bounded(&mut tar, &mut file, &mut hasher, &packed_bytes)?;
    }
    // What follows the packed bytes belongs to the file's digest too.
    io::copy(&mut packed, &mut io::sink()).map_err(ArchiveError::Io)?;
    file.seek(SeekFrom::Start(0)).map_err(ArchiveError::Io)?;
    Ok(Unpacked {
        file,
        digest: hasher.finish(),
        packed_digest: packed.hasher.finish(),
    })
}

fn copy_bounded(
    tar: &mut dyn Read,
    file: &mut File,
    hasher: &mut Hasher,
    packed_bytes: &AtomicU64,
) -> Result<(), ArchiveError> {
    const CHUNK_BYTES: usize = 256 << 10;
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut count_bytes = 0;
    loop {
        let count = match tar.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                return Err(ArchiveError::Packing(error));
            }
            Err(error) => return Err(ArchiveError::Damaged(error)),
        };
        count_bytes += count as u64;
        let is_swollen = count_bytes > SWOLLEN_BYTES_MIN
            && count_bytes / SWELLING_MAX > packed_bytes.load(Ordering::Relaxed);
        if count_bytes > LAYER_BYTES_MAX || is_swollen {
            return Err(ArchiveError::TooLarge);
        }
        hasher.update(&buffer[..count]);
        file.write_all(&buffer[..count]).map_err(ArchiveError::Io)?;
    }
}

/// Hashes and counts what is read.
struct Counting<'count, R> {
    inner: R,
    hasher: FileHasher,
    count_bytes: &'count AtomicU64,
}

impl<'count, R> Counting<'count, R> {
    fn new(inner: R, count_bytes: &'count AtomicU64) -> Self {
        Self {
            inner,
            hasher: FileHasher::new(),
            count_bytes,
        }
    }
}

impl<R: Read> Read for Counting<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.count_bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl Unpacked {
    /// Reads what is in the archive.
    pub(crate) fn into_origin(self) -> Result<TreeOrigin, ArchiveError> {
        let mut tree = Tree::default();
        let end_bytes = self.file.metadata().map_err(ArchiveError::Io)?.len();
        let headers = HeaderBytes::new();
        let damaged = |error| match headers.exceeded() {
            Some(number) => ArchiveError::LongHeaders(number),
            None => ArchiveError::Damaged(error),
        };
        let mut archive = Archive::new(headers.bound(BufReader::new(&self.file)));
        let entries = archive.entries_with_seek().map_err(damaged)?;
        for (index, entry) in entries.enumerate() {
            if index >= CONTEXT_FILES_MAX {
                return Err(ArchiveError::TooMany);
            }
            let mut entry = entry.map_err(damaged)?;
            let is_cut = entry.raw_file_position().saturating_add(entry.size()) > end_bytes;
            // The size of a sparse file is not the archive's.
            if is_cut && !is_sparse(&mut entry).map_err(damaged)? {
                let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                return Err(ArchiveError::Cut(name));
            }
            add(&mut tree, &mut entry)?;
            headers.begin_headers();
        }
        let file = Arc::new(FrozenFile {
            file: self.file,
            digest: self.digest,
        });
        Ok(TreeOrigin::new(tree, vec![file]))
    }
}

/// Adds an entry to the tree, unless it is the top itself.
fn add<R: Read>(tree: &mut Tree, entry: &mut tar::Entry<'_, R>) -> Result<(), ArchiveError> {
    let kind = entry.header().entry_type();
    if matches!(kind, EntryType::XGlobalHeader) {
        return Ok(());
    }
    let path = clean(&entry.path_bytes())?;
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    let shown = || path.display().to_string();
    if is_sparse(entry).map_err(ArchiveError::Damaged)? {
        return Err(ArchiveError::Sparse(shown()));
    }
    let node = Node {
        kind: match kind {
            // Before ustar, a directory was a file whose name ends with a slash.
            EntryType::Regular if entry.path_bytes().ends_with(b"/") => NodeKind::Directory,
            EntryType::Directory => NodeKind::Directory,
            EntryType::Symlink => NodeKind::Symlink {
                target: link_of(entry),
            },
            EntryType::Link => return add_link(tree, &path, &link_of(entry)),
            EntryType::Fifo | EntryType::Char | EntryType::Block => NodeKind::Special,
            _ => NodeKind::File {
                layer_index: 0,
                offset_bytes: entry.raw_file_position(),
                size_bytes: entry.size(),
            },
        },
        metadata: metadata(entry.header()).map_err(ArchiveError::Damaged)?,
        attributes: attributes_of(entry).map_err(ArchiveError::Damaged)?,
    };
    check(tree, &path, &node)?;
    tree.insert(path, node);
    Ok(())
}

/// GNU tar manual, "Storing Sparse Files": an entry of a type of its own, or one with records of its own.
fn is_sparse<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<bool> {
    if entry.header().entry_type().is_gnu_sparse() {
        return Ok(true);
    }
    let Some(records) = entry.pax_extensions()? else {
        return Ok(false);
    };
    for record in records {
        if record?.key_bytes().starts_with(b"GNU.sparse.") {
            return Ok(true);
        }
    }
    Ok(false)
}

fn add_link(tree: &mut Tree, path: &Path, target: &Path) -> Result<(), ArchiveError> {
    let cleaned = clean(target.as_os_str().as_bytes())?;
    let found = tree.get(&cleaned).cloned();
    let file = found.filter(|node| !matches!(node.kind, NodeKind::Directory));
    let node = file.ok_or_else(|| ArchiveError::BadLink {
        path: path.display().to_string(),
        target: target.display().to_string(),
    })?;
    check(tree, path, &node)?;
    tree.insert_link(path.to_owned(), node);
    Ok(())
}

/// Checks where a node is to go. Nothing is put through a symbolic link or a file, and no directory becomes a file.
fn check(tree: &Tree, path: &Path, node: &Node) -> Result<(), ArchiveError> {
    let ancestors = path.ancestors().skip(1);
    let mut named = ancestors.filter(|above| !above.as_os_str().is_empty());
    let is_file = |above: &&Path| tree.get(above).is_some() && !tree.is_directory(above);
    if let Some(above) = named.find(is_file) {
        return Err(ArchiveError::NotDirectory {
            path: path.display().to_string(),
            above: above.display().to_string(),
        });
    }
    let is_directory = node.kind == NodeKind::Directory;
    if tree.get(path).is_some() && tree.is_directory(path) != is_directory {
        return Err(ArchiveError::FileOverDirectory(path.display().to_string()));
    }
    Ok(())
}

fn link_of<R: Read>(entry: &tar::Entry<'_, R>) -> PathBuf {
    let bytes = entry.link_name_bytes().unwrap_or_default();
    PathBuf::from(std::ffi::OsStr::from_bytes(&bytes))
}

fn metadata(header: &Header) -> io::Result<EntryMetadata> {
    let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    let fields = header.as_old();
    Ok(EntryMetadata {
        mode: or_zero(&fields.mode, header.mode())? & 0o7777,
        uid: number(or_zero(&fields.uid, header.uid())?),
        gid: number(or_zero(&fields.gid, header.gid())?),
        mtime_s: or_zero(&fields.mtime, header.mtime())?,
    })
}

/// A field without digits is zero. Go: `archive/tar` parseNumeric().
fn or_zero<T: Default>(field: &[u8], value: io::Result<T>) -> io::Result<T> {
    match field.iter().all(|byte| matches!(byte, 0 | b' ')) {
        true => Ok(T::default()),
        false => value,
    }
}

/// Returns a name relative to the top, without `.` and leading slashes.
pub(crate) fn clean(name: &[u8]) -> Result<PathBuf, ArchiveError> {
    let shown = || String::from_utf8_lossy(name).into_owned();
    if name.contains(&0) || name.len() > PATH_BYTES_MAX {
        return Err(ArchiveError::BadName(shown()));
    }
    let path = Path::new(std::ffi::OsStr::from_bytes(name));
    let mut cleaned = PathBuf::new();
    for (depth, part) in path.components().enumerate() {
        match part {
            Component::Normal(part) if part.len() > NAME_BYTES_MAX => {
                return Err(ArchiveError::BadName(shown()));
            }
            Component::Normal(part) => cleaned.push(part),
            Component::ParentDir => return Err(ArchiveError::Outside(shown())),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
        if depth > DIRECTORY_DEPTH_MAX {
            return Err(ArchiveError::BadName(shown()));
        }
    }
    Ok(cleaned)
}
