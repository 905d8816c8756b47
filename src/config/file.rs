//! The configuration file, in JSON5: the keys of the Node original, and one for each setting.

use std::{env, fmt};

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::draft::Draft;
use super::mask::masked;
use super::setting::{Setting, Value};
use super::table::settings;
use super::{ConfigError, redis_url};

/// Keys of the Node original, and the settings that they mean here.
const ALIASES: [(&str, &str); 2] = [
    ("redis.url", "store.url"),
    ("redis.purgeOnLoad", "store.purgeOnStart"),
];
/// Two keys of the Node original that together give an address.
const PORT: &str = "server.port";
const HOST: &str = "server.host";

/// The Node original's switch for several processes; here one process serves.
const CLUSTER: &str = "server.cluster";
const LISTEN: &str = "server.listen";

/// Puts the values of one file after another into the draft: the last file that sets a value counts.
pub(super) struct Files<'a> {
    draft: &'a mut Draft,
    /// Port and host may come from different files. Each is stored with its source.
    port: Option<(u16, String)>,
    host: Option<(String, String)>,
}

impl Files<'_> {
    pub(super) fn new(draft: &mut Draft) -> Files<'_> {
        Files {
            draft,
            port: None,
            host: None,
        }
    }

    /// Puts all values in the text of a configuration. `source` is its name in errors and in
    /// `--check`.
    pub(super) fn put(&mut self, source: &str, text: &str) -> Result<(), ConfigError> {
        self.put_values(source, parse(source, text)?)
    }

    /// Puts the values of the environment variables that a text names in the places of values. A
    /// variable that is missing or empty sets nothing.
    pub(super) fn put_variables(&mut self, source: &str, text: &str) -> Result<(), ConfigError> {
        for (key, Variable { name, is_json }) in parse::<Variable>(source, text)? {
            let Some(text) = env::var_os(&name).filter(|text| !text.is_empty()) else {
                continue;
            };
            let source = format!("{name} of {source}");
            let problem = |why: &str| ConfigError::Invalid(format!("{source}: {why}"));
            let text = text.into_string().map_err(|_| problem("not UTF-8"))?;
            let value = match (is_json, setting_of(&key)) {
                (true, _) => json5::from_str(&text).map_err(|error| problem(&error.to_string()))?,
                (false, Some(setting)) => setting.kind.read(&text),
                (false, None) => Value::Text(text),
            };
            self.put_values(&source, vec![(key, value)])?;
        }
        Ok(())
    }

    /// Puts the address that port and host give. With a port alone the server listens on all
    /// addresses, as the Node original does.
    pub(super) fn finish(self) -> Result<(), ConfigError> {
        let (address, source) = match (self.port, self.host) {
            (None, None) => return Ok(()),
            (None, Some((host, source))) => {
                return Err(invalid(&source, HOST, &host, "a host needs a port"));
            }
            (Some((port, source)), None) => (format!("0.0.0.0:{port}"), source),
            (Some((port, source)), Some((host, of_host))) => {
                let source = match source == of_host {
                    true => source,
                    false => format!("{of_host} and {source}"),
                };
                (format!("{host}:{port}"), source)
            }
        };
        put_setting(LISTEN, Value::List(vec![address]), &source, self.draft)
            .map_err(|why| ConfigError::Invalid(format!("{source}: {why}")))
    }

    fn put_values(
        &mut self,
        source: &str,
        mut given: Vec<(String, Value)>,
    ) -> Result<(), ConfigError> {
        given.retain(|(_, value)| !matches!(value, Value::Null));
        for (alias, key) in ALIASES {
            if has(&given, alias) && has(&given, key) {
                let why = format!("{alias}: give either this or {key}, which means the same");
                return Err(ConfigError::Invalid(format!("{source}: {why}")));
            }
        }
        if has(&given, LISTEN) {
            (self.port, self.host) = (None, None);
        }
        let is_listening = has(&given, LISTEN);
        for (key, value) in given {
            let shown = value.to_string();
            let wrong = |why: &str| invalid(source, &key, &shown, why);
            if is_listening && (key == PORT || key == HOST) {
                return Err(wrong("give either listen, or port and host"));
            }
            if key == "redis.url" {
                redis_url::parse(&shown).map_err(wrong)?;
            }
            match &*key {
                PORT => self.port = Some((port(&value).map_err(wrong)?, source.to_owned())),
                HOST => self.host = Some((host(value).map_err(wrong)?, source.to_owned())),
                CLUSTER => self.draft.cluster = switch(&value).map_err(wrong)?,
                _ => {
                    let done = put_setting(&key, value, source, self.draft);
                    done.map_err(|why| wrong(&why))?;
                }
            }
        }
        Ok(())
    }
}

