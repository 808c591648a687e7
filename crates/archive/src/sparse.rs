//! Files with holes, of which a tar has only the data.
//!
//! GNU tar: "Storing Sparse Files": its own format (a type of entry), and those of pax headers, versions 0.0, 0.1 and 1.0.

use crate::ArchiveError;
use crate::header::number;
use crate::pax::decimal;

/// Segments that a file may have: bounds what one entry can make us hold.
pub(crate) const SEGMENTS_MAX: usize = 1 << 20;
/// Bytes of a segment in GNU's own format: two numbers.
const SEGMENT_BYTES: usize = 24;

/// A part of a file that has data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Bytes before it in the file.
    pub offset: u64,
    /// Bytes, maybe none at the file's end.
    pub length: u64,
}

/// What a stream says of a file's content before it comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Bytes of the file, with its holes.
    pub size: u64,
    /// Where there is data, from the file's begin to its end without overlaps; `None`: everywhere.
    pub segments: Option<Vec<Segment>>,
}

impl Content {
    /// Content without holes.
    pub fn whole(size: u64) -> Content {
        Content {
            size,
            segments: None,
        }
    }

    /// Returns the bytes of data.
    pub fn data_bytes(&self) -> u64 {
        match &self.segments {
            None => self.size,
            Some(segments) => segments.iter().map(|it| it.length).sum(),
        }
    }

    /// Takes segments, if they are in order, inside the file, and have as many bytes as the tar does.
    pub(crate) fn sparse(
        size: u64,
        segments: Vec<Segment>,
        stored: u64,
    ) -> Result<Content, ArchiveError> {
        let mut end = 0_u64;
        let mut data = 0_u64;
        for segment in &segments {
            let next = segment.offset.checked_add(segment.length);
            let next = next.filter(|next| segment.offset >= end && *next <= size);
            end = next.ok_or(ArchiveError::Corrupt("sparse map"))?;
            data += segment.length;
        }
        match data == stored {
            true => Ok(Content {
                size,
                segments: Some(segments),
            }),
            false => Err(ArchiveError::Corrupt("sparse map")),
        }
    }
}

/// Where a sparse file's map is.
pub(crate) enum MapPlace {
    /// Read by now.
    Known(Vec<Segment>),
    /// In front of the content. Version 1.0.
    InContent,
}

/// What pax headers say of a sparse file.
#[derive(Default)]
pub(crate) struct SparseKeys {
    pub(crate) name: Option<Vec<u8>>,
    size: Option<u64>,
    has_major: bool,
    segments: Vec<Segment>,
    /// The offset of the next segment, in version 0.0.
    offset: Option<u64>,
}

impl SparseKeys {
    /// Takes a record whose key is `GNU.sparse.` and `key`.
    pub(crate) fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), ArchiveError> {
        let number = || decimal(value).ok_or(ArchiveError::Corrupt("pax value"));
        match key {
            b"major" if number()? > 1 => return Err(ArchiveError::Unsupported('S')),
            b"major" => self.has_major = number()? == 1,
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.size = Some(number()?),
            b"offset" => self.offset = Some(number()?),
            b"numbytes" => {
                let offset = self.offset.take();
                let offset = offset.ok_or(ArchiveError::Corrupt("sparse map"))?;
                let length = number()?;
                self.push(Segment { offset, length })?;
            }
            b"map" => {
                let numbers = value.split(|byte| *byte == b',').map(decimal);
                let numbers: Option<Vec<u64>> = numbers.collect();
                let numbers = numbers.ok_or(ArchiveError::Corrupt("sparse map"))?;
                self.segments = pairs(&numbers)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, segment: Segment) -> Result<(), ArchiveError> {
        if self.segments.len() >= SEGMENTS_MAX {
            return Err(ArchiveError::Corrupt("a sparse map without an end"));
        }
        self.segments.push(segment);
        Ok(())
    }

    /// Returns the size of the file and where its map is.
    pub(crate) fn finish(self) -> Result<(u64, MapPlace), ArchiveError> {
        let size = self.size.ok_or(ArchiveError::Corrupt("sparse map"))?;
        match self.has_major {
            true => Ok((size, MapPlace::InContent)),
            false => Ok((size, MapPlace::Known(self.segments))),
        }
    }
}

fn pairs(numbers: &[u64]) -> Result<Vec<Segment>, ArchiveError> {
    let (pairs, rest) = numbers.as_chunks::<2>();
    let segments = pairs
        .iter()
        .map(|[offset, length]| Segment {
            offset: *offset,
            length: *length,
        })
        .collect();
    match rest.is_empty() && pairs.len() <= SEGMENTS_MAX {
        true => Ok(segments),
        false => Err(ArchiveError::Corrupt("sparse map")),
    }
}

/// Adds the segments of a header or block of GNU's own format; an empty place ends them.
pub(crate) fn read_segments(raw: &[u8], segments: &mut Vec<Segment>) -> Result<(), ArchiveError> {
    let (entries, _) = raw.as_chunks::<SEGMENT_BYTES>();
    for entry in entries.iter().take_while(|entry| entry[0] != 0) {
        let (offset, length) = entry.split_at(SEGMENT_BYTES / 2);
        let (Some(offset), Some(length)) = (number(offset), number(length)) else {
            return Err(ArchiveError::Corrupt("sparse map"));
        };
        segments.push(Segment { offset, length });
    }
    match segments.len() <= SEGMENTS_MAX {
        true => Ok(()),
        false => Err(ArchiveError::Corrupt("a sparse map without an end")),
    }
}

/// The numbers of a map in front of the content, each on a line: how many segments, then offset and length of each.
#[derive(Default)]
pub(crate) struct MapLines {
    numbers: Vec<u64>,
    /// Digits of the line that is not whole yet.
    line: Vec<u8>,
}

impl MapLines {
    /// Takes the next block; returns the segments if they end in it.
    pub(crate) fn take(&mut self, block: &[u8]) -> Result<Option<Vec<Segment>>, ArchiveError> {
        const DIGITS_MAX: usize = 20;
        for byte in block {
            if *byte != b'\n' {
                self.line.push(*byte);
                if self.line.len() > DIGITS_MAX {
                    return Err(ArchiveError::Corrupt("sparse map"));
                }
                continue;
            }
            let number = decimal(&self.line).ok_or(ArchiveError::Corrupt("sparse map"))?;
            self.line.clear();
            self.numbers.push(number);
            let count = self.numbers[0];
            if count > SEGMENTS_MAX as u64 {
                return Err(ArchiveError::Corrupt("a sparse map without an end"));
            }
            if self.numbers.len() as u64 == 2 * count + 1 {
                return pairs(&self.numbers[1..]).map(Some);
            }
        }
        Ok(None)
    }
}
