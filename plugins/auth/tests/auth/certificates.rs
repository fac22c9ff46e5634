//! Clients that are known by their certificates. What is in a certificate is the gateway's to say.

use gateway_plugin_sdk::testing::{Harness, RequestBuilder, request};
use serde_json::{Value, json};

use auth::Auth;

use crate::{assert_admitted, assert_refused, plugin};

/// Of the certificate that these tests show.
const FINGERPRINT: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A request over a connection whose client showed a certificate.
fn shown() -> RequestBuilder {
    [
        ("fingerprint", FINGERPRINT),
        ("subject", "CN=billing,O=Acme"),
        ("issuer", "CN=Clients"),
        ("common-name", "billing"),
        ("dns", "b.acme.example billing.acme.example"),
        ("uri", "spiffe://acme.example/ns/pay/sa/billing"),
        ("email", "billing@acme.example"),
        ("spiffe-id", "spiffe://acme.example/ns/pay/sa/billing"),
        ("not-after", "2999-01-01T00:00:00Z"),
    ]
    .into_iter()
    .fold(request(), |request, (name, value)| {
        request.attribute(format!("client.certificate.{name}"), value)
    })
}

fn taking(client: Value) -> Value {
    json!({ "client_certificate": { "clients": [client] } })
}

#[test]
fn takes_who_is_in_the_list() {
    for (client, consumer) in [
        (json!({ "fingerprint": FINGERPRINT }), FINGERPRINT),
        (json!({ "fingerprint": format!("sha256:{}", FINGERPRINT.to_uppercase()) }), FINGERPRINT),
        (
            json!({ "spiffe_id": "spiffe://acme.example/ns/*/sa/billing" }),
            "spiffe://acme.example/ns/pay/sa/billing",
        ),
        (json!({ "uri": "spiffe://**" }), "spiffe://acme.example/ns/pay/sa/billing"),
        (json!({ "dns": "Billing.*.example" }), "billing.acme.example"),
        (json!({ "email": "*@acme.example" }), "billing@acme.example"),
        (json!({ "common_name": "bill*" }), "billing"),
        (json!({ "subject": "CN=billing,O=Acme" }), "CN=billing,O=Acme"),
        (json!({ "common_name": "*", "issuer": "CN=Clients" }), "billing"),
        (json!({ "common_name": "billing", "consumer": "acme" }), "acme"),
    ] {
        let plugin = plugin(taking(client.clone()));
        let exchange = plugin.request(shown());
        assert_admitted(&exchange, consumer);
        assert_eq!(exchange.attribute("consumer.method").as_deref(), Some("client-certificate"));
        assert_eq!(exchange.attribute("consumer.key-id").as_deref(), Some(FINGERPRINT));
    }
}

#[test]
fn refuses_others_without_a_challenge_where_there_is_none_to_make() {
    for client in [
        json!({ "fingerprint": "ff".repeat(32) }),
        json!({ "spiffe_id": "spiffe://acme.example/*" }),
        json!({ "dns": "*.example" }),
        json!({ "common_name": "Billing" }),
        json!({ "subject": "CN=billing" }),
        // All that is named must fit.
        json!({ "common_name": "billing", "issuer": "CN=Others" }),
    ] {
        let plugin = plugin(taking(client));
        assert_refused(&plugin.request(shown()), 403, &[]);
        assert_refused(&plugin.request(request()), 403, &[]);
    }
}

#[test]
fn a_certificate_that_ends_while_its_connection_is_open_admits_no_more() {
    let plugin = plugin(taking(json!({ "common_name": "*" })));
    let late = shown().attribute("client.certificate.not-after", "2001-01-01T00:00:00Z");
    assert_refused(&plugin.request(late), 403, &[]);
}

#[test]
fn the_first_that_fits_says_who_it_is_and_what_it_may() {
    let mut config = json!({ "client_certificate": { "clients": [
        { "common_name": "nobody", "consumer": "first" },
        { "common_name": "billing", "consumer": "acme", "group": "gold", "scopes": ["read"], "claims": { "plan": "pro" } },
        { "common_name": "*", "consumer": "third" },
    ] } });
    config["require"] = json!({ "scopes": ["read"], "claims": { "plan": ["pro"] } });
    config["claims_to_attributes"] = json!(["plan"]);
    config["headers"] = json!({ "x-consumer": "consumer.id" });
    let plugin = plugin(config.clone());
    let exchange = plugin.request(shown().header("x-consumer", "forged"));
    assert_admitted(&exchange, "acme");
    for (name, value) in [("group", "gold"), ("scopes", "read"), ("claim.plan", "pro")] {
        assert_eq!(exchange.attribute(&format!("consumer.{name}")).as_deref(), Some(value));
    }
    assert_eq!(exchange.request().header("x-consumer"), Some("acme"));
    config["require"]["scopes"] = json!(["write"]);
    let plugin = self::plugin(config);
    assert_refused(&plugin.request(shown()), 403, &[]);
}

