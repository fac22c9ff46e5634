//! HTTP Message Signatures: what must be covered, times, keys, several signatures, and the body.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_plugin_sdk::testing::{Harness, RequestBuilder, request};
use http_signature::HttpSignature;
use serde_json::{Value, json};

use crate::{NOW, assert_admitted, assert_refused, plugin};

const SECRET: &str = "a secret of more than 32 bytes ......";

pub(crate) fn config(changes: Value) -> Value {
    let mut settings = json!({ "keys": [
        { "id": "k1", "algorithm": "hmac-sha256", "secret": SECRET, "consumer": "ada",
          "group": "gold", "scopes": ["read", "write"], "claims": { "plan": "pro", "n": 1 } },
        { "id": "k2", "algorithm": "hmac-sha256", "secret": "another secret of some length" },
    ] });
    for (key, value) in changes.as_object().unwrap() {
        settings[key] = value.clone();
    }
    json!({ "message": settings })
}

/// One more signature in a request, of lines with names of components and their values.
pub(crate) fn signed_by(
    secret: &str,
    asked: RequestBuilder,
    label: &str,
    lines: &[(&str, &str)],
    parameters: &str,
) -> RequestBuilder {
    let names: Vec<_> = lines.iter().map(|(name, _)| *name).collect();
    let input = format!("({}){parameters}", names.join(" "));
    let mut base: String = lines.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    base += &format!("\"@signature-params\": {input}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = STANDARD.encode(hmac::sign(&key, base.as_bytes()));
    asked
        .header("signature-input", format!("{label}={input}"))
        .header("signature", format!("{label}=:{signature}:"))
}

fn signed(asked: RequestBuilder, lines: &[(&str, &str)], parameters: &str) -> RequestBuilder {
    signed_by(SECRET, asked, "sig1", lines, parameters)
}

pub(crate) const TARGET: [(&str, &str); 4] = [
    ("\"@method\"", "GET"),
    ("\"@authority\"", "api.example:8443"),
    ("\"@path\"", "/orders/7"),
    ("\"@query\"", "?all=1"),
];

pub(crate) fn asked() -> RequestBuilder {
    request().path("/orders/7").query("all=1").header("host", "api.example:8443")
}

fn now() -> String {
    format!(";created={NOW};keyid=\"k1\"")
}

#[test]
fn tells_who_signed() {
    let mut config = config(json!({}));
    config["headers"] = json!({ "x-consumer": "consumer.id", "x-plan": "consumer.claim.plan" });
    let plugin = plugin(config);
    let exchange = plugin.request(signed(asked(), &TARGET, &now()).header("x-consumer", "root"));
    assert_admitted(&exchange, "ada");
    for (name, value) in [
        ("consumer.method", "http-signature"),
        ("consumer.key-id", "k1"),
        ("consumer.scopes", "read write"),
        ("consumer.group", "gold"),
        ("consumer.claim.plan", "pro"),
        ("consumer.claim.n", "1"),
    ] {
        assert_eq!(exchange.attribute(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(exchange.request().header_values("x-consumer"), ["ada"]);
    assert_eq!(exchange.request().header_values("x-plan"), ["pro"]);
}

#[test]
fn says_which_signature_is_wanted() {
    let plain = plugin(config(json!({})));
    let answer = |exchange: &gateway_plugin_sdk::testing::Exchange<'_, HttpSignature>| {
        let answer = exchange.answer().unwrap();
        let field = |name: &str| answer.header(name).unwrap_or_default().to_owned();
        (answer.status(), field("www-authenticate"), field("accept-signature"))
    };
    let whole = "sig1=(\"@method\" \"@authority\" \"@path\" \"@query\");created";
    let expected = (401, "Signature realm=\"api\"".to_owned(), whole.to_owned());
    assert_eq!(answer(&plain.request(asked())), expected);
    let (_, _, with_body) = answer(&plain.request(asked().body("x")));
    assert_eq!(with_body, whole.replace(')', " \"content-digest\")"));
    let changes = json!({
        "components": ["@authority", "content-type", "@query-param;name=\"id\""],
        "label": "app", "tag": "a \"b\"", "require_nonce": true, "content_digest": "optional",
    });
    let (_, _, accept) = answer(&plugin(config(changes)).request(asked().body("x")));
    let expected =
        r#"app=("@authority" "content-type" "@query-param";name="id");created;nonce;tag="a \"b\"""#;
    assert_eq!(accept, expected);
}

#[test]
fn method_and_target_must_be_covered_in_one_way_or_another() {
    let target_uri = ("\"@target-uri\"", "http://api.example:8443/orders/7?all=1");
    let request_target = ("\"@request-target\"", "/orders/7?all=1");
    for lines in [
        vec![TARGET[0], target_uri],
        vec![request_target, TARGET[1], TARGET[0]],
        vec![("\"@scheme\"", "http"), TARGET[3], TARGET[2], TARGET[1], TARGET[0]],
    ] {
        let plugin = plugin(config(json!({})));
        assert_admitted(&plugin.request(signed(asked(), &lines, &now())), "ada");
    }
    for lines in [
        vec![],
        vec![target_uri],
        vec![TARGET[0], request_target],
        vec![TARGET[0], TARGET[1], TARGET[2]],
        vec![TARGET[0], TARGET[1], TARGET[3]],
        vec![TARGET[1], TARGET[2], TARGET[3]],
    ] {
        let plugin = plugin(config(json!({})));
        let exchange = plugin.request(signed(asked(), &lines, &now()));
        assert_refused(&exchange, "does not cover the method and the whole target");
    }
}

#[test]
fn what_is_configured_must_be_covered() {
    let changes = json!({ "components": ["@authority", "x-a", "x-b;key=\"m\"", "@query-param;name=\"all\""] });
    let base = || asked().header("x-a", "1").header("x-b", "m=2, n=3");
    let good = [
        TARGET[1],
        ("\"x-a\";bs", ":MQ==:"),
        ("\"x-b\";key=\"m\"", "2"),
        ("\"@query-param\";name=\"all\"", "1"),
    ];
    assert_admitted(&plugin(config(changes.clone())).request(signed(base(), &good, &now())), "ada");
    for (index, missing) in
        ["\"@authority\"", "\"x-a\"", "\"x-b\";key=\"m\"", "\"@query-param\";name=\"all\""]
            .into_iter()
            .enumerate()
    {
        let mut lines = good.to_vec();
        lines.remove(index);
        let exchange_of = plugin(config(changes.clone()));
        let exchange = exchange_of.request(signed(base(), &lines, &now()));
        assert_refused(&exchange, &format!("does not cover {missing}"));
    }
    // A member is less than the field.
    let mut lines = good.to_vec();
    lines[1] = ("\"x-a\";key=\"1\"", "?1");
    let exchange_of = plugin(config(changes));
    assert_refused(&exchange_of.request(signed(base(), &lines, &now())), "does not cover \"x-a\"");
}

#[test]
fn fields_are_signed_as_they_are_strictly_by_bytes_and_by_member() {
    let mut settings = config(json!({ "structured_fields": { "x-list": "list" } }));
    settings["once"] = json!(false);
    let plugin = plugin(settings);
    let base = || {
        asked()
            .header("x-list", "a,  \"b\";q=1.10")
            .header("x-list", "(1 2)")
            .header("example-dict", "a=1,   b=2;x=1;y=2,   c=(a   b   c), d")
            .header("x-empty", "")
            .header("priority", "u=1,   i=?1")
    };
    for line in [
        ("\"x-list\"", "a,  \"b\";q=1.10, (1 2)"),
        ("\"x-list\";sf", "a, \"b\";q=1.1, (1 2)"),
        ("\"x-list\";bs", ":YSwgICJiIjtxPTEuMTA=:, :KDEgMik=:"),
        ("\"example-dict\";key=\"a\"", "1"),
        ("\"example-dict\";key=\"b\"", "2;x=1;y=2"),
        ("\"example-dict\";key=\"c\"", "(a b c)"),
        ("\"example-dict\";key=\"d\"", "?1"),
        ("\"x-empty\"", ""),
        ("\"priority\";sf", "u=1, i"),
    ] {
        let mut lines = TARGET.to_vec();
        lines.push(line);
        let exchange = plugin.request(signed(base(), &lines, &now()));
        assert_eq!(exchange.answer().map(|_| (line, exchange.log())), None);
    }
    for (line, reason) in [
        (("\"example-dict\";sf", ""), "it is not known what kind of structured field it is"),
        (("\"example-dict\";key=\"e\"", ""), "the field has no such member"),
        (("\"x-list\";key=\"a\"", ""), "the field is no dictionary"),
        (("\"x-none\"", ""), "there is no such field"),
    ] {
        let mut lines = TARGET.to_vec();
        lines.push(line);
        assert_refused(&plugin.request(signed(base(), &lines, &now())), reason);
    }
}

#[test]
fn query_parameters_are_signed_one_by_one() {
    // RFC 9421 section 2.2.8.
    let query = "var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something&two=1&two=2&e=";
    let plugin = plugin(config(json!({ "components": ["@authority"] })));
    let asked = || asked().query(query);
    for line in [
        ("\"@query-param\";name=\"var\"", "this%20is%20a%20big%0Amultiline%20value"),
        ("\"@query-param\";name=\"bar\"", "with%20plus%20whitespace"),
        ("\"@query-param\";name=\"fa%C3%A7ade%22%3A%20\"", "something"),
        ("\"@query-param\";name=\"e\"", ""),
    ] {
        let exchange = plugin.request(signed(asked(), &[TARGET[1], line], &now()));
        assert_eq!(exchange.answer().map(|_| (line, exchange.log())), None);
    }
    for (line, reason) in [
        (("\"@query-param\";name=\"two\"", "1"), "is there twice"),
        (("\"@query-param\";name=\"none\"", ""), "is not there"),
    ] {
        assert_refused(&plugin.request(signed(asked(), &[TARGET[1], line], &now())), reason);
    }
}

#[test]
fn components_that_are_none_of_a_request_are_refused_by_name() {
    let plugin = plugin(config(json!({})));
    for (name, reason) in [
        ("\"@method\";req", "`req` is for signatures of responses"),
        ("\"x-trailer\";tr", "trailers are not known before the body"),
        ("\"@status\"", "there is no such component of a request"),
        ("\"@signature-params\"", "there is no such component of a request"),
        ("\"@request-response\";key=\"a\"", "there is no such component of a request"),
        ("\"@query-param\"", "there is no such component of a request"),
        ("\"@path\";sf", "there is no such component of a request"),
        ("\"X-A\"", "a field's name is in lower case"),
        ("\"\"", "a field's name is in lower case"),
        ("\"x-a\";bs;sf", "contradict"),
        ("\"x-a\";bs;key=\"a\"", "contradict"),
        ("\"x-a\";sf=?0", "not known"),
        ("\"x-a\";other", "not known"),
        ("x-a", "no name of a component"),
        ("\"@path\"", "twice"),
    ] {
        let mut lines = TARGET.to_vec();
        lines.push((name, ""));
        assert_refused(&plugin.request(signed(asked(), &lines, &now())), reason);
    }
}

#[test]
fn a_signature_counts_from_its_creation_to_its_end() {
    let mut config = config(json!({ "require_nonce": true }));
    config["once"] = json!(false);
    let plugin = plugin(config);
    let with = |parameters: &str| {
        plugin.request(signed(asked(), &TARGET, &format!("{parameters};keyid=\"k1\";nonce=\"n\"")))
    };
    for good in [
        format!(";created={NOW}"),
        format!(";created={}", NOW - 300),
        format!(";created={}", NOW + 30),
        format!(";created={NOW};expires={}", NOW + 1),
    ] {
        assert_admitted(&with(&good), "ada");
    }
    for (bad, reason) in [
        (String::new(), "does not say when it was created"),
        (format!(";created={}", NOW - 301), "too old"),
        (format!(";created={}", NOW + 31), "in the future"),
        (format!(";created={NOW};expires={NOW}"), "has expired"),
        (format!(";created=\"{NOW}\""), "`created` is no time"),
        (format!(";created={NOW}.5"), "`created` is no time"),
        (";created=-1".to_owned(), "`created` is no time"),
        (format!(";created={NOW};expires=?1"), "`expires` is no time"),
        (format!(";created={NOW};tag=a;alg=x"), "`alg` is no text"),
    ] {
        assert_refused(&with(&bad), reason);
    }
    for nonce in ["", ";nonce=\"\""] {
        let exchange = plugin.request(signed(asked(), &TARGET, &format!("{}{nonce}", now())));
        assert_refused(&exchange, "has no nonce");
    }
}

#[test]
fn a_key_is_of_one_algorithm_and_one_consumer() {
    let plugin = plugin(config(json!({})));
    let with = |parameters: &str| {
        plugin.request(signed(asked(), &TARGET, &format!(";created={NOW}{parameters}")))
    };
    assert_admitted(&with(";keyid=\"k1\";alg=\"hmac-sha256\""), "ada");
    for (parameters, reason) in [
        (";keyid=\"k1\";alg=\"hmac-sha512\"", "algorithm is not that of its key"),
        (";keyid=\"k1\";alg=\"ed25519\"", "algorithm is not that of its key"),
        (";keyid=\"k3\"", "key is not known"),
        (";keyid=\"k2\"", "does not fit"),
        ("", "does not name its key"),
        (";keyid=k1", "`keyid` is no text"),
    ] {
        assert_refused(&with(parameters), reason);
    }
}

#[test]
fn among_several_signatures_one_that_counts_must_be_right() {
    let by_other = |asked| {
        signed_by(
            "nobody knows this secret here",
            asked,
            "proxy",
            &TARGET,
            &format!(";created={NOW};keyid=\"p\""),
        )
    };
    let tagged = format!("{};tag=\"app\"", now());
    let both = |parameters: &str| signed(by_other(asked()), &TARGET, parameters);
    assert_admitted(&plugin(config(json!({}))).request(both(&now())), "ada");
    let by_tag = || plugin(config(json!({ "tag": "app" })));
    assert_admitted(&by_tag().request(both(&tagged)), "ada");
    assert_refused(&by_tag().request(both(&now())), "no signature has the label and the tag");
    let by_label = |label: &str| plugin(config(json!({ "label": label })));
    assert_admitted(&by_label("sig1").request(both(&now())), "ada");
    assert_refused(&by_label("proxy").request(both(&now())), "key is not known");
    assert_refused(&by_label("other").request(both(&now())), "no signature has the label");
    let many = (0..9).fold(asked(), |asked, number| {
        signed_by(SECRET, asked, &format!("s{number}"), &TARGET, &now())
    });
    assert_refused(&plugin(config(json!({}))).request(many), "more than eight");
}

#[test]
fn fields_that_hold_no_signature_are_refused() {
    let plugin = plugin(config(json!({})));
    let good = "sig1=(\"@method\");created=1";
    for (input, signature, reason) in [
        (Some(good), None, "is missing"),
        (None, Some("sig1=:AAAA:"), "is missing"),
        (Some("sig1=("), Some("sig1=:AAAA:"), "`signature-input` is malformed"),
        (Some(good), Some("sig1=:A"), "`signature` is malformed"),
        (Some(good), Some("sig1=\"AAAA\""), "the signature `sig1` is missing"),
        (Some(good), Some("sig2=:AAAA:"), "the signature `sig1` is missing"),
        (Some("sig1=1"), Some("sig1=:AAAA:"), "covers no list"),
        (Some(""), Some(""), "no signature has"),
        (Some("sig1=(\"é\")"), Some("sig1=:AAAA:"), "malformed"),
    ] {
        let mut request = asked();
        if let Some(input) = input {
            request = request.header("signature-input", input);
        }
        if let Some(signature) = signature {
            request = request.header("signature", signature);
        }
        assert_refused(&plugin.request(request), reason);
    }
    let exchange = plugin.request(asked());
    assert_refused(&exchange, "there is no signature");
}

const BODY: &str = "{\"hello\": \"world\"}";
const SHA_256: &str = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
const SHA_512: &str = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";

fn with_digest(plugin: &Harness<HttpSignature>, digest: &str, body: &str) -> RequestBuilder {
    let _ = plugin;
    let mut lines = TARGET.to_vec();
    lines.push(("\"content-digest\"", digest));
    let request = signed(asked().header("content-digest", digest), &lines, &now());
    if body.is_empty() { request } else { request.body(body) }
}

#[test]
fn a_body_is_that_of_the_digest_that_is_covered() {
    let plugin_of = || plugin(config(json!({})));
    let both = format!("{SHA_256}, {SHA_512}");
    let unknown = format!("{SHA_256}, md5=:AAAA:");
    for digest in [SHA_256, SHA_512, &both, &unknown] {
        let plugin = plugin_of();
        let exchange = plugin.request(with_digest(&plugin, digest, BODY));
        assert_admitted(&exchange, "ada");
        assert_eq!(exchange.request().text(), BODY);
    }
    let wrong = format!("{SHA_256}, sha-512=:AAAA:");
    for (digest, body, reason) in [
        (SHA_256, "{\"hello\": \"World\"}", "not that of the content digest"),
        (SHA_512, "{\"hello\": \"World\"}", "not that of the content digest"),
        // The body is taken away.
        (SHA_256, "", "not that of the content digest"),
        (&wrong, BODY, "not that of the content digest"),
        ("md5=:AAAA:", BODY, "neither `sha-256` nor `sha-512`"),
        ("sha-256=abc", BODY, "the content digest is malformed"),
        ("sha-256", BODY, "the content digest is malformed"),
    ] {
        let plugin = plugin_of();
        assert_refused(&plugin.request(with_digest(&plugin, digest, body)), reason);
    }
}

#[test]
fn a_body_must_be_covered_unless_the_configuration_says_otherwise() {
    let uncovered = || signed(asked(), &TARGET, &now()).body(BODY);
    assert_refused(&plugin(config(json!({}))).request(uncovered()), "does not cover the body");
    let with_length = uncovered().header("content-length", "18");
    assert_refused(&plugin(config(json!({}))).request(with_length), "does not cover the body");
    // There, and not covered.
    let beside = uncovered().header("content-digest", SHA_256);
    assert_refused(&plugin(config(json!({}))).request(beside), "does not cover the body");
    let lenient = || plugin(config(json!({ "content_digest": "optional" })));
    assert_admitted(&lenient().request(uncovered()), "ada");
    let plugin = lenient();
    assert_refused(&plugin.request(with_digest(&plugin, SHA_256, "x")), "not that of the content");
}

#[test]
fn of_a_digest_that_is_covered_in_part_that_part_counts() {
    let part = |digest: &str, member: (&str, &str)| {
        let mut lines = TARGET.to_vec();
        lines.push(member);
        signed(asked().header("content-digest", digest), &lines, &now()).body(BODY)
    };
    let value = SHA_256.strip_prefix("sha-256=").unwrap();
    let member = ("\"content-digest\";key=\"sha-256\"", value);
    let both = format!("sha-512=:AAAA:, {SHA_256}");
    assert_admitted(&plugin(config(json!({}))).request(part(&both, member)), "ada");
    let member = ("\"content-digest\";key=\"md5\"", ":AAAA:");
    let both = format!("md5=:AAAA:, {SHA_256}");
    let refusing = plugin(config(json!({})));
    assert_refused(&refusing.request(part(&both, member)), "neither `sha-256` nor `sha-512`");
}

#[test]
fn a_body_that_is_too_long_is_refused_before_it_is_read() {
    let mut config = config(json!({}));
    config["max_body"] = json!(17);
    let plugin = plugin(config);
    let exchange = plugin.request(with_digest(&plugin, SHA_256, BODY));
    assert_eq!(exchange.outcome(), &gateway_plugin_sdk::testing::Outcome::RequestTooLarge);
}
