//! Access: keys with roles, each for the pools that a pattern names.
//!
//! Bytes in, a decision out. Only hashes of secrets are kept here, and neither a secret nor its hash
//! shows in an error or in `Debug`. It knows no file, no route and no store.
//!
//! A secret is looked up by its SHA-256, so that the time it takes does not show how near a guess was.
//! That hash is quick to compute, so secrets must be long and random; they are not passwords that people
//! think up.

mod credentials;
mod date;
mod digest;
mod parse;
mod pattern;

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use digest::Digest;
pub use parse::{FileProblem, LineProblem};
use pattern::Pattern;

pub use crate::contract::Role;
use crate::http::Credentials;
use crate::time::Time;

/// The most bytes of a secret. A longer one is refused unread.
pub const MAX_SECRET_BYTES: usize = 256;
/// The most bytes of a key's name.
pub const MAX_NAME_BYTES: usize = 64;
/// The most different rules of one key: roles with the pools that they are for. Each is matched with the
/// name of every listed pool.
pub const MAX_RULES: usize = 100;
/// The most lines with a secret in one file.
pub const MAX_LINES: usize = 10_000;
/// The most secrets of one key: the old one and the new one of a rotation.
pub const MAX_SECRETS: usize = 2;

/// One key with one of its secrets, of which only the hash is kept, and its rights.
pub struct Key {
    name: Box<str>,
    digest: Digest,
    /// The first time at which the secret is no longer valid, and the line that says so; `None` means
    /// never.
    end: Option<(Time, usize)>,
    /// The rules of all lines of that name.
    rules: Rc<[Rule]>,
}

/// Shows neither name nor pattern: in a line whose words are mixed up either may be the secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key with {} rules", self.rules.len())
    }
}

#[derive(PartialEq)]
struct Rule {
    role: Role,
    pools: Pattern,
}

impl Key {
    /// Returns the name, which is not secret.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether the key has at least `role` in `pool`.
    pub fn may(&self, role: Role, pool: &str) -> bool {
        let mut rules = self.rules.iter();
        rules.any(|rule| rule.role >= role && rule.pools.matches(pool))
    }

    /// Returns the key's highest role in `pool`; `None` if it has none there.
    pub fn role(&self, pool: &str) -> Option<Role> {
        let rules = self.rules.iter();
        let roles = rules.filter(|rule| rule.pools.matches(pool));
        roles.map(|rule| rule.role).max()
    }

    fn is_valid(&self, now: Time) -> bool {
        self.end.is_none_or(|(end, _)| now < end)
    }

    /// Returns the most comparisons that [`Key::role`] takes for each byte of the pool's name.
    pub fn comparisons_per_byte(&self) -> usize {
        let rules = self.rules.iter();
        rules.map(|rule| rule.pools.comparisons_per_byte()).sum()
    }

    /// Returns whether the key has at least `role` in every pool, whatever its name.
    pub fn may_in_all(&self, role: Role) -> bool {
        let mut rules = self.rules.iter();
        rules.any(|rule| rule.role >= role && rule.pools.matches_all())
    }

    /// Returns whether there can be a pool in which the key has at least `role`.
    pub fn may_somewhere(&self, role: Role) -> bool {
        self.rules.iter().any(|rule| rule.role >= role)
    }
}

/// The reason why the key of a caller is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthFailure {
    /// The caller has shown no key.
    NoKey,
    /// The caller has shown a key that is unknown or no longer valid.
    WrongKey,
    /// Too many wrong keys came from the caller's address, so its key was not checked.
    Unchecked,
}

/// The caller of a request, as far as access depends on it.
#[derive(Clone, Copy, Debug)]
pub enum Caller<'a> {
    /// There are no keys: every caller may do everything.
    AuthDisabled,
    /// There are keys, and this caller has not shown a valid one.
    Unauthenticated(AuthFailure),
    /// The holder of a key.
    Authenticated(&'a Rc<Key>),
}

