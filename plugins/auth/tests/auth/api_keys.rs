//! API keys in all places where they can be.

use std::time::Duration;

use gateway_plugin_sdk::digest;
use gateway_plugin_sdk::testing::{RequestBuilder, request};
use serde_json::{Value, json};

use crate::{assert_admitted, assert_refused, plugin, refusal};

/// `sha256:` and the digest of a key.
fn digest_of(key: &str) -> String {
    let digits = digest::sha256(key.as_bytes()).map(|byte| format!("{byte:02x}"));
    format!("sha256:{}", digits.concat())
}

fn keys() -> Value {
    json!([
        { "id": "first", "digest": digest_of("key-1"), "consumer": "ada", "scopes": ["read"] },
        { "id": "second", "digest": digest_of("key-2").to_uppercase().replace("SHA", "sha") },
    ])
}

fn with(places: Value) -> Value {
    let mut method = places;
    method["keys"] = keys();
    json!({ "api_key": method })
}

const IN_FIELD: &str = "ApiKey realm=\"api\", header=\"x-api-key\"";
const AS_BEARER: &str = "Bearer realm=\"api\"";

#[test]
fn takes_what_clients_of_ai_apis_send_where_no_place_is_named() {
    let by_default = plugin(with(json!({})));
    assert_admitted(&by_default.request(request().header("x-api-key", "key-1")), "ada");
    let bearer = request().header("authorization", "Bearer key-1");
    let exchange = by_default.request(bearer);
    assert_admitted(&exchange, "ada");
    assert_eq!(exchange.request().header("authorization"), None);
    assert_refused(&by_default.request(request()), 401, &[AS_BEARER, IN_FIELD]);
    let both = request().header("authorization", "Bearer key-1").header("x-api-key", "key-1");
    let invalid = format!("{AS_BEARER}, error=\"invalid_request\"");
    assert_refused(&by_default.request(both), 400, &[&invalid]);
    // The one who names a place, or none of the two, gets that and no more.
    let other = || request().header("authorization", "Bearer key-1").header("x-key", "key-1");
    for places in [json!({ "header": "x-key" }), json!({ "header": "x-key", "bearer": false })] {
        let exchange = plugin(with(places));
        let exchange = exchange.request(other());
        assert_admitted(&exchange, "ada");
        assert_eq!(exchange.request().header("authorization"), Some("Bearer key-1"));
    }
    let no_bearer = plugin(with(json!({ "bearer": false })));
    assert_refused(&no_bearer.request(other()), 401, &[IN_FIELD]);
}

#[test]
fn takes_several_fields() {
    let fields = ["x-api-key", "X-Goog-Api-Key"];
    let plugin = plugin(with(json!({ "header": fields, "bearer": true })));
    for field in fields {
        let exchange = plugin.request(request().header(field, "key-1"));
        assert_admitted(&exchange, "ada");
        assert_eq!(exchange.request().header(field), None);
    }
    assert_admitted(&plugin.request(request().header("authorization", "Bearer key-1")), "ada");
    let several = "ApiKey realm=\"api\", header=\"x-api-key, x-goog-api-key\"";
    assert_refused(&plugin.request(request()), 401, &[AS_BEARER, several]);
    let two = request().header("x-api-key", "key-1").header("x-goog-api-key", "key-1");
    let invalid = format!("{AS_BEARER}, error=\"invalid_request\"");
    assert_refused(&plugin.request(two), 400, &[&invalid]);
}

#[test]
fn names_the_metadata_of_the_resource() {
    let address = "https://api.example.com/.well-known/oauth-protected-resource/mcp";
    let mut config = with(json!({}));
    config["resource_metadata"] = address.into();
    let plugin = plugin(config);
    let challenge = format!("{AS_BEARER}, resource_metadata=\"{address}\"");
    assert_refused(&plugin.request(request()), 401, &[&challenge, IN_FIELD]);
    let wrong = plugin.request(request().header("authorization", "Bearer key-3"));
    let wrong_challenge = format!("{challenge}, error=\"invalid_token\"");
    assert_refused(&wrong, 401, &[&wrong_challenge, IN_FIELD]);
}

