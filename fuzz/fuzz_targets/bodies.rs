//! Any body: a seed or a list of ids is taken exactly if serde_json, which knows nothing of pools,
//! reads the same from it; and what is taken reads the same once it is written down again.

#![no_main]

use std::fmt;

use latchd::api::{self, Action};
use latchd::command::{Command, PoolName, ResourceId, Seed};
use latchd::http::{Method, Request};
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// Pools with their ids, in order.
type Pools = Vec<(String, Vec<String>)>;

fuzz_target!(|body: &[u8]| {
    let seed = api::read_seed(body).ok().map(|seed| told(&seed));
    assert_eq!(seed, expected_seed(body), "a seed: {}", body.escape_ascii());
    if let Some(seed) = seed {
        let again = api::read_seed(written(&seed).as_bytes());
        assert_eq!(again.ok().map(|again| told(&again)), Some(seed));
    }
    let ids = read_ids(body);
    assert_eq!(ids, expected_ids(body), "ids: {}", body.escape_ascii());
    if let Some(ids) = ids {
        let json = serde_json::to_string(&ids).expect("strings");
        assert_eq!(read_ids(json.as_bytes()), Some(ids));
    }
});

fn told(seed: &Seed) -> Pools {
    let ids = |ids: latchd::command::Ids<'_>| ids.map(|id| id.as_str().to_owned()).collect();
    seed.pools().map(|(pool, members)| (pool.as_str().to_owned(), ids(members))).collect()
}

fn written(pools: &Pools) -> String {
    let pools = pools.iter().map(|(name, ids)| {
        let name = serde_json::to_string(name).expect("a string");
        format!("{name}:{}", serde_json::to_string(ids).expect("strings"))
    });
    format!("{{{}}}", pools.collect::<Vec<_>>().join(","))
}

/// What `POST /pool/A` makes of it.
fn read_ids(body: &[u8]) -> Option<Vec<String>> {
    let request = Request { method: Method::Post, target: "/pool/A", body };
    match api::route(&request) {
        Action::Ask(Command::AddMembers(seed), _) => Some(told(&seed).remove(0).1),
        Action::Ask(..) => panic!("another command"),
        Action::Answer(_) => None,
    }
}

fn expected_seed(body: &[u8]) -> Option<Pools> {
    let Pairs(pairs) = serde_json::from_slice(body).ok()?;
    let mut pools = Pools::new();
    for (name, ids) in pairs {
        PoolName::parse(name.as_str()).ok()?;
        if pools.iter().any(|(known, _)| *known == name) {
            return None;
        }
        pools.push((name, expected_array(&ids)?));
    }
    Some(pools)
}

fn expected_ids(body: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(body).ok()?;
    if text.trim().is_empty() {
        return None;
    }
    if text.trim_start().starts_with(['{', '[']) {
        return expected_array(&serde_json::from_str(text).ok()?);
    }
    let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    lines.filter(|line| !line.trim().is_empty()).map(checked).collect()
}

fn expected_array(value: &Value) -> Option<Vec<String>> {
    let ids = value.as_array()?.iter().map(|id| match id {
        Value::String(text) => checked(text),
        Value::Number(number) if !number.is_f64() => checked(&number.to_string()),
        _ => None,
    });
    ids.collect()
}

fn checked(id: &str) -> Option<String> {
    ResourceId::parse(id).ok().map(|id| id.as_str().to_owned())
}

/// An object with all its keys, also those that stand in it twice.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Object)
    }
}
