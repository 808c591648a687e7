//! Reading the headers of one layer's tar.
//!
//! The bytes come from strangers. Nothing is copied but names and attributes, each with a limit,
//! and every position is checked against the end of the bytes.

use std::sync::Arc;

use minke_kernel::vfs::Timestamp;
use minke_kernel::vfs::device::device_number;
use minke_kernel::vfs::tree::{
    ByteRange, Bytes, TreeBuilder, TreeEntry, TreeError, TreeKind, TreeOwner,
};
use tar::{EntryType, Header};

/// Header and padding unit of a tar.
const BLOCK_BYTES: usize = 512;
/// Longest extended header or GNU long name: bounds what one entry can bring beside its content.
const EXTENSION_BYTES_MAX: usize = 1 << 20;
/// Prefix of whiteouts. Spec: OCI image-spec 1.1 layer.md, "Whiteouts".
const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// Name that makes a directory opaque.
const OPAQUE_NAME: &[u8] = b".wh..wh..opq";
/// Key prefix of extended attributes in pax headers.
const PAX_XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

/// What was wrong with a tar.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("the tar ends in the middle of an entry")]
    Truncated,
    #[error("corrupt tar header: {0}")]
    Corrupt(&'static str),
    #[error("unsupported tar entry of type `{0}`")]
    Unsupported(char),
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// Adds the entries of a tar to the tree; an error comes with the offset of its header.
pub(super) fn add_layer(
    builder: &mut TreeBuilder,
    bytes: &Arc<dyn Bytes>,
) -> Result<(), (usize, ArchiveError)> {
    let mut reader = Reader {
        bytes,
        position: 0,
        extensions: Extensions::default(),
    };
    loop {
        let offset = reader.position;
        match reader.next(builder) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => return Err((offset, error)),
        }
    }
}

struct Reader<'a> {
    bytes: &'a Arc<dyn Bytes>,
    position: usize,
    /// What the headers in front of the next entry said.
    extensions: Extensions,
}

/// What pax and GNU headers say of the entry that follows them.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    modified: Option<Timestamp>,
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Reader<'_> {
    /// Takes one entry; `false` at the end.
    fn next(&mut self, builder: &mut TreeBuilder) -> Result<bool, ArchiveError> {
        let all = self.bytes.as_slice();
        let rest = &all[self.position.min(all.len())..];
        let Some(block) = rest.first_chunk::<BLOCK_BYTES>() else {
            // A tar may end without its two empty blocks.
            return if rest.is_empty() {
                Ok(false)
            } else {
                Err(ArchiveError::Truncated)
            };
        };
        if block.iter().all(|byte| *byte == 0) {
            return Ok(false);
        }
        let header = Header::from_byte_slice(block);
        check_sum(block, header)?;
        let kind = header.entry_type();
        let size = self.content_size(header, kind)?;
        let start = self.position + BLOCK_BYTES;
        let end = start.checked_add(size).ok_or(ArchiveError::Truncated)?;
        let content = all.get(start..end).ok_or(ArchiveError::Truncated)?;
        match kind {
            EntryType::XHeader => read_pax(content, &mut self.extensions)?,
            EntryType::GNULongName => self.extensions.path = Some(long_name(content)?),
            EntryType::GNULongLink => self.extensions.link = Some(long_name(content)?),
            EntryType::XGlobalHeader => {}
            _ => {
                let extensions = std::mem::take(&mut self.extensions);
                let range = ByteRange::new(Arc::clone(self.bytes), start, size)
                    .ok_or(ArchiveError::Truncated)?;
                add_entry(builder, header, extensions, range)?;
            }
        }
        self.position = end.next_multiple_of(BLOCK_BYTES);
        Ok(true)
    }

    /// Returns the bytes that follow the header; links, devices and directories have none, whatever they say.
    fn content_size(&self, header: &Header, kind: EntryType) -> Result<usize, ArchiveError> {
        let is_header_only = matches!(
            kind,
            EntryType::Link
                | EntryType::Symlink
                | EntryType::Char
                | EntryType::Block
                | EntryType::Directory
                | EntryType::Fifo
        );
        if is_header_only {
            return Ok(0);
        }
        let size = match self.extensions.size {
            Some(size) if !is_extension(kind) => size,
            _ => header
                .entry_size()
                .map_err(|_| ArchiveError::Corrupt("size"))?,
        };
        let size = usize::try_from(size).map_err(|_| ArchiveError::Truncated)?;
        if is_extension(kind) && size > EXTENSION_BYTES_MAX {
            return Err(ArchiveError::Corrupt(
                "an extended header of more than 1 MiB",
            ));
        }
        Ok(size)
    }
}

