//! The time zone that `TZ` says in the form of POSIX, such as `CET-1CEST,M3.5.0,M10.5.0/3`.
//!
//! Anything else is UTC: names of zone files (`Europe/Berlin`) would need a database that
//! images of wasm programs do not carry. Source: POSIX 8.3 Other Environment Variables, `TZ`.

use std::cell::OnceCell;

use minke_kernel::Task;

use super::calendar::{Moment, days_of};

/// A process's zone, read when it is first needed.
#[derive(Default)]
pub(in crate::personality::emscripten) struct ZoneCell(OnceCell<Zone>);

impl ZoneCell {
    /// Returns the zone of a task's environment.
    pub(super) fn of(&self, task: &Task) -> &Zone {
        self.0.get_or_init(|| {
            let image = task.process.image();
            image
                .env
                .iter()
                .find_map(|entry| entry.strip_prefix(b"TZ="))
                .and_then(|value| std::str::from_utf8(value).ok())
                .and_then(Zone::parse)
                .unwrap_or_default()
        })
    }
}

/// Names and offsets of a zone, and when its summer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Zone {
    pub(super) standard: Period,
    pub(super) summer: Option<Summer>,
}

/// A part of the year with one offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) name: String,
    /// Seconds east of UTC.
    pub(super) offset: i32,
}

/// Summer time and the rules of its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summer {
    pub(super) period: Period,
    start: Rule,
    end: Rule,
}

/// A moment that comes every year, in local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    day: Day,
    second: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    /// `Jn`, 1 to 365: February 29 is never counted.
    WithoutLeap(i64),
    /// `n`, 0 to 365.
    OfYear(i64),
    /// `Mm.w.d`: weekday `d` of week `w` (5 is the last) of month `m`.
    Weekday { month: i64, week: i64, weekday: i64 },
}

impl Default for Zone {
    fn default() -> Zone {
        Zone {
            standard: Period {
                name: "UTC".to_owned(),
                offset: 0,
            },
            summer: None,
        }
    }
}

impl Zone {
    /// Reads POSIX's form; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Zone> {
        let mut rest = text;
        let name = take_name(&mut rest)?;
        let offset = -take_time(&mut rest)?;
        let standard = Period { name, offset };
        if rest.is_empty() {
            return Some(Zone {
                standard,
                summer: None,
            });
        }
        let name = take_name(&mut rest)?;
        let offset = match rest.chars().next() {
            None | Some(',') => offset + 3600,
            Some(_) => -take_time(&mut rest)?,
        };
        // The rules of the United States are what an omitted part means nearly everywhere.
        let rules = rest.strip_prefix(',').unwrap_or("M3.2.0,M11.1.0");
        let (start, end) = rules.split_once(',')?;
        let summer = Summer {
            period: Period { name, offset },
            start: Rule::parse(start)?,
            end: Rule::parse(end)?,
        };
        Some(Zone {
            standard,
            summer: Some(summer),
        })
    }

    /// Breaks seconds since 1970 down in this zone.
    pub(super) fn local(&self, seconds: i64) -> Moment {
        let is_summer = self.is_summer(seconds);
        let offset = self.offset(is_summer);
        Moment {
            summer: i32::from(is_summer),
            offset,
            ..Moment::from_seconds(seconds.saturating_add(i64::from(offset)))
        }
    }

    /// Returns seconds since 1970 of a local time; its `summer` chooses where the clock shows a time twice.
    pub(super) fn seconds(&self, local: &Moment) -> i64 {
        let plain = local.seconds();
        let as_standard = plain - i64::from(self.standard.offset);
        let as_summer = plain - i64::from(self.offset(true));
        let is_summer = match local.summer {
            0 => false,
            1.. => self.summer.is_some(),
            _ => self.is_summer(as_summer),
        };
        if is_summer { as_summer } else { as_standard }
    }

    fn offset(&self, is_summer: bool) -> i32 {
        match &self.summer {
            Some(summer) if is_summer => summer.period.offset,
            _ => self.standard.offset,
        }
    }

    fn is_summer(&self, seconds: i64) -> bool {
        let Some(summer) = &self.summer else {
            return false;
        };
        let local = seconds.saturating_add(i64::from(self.standard.offset));
        let year = i64::from(Moment::from_seconds(local).year) + 1900;
        let start = summer.start.seconds(year) - i64::from(self.standard.offset);
        let end = summer.end.seconds(year) - i64::from(summer.period.offset);
        if start < end {
            (start..end).contains(&seconds)
        } else {
            // In the south the summer lies across the new year.
            !(end..start).contains(&seconds)
        }
    }
}

impl Rule {
    fn parse(text: &str) -> Option<Rule> {
        /// 02:00:00, when a rule names no time.
        const DEFAULT_SECOND: i32 = 7200;
        let (day, time) = text.split_once('/').unwrap_or((text, ""));
        let mut rest = time;
        let second = if time.is_empty() {
            DEFAULT_SECOND
        } else {
            take_time(&mut rest)?
        };
        let day = if let Some(weekday) = day.strip_prefix('M') {
            let mut parts = weekday.splitn(3, '.').map(str::parse::<i64>);
            let mut next = |range: std::ops::RangeInclusive<i64>| {
                parts.next()?.ok().filter(|number| range.contains(number))
            };
            Day::Weekday {
                month: next(1..=12)?,
                week: next(1..=5)?,
                weekday: next(0..=6)?,
            }
        } else if let Some(number) = day.strip_prefix('J') {
            Day::WithoutLeap(number.parse().ok().filter(|n| (1..=365).contains(n))?)
        } else {
            Day::OfYear(day.parse().ok().filter(|n| (0..=365).contains(n))?)
        };
        rest.is_empty().then_some(Rule { day, second })
    }

