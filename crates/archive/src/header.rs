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
const MAJOR: Range<usize> = 329..337;
const MINOR: Range<usize> = 337..345;
const PREFIX: Range<usize> = 345..500;

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
fn number(raw: &[u8]) -> Option<u64> {
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
