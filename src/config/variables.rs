//! Environment variables that look like settings but are unknown.

use std::ffi::OsString;

use super::table::settings;

const PREFIX: &str = "LATCHD_";
/// Names that users of the Node original expect, and the settings that they mean here.
const EXPECTED: [(&str, &str); 3] = [
    ("PORT", "LISTEN"),
    ("HOST", "LISTEN"),
    ("REDIS_URL", "STORE"),
];

/// Returns a warning for each variable that is misspelt, or unknown to this version. It does not
/// show values, which may be secret.
pub(super) fn warnings(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> impl Iterator<Item = String> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    variables.filter_map(move |(name, value)| {
        let (name, value) = (text(name), text(value));
        let rest = name.strip_prefix(PREFIX)?;
        let known: Vec<String> = settings()
            .map(|setting| setting.variable())
            .chain(["LATCHD_CONFIG".to_owned()])
            .collect();
        if known.contains(&name) || is_of_kubernetes(&name, &value) {
            return None;
        }
        let expected = EXPECTED.iter().find(|(other, _)| *other == rest);
        let rest = expected.map_or_else(
            || rest.to_ascii_uppercase(),
            |(_, meant)| (*meant).to_owned(),
        );
        let likeness = |variable: &&String| {
            let variable = variable.strip_prefix(PREFIX).unwrap_or_default();
            strsim::jaro(&rest, variable)
        };
        let nearest = known
            .iter()
            .max_by(|one, other| likeness(one).total_cmp(&likeness(other)))?;
        Some(format!(
            "there is no variable {name}, so it sets nothing; the nearest is {nearest}"
        ))
    })
}

/// Returns whether Kubernetes sets this variable for a service whose name is latchd, or begins with
/// it. It does so in every pod of the namespace.
pub(super) fn is_of_kubernetes(name: &str, value: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
    {
        return true;
    }
    if name.ends_with("_PORT") && value.contains("://") {
        return true;
    }
    // LATCHD_PORT_8081_TCP, and the same with _PROTO, _PORT and _ADDR.
    let Some((_, rest)) = name.split_once("_PORT_") else {
        return false;
    };
    let mut words = rest.split('_');
    words.next().is_some_and(is_number)
        && matches!(words.next(), Some("TCP" | "UDP" | "SCTP"))
        && matches!(words.next(), None | Some("PROTO" | "PORT" | "ADDR"))
        && words.next().is_none()
}
