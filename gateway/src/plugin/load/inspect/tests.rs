//! The schemas of the first-party plugins against what their code does: a schema that refuses what
//! the plugin takes locks users out, and one that takes what the plugin refuses lets editors lie.

use serde_json::{Value, json};

use super::*;
use crate::plugin::schema::Schema;

/// A first-party plugin beside its schema.
struct Judges {
    name: &'static str,
    opened: Opened,
    schema: Schema,
}

impl Judges {
    fn of(name: &'static str) -> Self {
        let mut opened =
            Opened::new(&config::Component::BuiltIn(name.to_owned())).expect("it opens");
        // What a schema cannot know is there: an upstream of this name.
        opened.config.upstreams = Some(vec![("u".to_owned(), config::UpstreamId(0))]);
        let (plugin, _) = opened.prepare().expect("it can be prepared");
        let description = wait(describe(&plugin)).expect("it describes itself");
        let schema = Schema::read(&description.config_schema).expect("there is one");
        Self { name, opened, schema: schema.expect("it is sound") }
    }

    /// Whether the plugin takes a configuration, and whether its schema does.
    fn ask(&mut self, config: &Value) -> (bool, bool) {
        self.opened.config.config = config.to_string();
        let (plugin, mut instance) = self.opened.prepare().expect("it can be prepared");
        let plugin = self.opened.loader.configure(&plugin, &mut instance);
        let faults = self.schema.check(config, &Default::default()).expect("it can be checked");
        (plugin.is_ok(), faults.is_empty())
    }

    /// Lets both judge a configuration that is fine, and what becomes of it with each of these
    /// changes: a JSON Pointer, and the value to put there.
    fn agree<T: AsRef<str>, R: AsRef<str>>(
        &mut self,
        fine: &Value,
        taken: &[(T, Value)],
        refused: &[(R, Value)],
    ) {
        assert_eq!(self.ask(fine), (true, true), "{}: {fine}", self.name);
        let taken = taken.iter().map(|(pointer, value)| (pointer.as_ref(), value, true));
        let refused = refused.iter().map(|(pointer, value)| (pointer.as_ref(), value, false));
        for (pointer, value, takes) in taken.chain(refused) {
            let said = self.ask(&with(fine, pointer, value));
            assert_eq!(said, (takes, takes), "{}: {pointer} = {value}", self.name);
        }
    }
}

/// A copy with this value at a place whose parent is there.
fn with(config: &Value, pointer: &str, value: &Value) -> Value {
    let mut changed = config.clone();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer into the configuration");
    match changed.pointer_mut(parent).expect("the parent is there") {
        Value::Array(items) => {
            let index: usize = key.parse().expect("an index");
            items[index] = value.clone();
        }
        parent => parent[key] = value.clone(),
    }
    changed
}

