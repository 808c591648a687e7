//! Layers' tars: bytes in, changes of a tree out.
//!
//! The bytes come from strangers. Nothing is copied but names and attributes, each with a limit,
//! and every position is checked against the end of the bytes. Nothing is looked up and no path is judged here: whoever
//! makes the changes does that.
//!
//! [`Entries`] reads a tar that lies in memory, [`Reader`] one that comes as a stream, and [`Writer`] writes one.
//!
//! Spec: OCI image-spec 1.1 layer.md; POSIX: pax, "ustar Interchange Format".

use std::ops::Range;

use header::{BLOCK_BYTES, Header};
use pax::Extensions;

mod header;
mod pax;
mod reader;
mod sparse;
mod writer;

pub use reader::{ReadError, Reader};
pub use sparse::{Content, Segment};
pub use writer::Writer;

/// Longest extended header or GNU long name: bounds what one entry can bring beside its content.
const EXTENSION_BYTES_MAX: usize = 1 << 20;
/// Prefix of whiteouts. Spec: OCI image-spec 1.1 layer.md, "Whiteouts".
const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// Name that makes a directory opaque.
const OPAQUE_NAME: &[u8] = b".wh..wh..opq";

/// What was wrong with a tar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    #[error("the tar ends in the middle of an entry")]
    Truncated,
    #[error("corrupt tar header: {0}")]
    Corrupt(&'static str),
    #[error("unsupported tar entry of type `{0}`")]
    Unsupported(char),
}

/// What is done about names that are whiteouts in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whiteouts {
    /// They hide what lower layers have.
    Apply,
    /// They are names as any other: the tar is no layer.
    Keep,
}

/// What one entry of a layer asks for. `C` tells where a file's content is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<C = Range<usize>> {
    /// Something new, or in place of what lower layers have.
    Add(Member<C>),
    /// Lower layers' object at this path is hidden.
    WhiteOut(Vec<u8>),
    /// All that lower layers have in this directory is hidden.
    MakeOpaque(Vec<u8>),
}

/// Extended attributes: names, and values that may be any bytes.
pub type Extended = Vec<(Vec<u8>, Vec<u8>)>;

/// An object of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<C = Range<usize>> {
    /// As written, without slashes at the end; empty is the top.
    pub path: Vec<u8>,
    pub kind: MemberKind<C>,
    pub uid: u32,
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
    pub modified: Modified,
    pub extended: Extended,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberKind<C = Range<usize>> {
    /// Where in the tar the content lies, or what a stream says of it.
    Regular(C),
    Directory,
    /// What it says.
    Symlink(Vec<u8>),
    /// The path that it is another name of.
    HardLink(Vec<u8>),
    CharacterDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
}

/// A point in time, since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modified {
    pub seconds: i64,
    pub nanoseconds: u32,
}

/// The entries of a tar, one after the other.
pub struct Entries<'a> {
    bytes: &'a [u8],
    position: usize,
    /// Where the header begins that was read last.
    header_start: usize,
    /// What the headers in front of the next entry said.
    extensions: Extensions,
}

/// A type's letters. POSIX: `typeflag`; GNU tar: `tar.h`.
mod letter {
    pub(super) const REGULAR: u8 = b'0';
    pub(super) const LINK: u8 = b'1';
    pub(super) const SYMLINK: u8 = b'2';
    pub(super) const CHARACTER_DEVICE: u8 = b'3';
    pub(super) const BLOCK_DEVICE: u8 = b'4';
    pub(super) const DIRECTORY: u8 = b'5';
    pub(super) const FIFO: u8 = b'6';
    pub(super) const CONTIGUOUS: u8 = b'7';
    pub(super) const PAX: u8 = b'x';
    pub(super) const PAX_GLOBAL: u8 = b'g';
    pub(super) const GNU_LONG_NAME: u8 = b'L';
    pub(super) const GNU_LONG_LINK: u8 = b'K';
    pub(super) const GNU_SPARSE: u8 = b'S';
}

impl<'a> Entries<'a> {
    /// Begins with the first entry.
    pub fn new(bytes: &'a [u8]) -> Entries<'a> {
        Entries {
            bytes,
            position: 0,
            header_start: 0,
            extensions: Extensions::default(),
        }
    }

    /// Returns where the header begins that the last change, or error, came from.
    pub fn header_start(&self) -> usize {
        self.header_start
    }

    /// Takes one entry; `None` at the end.
    pub fn next_change(&mut self) -> Result<Option<Change>, ArchiveError> {
        self.header_start = self.position;
        while let Some(block) = self.block()? {
            self.header_start = self.position;
            let header = Header::new(block)?;
            let start = self.position + BLOCK_BYTES;
            let size = content_size(&header, &self.extensions)?;
            let size = usize::try_from(size).map_err(|_| ArchiveError::Truncated)?;
            let end = start.checked_add(size).ok_or(ArchiveError::Truncated)?;
            let content = self.bytes.get(start..end).ok_or(ArchiveError::Truncated)?;
            let change = match is_extension(&header) {
                true => self
                    .extensions
                    .take(header.kind(), content)
                    .map(|()| None)?,
                false => {
                    let extensions = std::mem::take(&mut self.extensions);
                    if header.kind() == letter::GNU_SPARSE || extensions.sparse.is_some() {
                        return Err(ArchiveError::Unsupported(char::from(letter::GNU_SPARSE)));
                    }
                    Some(change(&header, extensions, start..end, Whiteouts::Apply)?)
                }
            };
            self.position = end.next_multiple_of(BLOCK_BYTES);
            if change.is_some() {
                return Ok(change);
            }
        }
        Ok(None)
    }

    /// Returns the header's block; `None` at the end, which may come without its two empty blocks.
    fn block(&self) -> Result<Option<&'a [u8; BLOCK_BYTES]>, ArchiveError> {
        let rest = &self.bytes[self.position.min(self.bytes.len())..];
        match rest.first_chunk() {
            Some(block) if block.iter().all(|byte| *byte == 0) => Ok(None),
            Some(block) => Ok(Some(block)),
            None if rest.is_empty() => Ok(None),
            None => Err(ArchiveError::Truncated),
        }
    }
}

