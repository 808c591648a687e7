//! The fixed header of an entry. POSIX: pax, "ustar Interchange Format"; GNU tar: `tar.h`.

use std::ops::Range;

use crate::ArchiveError;

/// Header and padding unit of a tar.
pub(crate) const BLOCK_BYTES: usize = 512;

const NAME: Range<usize> = 0..100;
const MODE: Range<usize> = 100..108;
const UID: Range<usize> = 108..116;
const GID: Range<usize> = 116..124;
const SIZE: Range<usize> = 124..136;
const MODIFIED: Range<usize> = 136..148;
const CHECK_SUM: Range<usize> = 148..156;
const TYPE: usize = 156;
const LINK: Range<usize> = 157..257;
const MAGIC: Range<usize> = 257..263;
const VERSION: Range<usize> = 263..265;
const MAJOR: Range<usize> = 329..337;
const MINOR: Range<usize> = 337..345;
const PREFIX: Range<usize> = 345..500;
/// Of a sparse file in GNU's own format: the first segments, whether blocks with more of them follow, and the size with its holes.
const SEGMENTS: Range<usize> = 386..482;
const HAS_MORE_SEGMENTS: usize = 482;
const REAL_SIZE: Range<usize> = 483..495;

/// Set in the first byte of a number that is binary. GNU tar: "Large files".
const BINARY: u8 = 0x80;

/// A header whose sum is right.
pub(crate) struct Header<'a>(&'a [u8; BLOCK_BYTES]);

impl<'a> Header<'a> {
    /// Checks the header's sum, which counts its own field as spaces.
    pub(crate) fn new(block: &'a [u8; BLOCK_BYTES]) -> Result<Header<'a>, ArchiveError> {
        let counted = |(index, byte): (usize, &u8)| match CHECK_SUM.contains(&index) {
            true => u64::from(b' '),
            false => u64::from(*byte),
        };
        let sum: u64 = block.iter().enumerate().map(counted).sum();
        match octal(&block[CHECK_SUM]) {
            Some(stored) if stored == sum => Ok(Header(block)),
            _ => Err(ArchiveError::Corrupt("checksum")),
        }
    }

    /// Returns the letter of the entry's type; 0 is the oldest name of `0`.
    pub(crate) fn kind(&self) -> u8 {
        match self.0[TYPE] {
            0 => b'0',
            kind => kind,
        }
    }

    /// Returns the path, put together where it is in two parts.
    pub(crate) fn path(&self) -> Vec<u8> {
        let name = text(&self.0[NAME]);
        let prefix = text(&self.0[PREFIX]);
        // GNU has other things where POSIX has the prefix.
        if &self.0[MAGIC] != b"ustar\0" || prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }

    pub(crate) fn link(&self) -> &'a [u8] {
        text(&self.0[LINK])
    }

    /// Returns the bytes of content; a field that was left blank is an error, unlike the others.
    pub(crate) fn size(&self) -> Result<u64, ArchiveError> {
        number(&self.0[SIZE]).ok_or(ArchiveError::Corrupt("size"))
    }

    pub(crate) fn mode(&self) -> Result<u32, ArchiveError> {
        small(&self.0[MODE], "mode")
    }

    pub(crate) fn uid(&self) -> Result<u32, ArchiveError> {
        small(&self.0[UID], "uid")
    }

    pub(crate) fn gid(&self) -> Result<u32, ArchiveError> {
        small(&self.0[GID], "gid")
    }

    /// Returns the time of the last change in seconds since 1970.
    pub(crate) fn modified(&self) -> Result<i64, ArchiveError> {
        let seconds = field(&self.0[MODIFIED], "mtime")?;
        Ok(i64::try_from(seconds).unwrap_or(i64::MAX))
    }

    /// Returns major and minor number of a device; older tars have none.
    pub(crate) fn device(&self) -> Result<(u32, u32), ArchiveError> {
        if !self.0[MAGIC].starts_with(b"ustar") {
            return Ok((0, 0));
        }
        let part = |range| small(&self.0[range], "device number");
        Ok((part(MAJOR)?, part(MINOR)?))
    }
}