fn is_extension(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::XHeader
            | EntryType::XGlobalHeader
            | EntryType::GNULongName
            | EntryType::GNULongLink
    )
}

/// Checks the header's sum, which counts its own field as spaces.
fn check_sum(block: &[u8; BLOCK_BYTES], header: &Header) -> Result<(), ArchiveError> {
    const SUM_FIELD: std::ops::Range<usize> = 148..156;
    let stored = header
        .cksum()
        .map_err(|_| ArchiveError::Corrupt("checksum"))?;
    let counted = |(index, byte): (usize, &u8)| {
        if SUM_FIELD.contains(&index) {
            u32::from(b' ')
        } else {
            u32::from(*byte)
        }
    };
    let sum: u32 = block.iter().enumerate().map(counted).sum();
    if sum == stored {
        Ok(())
    } else {
        Err(ArchiveError::Corrupt("checksum"))
    }
}

fn long_name(content: &[u8]) -> Result<Vec<u8>, ArchiveError> {
    let name = content.split(|byte| *byte == 0).next();
    name.map(<[u8]>::to_vec)
        .ok_or(ArchiveError::Corrupt("long name"))
}

/// Reads the records `LENGTH KEY=VALUE\n` of a pax header. POSIX: pax, "pax Extended Header".
fn read_pax(mut content: &[u8], extensions: &mut Extensions) -> Result<(), ArchiveError> {
    let bad = || ArchiveError::Corrupt("pax record");
    while !content.is_empty() {
        let space = content.iter().position(|byte| *byte == b' ');
        let space = space.ok_or_else(bad)?;
        let length = number(&content[..space]).ok_or_else(bad)?;
        let length = usize::try_from(length).map_err(|_| bad())?;
        let record = content.get(space + 1..length).ok_or_else(bad)?;
        let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
        let equals = record.iter().position(|byte| *byte == b'=');
        let (key, value) = record.split_at(equals.ok_or_else(bad)?);
        set_pax(key, &value[1..], extensions)?;
        content = &content[length..];
    }
    Ok(())
}

fn set_pax(key: &[u8], value: &[u8], extensions: &mut Extensions) -> Result<(), ArchiveError> {
    let bad = ArchiveError::Corrupt("pax value");
    let id = || number(value).and_then(|id| u32::try_from(id).ok());
    match key {
        b"path" => extensions.path = Some(value.to_vec()),
        b"linkpath" => extensions.link = Some(value.to_vec()),
        b"size" => extensions.size = Some(number(value).ok_or(bad)?),
        b"uid" => extensions.uid = Some(id().ok_or(bad)?),
        b"gid" => extensions.gid = Some(id().ok_or(bad)?),
        b"mtime" => extensions.modified = Some(pax_time(value).ok_or(bad)?),
        b"GNU.sparse.major" | b"GNU.sparse.map" => return Err(ArchiveError::Unsupported('S')),
        _ => {
            if let Some(name) = key.strip_prefix(PAX_XATTR_PREFIX) {
                extensions.attributes.push((name.to_vec(), value.to_vec()));
            }
        }
    }
    Ok(())
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Parses seconds with an optional fraction, which may be negative.
fn pax_time(text: &[u8]) -> Option<Timestamp> {
    const DIGITS: usize = 9;
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction.chars().take(DIGITS).collect();
    let nanoseconds: u32 = format!("{digits:0<DIGITS$}").parse().ok()?;
    if !whole.starts_with('-') || nanoseconds == 0 {
        return Some(Timestamp {
            seconds,
            nanoseconds,
        });
    }
    Some(Timestamp {
        seconds: seconds.checked_sub(1)?,
        nanoseconds: 1_000_000_000 - nanoseconds,
    })
}

/// Adds an entry, or does what its whiteout name says.
fn add_entry(
    builder: &mut TreeBuilder,
    header: &Header,
    extensions: Extensions,
    content: ByteRange,
) -> Result<(), ArchiveError> {
    let path = match extensions.path {
        Some(path) => path,
        None => header.path_bytes().into_owned(),
    };
    let trimmed = trim_slashes(&path);
    let (directory, name) = match trimmed.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&trimmed[..slash], &trimmed[slash + 1..]),
        None => (&trimmed[..0], trimmed),
    };
    if name == OPAQUE_NAME {
        return Ok(builder.make_opaque(directory)?);
    }
    if let Some(hidden) = name.strip_prefix(WHITEOUT_PREFIX) {
        if hidden.is_empty() || hidden == b"." || hidden == b".." {
            return Err(ArchiveError::Corrupt("whiteout of no name"));
        }
        let mut target = directory.to_vec();
        target.push(b'/');
        target.extend_from_slice(hidden);
        return Ok(builder.white_out(&target)?);
    }
    let owner = owner_of(header, extensions.modified, extensions.uid, extensions.gid)?;
    let link = match extensions.link {
        Some(link) => link,
        None => header
            .link_name_bytes()
            .map_or_else(Vec::new, std::borrow::Cow::into_owned),
    };
    let kind = kind_of(header, &path, &link, content)?;
    let entry = TreeEntry {
        owner,
        kind,
        extended: extensions.attributes,
    };
    Ok(builder.add(trimmed, entry)?)
}

