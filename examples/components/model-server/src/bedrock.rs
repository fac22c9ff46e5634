//! Bedrock's API: Converse, and its stream of binary frames; embeddings of two models by InvokeModel.

use serde_json::{Value, json};

use crate::reply::{Answer, Mood, Reply, Said, each, texts};

/// The model and the verb of a path, if it is one of Converse.
pub(crate) fn called(path: &str) -> Option<(String, &str)> {
    let (before, verb) = path.rsplit_once('/')?;
    let (_, model) = before.rsplit_once("/model/")?;
    let is_known = matches!(verb, "converse" | "converse-stream" | "invoke");
    is_known.then(|| (model.replace("%3A", ":"), verb))
}

/// Two numbers for each text: its length, and one. Titan's models take one text, and no member that they do not know; of
/// Cohere's the count of tokens is beside the answer alone.
fn invoke(model: &str, body: &Value) -> Answer {
    let refused = |message: &str| {
        let answer = Answer::error(400, json!({ "message": message }));
        answer.with("x-amzn-errortype", "ValidationException")
    };
    let known = ["inputText", "dimensions", "normalize"];
    if model.contains("titan-embed") {
        let names = body.as_object().into_iter().flat_map(|members| members.keys());
        return match body["inputText"].as_str() {
            Some(_) if names.into_iter().any(|name| !known.contains(&name.as_str())) => {
                refused("extraneous key is not permitted")
            }
            Some(text) => Answer::json(json!({
                "embedding": [text.len(), 1], "embeddingsByType": { "float": [text.len(), 1] },
                "inputTextTokenCount": text.split_whitespace().count(),
            })),
            None => refused("required key [inputText] not found"),
        };
    }
    if !model.contains("cohere.embed") || body.get("model").is_some() {
        return refused("The provided model identifier or body is invalid.");
    }
    let mut answer = crate::cohere::embed(body);
    let Reply::Json(json) = &mut answer.reply else { return answer };
    let meta = json.as_object_mut().and_then(|members| members.remove("meta"));
    let tokens = meta.map(|meta| meta["billed_units"]["input_tokens"].to_string());
    match tokens {
        Some(tokens) => answer.with("x-amzn-bedrock-input-token-count", &tokens),
        None => answer,
    }
}

pub(crate) fn answer(model: &str, verb: &str, body: &Value) -> Answer {
    if verb == "invoke" { invoke(model, body) } else { converse(model, verb, body) }
}

fn converse(model: &str, verb: &str, body: &Value) -> Answer {
    let mood = Mood::of(model);
    let refused = match mood {
        Mood::Busy => Some((429, "ThrottlingException", "Too many requests for this model.")),
        Mood::Broken => Some((503, "ServiceUnavailableException", "This model does not run.")),
        Mood::Well | Mood::Overloaded | Mood::Breaks => None,
    };
    if let Some((status, kind, message)) = refused {
        return Answer::error(status, json!({ "message": message })).with("x-amzn-errortype", kind);
    }
    let messages: Vec<String> = each(&body["messages"]).map(|it| parts(&it["content"])).collect();
    let most = body["inferenceConfig"]["maxTokens"].as_u64();
    let tools = each(&body["toolConfig"]["tools"]).map(|tool| &tool["toolSpec"]);
    let tools: Vec<_> = tools.map(|tool| (&tool["name"], &tool["inputSchema"]["json"])).collect();
    let said = Said::with_tools(&messages, most, &tools);
    let reason = match &said {
        Said { calls, .. } if !calls.is_empty() => "tool_use",
        Said { cut: true, .. } => "max_tokens",
        Said { .. } => "end_turn",
    };
    let usage = json!({
        "inputTokens": said.input,
        "outputTokens": said.words.len(),
        "totalTokens": said.input + said.words.len(),
    });
    let id = |index: usize| format!("tooluse_{index}");
    if verb == "converse" {
        let mut content = vec![json!({ "text": said.text() })];
        if !said.calls.is_empty() {
            content.clear();
            for (index, call) in said.calls.iter().enumerate() {
                content.push(json!({ "toolUse": {
                    "toolUseId": id(index), "name": call.name, "input": call.arguments,
                } }));
            }
        }
        return Answer::json(json!({
            "output": { "message": { "role": "assistant", "content": content } },
            "stopReason": reason, "usage": usage, "metrics": { "latencyMs": 1 },
        }));
    }
    let broken = || {
        let message = json!({ "message": "The model is overloaded." });
        frame(("exception", "serviceUnavailableException"), &message)
    };
    if matches!(mood, Mood::Overloaded) {
        return Answer::frames(vec![broken()]);
    }
    let event = |name: &str, json: Value| frame(("event", name), &json);
    let delta = |index: usize, delta: Value| {
        event("contentBlockDelta", json!({ "contentBlockIndex": index, "delta": delta }))
    };
    let stop = |index: usize| event("contentBlockStop", json!({ "contentBlockIndex": index }));
    let mut frames = vec![event("messageStart", json!({ "role": "assistant" }))];
    for (index, call) in said.calls.iter().enumerate() {
        let start = json!({ "toolUse": { "toolUseId": id(index), "name": call.name } });
        let start = json!({ "contentBlockIndex": index, "start": start });
        frames.push(event("contentBlockStart", start));
        let pieces = call.pieces();
        frames.extend(pieces.map(|piece| delta(index, json!({ "toolUse": { "input": piece } }))));
        frames.push(stop(index));
    }
    if said.calls.is_empty() {
        frames.extend(said.words.iter().map(|word| delta(0, json!({ "text": word }))));
        frames.push(stop(0));
    }
    frames.push(event("messageStop", json!({ "stopReason": reason })));
    let end = json!({ "usage": usage, "metrics": { "latencyMs": 1 } });
    frames.push(event("metadata", end));
    Answer::frames(mood.stream(frames, broken))
}

/// The texts of a message, and those that tools gave.
fn parts(content: &Value) -> String {
    let all = each(content).map(|part| match part["text"].as_str() {
        Some(text) => text.to_owned(),
        None => texts(&part["toolResult"]["content"]),
    });
    all.collect::<Vec<_>>().join(" ")
}

/// A frame: lengths, their checksum, headers, payload, checksum of all.
fn frame((kind, name): (&str, &str), json: &Value) -> Vec<u8> {
    let (payload, mut headers) = (json.to_string(), Vec::new());
    let type_of = if kind == "event" { ":event-type" } else { ":exception-type" };
    let of_json = "application/json";
    for (name, value) in [(":message-type", kind), (type_of, name), (":content-type", of_json)] {
        headers.push(u8::try_from(name.len()).expect("a short name"));
        headers.extend_from_slice(name.as_bytes());
        // A text, with its length in two bytes.
        headers.push(7);
        headers.extend(u16::try_from(value.len()).expect("a short value").to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let number = |length: usize| u32::try_from(length).expect("a short frame").to_be_bytes();
    let mut frame = number(16 + headers.len() + payload.len()).to_vec();
    frame.extend(number(headers.len()));
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend(headers);
    frame.extend_from_slice(payload.as_bytes());
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame
}
