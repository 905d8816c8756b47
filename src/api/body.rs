//! Bodies: JSON where it looks like JSON, else one id a line. Taken whole or not at all.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::command::{IdList, NameError, PoolName, ResourceId, Seed};

/// Why a body is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// There is none, where one is needed.
    Empty,
    /// It is not UTF-8.
    Utf8,
    /// It is not the JSON that is wanted: what is wrong, and what is wanted.
    Json(Box<str>, &'static str),
    /// An id in it is no name.
    Id(NameError),
    /// It holds parameters, which are looked for in the query.
    Parameters,
}

impl BodyError {
    /// The short words.
    pub fn words(&self) -> &'static str {
        match self {
            BodyError::Empty => "bad body: empty",
            BodyError::Utf8 => "bad body: not UTF-8",
            BodyError::Json(..) => "bad JSON",
            BodyError::Id(_) => "bad id",
            BodyError::Parameters => "bad body: use the query",
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::Empty => f.write_str("a body is needed; a pool without resources is []"),
            BodyError::Utf8 => f.write_str("the body must be UTF-8"),
            BodyError::Json(problem, wanted) => write!(f, "{problem}; wanted: {wanted}"),
            BodyError::Id(error) => error.fmt(f),
            BodyError::Parameters => f.write_str("parameters go into the query: /lock?n=2"),
        }
    }
}

const SEED_FORM: &str = r#"{"POOL":["ID",…],…} with strings or integers as ids"#;
const IDS_FORM: &str = r#"["ID",…] with strings or integers as ids, or an id a line"#;

/// Reads `{"A":["1","2"],"B":["x"]}`.
pub fn read_seed(body: &[u8]) -> Result<Seed, BodyError> {
    let text = read_text(body)?;
    let json = serde_json::from_str(text);
    json.map(|SeedJson(seed)| seed)
        .map_err(|e| json_error(&e, SEED_FORM))
}

/// Reads `["1","2"]`, or an id a line. Blank lines count for nothing.
pub(super) fn read_ids(body: &[u8]) -> Result<IdList, BodyError> {
    let text = read_text(body)?;
    if text.trim_start().starts_with(['{', '[']) {
        let json = serde_json::from_str(text);
        return json
            .map(|IdsJson(ids)| ids)
            .map_err(|e| json_error(&e, IDS_FORM));
    }
    let lines = text
        .split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line));
    let ids = lines
        .filter(|line| !line.trim().is_empty())
        .map(ResourceId::parse);
    ids.collect::<Result<_, _>>().map_err(BodyError::Id)
}

/// Some devices cannot post without a body, so any will do where none is needed; but not one that
/// looks like parameters, which would have no effect.
pub(super) fn ignore(body: &[u8]) -> Result<(), BodyError> {
    let text = body.trim_ascii();
    let is_object = text.starts_with(b"{") && text != b"{}";
    if is_object || text.contains(&b'=') {
        Err(BodyError::Parameters)
    } else {
        Ok(())
    }
}

/// The reader's own words, as far as they do not repeat much of the body.
fn json_error(error: &serde_json::Error, wanted: &'static str) -> BodyError {
    const MAX_CHARACTERS: usize = 200;
    let words: String = error.to_string().chars().take(MAX_CHARACTERS).collect();
    BodyError::Json(words.into(), wanted)
}

fn read_text(body: &[u8]) -> Result<&str, BodyError> {
    let text = std::str::from_utf8(body).map_err(|_| BodyError::Utf8)?;
    if text.trim().is_empty() {
        Err(BodyError::Empty)
    } else {
        Ok(text)
    }
}

/// A seed as JSON has it. A pool that is named twice is refused: which of the two would be meant?
struct SeedJson(Seed);

impl<'de> Deserialize<'de> for SeedJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pools;
        impl<'de> Visitor<'de> for Pools {
            type Value = SeedJson;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of pools")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut seed = Seed::default();
                let mut names = HashSet::new();
                while let Some((Text(name), IdsJson(ids))) = map.next_entry()? {
                    let name = PoolName::parse(name).map_err(A::Error::custom)?;
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom("a pool is named twice"));
                    }
                    seed.add(&name, ids.iter());
                }
                Ok(SeedJson(seed))
            }
        }
        deserializer.deserialize_map(Pools)
    }
}

struct IdsJson(IdList);

impl<'de> Deserialize<'de> for IdsJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ids;
        impl<'de> Visitor<'de> for Ids {
            type Value = IdsJson;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of ids")
            }

            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut sequence: A,
            ) -> Result<Self::Value, A::Error> {
                let mut ids = IdList::default();
                while let Some(Text(id)) = sequence.next_element()? {
                    ids.push(&ResourceId::parse(id).map_err(A::Error::custom)?);
                }
                Ok(IdsJson(ids))
            }
        }
        deserializer.deserialize_seq(Ids)
    }
}

/// A string, borrowed where it has no escapes, or an integer in decimal.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StringOrInteger;
        impl<'de> Visitor<'de> for StringOrInteger {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an integer")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }
        }
        deserializer.deserialize_any(StringOrInteger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(body: &str) -> Result<Vec<String>, BodyError> {
        read_ids(body.as_bytes()).map(|ids| ids.iter().map(|id| id.as_str().to_owned()).collect())
    }

    #[test]
    fn ids_come_as_json_or_as_lines() {
        assert_eq!(
            ids(r#" ["a", 1, -2, "\u00e9"]"#).expect("this is read"),
            ["a", "1", "-2", "\u{e9}"]
        );
        assert_eq!(ids("a b\r\n\n c\n").expect("this is read"), ["a b", " c"]);
        assert_eq!(ids("[]").expect("this is read"), [""; 0]);
        assert_eq!(ids(" \n"), Err(BodyError::Empty));
        assert_eq!(ids("a\tb"), Err(BodyError::Id(NameError::Control)));
        for bad in [
            r#"[1.5]"#,
            "[null]",
            "[[1]]",
            "[1",
            "[1]x",
            r#"{"a":1}"#,
            r#"[""]"#,
            "[1e2]",
        ] {
            assert!(matches!(ids(bad), Err(BodyError::Json(..))), "{bad}");
        }
    }

    #[test]
    fn a_seed_names_each_pool_once() {
        let seed = read_seed(br#"{"A":["1"],"B":[]}"#).expect("this is read");
        assert_eq!(seed.pool_count(), 2);
        for bad in [
            r#"{"A":["1"],"A":[]}"#,
            r#"{"A":"1"}"#,
            r#"{"":["1"]}"#,
            "[]",
            "1\n2",
            r#"{"A":["1"]"#,
        ] {
            assert!(
                matches!(read_seed(bad.as_bytes()), Err(BodyError::Json(..))),
                "{bad}"
            );
        }
    }
}
