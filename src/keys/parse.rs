//! The parser of a file of keys. An error does not repeat a word of its line: in a line whose words
//! are mixed up, any of them may be the secret.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::rc::Rc;
use std::str;

use super::date::end_of_day;
use super::{
    Digest, Key, Keys, MAX_LINES, MAX_NAME_BYTES, MAX_RULES, MAX_SECRET_BYTES, MAX_SECRETS,
    Pattern, Role, Rule,
};
use crate::time::Time;

/// The fewest bytes of a secret that is not weak; a shorter one can be guessed.
const MIN_STRONG_BYTES: usize = 16;

/// The prefix of the word that gives the last day of a secret.
const UNTIL: &str = "until=";

/// The reason why a file of keys is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileProblem {
    /// The file has no key.
    Empty,
    /// This line is wrong, counted from 1.
    Line(usize, LineProblem),
}

/// The fault of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineProblem {
    /// The line is not UTF-8.
    Utf8,
    /// The line ends before the role or the pools.
    Short,
    /// The name is not valid.
    Name,
    /// The secret is not valid.
    Secret,
    /// The hash is not 64 hexadecimal digits.
    Hash,
    /// The end is not a day.
    End,
    /// The end follows the role.
    EndBehindRole,
    /// The role is unknown.
    Role,
    /// The pattern can match no pool.
    Pools,
    /// A comment follows the pools.
    Comment,
    /// The key has two other secrets, the first of them in this earlier line.
    ThirdSecret(usize),
    /// The secret has another end in this earlier line.
    OtherEnd(usize),
    /// The key has more different rules than allowed.
    TooManyRules,
    /// The file has more lines with a secret than allowed.
    TooManyLines,
    /// A key of another name has the same secret, in this earlier line.
    SameSecret(usize),
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileProblem::Empty => {
                f.write_str("there is no key in it; wanted NAME SECRET ROLE POOLS")
            }
            FileProblem::Line(number, problem) => write!(f, "line {number}: {problem}"),
        }
    }
}

impl fmt::Display for LineProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LineProblem::Utf8 => "it is not UTF-8",
            LineProblem::Short => "something is missing; wanted NAME SECRET ROLE POOLS",
            LineProblem::Name => "the name must be 1 to 64 letters, digits, '.', '_' or '-'",
            LineProblem::Secret => "the secret must be 1 to 256 printable ASCII characters",
            LineProblem::Hash => "the hash must be sha256: and 64 hexadecimal digits",
            LineProblem::End => {
                "the last day must be until=YYYY-MM-DD, such as until=2027-01-31"
            }
            LineProblem::EndBehindRole => "until= must stand between the secret and the role",
            LineProblem::Role => "the role must be read, use or admin",
            LineProblem::Pools => {
                "the pools must be a name of 1 to 128 bytes, in which * stands for anything"
            }
            LineProblem::Comment => "a comment must have a line of its own",
            LineProblem::ThirdSecret(line) => {
                return write!(
                    f,
                    "the key has {MAX_SECRETS} secrets already, the first in line {line}; no more are taken"
                );
            }
            LineProblem::OtherEnd(line) => {
                return write!(f, "the secret must have the same end as in line {line}");
            }
            LineProblem::TooManyRules => {
                return write!(
                    f,
                    "a key may have {MAX_RULES} different lines; * stands for several pools"
                );
            }
            LineProblem::TooManyLines => {
                return write!(f, "a file may have {MAX_LINES} lines with keys");
            }
            LineProblem::SameSecret(line) => {
                return write!(
                    f,
                    "the key must have another secret than that of line {line}"
                );
            }
        })
    }
}

