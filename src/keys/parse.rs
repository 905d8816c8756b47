//! The file of keys to keys. What is wrong is said without a word of what stands there: in a line
//! whose words are mixed up, any of them may be the secret.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::rc::Rc;
use std::str;

use super::{Digest, Key, MAX_NAME_BYTES, MAX_SECRET_BYTES, Pattern, Role, Rule};

/// A secret of fewer characters can be guessed.
const MIN_STRONG_BYTES: usize = 16;

/// Why a file of keys is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileProblem {
    /// There is no key in it.
    Empty,
    /// Something is wrong in this line, counted from 1.
    Line(usize, LineProblem),
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineProblem {
    /// It is not UTF-8.
    Utf8,
    /// It ends before the role or the pools are named.
    Short,
    /// The name is not one.
    Name,
    /// The secret is not one.
    Secret,
    /// The hash is not one.
    Hash,
    /// The role is not one.
    Role,
    /// No pool can have such a name.
    Pools,
    /// There is a comment behind the pools.
    Comment,
    /// The key has another secret in this earlier line.
    OtherSecret(usize),
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
            LineProblem::Role => "the role must be read, use or admin",
            LineProblem::Pools => {
                "the pools must be a name of 1 to 128 bytes, in which * stands for anything"
            }
            LineProblem::Comment => "a comment must have a line of its own",
            LineProblem::OtherSecret(line) => {
                return write!(f, "the key must have the same secret as in line {line}");
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

/// Reads a file of keys.
pub(super) fn parse(text: &[u8]) -> Result<HashMap<Digest, Rc<Key>>, FileProblem> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut keys = KeysSoFar::default();
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let wrong = |problem| FileProblem::Line(number, problem);
        let line = str::from_utf8(line).map_err(|_| wrong(LineProblem::Utf8))?;
        let line = line.trim_ascii();
        if !line.is_empty() && !line.starts_with('#') {
            let entry = Line::parse(line).map_err(wrong)?;
            keys.add(entry, number).map_err(wrong)?;
        }
    }
    if keys.by_digest.is_empty() {
        return Err(FileProblem::Empty);
    }
    let keys = keys.by_digest.into_iter();
    Ok(keys
        .map(|(digest, (key, _))| (digest, Rc::new(key)))
        .collect())
}

/// Keys with the numbers of their first lines.
#[derive(Default)]
struct KeysSoFar<'a> {
    by_digest: HashMap<Digest, (Key, usize)>,
    by_name: HashMap<&'a str, (Digest, usize)>,
}

impl<'a> KeysSoFar<'a> {
    fn add(&mut self, line: Line<'a>, number: usize) -> Result<(), LineProblem> {
        match self.by_name.entry(line.name) {
            Entry::Occupied(known) => {
                let (digest, first) = *known.get();
                if digest != line.digest {
                    return Err(LineProblem::OtherSecret(first));
                }
            }
            Entry::Vacant(place) => {
                place.insert((line.digest, number));
            }
        }
        match self.by_digest.entry(line.digest) {
            Entry::Occupied(mut known) => {
                let (key, first) = known.get_mut();
                if *key.name != *line.name {
                    return Err(LineProblem::SameSecret(*first));
                }
                key.weak |= line.weak;
                key.rules.push(line.rule);
            }
            Entry::Vacant(place) => {
                let key = Key {
                    name: line.name.into(),
                    digest: line.digest,
                    rules: vec![line.rule],
                    weak: line.weak,
                };
                place.insert((key, number));
            }
        }
        Ok(())
    }
}

/// One line of the file.
struct Line<'a> {
    name: &'a str,
    digest: Digest,
    weak: bool,
    rule: Rule,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Result<Line<'a>, LineProblem> {
        let (name, rest) = first_word(line);
        let (secret, rest) = first_word(rest);
        let (role, pools) = first_word(rest);
        // Names of pools may have spaces in them: the rest of the line is one.
        if pools.is_empty() {
            return Err(LineProblem::Short);
        }
        if !is_name(name) {
            return Err(LineProblem::Name);
        }
        let (digest, weak) = parse_secret(secret)?;
        let role = parse_role(role).ok_or(LineProblem::Role)?;
        if has_comment(pools) {
            return Err(LineProblem::Comment);
        }
        let pools = Pattern::parse(pools).ok_or(LineProblem::Pools)?;
        Ok(Line {
            name,
            digest,
            weak,
            rule: Rule { role, pools },
        })
    }
}

/// The first word, and what follows the white space behind it.
fn first_word(text: &str) -> (&str, &str) {
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    (&text[..end], text[end..].trim_ascii_start())
}

/// Whether something looks like a comment to whoever has written it.
fn has_comment(pools: &str) -> bool {
    pools.starts_with('#') || pools.contains(" #") || pools.contains("\t#")
}

/// There is no colon in it, so that it can be the user of Basic.
fn is_name(name: &str) -> bool {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(fit)
}

/// What is kept of a secret, and whether it is known to be weak.
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
            ("good another read *", LineProblem::OtherSecret(2)),
            ("another good-secret read *", LineProblem::SameSecret(2)),
        ] {
            let text = format!("# a comment\ngood good-secret read *\n\n{line}\nx y z\n");
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
}
