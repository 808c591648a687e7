//! `strftime` and `strptime` in the C locale. POSIX: `strftime()`, `strptime()`.

use super::calendar::Moment;

const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// Length of an abbreviated name.
const SHORT_NAME_BYTES: usize = 3;
/// How deep a conversion may stand for others: `%c` contains `%T`, which contains `%H`.
const DEPTH_MAX: u32 = 4;

/// Formats a moment; stops when the text is longer than `bytes_max`.
pub(super) fn format(pattern: &str, moment: &Moment, zone: &str, bytes_max: usize) -> String {
    let mut text = String::new();
    expand(&mut text, pattern, moment, zone, bytes_max, DEPTH_MAX);
    text
}

fn expand(
    text: &mut String,
    pattern: &str,
    moment: &Moment,
    zone: &str,
    bytes_max: usize,
    depth: u32,
) {
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if text.len() > bytes_max {
            return;
        }
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let conversion = letters.find(|c| !matches!(c, 'E' | 'O' | '-' | '_' | '0' | '^' | '#'));
        let Some(conversion) = conversion else { return };
        match composed(conversion) {
            Some(inner) if depth > 0 => expand(text, inner, moment, zone, bytes_max, depth - 1),
            _ => text.push_str(&convert(conversion, moment, zone)),
        }
    }
}

/// Conversions that stand for others.
fn composed(conversion: char) -> Option<&'static str> {
    Some(match conversion {
        'c' => "%a %b %e %T %Y",
        'D' | 'x' => "%m/%d/%y",
        'F' => "%Y-%m-%d",
        'r' => "%I:%M:%S %p",
        'R' => "%H:%M",
        'T' | 'X' => "%H:%M:%S",
        _ => return None,
    })
}

fn convert(conversion: char, moment: &Moment, zone: &str) -> String {
    let year = i64::from(moment.year) + 1900;
    let hour12 = (moment.hour + 11).rem_euclid(12) + 1;
    match conversion {
        'a' => short(name(&WEEKDAYS, moment.weekday)),
        'A' => name(&WEEKDAYS, moment.weekday).to_owned(),
        'b' | 'h' => short(name(&MONTHS, moment.month)),
        'B' => name(&MONTHS, moment.month).to_owned(),
        'C' => format!("{:02}", year.div_euclid(100)),
        'd' => format!("{:02}", moment.day),
        'e' => format!("{:2}", moment.day),
        'g' => format!("{:02}", iso_week(moment).0.rem_euclid(100)),
        'G' => iso_week(moment).0.to_string(),
        'H' => format!("{:02}", moment.hour),
        'I' => format!("{hour12:02}"),
        'j' => format!("{:03}", i64::from(moment.yearday) + 1),
        'k' => format!("{:2}", moment.hour),
        'l' => format!("{hour12:2}"),
        'm' => format!("{:02}", i64::from(moment.month) + 1),
        'M' => format!("{:02}", moment.minute),
        'n' => "\n".to_owned(),
        'p' => if moment.hour < 12 { "AM" } else { "PM" }.to_owned(),
        'P' => if moment.hour < 12 { "am" } else { "pm" }.to_owned(),
        's' => (moment.seconds() - i64::from(moment.offset)).to_string(),
        'S' => format!("{:02}", moment.second),
        't' => "\t".to_owned(),
        'u' => ((moment.weekday + 6).rem_euclid(7) + 1).to_string(),
        'U' => format!("{:02}", week(moment, 0)),
        'V' => format!("{:02}", iso_week(moment).1),
        'w' => moment.weekday.to_string(),
        'W' => format!("{:02}", week(moment, 1)),
        'y' => format!("{:02}", year.rem_euclid(100)),
        'Y' => year.to_string(),
        'z' => offset(moment.offset),
        'Z' => zone.to_owned(),
        '%' => "%".to_owned(),
        other => format!("%{other}"),
    }
}

