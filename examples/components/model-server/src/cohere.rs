//! Cohere's API, version 2: chat and embeddings.

use serde_json::{Value, json};

use crate::reply::{Answer, Mood, Said, each, texts};

pub(crate) fn chat(body: &Value) -> Answer {
    let mood = Mood::of(body["model"].as_str().unwrap_or("stand-in"));
    match mood {
        Mood::Busy => {
            let json = error("Too many requests for this model.");
            return Answer::error(429, json).with("retry-after", "1");
        }
        Mood::Broken => return Answer::error(503, error("This model does not run.")),
        Mood::Well | Mood::Overloaded | Mood::Breaks => {}
    }
    let prompt: Vec<String> = each(&body["messages"]).map(|it| texts(&it["content"])).collect();
    let tools = each(&body["tools"]).map(|tool| &tool["function"]);
    let tools: Vec<_> = tools.map(|tool| (&tool["name"], &tool["parameters"])).collect();
    let said = Said::with_tools(&prompt, body["max_tokens"].as_u64(), &tools);
    let reason = match &said {
        Said { calls, .. } if !calls.is_empty() => "TOOL_CALL",
        Said { cut: true, .. } => "MAX_TOKENS",
        Said { .. } => "COMPLETE",
    };
    // All tokens are more than what is billed.
    let usage = json!({
        "billed_units": { "input_tokens": said.input, "output_tokens": said.words.len() },
        "tokens": { "input_tokens": said.input + 500, "output_tokens": said.words.len() + 2 },
    });
    let call = |index: usize, name: &str, arguments: &str| json!({ "id": format!("{name}_{index}"), "type": "function", "function": { "name": name, "arguments": arguments } });
    if body["stream"] != true {
        let mut message = json!({ "role": "assistant" });
        if said.calls.is_empty() {
            message["content"] = json!([{ "type": "text", "text": said.text() }]);
        } else {
            let calls = said.calls.iter().enumerate();
            message["tool_calls"] =
                calls.map(|(at, it)| call(at, &it.name, &it.arguments.to_string())).collect();
        }
        return Answer::json(
            json!({ "id": "chat-1", "message": message, "finish_reason": reason, "usage": usage }),
        );
    }
    let event = |kind: &str, index: Option<usize>, message: Value| {
        let mut json = json!({ "type": kind, "delta": { "message": message } });
        if let Some(index) = index {
            json["index"] = index.into();
        }
        named(&json)
    };
    let end = |kind: &str, index: usize| named(&json!({ "type": kind, "index": index }));
    let failed = || {
        let delta = json!({ "finish_reason": "ERROR", "error": "The model is overloaded." });
        named(&json!({ "type": "message-end", "delta": delta }))
    };
    let start = json!({ "role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": [] });
    let mut events = vec![named(
        &json!({ "id": "chat-1", "type": "message-start", "delta": { "message": start } }),
    )];
    if matches!(mood, Mood::Overloaded) {
        events.push(failed());
        return Answer::events(events);
    }
    for (at, it) in said.calls.iter().enumerate() {
        let start = json!({ "tool_calls": call(at, &it.name, "") });
        events.push(event("tool-call-start", Some(at), start));
        for piece in it.pieces() {
            let piece = json!({ "tool_calls": { "function": { "arguments": piece } } });
            events.push(event("tool-call-delta", Some(at), piece));
        }
        events.push(end("tool-call-end", at));
    }
    if said.calls.is_empty() {
        let start = json!({ "content": { "type": "text", "text": "" } });
        events.push(event("content-start", Some(0), start));
        for word in &said.words {
            events.push(event("content-delta", Some(0), json!({ "content": { "text": word } })));
        }
        events.push(end("content-end", 0));
    }
    let delta = json!({ "finish_reason": reason, "usage": usage });
    events.push(named(&json!({ "id": "chat-1", "type": "message-end", "delta": delta })));
    events.push("data: [DONE]\n\n".to_owned());
    Answer::events(mood.stream(events, failed))
}

/// Two numbers for each text: its length, and one.
pub(crate) fn embed(body: &Value) -> Answer {
    let all: Vec<&str> = each(&body["texts"]).filter_map(Value::as_str).collect();
    let tokens: usize = all.iter().map(|text| text.split_whitespace().count()).sum();
    if body["input_type"].as_str().is_none() {
        return Answer::error(400, error("valid input_type must be provided"));
    }
    let embeddings = match body["embedding_types"][0].as_str() {
        Some("base64") => {
            let vectors = all.iter().map(|text| base64(text.len()));
            json!({ "base64": vectors.collect::<Vec<_>>() })
        }
        _ => json!({ "float": all.iter().map(|text| [text.len(), 1]).collect::<Vec<_>>() }),
    };
    Answer::json(json!({
        "id": "embed-1", "embeddings": embeddings, "texts": all,
        "meta": { "api_version": { "version": "2" }, "billed_units": { "input_tokens": tokens } },
        "response_type": "embeddings_by_type",
    }))
}

/// The length and one as the bytes of two numbers, in base64 (RFC 4648 section 4).
fn base64(length: usize) -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let length = f32::from(u16::try_from(length).unwrap_or(u16::MAX));
    let bytes = [length.to_le_bytes(), 1_f32.to_le_bytes()].concat();
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let part = |at: usize| u32::from(three.get(at).copied().unwrap_or_default());
        let all = part(0) << 16 | part(1) << 8 | part(2);
        for at in 0..4 {
            let digit = char::from(digits[(all >> (18 - 6 * at) & 63) as usize]);
            text.push(if at > three.len() { '=' } else { digit });
        }
    }
    text
}

/// An event with the name of its type.
fn named(json: &Value) -> String {
    format!("event: {}\ndata: {json}\n\n", json["type"].as_str().unwrap_or_default())
}

fn error(message: &str) -> Value {
    json!({ "id": "error-1", "message": message })
}
