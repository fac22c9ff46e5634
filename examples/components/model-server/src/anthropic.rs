//! Anthropic's API: messages.

use serde_json::{Value, json};

use crate::reply::{Answer, Mood, Said, texts};

pub(crate) fn messages(body: &Value) -> Answer {
    let model = body["model"].as_str().unwrap_or("stand-in");
    let mood = Mood::of(model);
    match mood {
        Mood::Busy => {
            let json = error("rate_limit_error", "Too many requests for this model.");
            return Answer::error(429, json).with("retry-after", "1");
        }
        Mood::Broken => return Answer::error(529, error("overloaded_error", "Overloaded")),
        Mood::Well | Mood::Overloaded => {}
    }
    let Some(most) = body["max_tokens"].as_u64() else {
        return Answer::error(400, error("invalid_request_error", "max_tokens: Field required"));
    };
    let mut prompt = vec![texts(&body["system"])];
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    prompt.extend(messages.iter().map(|it| texts(&it["content"])));
    let said = Said::to(&prompt, Some(most));
    let reason = if said.cut { "max_tokens" } else { "end_turn" };
    let message = |content: Value, reason: Option<&str>, output: usize| {
        json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": model,
            "content": content, "stop_reason": reason, "stop_sequence": null,
            "usage": { "input_tokens": said.input, "output_tokens": output },
        })
    };
    if body["stream"] != true {
        let content = json!([{ "type": "text", "text": said.text() }]);
        return Answer::json(message(content, Some(reason), said.words.len()));
    }
    if matches!(mood, Mood::Overloaded) {
        let start = json!({ "type": "message_start", "message": message(json!([]), None, 0) });
        return Answer::events(vec![
            event(&start),
            event(&error("overloaded_error", "Overloaded")),
        ]);
    }
    let delta = |word: &String| {
        let delta = json!({ "type": "text_delta", "text": word });
        event(&json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
    };
    let block = json!({ "type": "text", "text": "" });
    let mut events = vec![
        event(&json!({ "type": "message_start", "message": message(json!([]), None, 1) })),
        event(&json!({ "type": "content_block_start", "index": 0, "content_block": block })),
        event(&json!({ "type": "ping" })),
    ];
    events.extend(said.words.iter().map(delta));
    events.push(event(&json!({ "type": "content_block_stop", "index": 0 })));
    events.push(event(&json!({
        "type": "message_delta",
        "delta": { "stop_reason": reason, "stop_sequence": null },
        "usage": { "output_tokens": said.words.len() },
    })));
    events.push(event(&json!({ "type": "message_stop" })));
    Answer::events(events)
}

/// An event with the name of its type.
fn event(json: &Value) -> String {
    format!("event: {}\ndata: {json}\n\n", json["type"].as_str().unwrap_or_default())
}

fn error(kind: &str, message: &str) -> Value {
    json!({ "type": "error", "error": { "type": kind, "message": message }, "request_id": "req_1" })
}
