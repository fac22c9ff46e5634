//! OpenAI's API: chat completions, embeddings and the list of models.

use serde_json::{Value, json};

use crate::reply::{Answer, Mood, Said, ToolCall, each, event, texts};

pub(crate) fn models() -> Answer {
    let model =
        json!({ "id": "stand-in", "object": "model", "created": 0, "owned_by": "examples" });
    Answer::json(json!({ "object": "list", "data": [model] }))
}

pub(crate) fn chat(body: &Value) -> Answer {
    let model = body["model"].as_str().unwrap_or("stand-in");
    let mood = Mood::of(model);
    if let Some(refused) = refusal(&mood) {
        return refused;
    }
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    let messages: Vec<String> = messages.iter().map(|it| texts(&it["content"])).collect();
    let most = body["max_completion_tokens"].as_u64().or(body["max_tokens"].as_u64());
    let tools = each(&body["tools"]).map(|tool| &tool["function"]);
    let tools: Vec<_> = tools.map(|tool| (&tool["name"], &tool["parameters"])).collect();
    let said = Said::with_tools(&messages, most, &tools);
    let reason = match &said {
        Said { calls, .. } if !calls.is_empty() => "tool_calls",
        Said { cut: true, .. } => "length",
        Said { .. } => "stop",
    };
    let usage = json!({
        "prompt_tokens": said.input,
        "completion_tokens": said.words.len(),
        "total_tokens": said.input + said.words.len(),
    });
    if body["stream"] != true {
        let mut message = json!({ "role": "assistant", "content": said.text() });
        if !said.calls.is_empty() {
            let calls = said.calls.iter().enumerate();
            let calls =
                calls.map(|(index, call)| tool_call(index, call, &call.arguments.to_string()));
            message = json!({
                "role": "assistant", "content": null, "tool_calls": calls.collect::<Vec<_>>(),
            });
        }
        return Answer::json(json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": model,
            "choices": [{ "index": 0, "message": message, "finish_reason": reason }],
            "usage": usage,
        }));
    }
    let asks_usage = body["stream_options"]["include_usage"] == true;
    let chunk = |delta: Value, reason: Option<&str>| {
        let mut chunk = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": model,
            "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }],
        });
        if asks_usage {
            chunk["usage"] = Value::Null;
        }
        event(&chunk)
    };
    if matches!(mood, Mood::Overloaded) {
        return Answer::events(vec![event(&error("server_error", "The model is overloaded."))]);
    }
    let mut events = vec![chunk(json!({ "role": "assistant", "content": "" }), None)];
    for (index, call) in said.calls.iter().enumerate() {
        let [first, rest] = call.pieces();
        let mut start = tool_call(index, call, &first);
        start["index"] = index.into();
        events.push(chunk(json!({ "tool_calls": [start] }), None));
        let more = json!({ "index": index, "function": { "arguments": rest } });
        events.push(chunk(json!({ "tool_calls": [more] }), None));
    }
    if said.calls.is_empty() {
        events.extend(said.words.iter().map(|word| chunk(json!({ "content": word }), None)));
    }
    events.push(chunk(json!({}), Some(reason)));
    if asks_usage {
        events.push(event(&json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": model,
            "choices": [], "usage": usage,
        })));
    }
    events.push("data: [DONE]\n\n".to_owned());
    let broken = || event(&error("server_error", "The model is overloaded."));
    Answer::events(mood.stream(events, broken))
}

fn tool_call(index: usize, call: &ToolCall, arguments: &str) -> Value {
    json!({
        "id": format!("call_{index}"), "type": "function",
        "function": { "name": call.name, "arguments": arguments },
    })
}

pub(crate) fn embeddings(body: &Value) -> Answer {
    let model = body["model"].as_str().unwrap_or("stand-in");
    if let Some(refused) = refusal(&Mood::of(model)) {
        return refused;
    }
    let inputs = match &body["input"] {
        Value::String(text) => vec![text.clone()],
        Value::Array(texts) => {
            texts.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    };
    let tokens: usize = inputs.iter().map(|text| text.split_whitespace().count()).sum();
    let data = inputs.iter().enumerate().map(|(index, text)| {
        let letters = |from: u8| text.bytes().filter(|byte| byte % 4 == from).count();
        let vector: Vec<usize> = (0..4).map(letters).collect();
        json!({ "object": "embedding", "index": index, "embedding": vector })
    });
    Answer::json(json!({
        "object": "list", "model": model, "data": data.collect::<Vec<_>>(),
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    }))
}

pub(crate) fn refusal(mood: &Mood) -> Option<Answer> {
    match mood {
        Mood::Busy => {
            let json = error("rate_limit_error", "Too many requests for this model.");
            Some(Answer::error(429, json).with("retry-after", "1"))
        }
        Mood::Broken => Some(Answer::error(503, error("server_error", "The model does not run."))),
        Mood::Well | Mood::Overloaded | Mood::Breaks => None,
    }
}

pub(crate) fn error(kind: &str, message: &str) -> Value {
    json!({ "error": { "message": message, "type": kind, "param": null, "code": null } })
}
