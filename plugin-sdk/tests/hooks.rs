//! What a plugin sees and what becomes of its changes, hook by hook.

use std::time::Duration;

use gateway_plugin_sdk::attempts::{self, Attempt};
use gateway_plugin_sdk::held_response::{self, HeadChange, HeldResponseError};
use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::testing::{self, Breach, Exchange, Harness};
use gateway_plugin_sdk::{Ending, attributes, clock, exchange, key_value, limiter, log, password};
use serde_json::json;

/// A plugin whose hooks are given by the test.
struct Scripted {
    interest: Interest,
    request: fn(&mut Request, &mut String) -> Outcome,
    request_body: fn(&mut Request, &mut Body, &mut String) -> Outcome,
    chunk: fn(&mut Chunk, &mut String) -> ChunkOutcome,
    response: fn(&mut ResponseHead, &mut String) -> Outcome,
    response_body: fn(&mut ResponseHead, &mut Body, &mut String) -> Outcome,
    complete: fn(&Summary, &String),
}

thread_local! {
    static SCRIPT: std::cell::Cell<Option<Scripted>> = const { std::cell::Cell::new(None) };
}

impl Scripted {
    fn new(interest: Interest) -> Self {
        Self {
            interest,
            request: |_, _| Outcome::Next,
            request_body: |_, _, _| Outcome::Next,
            chunk: |_, _| ChunkOutcome::Next,
            response: |_, _| Outcome::Next,
            response_body: |_, _, _| Outcome::Next,
            complete: |_, _| {},
        }
    }

    fn harness(self) -> Harness<Scripted> {
        SCRIPT.set(Some(self));
        Harness::new(json!({})).expect("a configuration")
    }
}

impl Plugin for Scripted {
    type Config = ();
    type Context = String;

    fn configure((): ()) -> Result<Self, ConfigError> {
        SCRIPT.take().ok_or_else(|| "no script".into())
    }

    fn interest(&self) -> Interest {
        self.interest.clone()
    }

    fn on_request(&self, request: &mut Request, context: &mut String) -> Outcome {
        (self.request)(request, context)
    }

    fn on_request_body(
        &self,
        head: &mut Request,
        body: &mut Body,
        context: &mut String,
    ) -> Outcome {
        (self.request_body)(head, body, context)
    }

    fn on_request_chunk(&self, chunk: &mut Chunk, context: &mut String) -> ChunkOutcome {
        (self.chunk)(chunk, context)
    }

    fn on_response(&self, response: &mut ResponseHead, context: &mut String) -> Outcome {
        (self.response)(response, context)
    }

    fn on_response_body(
        &self,
        head: &mut ResponseHead,
        body: &mut Body,
        context: &mut String,
    ) -> Outcome {
        (self.response_body)(head, body, context)
    }

    fn on_response_chunk(&self, chunk: &mut Chunk, context: &mut String) -> ChunkOutcome {
        (self.chunk)(chunk, context)
    }

    fn on_complete(&self, summary: &Summary, context: &String) {
        (self.complete)(summary, context);
    }
}

fn assert_failed(exchange: &Exchange<'_, Scripted>, breach: Breach) {
    assert_eq!(exchange.outcome(), &testing::Outcome::Failed(breach));
}

#[test]
fn reads_what_was_declared_and_what_was_not() {
    let harness = Scripted {
        request: |request, _| {
            assert_eq!(request.header("X-One"), Some("1, 2"));
            assert_eq!(request.header("x-two"), Some("a, b"));
            assert_eq!(request.header_values("x-one"), ["1", "2"]);
            assert_eq!(request.header("x-none"), None);
            assert_eq!(request.header("x-binary"), None);
            assert_eq!(request.header_bytes("x-binary"), Some([0xff].as_slice()));
            assert_eq!(request.attribute("client.address"), Some("192.0.2.1"));
            assert_eq!(request.attribute("route.name"), Some("test"));
            assert_eq!(request.query_parameter("q").as_deref(), Some("a b"));
            assert_eq!(request.headers().len(), 5);
            Outcome::Next
        },
        ..Scripted::new(Interest::on_request().header("X-One").attribute("client.address"))
    };
    let request = testing::request().query("q=a+b").attribute("client.address", "192.0.2.1");
    let request = request.header("x-one", "1").header("x-one", "2");
    let request = request.header("x-two", "a").header("X-Two", "b").header("x-binary", [0xff]);
    let harness = harness.harness();
    assert_eq!(harness.request(request).outcome(), &testing::Outcome::Next);
}