/// Returns a name by number; `?` for a number outside the list, as glibc does.
fn name(names: &'static [&'static str], index: i32) -> &'static str {
    usize::try_from(index)
        .ok()
        .and_then(|index| names.get(index).copied())
        .unwrap_or("?")
}

fn short(name: &str) -> String {
    name.chars().take(SHORT_NAME_BYTES).collect()
}

fn offset(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.unsigned_abs() / 60;
    format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
}

/// Returns the week of the year whose weeks start on a weekday (0: Sunday).
fn week(moment: &Moment, first_weekday: i64) -> i64 {
    let since = (i64::from(moment.weekday) - first_weekday).rem_euclid(7);
    (i64::from(moment.yearday) + 7 - since).div_euclid(7)
}

/// Returns year and week by ISO 8601: week 1 has the year's first Thursday.
fn iso_week(moment: &Moment) -> (i64, i64) {
    let year = i64::from(moment.year) + 1900;
    let yearday = i64::from(moment.yearday);
    let thursday = yearday + 3 - (i64::from(moment.weekday) + 6).rem_euclid(7);
    let days =
        |year: i64| super::calendar::days_of(year + 1, 1, 1) - super::calendar::days_of(year, 1, 1);
    if thursday < 0 {
        (year - 1, (thursday + days(year - 1)) / 7 + 1)
    } else if thursday >= days(year) {
        (year + 1, 1)
    } else {
        (year, thursday / 7 + 1)
    }
}

/// Reads a text by a pattern into a moment; returns how many bytes were read, or `None` when it does not match.
pub(super) fn parse(text: &str, pattern: &str, moment: &mut Moment) -> Option<usize> {
    let mut reader = Reader {
        rest: text,
        is_afternoon: None,
    };
    reader.read(pattern, moment, DEPTH_MAX)?;
    if let Some(is_afternoon) = reader.is_afternoon {
        moment.hour = moment.hour % 12 + if is_afternoon { 12 } else { 0 };
    }
    Some(text.len() - reader.rest.len())
}

struct Reader<'a> {
    rest: &'a str,
    is_afternoon: Option<bool>,
}

