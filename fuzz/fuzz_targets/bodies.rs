//! Any body, in any pieces. It is accepted exactly if serde_json reads the same from it as a whole, and
//! refused with the same message. An accepted body reads the same after it is written and read again.

#![no_main]

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use arbitrary::Arbitrary;
use latchd::api::{
    self, Access, BodyError, BodyReader, ListenerRole, Outcome, Problem, RequestAction,
};
use latchd::command::{Command, Ids, MAX_NAME_BYTES, NameError, PoolName, ResourceId, Seed};
use latchd::http::{Media, Method};
use latchd::keys::Caller;
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Pools with their ids, in order.
type Pools = Vec<(String, Vec<String>)>;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    /// The bytes of each piece, in a cycle.
    pieces: [u8; 3],
    body: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let body = input.body;
    let words = body.escape_ascii();
    let pools = taken("/pool", &[body]);
    agree(&pools, &expected_pools(body), body);
    assert_eq!(taken("/pool", &input.pieces()), pools, "pools: {words}");
    if let Ok(pools) = pools {
        assert_eq!(taken("/pool", &[written(&pools).as_bytes()]), Ok(pools));
    }
    let ids = taken("/pool/A", &[body]);
    agree(&ids, &expected_ids(body), body);
    assert_eq!(taken("/pool/A", &input.pieces()), ids, "ids: {words}");
    if let Ok(ids) = ids {
        let json = serde_json::to_string(&ids[0].1).expect("strings");
        assert_eq!(taken("/pool/A", &[json.as_bytes()]), Ok(ids));
    }
    assert_eq!(is_ignored(&[body]), expected_ignored(body), "{words}");
    assert_eq!(
        is_ignored(&input.pieces()),
        expected_ignored(body),
        "{words}"
    );
});

impl<'a> Input<'a> {
    fn pieces(&self) -> Vec<&'a [u8]> {
        let (mut rest, mut pieces) = (self.body, Vec::new());
        for size in self.pieces.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, behind) = rest.split_at(usize::from(*size).clamp(1, rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        pieces
    }
}

/// Returns the action of a `POST` with these pieces as its body.
fn action<'a>(target: &'a str, pieces: &[&[u8]]) -> RequestAction<'a> {
    let access = Access::new(ListenerRole::All, Caller::AuthDisabled);
    let mut reader: BodyReader = api::body_reader(Method::Post, target, Media::Other, &access);
    for piece in pieces {
        reader.take(piece);
    }
    api::route_read(Method::Post, target, reader, &access)
}

fn taken(target: &str, pieces: &[&[u8]]) -> Result<Pools, BodyError> {
    match action(target, pieces) {
        RequestAction::Submit(Command::AddMembers(seed), ..) => Ok(told(&seed)),
        RequestAction::Respond(Outcome::Problem(Problem::Body(error)), _) => Err(error),
        other => panic!("{other:?}"),
    }
}

fn is_ignored(pieces: &[&[u8]]) -> bool {
    matches!(action("/pool/A/lock", pieces), RequestAction::Submit(..))
}

fn told(seed: &Seed) -> Pools {
    let ids = |ids: Ids<'_>| ids.map(|id| id.as_str().to_owned()).collect();
    seed.pools()
        .map(|(pool, members)| (pool.as_str().to_owned(), ids(members)))
        .collect()
}

fn written(pools: &Pools) -> String {
    let pools = pools.iter().map(|(name, ids)| {
        let name = serde_json::to_string(name).expect("a string");
        format!("{name}:{}", serde_json::to_string(ids).expect("strings"))
    });
    format!("{{{}}}", pools.collect::<Vec<_>>().join(","))
}

