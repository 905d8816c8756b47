//! The configuration file, in JSON5: the keys that users of the Node original have, and one for
//! each setting.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::draft::Draft;
use super::mask::masked;
use super::setting::Value;
use super::table::settings;
use super::{ConfigError, redis_url};

/// Keys of the Node original, and what means the same here.
const ALIASES: [(&str, &str); 2] = [
    ("redis.url", "store.url"),
    ("redis.purgeOnLoad", "store.purgeOnStart"),
];
/// Two keys of the Node original that make an address.
const PORT: &str = "server.port";
const HOST: &str = "server.host";

/// Puts all that the text of a configuration says. `source` names it in errors.
pub(super) fn put(source: &str, text: &str, draft: &mut Draft) -> Result<(), ConfigError> {
    let problem = |why: String| ConfigError::Invalid(format!("{source}: {why}"));
    let wrong = |key: &str, value: &str, why: &str| {
        ConfigError::invalid(&format!("{source}: {key}"), value, why)
    };
    let file: Result<Object<Object<Value>>, _> = json5::from_str(text);
    let Object(sections) = file.map_err(|error| problem(error.to_string()))?;
    let mut given = Vec::new();
    for (section, Object(values)) in sections {
        is_known("", &section).map_err(problem)?;
        for (key, value) in values {
            is_known(&section, &key).map_err(problem)?;
            given.push((format!("{section}.{key}"), value));
        }
    }
    given.retain(|(_, value)| !matches!(value, Value::Null));
    for (alias, key) in ALIASES {
        if has(&given, alias) && has(&given, key) {
            let why = format!("{alias}: give either this or {key}, which means the same");
            return Err(problem(why));
        }
    }
    if let Some(listen) = address(&mut given, &wrong)? {
        given.push(("server.listen".into(), Value::List(vec![listen])));
    }
    for (key, value) in given {
        let shown = value.to_string();
        if key == "redis.url" {
            redis_url::parse(&shown).map_err(|why| wrong(&key, &shown, why))?;
        }
        let alias = ALIASES.iter().find(|(alias, _)| *alias == key);
        let meant = alias.map_or(&*key, |(_, meant)| meant);
        let mut settings = settings();
        let setting = settings.find(|setting| setting.key == meant);
        let done = setting.map_or(Ok(()), |setting| setting.put(draft, value));
        done.map_err(|why| wrong(&key, &shown, &why))?;
    }
    Ok(())
}

fn has(given: &[(String, Value)], key: &str) -> bool {
    given.iter().any(|(known, _)| known == key)
}

/// What port and host come to. The Node original listens on all addresses where only a port is given,
/// and so does this.
fn address(
    given: &mut Vec<(String, Value)>,
    wrong: &dyn Fn(&str, &str, &str) -> ConfigError,
) -> Result<Option<String>, ConfigError> {
    let mut take = |key: &str| {
        let place = given.iter().position(|(known, _)| known == key)?;
        Some(given.remove(place).1)
    };
    let (port, host) = (take(PORT), take(HOST));
    let port = match port {
        None => None,
        Some(Value::Number(port)) if port.fract() == 0.0 && (0.0..=65535.0).contains(&port) => {
            Some(port as u16)
        }
        Some(other) => return Err(wrong(PORT, &other.to_string(), "wanted 0 to 65535")),
    };
    let host = match host {
        None => None,
        Some(Value::Text(host)) if host.contains(':') => Some(format!("[{host}]")),
        Some(Value::Text(host)) => Some(host),
        Some(other) => return Err(wrong(HOST, &other.to_string(), "wanted a text")),
    };
    match (port, host) {
        (None, None) => Ok(None),
        (None, Some(host)) => Err(wrong(HOST, &host, "a host needs a port")),
        (Some(port), _) if has(given, "server.listen") => {
            let why = "give either listen, or port and host";
            Err(wrong(PORT, &port.to_string(), why))
        }
        (Some(port), host) => {
            let host = host.unwrap_or_else(|| "0.0.0.0".into());
            Ok(Some(format!("{host}:{port}")))
        }
    }
}

/// Whether there is such a section, or such a key in a section.
fn is_known(section: &str, key: &str) -> Result<(), String> {
    let others = ALIASES.iter().map(|(alias, _)| *alias).chain([PORT, HOST]);
    let keys = settings().map(|setting| setting.key).chain(others);
    let paths = keys.filter_map(|path| path.split_once('.'));
    let mut known: Vec<&str> = match section {
        "" => paths.map(|(section, _)| section).collect(),
        _ => paths
            .filter_map(|(known, key)| (known == section).then_some(key))
            .collect(),
    };
    if known.contains(&key) {
        return Ok(());
    }
    known.sort_unstable();
    known.dedup();
    let (path, known) = (masked(&format!("{section}.{key}")), known.join(", "));
    let path = path.trim_start_matches('.');
    Err(format!("there is no {path}; wanted one of {known}"))
}

/// An object in which no key is there twice.
struct Object<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(object: D) -> Result<Object<T>, D::Error> {
        object.deserialize_map(Object(Vec::new()))
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Object<T>, A::Error> {
        while let Some((key, value)) = map.next_entry::<String, T>()? {
            if self.0.iter().any(|(known, _)| *known == key) {
                let why = format!("{} is given twice", masked(&key));
                return Err(A::Error::custom(why));
            }
            self.0.push((key, value));
        }
        Ok(self)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Value, D::Error> {
        value.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, is_on: bool) -> Result<Value, E> {
        Ok(Value::Switch(is_on))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    /// Nothing deeper is read: how deep it goes is not for a file to say.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = list.next_element()? {
            texts.push(text);
        }
        Ok(Value::List(texts))
    }

    // Serde's own words for it can name any type, which takes much of the binary.
    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(A::Error::custom("wanted a value instead of an object"))
    }
}