/// Whether a header says something of the next one only.
fn is_extension(header: &Header<'_>) -> bool {
    matches!(
        header.kind(),
        letter::PAX | letter::PAX_GLOBAL | letter::GNU_LONG_NAME | letter::GNU_LONG_LINK
    )
}

/// Returns the bytes that follow the header; links, devices and directories have none, whatever they say.
fn content_size(header: &Header<'_>, extensions: &Extensions) -> Result<u64, ArchiveError> {
    if (letter::LINK..=letter::FIFO).contains(&header.kind()) {
        return Ok(0);
    }
    let is_extension = is_extension(header);
    let size = match extensions.size {
        Some(size) if !is_extension => size,
        _ => header.size()?,
    };
    if is_extension && size > EXTENSION_BYTES_MAX as u64 {
        return Err(ArchiveError::Corrupt(
            "an extended header of more than 1 MiB",
        ));
    }
    Ok(size)
}

/// Returns what an entry asks for: to be added, or what its whiteout name says.
fn change<C>(
    header: &Header<'_>,
    extensions: Extensions,
    content: C,
    whiteouts: Whiteouts,
) -> Result<Change<C>, ArchiveError> {
    let path = extensions.path.clone().unwrap_or_else(|| header.path());
    if whiteouts == Whiteouts::Keep {
        return member(header, extensions, &path, content).map(Change::Add);
    }
    let trimmed = trim_slashes(&path);
    let (directory, name) = match trimmed.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&trimmed[..slash], &trimmed[slash + 1..]),
        None => (&trimmed[..0], trimmed),
    };
    if name == OPAQUE_NAME {
        return Ok(Change::MakeOpaque(directory.to_vec()));
    }
    if let Some(hidden) = name.strip_prefix(WHITEOUT_PREFIX) {
        if hidden.is_empty() || hidden == b"." || hidden == b".." {
            return Err(ArchiveError::Corrupt("whiteout of no name"));
        }
        return Ok(Change::WhiteOut([directory, b"/", hidden].concat()));
    }
    member(header, extensions, &path, content).map(Change::Add)
}

fn member<C>(
    header: &Header<'_>,
    extensions: Extensions,
    path: &[u8],
    content: C,
) -> Result<Member<C>, ArchiveError> {
    let from_header = || {
        Ok(Modified {
            seconds: header.modified()?,
            nanoseconds: 0,
        })
    };
    let link = extensions.link.unwrap_or_else(|| header.link().to_vec());
    Ok(Member {
        path: trim_slashes(path).to_vec(),
        kind: kind_of(header, path, link, content)?,
        mode: header.mode()? & 0o7777,
        uid: extensions.uid.map_or_else(|| header.uid(), Ok)?,
        gid: extensions.gid.map_or_else(|| header.gid(), Ok)?,
        modified: extensions.modified.map_or_else(from_header, Ok)?,
        extended: extensions.extended,
    })
}

fn kind_of<C>(
    header: &Header<'_>,
    path: &[u8],
    link: Vec<u8>,
    content: C,
) -> Result<MemberKind<C>, ArchiveError> {
    Ok(match header.kind() {
        // Before ustar, a directory was a file whose name ends with a slash.
        letter::REGULAR if path.ends_with(b"/") => MemberKind::Directory,
        letter::REGULAR | letter::CONTIGUOUS | letter::GNU_SPARSE => MemberKind::Regular(content),
        letter::DIRECTORY => MemberKind::Directory,
        letter::SYMLINK if link.is_empty() => return Err(ArchiveError::Corrupt("empty link")),
        letter::SYMLINK => MemberKind::Symlink(link),
        letter::LINK => MemberKind::HardLink(link),
        letter::CHARACTER_DEVICE => {
            let (major, minor) = device(header)?;
            MemberKind::CharacterDevice { major, minor }
        }
        letter::BLOCK_DEVICE => {
            let (major, minor) = device(header)?;
            MemberKind::BlockDevice { major, minor }
        }
        letter::FIFO => MemberKind::Fifo,
        other => return Err(ArchiveError::Unsupported(char::from(other))),
    })
}

fn device(header: &Header<'_>) -> Result<(u32, u32), ArchiveError> {
    let (major, minor) = header.device()?;
    // Linux: `MINORBITS`; larger numbers do not exist.
    if major >= 1 << 12 || minor >= 1 << 20 {
        return Err(ArchiveError::Corrupt("device number"));
    }
    Ok((major, minor))
}

fn trim_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/');
    &path[..end.map_or(0, |last| last + 1)]
}
