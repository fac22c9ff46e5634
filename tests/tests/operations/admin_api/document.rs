//! Answers against the OpenAPI document, as far as its schemas say it.

use serde_json::Value;

/// What is wrong with an answer to an operation, by the document.
pub(crate) fn faults(
    document: &Value,
    path: &str,
    method: &str,
    status: u16,
    answer: &Value,
) -> Vec<String> {
    let operation = &document["paths"][path][method];
    let mut response = &operation["responses"][status.to_string()];
    if let Some(reference) = response["$ref"].as_str() {
        response = document.pointer(&reference[1..]).unwrap();
    }
    let contents = response["content"].as_object();
    let json = contents.and_then(|it| it.iter().find(|(kind, _)| kind.ends_with("json")));
    let Some((_, content)) = json else {
        return vec![format!("{method} {path} has no answer {status} in the document")];
    };
    let mut faults = Vec::new();
    check(document, &content["schema"], answer, "", &mut faults);
    faults
}

/// What is wrong with a value, by a schema of the document.
pub(crate) fn fits(document: &Value, schema: &str, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check(document, document.pointer(&schema[1..]).unwrap(), value, "", &mut faults);
    faults
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        return check(root, root.pointer(&reference[1..]).unwrap(), value, at, faults);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = choices.iter().filter(|choice| {
            let mut own = Vec::new();
            check(root, choice, value, at, &mut own);
            own.is_empty()
        });
        if fits.count() != 1 {
            faults.push(format!("{at}: not one of several"));
        }
        return;
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    let own = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = types.contains(&own) || (own == "integer" && types.contains(&"number"));
    if !types.is_empty() && !fits {
        return faults.push(format!("{at}: {own} instead of {types:?}"));
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.contains(value)
    {
        faults.push(format!("{at}: {value} is none of {choices:?}"));
    }
    if let (Some(least), Some(number)) = (schema["minimum"].as_f64(), value.as_f64())
        && number < least
    {
        faults.push(format!("{at}: {number} is below {least}"));
    }
    if let Value::Array(items) = value {
        for (index, item) in items.iter().enumerate() {
            check(root, &schema["items"], item, &format!("{at}/{index}"), faults);
        }
    }
    let Value::Object(members) = value else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !members.contains_key(name) {
            faults.push(format!("{at}: no {name}"));
        }
    }
    for (name, member) in members {
        let at = format!("{at}/{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => faults.push(format!("{at}: not in the document")),
            (Value::Null, Value::Object(_)) => {
                check(root, &schema["additionalProperties"], member, &at, faults);
            }
            (Value::Null, _) => {}
            (known, _) => check(root, known, member, &at, faults),
        }
    }
}

#[test]
fn what_does_not_fit_is_found() {
    let document = serde_json::json!({
        "paths": { "/a": { "get": { "responses": { "200": { "content": { "application/json": {
            "schema": { "$ref": "#/components/schemas/A" },
        } } } } } } },
        "components": { "schemas": { "A": {
            "type": "object", "required": ["a"], "additionalProperties": false,
            "properties": { "a": { "type": ["integer", "null"], "minimum": 0 } },
        } } },
    });
    let faults = |answer: Value| faults(&document, "/a", "get", 200, &answer).len();
    assert_eq!(faults(serde_json::json!({ "a": 1 })), 0);
    assert_eq!(faults(serde_json::json!({ "a": null })), 0);
    for wrong in [r#"{}"#, r#"{"a": -1}"#, r#"{"a": "1"}"#, r#"{"a": 1, "b": 1}"#, "[]"] {
        assert_eq!(faults(serde_json::from_str(wrong).unwrap()), 1, "{wrong}");
    }
}