#[test]
fn reads_after_writes_see_the_change() {
    let harness = Scripted {
        request: |request, _| {
            request.set_header("X-Name", "grace");
            assert_eq!(request.header("x-name"), Some("grace"));
            request.add_header("x-name", "joan");
            assert_eq!(request.header("x-name"), Some("grace, joan"));
            request.add_header("x-list", "3");
            assert_eq!(request.header("x-list"), Some("1, 2, 3"));
            assert_eq!(request.header_values("x-list"), ["1", "2", "3"]);
            request.remove_header("x-name");
            assert_eq!(request.header("x-name"), None);
            request.add_header("x-name", "edith");
            assert_eq!(request.header("x-name"), Some("edith"));
            request.set_method("PUT");
            request.set_path("/new");
            request.set_query("a=1");
            request.set_query_parameter("a", "2");
            request.add_query_parameter("b", "ü");
            assert_eq!((request.method(), request.path()), ("PUT", "/new"));
            assert_eq!(request.query(), Some("a=2&b=%C3%BC"));
            assert_eq!(request.attribute("consumer.id"), None);
            request.set_attribute("consumer.id", "7").unwrap();
            assert_eq!(request.attribute("consumer.id"), Some("7"));
            request.set_upstream("other");
            Outcome::Next
        },
        ..Scripted::new(Interest::on_request().header("x-name").attribute("consumer.id"))
    }
    .harness();
    let request = testing::request().header("x-name", "ada");
    let exchange = harness.request(request.header("x-list", "1").header("x-list", "2"));
    let sent = exchange.request();
    assert_eq!((sent.method(), sent.path(), sent.query()), ("PUT", "/new", Some("a=2&b=%C3%BC")));
    assert_eq!(sent.header_values("x-name"), ["edith"]);
    assert_eq!(sent.header_values("x-list"), ["1", "2", "3"]);
    assert_eq!(sent.upstream(), Some("other"));
    assert_eq!(exchange.attribute("consumer.id").as_deref(), Some("7"));
}

#[test]
fn refuses_what_breaks_the_contract() {
    fn breach(request: fn(&mut Request, &mut String) -> Outcome, expected: Breach) {
        let harness = Scripted { request, ..Scripted::new(Interest::on_request()) }.harness();
        assert_failed(&harness.request(testing::request()), expected);
    }
    breach(
        |request, _| {
            request.set_header("Content-Length", "1");
            Outcome::Next
        },
        Breach::ForbiddenField("Content-Length".to_owned()),
    );
    breach(
        |request, _| {
            request.remove_header("connection");
            Outcome::Next
        },
        Breach::ForbiddenField("connection".to_owned()),
    );
    breach(
        |request, _| {
            request.add_header("x-split", "a\r\nb: c");
            Outcome::Next
        },
        Breach::InvalidField("x-split".to_owned()),
    );
    breach(
        |request, _| {
            request.set_path("relative");
            Outcome::Next
        },
        Breach::InvalidPath("relative".to_owned()),
    );
    breach(|_, _| Outcome::respond(Response::new(101)), Breach::InvalidStatus(101));
}

