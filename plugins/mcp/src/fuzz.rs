//! Messages, lists and streams that nobody wrote.
//!
//! Owns what holds of each: another reader sees the same message that the rules were asked about, no list has what is not
//! allowed, and how a stream is cut changes nothing.

use gateway_fuzz::Target;
use gateway_json_rpc::{Events, Kind, Unreadable};
use serde_json::Value;

use crate::config::OnChanged;
use crate::list::Filter;
use crate::message;
use crate::pins::Pins;
use crate::rules::Rules;

const TOKENS: &[&str] = &[
    "\"name\":\"a\"",
    "\"name\":\"b\"",
    "\"Name\":",
    "\"n\\u0061me\":",
    "\"method\":\"tools/call\"",
    "\"params\":{",
    "\"result\":{",
    "\"tools\":[",
    "\"Tools\":[",
    "\"t\\u006fols\":[",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "null",
    "data: ",
    "data:",
    "data",
    "\n",
    "\r",
    "\n\n",
    "\r\n\r\n",
    ": ",
    "id: 1\n",
    "\u{feff}",
    "\u{17f}",
    "\\ud800",
];

fn folder(name: &str) -> String {
    format!("{}/fuzz/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn rules() -> Rules {
    let specs: Vec<_> = serde_json::from_value(serde_json::json!([{ "tools": ["b"] }])).unwrap();
    Rules::new(&specs).unwrap()
}

/// What another reader sees of a list that is not allowed.
fn forbidden(text: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(text).ok()?;
    let messages = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    let tools = messages.iter().filter_map(|it| it["result"]["tools"].as_array()).flatten();
    tools.into_iter().find(|tool| tool["name"].as_str() != Some("b")).cloned()
}

#[test]
fn another_reader_sees_the_same_message() {
    let mut seen = 0;
    Target::new(folder("messages"), TOKENS).check(|body| {
        let Ok((messages, is_batch)) = message::read(body) else { return };
        // It has no halves of characters.
        let Ok(value) = serde_json::from_slice::<Value>(body) else { return };
        assert_eq!(value.is_array(), is_batch);
        let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        assert_eq!(values.len(), messages.len());
        for (message, value) in messages.iter().zip(values) {
            seen += 1;
            assert_eq!(value["method"].as_str().unwrap_or_default(), message.method);
            assert_eq!(
                message.kind == Kind::Request,
                value.get("id").is_some() && value.get("method").is_some()
            );
            let name = match &*message.method {
                "tools/call" => &value["params"]["name"],
                "resources/read" => &value["params"]["uri"],
                _ => continue,
            };
            assert_eq!(name.as_str(), message.name.as_deref());
        }
    });
    assert!(seen > 4, "only {seen} were messages");
}

#[test]
fn no_list_has_what_is_not_allowed() {
    let (rules, pins, mut changed) = (rules(), Pins::default(), 0);
    let filter = Filter { rules: &rules, pins: &pins, on_changed: OnChanged::Hide, of: &[0] };
    Target::new(folder("lists"), TOKENS).check(|text| {
        let Ok(out) = filter.message(text) else { return };
        changed += usize::from(out.is_some());
        let out = out.as_deref().unwrap_or(text);
        assert_eq!(forbidden(out), None);
        let reads = |text: &[u8]| serde_json::from_slice::<Value>(text).is_ok();
        assert!(reads(out) || !reads(text), "{}", String::from_utf8_lossy(out));
    });
    assert!(changed > 2, "only {changed} were changed");
}

#[test]
fn how_a_stream_is_cut_changes_nothing() {
    let (rules, pins) = (rules(), Pins::default());
    let filter = Filter { rules: &rules, pins: &pins, on_changed: OnChanged::Hide, of: &[0] };
    let change = |message: &[u8]| filter.message(message);
    let through = |parts: &[&[u8]]| -> Result<_, Unreadable> {
        let (mut events, mut out) = (Events::default(), Vec::new());
        for part in parts {
            out.extend(events.read(part, Some(&change))?);
        }
        out.extend(events.rest());
        Ok((out, events.said))
    };
    Target::new(folder("streams"), TOKENS).check(|stream| {
        let whole = through(&[stream]);
        let (front, back) = stream.split_at(stream.len() / 2);
        assert_eq!(through(&[front, back]), whole);
        assert_eq!(through(&stream.chunks(1).collect::<Vec<_>>()), whole);
        let Ok((out, _)) = whole else { return };
        // As a client reads it that knows of lines alone.
        let text = String::from_utf8_lossy(&out).replace("\r\n", "\n").replace('\r', "\n");
        for event in text.split("\n\n") {
            let data = event.lines().filter_map(|line| line.strip_prefix("data:"));
            let data = data.map(str::trim_start).collect::<Vec<_>>().join("\n");
            assert_eq!(forbidden(data.as_bytes()), None, "{data}");
        }
    });
}
