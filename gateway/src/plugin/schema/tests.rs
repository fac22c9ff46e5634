//! The exact messages for configurations, and what schemas cannot do.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::messages::Fault;
use super::{Schema, embedded};

fn faults_of(schema: &Value, config: &Value, filled: &[&str]) -> Vec<Fault> {
    let filled: BTreeSet<_> = filled.iter().map(|pointer| (*pointer).to_owned()).collect();
    let schema = Schema::read(&schema.to_string()).unwrap().unwrap();
    schema.check(config, &filled).unwrap()
}

/// Each finding as `pointer: message | label | note | help`, with `key` in front of the pointer
/// if it is about the key.
#[track_caller]
fn told(schema: Value, config: Value) -> Vec<String> {
    tell(&faults_of(&schema, &config, &[]))
}

fn tell(faults: &[Fault]) -> Vec<String> {
    let line = |fault: &Fault| {
        let key = if fault.at_key { "key " } else { "" };
        let mut line = format!("{key}{}: {}", fault.pointer, fault.message);
        for more in [&fault.label, &fault.note, &fault.help].into_iter().flatten() {
            line.push_str(" | ");
            line.push_str(more);
        }
        line
    };
    faults.iter().map(line).collect()
}

fn object(properties: Value) -> Value {
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

#[test]
fn tells_everything_that_is_wrong_at_once() {
    let mut schema = object(json!({
        "limit": { "type": "integer", "minimum": 1, "maximum": 10 },
        "mode": { "enum": ["fast", "slow"] },
        "name": { "type": "string", "minLength": 3, "pattern": "^[a-z]+$", "description": "A\nname. More." },
        "list": { "type": "array", "items": { "type": "boolean" }, "minItems": 1, "maxItems": 2 },
        "must": { "type": "string", "description": "What it is for. And more." },
    }));
    schema["required"] = json!(["must", "mode"]);
    let config = json!({
        "limit": 11, "mode": "fats", "name": "Xy", "list": [true, 1, "false"], "colour": 1, "nam": 2,
    });
    assert_eq!(
        told(schema.clone(), config),
        [
            "/limit: `limit` is out of range: 11 | from 1 to 10",
            "/list: `list` is too long: 3 entries | at most 2 entries",
            "/list/1: `list[1]` must be a boolean, but this is an integer | expected a boolean",
            "/list/2: `list[2]` must be a boolean, but this is a string | expected a boolean \
             | write `false` without quotes",
            "/mode: `fats` is no value of `mode` | its values are `fast`, `slow` \
             | did you mean `fast`?",
            "/name: `name` is too short: 2 characters | at least 3 characters",
            "/name: `name` is not written as it has to be | such as `zzz` | A name. As a pattern: `^[a-z]+$`",
            "key /colour: unknown key `colour` in `config` \
             | its keys are `limit`, `list`, `mode`, `must`, `name`",
            "key /nam: unknown key `nam` in `config` | did you mean `name`?",
            ": `config` has no `must` | `must` is required | `must`: What it is for",
        ]
    );
    assert_eq!(told(schema, json!({ "must": "", "mode": "slow", "limit": 10 })), [""; 0]);
}

#[test]
fn a_key_that_is_misspelt_is_not_missing_too() {
    let mut schema = object(json!({ "limit": { "type": "integer" } }));
    schema["required"] = json!(["limit"]);
    assert_eq!(
        told(schema, json!({ "lmiit": 1 })),
        ["key /lmiit: unknown key `lmiit` in `config` | did you mean `limit`?"]
    );
}

#[test]
fn follows_references_into_lists_and_maps() {
    let schema = json!({
        "properties": {
            "rules": { "type": "array", "items": { "$ref": "#/$defs/Rule" } },
            "by/name": { "additionalProperties": { "$ref": "#/$defs/Rule" } },
        },
        "$defs": { "Rule": {
            "type": "object",
            "properties": { "size": { "type": "integer" }, "then": { "$ref": "#/$defs/Rule" } },
            "required": ["size"],
        } },
    });
    let config = json!({
        "rules": [{ "size": 1 }, { "size": 2, "then": { "size": "3" } }],
        "by/name": { "a b": {} },
    });
    assert_eq!(
        told(schema, config),
        [
            "/by~1name/a b: `\"by/name\".\"a b\"` has no `size` | `size` is required",
            "/rules/1/then/size: `rules[1].then.size` must be an integer, but this is a string \
             | expected an integer | write `3` without quotes",
        ]
    );
}

#[test]
fn numbers_are_compared_as_json_compares_them() {
    let schema = object(json!({
        "whole": { "type": "integer", "multipleOf": 5 },
        "open": { "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1.5 },
        "big": { "type": "integer", "minimum": 0, "maximum": 18446744073709551615_u64 },
        "one": { "const": 1 },
    }));
    let fine = json!({ "whole": 10.0, "open": 1, "big": 18446744073709551615_u64, "one": 1.0 });
    assert_eq!(told(schema.clone(), fine), [""; 0]);
    assert_eq!(
        told(schema, json!({ "whole": 1.5, "open": 1.5, "big": -1, "one": 2 })),
        [
            "/big: `big` is out of range: -1 | from 0 to 18446744073709551615",
            "/one: `2` is no value of `one` | its only value is `1`",
            "/open: `open` is out of range: 1.5 | more than 0 and less than 1.5",
            "/whole: `whole` must be an integer, but this is a float | expected an integer",
        ]
    );
}

/// As schemars writes an enum whose values are documented, and one that may be left out.
#[test]
fn the_values_of_an_enum_are_one_list() {
    let optional = json!([{ "$ref": "#/$defs/Mode" }, { "type": "null" }]);
    let mut schema = object(json!({ "mode": { "anyOf": optional } }));
    schema["$defs"] = json!({ "Mode": { "oneOf": [
        { "type": "string", "enum": ["slow", "slower"] },
        { "type": "string", "const": "fast", "description": "Soon." },
    ] } });
    assert_eq!(
        told(schema.clone(), json!({ "mode": "fastt" })),
        ["/mode: `fastt` is no value of `mode` | its values are `slow`, `slower`, `fast` \
          | did you mean `fast`?"]
    );
    assert_eq!(
        told(schema, json!({ "mode": 1 })),
        ["/mode: `mode` must be a string, but this is an integer | expected a string \
          | write `\"1\"`"]
    );
}

#[test]
fn a_value_of_another_type_is_told_how_to_write_it() {
    let schema = object(json!({
        "size": { "type": ["integer", "null"] },
        "on": { "type": "boolean" },
        "wait": { "type": ["string", "null"], "pattern": "^[0-9]+(ms|s|m|h|d)$" },
        "name": { "type": ["string", "null"] },
        "drain": { "type": "object", "properties": { "time": {}, "bytes": {} } },
        "limits": { "anyOf": [
            { "type": "object", "properties": { "tokens": {}, "requests": {} } }, { "type": "null" },
        ] },
    }));
    let config = json!({
        "size": "32MiB", "on": "yes", "wait": 5, "name": 4, "drain": "30s", "limits": 5,
    });
    let told = told(schema, config);
    for (key, help) in [
        ("size", "write `33554432`"),
        ("on", "write `true` or `false`"),
        ("wait", "write it with its unit, as in `\"5s\"`"),
        ("name", "write `\"4\"`"),
        ("drain", "write a table, `{ ... }`, with `bytes` or `time`"),
        ("limits", "write a table, `{ ... }`, with `requests` or `tokens`"),
    ] {
        let fault = told.iter().find(|it| it.starts_with(&format!("/{key}:")));
        assert!(fault.is_some_and(|it| it.ends_with(help)), "{key}: {told:?}");
    }
}

#[test]
fn an_untagged_enum_is_told_by_type_and_then_by_what_is_inside() {
    let schema = object(json!({ "cost": { "anyOf": [
        { "type": "integer", "minimum": 1 },
        { "type": "object", "properties": { "header": { "type": "string" } },
          "additionalProperties": false },
    ] } }));
    let told = |cost: Value| told(schema.clone(), json!({ "cost": cost }));
    assert_eq!(told(json!(2)), [""; 0]);
    assert_eq!(told(json!(0)), ["/cost: `cost` is out of range: 0 | at least 1"]);
    assert_eq!(
        told(json!("two")),
        ["/cost: `cost` must be an integer or a table, but this is a string \
          | expected an integer or a table"]
    );
    assert_eq!(
        told(json!({ "headr": "x" })),
        ["key /cost/headr: unknown key `headr` in `cost` | did you mean `header`?"]
    );
}

#[test]
fn a_tagged_enum_is_told_by_its_tag() {
    let variant = |tag: &str, key: &str| {
        json!({
            "type": "object",
            "properties": { "op": { "type": "string", "const": tag }, key: { "type": "integer" } },
            "required": ["op", key], "additionalProperties": false,
        })
    };
    let schema = json!({ "oneOf": [variant("set", "value"), variant("remove", "count")] });
    assert_eq!(told(schema.clone(), json!({ "op": "remove", "count": 1 })), [""; 0]);
    assert_eq!(
        told(schema.clone(), json!({ "op": "remove", "value": 1 })),
        [
            "key /value: unknown key `value` in `config` | its keys are `count`, `op`",
            ": `config` has no `count` | `count` is required"
        ]
    );
    assert_eq!(
        told(schema.clone(), json!({ "op": "romeve", "count": 1 })),
        ["/op: `romeve` is no value of `op` | its values are `set`, `remove` \
          | did you mean `remove`?"]
    );
    assert_eq!(
        told(schema, json!({ "count": 1 })),
        [": `config` has no `op` | `op` is required | `op`: one of `set`, `remove`"]
    );
}

#[test]
fn an_externally_tagged_enum_is_told_by_its_key() {
    let variant = |key: &str| {
        json!({
            "type": "object", "required": [key], "additionalProperties": false,
            "properties": { key: { "type": "integer" } },
        })
    };
    let schema = json!({ "oneOf": [{ "enum": ["off"] }, variant("fixed"), variant("share")] });
    assert_eq!(told(schema.clone(), json!({ "share": 1 })), [""; 0]);
    assert_eq!(
        told(schema.clone(), json!({ "share": "1" })),
        ["/share: `share` must be an integer, but this is a string | expected an integer \
          | write `1` without quotes"]
    );
    assert_eq!(
        told(schema.clone(), json!({ "fixd": 1 })),
        ["key /fixd: unknown key `fixd` in `config` | did you mean `fixed`?"]
    );
    assert_eq!(
        told(schema, json!({})),
        [": `config` is empty | its key is one of `fixed`, `share`"]
    );
}

#[test]
fn variants_without_a_sign_are_told_by_what_fits_best() {
    let schema = json!({ "anyOf": [
        { "type": "object", "properties": { "a": { "type": "integer" }, "b": {} },
          "required": ["a", "b"], "additionalProperties": false },
        { "type": "object", "properties": { "c": { "type": "integer" } },
          "required": ["c"], "additionalProperties": false },
    ] });
    assert_eq!(
        told(schema, json!({ "a": true, "b": 1 })),
        ["/a: `a` must be an integer, but this is a boolean | expected an integer"]
    );
    let schema = json!({ "properties": { "x": { "anyOf": [
        { "type": "string", "pattern": "^a" }, { "type": "string", "pattern": "^b" },
    ] } } });
    assert_eq!(
        told(schema, json!({ "x": "c" })),
        [
            "/x: `x` fits none of its variants | `x` does not match `^a`; or: `x` does not match `^b`"
        ]
    );
}

/// As schemars writes `#[serde(flatten)]` beside `deny_unknown_fields`.
#[test]
fn keys_that_are_spread_over_several_schemas_are_known() {
    let schema = json!({
        "type": "object",
        "properties": { "own": { "type": "integer" } },
        "oneOf": [
            { "type": "object", "required": ["left"], "properties": { "left": {} } },
            { "type": "object", "required": ["right"], "properties": { "right": {} } },
        ],
        "allOf": [{ "$ref": "#/$defs/More" }],
        "$defs": { "More": { "properties": { "more": {} } } },
        "unevaluatedProperties": false,
    });
    assert_eq!(told(schema.clone(), json!({ "own": 1, "left": 1, "more": 1 })), [""; 0]);
    assert_eq!(
        told(schema, json!({ "own": 1, "right": 1, "mroe": 1 })),
        ["key /mroe: unknown key `mroe` in `config` | did you mean `more`?"]
    );
}

#[test]
fn conditions_names_of_keys_and_what_depends_on_a_key_are_checked() {
    let schema = json!({
        "if": { "properties": { "tls": { "const": true } }, "required": ["tls"] },
        "then": { "required": ["key"] },
        "else": { "properties": { "key": false } },
        "not": { "required": ["never"] },
        "patternProperties": { "^x-": { "type": "integer" } },
        "propertyNames": { "pattern": "^[a-z-]+$", "description": "Lower case." },
        "dependentRequired": { "user": ["password"] },
        "minProperties": 1,
    });
    assert_eq!(told(schema.clone(), json!({ "tls": true, "key": "k" })), [""; 0]);
    let config = json!({ "tls": false, "key": 1, "never": 1, "x-a": "1", "A": 1, "user": "u" });
    assert_eq!(
        told(schema.clone(), config),
        [
            "key /A: `A` is no name for a key of `config` | Lower case",
            "/x-a: `x-a` must be an integer, but this is a string | expected an integer \
             | write `1` without quotes",
            ": `config` has no `password` | `password` is required",
            ": `config` has a value that is not allowed",
            "/key: `key` is not allowed",
        ]
    );
    assert_eq!(told(schema, json!({}))[0], ": `config` is empty | at least 1 key");
}

#[test]
fn lists_have_places_and_no_entry_twice() {
    let schema = json!({ "properties": { "list": {
        "prefixItems": [{ "type": "string" }], "items": { "type": "integer" }, "uniqueItems": true,
    } } });
    assert_eq!(
        told(schema, json!({ "list": ["a", 1, "b", 1] })),
        [
            "/list/2: `list[2]` must be an integer, but this is a string | expected an integer",
            "/list/3: `list[3]` is there twice",
        ]
    );
}

#[test]
fn shows_a_text_that_fits_where_one_does_not() {
    let schema = object(json!({
        "window": { "type": "string", "pattern": "^([0-9]+(d|h))+$", "examples": [1, "soon", "1h30m", "2h"] },
        "made": { "type": "string", "pattern": "^([0-9]+(d|h))+$" },
        "wide": { "type": "string", "pattern": "^[0-9a-f]{200}$" },
    }));
    assert_eq!(
        told(schema, json!({ "window": "x", "made": "x", "wide": "x" })),
        [
            "/made: `made` does not match `^([0-9]+(d|h))+$` | such as `1d`",
            "/wide: `wide` does not match `^[0-9a-f]{200}$`",
            "/window: `window` does not match `^([0-9]+(d|h))+$` | such as `2h`",
        ]
    );
}

#[test]
fn says_what_a_duration_lacks() {
    let pattern = r"^([0-9]+(\.[0-9]+)?(d|h|ms?|s))+$";
    let named = format!("^(hour|{})$", pattern.trim_matches(['^', '$']));
    let schema = object(json!({
        "bare": { "type": "string", "pattern": pattern },
        "filled": { "type": "string", "pattern": pattern },
        "named": { "type": "string", "pattern": named },
        "spaced": { "type": "string", "pattern": pattern },
        "word": { "type": "string", "pattern": pattern },
    }));
    let config =
        json!({ "bare": "10", "filled": "10", "named": "1.5", "spaced": "10 s", "word": "soon" });
    assert_eq!(
        tell(&faults_of(&schema, &config, &["/filled"])),
        [
            "/bare: `bare` is no duration | such as `1d` | give it a unit: `10s` or `10ms`",
            "/filled: `filled` is no duration | such as `1d`",
            "/named: `named` is neither a duration nor a name that is known here | such as `hour` | give it a unit: `1.5s` or `1.5ms`",
            "/spaced: `spaced` is no duration | such as `1d` | write `10s`",
            "/word: `word` is no duration | such as `1d`",
        ]
    );
}

#[test]
fn shows_nothing_of_what_was_filled_in() {
    let schema = object(json!({
        "mode": { "enum": ["hunter1", "x"] },
        "text": { "type": "string", "minLength": 30, "pattern": "^[0-9]+$" },
        "count": { "type": "integer" },
        "flag": { "oneOf": [{ "const": "hunter3" }, { "const": "y" }] },
    }));
    let config = json!({ "mode": "hunter2", "text": "hunter2", "count": "7", "flag": "hunter2" });
    let pointers = ["/mode", "/text", "/count", "/flag"];
    assert_eq!(
        tell(&faults_of(&schema, &config, &pointers)),
        [
            "/count: `count` must be an integer, but this is a string | expected an integer",
            "/flag: this is no value of `flag` | its values are `hunter3`, `y`",
            "/mode: this is no value of `mode` | its values are `hunter1`, `x`",
            "/text: `text` is too short | at least 30 characters",
            "/text: `text` does not match `^[0-9]+$`",
        ]
    );
}

#[test]
fn a_schema_that_is_none_is_called_by_what_is_wrong_with_it() {
    assert!(Schema::read("").is_none());
    assert!(Schema::read(" \n").is_none());
    let why = |text: &str| Schema::read(text).unwrap().unwrap_err();
    assert!(why("{").starts_with("is no JSON: "));
    assert!(why(&"[".repeat(100_000)).starts_with("is no JSON: "));
    assert_eq!(why("7"), "is not valid: it is neither an object nor a boolean");
    for (schema, said) in [
        (json!({ "type": "text" }), "`/type` names no type of JSON"),
        (
            json!({ "properties": { "a/b": 7 } }),
            "`/properties/a~1b` is neither an object nor a boolean",
        ),
        (json!({ "anyOf": [] }), "`/anyOf` is no array with something in it"),
        (json!({ "items": { "minimum": "1" } }), "`/items/minimum` is no number"),
        (json!({ "minLength": -1 }), "`/minLength` is no whole number from 0"),
        (json!({ "required": [1] }), "`/required` is no array of strings"),
        (json!({ "$ref": "#/$defs/Gone" }), "`/$ref` leads to `#/$defs/Gone`, which is not there"),
        (
            json!({ "$ref": "https://example.com/schema" }),
            "`/$ref` leads to `https://example.com/schema`, and nothing is fetched",
        ),
        (
            json!({ "$ref": "file:///etc/passwd" }),
            "`/$ref` leads to `file:///etc/passwd`, and nothing is fetched",
        ),
        (
            json!({ "$ref": "#/default", "default": { "type": 7 } }),
            "`/$ref/type` names no type of JSON",
        ),
        (json!({ "items": { "$id": "x" } }), "`/items/$id` is supported at the top only"),
        (json!({ "$dynamicRef": "#x" }), "`/$dynamicRef` is not supported"),
    ] {
        assert_eq!(why(&schema.to_string()), format!("is not valid: {said}"));
    }
    let large = json!({ "description": "x".repeat(300 << 10) }).to_string();
    assert!(why(&large).starts_with("is too large: "));
}

#[test]
fn no_schema_takes_long() {
    let doubling: Value = (0..40)
        .map(|level| {
            let next = json!({ "$ref": format!("#/$defs/d{}", level + 1) });
            (format!("d{level}"), json!({ "anyOf": [next, next], "oneOf": [next, next] }))
        })
        .chain([("d40".to_owned(), json!({ "type": "string" }))])
        .collect::<serde_json::Map<_, _>>()
        .into();
    let schemas = [
        json!({ "$ref": "#" }),
        json!({ "allOf": [{ "$ref": "#" }, { "$ref": "#" }] }),
        json!({ "not": { "$ref": "#" } }),
        json!({ "unevaluatedProperties": false, "allOf": [{ "$ref": "#/$defs/a" }],
                "$defs": { "a": { "allOf": [{ "$ref": "#/$defs/b" }] },
                           "b": { "anyOf": [{ "$ref": "#/$defs/a" }, true] } } }),
        json!({ "$ref": "#/$defs/d0", "$defs": doubling }),
        json!({ "allOf": vec![json!({ "required": ["x"] }); 10_000] }),
        json!({ "properties": { "text": { "allOf": (0..2_000).map(|count| {
            json!({ "pattern": format!("((a{{1,99}}){{1,{count}}})+$") })
        }).collect::<Vec<_>>() } } }),
    ];
    let text = "a".repeat(20_000) + "b";
    let config = json!({ "text": text, "other": {} });
    for schema in schemas {
        let text = schema.to_string();
        let began = std::time::Instant::now();
        let checked = Schema::read(&text).unwrap().unwrap().check(&config, &BTreeSet::new());
        let took = began.elapsed();
        assert!(took.as_secs() < 20, "{took:?}: {}", &text[..text.len().min(99)]);
        match checked {
            Err(why) => assert_eq!(why, "takes too much work to check"),
            Ok(faults) => assert!(faults.len() <= super::MAX_FAULTS),
        }
    }
}

#[test]
fn many_findings_are_cut_and_long_words_too() {
    let schema = object(json!({}));
    let config: serde_json::Map<_, _> =
        (0..200).map(|index| (format!("k{index}"), json!(1))).collect();
    assert_eq!(faults_of(&schema, &config.into(), &[]).len(), super::MAX_FAULTS);
    let long = "x\u{1b}[31m".repeat(10_000);
    let schema = json!({ "properties": { "a": { "pattern": long, "description": long } } });
    let told = told(schema, json!({ "a": "?" })).concat();
    assert!(told.len() < 600 && !told.contains('\u{1b}'), "{told}");
}

#[test]
fn a_pattern_that_cannot_be_run_is_left_to_the_plugin() {
    let schema = json!({ "properties": { "a": { "pattern": "^(?!x)" } } });
    assert_eq!(told(schema, json!({ "a": "x" })), [""; 0]);
}

#[test]
fn an_embedded_schema_leads_into_itself() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "properties": {
            "$ref": { "$ref": "#/$defs/A" },
            "all": { "items": { "$ref": "#" } },
            "text": { "pattern": "^a$", "default": { "$ref": "#/left/alone" } },
        },
        "$defs": { "A": { "type": "string" } },
    });
    let found = embedded(&schema.to_string(), "/$defs/x").unwrap().unwrap();
    assert_eq!(
        found,
        json!({
            "properties": {
                "$ref": { "$ref": "#/$defs/x/$defs/A" },
                "all": { "items": { "$ref": "#/$defs/x" } },
                "text": { "pattern": r"(?:^a$)|\$\{(env|file):",
                          "default": { "$ref": "#/left/alone" } },
            },
            "$defs": { "A": { "type": "string" } },
        })
    );
}