#[test]
fn auth_and_its_schema_agree() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let secret = "0123456789abcdef0123456789abcdef";
    let good = json!({
        "realm": "api",
        "api_key": { "keys": [{ "id": "a", "digest": digest }] },
        "jwt": { "issuers": [{
            "issuer": "i", "audiences": ["api"], "algorithms": ["HS256"],
            "keys": [{ "algorithm": "HS256", "secret": secret }],
        }] },
        "introspection": {
            "upstream": "u", "path": "/introspect", "client_id": "g", "client_secret": "s",
        },
        "basic": { "users": [{ "name": "u", "hash": format!("$2b$12${}", "a".repeat(53)) }] },
        "require": { "scopes": ["read"], "claims": { "plan": ["gold"] } },
    });
    let key = "/api_key/keys/0";
    let issuer = "/jwt/issuers/0";
    let user = "/basic/users/0";
    let at = |parent: &str, key: &str| format!("{parent}/{key}");
    let set = json!({ "keys": [
        { "kty": "oct", "kid": "k", "k": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY" },
    ] });
    let taken = [
        ("/jwt/cache".to_owned(), json!(0)),
        ("/jwt/cache".to_owned(), json!(1024)),
        ("/jwt/skew".to_owned(), json!("1m30s")),
        ("/basic/remember".to_owned(), json!("0s")),
        ("/introspection/remember".to_owned(), json!("1h")),
        ("/introspection/client_authentication".to_owned(), json!("client_secret_post")),
        ("/introspection/audiences".to_owned(), json!([])),
        ("/require/claims/plan".to_owned(), json!(["gold", 1, true])),
        (at(key, "expires"), json!("2027-01-31")),
        (at(key, "claims"), json!({ "any": { "thing": [1] } })),
        (at(issuer, "jwks"), set.clone()),
        (at(issuer, "jwks"), json!(set.to_string())),
    ];
    let refused = [
        ("/unknown".to_owned(), json!(1)),
        ("/realm".to_owned(), json!(1)),
        ("/hide_credential".to_owned(), json!("yes")),
        ("/anonymous".to_owned(), json!("")),
        ("/headers".to_owned(), json!(["x-id"])),
        ("/require/unknown".to_owned(), json!([])),
        ("/require/claims/plan".to_owned(), json!([])),
        ("/require/claims/plan".to_owned(), json!([1.5])),
        ("/api_key/keys".to_owned(), json!([])),
        ("/api_key/header".to_owned(), json!("a b")),
        ("/api_key/query".to_owned(), json!("")),
        ("/api_key/unknown".to_owned(), json!("")),
        (at(key, "id"), json!("")),
        (at(key, "consumer"), json!("")),
        (at(key, "digest"), json!("0".repeat(64))),
        (at(key, "claims"), json!(["plan"])),
        (at(key, "scope"), json!("read")),
        ("/jwt/issuers".to_owned(), json!([])),
        ("/jwt/types".to_owned(), json!([])),
        ("/jwt/skew".to_owned(), json!("soon")),
        ("/jwt/skew".to_owned(), json!(60)),
        ("/jwt/query".to_owned(), json!("")),
        ("/jwt/consumer_claim".to_owned(), json!("")),
        ("/jwt/cache".to_owned(), json!(1025)),
        ("/jwt/cache".to_owned(), json!(-1)),
        ("/jwt/unknown".to_owned(), json!(1)),
        (at(issuer, "issuer"), json!("")),
        (at(issuer, "audiences"), json!([])),
        (at(issuer, "algorithms"), json!([])),
        (at(issuer, "algorithms"), json!(["none"])),
        (at(issuer, "algorithms"), json!(["hs256"])),
        (at(issuer, "jwks"), json!(7)),
        (at(issuer, "unknown"), json!(7)),
        (at(issuer, "keys/0/algorithm"), json!("RS257")),
        (at(issuer, "keys/0/unknown"), json!("RS257")),
        ("/introspection/upstream".to_owned(), json!("")),
        ("/introspection/path".to_owned(), json!("introspect")),
        ("/introspection/client_id".to_owned(), json!("")),
        ("/introspection/client_secret".to_owned(), json!("")),
        ("/introspection/client_authentication".to_owned(), json!("none")),
        ("/introspection/cache".to_owned(), json!(1025)),
        ("/introspection/timeout".to_owned(), json!("soon")),
        ("/introspection/unknown".to_owned(), json!(1)),
        ("/basic/users".to_owned(), json!([])),
        ("/basic/remember".to_owned(), json!("for a while")),
        ("/basic/unknown".to_owned(), json!(1)),
        (at(user, "name"), json!("")),
        (at(user, "name"), json!("a:b")),
        (at(user, "consumer"), json!("")),
        (at(user, "unknown"), json!("")),
    ];
    Judges::of("auth").agree(&good, &taken, &refused);
}

