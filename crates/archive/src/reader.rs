//! A tar that comes as a stream: one entry after the other, content in pieces.

use std::io::{self, Read};

use crate::header::{BLOCK_BYTES, Header};
use crate::pax::Extensions;
use crate::sparse::{MapLines, MapPlace, SEGMENTS_MAX, Segment, read_segments};
use crate::{ArchiveError, Change, Content, Whiteouts, change, content_size, is_extension, letter};

/// Bytes of segments in a block of GNU's own sparse format, and the byte that says whether another block follows.
const SEGMENT_BLOCK_BYTES: usize = 504;

/// Why a stream could not be read on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{source} (at byte {offset} of the tar)")]
    Archive {
        /// Where the entry's header begins.
        offset: u64,
        source: ArchiveError,
    },
    #[error("cannot read the tar")]
    Io(#[source] io::Error),
}

/// The entries of a tar that is read once, from its begin to its end. A few kilobytes of it are held.
pub struct Reader<R> {
    source: R,
    whiteouts: Whiteouts,
    /// Bytes that were read.
    position: u64,
    /// Where the header begins that was read last.
    header_start: u64,
    /// What the headers in front of the next entry said.
    extensions: Extensions,
    /// Segments of the entry's content that were not read yet, the next one at the end, and how much of that was.
    segments: Vec<Segment>,
    /// Bytes behind the content, up to the next header.
    padding: u64,
}

impl<R: Read> Reader<R> {
    /// Begins with the first entry.
    pub fn new(source: R, whiteouts: Whiteouts) -> Reader<R> {
        Reader {
            source,
            whiteouts,
            position: 0,
            header_start: 0,
            extensions: Extensions::default(),
            segments: Vec::new(),
            padding: 0,
        }
    }

    /// Returns the stream, of which what lies behind the last entry was not read.
    pub fn into_source(self) -> R {
        self.source
    }

    /// Takes one entry, passing what was not read of the last one's content; `None` at the end.
    ///
    /// # Errors
    /// [`ReadError`]; then the stream is of no use any more.
    pub fn next_change(&mut self) -> Result<Option<Change<Content>>, ReadError> {
        self.skip_content()?;
        loop {
            self.header_start = self.position;
            let Some(block) = self.header_block()? else {
                return Ok(None);
            };
            let header = Header::new(&block).map_err(|error| self.archive(error))?;
            let size = content_size(&header, &self.extensions);
            let size = size.map_err(|error| self.archive(error))?;
            if !is_extension(&header) {
                let extensions = std::mem::take(&mut self.extensions);
                return self.begin(&header, extensions, size).map(Some);
            }
            let mut content = vec![0; size.next_multiple_of(BLOCK_BYTES as u64) as usize];
            self.fill(&mut content)?;
            let content = &content[..size as usize];
            let taken = self.extensions.take(header.kind(), content);
            taken.map_err(|error| self.archive(error))?;
        }
    }

    /// Reads the next piece of content of the last entry; returns where in the file it belongs and how many bytes it has, 0 at the end.
    ///
    /// A piece fills `buffer`, unless a hole or the end comes before.
    ///
    /// # Errors
    /// As [`Reader::next_change`].
    pub fn read_content(&mut self, buffer: &mut [u8]) -> Result<(u64, usize), ReadError> {
        let Some(segment) = self.segments.last_mut() else {
            return Ok((0, 0));
        };
        let offset = segment.offset;
        let count = segment.length.min(buffer.len() as u64);
        segment.offset += count;
        segment.length -= count;
        self.drop_empty_segments();
        self.fill(&mut buffer[..count as usize])?;
        Ok((offset, count as usize))
    }

    fn drop_empty_segments(&mut self) {
        while self.segments.last().is_some_and(|it| it.length == 0) {
            self.segments.pop();
        }
    }

    /// Passes all that lies before the next header.
    fn skip_content(&mut self) -> Result<(), ReadError> {
        let data: u64 = self.segments.iter().map(|it| it.length).sum();
        self.segments.clear();
        let left = data.saturating_add(std::mem::take(&mut self.padding));
        let skipped = io::copy(&mut self.source.by_ref().take(left), &mut io::sink());
        let skipped = skipped.map_err(ReadError::Io)?;
        self.position += skipped;
        // Some writers (umoci) leave out what fills the last block, as they leave out the end.
        match skipped >= data {
            true => Ok(()),
            false => Err(self.archive(ArchiveError::Truncated)),
        }
    }

