//! Seconds since 1970 as people write them.

/// Seconds of a day.
const DAY: i64 = 86_400;

/// A time as `2020-03-16 14:29:00 UTC`; `None` for what is not of the years 1970 to 9999.
pub(crate) fn date(unix_seconds: i64) -> Option<String> {
    let days_max = 2_932_896;
    let days = unix_seconds.div_euclid(DAY);
    if !(0..=days_max).contains(&days) {
        return None;
    }
    let seconds = unix_seconds.rem_euclid(DAY);
    // Years are counted from March, so that a leap day is the last one of its year; 719,468 days
    // lie between the first March of an era of 400 years and 1970.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    Some(format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC"))
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_584_368_940, "2020-03-16 14:29:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(date(seconds).as_deref(), Some(expected));
        }
        for seconds in [-1, 253_402_300_800, i64::MIN, i64::MAX] {
            assert_eq!(date(seconds), None);
        }
    }
}
