//! Moments as people type them: `10m` ago, `2026-01-31T12:00:00Z`, seconds since 1970.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::SyntaxError;

/// Units of Go's `time.ParseDuration`, in nanoseconds, longer words first.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// Parses a moment. Docker: `api/types/time`, `GetTimestamp()`: a Go duration is counted back from now; a date or a time
/// without a zone is of the local one.
pub fn parse_time(text: &str) -> Result<Timestamp, SyntaxError> {
    let now = Timestamp::now();
    let ago = || parse_duration(text).and_then(|duration| now.checked_sub(duration).ok());
    unix_time(text)
        .or_else(|| text.parse::<Timestamp>().ok())
        .or_else(|| local_time(text))
        .or_else(ago)
        .ok_or_else(|| {
            SyntaxError::new(
                format!("invalid time `{text}`"),
                "write a duration (`10m`, `1h30m`), a time (`2026-01-31T12:00:00Z`), a date, or seconds since 1970",
            )
        })
}

/// Parses a Go duration, such as `1h30m` or `1.5s`. Go: `time.ParseDuration()`.
pub fn parse_duration(text: &str) -> Option<SignedDuration> {
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds = 0.0;
    while !rest.is_empty() && rest != "0" {
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let digits = rest.find(|c| !is_number(c))?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, factor) = UNITS.iter().find(|(unit, _)| {
            let after = rest.strip_prefix(unit);
            after.is_some_and(|after| after.is_empty() || after.starts_with(is_number))
        })?;
        nanoseconds += number * factor;
        rest = &rest[unit.len()..];
        if rest == "0" {
            return None;
        }
    }
    // Go: about 292 years.
    if nanoseconds >= i64::MAX as f64 {
        return None;
    }
    let duration = SignedDuration::from_nanos(nanoseconds as i64);
    Some(if is_negative { -duration } else { duration })
}

/// `1136073600` or `1136073600.000000001`.
fn unix_time(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || !is_number(seconds) || !is_number(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanoseconds: i32 = format!("{fraction:0<9}").parse().ok()?;
    Timestamp::new(seconds.parse().ok()?, nanoseconds).ok()
}

fn local_time(text: &str) -> Option<Timestamp> {
    let (text, zone) = match text.strip_suffix('Z') {
        Some(text) => (text, TimeZone::UTC),
        None => (text, TimeZone::system()),
    };
    let moment = match text.split_once('T') {
        None => text.parse::<Date>().ok()?.at(0, 0, 0, 0),
        // Docker takes a time that ends after its hour.
        Some((_, hour)) if hour.len() == 2 => format!("{text}:00").parse::<DateTime>().ok()?,
        Some(_) => text.parse::<DateTime>().ok()?,
    };
    Some(moment.to_zoned(zone).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        for (text, milliseconds) in [
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1500),
            ("300ms", 300),
            ("-1s", -1000),
            ("0", 0),
            ("1h0m", 3_600_000),
        ] {
            let parsed = parse_duration(text).expect(text);
            assert_eq!(parsed.as_millis(), milliseconds, "{text}");
        }
        for text in [
            "", "m", "10", "1d", "1.2.3s", "s1", "1h0", "-", "9999999h", "1 s",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn moments_are_dockers() {
        let expected = Timestamp::from_second(1_706_702_400).expect("in range");
        for text in [
            "2024-01-31T12:00:00Z",
            "2024-01-31T13:00:00+01:00",
            "2024-01-31T12:00:00.000000000Z",
            "2024-01-31T12:00Z",
            "1706702400",
            "1706702400.0",
        ] {
            assert_eq!(parse_time(text), Ok(expected), "{text}");
        }
        let midnight = Timestamp::from_second(1_706_659_200).expect("in range");
        assert_eq!(parse_time("2024-01-31Z"), Ok(midnight));
        for text in [
            "2024-01-31",
            "2024-01-31T12",
            "2024-01-31T12:00:00",
            "10m",
            "1.5",
        ] {
            assert!(parse_time(text).is_ok(), "{text}");
        }
        for text in ["", "yesterday", "2024-13-01", "1.2.3", "12:00"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_is_counted_back_from_now() {
        let then = parse_time("1h").expect("valid");
        let seconds = Timestamp::now().as_second() - then.as_second();
        assert!((3600..3660).contains(&seconds), "{seconds}");
    }
}
