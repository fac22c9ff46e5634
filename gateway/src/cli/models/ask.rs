//! One small request to a deployment, by the API that every provider is translated for.
//!
//! Owns what is asked, and what is read of the answer. Must not know which provider answers.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Instant;

use bytes::Bytes;
use gateway::body::Body;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// Bytes of an answer, at most.
const MOST: usize = 1 << 20;

/// What a deployment answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answered {
    /// The whole of it.
    pub(super) seconds: f64,
    /// Until the first content; none where there was no stream.
    pub(super) first_token: Option<f64>,
    pub(super) input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
}

/// Has the plugin made ready, so that the first deployment is not measured with that.
pub(super) async fn warm_up(gateway: SocketAddr) {
    let Ok(stream) = TcpStream::connect(gateway).await else { return };
    let Ok((mut sender, connection)) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await
    else {
        return;
    };
    let connection = tokio::task::spawn_local(connection);
    let request = Request::get("/v1/models").header(HOST, "localhost").body(Body::empty());
    if let Ok(request) = request {
        let _answered = sender.send_request(request).await;
    }
    connection.abort();
}

/// Asks, and reads the answer to its end.
///
/// # Errors
/// Why there is none, in words.
pub(super) async fn ask(
    gateway: SocketAddr,
    model: &str,
    embeds: bool,
) -> Result<Answered, String> {
    let (path, body) = match embeds {
        true => ("/v1/embeddings", json!({ "model": model, "input": "ok" })),
        false => {
            let message = json!({ "role": "user", "content": "Answer with the one word: ok" });
            let options = json!({ "include_usage": true });
            let body = json!({
                "model": model, "messages": [message], "max_completion_tokens": 16,
                "stream": true, "stream_options": options,
            });
            ("/v1/chat/completions", body)
        }
    };
    let mut request = Request::new(Body::full(Bytes::from(body.to_string())));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static(path);
    let host = HeaderValue::try_from(gateway.to_string()).map_err(|error| error.to_string())?;
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let began = Instant::now();
    let stream = TcpStream::connect(gateway).await.map_err(|error| error.to_string())?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let connection = tokio::task::spawn_local(connection);
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let status = response.status();
    let mut reading = Reading { began, first: None, bytes: Vec::new() };
    let read = reading.read(response.into_body()).await;
    connection.abort();
    read?;
    reading.answered(status, embeds)
}

struct Reading {
    began: Instant,
    first: Option<f64>,
    bytes: Vec<u8>,
}

impl Reading {
    async fn read(&mut self, mut body: Incoming) -> Result<(), String> {
        let mut body = Pin::new(&mut body);
        while let Some(frame) = std::future::poll_fn(|it| body.as_mut().poll_frame(it)).await {
            let frame = frame.map_err(|error| format!("the answer broke off: {error}"))?;
            let Ok(data) = frame.into_data() else { continue };
            self.bytes.extend_from_slice(&data);
            if self.first.is_none() && events(&self.bytes).any(|event| has_content(&event)) {
                self.first = Some(self.began.elapsed().as_secs_f64());
            }
            if self.bytes.len() > MOST {
                return Err("the answer is too long".to_owned());
            }
        }
        Ok(())
    }

    /// What the answer says.
    fn answered(self, status: StatusCode, embeds: bool) -> Result<Answered, String> {
        let seconds = self.began.elapsed().as_secs_f64();
        if status != StatusCode::OK {
            let answer: Value = serde_json::from_slice(&self.bytes).unwrap_or_default();
            let words = message(&answer).unwrap_or("it says no more").to_owned();
            return Err(format!("{}: {words}", status.as_u16()));
        }
        let whole = serde_json::from_slice::<Value>(&self.bytes).ok();
        let events: Vec<_> = events(&self.bytes).collect();
        if let Some(words) = events.iter().find_map(message) {
            return Err(words.to_owned());
        }
        let usage = whole.iter().chain(&events).rev().map(|it| &it["usage"]);
        let usage = usage.into_iter().find(|usage| usage.is_object());
        let number = |name: &str| usage.and_then(|usage| usage[name].as_u64());
        let list = if embeds { "data" } else { "choices" };
        if !whole.iter().chain(&events).any(|it| it[list].is_array()) {
            return Err(no_answer(list, whole.as_ref().or(events.first())));
        }
        Ok(Answered {
            seconds,
            first_token: self.first,
            input_tokens: number("prompt_tokens"),
            output_tokens: number("completion_tokens"),
        })
    }
}

