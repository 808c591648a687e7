//! How layers and archives are packed: plain, gzip or zstd, told by their first bytes.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use zstd::stream::read::Decoder;

/// The first bytes of a packing, and what it is called.
struct Magic {
    bytes: &'static [u8],
    packing: Result<Compression, &'static str>,
}

/// Spec: RFC 1952 2.3.1; RFC 8878 3.1.1; the file formats of xz and bzip2.
const MAGICS: [Magic; 4] = [
    Magic {
        bytes: &[0x1f, 0x8b],
        packing: Ok(Compression::Gzip),
    },
    Magic {
        bytes: &[0x28, 0xb5, 0x2f, 0xfd],
        packing: Ok(Compression::Zstd),
    },
    Magic {
        bytes: &[0xfd, b'7', b'z', b'X', b'Z', 0],
        packing: Err("xz"),
    },
    Magic {
        bytes: b"BZh",
        packing: Err("bzip2"),
    },
];

/// How a tar is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// Tells a packing by its first bytes; the name of one that is not read is the error.
    pub fn of_start(start: &[u8]) -> Result<Self, &'static str> {
        let found = MAGICS.iter().find(|magic| start.starts_with(magic.bytes));
        found.map_or(Ok(Self::None), |magic| magic.packing)
    }

    /// Returns a reader of what is packed. Errors of the packing have no operating-system code, those of reading have.
    pub fn unpack<'reader>(
        self,
        reader: impl Read + Send + 'reader,
    ) -> io::Result<Box<dyn Read + Send + 'reader>> {
        Ok(match self {
            Self::None => Box::new(reader),
            Self::Gzip => Box::new(MultiGzDecoder::new(BufReader::new(reader))),
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
        assert_eq!(Compression::of_start(&zstd), Ok(Compression::Zstd));
        assert_eq!(
            Compression::of_start(&[0x1f, 0x8b, 8]),
            Ok(Compression::Gzip)
        );
        assert_eq!(Compression::of_start(b"oci-layout"), Ok(Compression::None));
        assert_eq!(Compression::of_start(b""), Ok(Compression::None));
        assert_eq!(Compression::of_start(b"BZh91AY"), Err("bzip2"));
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
