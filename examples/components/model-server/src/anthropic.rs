//! Anthropic's API: messages.

use serde_json::{Value, json};

use crate::reply::{Answer, Mood, Said, each, texts};

pub(crate) fn messages(body: &Value) -> Answer {
    let model = body["model"].as_str().unwrap_or("stand-in");
    let mood = Mood::of(model);
    match mood {
        Mood::Busy => {
            let json = error("rate_limit_error", "Too many requests for this model.");
            return Answer::error(429, json).with("retry-after", "1");
        }
        Mood::Broken => return Answer::error(529, error("overloaded_error", "Overloaded")),
        Mood::Well | Mood::Overloaded | Mood::Breaks => {}
    }
    let Some(most) = body["max_tokens"].as_u64() else {
        return Answer::error(400, error("invalid_request_error", "max_tokens: Field required"));
    };
    let mut prompt = vec![texts(&body["system"])];
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    prompt.extend(messages.iter().map(|it| texts(&it["content"])));
    let tools: Vec<_> =
        each(&body["tools"]).map(|tool| (&tool["name"], &tool["input_schema"])).collect();
    let said = Said::with_tools(&prompt, Some(most), &tools);
    let reason = match &said {
        Said { calls, .. } if !calls.is_empty() => "tool_use",
        Said { cut: true, .. } => "max_tokens",
        Said { .. } => "end_turn",
    };
    let tool_use = |index: usize, name: &str, input: &Value| json!({ "type": "tool_use", "id": format!("toolu_{index}"), "name": name, "input": input });
    let message = |content: Value, reason: Option<&str>, output: usize| {
        json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": model,
            "content": content, "stop_reason": reason, "stop_sequence": null,
            "usage": { "input_tokens": said.input, "output_tokens": output },
        })
    };
    if body["stream"] != true {
        let mut content = json!([{ "type": "text", "text": said.text() }]);
        if !said.calls.is_empty() {
            let calls = said.calls.iter().enumerate();
            content = calls.map(|(at, call)| tool_use(at, &call.name, &call.arguments)).collect();
        }
        return Answer::json(message(content, Some(reason), said.words.len()));
    }
    if matches!(mood, Mood::Overloaded) {
        let start = json!({ "type": "message_start", "message": message(json!([]), None, 0) });
        return Answer::events(vec![
            event(&start),
            event(&error("overloaded_error", "Overloaded")),
        ]);
    }
    let delta = |index: usize, delta: Value| {
        event(&json!({ "type": "content_block_delta", "index": index, "delta": delta }))
    };
    let start = |index: usize, block: Value| {
        event(&json!({ "type": "content_block_start", "index": index, "content_block": block }))
    };
    let stop = |index: usize| event(&json!({ "type": "content_block_stop", "index": index }));
    let mut events = vec![
        event(&json!({ "type": "message_start", "message": message(json!([]), None, 1) })),
        event(&json!({ "type": "ping" })),
    ];
    for (at, call) in said.calls.iter().enumerate() {
        events.push(start(at, tool_use(at, &call.name, &json!({}))));
        events.extend(
            call.pieces().map(|piece| {
                delta(at, json!({ "type": "input_json_delta", "partial_json": piece }))
            }),
        );
        events.push(stop(at));
    }
    if said.calls.is_empty() {
        events.push(start(0, json!({ "type": "text", "text": "" })));
        let words = said.words.iter();
        events.extend(words.map(|word| delta(0, json!({ "type": "text_delta", "text": word }))));
        events.push(stop(0));
    }
    events.push(event(&json!({
        "type": "message_delta",
        "delta": { "stop_reason": reason, "stop_sequence": null },
        "usage": { "output_tokens": said.words.len() },
    })));
    events.push(event(&json!({ "type": "message_stop" })));
    Answer::events(mood.stream(events, || event(&error("overloaded_error", "Overloaded"))))
}

/// An event with the name of its type.
fn event(json: &Value) -> String {
    format!("event: {}\ndata: {json}\n\n", json["type"].as_str().unwrap_or_default())
}

fn error(kind: &str, message: &str) -> Value {
    json!({ "type": "error", "error": { "type": kind, "message": message }, "request_id": "req_1" })
}