impl Caller<'_> {
    /// Returns a caller whose credentials hold no valid key.
    pub fn unauthenticated(credentials: Credentials<'_>) -> Caller<'static> {
        Caller::Unauthenticated(match credentials.include_key() {
            true => AuthFailure::WrongKey,
            false => AuthFailure::NoKey,
        })
    }

    /// Returns the key that was shown.
    pub fn key(&self) -> Option<Rc<Key>> {
        match self {
            Caller::Authenticated(key) => Some(Rc::clone(key)),
            Caller::AuthDisabled | Caller::Unauthenticated { .. } => None,
        }
    }

    /// Returns whether there can be pools that the caller may not see.
    pub fn is_filtered(&self) -> bool {
        match self {
            Caller::Authenticated(key) => !key.may_in_all(Role::Read),
            Caller::AuthDisabled => false,
            Caller::Unauthenticated { .. } => true,
        }
    }
}

/// The keys that a server knows.
#[derive(Clone)]
pub struct Keys {
    by_digest: HashMap<Digest, Rc<Key>>,
    /// The number of keys, each of which may have two secrets.
    count: usize,
    /// The first lines of secrets that can be guessed, sorted.
    weak_lines: Vec<usize>,
}

impl Keys {
    /// Parses a file of keys. Each line is `NAME SECRET ROLE POOLS`, with `sha256:HEX` for a secret, and
    /// `until=YYYY-MM-DD` behind a secret that ends with that day in UTC. A key may have several lines,
    /// and two secrets, for which all its lines count. The file is accepted as a whole or not at all.
    pub fn parse(text: &[u8]) -> Result<Keys, FileProblem> {
        parse::parse(text)
    }

    /// Returns the number of keys, at least one.
    #[expect(clippy::len_without_is_empty, reason = "they are never empty")]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns the lines with secrets that can be guessed, counted from 1 and sorted. It does not return
    /// names: where two columns are swapped, the name is the secret.
    pub fn weak_lines(&self) -> &[usize] {
        &self.weak_lines
    }

    /// Returns the lines whose secret has ended, counted from 1 and sorted.
    pub fn ended_lines(&self, now: Time) -> Vec<usize> {
        let ends = self.by_digest.values().filter_map(|key| key.end);
        let mut lines: Vec<usize> = ends
            .filter(|(end, _)| *end <= now)
            .map(|(_, line)| line)
            .collect();
        lines.sort_unstable();
        lines
    }

    /// Returns the caller that shows these credentials at this time.
    pub fn caller(&self, credentials: Credentials<'_>, now: Time) -> Caller<'_> {
        let key = credentials::with_secret(credentials, |user, secret| {
            let key = self.by_digest.get(&Digest::of(secret))?;
            let is_its_user = user.is_empty() || user == key.name.as_bytes();
            (is_its_user && key.is_valid(now)).then_some(key)
        });
        key.map_or_else(
            || Caller::unauthenticated(credentials),
            Caller::Authenticated,
        )
    }

    /// Returns the caller that showed this key before these keys were read.
    pub fn recheck_caller(&self, key: &Key, now: Time) -> Caller<'_> {
        let known = self
            .by_digest
            .get(&key.digest)
            .filter(|known| known.name == key.name && known.is_valid(now));
        let unauthenticated = Caller::Unauthenticated(AuthFailure::WrongKey);
        known.map_or(unauthenticated, Caller::Authenticated)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.len())
    }
}

#[cfg(test)]
mod tests {
    use base64ct::{Base64, Encoding};

    use super::*;

    /// 2027-01-31, 12:00 UTC.
    const NOW: Time = Time::from_ms(1_801_396_800_000);

    const FILE: &str = "ci  0123456789abcdef-ci  use  build-*\n\
                        ci  0123456789abcdef-ci  read *\n\
                        ops sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 admin *\n\
                        lab 0123456789abcdef:lab admin lab\n";

    fn keys() -> Keys {
        Keys::parse(FILE.as_bytes()).expect("this is read")
    }

    fn name_of(caller: Caller<'_>) -> Option<&str> {
        match caller {
            Caller::Authenticated(key) => Some(&key.name),
            Caller::AuthDisabled | Caller::Unauthenticated { .. } => None,
        }
    }

