//! Letters as terminals know them: those of ASCII and of Latin 1. Linux: lib/ctype.c `_ctype`.

const TIMES: u8 = 0xd7;
const DIVIDED_BY: u8 = 0xf7;

/// How far a small letter is from its capital.
const CASE_DISTANCE: u8 = 0x20;

/// Whether a byte is a letter, a digit or `_`; first bytes of characters in UTF-8 are letters of Latin 1.
pub(super) fn is_of_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_digit() || is_upper(byte) || is_lower(byte)
}

fn is_upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || ((0xc0..=0xde).contains(&byte) && byte != TIMES)
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || (byte >= 0xdf && byte != DIVIDED_BY)
}

/// Returns a capital's small letter, other bytes as they are.
pub(super) fn lower(byte: u8) -> u8 {
    byte + CASE_DISTANCE * u8::from(is_upper(byte))
}

/// Returns a small letter's capital, other bytes as they are.
pub(super) fn upper(byte: u8) -> u8 {
    byte - CASE_DISTANCE * u8::from(is_lower(byte))
}
