//! Speaks the APIs of OpenAI, Anthropic, Gemini, Ollama, Bedrock and Cohere, as a `wasi:http` component. There is no model behind it: it
//! repeats what it was told, and says so. For examples and tests of what stands in front of a model.
//!
//! Where a prompt begins with `call `, each tool that the request offers is called, and the rest of the prompt is the
//! value of each argument that the tool requires.
//!
//! A model whose name begins with `busy` answers 429, one with `broken` 503, one with `overloaded` answers 200 and then,
//! in a stream, an error in place of content, and one with `breaks` an error in the middle of it. One with `slow` is silent for
//! two seconds there.

// Nowhere else is there a `wasi:http` to answer.
#![cfg(target_family = "wasm")]

mod anthropic;
mod bedrock;
mod cohere;
mod files;
mod gemini;
mod ollama;
mod openai;
mod reply;
mod responses;

use std::io::{Read as _, Write as _};
use std::time::Duration;

use serde_json::{Value, json};
use wasip2::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

use reply::{Answer, Reply};

wasip2::http::proxy::export!(ModelServer);

struct ModelServer;

impl wasip2::exports::http::incoming_handler::Guest for ModelServer {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let answer = match request.method() {
            Method::Get if path.ends_with("/models") => openai::models(),
            Method::Post if is_form(&request) => match bytes(&request) {
                Some(form) => files::answer(path, &form),
                None => unknown(),
            },
            Method::Post => match read(&request) {
                Some(body) => {
                    let model = body["model"].as_str().unwrap_or_default();
                    let pauses = model.starts_with("slow") || path.contains("/slow");
                    Answer { pauses, ..answer(path, &body) }
                }
                None => {
                    Answer::error(400, json!({ "error": { "message": "The body is not JSON." } }))
                }
            },
            _ => unknown(),
        };
        send(out, &answer);
    }
}

fn answer(path: &str, body: &Value) -> Answer {
    if path.ends_with("/chat/completions") {
        openai::chat(body)
    } else if path.ends_with("/responses") {
        responses::create(body)
    } else if path.ends_with("/v2/chat") {
        cohere::chat(body)
    } else if path.ends_with("/v2/embed") {
        cohere::embed(body)
    } else if path.ends_with("/api/chat") {
        ollama::chat(body)
    } else if path.ends_with("/api/embed") {
        ollama::embed(body)
    } else if path.ends_with("/audio/speech") {
        files::speech(body)
    } else if path.ends_with("/embeddings") {
        openai::embeddings(body)
    } else if path.ends_with("/messages") {
        anthropic::messages(body)
    } else if let Some((model, verb)) = bedrock::called(path) {
        bedrock::answer(&model, verb, body)
    } else if let Some((model, verb)) = path.rsplit('/').next().and_then(|end| end.split_once(':'))
    {
        gemini::generate(model, verb, body)
    } else {
        unknown()
    }
}

fn unknown() -> Answer {
    Answer::error(404, json!({ "error": { "message": "There is nothing here." } }))
}

fn is_form(request: &IncomingRequest) -> bool {
    let kinds = request.headers().get("content-type");
    kinds.first().is_some_and(|kind| kind.starts_with(b"multipart/form-data"))
}

fn read(request: &IncomingRequest) -> Option<Value> {
    serde_json::from_slice(&bytes(request)?).ok()
}

fn bytes(request: &IncomingRequest) -> Option<Vec<u8>> {
    let body = request.consume().ok()?;
    let mut stream = body.stream().ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn send(out: ResponseOutparam, answer: &Answer) {
    let fields = Fields::new();
    let field = |name: &str, value: &str| {
        fields.append(name, value.as_bytes()).expect("a field that a response may have");
    };
    let kind = match answer.reply {
        Reply::Json(_) => "application/json",
        Reply::Events(_) => "text/event-stream",
        Reply::Lines(_) => "application/x-ndjson",
        Reply::Frames(_) => "application/vnd.amazon.eventstream",
        Reply::Sound(_) => "audio/mpeg",
    };
    field("content-type", kind);
    for (name, value) in &answer.fields {
        field(name, value);
    }
    let response = OutgoingResponse::new(fields);
    response.set_status_code(answer.status).expect("a status");
    let body = response.body().expect("the body is asked for once");
    ResponseOutparam::set(out, Ok(response));
    let mut stream = body.write().expect("the stream is asked for once");
    // A client that has left takes no more: there is nobody to tell.
    let mut write = |event: &[u8]| {
        stream.write_all(event)?;
        std::io::Write::flush(&mut stream)
    };
    let pause = |index: usize, all: usize| {
        if answer.pauses && index == all / 2 {
            std::thread::sleep(Duration::from_secs(2));
        }
    };
    let _client_left = match &answer.reply {
        Reply::Json(json) => write(json.to_string().as_bytes()),
        Reply::Events(events) | Reply::Lines(events) => {
            events.iter().enumerate().try_for_each(|(index, event)| {
                pause(index, events.len());
                write(event.as_bytes())
            })
        }
        Reply::Sound(sound) => write(sound),
        Reply::Frames(frames) => frames.iter().enumerate().try_for_each(|(index, frame)| {
            pause(index, frames.len());
            write(frame)
        }),
    };
    drop(stream);
    let _client_left = OutgoingBody::finish(body, None);
}
