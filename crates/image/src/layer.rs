//! Layers: writing a tar that equal inputs make equal, packed with zstd.
//!
//! The tar is plain ustar; a name, link target or number that does not fit goes to a pax record before it.
//! Owners are numbers only, so that no reader looks up a name of its own machine.
//!
//! Spec: OCI image-spec 1.1 layer.md; POSIX: pax, "ustar Interchange Format" and "pax Extended Header".

use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tar::{EntryType, Header};
use zstd::stream::write::Encoder;

use crate::fan::{Fan, Written};
use crate::store::at;
use crate::{Blob, Compression, Layer, Lease, StoreError, root};

/// Bounds an uncompressed layer, also one that is unpacked from a blob which says little about what is in it.
pub const LAYER_BYTES_MAX: u64 = 16 << 30;

/// Key prefix of extended attributes in pax records, as GNU tar writes them.
const EXTENDED_PREFIX: &str = "SCHILY.xattr.";

/// zstd's default: above it, programs shrink by a few per cent for several times the time.
const COMPRESSION_LEVEL: i32 = 3;

/// What a layer says about a file besides its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryMetadata {
    /// Permission bits with set-user-id, set-group-id and sticky.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime_s: u64,
}

/// Extended attributes of an entry: names, and values that may be any bytes.
pub type Attributes = std::collections::BTreeMap<String, Vec<u8>>;

/// Returns the extended attributes of an entry; none if it has none.
pub fn attributes_of<R: Read>(
    entry: &mut tar::Entry<'_, R>,
) -> io::Result<Option<Arc<Attributes>>> {
    let mut attributes = Attributes::new();
    for record in entry.pax_extensions()?.into_iter().flatten() {
        let record = record?;
        let key = record.key().ok();
        if let Some(name) = key.and_then(|key| key.strip_prefix(EXTENDED_PREFIX)) {
            attributes.insert(name.to_owned(), record.value_bytes().to_owned());
        }
    }
    Ok((!attributes.is_empty()).then(|| Arc::new(attributes)))
}

/// Returns pax records that hold extended attributes.
pub fn records_of(attributes: &Attributes) -> impl Iterator<Item = (String, &[u8])> {
    let attributes = attributes.iter();
    attributes.map(|(name, value)| (format!("{EXTENDED_PREFIX}{name}"), &value[..]))
}

/// A layer being written. Dropped unfinished, it leaves nothing.
///
/// Paths are relative to the root. The caller adds each directory before what is in it, and nothing twice.
pub struct LayerWriter<'lease, 'store> {
    lease: &'lease Lease<'store>,
    path: PathBuf,
    builder: tar::Builder<Fan>,
    /// Of the next entry.
    attributes: Attributes,
}

/// An entry that has neither content nor a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialFile {
    Fifo,
    CharacterDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
}

/// Starts to pack a layer.
pub(crate) fn encoder<W: io::Write>(writer: W) -> io::Result<Encoder<'static, W>> {
    Encoder::new(writer, COMPRESSION_LEVEL)
}

impl<'store> Lease<'store> {
    /// Starts a layer.
    pub fn layer_writer(&self) -> Result<LayerWriter<'_, 'store>, StoreError> {
        let (tar, blob) = (self.temporary()?, self.temporary()?);
        let path = tar.path().to_owned();
        let fan = Fan::of_layer(tar, blob).map_err(at("write", &path))?;
        Ok(LayerWriter {
            lease: self,
            path,
            builder: tar::Builder::new(fan),
            attributes: Attributes::new(),
        })
    }
}

impl LayerWriter<'_, '_> {
    /// Adds a directory.
    pub fn directory(&mut self, path: &Path, metadata: EntryMetadata) -> Result<(), StoreError> {
        let header = header(EntryType::Directory, metadata, 0);
        self.append(header, path, None, io::empty())
    }

    /// Adds a symbolic link. Its mode is always 0777, as on Linux.
    pub fn symlink(
        &mut self,
        path: &Path,
        target: &Path,
        metadata: EntryMetadata,
    ) -> Result<(), StoreError> {
        let header = header(
            EntryType::Symlink,
            EntryMetadata {
                mode: 0o777,
                ..metadata
            },
            0,
        );
        self.append(header, path, Some(target), io::empty())
    }

    /// Adds another name for a file that was added before, or is in a lower layer.
    pub fn hard_link(
        &mut self,
        path: &Path,
        target: &Path,
        metadata: EntryMetadata,
    ) -> Result<(), StoreError> {
        let header = header(EntryType::Link, metadata, 0);
        self.append(header, path, Some(target), io::empty())
    }

