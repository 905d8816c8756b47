//! Calendar days, as a file of keys names them.

use crate::time::Time;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// The days before 1970, counted from the first day of the year 1.
const DAYS_TO_EPOCH: u64 = 719_162;

/// Returns the time at which a day, `YYYY-MM-DD` in UTC, is over, or `None` if there is no such day
/// since 1970.
pub(super) fn end_of_day(text: &str) -> Option<Time> {
    let is_form = text.len() == 10 && text.is_ascii();
    let digits = |part: &str| {
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| part.parse::<u64>().ok()).flatten()
    };
    let (year, month, day) = is_form.then(|| (&text[..4], &text[4..7], &text[7..]))?;
    let year = digits(year)?;
    let month = digits(month.strip_prefix('-')?)?;
    let day = digits(day.strip_prefix('-')?)?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if is_leap { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month.checked_sub(1)?).ok()?;
    if year < 1970 || day == 0 || day > *months.get(before)? {
        return None;
    }
    let years = year - 1;
    let days_of_years = years * 365 + years / 4 - years / 100 + years / 400;
    let days = days_of_years - DAYS_TO_EPOCH + months[..before].iter().sum::<u64>() + day;
    Some(Time::from_ms(days * DAY_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected seconds are those of `date -u -d "DAY + 1 day" +%s`.
    #[test]
    fn a_day_ends_when_the_next_begins() {
        for (day, end_s) in [
            ("1970-01-01", 86_400),
            ("2000-02-29", 951_868_800),
            ("2026-12-31", 1_798_761_600),
            ("2027-01-31", 1_801_440_000),
            ("2028-02-29", 1_835_481_600),
            ("2028-03-01", 1_835_568_000),
            ("2100-02-28", 4_107_542_400),
            ("9999-12-31", 253_402_300_800),
        ] {
            let end = Time::from_ms(end_s * 1000);
            assert_eq!(end_of_day(day), Some(end), "{day}");
        }
    }

    #[test]
    fn what_is_no_day_is_none() {
        for wrong in [
            "",
            "2027-01",
            "2027-1-31",
            "2027-01-32",
            "2027-01-00",
            "2027-00-10",
            "2027-13-01",
            "2027-02-29",
            "2100-02-29",
            "1969-12-31",
            "0000-01-01",
            "20270131",
            "2027/01/31",
            "31-01-2027",
            "+027-01-31",
            "2027-+1-31",
            "2027-01-3\u{e9}",
            "2027-01-31T00:00",
        ] {
            assert_eq!(end_of_day(wrong), None, "{wrong}");
        }
    }
}
