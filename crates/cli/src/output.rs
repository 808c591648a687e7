//! Tables, times and sizes as Docker prints them.

use std::fmt::Write as _;
use std::io::{self, Write};

use jiff::Timestamp;

/// Spaces between two columns. Docker: `tabwriter` with a padding of 3.
const PADDING: usize = 3;

/// Narrowest column, padding included. Docker: `tabwriter` with a minimal width of 10.
const COLUMN_MIN: usize = 10;

/// Lays out rows in columns as wide as their widest cell.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // A string takes everything.
            let width = (width + PADDING).max(COLUMN_MIN);
            let _ = write!(line, "{cell:<width$}");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Writes data to standard output. A reader that has gone is no error of ours.
pub(crate) fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes a line of data to standard output.
pub(crate) fn print_line(text: &str) -> io::Result<()> {
    print(&format!("{text}\n"))
}

/// Says on standard error what will not be as somebody may expect, and what to do about it.
pub(crate) fn print_warning(message: &str, hint: &str) {
    let text = format!("warning: {message}\nhint: {hint}\n");
    // Where nothing can be said, there is nobody to warn.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Says on standard error what somebody may want to know.
pub(crate) fn print_note(text: &str) {
    // Where nothing can be said, there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "note: {text}");
}

/// Returns how long ago a time was, in Docker's words. Docker: `go-units`, `HumanDuration()`.
pub(crate) fn ago(seconds: i64) -> String {
    let minutes = seconds / 60;
    let hours = (seconds as f64 / 3600.0).round() as i64;
    match (seconds, minutes, hours) {
        (..1, ..) => "Less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, ..60, _) => format!("{minutes} minutes"),
        (_, _, ..2) => "About an hour".to_owned(),
        (_, _, ..48) => format!("{hours} hours"),
        (_, _, ..336) => format!("{} days", hours / 24),
        (_, _, ..1440) => format!("{} weeks", hours / 24 / 7),
        (_, _, ..17520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

/// Returns the whole seconds since a time as RFC 3339; 0 for what is not one.
pub(crate) fn seconds_since(time: &str) -> i64 {
    let then = time.parse::<Timestamp>();
    then.map_or(0, |then| Timestamp::now().as_second() - then.as_second())
}

/// Returns a time as Docker's lists have it, in UTC. Go: `time.Time.String()`, without parts of a second.
pub(crate) fn listed_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string()
}

/// Returns a number of bytes with a decimal unit and three digits. Docker: `go-units`, `HumanSizeWithPrecision(3)`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = match value {
        value if unit == 0 || value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text}{}", UNITS[unit])
}

/// Returns a number of bytes with a binary unit and four digits. Docker: `go-units`, `BytesSize()`.
pub(crate) fn binary_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = match value {
        value if unit == 0 || value >= 1000.0 => 0,
        value if value >= 100.0 => 1,
        value if value >= 10.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows =
            [["A", "B"], ["a longer than this", "x"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            table(&rows),
            "A                    B\na longer than this   x\n"
        );
    }

    #[test]
    fn times_are_in_dockers_words() {
        let expected = [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (61, "About a minute"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (7200, "2 hours"),
            (86_400 * 3, "3 days"),
            (86_400 * 21, "3 weeks"),
            (86_400 * 90, "3 months"),
            (86_400 * 365 * 3, "3 years"),
        ];
        for (seconds, words) in expected {
            assert_eq!(ago(seconds), words, "{seconds}");
        }
    }

    #[test]
    fn binary_sizes_have_four_digits() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1536, "1.5KiB"),
            (2_039_000, "1.945MiB"),
            (64 << 20, "64MiB"),
            (8_224_000_000, "7.659GiB"),
        ] {
            assert_eq!(binary_size(bytes), text);
        }
    }

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1500, "1.5kB"),
            (12_345_678, "12.3MB"),
            (2_000_000_000, "2GB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
