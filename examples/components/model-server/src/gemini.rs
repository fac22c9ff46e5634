//! Gemini's API: `generateContent`, `streamGenerateContent?alt=sse`, `embedContent` and `batchEmbedContents`; `predict` of
//! Vertex AI.

use serde_json::{Value, json};

use crate::reply::{Answer, Mood, Said, each, event, texts};

pub(crate) fn generate(model: &str, verb: &str, body: &Value) -> Answer {
    let streams = match verb {
        "generateContent" => false,
        "streamGenerateContent" => true,
        "embedContent" | "batchEmbedContents" => return embed(model, body),
        "predict" => return predict(body),
        _ => return Answer::error(404, error(404, "NOT_FOUND", "There is no such method.")),
    };
    let overloaded = || error(503, "UNAVAILABLE", "The model is overloaded.");
    let mood = Mood::of(model);
    match mood {
        Mood::Busy => {
            return Answer::error(429, error(429, "RESOURCE_EXHAUSTED", "Too many requests."));
        }
        Mood::Overloaded if streams => return Answer::events(vec![event(&overloaded())]),
        Mood::Broken => return Answer::error(503, overloaded()),
        Mood::Well | Mood::Overloaded | Mood::Breaks => {}
    }
    let mut prompt = vec![texts(&body["systemInstruction"]["parts"])];
    let contents = body["contents"].as_array().cloned().unwrap_or_default();
    prompt.extend(contents.iter().map(|it| told(&it["parts"])));
    let tools = each(&body["tools"]).flat_map(|tool| each(&tool["functionDeclarations"]));
    let tools: Vec<_> = tools.map(|tool| (&tool["name"], schema(tool))).collect();
    let most = body["generationConfig"]["maxOutputTokens"].as_u64();
    let said = Said::with_tools(&prompt, most, &tools);
    let reason = if said.cut { "MAX_TOKENS" } else { "STOP" };
    let usage = |output: usize| {
        json!({
            "promptTokenCount": said.input,
            "candidatesTokenCount": output,
            "totalTokenCount": said.input + output,
        })
    };
    let piece = |parts: Value, reason: Option<&str>, output: usize| {
        let content = json!({ "role": "model", "parts": parts });
        let mut candidate = json!({ "index": 0, "content": content });
        if let Some(reason) = reason {
            candidate["finishReason"] = reason.into();
        }
        json!({
            "candidates": [candidate], "usageMetadata": usage(output), "modelVersion": model,
            "responseId": "1",
        })
    };
    let calls = said.calls.iter();
    let mut parts: Vec<Value> = calls
        .map(|call| json!({ "functionCall": { "name": call.name, "args": call.arguments } }))
        .collect();
    if !streams {
        if parts.is_empty() {
            parts.push(json!({ "text": said.text() }));
        }
        return Answer::json(piece(parts.into(), Some(reason), said.words.len()));
    }
    if parts.is_empty() {
        parts = said.words.iter().map(|word| json!({ "text": word })).collect();
    }
    let all = parts.len();
    let events = parts.into_iter().enumerate().map(|(index, part)| {
        let is_last = index + 1 == all;
        event(&piece(json!([part]), is_last.then_some(reason), index + 1))
    });
    Answer::events(mood.stream(events.collect(), || event(&overloaded())))
}

/// Two numbers for each text: its length, and one. As with Gemini, what the path says and the body must be one model.
fn embed(model: &str, body: &Value) -> Answer {
    let requests = body["requests"].as_array().cloned().unwrap_or_else(|| vec![body.clone()]);
    let is_other = |request: &Value| {
        request.get("model").is_some_and(|named| *named != format!("models/{model}"))
    };
    if requests.iter().any(is_other) || requests.iter().any(|it| it["content"].is_null()) {
        return Answer::error(
            400,
            error(400, "INVALID_ARGUMENT", "The model or content is wrong."),
        );
    }
    let all: Vec<String> = requests.iter().map(|it| texts(&it["content"]["parts"])).collect();
    let tokens: usize = all.iter().map(|text| text.split_whitespace().count()).sum();
    let vectors: Vec<Value> = all.iter().map(|it| json!({ "values": [it.len(), 1] })).collect();
    let usage = json!({ "promptTokenCount": tokens });
    Answer::json(match body.get("requests") {
        Some(_) => json!({ "embeddings": vectors, "usageMetadata": usage }),
        None => json!({ "embedding": vectors[0], "usageMetadata": usage }),
    })
}

/// Embeddings of Vertex AI: the same numbers.
fn predict(body: &Value) -> Answer {
    let all: Vec<&str> = each(&body["instances"]).filter_map(|it| it["content"].as_str()).collect();
    if all.is_empty() {
        let json = error(400, "INVALID_ARGUMENT", "The instances are wrong.");
        return Answer::error(400, json);
    }
    let predictions = all.iter().map(|text| {
        let tokens = text.split_whitespace().count();
        let statistics = json!({ "truncated": false, "token_count": tokens });
        json!({ "embeddings": { "values": [text.len(), 1], "statistics": statistics } })
    });
    let predictions: Vec<Value> = predictions.collect();
    let characters: usize = all.iter().map(|text| text.len()).sum();
    let metadata = json!({ "billableCharacterCount": characters });
    Answer::json(json!({ "predictions": predictions, "metadata": metadata }))
}

/// The texts of parts, and what functions gave.
fn told(parts: &Value) -> String {
    let given = each(parts).map(|part| &part["functionResponse"]["response"]);
    let given: Vec<String> = given.filter(|it| !it.is_null()).map(Value::to_string).collect();
    if given.is_empty() { texts(parts) } else { given.join(" ") }
}

/// A function's parameters are in one of three members.
fn schema(function: &Value) -> &Value {
    let json = function.get("parametersJsonSchema").or(function.get("parameters_json_schema"));
    json.unwrap_or(&function["parameters"])
}

fn error(code: u16, status: &str, message: &str) -> Value {
    json!({ "error": { "code": code, "message": message, "status": status } })
}