/// The SHA-256 digest of `key`.
const KEY: &str = "sha256:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683";

fn with_keys(combine: &str) -> Harness<Auth> {
    let mut config = taking(json!({ "common_name": "billing", "consumer": "acme" }));
    config["client_certificate"]["combine"] = json!(combine);
    config["api_key"] = json!({ "header": "x-api-key", "keys": [{ "id": "key", "digest": KEY }] });
    plugin(config)
}

const CHALLENGE: &str = r#"ApiKey realm="api", header="x-api-key""#;

#[test]
fn one_of_several_is_enough() {
    let plugin = with_keys("any");
    assert_admitted(&plugin.request(shown()), "acme");
    assert_admitted(&plugin.request(request().header("x-api-key", "key")), "key");
    // Another credential comes first, and a wrong one is refused.
    assert_admitted(&plugin.request(shown().header("x-api-key", "key")), "key");
    assert_refused(&plugin.request(shown().header("x-api-key", "wrong")), 401, &[CHALLENGE]);
    assert_refused(&plugin.request(request()), 401, &[CHALLENGE]);
    let other = shown().attribute("client.certificate.common-name", "other");
    assert_refused(&plugin.request(other), 401, &[CHALLENGE]);
}

#[test]
fn both_are_needed() {
    let plugin = with_keys("all");
    assert_admitted(&plugin.request(shown().header("x-api-key", "key")), "key");
    for request in [shown(), request().header("x-api-key", "key"), request()] {
        assert_refused(&plugin.request(request), 401, &[CHALLENGE]);
    }
    let other = shown().attribute("client.certificate.common-name", "other");
    assert_refused(&plugin.request(other.header("x-api-key", "key")), 401, &[CHALLENGE]);
}

#[test]
fn who_shows_none_may_be_anonymous() {
    let mut config = taking(json!({ "common_name": "billing" }));
    config["anonymous"] = json!("guest");
    let plugin = plugin(config);
    assert_admitted(&plugin.request(request()), "guest");
    assert_admitted(&plugin.request(shown()), "billing");
    let other = shown().attribute("client.certificate.common-name", "other");
    assert_refused(&plugin.request(other), 403, &[]);
}

#[test]
fn says_what_is_wrong_with_the_list() {
    let of = |clients: Value| json!({ "client_certificate": { "clients": clients } });
    let mut all = of(json!([{ "common_name": "a" }]));
    all["client_certificate"]["combine"] = json!("all");
    all["anonymous"] = json!("guest");
    for (config, pointer, message) in [
        (of(json!([])), "/client_certificate/clients", "names no client"),
        (of(json!([{ "consumer": "a" }])), "/client_certificate/clients/0", "names no certificate"),
        (
            of(json!([{ "issuer": "CN=a" }])),
            "/client_certificate/clients/0",
            "names no certificate",
        ),
        (
            of(json!([{ "fingerprint": "abc" }])),
            "/client_certificate/clients/0/fingerprint",
            "is no SHA-256",
        ),
        (
            of(json!([{ "spiffe_id": "a" }])),
            "/client_certificate/clients/0/spiffe_id",
            "is no SPIFFE id",
        ),
        (of(json!([{ "dns": "***" }])), "/client_certificate/clients/0/dns", "three stars"),
        (
            of(json!([{ "dns": "a", "scopes": ["a b"] }])),
            "/client_certificate/clients/0/scopes",
            "",
        ),
        (all.clone(), "/client_certificate/combine", "needs another method"),
        (all, "/client_certificate/combine", "exclude each other"),
    ] {
        let Err(error) = Harness::<Auth>::new(config) else { panic!("{pointer}") };
        let told = error.to_string();
        assert!(told.contains(pointer) && told.contains(message), "{pointer}: {told}");
    }
}