    /// Makes the change of an entry, and gets ready to read its content.
    fn begin(
        &mut self,
        header: &Header<'_>,
        mut extensions: Extensions,
        stored: u64,
    ) -> Result<Change<Content>, ReadError> {
        let position = self.position;
        let content = self.content(header, &mut extensions, stored)?;
        let change = change(header, extensions, content.clone(), self.whiteouts);
        let change = change.map_err(|error| self.archive(error))?;
        let data = content.data_bytes();
        let whole = Segment {
            offset: 0,
            length: content.size,
        };
        self.segments = content.segments.unwrap_or_else(|| vec![whole]);
        self.segments.reverse();
        self.drop_empty_segments();
        let end = position
            .checked_add(stored)
            .and_then(|end| end.checked_next_multiple_of(BLOCK_BYTES as u64));
        let end = end.ok_or_else(|| self.archive(ArchiveError::Truncated))?;
        // The blocks of a map in GNU's own format are not counted as stored.
        let map_blocks = match header.kind() {
            letter::GNU_SPARSE => self.position - position,
            _ => 0,
        };
        let behind = end.saturating_add(map_blocks);
        self.padding = behind.saturating_sub(self.position.saturating_add(data));
        Ok(change)
    }

    /// Finds out where a file's content belongs.
    fn content(
        &mut self,
        header: &Header<'_>,
        extensions: &mut Extensions,
        stored: u64,
    ) -> Result<Content, ReadError> {
        let (size, segments) = if header.kind() == letter::GNU_SPARSE {
            let size = header.real_size().map_err(|error| self.archive(error))?;
            (size, self.header_segments(header)?)
        } else if let Some(mut keys) = extensions.sparse.take() {
            if let Some(name) = keys.name.take() {
                extensions.path = Some(name);
            }
            let (size, place) = keys.finish().map_err(|error| self.archive(error))?;
            match place {
                MapPlace::Known(segments) => (size, segments),
                MapPlace::InContent => {
                    let begin = self.position;
                    let segments = self.content_segments(stored)?;
                    let stored = stored - (self.position - begin);
                    let content = Content::sparse(size, segments, stored);
                    return content.map_err(|error| self.archive(error));
                }
            }
        } else {
            return Ok(Content::whole(stored));
        };
        Content::sparse(size, segments, stored).map_err(|error| self.archive(error))
    }

    /// Reads the map of GNU's own format, in the header and in blocks behind it.
    fn header_segments(&mut self, header: &Header<'_>) -> Result<Vec<Segment>, ReadError> {
        let mut segments = Vec::new();
        let (raw, mut has_more) = header.segments();
        let mut read = read_segments(raw, &mut segments);
        // Empty blocks count too.
        for _ in 0..SEGMENTS_MAX {
            read.map_err(|error| self.archive(error))?;
            if !has_more {
                return Ok(segments);
            }
            let mut block = [0; BLOCK_BYTES];
            self.fill(&mut block)?;
            read = read_segments(&block[..SEGMENT_BLOCK_BYTES], &mut segments);
            has_more = block[SEGMENT_BLOCK_BYTES] != 0;
        }
        Err(self.archive(ArchiveError::Corrupt("a sparse map without an end")))
    }

    /// Reads the map in front of the content.
    fn content_segments(&mut self, stored: u64) -> Result<Vec<Segment>, ReadError> {
        let mut lines = MapLines::default();
        for _ in 0..stored / BLOCK_BYTES as u64 {
            let mut block = [0; BLOCK_BYTES];
            self.fill(&mut block)?;
            let taken = lines.take(&block).map_err(|error| self.archive(error))?;
            if let Some(segments) = taken {
                return Ok(segments);
            }
        }
        Err(self.archive(ArchiveError::Truncated))
    }

    /// Reads a header; `None` at the end, which may come without its two empty blocks.
    fn header_block(&mut self) -> Result<Option<[u8; BLOCK_BYTES]>, ReadError> {
        let mut block = [0; BLOCK_BYTES];
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            match self.source.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(self.archive(ArchiveError::Truncated)),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ReadError::Io(error)),
            }
        }
        self.position += BLOCK_BYTES as u64;
        Ok((block != [0; BLOCK_BYTES]).then_some(block))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), ReadError> {
        match self.source.read_exact(buffer) {
            Ok(()) => {
                self.position += buffer.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.archive(ArchiveError::Truncated))
            }
            Err(error) => Err(ReadError::Io(error)),
        }
    }

    fn archive(&self, source: ArchiveError) -> ReadError {
        ReadError::Archive {
            offset: self.header_start,
            source,
        }
    }
}
