//! The pools that a key is for: a name, where each `*` stands for any characters or none.

use crate::command::MAX_NAME_BYTES;

/// A name with wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Box<str>);

impl Pattern {
    /// Parses a pattern. Returns `None` if it can match no name of a pool.
    pub(super) fn parse(text: &str) -> Option<Pattern> {
        let literal = text.bytes().filter(|&byte| byte != b'*').count();
        let possible = !text.is_empty() && literal <= MAX_NAME_BYTES;
        let is_fit = possible && !text.chars().any(char::is_control);
        is_fit.then(|| Pattern(text.into()))
    }

    /// Returns whether the pattern matches every name.
    pub(super) fn matches_all(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'*')
    }

    /// Returns the most comparisons that a name takes for each of its bytes. Behind a wildcard every
    /// byte of the name may begin the longest text between two wildcards.
    pub(super) fn comparisons_per_byte(&self) -> usize {
        let behind_wildcards = self.0.split('*').skip(1);
        1 + behind_wildcards.map(str::len).max().unwrap_or(0)
    }

    /// Returns whether the pattern matches a name. A wildcard first matches as few characters as it can,
    /// and one more each time that the rest does not match; only the last wildcard is retried.
    pub(super) fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut at, mut place) = (0, 0);
        // The position behind the last wildcard in the pattern, and the end of its characters in the
        // name.
        let mut wildcard = None;
        while place < name.len() {
            if pattern.get(at) == Some(&b'*') {
                at += 1;
                wildcard = Some((at, place));
            } else if pattern.get(at) == Some(&name[place]) {
                at += 1;
                place += 1;
            } else if let Some((behind, end)) = wildcard {
                at = behind;
                place = end + 1;
                wildcard = Some((behind, place));
            } else {
                return false;
            }
        }
        pattern[at..].iter().all(|&byte| byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_anything_or_nothing() {
        for (pattern, fits, others) in [
            ("*", &["a", "a/b", "\u{e9}", "*"][..], &[][..]),
            ("a", &["a"], &["aa", "b", "A", "*", "ab", "ba"]),
            ("a*", &["a", "ab", "a*"], &["b", "ba", "A"]),
            ("*a", &["a", "ba", "aa", "aba"], &["ab", "b"]),
            (
                "a*c",
                &["ac", "abc", "acc", "a*c", "acbc"],
                &["a", "c", "acb", "bac"],
            ),
            (
                "a*b*c",
                &["abc", "axbxc", "abbcc", "abcbc"],
                &["acb", "ab", "bc", "abcd"],
            ),
            ("**", &["a"], &[]),
            ("*ab*", &["ab", "aab", "aaab", "xabx"], &["a", "ba", "aa"]),
            ("build 1", &["build 1"], &["build", "build  1", "build-1"]),
            ("\u{e9}*", &["\u{e9}", "\u{e9}x"], &["e", "\u{c3}"]),
            ("50%", &["50%"], &["50"]),
        ] {
            let pattern = Pattern::parse(pattern).expect("it is a pattern");
            for name in fits {
                assert!(pattern.matches(name), "{pattern:?} {name}");
            }
            for name in others {
                assert!(!pattern.matches(name), "{pattern:?} {name}");
            }
        }
    }

    #[test]
    fn the_worst_pattern_takes_no_time() {
        let pattern = Pattern::parse(&"*a".repeat(64)).expect("it is a pattern");
        let name = "a".repeat(63) + &"b".repeat(65);
        assert!(!pattern.matches(&name));
        assert!(pattern.matches(&"ba".repeat(64)));
    }

    #[test]
    fn what_can_match_no_name_is_no_pattern() {
        assert!(Pattern::parse(&"x".repeat(128)).is_some());
        assert!(Pattern::parse(&("*".repeat(9) + &"x".repeat(128))).is_some());
        for wrong in [
            "",
            &"x".repeat(129),
            &("*".to_owned() + &"x".repeat(129)),
            "a\tb",
            "\u{85}",
        ] {
            assert_eq!(Pattern::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn only_wildcards_alone_match_all() {
        for (pattern, all) in [
            ("*", true),
            ("**", true),
            ("a", false),
            ("a*", false),
            ("*a", false),
        ] {
            assert_eq!(
                Pattern::parse(pattern).map(|p| p.matches_all()),
                Some(all),
                "{pattern}"
            );
        }
    }
}
