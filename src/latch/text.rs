//! Text that is fit for a terminal: nothing that a server sends may move the cursor.

use std::fmt::Write;
use std::ops::RangeInclusive;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The most bytes of a server's text that are shown.
const MAX_TEXT_BYTES: usize = 512;

/// Characters that hide, reverse text, or look like a plain space. They are those that Unicode calls
/// default ignorable, the blanks beside U+0020, and marks of lines and annotations. The page for browsers
/// has the same list, so that a name looks the same in both.
const UNPRINTABLE: [RangeInclusive<char>; 21] = [
    '\u{a0}'..='\u{a0}',
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{1680}'..='\u{1680}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{2000}'..='\u{200f}',
    '\u{2028}'..='\u{202f}',
    '\u{205f}'..='\u{206f}',
    '\u{2800}'..='\u{2800}',
    '\u{3000}'..='\u{3000}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fffb}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e0fff}',
];

/// Escapes control characters and those that are [`UNPRINTABLE`].
pub(super) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        if is_printable(c) {
            cleaned.push(c);
        } else {
            let _ = write!(cleaned, "{}", c.escape_unicode());
        }
        if cleaned.len() > MAX_TEXT_BYTES {
            cleaned.push('\u{2026}');
            break;
        }
    }
    cleaned
}

/// Joins lines with `; ` and cleans the result.
pub(super) fn clean_lines(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    clean(&lines.collect::<Vec<_>>().join("; "))
}

fn is_printable(c: char) -> bool {
    c == ' '
        || c.is_ascii_graphic()
        || !c.is_control() && !UNPRINTABLE.iter().any(|range| range.contains(&c))
}

/// Returns the width of the text in columns of a terminal.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// Cuts the text to `columns`, with an ellipsis where text is missing.
pub(super) fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut fitting = String::new();
    let mut taken = 1;
    for c in text.chars() {
        taken += c.width().unwrap_or(0);
        if taken > columns {
            break;
        }
        fitting.push(c);
    }
    if columns > 0 {
        fitting.push('\u{2026}');
    }
    fitting
}

/// Formats a duration in its two largest units: `45s`, `3m20s`, `2h05m`, `3d04h`.
pub(super) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// Parses a duration in seconds: a plain number of seconds, or numbers with units from the largest to the
/// smallest, such as `90`, `90s`, `5m`, `1h30m` or `1d`.
pub(super) fn parse_duration(text: &str) -> Result<u32, String> {
    let wrong = || "wanted seconds, or such as 90s, 5m, 1h30m, 1d".to_owned();
    if let (Some(b'0'..=b'9'), Ok(seconds)) = (text.bytes().next(), text.parse()) {
        return Ok(seconds);
    }
    let (mut rest, mut total_s, mut largest_s) = (text, 0_u32, u32::MAX);
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = rest.split_at(unit_at);
        let unit_s = match unit.as_bytes()[0] {
            b'd' => 86_400,
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return Err(wrong()),
        };
        let number = number.parse::<u32>().ok().filter(|_| unit_s < largest_s);
        let part_s = number.and_then(|number| number.checked_mul(unit_s));
        let sum_s = part_s.and_then(|part_s| total_s.checked_add(part_s));
        total_s = sum_s.ok_or_else(wrong)?;
        largest_s = unit_s;
        rest = &unit[1..];
    }
    match text {
        "" => Err(wrong()),
        _ => Ok(total_s),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_for_reading_is_escaped() {
        assert_eq!(clean("a b\u{e9}\u{4e2d}"), "a b\u{e9}\u{4e2d}");
        assert_eq!(clean("\u{1b}[2J"), "\\u{1b}[2J");
        assert_eq!(clean("\u{9b}2J\u{7f}"), "\\u{9b}2J\\u{7f}");
        assert_eq!(clean("a\u{202e}b\u{200b}"), "a\\u{202e}b\\u{200b}");
        assert_eq!(
            clean("\u{3164}\u{e0041}\u{2800}A\u{a0}"),
            "\\u{3164}\\u{e0041}\\u{2800}A\\u{a0}"
        );
        assert!(clean(&"x".repeat(10_000)).len() < 600);
    }

    #[test]
    fn the_page_for_browsers_escapes_the_same_characters() {
        let page = include_str!("../api/documents/page.html");
        let (_, rest) = page
            .split_once("const ILLEGIBLE = /[")
            .expect("it has the list");
        let (list, _) = rest.split_once("]/gu;").expect("the list ends");
        let escaped = |range: &RangeInclusive<char>| match range.start() == range.end() {
            true => range.start().escape_unicode().to_string(),
            false => format!(
                "{}-{}",
                range.start().escape_unicode(),
                range.end().escape_unicode()
            ),
        };
        assert_eq!(list, UNPRINTABLE.iter().map(escaped).collect::<String>());
    }

    #[test]
    fn text_is_cut_to_its_columns() {
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("abcd", 3), "ab\u{2026}");
        assert_eq!(fit("\u{4e2d}\u{6587}\u{5b57}", 4), "\u{4e2d}\u{2026}");
        assert_eq!(fit("abc", 0), "");
        for columns in 0..8 {
            assert!(width(&fit("\u{4e2d}\u{6587}ab\u{5b57}", columns)) <= columns);
        }
    }

    #[test]
    fn a_duration_has_two_units() {
        for (seconds, shown) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m00s"),
            (3599, "59m59s"),
            (3600, "1h00m"),
            (86_399, "23h59m"),
            (90_000, "1d01h"),
        ] {
            assert_eq!(duration(seconds), shown);
        }
    }

    #[test]
    fn a_duration_is_read_with_units_and_without() {
        for (text, seconds) in [
            ("0", 0),
            ("90", 90),
            ("90s", 90),
            ("5m", 300),
            ("1h30m", 5400),
            ("1d", 86_400),
            ("1d2h3m4s", 93_784),
            ("4294967295", u32::MAX),
        ] {
            assert_eq!(parse_duration(text), Ok(seconds), "{text}");
        }
        for text in [
            "",
            "m",
            "-1",
            "+5",
            "1.5h",
            "5 m",
            "5M",
            "5x",
            "m5",
            "5m5",
            "5m5m",
            "5s1m",
            "4294967296",
            "4294967295m",
            "49711d",
            "\u{663}m",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
