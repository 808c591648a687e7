//! Keys that leave a program and let it go on.

use clap::Args;

/// Bounds the keys of a sequence.
const KEYS_MAX: usize = 16;

/// `--detach-keys`, of commands that may be attached to a terminal.
#[derive(Clone, Debug, Args)]
pub(super) struct DetachOption {
    /// Keys that leave the program's terminal and let the program go on, such as `ctrl-x,x`
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q", value_parser = DetachKeys::parse)]
    pub(super) detach_keys: DetachKeys,
}

/// A sequence of keys that is looked for in what is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DetachKeys {
    keys: Vec<u8>,
    /// How many of them were typed last. They are held back until it is clear what they are.
    matched: usize,
}

/// What is to be passed on, and whether the sequence is complete: what was typed behind it goes nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sifted {
    pub(super) typed: Vec<u8>,
    pub(super) is_detached: bool,
}

impl DetachKeys {
    /// Parses a sequence as typed: characters and `ctrl-` with a letter or one of `@[\\]^_`, separated by commas.
    ///
    /// Docker: `moby/term`, `ToBytes()`.
    pub(super) fn parse(text: &str) -> Result<DetachKeys, String> {
        let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
        match keys {
            Some(keys) if keys.len() <= KEYS_MAX => Ok(DetachKeys { keys, matched: 0 }),
            Some(_) => Err(format!("more than {KEYS_MAX} keys")),
            None => Err("write keys such as `ctrl-p,ctrl-q` or `ctrl-x,x`".to_owned()),
        }
    }

    /// Looks for the sequence in what is typed next.
    pub(super) fn sift(&mut self, bytes: &[u8]) -> Sifted {
        let mut typed = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if self.keys[self.matched] != *byte {
                typed.extend_from_slice(&self.keys[..self.matched]);
                self.matched = 0;
            }
            if self.keys[self.matched] != *byte {
                typed.push(*byte);
                continue;
            }
            self.matched += 1;
            if self.matched == self.keys.len() {
                self.matched = 0;
                return Sifted {
                    typed,
                    is_detached: true,
                };
            }
        }
        Sifted {
            typed,
            is_detached: false,
        }
    }
}

/// The byte that a terminal sends for a key.
fn key(text: &str) -> Option<u8> {
    match (text.strip_prefix("ctrl-"), text.as_bytes()) {
        (Some(letter), _) => match letter.to_ascii_uppercase().as_bytes() {
            [letter @ b'@'..=b'_'] => Some(letter - b'@'),
            _ => None,
        },
        (None, [letter]) if letter.is_ascii_graphic() || *letter == b' ' => Some(*letter),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sifted(typed: &[u8], is_detached: bool) -> Sifted {
        Sifted {
            typed: typed.to_vec(),
            is_detached,
        }
    }

    #[test]
    fn a_sequence_is_found_however_it_comes_and_what_only_begins_as_it_is_passed_on() {
        let mut keys = DetachKeys::parse("ctrl-p,ctrl-q").expect("keys");
        assert_eq!(keys.sift(b"a\x10b"), sifted(b"a\x10b", false));
        assert_eq!(keys.sift(b"c\x10"), sifted(b"c", false));
        assert_eq!(keys.sift(b"\x10"), sifted(b"\x10", false));
        assert_eq!(keys.sift(b"\x11d"), sifted(b"", true));
        assert_eq!(keys.sift(b"\x10\x11"), sifted(b"", true));
    }

    #[test]
    fn keys_are_characters_and_control_characters() {
        let keys = |text| DetachKeys::parse(text).map(|keys| keys.keys);
        assert_eq!(keys("ctrl-@,ctrl-z,ctrl-[,x"), Ok(vec![0, 26, 27, b'x']));
        for wrong in ["", "ctrl-", "ctrl-1", "ab", "x,,y", "\u{e9}"] {
            assert!(keys(wrong).is_err(), "{wrong}");
        }
    }
}
