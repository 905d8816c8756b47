//! Any file of keys and any credentials: the known keys and their rights are those of a slow model, and
//! no secret shows in the error of a wrong file.

#![no_main]

use std::collections::{BTreeSet, HashMap, HashSet};

use arbitrary::Arbitrary;
use latchd::http::Credentials;
use latchd::keys::{Caller, FileProblem, Key, Keys, MAX_RULES, Role};
use latchd::time::Time;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    /// The bytes before and behind a secret in a file.
    File(&'a [u8], &'a [u8]),
    /// Valid lines, which may contradict each other, and a pool.
    Lines(Vec<KeyLine>, Vec<Letter>),
    /// The bytes before and behind a secret in a field.
    Field(&'a [u8], &'a [u8]),
    /// A user, the bytes before and behind a secret in the pair, and one byte that is changed in its
    /// encoding.
    Pair(&'a str, &'a [u8], &'a [u8], Option<(u8, u8)>),
    /// A whole word.
    Word(&'a [u8]),
}

#[derive(Arbitrary, Debug)]
struct KeyLine {
    name: bool,
    secret: bool,
    hashed: bool,
    role: u8,
    pools: Vec<Letter>,
    end: u8,
}

/// A small alphabet, so that names and patterns match often.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
enum Letter {
    A,
    B,
    Wild,
}

const NOW: Time = Time::from_ms(1_801_396_800_000);
const SECRET: &str = "Zq7xSecretx7qZ";
const OTHER: &str = "another-secret";
/// Their hashes by `sha256sum`.
const HASH: &str = "cc3776d97a49583198e4b31f41a2dedc176a48d282d69c4a68b9aa9311f8c31b";
const OTHER_HASH: &str = "ce1807e913c97047dafef68295a8968c894cc8d1d8cc2c38fa84e06e7d5c0f06";
const ROLES: [Role; 3] = [Role::Read, Role::Use, Role::Admin];

fuzz_target!(|input: Input<'_>| match input {
    Input::File(before, behind) => check_file(before, behind),
    Input::Lines(lines, pool) => check_lines(&lines, &pool),
    Input::Field(before, behind) => check_field(&[before, SECRET.as_bytes(), behind].concat()),
    Input::Pair(user, before, behind, change) => {
        let pair = [user.as_bytes(), before, SECRET.as_bytes(), behind].concat();
        let mut encoded = encode(&pair);
        if let Some((place, byte)) = change {
            let length = encoded.len();
            encoded[usize::from(place) % length] = byte;
        }
        check_field(&[b"Basic ", &encoded[..]].concat());
    }
    Input::Word(word) => {
        let name = name_of(known().caller(Credentials::Word(word), NOW));
        assert_eq!(name.is_some(), word == SECRET.as_bytes());
    }
});

fn check_file(before: &[u8], behind: &[u8]) {
    let text = [before, SECRET.as_bytes(), behind].concat();
    let line_count = text.split(|&byte| byte == b'\n').count();
    match Keys::parse(&text) {
        Ok(keys) => {
            assert!((1..=line_count).contains(&keys.len()));
            assert!(!format!("{keys:?} {:?}", keys.weak_lines()).contains(HASH));
            // Empty lines and comments make no difference, wherever they are.
            let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
            let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
            let spread = [&b"# "[..], &lines.join(&b"\n\t#x\r\n \n"[..])].join(&b"\n"[..]);
            assert_eq!(Keys::parse(&spread).map(|keys| keys.len()), Ok(keys.len()));
        }
        Err(problem) => {
            if let FileProblem::Line(number, _) = problem {
                assert!((1..=line_count).contains(&number));
            }
            assert!(!problem.to_string().contains(SECRET));
        }
    }
}

impl KeyLine {
    fn text(&self) -> String {
        let (name, secret) = (self.name(), self.secret());
        let secret = match (self.hashed, secret) {
            (false, secret) => secret.to_owned(),
            (true, SECRET) => format!("sha256:{HASH}"),
            (true, _) => format!("SHA256:{}", OTHER_HASH.to_uppercase()),
        };
        let end = ["\n", "\r\n", " \n", "\n\n", "\n#\n"][usize::from(self.end) % 5];
        format!(
            "{name} {secret}\t{} {}{end}",
            self.role().name(),
            self.pools()
        )
    }

    fn name(&self) -> &'static str {
        if self.name { "a" } else { "b" }
    }

    fn secret(&self) -> &'static str {
        if self.secret { SECRET } else { OTHER }
    }

    fn role(&self) -> Role {
        ROLES[usize::from(self.role) % 3]
    }

    /// Returns the pattern, which is never empty.
    fn pools(&self) -> String {
        let text: String = self
            .pools
            .iter()
            .map(|letter| letter.character())
            .take(100)
            .collect();
        if text.is_empty() { "*".into() } else { text }
    }
}

