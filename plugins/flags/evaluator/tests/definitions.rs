//! Documents that are wrong, and what is said of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use gateway_flags::{ErrorCode, Flags, Reason};
use serde_json::{Map, Value, json};

fn faults(text: &str) -> Vec<String> {
    Flags::parse(text).unwrap_err().iter().map(ToString::to_string).collect()
}

/// A flag with this targeting.
fn targeted(targeting: &Value) -> String {
    json!({ "flags": { "f": { "state": "ENABLED", "variants": { "on": 1, "off": 0 }, "targeting": targeting } } }).to_string()
}

fn context(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn all_that_is_wrong_is_told_with_its_place() {
    let text = r#"{
  "$evaluators": { "a": { "$ref": "b" }, "b": { "$ref": "a" } },
  "metadata": { "x": [] },
  "flags": {
    "one": { "state": "ON", "variants": { "on": true }, "defaultVariant": "onn" },
    "two": { "state": "ENABLED", "variants": { "on": true }, "defaultVarient": "on",
      "targeting": { "if": [{ "iff": [] }, { "sem_ver": [{ "var": "v" }, "==", "1"] }, { "==": [1] }] } },
    "three": { "state": "ENABLED", "variants": [], "targeting": "on" },
    "four": { "state": "ENABLED", "variants": {}, "targeting": { "or": [{ "$ref": "a" }, { "$ref": "c" }] } },
    "five": 5
  }
}"#;
    assert_eq!(
        faults(text),
        [
            "line 2, column 47: $evaluators.b: \"a\" of \"$evaluators\" names itself",
            "line 3, column 22: metadata.x: metadata is a text, a number, true or false",
            "line 5, column 23: flags.one.state: a state is \"ENABLED\" or \"DISABLED\", and not \"ON\"",
            "line 5, column 75: flags.one.defaultVariant: there is no variant \"onn\"; did you mean \"on\"?",
            "line 6, column 80: flags.two.defaultVarient: a flag has no \"defaultVarient\"; did you mean \"defaultVariant\"?",
            "line 7, column 29: flags.two.targeting.if.0: there is no operator \"iff\"; did you mean \"if\"?",
            "line 7, column 57: flags.two.targeting.if.1.sem_ver: versions are compared by one of =, !=, <, <=, >, >=, ^, ~, \
             and not by \"==\"",
            "line 7, column 96: flags.two.targeting.if.2.==: \"==\" takes 2 or more arguments, and has 1",
            "line 8, column 48: flags.three.variants: these are values by name: an object",
            "line 9, column 90: flags.four.targeting.or.1: there is no \"c\" among \"$evaluators\"; did you mean \"a\"?",
            "line 10, column 13: flags.five: a flag is an object with \"state\" and \"variants\"",
        ]
    );
    assert_eq!(faults("{\n\"flags\": {,}}"), ["line 2, column 11: key must be a string"]);
    assert_eq!(
        faults("[]"),
        ["line 1, column 1: a document of flags is a JSON object: {\"flags\": {}}"]
    );
    assert_eq!(
        faults("{\"flag\": {}}"),
        ["line 1, column 1: there is no \"flags\"; did you mean \"flag\"?"]
    );
}

#[test]
fn what_can_never_have_a_value_is_refused() {
    for (targeting, why) in [
        (json!({ "fractional": [["on", 0], ["off", -5]] }), "sum to 0"),
        (json!({ "fractional": [["on", 0.5]] }), "with a whole number"),
        (json!({ "fractional": [["on", 2_147_483_647], ["off", 1]] }), "more than 2147483647"),
        (json!({ "fractional": [{ "var": "x" }] }), "has no buckets"),
        (json!({ "+": ["x", { "var": "y" }] }), "\"+\" cannot compute with \"x\""),
        (json!({ "/": [1, 0] }), "cannot compute with 0"),
        (json!({ "substr": [1, 2] }), "it never has a value"),
        (json!({ "and": true }), "takes its arguments as a list"),
        (json!({ "==": [1, 1], "!=": [1, 1] }), "one operator, and this has 2"),
        (json!({ "map": [{ "var": "x" }, { "var": "../y" }] }), "outside of an iteration"),
        (
            json!({ "if": [{ "var": "off" }, "on", { "var": "no" }, "of", "off"] }),
            "targeting.if.3: there is no variant \"of\"; did you mean \"off\"?",
        ),
        (
            json!({ "if": [true, { "fractional": [{ "var": "x" }, ["on", 1], ["or", 1]] }, "off"] }),
            "targeting.if.1.fractional.2.0: there is no variant \"or\"; did you mean \"on\"?",
        ),
    ] {
        let found = faults(&targeted(&targeting));
        assert!(found.len() == 1 && found[0].contains(why), "{targeting}: {found:?}");
    }
}

