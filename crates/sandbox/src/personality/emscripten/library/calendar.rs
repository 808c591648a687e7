//! The Gregorian calendar: seconds since 1970 to broken-down time and back, without a time zone.

/// Bytes of `struct tm`: nine numbers, the offset from UTC, and the zone's name.
pub(super) const TM_BYTES: usize = 44;

const SECONDS_PER_DAY: i64 = 86_400;
/// Days of 400 years.
const DAYS_PER_ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;

/// A broken-down time, as C's `struct tm` has it: months from 0, years from 1900.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) second: i32,
    pub(super) minute: i32,
    pub(super) hour: i32,
    pub(super) day: i32,
    pub(super) month: i32,
    pub(super) year: i32,
    pub(super) weekday: i32,
    pub(super) yearday: i32,
    /// Above 0: summer time; 0: not; below: not known.
    pub(super) summer: i32,
    /// Seconds east of UTC.
    pub(super) offset: i32,
}

impl Moment {
    /// Breaks seconds since 1970 down. Years beyond what C can say are cut to it.
    pub(super) fn from_seconds(seconds: i64) -> Moment {
        let days = seconds.div_euclid(SECONDS_PER_DAY);
        let second = seconds.rem_euclid(SECONDS_PER_DAY) as i32;
        let (year, month, day) = civil_of(days);
        Moment {
            second: second % 60,
            minute: second / 60 % 60,
            hour: second / 3600,
            day: day as i32,
            month: month as i32 - 1,
            year: clamp(year - 1900),
            weekday: (days + 4).rem_euclid(7) as i32,
            yearday: (days - days_of(year, 1, 1)) as i32,
            summer: 0,
            offset: 0,
        }
    }

    /// Returns seconds since 1970; fields may lie outside their ranges. POSIX: `mktime()`.
    pub(super) fn seconds(&self) -> i64 {
        let months = i64::from(self.year) * 12 + i64::from(self.month);
        let year = 1900 + months.div_euclid(12);
        let month = months.rem_euclid(12) + 1;
        let days = days_of(year, month, 1) + i64::from(self.day) - 1;
        days * SECONDS_PER_DAY
            + i64::from(self.hour) * 3600
            + i64::from(self.minute) * 60
            + i64::from(self.second)
    }

    /// Reads the fields of a `struct tm`.
    pub(super) fn decode(bytes: &[u8; TM_BYTES]) -> Moment {
        let field = |index: usize| {
            let at = index * 4;
            i32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Moment {
            second: field(0),
            minute: field(1),
            hour: field(2),
            day: field(3),
            month: field(4),
            year: field(5),
            weekday: field(6),
            yearday: field(7),
            summer: field(8),
            offset: field(9),
        }
    }

    /// Lays the fields out as a `struct tm`, without the name of the zone.
    pub(super) fn encode(&self) -> Vec<u8> {
        let fields = [
            self.second,
            self.minute,
            self.hour,
            self.day,
            self.month,
            self.year,
            self.weekday,
            self.yearday,
            self.summer,
            self.offset,
        ];
        fields
            .iter()
            .flat_map(|field| field.to_le_bytes())
            .collect()
    }
}

fn clamp(number: i64) -> i32 {
    number.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

/// Returns the days from 1970-01-01 to a date. The year starts in March, so that the leap day is its last.
pub(super) fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_ERA + day_of_era - EPOCH_DAYS
}

/// Returns year, month and day of a day number.
fn civil_of(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_DAYS;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_break_down_and_come_back() {
        let moment = Moment::from_seconds(951_782_399);
        assert_eq!(
            (
                moment.year,
                moment.month,
                moment.day,
                moment.hour,
                moment.minute,
                moment.second
            ),
            (100, 1, 28, 23, 59, 59)
        );
        assert_eq!((moment.weekday, moment.yearday), (1, 58));
        assert_eq!(Moment::from_seconds(951_782_400).day, 29);
        for seconds in [
            0,
            -1,
            1,
            86_399,
            -86_400,
            4_102_444_800,
            -62_135_596_800,
            1 << 40,
        ] {
            assert_eq!(Moment::from_seconds(seconds).seconds(), seconds);
        }
    }

    #[test]
    fn fields_outside_their_ranges_carry_over() {
        let moment = Moment {
            year: 70,
            month: 13,
            day: 32,
            hour: -1,
            ..Moment::default()
        };
        assert_eq!(
            moment.seconds(),
            days_of(1971, 3, 4) * SECONDS_PER_DAY - 3600
        );
    }

    #[test]
    fn extreme_numbers_do_not_overflow() {
        for seconds in [i64::MIN, i64::MAX] {
            Moment::from_seconds(seconds);
        }
        let extreme = Moment {
            year: i32::MAX,
            month: i32::MAX,
            day: i32::MAX,
            hour: i32::MAX,
            ..Moment::default()
        };
        extreme.seconds();
    }
}