    #[test]
    fn a_key_is_known_by_its_secret() {
        let keys = keys();
        assert_eq!(keys.len(), 3);
        let by_word =
            |secret: &str| name_of(keys.caller(Credentials::Word(secret.as_bytes()), NOW));
        assert_eq!(by_word("0123456789abcdef-ci"), Some("ci"));
        assert_eq!(by_word("test"), Some("ops"));
        for unknown in [
            "",
            "tes",
            "testx",
            "TEST",
            "sha256:9f86d081884c7d65",
            "ci",
            "ops",
        ] {
            assert_eq!(by_word(unknown), None, "{unknown}");
        }
        let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        assert_eq!(by_word(hash), None, "the hash is no secret");
        assert_eq!(by_word(&format!("sha256:{hash}")), None);
    }

    #[test]
    fn a_field_is_read_as_the_standard_has_it() {
        let keys = keys();
        let by_field =
            |value: &str| name_of(keys.caller(Credentials::Field(value.as_bytes()), NOW));
        for (value, name) in [
            ("Bearer test", Some("ops")),
            ("bearer test", Some("ops")),
            ("BEARER  test ", Some("ops")),
            ("Bearer test x", None),
            ("Bearertest", None),
            ("Bearer", None),
            ("Bearer ", None),
            ("test", None),
            ("Digest test", None),
            ("key=test", None),
            // ops:test, :test, lab:0123456789abcdef:lab, ops:tes, ci:test, test
            ("Basic b3BzOnRlc3Q=", Some("ops")),
            ("basic OnRlc3Q=", Some("ops")),
            ("Basic bGFiOjAxMjM0NTY3ODlhYmNkZWY6bGFi", Some("lab")),
            ("Basic b3BzOnRlcw==", None),
            ("Basic Y2k6dGVzdA==", None),
            ("Basic dGVzdA==", None),
            ("Basic b3BzOnRlc3Q", None),
            ("Basic !", None),
            ("Basic ", None),
        ] {
            assert_eq!(by_field(value), name, "{value}");
        }
        assert_eq!(name_of(keys.caller(Credentials::None, NOW)), None);
        assert_eq!(name_of(keys.caller(Credentials::Several, NOW)), None);
    }

    #[test]
    fn what_is_too_long_for_a_secret_is_none() {
        let longest = "x".repeat(MAX_SECRET_BYTES);
        let file = format!("{} {longest} use *", "n".repeat(MAX_NAME_BYTES));
        let keys = Keys::parse(file.as_bytes()).expect("this is read");
        let is_known = |value: &str| {
            let caller = keys.caller(Credentials::Field(value.as_bytes()), NOW);
            name_of(caller).is_some()
        };
        assert!(is_known(&format!("Bearer {longest}")));
        assert!(!is_known(&format!("Bearer {longest}x")));
        let basic = |user: &str, secret: &str| {
            let mut encoded = [0; 16 << 10];
            let pair = format!("{user}:{secret}");
            let encoded = Base64::encode(pair.as_bytes(), &mut encoded);
            format!("Basic {}", encoded.expect("there is room"))
        };
        assert!(is_known(&basic(&"n".repeat(MAX_NAME_BYTES), &longest)));
        assert!(is_known(&basic("", &longest)));
        assert!(!is_known(&basic("", &format!("{longest}x"))));
        assert!(!is_known(&basic(&"n".repeat(8000), &longest)));
    }

    #[test]
    fn a_role_holds_for_the_pools_of_its_line() {
        let keys = keys();
        let Caller::Authenticated(ci) = keys.caller(Credentials::Word(b"0123456789abcdef-ci"), NOW)
        else {
            panic!("it is known");
        };
        assert!(ci.may(Role::Use, "build-1") && ci.may(Role::Read, "build-1"));
        assert!(ci.may(Role::Read, "other") && !ci.may(Role::Use, "other"));
        assert!(!ci.may(Role::Admin, "build-1"));
        assert!(ci.may_somewhere(Role::Use) && !ci.may_somewhere(Role::Admin));
        assert!(!Caller::Authenticated(ci).is_filtered(), "it sees all");
        let Caller::Authenticated(lab) =
            keys.caller(Credentials::Word(b"0123456789abcdef:lab"), NOW)
        else {
            panic!("it is known");
        };
        assert!(lab.may(Role::Admin, "lab") && !lab.may(Role::Read, "lab2"));
        assert!(Caller::Authenticated(lab).is_filtered());
        assert!(!Caller::AuthDisabled.is_filtered());
    }