pub(super) fn parse(text: &[u8]) -> Result<Keys, FileProblem> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut keys = KeysBuilder::default();
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let wrong = |problem| FileProblem::Line(number, problem);
        let line = str::from_utf8(line).map_err(|_| wrong(LineProblem::Utf8))?;
        let line = line.trim_ascii();
        if !line.is_empty() && !line.starts_with('#') {
            let entry = KeyLine::parse(line).map_err(wrong)?;
            keys.add(entry, number).map_err(wrong)?;
        }
    }
    if keys.by_name.is_empty() {
        return Err(FileProblem::Empty);
    }
    Ok(keys.finish())
}

/// The keys of the lines read so far.
#[derive(Default)]
struct KeysBuilder<'a> {
    by_name: HashMap<&'a str, KeyBuilder>,
    secrets: HashMap<Digest, SecretBuilder<'a>>,
    lines: usize,
}

struct KeyBuilder {
    rules: Vec<Rule>,
    secrets: usize,
    first_line: usize,
}

struct SecretBuilder<'a> {
    name: &'a str,
    first_line: usize,
    end: Option<(Time, usize)>,
    weak: bool,
}

impl<'a> KeysBuilder<'a> {
    fn add(&mut self, line: KeyLine<'a>, number: usize) -> Result<(), LineProblem> {
        self.lines += 1;
        if self.lines > MAX_LINES {
            return Err(LineProblem::TooManyLines);
        }
        let key = self.by_name.entry(line.name).or_insert_with(|| KeyBuilder {
            rules: Vec::new(),
            secrets: 0,
            first_line: number,
        });
        let end = line.end.map(|end| (end, number));
        match self.secrets.entry(line.digest) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                if known.name != line.name {
                    return Err(LineProblem::SameSecret(known.first_line));
                }
                match (known.end, end) {
                    (Some((known, at)), Some((end, _))) if known != end => {
                        return Err(LineProblem::OtherEnd(at));
                    }
                    (known_end, end) => known.end = known_end.or(end),
                }
            }
            Entry::Vacant(_) if key.secrets == MAX_SECRETS => {
                return Err(LineProblem::ThirdSecret(key.first_line));
            }
            Entry::Vacant(place) => {
                key.secrets += 1;
                place.insert(SecretBuilder {
                    name: line.name,
                    first_line: number,
                    end,
                    weak: line.weak,
                });
            }
        }
        if !key.rules.contains(&line.rule) {
            if key.rules.len() == MAX_RULES {
                return Err(LineProblem::TooManyRules);
            }
            key.rules.push(line.rule);
        }
        Ok(())
    }

    fn finish(self) -> Keys {
        let weak = self.secrets.values().filter(|secret| secret.weak);
        let mut weak_lines: Vec<usize> = weak.map(|secret| secret.first_line).collect();
        weak_lines.sort_unstable();
        let count = self.by_name.len();
        let rules = self.by_name.into_iter();
        let rules: HashMap<&str, Rc<[Rule]>> =
            rules.map(|(name, key)| (name, key.rules.into())).collect();
        let key_of = |(digest, secret): (Digest, SecretBuilder<'_>)| {
            let key = Key {
                name: secret.name.into(),
                digest,
                end: secret.end,
                rules: Rc::clone(&rules[secret.name]),
            };
            (digest, Rc::new(key))
        };
        Keys {
            by_digest: self.secrets.into_iter().map(key_of).collect(),
            count,
            weak_lines,
        }
    }
}

/// One line of the file.
struct KeyLine<'a> {
    name: &'a str,
    digest: Digest,
    weak: bool,
    /// The first time at which the secret is no longer valid; `None` means never.
    end: Option<Time>,
    rule: Rule,
}