#[test]
fn writes_what_is_in_every_head_before_the_hooks_see_it() {
    let interest = Interest::on_request()
        .always_set_header("x-set", "new")
        .always_add_header("x-many", "two")
        .always_remove_header("x-gone")
        .and_on_response()
        .always_set_response_header("x-set", "new")
        .always_add_response_header("x-many", "two")
        .always_remove_response_header("x-gone");
    let harness = Scripted {
        request: |request, _| {
            assert_eq!(request.header("x-set"), Some("new"));
            request.set_response_header("x-set", "newer");
            Outcome::Next
        },
        response: |response, _| {
            assert_eq!(response.header("x-many"), Some("one, two"));
            Outcome::Next
        },
        ..Scripted::new(interest)
    };
    let harness = harness.harness();
    let fields = [("x-set", "old"), ("x-many", "one"), ("x-gone", "old")];
    let request =
        fields.iter().fold(testing::request(), |it, (name, value)| it.header(*name, *value));
    let mut exchange = harness.request(request);
    let sent = exchange.request();
    assert_eq!((sent.header("x-set"), sent.header("x-gone")), (Some("new"), None));
    assert_eq!(sent.header_values("x-many"), ["one", "two"]);
    let response = testing::response();
    let response = fields.iter().fold(response, |it, (name, value)| it.header(*name, *value));
    let answer = exchange.response(response);
    assert_eq!(answer.header_values("x-set"), ["newer"], "the hook's own come after");
    assert_eq!((answer.header("x-gone"), answer.header_values("x-many").len()), (None, 2));
}

#[test]
fn refuses_a_configuration_that_would_write_what_no_head_can_carry() {
    let framing = Interest::new().always_set_response_header("content-length", "1");
    let split = Interest::new().always_add_header("x-split", "a\r\nb: c");
    for interest in [framing, split] {
        SCRIPT.set(Some(Scripted::new(interest)));
        assert!(Harness::<Scripted>::new(json!({})).is_err());
    }
}

#[test]
fn a_change_can_be_made_again_only_if_nothing_else_decided() {
    type Hook = fn(&mut Request, &mut String) -> Outcome;
    fn reuse(request: Hook) -> Option<Duration> {
        let interest = Interest::on_request().header("x-declared").attribute("tenant");
        let harness = Scripted { request, ..Scripted::new(interest) }.harness();
        let sent = testing::request().header("x-declared", "a").header("x-other", "b");
        harness.request(sent).reuse()
    }
    const HOUR: Duration = Duration::from_hours(1);
    let may: [(Hook, Option<Duration>); 3] = [
        (|_, _| Outcome::Next, None),
        (
            |request, _| {
                request.reuse_for(HOUR * 2);
                Outcome::Next
            },
            Some(HOUR),
        ),
        (
            |request, _| {
                let tenant = request.attribute("tenant").map(str::to_owned).unwrap_or_default();
                let now = clock::now().as_secs().to_string();
                let field = request.header("x-declared").map(str::len);
                request.set_header("x-seen", format!("{tenant} {now} {field:?}"));
                request.set_attribute("seen", "yes").expect("room");
                request.reuse_for(Duration::from_nanos(1));
                Outcome::Next
            },
            Some(Duration::from_nanos(1)),
        ),
    ];
    for (index, (hook, expected)) in may.into_iter().enumerate() {
        assert_eq!(reuse(hook), expected, "{index}");
    }
    let others: [fn(&mut Request); 8] = [
        |request| assert_eq!(request.header("x-other"), Some("b")),
        |request| assert_eq!(request.path(), "/"),
        |request| assert_eq!(request.attribute("other"), None),
        |_| attributes::set("other", "a").expect("room"),
        |_| drop(exchange::response_headers()),
        |_| drop(key_value::get("key")),
        |_| drop(limiter::take(&[limiter::Charge::new("key", 1, HOUR)])),
        |_| log::info!("a line"),
    ];
    thread_local! {
        static DO: std::cell::Cell<fn(&mut Request)> = const { std::cell::Cell::new(|_| {}) };
    }
    for (index, other) in others.into_iter().enumerate() {
        DO.set(other);
        let hook: Hook = |request, _| {
            DO.get()(request);
            request.reuse_for(HOUR);
            Outcome::Next
        };
        assert_eq!(reuse(hook), None, "{index}");
    }
}