    #[test]
    fn nothing_secret_can_be_written_down() {
        let keys = keys();
        let Caller::Authenticated(ci) = keys.caller(Credentials::Word(b"0123456789abcdef-ci"), NOW)
        else {
            panic!("it is known");
        };
        let credentials = [
            Credentials::Word(b"0123456789abcdef-ci"),
            Credentials::Field(b"Bearer 0123456789abcdef-ci"),
        ];
        let words = format!("{keys:?} {ci:?} {credentials:?}");
        assert!(words.contains("3 keys"), "{words}");
        // A name is not shown either: it may be a secret in the wrong column.
        for secret in ["0123456789", "9f86d0", "48, 49", "ci", "build"] {
            assert!(!words.contains(secret), "{words}");
        }
    }

    #[test]
    fn the_line_of_a_short_secret_is_told() {
        let file = "b 0123456789abcde read *\nb 0123456789abcde use b\n# c\n\
                    a 1 read *\nc 0123456789abcdef read *\n";
        let keys = Keys::parse(file.as_bytes()).expect("this is read");
        assert_eq!(keys.weak_lines(), [1, 4]);
    }

    #[test]
    fn a_secret_is_valid_to_the_end_of_its_last_day() {
        let file = "ci 0123456789abcdef-ci until=2027-01-31 use *\n\
                    ops 0123456789abcdef-ops admin *\n";
        let keys = Keys::parse(file.as_bytes()).expect("this is read");
        let knows = |secret: &[u8], now| name_of(keys.caller(Credentials::Word(secret), now));
        let end = NOW.after_ms(12 * 60 * 60 * 1000);
        for now in [Time::default(), NOW, end.before_ms(1)] {
            assert_eq!(knows(b"0123456789abcdef-ci", now), Some("ci"), "{now:?}");
            assert_eq!(keys.ended_lines(now), [0; 0]);
        }
        for now in [end, end.after_ms(1), Time::from_ms(u64::MAX)] {
            assert_eq!(knows(b"0123456789abcdef-ci", now), None, "{now:?}");
            assert_eq!(knows(b"0123456789abcdef-ops", now), Some("ops"));
            assert_eq!(keys.ended_lines(now), [1]);
        }
    }

    #[test]
    fn both_secrets_of_a_key_have_all_its_rules() {
        let file = "ci 0123456789abcdef-old until=2027-01-31 use build-*\n\
                    ci 0123456789abcdef-old read *\n\
                    ci 0123456789abcdef-new use build-*\n\
                    ci 0123456789abcdef-new admin lab\n";
        let keys = Keys::parse(file.as_bytes()).expect("this is read");
        assert_eq!(keys.len(), 1);
        for secret in [&b"0123456789abcdef-old"[..], b"0123456789abcdef-new"] {
            let Caller::Authenticated(key) = keys.caller(Credentials::Word(secret), NOW) else {
                panic!("it is known");
            };
            assert_eq!(key.role("build-1"), Some(Role::Use));
            assert_eq!(key.role("lab"), Some(Role::Admin));
            assert_eq!(key.role("other"), Some(Role::Read));
            assert_eq!(key.rules.len(), 3, "a line that is repeated counts once");
        }
        let later = NOW.after_ms(24 * 60 * 60 * 1000);
        let by_word = |secret: &[u8]| name_of(keys.caller(Credentials::Word(secret), later));
        assert_eq!(by_word(b"0123456789abcdef-old"), None);
        assert_eq!(by_word(b"0123456789abcdef-new"), Some("ci"));
    }
}