impl<'a> KeyLine<'a> {
    fn parse(line: &'a str) -> Result<KeyLine<'a>, LineProblem> {
        let (name, rest) = first_word(line);
        let (secret, rest) = first_word(rest);
        // No role has such a name, so the word cannot be a role.
        let (end, rest) = match rest.starts_with(UNTIL) {
            true => {
                let (end, rest) = first_word(rest);
                (Some(&end[UNTIL.len()..]), rest)
            }
            false => (None, rest),
        };
        let (role, pools) = first_word(rest);
        // Names of pools may contain spaces: the rest of the line is one.
        if pools.is_empty() {
            return Err(LineProblem::Short);
        }
        if !is_name(name) {
            return Err(LineProblem::Name);
        }
        let (digest, weak) = parse_secret(secret)?;
        let end = end.map(|day| end_of_day(day).ok_or(LineProblem::End));
        let end = end.transpose()?;
        let role = parse_role(role).ok_or(LineProblem::Role)?;
        if pools.starts_with(UNTIL) {
            return Err(LineProblem::EndBehindRole);
        }
        if has_comment(pools) {
            return Err(LineProblem::Comment);
        }
        let pools = Pattern::parse(pools).ok_or(LineProblem::Pools)?;
        Ok(KeyLine {
            name,
            digest,
            weak,
            end,
            rule: Rule { role, pools },
        })
    }
}

/// Splits off the first word, and the white space behind it.
fn first_word(text: &str) -> (&str, &str) {
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    (&text[..end], text[end..].trim_ascii_start())
}

/// Returns whether the pattern seems to contain a comment.
fn has_comment(pools: &str) -> bool {
    pools.starts_with('#') || pools.contains(" #") || pools.contains("\t#")
}

/// Returns whether the name is valid. It has no colon, so that it can be the user of Basic.
fn is_name(name: &str) -> bool {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(fit)
}

/// Returns the digest of a secret, and whether the secret is known to be weak.
fn parse_secret(secret: &str) -> Result<(Digest, bool), LineProblem> {
    const HASHED: &str = "sha256:";
    let start = secret.get(..HASHED.len());
    if start.is_some_and(|start| start.eq_ignore_ascii_case(HASHED)) {
        let digest = Digest::from_hex(&secret[HASHED.len()..]).ok_or(LineProblem::Hash)?;
        return Ok((digest, false));
    }
    if secret.len() > MAX_SECRET_BYTES || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(LineProblem::Secret);
    }
    Ok((
        Digest::of(secret.as_bytes()),
        secret.len() < MIN_STRONG_BYTES,
    ))
}