#[test]
fn carries_the_context_from_hook_to_hook() {
    let harness = Scripted {
        request: |_, context| {
            context.push_str("request");
            Outcome::Next
        },
        chunk: |chunk, context| {
            context.push_str(if chunk.is_last() { " last" } else { " chunk" });
            ChunkOutcome::Next
        },
        response: |response, context| {
            response.set_header("x-context", context.as_str());
            context.push_str(" response");
            Outcome::Next
        },
        complete: |summary, context| {
            assert_eq!((summary.status, summary.ending), (204, Ending::Complete));
            assert_eq!(context, "request chunk last response");
            log::info!("{} took {:?}", summary.request().path(), summary.duration);
        },
        ..Scripted::new(Interest::on_request().and_on_response().and_on_complete())
    };
    let interest = harness.interest.clone().request_body(BodyMode::Chunks);
    let interest = interest.response_body(BodyMode::Chunks);
    let harness = Scripted { interest, ..harness }.harness();
    let mut exchange = harness.request(testing::request().path("/a").chunks(["one", "two"]));
    assert_eq!(exchange.request().body(), b"onetwo");
    let answer = exchange.response(testing::response().status(204));
    assert_eq!(answer.header("x-context"), Some("request chunk last"));
    exchange.complete();
    assert!(exchange.log()[0].message.starts_with("/a took "));
}

