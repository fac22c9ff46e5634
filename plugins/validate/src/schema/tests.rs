//! Schemas and values: our own, and the public suite where it is there.

use super::{Checker, Compiler, Dialect, Problem, Side};
use crate::json::Json;

fn json(text: &str) -> Json {
    Json::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn faults(schema: &str, dialect: Dialect) -> Vec<(String, String)> {
    let document = json(schema);
    let mut compiler = Compiler::new(&document, dialect);
    compiler.schema("");
    compiler.finish().err().unwrap_or_default()
}

fn problems_in(schema: &Json, value: &Json, dialect: Dialect, side: Side) -> Vec<Problem> {
    let mut compiler = Compiler::new(schema, dialect);
    let id = compiler.schema("");
    let schemas = compiler.finish().unwrap();
    Checker::new(&schemas, side, 20).problems(id, value)
}

fn told(schema: &str, value: &str) -> Vec<String> {
    let dialect = Dialect { formats: true, ..Dialect::default() };
    let problems = problems_in(&json(schema), &json(value), dialect, Side::Request);
    problems.into_iter().map(|it| format!("{} {}", it.pointer, it.detail)).collect()
}

#[test]
fn every_place_is_told_and_no_value() {
    let schema = r##"{
        "type": "object", "required": ["id", "lines"], "additionalProperties": false,
        "properties": {
            "id": { "type": "string", "pattern": "^[a-z]+$", "maxLength": 3 },
            "lines": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/line" } },
            "state": { "enum": ["open", "closed"] }
        },
        "$defs": { "line": { "required": ["count"], "properties": {
            "count": { "type": "integer", "minimum": 1, "exclusiveMaximum": 100 },
            "price": { "multipleOf": 0.01 }
        } } }
    }"##;
    assert!(
        told(schema, r#"{"id": "ab", "lines": [{"count": 1.0, "price": 4.35}], "state": "open"}"#)
            .is_empty()
    );
    let value = r#"{"id": "Secret", "lines": [{"count": 0}, {}, {"count": 100, "price": 0.001}], "state": "secret", "a/b": 1}"#;
    assert_eq!(
        told(schema, value),
        [
            "/a~1b is not allowed",
            "/id must have at most 3 characters",
            "/id must match the pattern ^[a-z]+$",
            "/lines/0/count must be at least 1",
            "/lines/1 must have the property count",
            "/lines/2/count must be less than 100",
            "/lines/2/price must be a multiple of 0.01",
            "/state must be one of \"closed\", \"open\"",
        ]
    );
    assert_eq!(told(schema, "[]"), [" must be an object"]);
    assert_eq!(told(schema, "{}"), [" must have the property id", " must have the property lines"]);
}

#[test]
fn the_alternative_that_is_meant_is_told_of_if_there_is_one() {
    let schema = r#"{"anyOf": [{"type": "null"}, {"type": "object", "required": ["a"]}]}"#;
    assert_eq!(told(schema, "{}"), [" must have the property a"]);
    assert_eq!(told(schema, "1"), [" is none of the alternatives that `anyOf` allows"]);
    let schema = r#"{"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}"#;
    assert_eq!(told(schema, "{}"), [" is none of the alternatives that `oneOf` allows"]);
    assert_eq!(
        told(schema, r#"{"a": 1, "b": 1}"#),
        [" is more than one of the alternatives of `oneOf`"]
    );
}

#[test]
fn numbers_are_judged_exactly() {
    let cases = [
        (r#"{"maximum": 9007199254740992}"#, "9007199254740993", false),
        (r#"{"maximum": 18446744073709551616}"#, "18446744073709551616", true),
        (r#"{"maximum": 18446744073709551616}"#, "18446744073709551617", false),
        (r#"{"multipleOf": 0.1}"#, "0.30000000000000000000000000001", false),
        (r#"{"multipleOf": 0.1}"#, "1e308", true),
        (r#"{"type": "integer"}"#, "1e400", true),
        (r#"{"const": 0.1}"#, "0.1000000000000000055511151231257827", false),
        (r#"{"uniqueItems": true}"#, "[9007199254740992, 9007199254740993]", true),
        (r#"{"uniqueItems": true}"#, "[1, 1.0]", false),
        (r#"{"format": "int64"}"#, "9223372036854775808", false),
    ];
    for (schema, value, fits) in cases {
        assert_eq!(told(schema, value).is_empty(), fits, "{schema} {value}");
    }
}

#[test]
fn formats_are_checked_where_that_is_asked_for() {
    let cases = [
        ("date-time", "2026-02-28T23:59:60Z", "2026-02-29T00:00:00Z"),
        ("date", "2024-02-29", "2024-13-01"),
        ("time", "12:00:00.5+02:00", "24:00:00Z"),
        ("email", "a.b+c@example.com", "a@b@"),
        ("hostname", "api.example", "-a.example"),
        ("ipv4", "192.0.2.1", "192.0.2.256"),
        ("ipv6", "2001:db8::1", "192.0.2.1"),
        ("uri", "https://a.example/b?c=%20", "/relative"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567"),
    ];
    for (format, right, wrong) in cases {
        let schema = format!(r#"{{"format": "{format}"}}"#);
        let quoted = |text: &str| format!("\"{text}\"");
        assert!(told(&schema, &quoted(right)).is_empty(), "{format} {right}");
        assert_eq!(told(&schema, &quoted(wrong)), [format!(" must have the format {format}")]);
        let silent =
            problems_in(&json(&schema), &json(&quoted(wrong)), Dialect::default(), Side::Request);
        assert!(silent.is_empty());
        assert!(told(&schema, "7").is_empty());
    }
}

#[test]
fn openapi_3_0_has_its_own_words() {
    let dialect = Dialect { is_openapi_3_0: true, formats: true, ..Dialect::default() };
    let fits = |schema: &str, value: &str, side| {
        problems_in(&json(schema), &json(value), dialect, side).is_empty()
    };
    assert!(fits(r#"{"type": "string", "nullable": true}"#, "null", Side::Request));
    assert!(!fits(r#"{"minimum": 1, "exclusiveMinimum": true}"#, "1", Side::Request));
    let schema = r#"{"required": ["id", "password"], "properties": {
        "id": {"readOnly": true}, "password": {"writeOnly": true}}}"#;
    assert!(
        fits(schema, r#"{"password": 1}"#, Side::Request)
            && fits(schema, r#"{"id": 1}"#, Side::Response)
    );
    assert!(!fits(schema, r#"{"id": 1}"#, Side::Request) && !fits(schema, "{}", Side::Response));
}

#[test]
fn faults_of_a_schema_are_told_all_at_once_with_their_places() {
    let schema = r##"{
        "type": "text", "properties": {
            "a": { "pattern": "(?=a)" }, "b": { "$ref": "#/$defs/none" }, "c": { "$ref": "https://other.example/x" },
            "d": { "minLength": -1 }, "e": { "required": "a" }, "f": 7, "g": { "$dynamicRef": "#a" },
            "h": { "multipleOf": 0 }, "i": { "$id": "https://x.example/" }, "j": { "pattern": "(" }
        }
    }"##;
    let found = faults(schema, Dialect::default());
    let mut places: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    places.sort_unstable();
    assert_eq!(
        places,
        [
            "/properties/a/pattern",
            "/properties/b/$ref",
            "/properties/c/$ref",
            "/properties/d/minLength",
            "/properties/e/required",
            "/properties/f",
            "/properties/g/$dynamicRef",
            "/properties/h/multipleOf",
            "/properties/i/$id",
            "/properties/j/pattern",
            "/type",
        ]
    );
    assert!(found.iter().any(|(_, it)| it.contains("look-around (`(?=`)")), "{found:?}");
}

/// No schema and no value takes the time or the stack of all.
#[test]
fn time_and_depth_are_bounded() {
    let round = r##"{"$ref": "#"}"##;
    assert_eq!(told(round, "1"), [" cannot be checked: it takes too long, or lies too deep"]);
    assert!(!told(r##"{"not": {"$ref": "#"}}"##, "1").is_empty());
    let wide =
        r##"{"anyOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}], "type": "array"}"##;
    let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    assert!(!told(wide, &deep).is_empty());
    let list = r##"{"properties": {"next": {"$ref": "#"}}, "additionalProperties": false}"##;
    let value = (0..90).fold("{}".to_owned(), |inner, _| format!(r#"{{"next": {inner}}}"#));
    assert!(told(list, &value).is_empty());
}

/// The public suite, which `VALIDATE_SUITE` names: the folder of one draft of its tests.
#[test]
#[ignore = "the suite is not part of the project"]
fn the_public_suite_agrees() {
    let folder =
        std::env::var("VALIDATE_SUITE").expect("VALIDATE_SUITE names a folder of the suite");
    // Up to draft 7 a schema that names no version is one of 2020-12 here.
    let old = ["draft4", "draft6", "draft7"].into_iter().find(|it| folder.ends_with(it));
    let version = old.map(|it| format!("http://json-schema.org/draft-0{}/schema#", &it[5..]));
    let (mut right, mut wrong, mut refused) = (0, Vec::new(), 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "json") {
            continue;
        }
        let Json::Array(groups) = json(&std::fs::read_to_string(&path).unwrap()) else { continue };
        for group in groups {
            let mut schema = group.get("schema").unwrap().clone();
            if let (Json::Object(members), Some(version)) = (&mut schema, &version) {
                members.insert("$schema".to_owned(), Json::Text(version.clone()));
            }
            let schema = &schema;
            let Some(Json::Array(tests)) = group.get("tests") else { continue };
            let mut compiler = Compiler::new(schema, Dialect::default());
            let id = compiler.schema("");
            let Ok(schemas) = compiler.finish() else {
                refused += tests.len();
                continue;
            };
            for test in tests {
                let checker = Checker::new(&schemas, Side::Request, 20);
                let fits = checker.problems(id, test.get("data").unwrap()).is_empty();
                if Some(fits) == test.get("valid").and_then(Json::bool) {
                    right += 1;
                } else {
                    wrong.push(format!(
                        "{:?}: {:?}: {:?}",
                        path.file_name(),
                        group.get("description"),
                        test.get("description")
                    ));
                }
            }
        }
    }
    println!("{right} right, {} wrong, {refused} refused", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