    /// Adds a pipe or a device.
    pub fn special(
        &mut self,
        path: &Path,
        special: SpecialFile,
        metadata: EntryMetadata,
    ) -> Result<(), StoreError> {
        let (kind, numbers) = match special {
            SpecialFile::Fifo => (EntryType::Fifo, None),
            SpecialFile::CharacterDevice { major, minor } => {
                (EntryType::Char, Some((major, minor)))
            }
            SpecialFile::BlockDevice { major, minor } => (EntryType::Block, Some((major, minor))),
        };
        let mut header = header(kind, metadata, 0);
        if let Some((major, minor)) = numbers {
            header
                .set_device_major(major)
                .and_then(|()| header.set_device_minor(minor))
                .map_err(at("write", path))?;
        }
        self.append(header, path, None, io::empty())
    }

    /// Gives the next entry extended attributes.
    pub fn attributes(&mut self, attributes: &Attributes) {
        self.attributes.clone_from(attributes);
    }

    /// Adds a file of exactly `size_bytes`.
    pub fn file(
        &mut self,
        path: &Path,
        metadata: EntryMetadata,
        size_bytes: u64,
        reader: impl Read,
    ) -> Result<(), StoreError> {
        if self
            .builder
            .get_ref()
            .count_bytes
            .saturating_add(size_bytes)
            > LAYER_BYTES_MAX
        {
            return Err(StoreError::TooLarge {
                what: "a layer".to_owned(),
                max: LAYER_BYTES_MAX,
                unit: "bytes",
            });
        }
        let mut content = reader.take(size_bytes);
        let header = header(EntryType::Regular, metadata, size_bytes);
        self.append(header, path, None, &mut content)?;
        match content.limit() {
            0 => Ok(()),
            _ => Err(at("read all of", path)(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    fn append(
        &mut self,
        mut header: Header,
        path: &Path,
        target: Option<&Path>,
        content: impl Read,
    ) -> Result<(), StoreError> {
        let attributes = std::mem::take(&mut self.attributes);
        let mut records: Vec<(&str, &[u8])> = Vec::new();
        let name = name_of(path, header.entry_type());
        if header.set_path(&name).is_err() {
            records.push(("path", name.as_os_str().as_bytes()));
        }
        if let Some(target) = target
            && header
                .set_link_name_literal(target.as_os_str().as_bytes())
                .is_err()
        {
            records.push(("linkpath", target.as_os_str().as_bytes()));
        }
        let attributes: Vec<(String, &[u8])> = records_of(&attributes).collect();
        records.extend(attributes.iter().map(|(key, value)| (key.as_str(), *value)));
        header.set_cksum();
        let appended = self
            .builder
            .append_pax_extensions(records)
            .and_then(|()| self.builder.append(&header, content));
        appended.map_err(at("write", &self.path))
    }

    /// Finishes the layer and puts it into the store, packed and as the tar that containers run from, held by the lease.
    pub fn finish(self) -> Result<Layer, StoreError> {
        let written = self.builder.into_inner().and_then(Fan::finish);
        let [tar, blob]: [Written; 2] = written
            .map_err(at("write", &self.path))?
            .try_into()
            .unwrap_or_else(|_| unreachable!("a layer is two files"));
        let packed = Blob {
            digest: blob.digest,
            size_bytes: blob.size_bytes,
        };
        self.lease.hold(&[packed.digest, tar.digest])?;
        if !self.lease.store.has_blob(&packed) {
            self.lease.place_blob(blob.file, &packed)?;
        }
        let layer = Layer {
            digest: packed.digest,
            diff_id: tar.digest,
            size_bytes: packed.size_bytes,
            compression: Compression::Zstd,
        };
        root::keep(self.lease, &layer, tar.file)?;
        self.lease.step_snapshots.note_made(layer.diff_id);
        Ok(layer)
    }
}

impl std::fmt::Debug for LayerWriter<'_, '_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("LayerWriter")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Directories end in a slash, as every tar writes them.
fn name_of(path: &Path, kind: EntryType) -> PathBuf {
    if kind == EntryType::Directory {
        path.join("")
    } else {
        path.to_owned()
    }
}

fn header(kind: EntryType, metadata: EntryMetadata, size_bytes: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(metadata.mode & 0o7777);
    header.set_uid(metadata.uid.into());
    header.set_gid(metadata.gid.into());
    header.set_mtime(metadata.mtime_s);
    header.set_size(size_bytes);
    header
}