fn trim_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/');
    &path[..end.map_or(0, |last| last + 1)]
}

fn owner_of(
    header: &Header,
    modified: Option<Timestamp>,
    uid: Option<u32>,
    gid: Option<u32>,
) -> Result<TreeOwner, ArchiveError> {
    let raw = header.as_old();
    let id = |raw: &[u8], value, what| {
        let value = field(raw, value, what)?;
        u32::try_from(value).map_err(|_| ArchiveError::Corrupt(what))
    };
    let seconds = || {
        let seconds = field(&raw.mtime, header.mtime(), "mtime")?;
        Ok::<_, ArchiveError>(Timestamp {
            seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
            nanoseconds: 0,
        })
    };
    let mode = id(&raw.mode, header.mode().map(u64::from), "mode")?;
    Ok(TreeOwner {
        uid: uid.map_or_else(|| id(&raw.uid, header.uid(), "uid"), Ok)?,
        gid: gid.map_or_else(|| id(&raw.gid, header.gid(), "gid"), Ok)?,
        mode: mode & 0o7777,
        modified: modified.map_or_else(seconds, Ok)?,
    })
}

/// Takes a number field; one that was left blank is 0, as every other reader of tars has it.
fn field(raw: &[u8], value: std::io::Result<u64>, what: &'static str) -> Result<u64, ArchiveError> {
    if raw.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Ok(0);
    }
    value.map_err(|_| ArchiveError::Corrupt(what))
}

fn kind_of<'a>(
    header: &Header,
    path: &[u8],
    link: &'a [u8],
    content: ByteRange,
) -> Result<TreeKind<'a>, ArchiveError> {
    Ok(match header.entry_type() {
        // Before ustar, a directory was a file whose name ends with a slash.
        EntryType::Regular if path.ends_with(b"/") => TreeKind::Directory,
        EntryType::Regular | EntryType::Continuous => TreeKind::Regular(content),
        EntryType::Directory => TreeKind::Directory,
        EntryType::Symlink if link.is_empty() => return Err(ArchiveError::Corrupt("empty link")),
        EntryType::Symlink => TreeKind::Symlink(link),
        EntryType::Link => TreeKind::HardLink(link),
        EntryType::Char => TreeKind::CharacterDevice(device_of(header)?),
        EntryType::Block => TreeKind::BlockDevice(device_of(header)?),
        EntryType::Fifo => TreeKind::Fifo,
        other => return Err(ArchiveError::Unsupported(char::from(other.as_byte()))),
    })
}

fn device_of(header: &Header) -> Result<u64, ArchiveError> {
    let part = |value: std::io::Result<Option<u32>>| {
        let value = value.map_err(|_| ArchiveError::Corrupt("device number"))?;
        Ok::<u32, ArchiveError>(value.unwrap_or(0))
    };
    let major = part(header.device_major())?;
    let minor = part(header.device_minor())?;
    // Linux: `MINORBITS`; larger numbers do not exist.
    if major >= 1 << 12 || minor >= 1 << 20 {
        return Err(ArchiveError::Corrupt("device number"));
    }
    Ok(device_number(major, minor))
}