    /// Returns the rule's moment in a year, as if local time were UTC.
    fn seconds(self, year: i64) -> i64 {
        let first = days_of(year, 1, 1);
        let is_leap = days_of(year, 3, 1) - days_of(year, 2, 28) == 2;
        let day = match self.day {
            Day::OfYear(number) => first + number,
            Day::WithoutLeap(number) => first + number - 1 + i64::from(is_leap && number >= 60),
            Day::Weekday {
                month,
                week,
                weekday,
            } => weekday_of(year, month, week, weekday),
        };
        day * 86_400 + i64::from(self.second)
    }
}

/// Returns the day number of a month's n-th weekday; the fifth is the last.
fn weekday_of(year: i64, month: i64, week: i64, weekday: i64) -> i64 {
    let first = days_of(year, month, 1);
    let next_month = if month == 12 {
        days_of(year + 1, 1, 1)
    } else {
        days_of(year, month + 1, 1)
    };
    let first_weekday = (first + 4).rem_euclid(7);
    let day = first + (weekday - first_weekday).rem_euclid(7) + (week - 1) * 7;
    if day >= next_month { day - 7 } else { day }
}

/// Takes a zone's name: letters, or anything in `<>`.
fn take_name(rest: &mut &str) -> Option<String> {
    let (name, after) = match rest.strip_prefix('<') {
        Some(quoted) => quoted.split_once('>')?,
        None => {
            let end = rest.find(|c: char| !c.is_ascii_alphabetic());
            rest.split_at(end.unwrap_or(rest.len()))
        }
    };
    *rest = after;
    (3..=16).contains(&name.len()).then(|| name.to_owned())
}

/// Takes `[+-]hh[:mm[:ss]]` as seconds.
fn take_time(rest: &mut &str) -> Option<i32> {
    /// Hours beyond a day are allowed in rules; a week is the most that makes sense.
    const HOURS_MAX: i32 = 167;
    let sign = if rest.starts_with('-') { -1 } else { 1 };
    let unsigned = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    let end = unsigned
        .find(|c: char| !c.is_ascii_digit() && c != ':')
        .unwrap_or(unsigned.len());
    let (time, after) = unsigned.split_at(end);
    *rest = after;
    let mut seconds = 0;
    for (part, unit) in time.split(':').zip([3600, 60, 1]) {
        let number: i32 = part.parse().ok().filter(|n| (0..=HOURS_MAX).contains(n))?;
        seconds += number * unit;
    }
    Some(sign * seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(zone: &str, seconds: i64) -> (i32, i32, i32, i32) {
        let moment = Zone::parse(zone).expect("a zone").local(seconds);
        (moment.day, moment.hour, moment.minute, moment.summer)
    }

    #[test]
    fn summer_starts_and_ends_by_the_rules() {
        let zone = "CET-1CEST,M3.5.0,M10.5.0/3";
        // 2024-03-31 01:00 UTC and 2024-10-27 01:00 UTC.
        assert_eq!(shown(zone, 1_711_846_799), (31, 1, 59, 0));
        assert_eq!(shown(zone, 1_711_846_800), (31, 3, 0, 1));
        assert_eq!(shown(zone, 1_729_990_799), (27, 2, 59, 1));
        assert_eq!(shown(zone, 1_729_990_800), (27, 2, 0, 0));
    }

    #[test]
    fn southern_summer_lies_across_the_new_year() {
        let zone = "NZST-12NZDT,M9.5.0,M4.1.0/3";
        // 2024-01-01 00:00 UTC and 2024-07-01 00:00 UTC.
        assert_eq!(shown(zone, 1_704_067_200), (1, 13, 0, 1));
        assert_eq!(shown(zone, 1_719_792_000), (1, 12, 0, 0));
    }

    #[test]
    fn local_times_come_back() {
        let zone = Zone::parse("EST5EDT").expect("a zone");
        for seconds in [0, 1_711_846_799, 1_719_792_000, 1_729_990_800] {
            assert_eq!(zone.seconds(&zone.local(seconds)), seconds);
        }
    }

    #[test]
    fn quoted_names_and_odd_offsets_are_read() {
        let zone = Zone::parse("<+0545>-5:45").expect("a zone");
        assert_eq!(
            (zone.standard.name.as_str(), zone.standard.offset),
            ("+0545", 20_700)
        );
    }

    #[test]
    fn other_texts_are_no_zones() {
        for text in [
            "",
            "Europe/Berlin",
            ":UTC",
            "A1",
            "ABC",
            "ABC99999999999",
            "CET-1CEST,M13.1.1,M1.1.1",
            "CET-1CEST,J0,J1",
            "<abc",
        ] {
            assert_eq!(Zone::parse(text), None, "{text}");
        }
    }
}