#[test]
fn http_signature_and_its_schema_agree() {
    let secret = "0123456789abcdef";
    let key = "/message/keys/0";
    let at = |parent: &str, key: &str| format!("{parent}/{key}");
    let message = json!({
        "message": { "keys": [{ "id": "k", "algorithm": "hmac-sha256", "secret": secret }] },
    });
    let taken = [
        ("/max_age".to_owned(), json!("1d")),
        ("/max_body".to_owned(), json!(16_777_216)),
        ("/once".to_owned(), json!(false)),
        ("/message/components".to_owned(), json!(["@authority", "x-a"])),
        ("/message/structured_fields".to_owned(), json!({ "x-a": "list" })),
        (at(key, "claims"), json!({ "any": { "thing": [1] } })),
    ];
    let refused = [
        ("/unknown".to_owned(), json!(1)),
        ("/max_age".to_owned(), json!(5)),
        ("/max_body".to_owned(), json!(0)),
        ("/max_body".to_owned(), json!(16_777_217)),
        ("/once".to_owned(), json!("yes")),
        ("/message/keys".to_owned(), json!([])),
        ("/message/components".to_owned(), json!([])),
        ("/message/content_digest".to_owned(), json!("never")),
        ("/message/tag".to_owned(), json!("")),
        ("/message/structured_fields".to_owned(), json!({ "x-a": "map" })),
        (at(key, "id"), json!("")),
        (at(key, "algorithm"), json!("HS256")),
        (at(key, "secret"), json!({ "other": "x" })),
        (at(key, "secret_encoding"), json!("hex")),
        (at(key, "unknown"), json!(1)),
    ];
    Judges::of("http-signature").agree(&message, &taken, &refused);

    let hmac = json!({ "hmac": {
        "header": "x-signature", "secrets": [secret], "consumer": "c",
        "separator": ",", "timestamp_prefix": "t=", "text": "{timestamp}.{body}",
    } });
    let taken = [
        ("/hmac/encoding".to_owned(), json!("base64")),
        ("/hmac/digest".to_owned(), json!("sha512")),
        ("/hmac/secrets".to_owned(), json!([secret, secret])),
    ];
    let refused = [
        ("/hmac/header".to_owned(), json!("x y")),
        ("/hmac/separator".to_owned(), json!("")),
        ("/hmac/timestamp_prefix".to_owned(), json!("")),
        ("/hmac/encoding".to_owned(), json!("hexadecimal")),
        ("/hmac/digest".to_owned(), json!("sha1")),
        ("/hmac/secrets".to_owned(), json!([])),
        ("/hmac/secrets".to_owned(), json!([secret, secret, secret, secret, secret])),
        ("/hmac/consumer".to_owned(), json!("")),
        ("/hmac/unknown".to_owned(), json!(1)),
    ];
    Judges::of("http-signature").agree(&hmac, &taken, &refused);
}

