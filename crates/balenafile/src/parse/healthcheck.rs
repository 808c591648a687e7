//! `HEALTHCHECK`.
//!
//! Spec: Dockerfile reference, "HEALTHCHECK"; BuildKit `instructions/parse.go` parseHealthcheck(); Go `time.ParseDuration`.

use std::time::Duration;

use super::{Arguments, shown};
use crate::command::{self, Command};
use crate::instruction::{Check, Healthcheck, Instruction};
use crate::line::Problem;

/// Docker's shortest interval.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

pub(crate) fn healthcheck(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    let (kind, rest) = arguments.rest.split_word();
    match kind.text.to_ascii_uppercase().as_str() {
        "NONE" if rest.text.is_empty() => Ok(Instruction::Healthcheck(Healthcheck::None)),
        "NONE" => Err(Problem::new(rest, "`HEALTHCHECK NONE` takes no arguments")
            .hint("remove them, or write `HEALTHCHECK CMD`")),
        "CMD" if rest.text.is_empty() => Err(arguments.missing()),
        "CMD" => {
            let command = command::parse(arguments.line, rest)?;
            check(arguments, command).map(Instruction::Healthcheck)
        }
        _ => Err(Problem::new(
            kind,
            format!("`{}` is neither `CMD` nor `NONE`", shown(kind.text)),
        )
        .hint("write `HEALTHCHECK CMD` before the command")),
    }
}

fn check(arguments: &Arguments<'_>, command: Command) -> Result<Healthcheck, Problem> {
    if command == Command::Exec(Vec::new()) {
        return Err(arguments.missing());
    }
    Ok(Healthcheck::Check(Check {
        command,
        interval: interval(arguments, "interval")?,
        timeout: interval(arguments, "timeout")?,
        start_period: interval(arguments, "start-period")?,
        start_interval: interval(arguments, "start-interval")?,
        retries: retries(arguments)?,
    }))
}

fn retries(arguments: &Arguments<'_>) -> Result<Option<u32>, Problem> {
    let Some(flag) = arguments.flag("retries") else {
        return Ok(None);
    };
    // Docker: an `int32`.
    let retries = flag.value.parse().ok();
    let retries = retries.filter(|retries| *retries <= i32::MAX.unsigned_abs());
    retries.map(Some).ok_or_else(|| {
        let message = format!("`{}` is not a number of retries", shown(&flag.value));
        Problem::new(flag.piece, message).hint("write a number: `--retries=3`")
    })
}

fn interval(arguments: &Arguments<'_>, name: &str) -> Result<Option<Duration>, Problem> {
    let Some(flag) = arguments.flag(name) else {
        return Ok(None);
    };
    let problem = |message: String| {
        Problem::new(flag.piece, message)
            .hint(format!("write a time with its unit: `--{name}=30s`"))
    };
    match duration(&flag.value) {
        None => Err(problem(format!(
            "`{}` is not a duration",
            shown(&flag.value)
        ))),
        Some(Duration::ZERO) => Ok(None),
        Some(interval) if interval < INTERVAL_MIN => Err(problem(format!(
            "`{}` is less than 1ms",
            shown(&flag.value)
        ))),
        Some(interval) => Ok(Some(interval)),
    }
}

/// Reads a duration such as `1h30m`, `1.5s` or `0`, up to Go's limit of about 292 years.
fn duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut total_ns) = (text, 0_u64);
    while !rest.is_empty() || total_ns == 0 && text.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|character: char| character.is_ascii_digit() || character == '.');
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        total_ns = total_ns.checked_add(nanoseconds(number, unit)?)?;
        rest = after;
    }
    (total_ns <= i64::MAX.unsigned_abs()).then(|| Duration::from_nanos(total_ns))
}

fn nanoseconds(number: &str, unit: &str) -> Option<u64> {
    let unit_ns: u64 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u64 = match whole {
        "" => 0,
        whole => whole.parse().ok()?,
    };
    // More digits than a nanosecond has say nothing.
    let (mut part, mut scale) = (0_u64, unit_ns);
    for digit in fraction.bytes().take(15) {
        scale /= 10;
        part += u64::from(digit - b'0') * scale;
    }
    whole.checked_mul(unit_ns)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("0s", 0),
            ("30s", 30_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5m", 30_000_000_000),
            ("1.s", 1_000_000_000),
            ("+2ms10us3ns", 2_010_003),
        ] {
            assert_eq!(
                duration(text),
                Some(Duration::from_nanos(nanoseconds)),
                "{text}"
            );
        }
        for text in [
            "", "s", "30", "-1s", "1d", ".s", "1..2s", "1 s", "9999999h", "1s2",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
