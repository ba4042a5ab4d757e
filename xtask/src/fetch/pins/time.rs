//! Dates as Debian's Release files write them (RFC 5322 in UTC), and the time stamps of the permanent
//! archive. Seconds since 1970, no leap seconds, no other time zone.

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Fri, 20 Nov 2026 02:11:10 UTC`
pub fn parse_date(text: &str) -> Option<u64> {
    let (_, date) = text.split_once(", ")?;
    let [day, month, year, time, zone] = date.split_whitespace().collect::<Vec<_>>()[..] else { return None };
    if !matches!(zone, "UTC" | "GMT" | "+0000") {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let mut clock = time.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok()?);
    let plausible =
        (1970..10_000).contains(&year) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    plausible.then(|| days_before(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// `YYYYMMDDTHHMMSSZ`
pub fn stamp(seconds: u64) -> String {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970 + days / 366;
    while days_before(year + 1, 1, 1) <= days {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| days_before(year, *month, 1) <= days).unwrap_or(1);
    let day = days - days_before(year, month, 1) + 1;
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", time / 3600, time / 60 % 60, time % 60)
}

/// Days from 1970-01-01 to the date, in the Gregorian calendar.
fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let before_year = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    before_year + lengths.iter().take(month as usize - 1).sum::<u64>() + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_become_stamps() {
        let check = |date: &str, expected: Option<&str>| {
            assert_eq!(parse_date(date).map(stamp).as_deref(), expected, "{date}");
        };
        check("Thu, 01 Jan 1970 00:00:00 UTC", Some("19700101T000000Z"));
        check("Thu, 29 Feb 2024 23:59:59 GMT", Some("20240229T235959Z"));
        check("Fri,  1 Mar 2024 00:00:00 +0000", Some("20240301T000000Z"));
        check("Thu, 31 Dec 2026 12:34:56 UTC", Some("20261231T123456Z"));
        check("Sun, 28 Feb 2100 12:34:56 UTC", Some("21000228T123456Z"));
        check("Mon, 01 Mar 2100 12:34:56 UTC", Some("21000301T123456Z"));
        check("Fri, 20 Nov 2026 02:11:10 CET", None);
        check("Fri, 20 Nov 2026 25:11:10 UTC", None);
        check("yesterday", None);
    }
}
