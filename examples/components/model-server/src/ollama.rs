//! Ollama's API: chat, as lines of JSON or as a whole, and embeddings.

use serde_json::{Value, json};

use crate::reply::{Answer, Mood, Said, each, texts};

pub(crate) fn chat(body: &Value) -> Answer {
    let model = body["model"].as_str().unwrap_or("stand-in");
    // A stream is what is sent where a request says nothing.
    let streams = body["stream"] != false;
    let overloaded = || json!({ "error": "The model is overloaded." });
    let mood = Mood::of(model);
    match mood {
        Mood::Busy => return Answer::error(429, json!({ "error": "Too many requests." })),
        Mood::Broken => return Answer::error(503, json!({ "error": "The model does not run." })),
        Mood::Overloaded if streams => return Answer::lines(vec![line(&overloaded())]),
        Mood::Well | Mood::Overloaded | Mood::Breaks => {}
    }
    let messages: Vec<String> = each(&body["messages"]).map(|it| texts(&it["content"])).collect();
    let tools = each(&body["tools"]).map(|tool| &tool["function"]);
    let tools: Vec<_> = tools.map(|tool| (&tool["name"], &tool["parameters"])).collect();
    let said = Said::with_tools(&messages, body["options"]["num_predict"].as_u64(), &tools);
    let calls = said
        .calls
        .iter()
        .map(|call| json!({ "function": { "name": call.name, "arguments": call.arguments } }));
    let calls: Vec<Value> = calls.collect();
    let piece = |content: &str, calls: &[Value]| {
        let mut message = json!({ "role": "assistant", "content": content });
        if !calls.is_empty() {
            message["tool_calls"] = calls.into();
        }
        json!({
            "model": model, "created_at": "2026-01-01T00:00:00Z", "message": message, "done": false,
        })
    };
    let end = |mut piece: Value| {
        piece["done"] = true.into();
        piece["done_reason"] = if said.cut { "length" } else { "stop" }.into();
        piece["prompt_eval_count"] = said.input.into();
        piece["eval_count"] = said.words.len().into();
        piece
    };
    let text = if calls.is_empty() { said.text() } else { String::new() };
    if !streams {
        return Answer::json(end(piece(&text, &calls)));
    }
    let mut lines = Vec::new();
    if calls.is_empty() {
        lines.extend(said.words.iter().map(|word| line(&piece(word, &[]))));
    }
    lines.extend(calls.iter().map(|call| line(&piece("", std::slice::from_ref(call)))));
    lines.push(line(&end(piece("", &[]))));
    Answer::lines(mood.stream(lines, || line(&overloaded())))
}

/// Two numbers for each text: its length, and one.
pub(crate) fn embed(body: &Value) -> Answer {
    let all: Vec<&str> = match &body["input"] {
        Value::String(text) => vec![text],
        list => each(list).filter_map(Value::as_str).collect(),
    };
    let tokens: usize = all.iter().map(|text| text.split_whitespace().count()).sum();
    let vectors: Vec<_> = all.iter().map(|text| [text.len(), 1]).collect();
    Answer::json(json!({
        "model": body["model"], "embeddings": vectors, "total_duration": 1, "load_duration": 1,
        "prompt_eval_count": tokens,
    }))
}

fn line(json: &Value) -> String {
    format!("{json}\n")
}
