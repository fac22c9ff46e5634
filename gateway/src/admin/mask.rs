//! What must not be seen in an answer.
//!
//! Owns the last look at each answer: what `${env:}` and `${file:}` filled into the configuration is taken
//! out of it, whoever put it there. Must not know which endpoint answers.

use serde_json::Value;

use crate::config::Source;

/// Members that hold an address: `/metrics` and the log show it too, and it is how targets are told apart.
const ADDRESSES: [&str; 2] = ["address", "target"];

/// Between two texts. No value that is filled in has it: it stands in no environment variable.
const BETWEEN: char = '\0';

/// Takes out what was filled in.
pub(super) fn hide(source: &Source, answer: &mut Value) {
    let mut texts = Vec::new();
    visit(answer, &mut |text| texts.push(text.clone()));
    let joined = texts.join(&BETWEEN.to_string());
    let hidden = source.redact(&joined);
    if hidden == joined {
        return;
    }
    // All texts at once, since each look for a secret costs as much as the secret is long.
    let mut pieces: Vec<String> = hidden.split(BETWEEN).map(str::to_owned).collect();
    if pieces.len() != texts.len() {
        pieces = texts.iter().map(|text| source.redact(text)).collect();
    }
    let mut pieces = pieces.into_iter();
    visit(answer, &mut |text| *text = pieces.next().unwrap_or_default());
}

/// Every text that is a value, in an order that stays.
fn visit(value: &mut Value, see: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) => see(text),
        Value::Array(items) => items.iter_mut().for_each(|item| visit(item, see)),
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                if !(ADDRESSES.contains(&name.as_str()) && member.is_string()) {
                    visit(member, see);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{Known, read};

    #[test]
    fn what_was_filled_in_is_seen_nowhere_but_in_addresses() {
        let text = "[[listeners]]\nname = \"${env:A}\"\naddress = \"127.0.0.1:0\"\n\
                    [[routes]]\nname = \"${env:B}\"\npaths = [\"/\"]\nrespond.body = \"x\"\n";
        let environment = |name: &str| match name {
            "A" => Some("hunter2".into()),
            _ => Some("a-very-long-secret-of-many-letters".into()),
        };
        let source = Source::new("test.toml", text);
        let config = read(source, &environment, &Known { built_in: &[] }).unwrap().config;
        let mut answer = json!({
            "a": ["hunter2", 7, { "b": "x hunter2 y", "address": "hunter2" }],
            "part": "it is long-secret-of-many, at least",
            "plain": "plain",
        });
        hide(&config.source, &mut answer);
        assert_eq!(
            answer,
            json!({
                "a": ["${env:A}", 7, { "b": "x ${env:A} y", "address": "hunter2" }],
                "part": "it is ${env:B}, at least",
                "plain": "plain",
            })
        );
    }
}