#[test]
fn rate_limit_and_its_schema_agree() {
    let good = json!({
        "policies": [{ "name": "a", "limit": 10, "window": "1m" }],
        "concurrency": [{ "name": "b", "limit": 3, "queue": 9 }],
        "headers": "both", "on_unavailable": "closed", "ipv6_prefix": 64, "dry_run": true,
        "max_body": 1024,
    });
    let many: Vec<_> =
        (0..17).map(|it| json!({ "name": it.to_string(), "limit": 1, "window": "1s" })).collect();
    let policy = |key: &str| format!("/policies/0/{key}");
    let taken = [
        ("burst", json!(1)),
        ("limit", json!(0)),
        ("cost", json!(1)),
        ("cost", json!({ "header": "x-cost", "default": 1, "max": 10 })),
        ("cost", json!({ "attribute": "cost" })),
        ("window", json!("1.5h")),
        ("key", json!([])),
        ("missing", json!("skip")),
    ]
    .map(|(key, value)| (policy(key), value));
    let taken = taken.into_iter().chain([
        ("/concurrency/0/status".to_owned(), json!(503)),
        ("/concurrency/0/limit".to_owned(), json!(0)),
        ("/concurrency/0/share".to_owned(), json!(["consumer.id"])),
        ("/concurrency/0/wait_in_vain".to_owned(), json!(true)),
        ("/concurrency/0/priority".to_owned(), json!({ "header": "x", "max": 9 })),
    ]);
    let taken: Vec<_> = taken.collect();
    let inside = [
        ("name", json!("")),
        ("name", json!("a b")),
        ("name", json!("a".repeat(65))),
        ("limit", json!(-1)),
        ("limit", json!(1.5)),
        ("limit", json!(1_000_000_000_000_000_u64)),
        ("window", json!("1 minute")),
        ("window", json!(60)),
        ("burst", json!(0)),
        ("burst", json!(1_000_000_000_000_000_u64)),
        ("cost", json!(0)),
        ("cost", json!("1")),
        ("cost", json!(1.5)),
        ("cost", json!({ "header": "a b" })),
        ("cost", json!({ "header": "a", "default": 0 })),
        ("cost", json!({ "header": "a", "max": 0 })),
        ("cost", json!({ "header": "a", "unknown": 0 })),
        ("key", json!(["1", "2", "3", "4", "5", "6", "7", "8", "9"])),
        ("key", json!("client.address")),
        ("missing", json!("Shared")),
        ("missing", json!("ignore")),
        ("per", json!("1m")),
    ]
    .map(|(key, value)| (policy(key), value));
    let outside = [
        ("/policies", json!([])),
        ("/concurrency", json!([])),
        ("/concurrency/0/name", json!("a b")),
        ("/concurrency/0/limit", json!(-1)),
        ("/concurrency/0/weight", json!({ "header": "x", "default": 0 })),
        ("/concurrency/0/weight", json!({ "header": "x", "max": 1001 })),
        ("/concurrency/0/wait_in_vain", json!("yes")),
        ("/concurrency/0/queue", json!(10_001)),
        ("/concurrency/0/wait", json!("soon")),
        ("/concurrency/0/status", json!(500)),
        ("/concurrency/0/priority", json!({ "header": "x", "max": 256 })),
        ("/concurrency/0/burst", json!(1)),
        ("/policies", json!(many)),
        ("/headers", json!("some")),
        ("/headers", json!("Both")),
        ("/on_unavailable", json!("half")),
        ("/ipv6_prefix", json!(0)),
        ("/ipv6_prefix", json!(129)),
        ("/max_body", json!(0)),
        ("/max_body", json!(67_108_865)),
        ("/dry_run", json!(1)),
        ("/unknown", json!(1)),
    ];
    let outside = outside.map(|(pointer, value)| (pointer.to_owned(), value));
    let refused = [&inside[..], &outside[..]].concat();
    Judges::of("rate-limit").agree(&good, &taken, &refused);
}

#[test]
fn json_expression_and_its_schema_agree() {
    let good = json!({
        "request": { "expression": ".", "headers": ["x-a"], "attributes": ["consumer.id"] },
        "response": { "expression": ".a", "types": ["*/*"], "body_limit": "4KiB" },
    });
    let taken = [
        ("/request/on_failure", json!("pass")),
        ("/request/on_invalid_json", json!("reject")),
        ("/request/on_encoded_body", json!("recode")),
        ("/response/body_limit", json!(7)),
    ];
    let refused = [
        ("/unknown", json!(1)),
        ("/request", json!({})),
        ("/request/expression", json!("")),
        ("/request/unknown", json!(1)),
        ("/request/headers", json!("x-a")),
        ("/request/on_failure", json!("skip")),
        ("/request/on_encoded_body", json!("gzip")),
        ("/response/body_limit", json!(0)),
        ("/response/types", json!("json")),
    ];
    Judges::of("json-expression").agree(&good, &taken, &refused);
}