/// Asserts that both are right, or both wrong for the same reason.
fn agree(taken: &Result<Pools, BodyError>, expected: &Result<Pools, Wrong>, body: &[u8]) {
    let words = body.escape_ascii();
    match (taken, expected) {
        (Ok(taken), Ok(expected)) => assert_eq!(taken, expected, "{words}"),
        (Err(BodyError::Json(problem, _)), Err(Wrong::Json(error))) => {
            // Long names are not read to their end, so other faults in them are not found.
            if problem.starts_with("a name is too long") && body.len() > 6 * MAX_NAME_BYTES {
                return;
            }
            let expected: String = error.to_string().chars().take(200).collect();
            assert_eq!(without_place(problem), without_place(&expected), "{words}");
            // The place of a fault may differ, unless the JSON itself is wrong.
            let is_ours = ["a name ", "a pool ", "invalid type: "];
            if !is_ours.iter().any(|start| problem.starts_with(start)) {
                assert_eq!(**problem, expected, "{words}");
            }
        }
        // A part . or .. in a name is reported as such, whatever else is wrong in the JSON.
        (Err(BodyError::Id(NameError::DotSegment)), Err(Wrong::Json(_))) => {}
        (Err(error), Err(Wrong::Other(words))) => assert_eq!(error.id().row().words, *words),
        _ => panic!("{taken:?} where {expected:?} was expected: {words}"),
    }
}

fn without_place(problem: &str) -> &str {
    problem
        .rsplit_once(" at line ")
        .map_or(problem, |(what, _)| what)
}

/// The fault of a body.
#[derive(Debug)]
enum Wrong {
    Json(serde_json::Error),
    /// A fault with this message.
    Other(&'static str),
}

fn expected_text(body: &[u8]) -> Result<&str, Wrong> {
    let text = std::str::from_utf8(body).map_err(|_| Wrong::Other("bad body: not UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match text.trim() {
        "" => Err(Wrong::Other("bad body: empty")),
        _ => Ok(text),
    }
}

fn expected_pools(body: &[u8]) -> Result<Pools, Wrong> {
    let SeedJson(pools) = serde_json::from_str(expected_text(body)?).map_err(Wrong::Json)?;
    Ok(pools)
}

fn expected_ids(body: &[u8]) -> Result<Pools, Wrong> {
    let text = expected_text(body)?;
    let pool = |ids| Ok(vec![("A".to_owned(), ids)]);
    if text.trim_start().starts_with(['{', '[']) {
        let IdsJson(ids) = serde_json::from_str(text).map_err(Wrong::Json)?;
        return pool(ids);
    }
    let lines = text.split('\n').map(str::trim);
    let ids = lines.filter(|line| !line.is_empty()).map(|line| {
        let id = ResourceId::parse(line).map_err(|error| match error {
            NameError::DotSegment => Wrong::Other("bad name"),
            _ => Wrong::Other("bad id"),
        })?;
        if line.starts_with(QUOTES) || line.ends_with(QUOTES) {
            return Err(Wrong::Other("bad id: quotes"));
        }
        Ok(id.as_str().to_owned())
    });
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    match &ids[..] {
        [only] if ["null", "true", "false"].contains(&&**only) => {
            Err(Wrong::Other("bad body: not ids"))
        }
        _ => pool(ids),
    }
}

/// The quotes with which an id in a line may neither begin nor end.
const QUOTES: [char; 6] = ['"', '\'', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}'];

fn expected_ignored(body: &[u8]) -> bool {
    let text = body.trim_ascii();
    !text.contains(&b'=') && (!text.starts_with(b"{") || text == b"{}")
}

struct SeedJson(Pools);

impl<'de> Deserialize<'de> for SeedJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = SeedJson;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of pools")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SeedJson, A::Error> {
                let (mut pools, mut names) = (Pools::new(), HashSet::new());
                while let Some((Text(name), IdsJson(ids))) = map.next_entry()? {
                    PoolName::parse(&*name).map_err(A::Error::custom)?;
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom("a pool is named twice"));
                    }
                    pools.push((name.into_owned(), ids));
                }
                Ok(SeedJson(pools))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

struct IdsJson(Vec<String>);

impl<'de> Deserialize<'de> for IdsJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Array;
        impl<'de> Visitor<'de> for Array {
            type Value = IdsJson;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of ids")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<IdsJson, A::Error> {
                let mut ids = Vec::new();
                while let Some(Text(id)) = sequence.next_element()? {
                    ResourceId::parse(&*id).map_err(A::Error::custom)?;
                    ids.push(id.into_owned());
                }
                Ok(IdsJson(ids))
            }
        }
        deserializer.deserialize_seq(Array)
    }
}

struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
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
