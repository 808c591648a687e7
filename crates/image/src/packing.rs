//! How layers and archives are packed, told by their first bytes.

use std::io::{self, BufRead, BufReader, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use zstd::stream::read::Decoder;

use crate::xz::XzReader;

/// The first bytes of each packing. Spec: RFC 1952 2.3.1; RFC 8878 3.1.1; the file formats of xz and bzip2.
const MAGICS: [(&[u8], Packing); 4] = [
    (&[0x1f, 0x8b], Packing::Gzip),
    (&[0x28, 0xb5, 0x2f, 0xfd], Packing::Zstd),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], Packing::Xz),
    (b"BZh", Packing::Bzip2),
];

/// How a layer in the store is packed: what a manifest has a media type for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// How something that is read may be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    None,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Compression {
    /// Returns a reader of what is packed, as [`Packing::unpack`] does.
    pub fn unpack<'reader>(
        self,
        reader: impl Read + Send + 'reader,
    ) -> io::Result<Box<dyn Read + Send + 'reader>> {
        Packing::from(self).unpack(reader)
    }
}

impl From<Compression> for Packing {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::None,
            Compression::Gzip => Self::Gzip,
            Compression::Zstd => Self::Zstd,
        }
    }
}

impl Packing {
    /// Tells a packing by its first bytes.
    pub fn of_start(start: &[u8]) -> Self {
        let mut magics = MAGICS.iter();
        let found = magics.find(|(magic, _)| start.starts_with(magic));
        found.map_or(Self::None, |(_, packing)| *packing)
    }

    /// Returns the same for a layer in the store; none where layers are not packed so.
    pub fn compression(self) -> Option<Compression> {
        match self {
            Self::None => Some(Compression::None),
            Self::Gzip => Some(Compression::Gzip),
            Self::Zstd => Some(Compression::Zstd),
            Self::Bzip2 | Self::Xz => None,
        }
    }

    /// Returns a reader of what is packed. Errors of the packing have no operating-system code, those of reading have; one
    /// of the kind `Unsupported` asks for too much memory.
    pub fn unpack<'reader>(
        self,
        reader: impl Read + Send + 'reader,
    ) -> io::Result<Box<dyn Read + Send + 'reader>> {
        Ok(match self {
            Self::None => Box::new(reader),
            Self::Gzip => Box::new(MultiGzDecoder::new(BufReader::new(reader))),
            Self::Bzip2 => Box::new(MultiBzDecoder::new(BufReader::new(reader))),
            Self::Xz => Box::new(XzReader::new(BufReader::new(reader))),
            Self::Zstd => Box::new(Decoder::new(reader)?),
        })
    }
}

/// Looks at the first bytes of a reader without taking them.
pub(crate) fn peek(reader: &mut BufReader<impl Read>) -> io::Result<[u8; 6]> {
    let mut start = [0; 6];
    let buffered = reader.fill_buf()?;
    let count = buffered.len().min(start.len());
    start[..count].copy_from_slice(&buffered[..count]);
    Ok(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packing_is_told_by_its_first_bytes() {
        let zstd = zstd::encode_all(&b"content"[..], 1).expect("it is packed");
        assert_eq!(Packing::of_start(&zstd), Packing::Zstd);
        assert_eq!(Packing::of_start(&[0x1f, 0x8b, 8]), Packing::Gzip);
        assert_eq!(Packing::of_start(b"oci-layout"), Packing::None);
        assert_eq!(Packing::of_start(b""), Packing::None);
        assert_eq!(Packing::of_start(b"BZh91AY"), Packing::Bzip2);
        assert_eq!(Packing::of_start(b"\xfd7zXZ\0\0\x04"), Packing::Xz);
    }

    #[test]
    fn a_reader_keeps_what_was_looked_at() {
        let mut reader = BufReader::new(&b"abc"[..]);
        assert_eq!(peek(&mut reader).expect("it is read"), *b"abc\0\0\0");
        let mut rest = String::new();
        reader.read_to_string(&mut rest).expect("it is read");
        assert_eq!(rest, "abc");
    }
}