#[test]
fn transform_and_its_schema_agree() {
    let good = json!({
        "request": {
            "method": "POST", "path": "/v2${request.path}", "body_limit": "4KiB",
            "headers": { "set": { "x-a": "a" } },
            "json": [{ "op": "set", "pointer": "/a", "value": 1 }],
            "text": [{ "find": "a", "replace": "b" }],
        },
        "response": { "status": 200, "text": [] },
    });
    let taken = [
        ("/request/headers/set/x-a", json!(["a", "b"])),
        ("/request/body_limit", json!(4096)),
        ("/request/body_limit", json!("2 MiB")),
        ("/request/path", json!("${request.path}")),
        ("/request/host", json!("a.example:80")),
        ("/request/json/0", json!({ "op": "wrap", "key": "data" })),
        ("/request/json/0", json!({ "op": "set", "pointer": "/a", "value": "1", "as": "number" })),
        ("/request/on_invalid_json", json!("pass")),
        ("/request/on_encoded_body", json!("reject")),
        ("/request/on_encoded_body", json!("recode")),
        ("/response/status", json!({ "404": 200, "5xx": 502 })),
        (
            "/response",
            json!([{ "when": { "status": [404, "404", "4xx", "500-503"] }, "status": 200 }]),
        ),
        ("/response/events", json!([{ "types": ["a"], "drop": true }, { "rename": "b" }])),
        ("/response", json!({ "events": [{ "drop": true }], "event_limit": "512KiB" })),
        ("/request/convert", json!({ "from": "form", "repeated": "last" })),
        ("/response/convert", json!({ "from": "xml", "lists": ["a"], "numbers": true })),
        ("/response/convert", json!({ "from": "xml", "to": "form", "prefixes": "drop" })),
        ("/response", json!({ "events": [{ "drop": true }], "event_types": ["text/x"] })),
        ("/response/when", json!({ "status": [200] })),
    ];
    let refused = [
        ("/unknown", json!({})),
        ("/request/unknown", json!({})),
        ("/request/method", json!("")),
        ("/request/host", json!("")),
        ("/request/path", json!("v2")),
        ("/request/body_limit", json!(0)),
        ("/request/body_limit", json!("0KiB")),
        ("/request/body_limit", json!("4 kilo")),
        ("/request/headers/unknown", json!({})),
        ("/request/headers/set/x-a", json!([])),
        ("/request/headers/set/x-a", json!(1)),
        ("/request/headers/remove", json!("x-a")),
        ("/request/query", json!({ "unknown": {} })),
        ("/request/json/0", json!({ "op": "Set", "pointer": "/a", "value": 1 })),
        ("/request/json/0", json!({ "op": "put", "pointer": "/a", "value": 1 })),
        ("/request/json/0", json!({ "op": "set", "pointer": "/a" })),
        ("/request/json/0", json!({ "op": "remove", "pointer": "/a", "value": 1 })),
        ("/request/json/0", json!({ "op": "set", "pointer": "/a", "value": "1", "as": "text" })),
        ("/request/json/0", json!({ "pointer": "/a", "value": 1 })),
        ("/request/text/0", json!({ "find": "", "replace": "b" })),
        ("/request/text/0", json!({ "find": "a".repeat(1025), "replace": "b" })),
        ("/request/text/0", json!({ "find": "a" })),
        ("/request/text/0", json!({ "find": "a", "replace": "b", "unknown": 1 })),
        ("/request/on_invalid_json", json!("Pass")),
        ("/request/on_encoded_body", json!("drop")),
        ("/response/status", json!(199)),
        ("/response/status", json!(600)),
        ("/response/status", json!("200")),
        ("/response/status", json!({ "404": 600 })),
        ("/response/unknown", json!(1)),
        ("/response", json!([])),
        ("/response", json!("all")),
        ("/response", json!([{ "unknown": 1 }])),
        ("/response/when", json!({})),
        ("/response/when", json!({ "status": 404 })),
        ("/response/when", json!({ "status": [] })),
        ("/response/when", json!({ "status": ["1xx"] })),
        ("/response/when", json!({ "status": [600] })),
        ("/response/accept_encoding", json!("gzip")),
        ("/response/events", json!([{ "unknown": 1 }])),
        ("/response/events", json!([{ "types": [], "drop": true }])),
        ("/response/events", json!([{ "rename": "" }])),
        ("/request/events", json!([])),
        ("/request/convert", json!({ "from": "yaml" })),
        ("/request/convert", json!({ "to": "xml" })),
    ];
    Judges::of("transform").agree(&good, &taken, &refused);
}
