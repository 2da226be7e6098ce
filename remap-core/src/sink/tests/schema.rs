//! What is written, held against its JSON Schema.

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

#[test]
fn the_page_names_every_rule() {
    let page = include_str!("../../../../docs/json.md");
    for rule in Rule::all() {
        let id = rule.id();
        assert!(page.contains(&format!("`{id}`")), "docs/json.md lacks {id}");
        assert_eq!(serde_json::to_value(rule).unwrap(), id);
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