/// Whoever writes definitions or sends contexts cannot make an evaluation long.
#[test]
fn evaluations_are_bounded() {
    let mut shared = json!({ "e0": { "var": "x" } });
    for level in 1..30 {
        let inner = json!({ "$ref": format!("e{}", level - 1) });
        shared[format!("e{level}")] = json!({ "or": [inner, inner] });
    }
    let mut document: Value = serde_json::from_str(&targeted(&json!({ "$ref": "e29" }))).unwrap();
    document["$evaluators"] = shared;
    assert!(faults(&document.to_string())[0].contains("the expression is too large"));
    let mut deep = json!({ "var": "x" });
    for _ in 0..60 {
        deep = json!({ "!": [deep] });
    }
    assert!(faults(&targeted(&deep))[0].contains("the expression is too large"));
    let long = json!({ "some": [{ "var": "x" }, { "==": [{ "var": "" }, 1] }] });
    let grows = json!({ "reduce": [{ "var": "x" }, { "cat": [{ "var": "accumulator" }, { "var": "accumulator" }] }, "a"] });
    let widens = json!({ "reduce": [{ "var": "x" }, { "merge": [{ "var": "accumulator" }, { "var": "accumulator" }] }, [1]] });
    for (targeting, count) in [(long, 30_000), (grows, 40), (widens, 40)] {
        let flags = Flags::parse(&targeted(&targeting)).unwrap();
        let found = flags.evaluate("f", &context(json!({ "x": vec![0; count] })), 0);
        assert!(found.reason == Reason::Error && found.error.unwrap().1.contains("too many steps"));
    }
}

#[test]
fn a_flag_that_reads_the_time_is_known() {
    for (targeting, reads_time) in [
        (json!({ "var": "$flagd.timestamp" }), true),
        (json!({ "var": { "var": "name" } }), true),
        (json!({ "var": "plan" }), false),
        (
            json!({ "fractional": [{ "cat": [{ "var": "$flagd.flagKey" }, { "var": "a" }] }, ["on", 1]] }),
            false,
        ),
    ] {
        assert_eq!(
            Flags::parse(&targeted(&targeting)).unwrap().reads_time(),
            reads_time,
            "{targeting}"
        );
    }
    let flags = Flags::parse(&targeted(
        &json!({ "if": [{ ">": [{ "var": "$flagd.timestamp" }, 10] }, "on"] }),
    ))
    .unwrap();
    assert_eq!(flags.evaluate("f", &Map::new(), 11).variant.as_deref(), Some("on"));
    assert_eq!(flags.evaluate("f", &Map::new(), 10).reason, Reason::Default);
}

#[test]
fn parts_that_are_assigned_are_those_that_flagd_publishes() {
    // From the scenarios of flagd's test bed, with its flag of four suits.
    let suits = json!([{ "cat": [{ "var": "$flagd.flagKey" }, { "var": "user.name" }] },
        ["clubs", 25], ["diamonds", 25], ["hearts", 25], ["spades", 25]]);
    let flag = json!({ "state": "ENABLED", "variants": { "clubs": 1, "diamonds": 2, "hearts": 3, "spades": 4 }, "targeting": { "fractional": suits } });
    let flags = Flags::parse(&json!({ "flags": { "fractional-flag": flag } }).to_string()).unwrap();
    for (name, variant) in [
        ("jack", "hearts"),
        ("queen", "spades"),
        ("ten", "clubs"),
        ("nine", "diamonds"),
        ("3", "clubs"),
    ] {
        let context = context(json!({ "user": { "name": name } }));
        assert_eq!(
            flags.evaluate("fractional-flag", &context, 0).variant.as_deref(),
            Some(variant),
            "{name}"
        );
    }
}

#[test]
fn only_the_flag_that_is_wrong_is_in_error_where_each_counts_for_itself() {
    let text = r#"{ "flags": {
        "good": { "state": "ENABLED", "variants": { "on": 1 }, "defaultVariant": "on" },
        "bad": { "state": "ENABLED", "variants": { "on": 1 }, "defaultVariant": "on", "targeting": { "iff": [] } }
    } }"#;
    let (flags, faults) = Flags::parse_each(text).unwrap();
    assert_eq!((faults.len(), faults[0].line), (1, 3));
    assert!(flags.evaluate("good", &Map::new(), 0).value.is_some());
    assert_eq!(flags.evaluate("bad", &Map::new(), 0).error.unwrap().0, ErrorCode::ParseError);
    assert!(Flags::parse_each(&text.replace("\"ENABLED\"", "\"YES\"")).is_err());
}
