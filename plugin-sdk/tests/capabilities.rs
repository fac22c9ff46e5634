//! The doubles of what a plugin reaches when it is granted it: they hold it to the rules of the
//! gateway.

use gateway_plugin_sdk::http_client::{self, HttpError};
use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::testing::{self, Harness};
use gateway_plugin_sdk::{metrics, secrets};

/// Calls the upstream `there` from the hook that the request's `x-where` names, as often as
/// `x-times` says, and counts what became of it under `outcome`.
struct Calls {
    at_first: Option<HttpError>,
    secret: Option<String>,
}

impl Calls {
    fn call(&self, times: u32) {
        for _ in 0..times {
            let outcome = match http_client::get("there", "/").response_limit(10).send() {
                Ok(answer) => answer.status().to_string(),
                Err(error) => format!("{error:?}"),
            };
            metrics::counter_with("calls", &[("outcome", &outcome)]).increment();
        }
    }
}

impl Plugin for Calls {
    type Config = NoConfig;
    type Context = u32;

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        metrics::gauge("configured").set(1.0);
        let at_first = http_client::get("there", "/").send().err();
        Ok(Self { at_first, secret: secrets::get("key") })
    }

    fn interest(&self) -> Interest {
        Interest::on_request().and_on_complete()
    }

    fn on_request(&self, request: &mut Request, times: &mut u32) -> Outcome {
        *times = request.header("x-times").and_then(|times| times.parse().ok()).unwrap_or(1);
        match request.header("x-where") {
            Some("chunk") => request.want_request_body(BodyMode::Chunks),
            Some("piece") => request.want_response_body(BodyMode::Chunks),
            Some("complete") => {}
            _ => {
                self.call(*times);
                *times = 0;
            }
        }
        Outcome::Next
    }

    fn on_request_chunk(&self, _: &mut Chunk, times: &mut u32) -> ChunkOutcome {
        self.call(std::mem::take(times));
        ChunkOutcome::Next
    }

    fn on_response_chunk(&self, _: &mut Chunk, times: &mut u32) -> ChunkOutcome {
        self.call(std::mem::take(times));
        ChunkOutcome::Next
    }

    fn on_complete(&self, _: &Summary, times: &u32) {
        self.call(*times);
    }
}

fn harness(body: &'static str) -> Harness<Calls> {
    let prepared = Harness::<Calls>::prepare().secret("key", "value");
    let prepared = prepared.upstream("there", move |_| Ok(testing::response().body(body)));
    prepared.configure(NoConfig {}).expect("there is nothing to refuse")
}

fn counted(harness: &Harness<Calls>, outcome: &str) -> u64 {
    harness.counter("calls", &[("outcome", outcome)])
}

#[test]
fn sixteen_requests_of_one_hook_are_answered() {
    let harness = harness("short");
    for round in 1..=2 {
        harness.request(testing::request().header("x-times", "20"));
        assert_eq!(counted(&harness, "200"), 16 * round);
        assert_eq!(counted(&harness, "TooMany"), 4 * round);
    }
    assert_eq!(harness.calls().len(), 32);
    assert_eq!((harness.calls()[0].method(), harness.calls()[0].target()), ("GET", "/"));
}

#[test]
fn hooks_that_cannot_wait_are_told_so() {
    for place in ["chunk", "complete"] {
        let harness = harness("short");
        let request = testing::request().header("x-where", place).body("piece");
        harness.request(request).complete();
        assert_eq!((counted(&harness, "NotHere"), harness.calls().len()), (1, 0), "{place}");
    }
}

#[test]
fn a_hook_for_pieces_of_a_response_can_wait() {
    let harness = harness("short");
    let mut exchange = harness.request(testing::request().header("x-where", "piece"));
    exchange.response(testing::response().chunks(["one", "two"]));
    assert_eq!((counted(&harness, "200"), harness.calls().len()), (1, 1));
}

#[test]
fn nothing_is_there_that_was_not_granted() {
    let granted = harness("short");
    assert_eq!(granted.gauge("configured", &[]), Some(1.0));
    granted.serve(|| assert_eq!(secrets::get("other"), None));

    let bare = Harness::<Calls>::new(NoConfig {}).unwrap();
    bare.request(testing::request());
    assert_eq!(counted(&bare, "NotGranted"), 1);
    bare.serve(|| assert_eq!(secrets::get("key"), None));
}

#[test]
fn configure_reads_secrets_and_sends_nothing() {
    let host = harness("short");
    let found = host.serve(|| Calls::configure(NoConfig {}).map(|it| (it.at_first, it.secret)));
    // Outside of a hook, parts of a plugin may do what the hook could.
    assert_eq!(found, Ok((None, Some("value".to_owned()))));
    let calls = host.calls().len();
    assert_eq!(calls, 1, "that one alone: the harness's own `configure` was refused");
}

#[test]
fn a_body_that_is_longer_than_asked_for_is_no_response() {
    let harness = harness("longer than ten bytes");
    harness.request(testing::request());
    assert_eq!(counted(&harness, "TooLarge"), 1);
}

#[test]
fn a_request_that_is_none_is_refused_with_the_reason() {
    let harness = harness("short");
    let send = |request: http_client::Request| harness.serve(|| request.send());
    for request in [
        http_client::get("there", "no slash"),
        http_client::get("there", "/").header("content-length", "3"),
        http_client::get("there", "/").header("x", "a\r\nb"),
        http_client::Request::new("G T", "there", "/"),
    ] {
        assert!(matches!(send(request.clone()), Err(HttpError::Invalid(_))), "{request:?}");
    }
    assert_eq!(harness.calls(), []);
}