#[test]
fn changes_a_whole_body_and_the_head_before_it() {
    let harness = Scripted {
        request_body: |request, body, _| {
            assert_eq!(request.path(), "/items");
            assert_eq!(request.header("content-type"), Some("application/json"));
            let mut item: serde_json::Value = body.json().unwrap();
            item["seen"] = json!(true);
            body.set_json(&item).unwrap();
            request.set_header("x-seen", "1");
            Outcome::Next
        },
        response_body: |response, body, _| {
            assert_eq!(response.status(), 200);
            let upper = body.text().unwrap().to_uppercase();
            body.set(upper);
            response.set_status(203);
            Outcome::Next
        },
        ..Scripted::new(
            Interest::new()
                .request_body(BodyMode::Buffered(64))
                .response_body(BodyMode::Buffered(4)),
        )
    }
    .harness();
    let request = || testing::request().path("/items").header("content-type", "application/json");
    let mut exchange = harness.request(request().body(r#"{"id":1}"#));
    assert_eq!(exchange.request().text(), r#"{"id":1,"seen":true}"#);
    assert_eq!(exchange.request().header("x-seen"), Some("1"));
    let answer = exchange.response(testing::response().chunks(["a", "b"]));
    assert_eq!((answer.status(), answer.text()), (203, "AB"));

    let exchange = harness.request(request().body(vec![b' '; 65]));
    assert_eq!(exchange.outcome(), &testing::Outcome::RequestTooLarge);
    let mut exchange = harness.request(request().body("{}"));
    let outcome = exchange.try_response(testing::response().body("12345"));
    assert_eq!(outcome, &testing::Outcome::ResponseTooLarge);
}

#[test]
fn calls_no_body_hook_for_a_message_without_a_body() {
    for mode in [BodyMode::Buffered(8), BodyMode::Chunks] {
        let interest = Interest::new().request_body(mode).response_body(mode);
        let harness = Scripted {
            request_body: |_, _, _| Outcome::respond(Response::forbidden("a whole request")),
            response_body: |_, _, _| Outcome::respond(Response::forbidden("a whole response")),
            chunk: |_, _| ChunkOutcome::Abort("a chunk".to_owned()),
            ..Scripted::new(interest)
        }
        .harness();
        for (request, response) in [
            (testing::request(), testing::response()),
            (testing::request().body(""), testing::response().body("")),
            (testing::request().chunks([""; 2]), testing::response().chunks([""; 2])),
        ] {
            let mut exchange = harness.request(request);
            assert_eq!(exchange.outcome(), &testing::Outcome::Next);
            let answer = exchange.response(response);
            assert_eq!((answer.status(), answer.text()), (200, ""));
        }
    }
}

#[test]
fn asks_for_a_body_when_it_sees_the_head() {
    let harness = Scripted {
        request: |request, _| {
            if request.method() == "POST" {
                request.want_request_body(BodyMode::Buffered(8));
            }
            request.want_response_body(BodyMode::Chunks);
            Outcome::Next
        },
        request_body: |_, _, _| Outcome::respond(Response::forbidden("no bodies here")),
        chunk: |chunk, _| {
            assert_eq!(exchange::response_status(), Some(200));
            match chunk.data() {
                b"cut" => ChunkOutcome::Abort("cut off".to_owned()),
                b"drop" => {
                    chunk.clear();
                    ChunkOutcome::Next
                }
                _ => ChunkOutcome::Next,
            }
        },
        ..Scripted::new(Interest::on_request())
    }
    .harness();
    let exchange = harness.request(testing::request().method("POST").body("x"));
    assert_eq!(exchange.answer().unwrap().status(), 403);
    let mut exchange = harness.request(testing::request().body("x"));
    let outcome = exchange.try_response(testing::response().chunks(["a", "drop", "b", "cut", "c"]));
    assert_eq!(outcome, &testing::Outcome::Abort("cut off".to_owned()));
    assert_eq!(exchange.answer().unwrap().text(), "ab");
    assert_eq!(exchange.complete().ending, Ending::PluginFailed);
}

#[test]
fn keeps_the_context_of_a_hook_that_answers_or_cuts_off_for_the_end() {
    thread_local! {
        static SEEN: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
    }
    fn note(context: &mut String, hook: &str, answers: &str) -> bool {
        context.push_str(hook);
        hook == answers
    }
    fn decide(context: &mut String, hook: &str, head: Option<&str>) -> Outcome {
        match note(context, hook, head.unwrap_or_default()) {
            true => Outcome::respond(Response::new(403)),
            false => Outcome::Next,
        }
    }
    for (answers, seen) in [
        ("request ", "request "),
        ("request-body ", "request request-body "),
        ("response ", "request request-body response "),
        ("response-body ", "request request-body response response-body "),
    ] {
        let interest = Interest::on_request().and_on_response().and_on_complete();
        let buffered = BodyMode::Buffered(8);
        let harness = Scripted {
            request: |request, context| decide(context, "request ", request.header("x-answer")),
            request_body: |request, _, context| {
                decide(context, "request-body ", request.header("x-answer"))
            },
            response: |head, context| {
                decide(context, "response ", head.request().header("x-answer").as_deref())
            },
            response_body: |head, _, context| {
                decide(context, "response-body ", head.request().header("x-answer").as_deref())
            },
            complete: |_, context| SEEN.set(context.clone()),
            ..Scripted::new(interest.request_body(buffered).response_body(buffered))
        }
        .harness();
        let request = testing::request().header("x-answer", answers).body("x");
        let mut exchange = harness.request(request);
        if exchange.outcome() == &testing::Outcome::Next {
            exchange.response(testing::response().body("y"));
        }
        assert_eq!(exchange.answer().unwrap().status(), 403, "{answers}");
        exchange.complete();
        assert_eq!(SEEN.take(), seen);
    }
    let harness = Scripted {
        chunk: |chunk, context| {
            context.push_str(std::str::from_utf8(chunk.data()).unwrap());
            match chunk.data() {
                b"cut" => ChunkOutcome::Abort("cut off".to_owned()),
                _ => ChunkOutcome::Next,
            }
        },
        complete: |_, context| SEEN.set(context.clone()),
        ..Scripted::new(Interest::on_complete().response_body(BodyMode::Chunks))
    }
    .harness();
    let mut exchange = harness.request(testing::request());
    exchange.try_response(testing::response().chunks(["a", "cut", "c"]));
    exchange.complete();
    assert_eq!(SEEN.take(), "acut");
}

#[test]
fn answers_in_place_of_the_upstream() {
    let harness = Scripted {
        response: |response, _| match response.status() {
            500.. => Outcome::respond(
                Response::problem(502, "Bad Gateway", "the \"service\" failed\n")
                    .problem_type("https://example.org/failed")
                    .extension("path", &response.request().path()),
            ),
            _ => Outcome::Next,
        },
        ..Scripted::new(Interest::on_response())
    }
    .harness();
    let mut exchange = harness.request(testing::request().path("/x").attribute("request.id", "9"));
    let answer = exchange.response(testing::response().status(503).body("stack trace"));
    assert_eq!(
        answer.json::<serde_json::Value>(),
        json!({
            "type": "https://example.org/failed",
            "title": "Bad Gateway",
            "message": "the \"service\" failed\n",
            "status": 502,
            "detail": "the \"service\" failed\n",
            "instance": "9",
            "path": "/x",
        })
    );
}

#[test]
fn serves_time_and_values_that_the_test_moves() {
    let harness = Scripted {
        request: |_, _| {
            let visits = key_value::increment("visits", 1, Some(Duration::from_secs(60))).unwrap();
            log::debug!("{visits} visits at {}", clock::now().as_secs());
            Outcome::Next
        },
        ..Scripted::new(Interest::on_request())
    }
    .harness();
    harness.set_time(Duration::from_secs(1_000));
    harness.request(testing::request());
    harness.advance(Duration::from_secs(59));
    harness.request(testing::request());
    assert_eq!(harness.stored("visits"), Some(b"2".to_vec()));
    harness.advance(Duration::from_secs(1));
    let exchange = harness.request(testing::request());
    assert_eq!(exchange.log()[0].message, "1 visits at 1060");
    harness.set_log_level(log::Level::Info);
    assert!(harness.request(testing::request()).log().is_empty());
}

#[test]
fn shows_what_happens_while_the_gateway_cannot_answer() {
    let harness = Scripted {
        request: |_, _| {
            let charge = limiter::Charge::new("a", 1, Duration::from_secs(1));
            let charged = limiter::take(&[charge]).map(|verdicts| verdicts[0].allowed);
            let verified = password::verify("no hash", "secret");
            log::info!("{charged:?} {verified:?}");
            Outcome::Next
        },
        ..Scripted::new(Interest::on_request())
    }
    .harness();
    let said = || harness.request(testing::request()).log().remove(0).message;
    harness.limiter_unavailable(true);
    harness.passwords_busy(true);
    assert_eq!(said(), "Err(Unavailable) Err(Busy)");
    harness.limiter_unavailable(false);
    harness.passwords_busy(false);
    assert_eq!(said(), "Ok(true) Err(Unsupported)");
}

#[test]
fn refuses_to_set_attributes_that_are_the_gateways() {
    let harness = Scripted {
        request: |request, _| {
            let reserved = Err(attributes::AttributeError::Reserved);
            assert_eq!(request.set_attribute("client.address", "::1"), reserved);
            let too_large = Err(attributes::AttributeError::TooLarge);
            assert_eq!(request.set_attribute("", "x"), too_large);
            assert_eq!(request.set_attribute("x", "v".repeat(8 * 1024 + 1)), too_large);
            Outcome::Next
        },
        ..Scripted::new(Interest::on_request())
    }
    .harness();
    let exchange = harness.request(testing::request());
    assert_eq!(exchange.attribute("client.address").as_deref(), Some("127.0.0.1"));
}

/// A stream whose pieces are named by what the plugin does with them.
fn streams(pieces: &[&str]) -> testing::ResponseBuilder {
    testing::response().chunks(pieces.to_vec())
}

#[test]
fn a_response_is_held_back_until_a_chunk_or_a_bound_decides() {
    let harness = Scripted {
        response: |_, _| {
            assert_eq!(held_response::hold(0, Duration::ZERO), Err(HeldResponseError::Invalid));
            held_response::hold(12, Duration::from_secs(1)).unwrap();
            assert!(!held_response::is_held(), "the hook has not returned");
            Outcome::Next
        },
        chunk: |chunk, context| {
            context.push_str(if held_response::is_held() { "h" } else { "s" });
            let change = HeadChange::new().status(503).set_header("x-early", context.as_bytes());
            match chunk.data() {
                b"go" => held_response::release(),
                b"head" => held_response::change_head(&change).unwrap(),
                b"answer" => held_response::respond(Response::new(529)).unwrap(),
                b"again" => attempts::again(&Attempt::new()).unwrap(),
                b"cut" => return ChunkOutcome::Abort("so".to_owned()),
                b"late" => {
                    let answered = held_response::respond(Response::new(500));
                    assert_eq!(answered, Err(HeldResponseError::NotHere));
                    assert!(attempts::again(&Attempt::new()).is_err());
                }
                _ => {}
            }
            ChunkOutcome::Next
        },
        ..Scripted::new(Interest::on_response())
    }
    .harness();
    let came = |pieces: &[&str]| {
        let mut exchange = harness.request(testing::request());
        let answer = exchange.response(streams(pieces)).clone();
        (answer.status(), answer.text().to_owned(), exchange.released_after())
    };
    assert_eq!(came(&["a", "go", "late"]), (200, "agolate".to_owned(), Some(2)));
    assert_eq!(came(&["a", "b"]), (200, "ab".to_owned(), Some(2)));
    assert_eq!(came(&["12345678", "head", "late"]).0, 503);
    assert_eq!(came(&["12345678", "1234", "late"]).2, Some(2));
    assert_eq!(came(&["a", "answer", "never"]), (529, String::new(), None));
    let mut exchange = harness.request(testing::request());
    exchange.try_response(streams(&["a", "again", "never"]));
    assert!(exchange.attempt().is_some() && exchange.answer().is_none());
    assert_eq!(exchange.response(streams(&["go"])).text(), "go");
    let mut exchange = harness.request(testing::request());
    assert_eq!(
        *exchange.try_response(streams(&["a", "cut"])),
        testing::Outcome::Abort("so".into())
    );
}

#[test]
fn a_silent_response_is_let_go_or_the_hook_decides() {
    let harness = Scripted {
        request: |_, _| {
            assert_eq!(held_response::call_when_late(), Err(HeldResponseError::NotHere));
            attempts::first_byte(Duration::from_secs(5)).unwrap();
            assert!(attempts::first_byte(Duration::from_secs(601)).is_err());
            Outcome::Next
        },
        response: |_, context| {
            context.clear();
            held_response::hold(100, Duration::from_secs(7)).unwrap();
            held_response::call_when_late().unwrap();
            held_response::call_when_broken().unwrap();
            Outcome::Next
        },
        chunk: |chunk, context| {
            let is_late = chunk.data().is_empty() && !chunk.is_last();
            context.push_str(if is_late { "late " } else { "data " });
            if is_late && attempts::sent() == 1 {
                attempts::again(&Attempt::new()).unwrap();
                attempts::first_byte(Duration::ZERO).unwrap();
            }
            if chunk.is_last() {
                chunk.replace(context.as_bytes());
            }
            ChunkOutcome::Next
        },
        ..Scripted::new(Interest::on_request().and_on_response())
    }
    .harness();
    let mut exchange = harness.request(testing::request());
    assert_eq!(exchange.first_byte(), Some(Duration::from_secs(5)));
    exchange.try_response(streams(&["a"]).falls_silent());
    assert!(exchange.attempt().is_some() && exchange.answer().is_none());
    assert_eq!(exchange.first_byte(), None);
    // Where it breaks off the hook may end it.
    let mut exchange = harness.request(testing::request());
    let whole = "b".repeat(100);
    assert_eq!(exchange.response(streams(&[&whole]).breaks_off()).text(), whole);
    assert!(exchange.is_broken());
    let mut exchange = harness.request(testing::request());
    exchange.try_response(streams(&["a"]).falls_silent());
    // Without a decision it is let go, and ends.
    assert_eq!(exchange.response(streams(&[]).falls_silent()).text(), "late data ");
}