fn invalid(source: &str, key: &str, value: &str, right: &str) -> ConfigError {
    ConfigError::invalid(&format!("{source}: {key}"), value, right)
}

fn put_setting(key: &str, value: Value, source: &str, draft: &mut Draft) -> Result<(), String> {
    setting_of(key).map_or(Ok(()), |setting| setting.put(draft, value, source))
}

/// Returns the setting of a key; `None` for a key that only the Node original has.
fn setting_of(key: &str) -> Option<&'static Setting> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == key);
    let meant = alias.map_or(key, |(_, meant)| meant);
    settings().find(|setting| setting.key == meant)
}

/// Reads a port, which is a text if it comes from the environment.
fn port(value: &Value) -> Result<u16, &'static str> {
    match value {
        Value::Number(port) if port.fract() == 0.0 && (0.0..=65535.0).contains(port) => {
            Some(*port as u16)
        }
        Value::Text(port) => port.parse().ok(),
        _ => None,
    }
    .ok_or("wanted 0 to 65535")
}

fn host(value: Value) -> Result<String, &'static str> {
    match value {
        Value::Text(host) if host.contains(':') => Ok(format!("[{host}]")),
        Value::Text(host) => Ok(host),
        _ => Err("wanted a text"),
    }
}

fn switch(value: &Value) -> Result<bool, &'static str> {
    match value {
        Value::Switch(is_on) => Some(*is_on),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
    .ok_or("wanted true or false")
}

fn has(given: &[(String, Value)], key: &str) -> bool {
    given.iter().any(|(known, _)| known == key)
}

/// Reads sections of known keys, each as `section.key`.
fn parse<T: for<'de> Deserialize<'de>>(
    source: &str,
    text: &str,
) -> Result<Vec<(String, T)>, ConfigError> {
    let problem = |why: String| ConfigError::Invalid(format!("{source}: {why}"));
    let file: Result<Object<Object<T>>, _> = json5::from_str(text);
    let Object(sections) = file.map_err(|error| problem(error.to_string()))?;
    let mut given = Vec::new();
    for (section, Object(values)) in sections {
        is_known("", &section).map_err(problem)?;
        for (key, value) in values {
            is_known(&section, &key).map_err(problem)?;
            given.push((format!("{section}.{key}"), value));
        }
    }
    Ok(given)
}

/// Checks that there is such a key in a section, or such a section if `section` is empty.
fn is_known(section: &str, key: &str) -> Result<(), String> {
    let others = ALIASES
        .iter()
        .map(|(alias, _)| *alias)
        .chain([PORT, HOST, CLUSTER]);
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

/// An object without duplicate keys.
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

    /// Reads a list of texts. Nothing deeper is read, so that a file does not choose the depth of
    /// recursion.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = list.next_element()? {
            texts.push(text);
        }
        Ok(Value::List(texts))
    }

    // Serde's own message can name any type, which takes much of the binary.
    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(A::Error::custom("wanted a value instead of an object"))
    }
}

/// The environment variable that sets a setting: its name, or an object with its name and whether it
/// holds JSON.
struct Variable {
    name: String,
    is_json: bool,
}

impl<'de> Deserialize<'de> for Variable {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Variable, D::Error> {
        value.deserialize_any(VariableVisitor)
    }
}

struct VariableVisitor;

impl<'de> Visitor<'de> for VariableVisitor {
    type Value = Variable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a variable")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Variable, E> {
        Ok(Variable {
            name: name.to_owned(),
            is_json: false,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Variable, A::Error> {
        let (mut name, mut format) = (None, None);
        while let Some((key, text)) = map.next_entry::<String, String>()? {
            match &*key {
                "__name" => name = Some(text),
                "__format" => format = Some(text),
                _ => return Err(A::Error::custom("wanted __name and __format")),
            }
        }
        let is_json = match format.as_deref() {
            // The setting knows its own kind.
            None | Some("boolean" | "number" | "string") => false,
            Some("json" | "json5") => true,
            Some(_) => return Err(A::Error::custom("wanted __format json, number or boolean")),
        };
        let name = name.ok_or_else(|| A::Error::custom("__name is missing"))?;
        Ok(Variable { name, is_json })
    }
}
