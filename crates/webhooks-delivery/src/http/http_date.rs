//! Dates of HTTP, in the three forms of RFC 9110 section 5.6.7.
//!
//! The grammar is taken to the letter: names by their case, digits by their number, single spaces.
//! A day must exist and be the weekday that it says.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Seconds of a day; leap seconds are not counted (POSIX time).
const DAY: i64 = 86_400;
/// Days from the first of March of the year 0 to the first of January 1970.
const EPOCH: i64 = 719_468;

/// The moment that a date names. `now` tells the century of a year of two digits.
///
/// Receivers send such dates in `Retry-After`. What is not a date there is passed over, so that a
/// strict grammar costs at most a pause that nobody could have read with certainty.
pub(crate) fn parse(text: &str, now: SystemTime) -> Option<SystemTime> {
    let words: Vec<_> = text.split(' ').collect();
    let seconds = match *words {
        // Sun, 06 Nov 1994 08:49:37 GMT
        [weekday, day, month, year, time, "GMT"] => {
            let date = Date::new(digits(day, 2)?, month, time)?;
            date.seconds(digits(year, 4)?, short_weekday(weekday.strip_suffix(',')?)?)
        }
        // Sunday, 06-Nov-94 08:49:37 GMT
        [weekday, date, time, "GMT"] => {
            let [day, month, year] = *date.split('-').collect::<Vec<_>>() else {
                return None;
            };
            let date = Date::new(digits(day, 2)?, month, time)?;
            let weekday = weekday.strip_suffix(',')?;
            let weekday = WEEKDAYS.iter().position(|name| *name == weekday)?;
            date.seconds(date.full_year(digits(year, 2)?, now)?, weekday)
        }
        // Sun Nov  6 08:49:37 1994
        // asctime pads a day of one digit with a second space, hence the empty word.
        [weekday, month, "", day, time, year] => {
            let date = Date::new(digits(day, 1)?, month, time)?;
            date.seconds(digits(year, 4)?, short_weekday(weekday)?)
        }
        [weekday, month, day, time, year] => {
            let date = Date::new(digits(day, 2)?, month, time)?;
            date.seconds(digits(year, 4)?, short_weekday(weekday)?)
        }
        _ => None,
    }?;
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    }
}

/// A date without its year.
#[derive(Clone, Copy)]
struct Date {
    /// From 1.
    month: i64,
    day: i64,
    /// The second of the day.
    time: i64,
}

impl Date {
    fn new(day: i64, month: &str, time: &str) -> Option<Self> {
        let month = MONTHS.iter().position(|name| *name == month)?;
        Some(Self {
            month: i64::try_from(month).ok()? + 1,
            day,
            time: time_of_day(time)?,
        })
    }

    /// Unix seconds in that year, if it has such a day and it is that weekday, from Monday as 0.
    fn seconds(self, year: i64, weekday: usize) -> Option<i64> {
        let next = match self.month {
            12 => days(year + 1, 1, 1),
            month => days(year, month + 1, 1),
        };
        let day = days(year, self.month, self.day);
        let exists = self.day > 0 && day < next;
        // The first of January 1970 was a Thursday.
        let is_weekday = usize::try_from((day + 3).rem_euclid(7)) == Ok(weekday);
        (exists && is_weekday).then(|| day * DAY + self.time)
    }

    /// The year with these last two digits: the latest that is not more than 50 years ahead.
    ///
    /// RFC 9110 section 5.6.7: a date that seems to be more than 50 years ahead is of the past
    /// century.
    fn full_year(self, short: i64, now: SystemTime) -> Option<i64> {
        let now = match now.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).ok()?,
            Err(before) => -i64::try_from(before.duration().as_secs()).ok()?,
        };
        (0..100)
            .rev()
            .map(|century| century * 100 + short)
            .find(|year| days(year - 50, self.month, self.day) * DAY + self.time <= now)
    }
}

/// Days since the first of January 1970, in the Gregorian calendar.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    // A year that starts in March has its leap day at its end.
    let (year, month) = if month < 3 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // From March, 153 days are five months of 31, 30, 31, 30 and 31 days.
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - EPOCH
}

/// `08:49:37`, up to the leap second `23:59:60`.
fn time_of_day(text: &str) -> Option<i64> {
    let [hour, minute, second] = *text.split(':').collect::<Vec<_>>() else {
        return None;
    };
    match [digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?] {
        // The leap second is the first second of the next day.
        [23, 59, 60] => Some(DAY),
        [hour @ ..24, minute @ ..60, second @ ..60] => Some(hour * 3_600 + minute * 60 + second),
        _ => None,
    }
}

fn short_weekday(text: &str) -> Option<usize> {
    WEEKDAYS.iter().position(|name| name.get(..3) == Some(text))
}

/// A number of exactly so many digits.
///
/// `parse` alone would take a sign.
fn digits(text: &str, count: usize) -> Option<i64> {
    let well_formed = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    well_formed.then(|| text.parse().ok()).flatten()
}
