//! Sends requests to upstreams, for the tests of outbound HTTP. The request's `x-call` names the
//! upstream, and `x-target` the target (default `/`). `x-times` is how often (default once),
//! `x-timeout` a time in milliseconds, `x-limit` how long the response's body may be. The last
//! answer shows as `x-answer: STATUS BODY` or as the error, and `x-answers` counts the responses.
//! With `x-where: body` it asks in the body hook instead, and with `x-where: chunk` in the chunk
//! hook, whose answer it writes in the chunk's place, as with `x-where: piece` in the response's; with `x-where: complete` at the end, whose
//! answer it logs. With `x-spin` it computes for ever when the response is there. Configured with
//! `promise`, it says that it never waits.

use std::time::Duration;

use gateway_plugin_sdk::http_client::{self, HttpError, Response as Answer};
use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

/// The plugin, configured.
pub struct CallsOut {
    promise: bool,
}

/// What it is configured with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whether it says that it never waits.
    #[serde(default)]
    promise: bool,
}

impl Plugin for CallsOut {
    type Config = Config;
    type Context = Wish;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let this = Self { promise: config.promise };
        if this.promise {
            return Ok(this);
        }
        match http_client::get("other", "/").send() {
            Err(HttpError::NotHere | HttpError::NotGranted) => Ok(this),
            sent => Err(ConfigError::new(format!("a request in `configure`: {sent:?}"))),
        }
    }

    fn interest(&self) -> Interest {
        let interest = Interest::on_request().and_on_complete();
        if self.promise { interest.never_waits() } else { interest }
    }

    fn on_request(&self, request: &mut Request, wish: &mut Wish) -> Outcome {
        let Some(upstream) = request.header("x-call") else { return Outcome::Next };
        let number = |name: &str| request.header(name).and_then(|text| text.parse::<u64>().ok());
        *wish = Wish {
            upstream: upstream.to_owned(),
            target: request.header("x-target").unwrap_or("/").to_owned(),
            times: number("x-times").unwrap_or(1),
            timeout: number("x-timeout"),
            limit: number("x-limit"),
            body: request.header("x-body").map(str::to_owned),
            fields: request.header("x-field").map(str::to_owned),
            complete: request.header("x-where") == Some("complete"),
        };
        match request.header("x-where") {
            Some("body") => request.want_request_body(BodyMode::Buffered(1 << 20)),
            Some("chunk") => request.want_request_body(BodyMode::Chunks),
            Some("piece") => request.want_response_body(BodyMode::Chunks),
            Some("complete") => {}
            _ => {
                let (told, count) = wish.fulfil();
                if request.header("x-spin").is_some() {
                    loop {
                        std::hint::black_box(&told);
                    }
                }
                request.set_response_header("x-answer", told);
                request.set_response_header("x-answers", count.to_string());
            }
        }
        Outcome::Next
    }

    fn on_request_body(&self, _: &mut Request, body: &mut Body, wish: &mut Wish) -> Outcome {
        body.set(wish.fulfil().0);
        Outcome::Next
    }

    fn on_request_chunk(&self, chunk: &mut Chunk, wish: &mut Wish) -> ChunkOutcome {
        chunk.replace(wish.fulfil().0);
        ChunkOutcome::Next
    }

    fn on_response_chunk(&self, chunk: &mut Chunk, wish: &mut Wish) -> ChunkOutcome {
        chunk.replace(wish.fulfil().0);
        ChunkOutcome::Next
    }

    fn on_complete(&self, _: &Summary, wish: &Wish) {
        if wish.complete {
            log::write(log::Level::Info, &wish.fulfil().0);
        }
    }
}

/// What the request asks for.
#[derive(Default, Serialize, Deserialize)]
pub struct Wish {
    upstream: String,
    target: String,
    times: u64,
    timeout: Option<u64>,
    limit: Option<u64>,
    body: Option<String>,
    fields: Option<String>,
    complete: bool,
}

impl Wish {
    /// The last answer, and how many responses there were.
    fn fulfil(&self) -> (String, u64) {
        let (mut told, mut count) = (String::new(), 0);
        for _ in 0..self.times {
            let sent = self.send();
            count += u64::from(sent.is_ok());
            told = match sent {
                Ok(answer) => {
                    let field = answer.header("x-from").unwrap_or_default();
                    let body = answer.text().unwrap_or_default();
                    let shown = &body[..body.len().min(64)];
                    format!("{} {field} {} {shown}", answer.status(), body.len())
                }
                Err(error) => format!("{error:?}"),
            };
        }
        (told, count)
    }

    fn send(&self) -> Result<Answer, HttpError> {
        let mut request = match &self.body {
            Some(body) => http_client::post(&self.upstream, &self.target).body(body.as_str()),
            None => http_client::get(&self.upstream, &self.target),
        };
        if let Some(name) = &self.fields {
            request = request.header(name, "a value");
        }
        if let Some(timeout) = self.timeout {
            request = request.timeout(Duration::from_millis(timeout));
        }
        if let Some(limit) = self.limit {
            request = request.response_limit(limit);
        }
        request.send()
    }
}

register_plugin!(CallsOut);