impl<'a> Header<'a> {
    /// Returns the segments that the header of a sparse file has, and whether blocks with more of them follow.
    pub(crate) fn segments(&self) -> (&'a [u8], bool) {
        (&self.0[SEGMENTS], self.0[HAS_MORE_SEGMENTS] != 0)
    }

    /// Returns the size of a sparse file with its holes.
    pub(crate) fn real_size(&self) -> Result<u64, ArchiveError> {
        number(&self.0[REAL_SIZE]).ok_or(ArchiveError::Corrupt("size"))
    }
}

/// The fields of a header to be written.
pub(crate) struct Fields<'a> {
    pub(crate) kind: u8,
    pub(crate) path: &'a [u8],
    pub(crate) link: &'a [u8],
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    pub(crate) seconds: i64,
    pub(crate) device: (u32, u32),
}

/// Bytes that a path or a link's target has room for.
pub(crate) const NAME_BYTES: usize = NAME.end - NAME.start;
/// Largest user or group.
pub(crate) const ID_MAX: u32 = 0o777_7777;
/// Largest size and time.
pub(crate) const NUMBER_MAX: u64 = 0o777_7777_7777;

impl Fields<'_> {
    /// Makes the header; what does not fit a field is cut off there, and has been said before by a pax header.
    pub(crate) fn block(&self) -> [u8; BLOCK_BYTES] {
        let mut block = [0; BLOCK_BYTES];
        put_text(&mut block[NAME], self.path);
        put_text(&mut block[LINK], self.link);
        block[TYPE] = self.kind;
        block[MAGIC].copy_from_slice(b"ustar\0");
        block[VERSION].copy_from_slice(b"00");
        let clamped = |number: u64, most: u64| if number > most { 0 } else { number };
        for (range, value) in [
            (MODE, u64::from(self.mode)),
            (UID, clamped(self.uid.into(), ID_MAX.into())),
            (GID, clamped(self.gid.into(), ID_MAX.into())),
            (SIZE, clamped(self.size, NUMBER_MAX)),
            (MODIFIED, clamped(self.seconds.max(0) as u64, NUMBER_MAX)),
            (MAJOR, self.device.0.into()),
            (MINOR, self.device.1.into()),
        ] {
            let digits = range.len() - 1;
            put_text(&mut block[range], format!("{value:0digits$o}").as_bytes());
        }
        block[CHECK_SUM].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[CHECK_SUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

fn put_text(field: &mut [u8], text: &[u8]) {
    let count = text.len().min(field.len());
    field[..count].copy_from_slice(&text[..count]);
}

/// Takes a field that holds a number of 32 bits.
fn small(raw: &[u8], what: &'static str) -> Result<u32, ArchiveError> {
    let number = field(raw, what)?;
    u32::try_from(number).map_err(|_| ArchiveError::Corrupt(what))
}

/// Takes a number field; one that was left blank is 0, as every other reader of tars has it.
fn field(raw: &[u8], what: &'static str) -> Result<u64, ArchiveError> {
    if raw.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Ok(0);
    }
    number(raw).ok_or(ArchiveError::Corrupt(what))
}

/// Reads a number in octal digits, or in binary, big end first.
pub(crate) fn number(raw: &[u8]) -> Option<u64> {
    let (first, rest) = raw.split_first()?;
    if first & BINARY == 0 {
        return octal(raw);
    }
    let first = u64::from(first & !BINARY);
    rest.iter().try_fold(first, |number, byte| {
        Some(number.checked_mul(256)? | u64::from(*byte))
    })
}

fn octal(raw: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text(raw)).ok()?;
    u64::from_str_radix(digits.trim(), 8).ok()
}

/// Cuts a field at its first zero.
fn text(raw: &[u8]) -> &[u8] {
    let end = raw.iter().position(|byte| *byte == 0);
    &raw[..end.unwrap_or(raw.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"\x80\0\0\0\0\0\x01\0"), Some(256));
        assert_eq!(number(b"\x81\0\0\0\0\0\0\0\0\0\0\0"), None);
        assert_eq!(
            number(b"\xff\xff\xff\xff\xff\xff\xff\xff"),
            Some(u64::MAX >> 1)
        );
        assert_eq!(number(b"12345678"), None);
        assert_eq!(number(b"-1\0"), None);
    }
}