#[test]
fn admits_a_known_key_in_the_field_and_tells_whose_it_is() {
    let plugin = plugin(with(json!({})));
    let exchange = plugin.request(request().header("X-Api-Key", "key-1"));
    assert_admitted(&exchange, "ada");
    let attribute = |name| exchange.attribute(name).unwrap();
    assert_eq!(attribute("consumer.method"), "api-key");
    assert_eq!(attribute("consumer.key-id"), "first");
    assert_eq!(attribute("consumer.scopes"), "read");
    assert_admitted(&plugin.request(request().header("x-api-key", "key-2")), "second");
}

#[test]
fn admits_a_known_key_in_the_query() {
    let plugin = plugin(with(json!({ "query": "api_key" })));
    let exchange = plugin.request(request().query("a=%41&api%5Fkey=key%2D1&b"));
    assert_admitted(&exchange, "ada");
    assert_eq!(exchange.request().query(), Some("a=%41&b"));
    let exchange = plugin.request(request().query("api_key=key-1"));
    assert_eq!(exchange.request().query(), None);
    let exchange = plugin.request(request().header("x-api-key", "key-1"));
    assert_refused(&exchange, 401, &["ApiKey realm=\"api\", query=\"api_key\""]);
}

#[test]
fn admits_a_known_key_as_a_bearer_credential() {
    let plugin = plugin(with(json!({ "bearer": true })));
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let exchange = plugin.request(request().header("authorization", format!("{scheme} key-1")));
        assert_admitted(&exchange, "ada");
        assert_eq!(exchange.request().header("authorization"), None);
    }
    let exchange = plugin.request(request().header("authorization", "Bearer key-3"));
    assert_refused(&exchange, 401, &["Bearer realm=\"api\", error=\"invalid_token\""]);
    assert_refused(&plugin.request(request()), 401, &["Bearer realm=\"api\""]);
}

#[test]
fn admits_a_key_in_each_of_several_places_but_not_in_two_at_once() {
    let config = json!({ "header": "x-key", "query": "key", "bearer": true });
    let plugin = plugin(with(config));
    let places: [fn(RequestBuilder, &str) -> RequestBuilder; 3] = [
        |request, key| request.header("x-key", key),
        |request, key| request.query(format!("key={key}")),
        |request, key| request.header("authorization", format!("Bearer {key}")),
    ];
    for (index, place) in places.iter().enumerate() {
        assert_admitted(&plugin.request(place(request(), "key-1")), "ada");
        let other = places[(index + 1) % 3];
        let exchange = plugin.request(other(place(request(), "key-1"), "key-1"));
        assert_refused(&exchange, 400, &["Bearer realm=\"api\", error=\"invalid_request\""]);
    }
    let exchange = plugin.request(request());
    let challenge = "ApiKey realm=\"api\", header=\"x-key\", query=\"key\"";
    assert_refused(&exchange, 401, &["Bearer realm=\"api\"", challenge]);
}

#[test]
fn refuses_unknown_empty_and_doubled_keys() {
    let plugin = plugin(with(json!({})));
    let challenges = [AS_BEARER, IN_FIELD];
    for key in ["", "key-3", "KEY-1", "key-1 x", "key-1,key-2", "\u{fffd}"] {
        assert_refused(&plugin.request(request().header("x-api-key", key)), 401, &challenges);
    }
    let twice = request().header("x-api-key", "key-1").header("x-api-key", "key-1");
    assert_refused(&plugin.request(twice), 401, &challenges);
    let bytes = request().header("x-api-key", vec![0xff, 0xfe]);
    assert_refused(&plugin.request(bytes), 401, &challenges);
}

#[test]
fn refuses_a_query_that_names_the_key_twice() {
    let plugin = plugin(with(json!({ "query": "key" })));
    let exchange = plugin.request(request().query("key=key-1&k%65y=key-1"));
    assert_refused(&exchange, 400, &[]);
}

