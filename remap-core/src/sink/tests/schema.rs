//! What is written, held against its JSON Schema.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::Validator;

use super::*;
use crate::sink::line::Line;

/// The schema of one line, as `remap schema` prints it.
fn validator() -> Validator {
    let schema = schemars::schema_for!(Line<'_>);
    jsonschema::validator_for(schema.as_value()).unwrap()
}

pub(super) fn lines(bytes: Vec<u8>) -> Vec<Value> {
    let text = String::from_utf8(bytes).unwrap();
    let validator = validator();
    text.lines()
        .map(|line| {
            assert!(
                line.starts_with("{\"type\":\""),
                "type is not first: {line}"
            );
            let value: Value = serde_json::from_str(line).unwrap();
            assert!(validator.is_valid(&value), "{line} does not fit the schema");
            let read: Line<'_> = serde_json::from_str(line).unwrap();
            assert_eq!(
                serde_json::to_value(&read).unwrap(),
                value,
                "a line is not read back as it was written"
            );
            value
        })
        .collect()
}

/// Objects whose keys are values: maps, and enumerations whose variant is the key.
const KEYED: [&str; 10] = [
    "calls", "data", "evidence", "failed", "findings", "kernel", "lost", "outcomes", "stages",
    "threads",
];

type Shapes<'a> = BTreeMap<String, BTreeSet<Vec<&'a String>>>;

/// The names of the fields of each object, by its place and its tags.
fn shapes<'a>(place: &str, value: &'a Value, found: &mut Shapes<'a>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| shapes(place, value, found)),
        Value::Object(fields) => {
            let tags = ["type", "kind", "name"].into_iter();
            let tags: Vec<&str> = tags.filter_map(|tag| fields.get(tag)?.as_str()).collect();
            let place = format!("{place}.{}", tags.join("."));
            let keyed = KEYED
                .iter()
                .any(|name| place.ends_with(&format!("{name}.")));
            if !keyed {
                let names = fields.keys().collect();
                found.entry(place.clone()).or_default().insert(names);
            }
            for (name, value) in fields {
                shapes(&format!("{place}/{name}"), value, found);
            }
        }
        _ => {}
    }
}

/// Holds that a kind of object has the same fields whatever their values: a reader finds null, not
/// nothing.
pub(super) fn assert_one_shape(lines: &[Value]) {
    let mut found = Shapes::new();
    lines.iter().for_each(|line| shapes("", line, &mut found));
    found.retain(|_, shapes| shapes.len() > 1);
    assert!(found.is_empty(), "{found:#?}");
}

/// The rules with their descriptions, as docs/json.md lists them.
fn rules() -> String {
    let schema = schemars::schema_for!(Rule);
    let rows = schema.get("oneOf").and_then(Value::as_array).unwrap();
    let rows = rows.iter().map(|row| {
        let description = field(row, "description").replace('\n', " ");
        format!("| `{}` | {description} |\n", field(row, "const"))
    });
    rows.collect()
}

#[test]
fn the_page_lists_the_table_of_rules() {
    const PAGE: &str = "../../../docs/json.md";
    const HEAD: &str = "| rule | what was seen |\n| --- | --- |\n";
    let page = include_str!("../../../../docs/json.md");
    let (before, after) = page.split_once(HEAD).unwrap();
    let (_, after) = after.split_once("\n\n").unwrap();
    let page = format!("{before}{HEAD}{}\n{after}", rules());
    expect(PAGE, page.as_bytes());
    for rule in Rule::ALL {
        assert!(rule.advice().ends_with('.'));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut json = Json::new(Vec::new());
    write(&mut json, &scene(), Options::default());
    let mut cycle = lines(json.into_inner())
        .into_iter()
        .find(|line| line["type"] == "cycle")
        .unwrap();
    let validator = validator();
    for (name, value) in [
        ("outcome", Value::from("fine")),
        ("region", Value::from(-1)),
        ("before", Value::from(3)),
    ] {
        let mut wrong = cycle.clone();
        wrong[name] = value;
        assert!(!validator.is_valid(&wrong), "{name} was not checked");
    }
    cycle.as_object_mut().unwrap().remove("region");
    assert!(!validator.is_valid(&cycle));
}
