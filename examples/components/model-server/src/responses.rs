//! OpenAI's API of responses: what a user says, with functions, stream or not.

use serde_json::{Value, json};

use crate::openai::{error, refusal};
use crate::reply::{Answer, Mood, Said, each, texts};

pub(crate) fn create(body: &Value) -> Answer {
    let model = body["model"].as_str().unwrap_or("stand-in");
    let mood = Mood::of(model);
    if let Some(refused) = refusal(&mood) {
        return refused;
    }
    let mut prompt = vec![texts(&body["instructions"])];
    match &body["input"] {
        Value::String(text) => prompt.push(text.clone()),
        items => prompt.extend(each(items).map(|item| match item["type"].as_str() {
            Some("function_call_output") => texts(&item["output"]),
            _ => texts(&item["content"]),
        })),
    }
    let tools: Vec<_> =
        each(&body["tools"]).map(|tool| (&tool["name"], &tool["parameters"])).collect();
    let said = Said::with_tools(&prompt, body["max_output_tokens"].as_u64(), &tools);
    let items = items(&said);
    let response = |status: &str, output: &[Value]| {
        let usage = json!({
            "input_tokens": said.input, "input_tokens_details": { "cached_tokens": 0 },
            "output_tokens": said.words.len(), "output_tokens_details": { "reasoning_tokens": 0 },
            "total_tokens": said.input + said.words.len(),
        });
        json!({
            "id": "resp_1", "object": "response", "created_at": 0, "model": model, "status": status,
            "error": null, "incomplete_details": null, "output": output, "parallel_tool_calls": true,
            "tool_choice": "auto", "tools": [],
            "usage": if status == "in_progress" { Value::Null } else { usage },
        })
    };
    if body["stream"] != true {
        return Answer::json(response("completed", &items));
    }
    let failed = || {
        let mut failed = response("failed", &[]);
        failed["error"] = error("server_error", "The model is overloaded.")["error"].clone();
        failed["error"]["code"] = "server_error".into();
        json!({ "response": failed })
    };
    let mut events = Events::default();
    events.push("response.created", json!({ "response": response("in_progress", &[]) }));
    if matches!(mood, Mood::Overloaded) {
        events.push("response.failed", failed());
        return Answer::events(events.0);
    }
    for (at, item) in items.iter().enumerate() {
        let id = &item["id"];
        let mut begun = item.clone();
        begun["status"] = "in_progress".into();
        if let Some(call) = said.calls.get(at) {
            begun["arguments"] = "".into();
            events.push("response.output_item.added", json!({ "output_index": at, "item": begun }));
            for piece in call.pieces() {
                let delta = json!({ "output_index": at, "item_id": id, "delta": piece });
                events.push("response.function_call_arguments.delta", delta);
            }
            let arguments = &item["arguments"];
            let done = json!({ "output_index": at, "item_id": id, "name": call.name, "arguments": arguments });
            events.push("response.function_call_arguments.done", done);
        } else {
            begun["content"] = json!([]);
            events.push("response.output_item.added", json!({ "output_index": at, "item": begun }));
            let place = |name: &str, value: Value| json!({ "output_index": at, "content_index": 0, "item_id": id, "logprobs": [], name: value });
            let empty = json!({ "type": "output_text", "text": "", "annotations": [] });
            events.push("response.content_part.added", place("part", empty));
            for word in &said.words {
                events.push("response.output_text.delta", place("delta", word.as_str().into()));
            }
            events.push("response.output_text.done", place("text", said.text().into()));
            events.push("response.content_part.done", place("part", item["content"][0].clone()));
        }
        events.push("response.output_item.done", json!({ "output_index": at, "item": item }));
    }
    events.push("response.completed", json!({ "response": response("completed", &items) }));
    let middle = events.0.len() / 2;
    Answer::events(mood.stream(events.0, || event(middle, "response.failed", failed())))
}

/// What is answered, as items of a response.
fn items(said: &Said) -> Vec<Value> {
    let calls = said.calls.iter().enumerate().map(|(index, call)| {
        json!({
            "type": "function_call", "id": format!("fc_{index}"), "call_id": format!("call_{index}"),
            "name": call.name, "arguments": call.arguments.to_string(), "status": "completed",
        })
    });
    let mut items: Vec<Value> = calls.collect();
    if items.is_empty() {
        let text = json!({ "type": "output_text", "text": said.text(), "annotations": [], "logprobs": [] });
        items.push(json!({
            "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [text],
        }));
    }
    items
}

/// Events with their names and numbers.
#[derive(Default)]
struct Events(Vec<String>);

impl Events {
    fn push(&mut self, name: &str, json: Value) {
        self.0.push(event(self.0.len(), name, json));
    }
}

fn event(number: usize, name: &str, mut json: Value) -> String {
    json["type"] = name.into();
    json["sequence_number"] = number.into();
    format!("event: {name}\ndata: {json}\n\n")
}
