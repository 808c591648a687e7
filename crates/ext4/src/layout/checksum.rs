//! CRC-32C and CRC-16 as the disk format uses them: without the final inversion, so that sums go on from a seed.
//!
//! Spec: ext4 disk layout, "Checksums". CRC-32C: RFC 3720, 12.1 (Castagnoli). CRC-16: polynomial 0x8005, reflected.

/// Castagnoli's polynomial, reflected.
const CRC32C_POLYNOMIAL: u32 = 0x82f6_3b78;
/// CRC-32 of IEEE 802.3, reflected: what old journals sum with.
const CRC32_POLYNOMIAL: u32 = 0xedb8_8320;
/// CRC-16 of `gdt_csum`, reflected.
const CRC16_POLYNOMIAL: u16 = 0xa001;

/// Bytes that one step of CRC-32C takes.
const SLICES: usize = 8;

static CRC32C_TABLES: [[u32; 256]; SLICES] = sliced_tables(CRC32C_POLYNOMIAL);
static CRC16_TABLE: [u16; 256] = crc16_table();

/// `TABLES[n][byte]`: what `byte` followed by `n` zero bytes does to a sum.
const fn sliced_tables(polynomial: u32) -> [[u32; 256]; SLICES] {
    let mut tables = [[0; 256]; SLICES];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = (sum >> 1) ^ (polynomial & (sum & 1).wrapping_neg());
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    let mut slice = 1;
    while slice < SLICES {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[slice - 1][byte];
            tables[slice][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        slice += 1;
    }
    tables
}

const fn crc16_table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u16;
        let mut bit = 0;
        while bit < 8 {
            sum = (sum >> 1) ^ (CRC16_POLYNOMIAL & (sum & 1).wrapping_neg());
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
}

/// Continues a CRC-32C from `sum` over `bytes`; a sum begins with `!0`.
#[must_use]
pub fn crc32c(mut sum: u32, bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<SLICES>();
    for word in words {
        let word = u64::from_le_bytes(*word) ^ u64::from(sum);
        sum = (0..SLICES).fold(0, |sum, index| {
            let byte = (word >> (8 * index)) & 0xff;
            sum ^ CRC32C_TABLES[SLICES - 1 - index][byte as usize]
        });
    }
    rest.iter().fold(sum, |sum, byte| {
        (sum >> 8) ^ CRC32C_TABLES[0][usize::from(sum as u8 ^ byte)]
    })
}

/// Continues a CRC-16 from `sum` over `bytes`; a sum begins with `!0`.
#[must_use]
pub fn crc16(sum: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(sum, |sum, byte| {
        (sum >> 8) ^ CRC16_TABLE[usize::from(sum as u8 ^ byte)]
    })
}

/// Continues the sum of journals with `COMPAT_CHECKSUM`: a CRC-32 that takes the highest bit first.
#[must_use]
pub fn crc32_be(sum: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(sum, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| {
            (sum << 1) ^ (CRC32_POLYNOMIAL.reverse_bits() & (sum >> 31).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_standards() {
        // The check values of the catalogues, which invert at the end.
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
        assert_eq!(crc16(!0, b"123456789"), 0x4b37);
        assert_eq!(!crc32_be(!0, b"123456789"), 0xfc89_1918);
    }

    #[test]
    fn a_sum_may_be_taken_in_pieces() {
        let bytes: Vec<u8> = (0..100).collect();
        for middle in 0..bytes.len() {
            let (first, second) = bytes.split_at(middle);
            assert_eq!(crc32c(crc32c(7, first), second), crc32c(7, &bytes));
        }
    }
}
