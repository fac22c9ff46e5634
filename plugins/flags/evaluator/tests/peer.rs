//! Definitions and contexts, evaluated here and by flagd's own evaluator: the results are the same.
//!
//! `FLAGD_PEER` is a folder with what `tests/peer/package.json` names. `FLAGD_DOCUMENTS` can name further documents, with
//! `:` between them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use gateway_flags::{Evaluation, Flags, Kind};
use serde_json::{Map, Value, json};

const NOW: u64 = 1_767_225_600;

/// A generator of numbers, the same in each run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % bound as u64) as usize
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
}

fn text(draw: &mut Draw) -> Value {
    draw.of(&[
        "",
        "a",
        "ab",
        "abc",
        "1",
        "10",
        "pro",
        "free",
        "1.2.3",
        "v2.0.0",
        "2.1",
        "3.0.0-rc.1",
        "ada@example.com",
    ])
    .into()
}

fn primitive(draw: &mut Draw) -> Value {
    match draw.below(8) {
        0 => Value::Null,
        1 => json!(draw.below(2) == 0),
        2 => json!(draw.below(12)),
        3 => draw.of(&[json!(-1), json!(0.5), json!(1e21), json!(2.25), json!(100)]),
        _ => text(draw),
    }
}

fn name(draw: &mut Draw) -> Value {
    draw.of(&[
        "plan",
        "age",
        "tags",
        "user.name",
        "user",
        "version",
        "missing",
        "user.missing",
        "tags.0",
        "tags.length",
        "$flagd.flagKey",
        "$flagd.timestamp",
        "targetingKey",
        "flag",
        "numbers",
    ])
    .into()
}

fn list(draw: &mut Draw) -> Value {
    json!({ "var": draw.of(&["tags", "numbers", "missing"]) })
}

/// What is read: in an iteration of the element, and else of the context.
fn read(draw: &mut Draw, is_inner: bool) -> Value {
    match draw.below(2) {
        _ if is_inner => json!({ "var": draw.of(&["", "a", "length"]) }),
        0 => json!({ "var": name(draw) }),
        _ => json!({ "var": [name(draw), primitive(draw)] }),
    }
}

/// An expression such as people write. Left out is what flagd-core itself mixes up when it compiles: variables inside of what
/// is on the right of a comparison, `and`, `or` and `missing_some` inside of `cat`, and lists as numbers.
fn expression(draw: &mut Draw, depth: usize, is_inner: bool) -> Value {
    if depth == 0 {
        return if draw.below(3) == 0 { primitive(draw) } else { read(draw, is_inner) };
    }
    let some = |draw: &mut Draw, least: usize, most: usize| -> Value {
        let count = least + draw.below(most - least + 1);
        (0..count)
            .map(|_| {
                let depth = draw.below(depth);
                expression(draw, depth, is_inner)
            })
            .collect()
    };
    match draw.below(if is_inner { 13 } else { 20 }) {
        0 | 1 => json!({ "if": some(draw, 2, 5) }),
        2..=4 => {
            let operator = draw.of(&["==", "===", "!=", "!==", "<", "<=", ">", ">="]);
            // Whether two lists are the same one is not asked.
            let right =
                if operator.len() == 3 { primitive(draw) } else { expression(draw, 0, is_inner) };
            json!({ operator: [expression(draw, depth - 1, is_inner), right] })
        }
        5 => json!({ draw.of(&["and", "or"]): some(draw, 2, 3) }),
        6 => json!({ draw.of(&["!", "!!"]): some(draw, 1, 1) }),
        7 | 8 => number(draw, depth, is_inner),
        9 => json!({ draw.of(&["min", "max"]): [number(draw, 1, is_inner), { "var": "age" }] }),
        10 => json!({ "cat": [text(draw), read(draw, is_inner), number(draw, 1, is_inner)] }),
        11 => {
            let (from, count) = (draw.below(4) as i64 - 2, draw.below(4) as i64 - 1);
            json!({ "substr": [read(draw, is_inner), from, count] })
        }
        12 => {
            let literal = json!([primitive(draw), primitive(draw), "pro"]);
            let all =
                [literal, list(draw), text(draw), json!({ "merge": [list(draw), "pro", ["a"]] })];
            json!({ "in": [read(draw, is_inner), draw.of(&all)] })
        }
        13 => json!({ draw.of(&["starts_with", "ends_with"]): [read(draw, false), text(draw)] }),
        14 => {
            let versions = [json!({ "var": "version" }), text(draw), json!(draw.below(3))];
            let comparison = draw.of(&["=", "!=", "<", "<=", ">", ">=", "^", "~"]);
            json!({ "sem_ver": [draw.of(&versions), comparison, draw.of(&versions)] })
        }
        15 => json!({ "missing": [name(draw), name(draw)] }),
        16 => {
            json!({ "if": [{ "missing_some": [draw.below(3), [name(draw), name(draw), name(draw)]] }, "on", "off"] })
        }
        17 => {
            let inner = expression(draw, depth - 1, true);
            json!({ draw.of(&["map", "filter", "all", "some", "none"]): [list(draw), inner] })
        }
        18 => json!({ "reduce": [
            list(draw), { draw.of(&["+", "max", "cat"]): [{ "var": "accumulator" }, { "var": "current" }] }, draw.below(9)
        ] }),
        _ => fractional(draw),
    }
}