fn parse_role(name: &str) -> Option<Role> {
    let roles = [Role::Read, Role::Use, Role::Admin];
    roles.into_iter().find(|role| role.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Keys;

    const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    fn problem(text: impl AsRef<[u8]>) -> Option<FileProblem> {
        Keys::parse(text.as_ref()).err()
    }

    #[test]
    fn comments_blank_lines_and_any_white_space_count_for_nothing() {
        let text = "\u{feff}# keys\r\n\r\n  \t \n  # more\n#\n\
                    a\tsecret-1\tread\tpool\r\n  b  secret-2   use   my pool  \n\nc secret#3 admin c#d";
        let keys = Keys::parse(text.as_bytes()).expect("this is read");
        assert_eq!(keys.len(), 3);
    }

    #[test]
    fn a_hash_is_taken_in_any_case() {
        for secret in [
            format!("sha256:{HASH}"),
            format!("SHA256:{}", HASH.to_uppercase()),
        ] {
            let text = format!("a {secret} read *\na test use b");
            assert_eq!(
                Keys::parse(text.as_bytes()).map(|keys| keys.len()),
                Ok(1),
                "{secret}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let long = "x".repeat(257);
        for (line, wrong) in [
            ("a", LineProblem::Short),
            ("a secret", LineProblem::Short),
            ("a secret read", LineProblem::Short),
            ("a secret read ", LineProblem::Short),
            ("secret read *", LineProblem::Short),
            ("a:b secret read *", LineProblem::Name),
            ("\u{e9} secret read *", LineProblem::Name),
            (&format!("{} secret read *", &long[..65]), LineProblem::Name),
            ("a s\u{e9}cret read *", LineProblem::Secret),
            ("a s\u{7f}cret read *", LineProblem::Secret),
            (&format!("a {long} read *"), LineProblem::Secret),
            ("a sha256: read *", LineProblem::Hash),
            ("a Sha256:secret read *", LineProblem::Hash),
            (&format!("a sha256:{HASH}0 read *"), LineProblem::Hash),
            (
                &format!("a sha256:{} read *", &HASH[1..]),
                LineProblem::Hash,
            ),
            (
                &format!("a sha256:{}g read *", &HASH[1..]),
                LineProblem::Hash,
            ),
            ("a secret write *", LineProblem::Role),
            ("a secret Read *", LineProblem::Role),
            ("a secret * read", LineProblem::Role),
            ("a secret read a\u{1}b", LineProblem::Pools),
            (
                &format!("a secret read {}", &long[..129]),
                LineProblem::Pools,
            ),
            ("a secret read * # all", LineProblem::Comment),
            ("a secret read *\t# all", LineProblem::Comment),
            ("a secret read # all", LineProblem::Comment),
            ("a secret until=2027-01-31 read", LineProblem::Short),
            ("a secret until= read *", LineProblem::End),
            ("a secret until=tomorrow read *", LineProblem::End),
            ("a secret until=2027-02-29 read *", LineProblem::End),
            ("a until=2027-01-31 secret read *", LineProblem::Role),
            ("until=2027-01-31 a secret read *", LineProblem::Name),
            (
                "a secret read until=2027-01-31 *",
                LineProblem::EndBehindRole,
            ),
            ("a secret Until=2027-01-31 read *", LineProblem::Role),
            ("good third read *", LineProblem::ThirdSecret(2)),
            ("another good-secret read *", LineProblem::SameSecret(2)),
            (
                "good newer-secret until=2027-02-01 use a",
                LineProblem::OtherEnd(3),
            ),
        ] {
            let text = format!(
                "# a comment\ngood good-secret read *\n\
                 good newer-secret until=2027-01-31 read *\n{line}\nx y z\n"
            );
            let expected = FileProblem::Line(4, wrong);
            assert_eq!(problem(&text), Some(expected.clone()), "{line}");
            let words = expected.to_string();
            assert!(words.starts_with("line 4: "), "{words}");
        }
        let not_utf8 = b"a secret read *\nb secr\xffet read *\n";
        assert_eq!(
            problem(not_utf8),
            Some(FileProblem::Line(2, LineProblem::Utf8))
        );
        for empty in ["", "\n\n", "# nobody\n", "\u{feff}"] {
            assert_eq!(problem(empty), Some(FileProblem::Empty), "{empty:?}");
        }
    }

    #[test]
    fn a_key_has_a_limited_number_of_different_lines() {
        let line = |number: usize| format!("a secret-1 use pool {number}\n");
        let mut text: String = (0..MAX_RULES).map(line).collect();
        text.push_str("a secret-2 use pool 0\nb secret-3 use pool 0\n");
        assert_eq!(Keys::parse(text.as_bytes()).map(|keys| keys.len()), Ok(2));
        text.push_str("a secret-2 use another\n");
        let expected = FileProblem::Line(MAX_RULES + 3, LineProblem::TooManyRules);
        assert_eq!(problem(&text), Some(expected));
    }

    #[test]
    fn a_file_has_a_limited_number_of_lines() {
        let line = |number: usize| format!("key-{number} secret-{number} use *\n");
        let text: String = (0..=MAX_LINES).map(line).collect();
        let expected = FileProblem::Line(MAX_LINES + 1, LineProblem::TooManyLines);
        assert_eq!(problem(&text), Some(expected));
        let fitting = &text[..text.trim_end().rfind('\n').expect("several lines")];
        let count = Keys::parse(fitting.as_bytes()).map(|keys| keys.len());
        assert_eq!(count, Ok(MAX_LINES));
    }
}
