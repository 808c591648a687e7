//! Sizes in bytes: `64m`.

use super::SyntaxError;

/// Least memory that a container may be given. Docker: daemon/daemon_unix.go, `linuxMinMemory`.
const MEMORY_BYTES_MIN: u64 = 6 << 20;

/// Most digits behind the point of a size: more do not change it.
const FRACTION_DIGITS_MAX: usize = 9;

/// Parses the most memory of a container, as [`parse_bytes`] does; `None` for 0, which asks for no limit of its own.
pub fn parse_memory(text: &str) -> Result<Option<u64>, SyntaxError> {
    match parse_size(text)? {
        0 => Ok(None),
        bytes if bytes < MEMORY_BYTES_MIN => Err(SyntaxError::new(
            format!("minimum memory limit allowed is 6MB: `{text}`"),
            "give more, such as `64m`",
        )),
        bytes => Ok(Some(bytes)),
    }
}

/// Parses a positive number of bytes with an optional unit: `b`, `k`, `m`, `g` or `t`, powers of 1024.
/// Docker: `go-units`, `RAMInBytes`.
pub fn parse_bytes(text: &str) -> Result<u64, SyntaxError> {
    match parse_size(text)? {
        0 => Err(invalid(text)),
        bytes => Ok(bytes),
    }
}

/// Parses a number of bytes that may be 0.
fn parse_size(text: &str) -> Result<u64, SyntaxError> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &lower[digits.len()..] {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(invalid(text)),
    };
    scaled(digits, shift).ok_or_else(|| invalid(text))
}

fn invalid(text: &str) -> SyntaxError {
    SyntaxError::new(
        format!("invalid size `{text}`"),
        "write a positive number with a unit, such as `64m` or `1g`",
    )
}

/// Returns a number, which may have a fraction, times 2 to the power of `shift`, rounded down.
fn scaled(digits: &str, shift: u32) -> Option<u64> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if fraction.len() > FRACTION_DIGITS_MAX || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = u128::from(all.parse::<u64>().ok()?) << shift;
    let divisor = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    u64::try_from(number / divisor).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024() {
        for (text, bytes) in [
            ("1", 1),
            ("10b", 10),
            ("2k", 2048),
            ("64m", 64 << 20),
            ("1G", 1 << 30),
            ("1.5g", 3 << 29),
            (".5k", 512),
            ("1.9", 1),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn a_container_has_room_for_a_program() {
        assert_eq!(parse_memory("6m"), Ok(Some(6 << 20)));
        assert!(parse_memory("6143k").is_err());
    }

    #[test]
    fn no_memory_is_no_limit() {
        for text in ["0", "0b", "0m", "0.0g"] {
            assert_eq!(parse_memory(text), Ok(None), "{text}");
        }
        assert!(parse_memory("-1").is_err());
    }

    #[test]
    fn nothing_and_nonsense_are_refused() {
        for text in [
            "",
            "0",
            "m",
            "-1m",
            "+1",
            "1x",
            "99999999999t",
            "1 m",
            ".",
            "0.1",
            "1..5",
            "1.5.5",
            "1,5g",
            "1.0000000001",
        ] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
