//! Words of a Redis, for the log. Redis is another machine, which may send anything, even the password
//! that it was shown.

/// The most characters that are logged.
const MAX_CHARS: usize = 300;
/// A part of a password that is shorter may be anything.
const MIN_PART_BYTES: usize = 4;

/// Returns words as they may be logged: without the password or its first part, in printable characters,
/// and not too long.
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

/// Masks the password, and its first part where it has been cut off.
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
    use super::printable;

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
