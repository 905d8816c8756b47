//! The description has what the contract's tables have: paths, methods, keys, parameters and refusals.

use std::collections::BTreeMap;
use std::fs;

use latchd::contract::{Needs, Operation, Parameter, ParameterKind, REFUSALS, ROUTES};
use serde_json::{Value, json};

fn description() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/api/documents/openapi.json"
    );
    let source = fs::read_to_string(path).expect("it can be read");
    serde_json::from_str(&source).expect("it is JSON")
}

/// The value that is meant, if this is a reference.
fn resolve<'a>(description: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        None => value,
        Some(reference) => {
            let pointer = reference.trim_start_matches('#');
            description
                .pointer(pointer)
                .unwrap_or_else(|| panic!("no {reference}"))
        }
    }
}

/// The parameters of an operation's query, by name.
fn in_query<'a>(description: &'a Value, operation: &'a Value) -> BTreeMap<&'a str, &'a Value> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let parameters = parameters.map(|parameter| resolve(description, parameter));
    let of_query = parameters.filter(|parameter| parameter["in"] == "query");
    of_query
        .map(|parameter| (parameter["name"].as_str().expect("a name"), parameter))
        .collect()
}

/// The schema that a parameter has by the table.
fn schema(description: &Value, parameter: &Parameter) -> Value {
    match (parameter.kind, parameter.bounds) {
        (ParameterKind::Number, (least, greatest)) if least == greatest => {
            json!({"type": "integer", "const": least})
        }
        (ParameterKind::Number, (least, greatest)) => {
            json!({"type": "integer", "minimum": least, "maximum": greatest})
        }
        (ParameterKind::Count, (least, greatest)) => json!({"oneOf": [
            {"type": "integer", "minimum": least, "maximum": greatest},
            {"type": "string", "enum": ["all"]},
        ]}),
        (ParameterKind::Name, _) => json!({"$ref": "#/components/schemas/Name"}),
        (ParameterKind::NamePart, _) => {
            let mut schema = description["components"]["schemas"]["Name"].clone();
            schema
                .as_object_mut()
                .expect("an object")
                .remove("description");
            schema
        }
        (ParameterKind::Fence, _) => json!({"$ref": "#/components/schemas/Fence"}),
        (ParameterKind::Flag, _) => json!({"$ref": "#/components/schemas/Flag"}),
        (ParameterKind::Method, _) => panic!("{} is described in words", parameter.name),
    }
}

fn check_operation(description: &Value, described: &Value, operation: &Operation, name: &str) {
    let is_open = operation.needs == Needs::Nothing;
    assert_eq!(described["security"] == json!([]), is_open, "{name}");
    for status in ["401", "403"] {
        let is_there = described["responses"][status].is_object();
        assert_eq!(is_there, !is_open, "{name} {status}");
    }
    let described = in_query(description, described);
    let parameters = operation.parameters.iter();
    let parameters: Vec<&&Parameter> = parameters.filter(|known| known.is_described).collect();
    let mut names: Vec<&str> = parameters.iter().map(|known| known.name).collect();
    names.sort_unstable();
    assert_eq!(
        described.keys().copied().collect::<Vec<_>>(),
        names,
        "{name}"
    );
    for parameter in parameters {
        let described = described[parameter.name];
        let what = format!("{name} {}", parameter.name);
        assert_eq!(
            described["schema"],
            schema(description, parameter),
            "{what}"
        );
        assert_eq!(
            described["required"] == true,
            parameter.is_required,
            "{what}"
        );
        let help = described["description"].as_str().unwrap_or_default();
        assert_eq!(help, parameter.help, "{what}");
    }
}

#[test]
fn each_operation_is_described_as_the_table_has_it() {
    let description = description();
    let paths = description["paths"].as_object().expect("it has paths");
    let mut known: Vec<&str> = ROUTES.iter().map(|row| row.pattern).collect();
    known.sort_unstable();
    assert_eq!(paths.keys().collect::<Vec<_>>(), known);
    for row in &ROUTES {
        let path = paths[row.pattern].as_object().expect("it has methods");
        let methods = path.keys().filter(|key| *key != "parameters");
        assert_eq!(methods.count(), row.operations().count(), "{}", row.pattern);
        for (method, operation) in row.operations() {
            let name = format!("{method} {}", row.pattern);
            let described = path.get(&method.to_lowercase());
            let described = described.unwrap_or_else(|| panic!("{name} is missing"));
            check_operation(&description, described, operation, &name);
        }
    }
}

/// Generators make no use of a parameter that no operation has.
#[test]
fn each_named_parameter_is_used() {
    let description = description();
    let named = description["components"]["parameters"]
        .as_object()
        .expect("they are named");
    let text = description["paths"].to_string();
    for name in named.keys() {
        assert!(
            text.contains(&format!("\"#/components/parameters/{name}\"")),
            "{name}"
        );
    }
}

/// The description has no answer 405: that is for methods which it does not have.
#[test]
fn each_refusal_is_named_with_its_status() {
    let description = description();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let general = text(&description["info"]["description"]);
    for row in REFUSALS.iter().filter(|row| row.status != 405) {
        let response = &description["components"]["responses"][row.status.to_string()];
        let told = text(&response["description"]);
        assert!(!told.is_empty(), "{}", row.status);
        let part = if row.field == Some("resources") {
            "N resources"
        } else {
            "N"
        };
        let words = format!("`{}`", row.words.replace("{}", part));
        let is_told = match row.status {
            400 => words.starts_with("`bad ") && told.contains("`bad …`"),
            _ => told.contains(&words) || general.contains(&format!("{} {words}", row.status)),
        };
        assert!(is_told, "{} {words}", row.status);
        let has_code = row.code == row.words || row.status == 400;
        assert!(
            has_code || told.contains(&format!("(`{}`)", row.code)),
            "{words}"
        );
    }
}
