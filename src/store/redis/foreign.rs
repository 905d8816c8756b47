//! Text of a Redis, made safe for the log. Redis is another machine, which may send anything, even the
//! password that it was given.

use crate::time::{LogThrottle, Occurrences, Time};

/// The limit on different reasons that are remembered.
const MAX_REASONS: usize = 8;
/// The limit on logged characters.
const MAX_CHARS: usize = 300;
/// The shortest part of a password to mask: shorter ones may be anything.
const MIN_PART_BYTES: usize = 4;

/// Limits the log of a failing Redis: each reason at once, and then once a minute.
#[derive(Debug, Default)]
pub(super) struct ReasonThrottles {
    /// The reasons, the latest one last.
    reasons: Vec<(String, LogThrottle)>,
}

impl ReasonThrottles {
    /// Records a reason. Returns its number of occurrences since it was last logged, if it should be logged
    /// now.
    pub(super) fn record(&mut self, reason: &str, now: Time) -> Option<Occurrences> {
        let known = self.reasons.iter().position(|(known, _)| known == reason);
        let mut entry = match known {
            Some(at) => self.reasons.remove(at),
            None => (reason.to_owned(), LogThrottle::default()),
        };
        let times = entry.1.record(now);
        if self.reasons.len() == MAX_REASONS {
            self.reasons.remove(0);
        }
        self.reasons.push(entry);
        times
    }
}

/// Returns text safe for the log: without the password or its first part, in printable characters, and of
/// limited length.
pub(super) fn printable(words: &str, password: Option<&str>) -> String {
    let masked = match password {
        Some(password) => without(words, password),
        None => words.to_owned(),
    };
    let mut shown = String::new();
    for (count, character) in masked.trim_end().chars().enumerate() {
        if count == MAX_CHARS {
            shown.push('…');
            break;
        }
        match character {
            '"' | '\'' => shown.push(character),
            character => shown.extend(character.escape_debug()),
        }
    }
    shown
}

/// Masks the password, and its first part at the end of a cut text.
fn without(words: &str, password: &str) -> String {
    let shortest = MIN_PART_BYTES.min(password.len()).max(1);
    let mut masked = words.to_owned();
    for length in (shortest..=password.len()).rev() {
        if let Some(part) = password.get(..length)
            && masked.contains(part)
        {
            masked = masked.replace(part, "***");
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::{MAX_REASONS, ReasonThrottles, printable};
    use crate::time::Time;

    #[test]
    fn each_complaint_is_logged_at_once_and_then_once_a_minute() {
        let mut throttles = ReasonThrottles::default();
        let mut logged = |reason: &str, s: u64| {
            let times = throttles.record(reason, Time::from_ms(s * 1000));
            times.map(|times| times.to_string())
        };
        assert_eq!(logged("full", 1), Some(String::new()));
        assert_eq!(logged("full", 2), None);
        assert_eq!(logged("gone", 3), Some(String::new()), "another reason");
        assert_eq!(logged("full", 60), None);
        assert_eq!(logged("full", 61), Some(" (3 times)".into()));
        for other in 0..MAX_REASONS {
            logged(&other.to_string(), 62);
        }
        assert_eq!(
            logged("full", 63),
            Some(String::new()),
            "memory has a limit"
        );
    }

    #[test]
    fn words_lose_passwords_and_what_is_not_printable() {
        for (words, shown) in [
            ("ERR it's \"so\" ", "ERR it's \"so\""),
            (
                "ERR \u{1b}[2J\r\n2026 INFO fine",
                "ERR \\u{1b}[2J\\r\\n2026 INFO fine",
            ),
            ("ERR \u{202e}\u{e9}\0", "ERR \\u{202e}\u{e9}\\0"),
            ("ERR AUTH 'hidden-word' hidden-word", "ERR AUTH '***' ***"),
            ("ERR AUTH 'hidden-w", "ERR AUTH '***"),
            ("ERR hid", "ERR hid"),
        ] {
            assert_eq!(printable(words, Some("hidden-word")), shown, "{words}");
        }
        assert_eq!(printable("ERR x", Some("")), "ERR x");
        assert_eq!(printable("ERR hidden-word", None), "ERR hidden-word");
        assert_eq!(
            printable("ERR \u{e9}t\u{e9}", Some("\u{e9}t\u{e9}")),
            "ERR ***"
        );
        let long = printable(&"\u{e9}".repeat(10_000), None);
        assert_eq!(long.chars().count(), 301);
    }
}