impl Reader<'_> {
    fn read(&mut self, pattern: &str, moment: &mut Moment, depth: u32) -> Option<()> {
        let mut letters = pattern.chars();
        while let Some(letter) = letters.next() {
            if letter.is_ascii_whitespace() {
                self.rest = self.rest.trim_ascii_start();
                continue;
            }
            if letter != '%' {
                self.rest = self.rest.strip_prefix(letter)?;
                continue;
            }
            let conversion = letters.find(|c| !matches!(c, 'E' | 'O' | '-' | '_' | '0'))?;
            match composed(conversion) {
                Some(inner) if depth > 0 => self.read(inner, moment, depth - 1)?,
                _ => self.convert(conversion, moment)?,
            }
        }
        Some(())
    }

    fn convert(&mut self, conversion: char, moment: &mut Moment) -> Option<()> {
        match conversion {
            'a' | 'A' => moment.weekday = self.name(&WEEKDAYS)?,
            'b' | 'B' | 'h' => moment.month = self.name(&MONTHS)?,
            'd' | 'e' => moment.day = self.number(2, 1..=31)?,
            'H' | 'k' => moment.hour = self.number(2, 0..=23)?,
            'I' | 'l' => moment.hour = self.number(2, 1..=12)?,
            'j' => moment.yearday = self.number(3, 1..=366)? - 1,
            'm' => moment.month = self.number(2, 1..=12)? - 1,
            'M' => moment.minute = self.number(2, 0..=59)?,
            'n' | 't' => self.rest = self.rest.trim_ascii_start(),
            'p' | 'P' => {
                let half = self.rest.get(..2)?.to_ascii_uppercase();
                self.is_afternoon = Some(match half.as_str() {
                    "AM" => false,
                    "PM" => true,
                    _ => return None,
                });
                self.rest = &self.rest[2..];
            }
            'S' => moment.second = self.number(2, 0..=60)?,
            'w' => moment.weekday = self.number(1, 0..=6)?,
            'u' => moment.weekday = self.number(1, 1..=7)? % 7,
            'U' | 'W' | 'V' => drop(self.number(2, 0..=53)?),
            'y' => {
                let year = self.number(2, 0..=99)?;
                // POSIX: 69 to 99 are of the 20th century.
                moment.year = if year < 69 { year + 100 } else { year };
            }
            'Y' => moment.year = self.number(4, 0..=9999)? - 1900,
            'Z' => {
                let end = self.rest.find(|c: char| !c.is_ascii_alphabetic());
                self.rest = &self.rest[end.unwrap_or(self.rest.len())..];
            }
            '%' => self.rest = self.rest.strip_prefix('%')?,
            _ => return None,
        }
        Some(())
    }

    fn number(&mut self, digits_max: usize, range: std::ops::RangeInclusive<i32>) -> Option<i32> {
        self.rest = self.rest.trim_ascii_start();
        let digits = self
            .rest
            .bytes()
            .take(digits_max)
            .take_while(u8::is_ascii_digit)
            .count();
        let number = self.rest[..digits].parse().ok()?;
        self.rest = &self.rest[digits..];
        range.contains(&number).then_some(number)
    }

    /// Reads a whole or a short name, whatever its case.
    fn name(&mut self, names: &[&str]) -> Option<i32> {
        for (index, name) in names.iter().enumerate() {
            for length in [name.len(), SHORT_NAME_BYTES] {
                let start = self.rest.get(..length);
                if start.is_some_and(|start| start.eq_ignore_ascii_case(&name[..length])) {
                    self.rest = &self.rest[length..];
                    return Some(index as i32);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What glibc's `strftime` gives for 2024-12-30 00:05:09 UTC, a Monday in week 1 of 2025.
    #[test]
    fn conversions_agree_with_glibc() {
        let moment = Moment::from_seconds(1_735_517_109);
        let check = |pattern: &str, expected: &str| {
            assert_eq!(format(pattern, &moment, "UTC", 1000), expected, "{pattern}");
        };
        check("%c", "Mon Dec 30 00:05:09 2024");
        check("%F %T %z %Z", "2024-12-30 00:05:09 +0000 UTC");
        check("%G-W%V-%u %g", "2025-W01-1 25");
        check("%j %U %W %w", "365 52 53 1");
        check("%I:%M %p|%l|%k|%e", "12:05 AM|12| 0|30");
        check("%a %A %b %B %y %C %%", "Mon Monday Dec December 24 20 %");
        check("%s %D %R", "1735517109 12/30/24 00:05");
    }

    #[test]
    fn wild_fields_are_printed_without_a_fault() {
        let wild = Moment {
            weekday: -7,
            month: 99,
            year: i32::MAX,
            yearday: i32::MIN,
            hour: -5,
            day: i32::MIN,
            offset: i32::MIN,
            ..Moment::default()
        };
        let all = "%a%A%b%B%C%d%e%g%G%H%I%j%k%l%m%M%p%S%u%U%V%w%W%y%Y%z%s";
        assert!(format(all, &wild, "", 10_000).starts_with('?'));
    }

    #[test]
    fn formatting_stops_when_there_is_no_more_room() {
        let text = format(&"%c".repeat(1000), &Moment::default(), "", 10);
        assert!(text.len() < 100);
    }

    #[test]
    fn texts_are_read_by_their_pattern() {
        let mut moment = Moment::default();
        let read = parse(
            "Mon, 30 Dec 2024 11:05:09 PM rest",
            "%a, %d %B %Y %I:%M:%S %p",
            &mut moment,
        );
        assert_eq!(read, Some(28));
        assert_eq!(
            (moment.year, moment.month, moment.day, moment.hour),
            (124, 11, 30, 23)
        );
        assert_eq!(parse("x", "%d", &mut moment), None);
        assert_eq!(parse("32", "%d", &mut moment), None);
    }
}
