//! What is written, held against its JSON Schema.

use super::*;

/// As much of JSON Schema as ours uses. The path of what does not fit.
fn check(root: &Value, schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{path}: {what}: {value}"));
    for key in schema.as_object().into_iter().flat_map(Map::keys) {
        let known = [
            "$defs",
            "$ref",
            "$schema",
            "additionalProperties",
            "anyOf",
            "const",
            "description",
            "enum",
            "items",
            "minimum",
            "oneOf",
            "properties",
            "required",
            "title",
            "type",
        ];
        if !known.contains(&key.as_str()) {
            return Err(format!(
                "the schema uses {key}, which this test does not check"
            ));
        }
    }
    if let Some(name) = schema["$ref"].as_str() {
        let target = root
            .pointer(name.trim_start_matches('#'))
            .ok_or_else(|| format!("{name} leads nowhere"))?;
        check(root, target, value, path)?;
    }
    if let Some(expected) = schema.get("const")
        && expected != value
    {
        return wrong("not the constant");
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.contains(value)
    {
        return wrong("not in the enum");
    }
    for (key, exactly_one) in [("oneOf", true), ("anyOf", false)] {
        if let Some(choices) = schema[key].as_array() {
            let results: Vec<Result<(), String>> = choices
                .iter()
                .map(|choice| check(root, choice, value, path))
                .collect();
            let fit = results.iter().filter(|result| result.is_ok()).count();
            if fit == 0 || (exactly_one && fit > 1) {
                return Err(format!("{path}: {key}: {fit} fit: {results:?}"));
            }
        }
    }
    if !has_type(&schema["type"], value) {
        return wrong("another type");
    }
    if let Some(minimum) = schema["minimum"].as_i64()
        && value.as_i64().is_some_and(|value| value < minimum)
    {
        return wrong("below the minimum");
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        for (n, value) in values.iter().enumerate() {
            check(root, items, value, &format!("{path}[{n}]"))?;
        }
    }
    let Some(fields) = value.as_object() else {
        return Ok(());
    };
    for required in schema["required"].as_array().into_iter().flatten() {
        if !fields.contains_key(required.as_str().unwrap_or_default()) {
            return wrong(&format!("without {required}"));
        }
    }
    for (name, value) in fields {
        let path = format!("{path}.{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => return Err(format!("{path}: unknown field")),
            (Value::Null, Value::Object(_)) => {
                check(root, &schema["additionalProperties"], value, &path)?;
            }
            (Value::Null, _) => {}
            (property, _) => check(root, property, value, &path)?,
        }
    }
    Ok(())
}

fn has_type(types: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => false,
    };
    match types {
        Value::Null => true,
        Value::Array(names) => names.iter().any(is),
        name => is(name),
    }
}

pub(super) fn lines(bytes: Vec<u8>) -> Vec<Value> {
    let text = String::from_utf8(bytes).unwrap();
    let root: Value = serde_json::from_str(SCHEMA).unwrap();
    text.lines()
        .map(|line| {
            assert!(
                line.starts_with("{\"type\":\""),
                "type is not first: {line}"
            );
            let value: Value = serde_json::from_str(line).unwrap();
            if let Err(error) = check(&root, &root, &value, "") {
                panic!("{line} does not fit the schema: {error}");
            }
            value
        })
        .collect()
}

#[test]
fn the_schema_knows_every_rule() {
    let root: Value = serde_json::from_str(SCHEMA).unwrap();
    let known = root["$defs"]["finding"]["properties"]["rule"]["enum"]
        .as_array()
        .unwrap();
    let known: Vec<&str> = known.iter().filter_map(Value::as_str).collect();
    let rules: Vec<&str> = RULES.iter().map(|(_, id, _)| *id).collect();
    assert_eq!(known, rules);
    let page = include_str!("../../../../docs/json.md");
    for (n, (rule, id, advice)) in RULES.into_iter().enumerate() {
        assert_eq!(
            rule as usize, n,
            "the table is not in the order of the enum"
        );
        assert!(page.contains(&format!("`{id}`")), "docs/json.md lacks {id}");
        assert!(advice.ends_with('.'));
    }
}

#[test]
fn the_check_finds_what_does_not_fit() {
    let root: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut json = Json::new(Vec::new());
    write(&mut json, &scene(), Options::default());
    let mut cycle = lines(json.into_inner())
        .into_iter()
        .find(|line| line["type"] == "cycle")
        .unwrap();
    for (name, value) in [
        ("outcome", Value::from("fine")),
        ("region", Value::from(-1)),
        ("before", Value::from(3)),
        ("surprise", Value::from(1)),
    ] {
        let mut wrong = cycle.clone();
        wrong[name] = value;
        assert!(
            check(&root, &root, &wrong, "").is_err(),
            "{name} was not checked"
        );
    }
    cycle.as_object_mut().unwrap().remove("ack_ns");
    assert!(check(&root, &root, &cycle, "").is_err());
}
