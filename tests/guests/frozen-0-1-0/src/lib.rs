//! A plugin against the interface of 0.1.0 as it stands in `wit/` beside it, without the SDK: for the
//! test that the interface goes on from there without breaking it. It calls every host interface,
//! serves every hook that a request can come to at once, and says in `x-seen` what it saw.
//!
//! The copy is frozen with the release of 0.1.0. Until then it is changed with the interface, where a
//! change breaks it; after that never.

use exports::gateway::plugin::hooks::{
    BodyChunk, ChunkOutcome, ConfigError, Description, Guest, HookSet, Interest, RequestBodyChange,
    RequestBodyOutcome, RequestChange, RequestHead, RequestOutcome, RequestParts,
    ResponseBodyChange, ResponseBodyOutcome, ResponseChange, ResponseHead, ResponseOutcome,
    Summary,
};
use gateway::plugin::signature::{Algorithm, KeyMaterial, VerifyingKey};
use gateway::plugin::types::{BodyMode, Field, FieldEdit};
use gateway::plugin::{
    attributes, clock, digest, exchange, key_value, limiter, log, password, random,
};

wit_bindgen::generate!({ path: "wit", world: "plugin" });

struct Frozen;

export!(Frozen);

impl Guest for Frozen {
    fn describe() -> Description {
        Description {
            name: "frozen".to_owned(),
            version: "0.1.0".to_owned(),
            sdk: "none".to_owned(),
            config_schema: String::new(),
        }
    }

    fn configure(config: String) -> Result<Interest, Vec<ConfigError>> {
        if config != r#"{"name":"frozen"}"# {
            let (pointer, message) = ("/name".to_owned(), format!("it is {config}"));
            return Err(vec![ConfigError { pointer, message }]);
        }
        Ok(Interest {
            hooks: HookSet::REQUEST | HookSet::RESPONSE | HookSet::COMPLETE,
            request_parts: RequestParts::METHOD | RequestParts::PATH | RequestParts::QUERY,
            request_fields: vec!["x-frozen".to_owned()],
            response_fields: vec!["content-type".to_owned()],
            attributes: vec!["route.name".to_owned()],
            request_body: BodyMode::Buffered(1024),
            response_body: BodyMode::Buffered(1024),
            every_request: Vec::new(),
            every_response: Vec::new(),
            never_waits: false,
        })
    }

    fn on_request(request: RequestHead) -> RequestOutcome {
        call_each_host_interface();
        let field = request.fields[0].clone().unwrap_or_default();
        let parts = [request.method, request.path, request.query, String::from_utf8(field).ok()];
        let seen = parts.map(Option::unwrap_or_default).join(" ");
        RequestOutcome::Change(RequestChange { context: Some(seen.into_bytes()), ..unchanged() })
    }

    fn on_request_body(body: Vec<u8>, context: Vec<u8>) -> RequestBodyOutcome {
        let context = Some([context, b" ".to_vec(), body].concat());
        let head = RequestChange { context, ..unchanged() };
        RequestBodyOutcome::Change(RequestBodyChange { body: None, head })
    }

    fn on_request_chunk(_: BodyChunk, _: Vec<u8>) -> ChunkOutcome {
        ChunkOutcome::Next
    }

    fn on_response(response: ResponseHead, context: Vec<u8>) -> ResponseOutcome {
        let turn = key_value::increment("turns", 1, None).map(|turn| turn.to_string());
        let seen = [context, format!(" {}", response.status).into_bytes()].concat();
        let set = |name: &str, value| FieldEdit::Set(Field { name: name.to_owned(), value });
        let turn = turn.unwrap_or_else(|error| format!("{error:?}")).into_bytes();
        let fields = vec![set("x-seen", seen), set("x-turn", turn)];
        ResponseOutcome::Change(ResponseChange { fields, ..same_response() })
    }

    fn on_response_body(body: Vec<u8>, _: Vec<u8>) -> ResponseBodyOutcome {
        let body = Some(body.to_ascii_uppercase());
        ResponseBodyOutcome::Change(ResponseBodyChange { body, head: same_response() })
    }

    fn on_response_chunk(_: BodyChunk, _: Vec<u8>) -> ChunkOutcome {
        ChunkOutcome::Next
    }

    fn on_complete(summary: Summary, _: Vec<u8>) {
        log::write(log::Level::Info, &format!("complete with {}", summary.status));
    }
}

fn unchanged() -> RequestChange {
    RequestChange {
        method: None,
        path: None,
        query: None,
        fields: Vec::new(),
        attributes: Vec::new(),
        response_fields: Vec::new(),
        upstream: None,
        request_body: None,
        response_body: None,
        context: None,
        reuse_for: None,
    }
}

fn same_response() -> ResponseChange {
    ResponseChange { status: None, fields: Vec::new(), response_body: None, context: None }
}

/// What any of them answers wrongly is a panic, which the test sees as a 500.
fn call_each_host_interface() {
    assert_eq!(exchange::request_method(), "POST");
    assert_eq!(exchange::request_field("x-frozen"), [b"1"]);
    attributes::set("frozen.seen", "yes").expect("an attribute of its own");
    assert_eq!(attributes::get("frozen.seen").as_deref(), Some("yes"));
    assert!(log::enabled(log::Level::Error));
    assert!(clock::now() > 0 && clock::monotonic() <= clock::monotonic());
    assert_eq!(random::bytes(4).len(), 4);
    assert_eq!(digest::sha256(b"").0, 0xe3b0_c442_98fc_1c14);
    let charge = limiter::Charge {
        key: "frozen".to_owned(),
        limit: 100,
        period: 60_000_000_000,
        burst: 100,
        cost: 1,
    };
    assert!(limiter::take(&[charge]).expect("a charge")[0].allowed);
    key_value::set("seen", b"yes", None).expect("room");
    assert_eq!(key_value::get("seen").as_deref(), Some(&b"yes"[..]));
    let secret = KeyMaterial::Secret(vec![7; 32]);
    let key = VerifyingKey::parse(Algorithm::Hs256, &secret).expect("a secret");
    assert!(!key.verify(b"message", b"no signature"));
    assert!(password::verify("no hash", "password").is_err());
}