impl Letter {
    fn character(self) -> char {
        match self {
            Letter::A => 'a',
            Letter::B => 'b',
            Letter::Wild => '*',
        }
    }
}

fn check_lines(lines: &[KeyLine], pool: &[Letter]) {
    let text: String = lines.iter().map(KeyLine::text).collect();
    let mut names = HashMap::new();
    let agree = lines.iter().all(|line| {
        let (name, secret) = (line.name(), line.secret());
        *names.entry(secret).or_insert(name) == name
    });
    let different = |name: &str| {
        let own = lines.iter().filter(|line| line.name() == name);
        own.map(|line| (line.role(), line.pools()))
            .collect::<BTreeSet<_>>()
            .len()
    };
    let is_small = ["a", "b"].iter().all(|name| different(name) <= MAX_RULES);
    let Ok(keys) = Keys::parse(text.as_bytes()) else {
        return assert!(!agree || !is_small || lines.is_empty(), "{text:?}");
    };
    assert!(agree && is_small, "{text:?}");
    assert_eq!(keys.len(), names.values().collect::<HashSet<_>>().len());
    let pool: String = pool
        .iter()
        .map(|letter| letter.character())
        .take(40)
        .collect();
    for secret in [SECRET, OTHER] {
        let caller = keys.caller(Credentials::Word(secret.as_bytes()), NOW);
        assert_eq!(name_of(caller).is_some(), names.contains_key(secret));
        let Caller::Authenticated(key) = caller else {
            continue;
        };
        // All lines of a key count for each of its secrets.
        let rules = lines.iter().filter(|line| line.name() == names[secret]);
        for role in ROLES {
            let may = rules
                .clone()
                .any(|line| line.role() >= role && matches(&line.pools(), &pool));
            assert_eq!(key.may(role, &pool), may, "{role:?} {pool:?} {text:?}");
            let somewhere = rules.clone().any(|line| line.role() >= role);
            assert_eq!(key.may_somewhere(role), somewhere);
        }
    }
}

/// Tries each wildcard with every length, from the left: row by row, the ends of the name that the
/// pattern can reach.
fn matches(pattern: &str, name: &str) -> bool {
    let name = name.as_bytes();
    let mut ends: Vec<bool> = (0..=name.len()).map(|end| end == 0).collect();
    for letter in pattern.bytes() {
        let next = (0..=name.len()).map(|end| match letter {
            b'*' => ends[..=end].contains(&true),
            _ => end > 0 && ends[end - 1] && name[end - 1] == letter,
        });
        ends = next.collect();
    }
    ends[name.len()]
}

/// Returns keys: one by its secret, and another by its hash.
fn known() -> Keys {
    let text = format!("a {SECRET} read *\nb sha256:{OTHER_HASH} use *\n");
    Keys::parse(text.as_bytes()).expect("these are good")
}

fn check_field(value: &[u8]) {
    let keys = known();
    let known = name_of(keys.caller(Credentials::Field(value), NOW));
    assert_eq!(known, expected_of_field(value), "{}", value.escape_ascii());
}

/// Returns the name of an authenticated key.
fn name_of(caller: Caller<'_>) -> Option<&'static str> {
    let Caller::Authenticated(key) = caller else {
        return None;
    };
    let key: &Key = key;
    Some(if key.may(Role::Use, "x") { "b" } else { "a" })
}

fn expected_of_field(value: &[u8]) -> Option<&'static str> {
    let space = value.iter().position(|&byte| byte == b' ')?;
    let rest = value[space..].trim_ascii();
    let pair = match value[..space].to_ascii_lowercase().as_slice() {
        b"bearer" => [b":", rest].concat(),
        b"basic" => decode(rest)?,
        _ => return None,
    };
    [("a", SECRET), ("b", OTHER)]
        .into_iter()
        .find_map(|(name, secret)| {
            let users = [String::new(), name.to_owned()];
            let is_it = users
                .iter()
                .any(|user| pair == format!("{user}:{secret}").into_bytes());
            is_it.then_some(name)
        })
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes Base64 by RFC 4648 section 4.
fn encode(bytes: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, place| {
            bits << 8 | u32::from(*group.get(place).unwrap_or(&0))
        });
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            encoded.push(if place <= group.len() { digit } else { b'=' });
        }
    }
    encoded
}

/// Decodes only what `encode` returns.
fn decode(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for group in encoded.chunks(4) {
        let digit = |byte: &u8| DIGITS.iter().position(|digit| digit == byte);
        let digits: Vec<usize> = group.iter().map_while(digit).collect();
        let bits = (0..4).fold(0, |bits, place| bits << 6 | digits.get(place).unwrap_or(&0));
        let group_bytes = [bits >> 16, bits >> 8, bits].map(|byte| (byte & 255) as u8);
        bytes.extend(&group_bytes[..digits.len().saturating_sub(1).min(3)]);
    }
    (encode(&bytes) == encoded).then_some(bytes)
}