fn number(draw: &mut Draw, depth: usize, is_inner: bool) -> Value {
    match draw.below(if depth == 0 { 3 } else { 4 }) {
        0 => json!(draw.below(9) + 1),
        1 => draw.of(&[json!(-1), json!(0.5), json!(1e21), json!("10"), json!(true)]),
        2 => read(draw, is_inner),
        _ => {
            let operator = draw.of(&["+", "-", "*", "/", "%"]);
            json!({ operator: [number(draw, depth - 1, is_inner), number(draw, depth - 1, is_inner)] })
        }
    }
}

fn fractional(draw: &mut Draw) -> Value {
    let mut arguments = match draw.below(3) {
        0 => vec![json!({ "cat": [{ "var": "$flagd.flagKey" }, { "var": "user.name" }] })],
        1 => vec![json!({ "var": "targetingKey" })],
        _ => Vec::new(),
    };
    for _ in 0..=draw.below(3) {
        let variant = draw.of(&[
            json!("on"),
            json!("off"),
            json!({ "var": "plan" }),
            json!(true),
            json!(1),
            json!(null),
        ]);
        arguments.push(match draw.below(5) {
            0 => json!([variant]),
            1 => json!([variant, { "if": [{ "==": [{ "var": "plan" }, "pro"] }, 90, -3] }]),
            _ => json!([variant, draw.below(100)]),
        });
    }
    json!({ "fractional": arguments })
}

/// Contexts of each kind; the first have no more than a key.
fn context(draw: &mut Draw) -> Value {
    let mut context = Map::new();
    if draw.below(8) > 0 {
        let key = format!("user-{}", draw.below(100_000));
        context.insert(
            "targetingKey".into(),
            draw.of(&[json!(key), json!(key), json!(key), json!("")]),
        );
    }
    for name in ["plan", "age", "tags", "user", "version", "flag", "numbers"] {
        let value = match (name, draw.below(6)) {
            (_, 0) => continue,
            (_, 1) => primitive(draw),
            ("tags", _) => json!([text(draw), "b", text(draw)]),
            ("numbers", _) => json!([draw.below(5), draw.below(5), 2.5]),
            ("user", _) => json!({ "name": text(draw), "age": draw.below(90) }),
            ("age", _) => json!(draw.below(90)),
            ("flag", _) => json!(draw.below(2) == 0),
            _ => text(draw),
        };
        context.insert(name.into(), value);
    }
    Value::Object(context)
}

fn generated(draw: &mut Draw, index: usize) -> Value {
    let mut variants = json!({ "on": true, "off": false, "pro": "p", "1": 1, "true": [1], "ab": { "x": 1.5 }, "": "empty" });
    if draw.below(10) == 0 {
        variants.as_object_mut().unwrap().remove("off");
    }
    let shared = expression(draw, 2, false);
    let depth = 1 + draw.below(3);
    let targeting = match draw.below(5) {
        0 => fractional(draw),
        1 => json!({ "if": [{ "$ref": "shared" }, "on", expression(draw, depth, false)] }),
        2 => json!({ "if": [expression(draw, depth, false), "on", "off"] }),
        _ => expression(draw, depth, false),
    };
    let mut flag = json!({ "state": if draw.below(20) == 0 { "DISABLED" } else { "ENABLED" }, "variants": variants });
    match draw.below(6) {
        0 => {}
        1 => flag["defaultVariant"] = Value::Null,
        2 => flag["defaultVariant"] = json!("off"),
        _ => flag["defaultVariant"] = json!("on"),
    }
    if targeting.is_object() {
        flag["targeting"] = targeting;
    }
    if draw.below(4) == 0 {
        flag["metadata"] = json!({ "version": index, "owner": "b" });
    }
    json!({ "$evaluators": { "shared": shared }, "flags": { format!("flag-{index}"): flag }, "metadata": { "owner": "a" } })
}

const KINDS: [(&str, Kind); 4] = [
    ("boolean", Kind::Boolean),
    ("string", Kind::Text),
    ("number", Kind::Number),
    ("object", Kind::Object),
];

type Asked = (String, Vec<(String, usize, Value)>);