#[test]
fn refuses_a_bearer_credential_that_is_malformed() {
    let plugin = plugin(with(json!({ "bearer": true })));
    for value in ["Bearer", "Bearer ", "Bearer a b", "Bearer a, Bearer b", "bearer \"key-1\""] {
        let exchange = plugin.request(request().header("authorization", value));
        assert_refused(&exchange, 400, &["Bearer realm=\"api\", error=\"invalid_request\""]);
    }
    for value in ["", "Basic YTpi", "key-1", "Bearerkey-1", "Digest x"] {
        let exchange = plugin.request(request().header("authorization", value));
        assert_refused(&exchange, 401, &["Bearer realm=\"api\""]);
    }
}

#[test]
fn stops_admitting_a_key_when_it_expires() {
    let config = json!({ "api_key": { "keys": [
        { "id": "short", "digest": digest_of("key"), "expires": "2026-01-01T00:01:00Z" },
    ] } });
    let plugin = plugin(config);
    let presented = || request().header("x-api-key", "key");
    plugin.advance(Duration::from_millis(59_999));
    assert_admitted(&plugin.request(presented()), "short");
    assert_eq!(plugin.request(presented()).reuse(), Some(Duration::from_millis(1)));
    plugin.advance(Duration::from_millis(1));
    assert_refused(&plugin.request(presented()), 401, &[AS_BEARER, IN_FIELD]);
}

#[test]
fn lets_the_gateway_admit_the_same_key_again_for_a_minute() {
    let minute = Some(Duration::from_secs(60));
    let in_field = plugin(with(json!({ "header": "x-api-key" })));
    assert_eq!(in_field.request(request().header("x-api-key", "key-1")).reuse(), minute);
    let refused = in_field.request(request().header("x-api-key", "wrong"));
    assert_eq!((refusal(&refused).status(), refused.reuse()), (401, None));
    let in_query = plugin(with(json!({ "header": "x-api-key", "query": "key" })));
    for sent in [request().query("a=1&key=key-1"), request().header("x-api-key", "key-1")] {
        let exchange = in_query.request(sent);
        assert_admitted(&exchange, "ada");
        assert_eq!(exchange.reuse(), None, "queries differ");
    }
}

#[test]
fn finds_each_of_many_keys() {
    let keys: Vec<Value> = (0..1_000)
        .map(|n| json!({ "id": format!("id-{n}"), "digest": digest_of(&format!("key-{n}")) }))
        .collect();
    let plugin = plugin(json!({ "api_key": { "keys": keys } }));
    for n in 0..1_000 {
        let exchange = plugin.request(request().header("x-api-key", format!("key-{n}")));
        assert_admitted(&exchange, &format!("id-{n}"));
        let exchange = plugin.request(request().header("x-api-key", format!("id-{n}")));
        assert_eq!(refusal(&exchange).status(), 401);
    }
}

#[test]
fn hides_the_key_unless_told_otherwise() {
    let exchange_with = |config| {
        let plugin = plugin(config);
        let exchange = plugin.request(request().header("x-api-key", "key-1").header("x-a", "1"));
        assert_admitted(&exchange, "ada");
        let sent = exchange.request();
        (sent.header("x-api-key").map(str::to_owned), sent.header("x-a").map(str::to_owned))
    };
    assert_eq!(exchange_with(with(json!({}))), (None, Some("1".into())));
    let mut open = with(json!({}));
    open["hide_credential"] = false.into();
    assert_eq!(exchange_with(open), (Some("key-1".into()), Some("1".into())));
}

#[test]
fn never_repeats_a_credential() {
    let plugin = plugin(with(json!({ "header": "x-api-key", "query": "key", "bearer": true })));
    for request in [
        request().header("x-api-key", "topsecret"),
        request().query("key=topsecret"),
        request().header("authorization", "Bearer topsecret"),
        request().header("authorization", "Bearer topsecret topsecret"),
        request().header("authorization", "topsecret"),
        request().header("x-api-key", "topsecret").query("key=topsecret"),
    ] {
        let exchange = plugin.request(request);
        let answer = refusal(&exchange);
        let fields: Vec<_> = answer.headers().iter().map(|field| field.text().unwrap()).collect();
        let log: Vec<_> = exchange.log().into_iter().map(|line| line.message).collect();
        assert!(!log.is_empty());
        for text in [answer.text(), &fields.concat(), &log.concat()] {
            assert!(!text.contains("topsecret"), "{text}");
        }
    }
}
