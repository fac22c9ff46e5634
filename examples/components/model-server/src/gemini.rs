//! Gemini's API: `generateContent` and `streamGenerateContent?alt=sse`.

use serde_json::{Value, json};

use crate::reply::{Answer, Mood, Said, event, texts};

pub(crate) fn generate(model: &str, verb: &str, body: &Value) -> Answer {
    let streams = match verb {
        "generateContent" => false,
        "streamGenerateContent" => true,
        _ => return Answer::error(404, error(404, "NOT_FOUND", "There is no such method.")),
    };
    match Mood::of(model) {
        Mood::Busy => {
            return Answer::error(429, error(429, "RESOURCE_EXHAUSTED", "Too many requests."));
        }
        Mood::Broken | Mood::Overloaded => {
            return Answer::error(503, error(503, "UNAVAILABLE", "The model is overloaded."));
        }
        Mood::Well => {}
    }
    let mut prompt = vec![texts(&body["systemInstruction"]["parts"])];
    let contents = body["contents"].as_array().cloned().unwrap_or_default();
    prompt.extend(contents.iter().map(|it| texts(&it["parts"])));
    let said = Said::to(&prompt, body["generationConfig"]["maxOutputTokens"].as_u64());
    let reason = if said.cut { "MAX_TOKENS" } else { "STOP" };
    let usage = |output: usize| {
        json!({
            "promptTokenCount": said.input,
            "candidatesTokenCount": output,
            "totalTokenCount": said.input + output,
        })
    };
    let piece = |text: &str, reason: Option<&str>, output: usize| {
        let content = json!({ "role": "model", "parts": [{ "text": text }] });
        let mut candidate = json!({ "index": 0, "content": content });
        if let Some(reason) = reason {
            candidate["finishReason"] = reason.into();
        }
        json!({
            "candidates": [candidate], "usageMetadata": usage(output), "modelVersion": model,
            "responseId": "1",
        })
    };
    let all = said.words.len();
    if !streams {
        return Answer::json(piece(&said.text(), Some(reason), all));
    }
    let words = said.words.iter().enumerate();
    let events = words.map(|(index, word)| {
        let is_last = index + 1 == all;
        event(&piece(word, is_last.then_some(reason), index + 1))
    });
    Answer::events(events.collect())
}

fn error(code: u16, status: &str, message: &str) -> Value {
    json!({ "error": { "code": code, "message": message, "status": status } })
}