fn cases() -> Vec<Asked> {
    let mut draw = Draw(7);
    let mut cases: Vec<Asked> = (0..4_000)
        .map(|index| {
            let document = generated(&mut draw, index).to_string();
            let key = if index % 50 == 0 { "missing".to_owned() } else { format!("flag-{index}") };
            let asked = (0..8).map(|_| (key.clone(), draw.below(4), context(&mut draw))).collect();
            (document, asked)
        })
        .collect();
    let further = std::env::var("FLAGD_DOCUMENTS").unwrap_or_default();
    let mut paths = vec![concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/flags.json").to_owned()];
    paths.extend(further.split(':').filter(|path| !path.is_empty()).map(str::to_owned));
    for path in paths {
        let document = std::fs::read_to_string(&path).unwrap();
        let keys: Value = serde_json::from_str(&document).unwrap();
        let contexts: Vec<Value> =
            known_contexts().chain((0..50).map(|_| context(&mut draw))).collect();
        let mut asked = Vec::new();
        for key in keys["flags"].as_object().unwrap().keys() {
            for (index, context) in contexts.iter().enumerate() {
                asked.push((key.clone(), index % 4, context.clone()));
                asked.push((key.clone(), 1, context.clone()));
            }
        }
        cases.push((document, asked));
    }
    cases
}

/// Contexts as the public scenarios of flagd have them.
fn known_contexts() -> impl Iterator<Item = Value> {
    let names = ["jack", "queen", "ten", "nine", "3", "seven", "eight", "two"]
        .map(|name| json!({ "user": { "name": name } }));
    let keys = [
        "jon@company.com",
        "jane@company.com",
        "some-targeting-key",
        "5c3d8535-f81a-4478-a6d3-afaa4d51199e",
    ]
    .map(|key| json!({ "targetingKey": key, "tier": "premium", "color": "red" }));
    let versions = [
        "1.0.0",
        "v1.0.0",
        "1",
        "1.5.2",
        "2.0.0",
        "2.1.0",
        "1.9.0",
        "2.0.0-alpha",
        "3.0.1",
        "3.1.0",
        "1.0.0+other",
        "myVersion_1",
        "2.0.0.0",
    ]
    .map(|version| json!({ "version": version, "targetingKey": "u" }));
    let others = [
        json!({ "id": "abcdef" }),
        json!({ "id": "uvwxyz" }),
        json!({ "id": 3 }),
        json!({ "num": 1, "version": 1 }),
        json!({ "email": "ballmer@macrosoft.com" }),
        json!({ "email": "jobs@orange.com" }),
        json!({ "customer": false }),
        json!({ "time": 1 }),
        json!({ "age": 40, "tier": "gold" }),
        json!({}),
    ];
    names.into_iter().chain(keys).chain(versions).chain(others)
}

fn shown(evaluation: &Evaluation<'_>) -> Value {
    json!({
        "has": evaluation.value.is_some(),
        "value": evaluation.value,
        "variant": evaluation.variant,
        "reason": evaluation.reason.name(),
        "error": evaluation.error.as_ref().map(|(code, _)| code.name()),
        "metadata": evaluation.metadata,
    })
}

/// Whether both say that the flag is broken. What never has a value is found here when it is read, and there when it is
/// evaluated, or the other way round.
fn are_broken(ours: &Value, theirs: &Value) -> bool {
    let is_broken = |it: &Value| matches!(it["error"].as_str(), Some("GENERAL" | "PARSE_ERROR"));
    is_broken(ours) && is_broken(theirs)
}

/// The same value, whether a number is written `1` or `1.0`.
fn even(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(even).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), even(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

fn peer(cases: &[Asked]) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peer/evaluate.mjs");
    let mut child = Command::new("node")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node runs");
    let mut input = child.stdin.take().unwrap();
    let lines: String = cases
        .iter()
        .map(|(document, asked)| {
            let evaluations: Vec<Value> = asked
                .iter()
                .map(|(key, kind, context)| json!([key, KINDS[*kind].0, context]))
                .collect();
            json!({ "now": NOW, "document": document, "evaluations": evaluations }).to_string()
                + "\n"
        })
        .collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
#[ignore = "needs Node.js and the package of flagd"]
fn values_are_those_of_flagds_own_evaluator() {
    let cases = cases();
    let peers = peer(&cases);
    assert_eq!(peers.len(), cases.len());
    let (mut compared, mut wrong) = (0, Vec::new());
    for ((document, asked), theirs) in cases.iter().zip(&peers) {
        let flags = Flags::parse_each(document);
        let (Ok((flags, _)), Value::Array(theirs)) = (&flags, theirs) else {
            if flags.is_ok() || !theirs.is_null() {
                let there = if theirs.is_null() { "refused" } else { "read" };
                wrong.push(format!(
                    "{document}\n  here {:?}\n  there {there}",
                    flags.map(|(_, faults)| faults)
                ));
            }
            continue;
        };
        for ((key, kind, context), theirs) in asked.iter().zip(theirs) {
            let ours = shown(
                &flags.evaluate(key, context.as_object().unwrap(), NOW).of_kind(KINDS[*kind].1),
            );
            compared += 1;
            if even(&ours) != even(theirs) && !are_broken(&ours, theirs) {
                let flag = serde_json::from_str::<Value>(document).unwrap()["flags"][key].take();
                wrong.push(format!("{key} {flag}\n  {context}\n  here {ours}\n  there {theirs}"));
            }
        }
    }
    println!("{compared} evaluations of {} documents compared", cases.len());
    let count = wrong.len();
    // One of each flag shows enough.
    wrong.dedup_by_key(|it| it.split(' ').next().unwrap_or_default().to_owned());
    wrong.truncate(40);
    assert_eq!(count, 0, "of {compared} differ; some are:\n{}", wrong.join("\n"));
    assert!(compared > 20_000);
}
