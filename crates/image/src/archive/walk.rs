//! The entries of a tar, one after the other, without trusting any of them.
//!
//! Names, link targets and sizes come from the header, or from the pax or GNU entries before it, which are read up to a limit.
//!
//! Spec: POSIX pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic Tar Format".

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use tar::{EntryType, Header, PaxExtensions};

use super::ArchiveError;

const BLOCK_BYTES: u64 = 512;
/// Bounds one pax or GNU entry that describes the next one: a path and a few times.
const DESCRIPTION_BYTES_MAX: u64 = 1 << 20;
/// Bounds the descriptions in a row, which writers make at most three of.
const DESCRIPTIONS_MAX: usize = 16;

/// What reads a tar and passes over what is not wanted.
pub(super) trait Source: Read {
    /// Passes over so many bytes; the end of the source may lie before that.
    fn skip(&mut self, bytes: u64) -> io::Result<()>;
}

/// A part of a file, read without moving the file's own offset, so that several threads can.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section<'file> {
    pub(super) file: &'file File,
    pub(super) offset: u64,
    pub(super) end: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let count = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

impl Source for Section<'_> {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        self.offset = self.offset.saturating_add(bytes);
        Ok(())
    }
}

/// Something that can only be read from its beginning to its end.
pub(super) struct Stream<R>(pub(super) R);

impl<R: Read> Read for Stream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Source for Stream<R> {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        io::copy(&mut self.0.by_ref().take(bytes), &mut io::sink()).map(drop)
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Symlink {
        target: String,
    },
    HardLink {
        target: String,
    },
    /// Anything else, with a word for it.
    Special(&'static str),
}

/// An entry's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// As the archive says it.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Where the content begins in the tar.
    pub(super) offset_bytes: u64,
    pub(super) size_bytes: u64,
}

/// Reads entries; the content of each is to be taken before the next one, as far as it is wanted.
pub(super) struct Walker<S> {
    source: S,
    position: u64,
    /// Where the next header is.
    next: u64,
}

/// What came before a header to complete it.
#[derive(Default)]
struct Description {
    name: Option<String>,
    target: Option<String>,
    size_bytes: Option<u64>,
}

impl<S: Source> Walker<S> {
    pub(super) fn new(source: S) -> Self {
        Self {
            source,
            position: 0,
            next: 0,
        }
    }

    /// Returns the next entry, none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, ArchiveError> {
        let mut description = Description::default();
        for _ in 0..DESCRIPTIONS_MAX {
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let kind = header.entry_type();
            let described =
                kind.is_pax_local_extensions() || kind.is_gnu_longname() || kind.is_gnu_longlink();
            if described {
                self.describe(&header, &mut description)?;
            } else if kind.is_pax_global_extensions() {
                self.start(number(header.entry_size())?);
            } else {
                let size = match description.size_bytes {
                    Some(size) => size,
                    None => number(header.entry_size())?,
                };
                self.start(size);
                return Ok(Some(entry(&header, &description, self.position, size)));
            }
        }
        Err(not_tar("too many headers describe one entry"))
    }

    /// Returns the content of the entry that was returned last.
    pub(super) fn content(&mut self, entry: &Entry) -> impl Read {
        self.position += entry.size_bytes;
        (&mut self.source).take(entry.size_bytes)
    }

    /// Notes that so many bytes of content follow.
    fn start(&mut self, size_bytes: u64) {
        let blocks = size_bytes.div_ceil(BLOCK_BYTES);
        self.next = self
            .position
            .saturating_add(blocks.saturating_mul(BLOCK_BYTES));
    }

    /// Reads the next header block; none at the end, which a cut archive may lack.
    fn header(&mut self) -> Result<Option<Header>, ArchiveError> {
        let read = |source| ArchiveError::Read { source };
        self.source
            .skip(self.next.saturating_sub(self.position))
            .map_err(read)?;
        self.position = self.next;
        let mut header = Header::new_old();
        let count = fill(&mut self.source, header.as_mut_bytes()).map_err(read)?;
        self.position += count as u64;
        if count == 0 || header.as_bytes().iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if count < header.as_bytes().len() || !is_checksum_right(&header) {
            return Err(not_tar(&format!(
                "there is no header at byte {}",
                self.next
            )));
        }
        Ok(Some(header))
    }

    fn describe(
        &mut self,
        header: &Header,
        description: &mut Description,
    ) -> Result<(), ArchiveError> {
        let size = number(header.entry_size())?;
        if size > DESCRIPTION_BYTES_MAX {
            return Err(not_tar("a name is too long"));
        }
        self.start(size);
        let mut bytes = Vec::new();
        let mut content = (&mut self.source).take(size);
        content
            .read_to_end(&mut bytes)
            .map_err(|source| ArchiveError::Read { source })?;
        self.position += bytes.len() as u64;
        match header.entry_type() {
            EntryType::GNULongName => description.name = Some(text(&bytes)),
            EntryType::GNULongLink => description.target = Some(text(&bytes)),
            _ => description.take_pax(&bytes)?,
        }
        Ok(())
    }
}

impl Description {
    fn take_pax(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        for record in PaxExtensions::new(bytes) {
            let record = record.map_err(|error| not_tar(&error.to_string()))?;
            match record.key_bytes() {
                b"path" => self.name = Some(text(record.value_bytes())),
                b"linkpath" => self.target = Some(text(record.value_bytes())),
                b"size" => {
                    let size = text(record.value_bytes()).parse();
                    self.size_bytes = Some(size.map_err(|_| not_tar("a size is no number"))?);
                }
                key if key.starts_with(b"GNU.sparse.") => {
                    return Err(not_tar("it has a sparse file"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn entry(header: &Header, description: &Description, offset_bytes: u64, size_bytes: u64) -> Entry {
    let target = || {
        let in_header = || header.link_name_bytes().map(|bytes| text(&bytes));
        description
            .target
            .clone()
            .or_else(in_header)
            .unwrap_or_default()
    };
    let kind = match header.entry_type() {
        EntryType::Regular | EntryType::Continuous => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink { target: target() },
        EntryType::Link => Kind::HardLink { target: target() },
        EntryType::Char | EntryType::Block => Kind::Special("a device"),
        EntryType::Fifo => Kind::Special("a pipe"),
        EntryType::GNUSparse => Kind::Special("a sparse file"),
        _ => Kind::Special("of an unknown kind"),
    };
    let in_header = || text(&header.path_bytes());
    Entry {
        name: description.name.clone().unwrap_or_else(in_header),
        kind,
        offset_bytes,
        size_bytes,
    }
}

/// Reads until the buffer is full or the source ends; returns how much there was.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// POSIX: pax, "ustar Interchange Format": the sum of all bytes, with spaces in the place of the sum itself.
fn is_checksum_right(header: &Header) -> bool {
    let bytes = header.as_bytes();
    let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
    let field: u32 = bytes[148..156].iter().map(|byte| u32::from(*byte)).sum();
    header
        .cksum()
        .is_ok_and(|said| said == sum - field + 8 * u32::from(b' '))
}

fn number(value: io::Result<u64>) -> Result<u64, ArchiveError> {
    value.map_err(|error| not_tar(&error.to_string()))
}

/// GNU entries end their text with a zero byte.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}

fn not_tar(reason: &str) -> ArchiveError {
    ArchiveError::NotTar {
        reason: reason.to_owned(),
    }
}