/// The whole events of a stream.
fn events(bytes: &[u8]) -> impl Iterator<Item = Value> {
    let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data:"));
    lines.filter_map(|line| serde_json::from_slice(line.trim_ascii()).ok())
}

/// Whether an event has text of the model's, or of its reasoning.
fn has_content(event: &Value) -> bool {
    let choices = event["choices"].as_array().into_iter().flatten();
    let delta = |choice: &Value, name: &str| {
        choice["delta"][name].as_str().is_some_and(|text| !text.is_empty())
    };
    let names = ["content", "reasoning_content", "reasoning", "refusal"];
    choices.into_iter().any(|choice| names.iter().any(|name| delta(choice, name)))
}

/// Why what came is no answer of the API, and what to look at.
fn no_answer(list: &str, came: Option<&Value>) -> String {
    let has = match came {
        Some(Value::Object(members)) if !members.is_empty() => {
            let names = members.keys().take(3).map(|name| format!("`{name}`"));
            format!("but {}", names.collect::<Vec<_>>().join(", "))
        }
        Some(Value::Object(_)) => "and is empty".to_owned(),
        Some(_) => "and is no object".to_owned(),
        None => "and is no JSON".to_owned(),
    };
    format!(
        "the answer is none of its API: it has no list `{list}`, {has}; see whether `provider`, `path` and the \
         upstream are those of the model"
    )
}

/// What an error says, in any of the forms in which it may come.
fn message(answer: &Value) -> Option<&str> {
    let error = &answer["error"];
    error["message"].as_str().or_else(|| error.as_str()).or_else(|| answer["detail"].as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(text: &str) -> Reading {
        Reading { began: Instant::now(), first: Some(0.5), bytes: text.as_bytes().to_vec() }
    }

    #[test]
    fn a_stream_is_read_with_its_usage_or_its_error() {
        let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"ok\"}}]}\n\n\
                      data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1}}\n\n\
                      data: [DONE]\n\n";
        let answered = reading(stream).answered(StatusCode::OK, false).unwrap();
        assert_eq!((answered.input_tokens, answered.output_tokens), (Some(9), Some(1)));
        assert!(events(stream.as_bytes()).any(|event| has_content(&event)));
        let broken = "data: {\"error\":{\"message\":\"out of memory\"}}\n\n";
        assert_eq!(reading(broken).answered(StatusCode::OK, false).unwrap_err(), "out of memory");
        let refused = "{\"error\":{\"message\":\"no such model\"}}";
        let refused = reading(refused).answered(StatusCode::NOT_FOUND, false).unwrap_err();
        assert_eq!(refused, "404: no such model");
        let whole = "{\"data\":[],\"usage\":{\"prompt_tokens\":2}}";
        assert_eq!(reading(whole).answered(StatusCode::OK, true).unwrap().input_tokens, Some(2));
        for (came, words) in [
            ("{\"text\":\"hi\"}", "no list `choices`, but `text`; see whether `provider`"),
            ("data: {\"text\":\"hi\"}\n\n", "but `text`"),
            ("{}", "and is empty"),
            ("\"hi\"", "and is no object"),
            ("<html>", "and is no JSON"),
            (whole, "no list `choices`, but `data`, `usage`"),
        ] {
            let error = reading(came).answered(StatusCode::OK, false).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
