//! No sequence of requests lets one who asks get what is for another, through the hooks of the plugin: keys, variants, what
//! is confirmed and what a `HEAD` or a change makes of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use arbtest::arbitrary::{Result, Unstructured};
use cache::Cache;
use gateway_plugin_sdk::testing::{self, Harness};
use serde_json::{Value, json};

/// Names that look alike, and like parts of each other and of a key.
const NAMES: [&str; 5] = ["", "a", "b", "a\"", "a consumer b"];
const QUERIES: [&str; 6] = ["", "x=1", "x=1&", "y=2&x=1", "x=1&z=3", "x=2"];
const SAYS: [&str; 6] = [
    "max-age=60",
    "public, max-age=60",
    "private, max-age=60",
    "max-age=60, no-cache=\"x-mine\"",
    "no-cache",
    "max-age=1, stale-while-revalidate=30, stale-if-error=30",
];

/// For whom a response was made, as a request says it: all that is a part of it, and whose it is if it is not for all.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    place: Value,
    /// Whose a response is that is for one.
    whose: Value,
    /// Whether it is made in somebody's name.
    has_credentials: bool,
    /// The field that responses may vary by.
    kind: String,
}

fn property(random: &mut Unstructured<'_>) -> Result<()> {
    let by_consumer = random.ratio(1, 2)?;
    let credentials = if by_consumer { "by-consumer" } else { "standard" };
    let ignores = random.ratio(1, 3)?;
    let key = if ignores { json!({ "query_ignore": ["z"] }) } else { json!({}) };
    let harness = Harness::<Cache>::new(json!({ "credentials": credentials, "key": key })).unwrap();
    harness.set_time(Duration::from_secs(1_790_000_000));
    for _ in 0..random.int_in_range(2..=14)? {
        harness.advance(Duration::from_secs(random.int_in_range(0..=40)?));
        let method = *random.choose(&["GET", "GET", "GET", "HEAD", "POST"])?;
        let host = *random.choose(&["a.example", "b.example", "a.example:81"])?;
        let query = *random.choose(&QUERIES)?;
        let [consumer, token, route] =
            [*random.choose(&NAMES)?, *random.choose(&NAMES)?, *random.choose(&["r", "s"])?];
        let [variants, upstream] =
            [*random.choose(&["", "e:a ", "e:b "])?, *random.choose(&["", "v2"])?];
        let kind = *random.choose(&["", "k", "l"])?;
        let mut request = testing::request()
            .method(method)
            .path("/a")
            .header("host", host)
            .attribute("request.scheme", "http")
            .attribute("request.host", host.split(':').next().unwrap_or_default())
            .attribute("route.name", route)
            .attribute("upstream.name", upstream)
            .attribute("experiment-variants", variants)
            .attribute("consumer.id", consumer);
        if !query.is_empty() {
            request = request.query(query);
        }
        for (name, value) in [("authorization", token), ("x-kind", kind)] {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        if method == "POST" {
            request = request.body("x");
        }
        let counts = if ignores {
            query.replace("&z=3", "").trim_end_matches('&').to_owned()
        } else {
            query.to_owned()
        };
        let asked = Asked {
            place: json!([host, counts, route, upstream, variants]),
            whose: json!([consumer, token]),
            has_credentials: !consumer.is_empty() || !token.is_empty(),
            kind: kind.to_owned(),
        };
        let mut exchange = harness.request(request);
        let answered = match exchange.answer() {
            Some(answer) => Some(answer.clone()),
            None => {
                let says = *random.choose(&SAYS)?;
                let varies = random.ratio(1, 3)?;
                let body = json!({
                    "place": asked.place, "whose": asked.whose, "says": says, "kind": varies.then_some(kind),
                    "has_credentials": asked.has_credentials, "consumer": consumer,
                });
                let confirms =
                    exchange.request().header("if-none-match").is_some() && random.ratio(1, 2)?;
                let mut response = testing::response()
                    .header("cache-control", says)
                    .header("etag", "\"same\"")
                    .status(if confirms { 304 } else { *random.choose(&[200, 200, 404, 503])? });
                if varies {
                    response = response.header("vary", "x-kind");
                }
                if random.ratio(1, 6)? {
                    response = response.header("set-cookie", "id=1");
                }
                let is_empty = confirms || method == "HEAD";
                let body = if is_empty { String::new() } else { body.to_string() };
                let answer = exchange.response(response.body(body)).clone();
                exchange.is_from_cache().then_some(answer)
            }
        };
        if let Some(answer) = answered.filter(|answer| !answer.body().is_empty()) {
            is_for(&asked, &serde_json::from_slice(answer.body()).unwrap(), by_consumer, consumer);
        }
    }
    Ok(())
}

/// Whether a stored response may be given to who asks, by a reading that is simpler than the rules.
fn is_for(asked: &Asked, made: &Value, by_consumer: bool, consumer: &str) {
    assert_eq!(asked.place, made["place"], "of another place");
    if let Some(kind) = made["kind"].as_str() {
        assert_eq!(asked.kind, kind, "of another kind");
    }
    if asked.whose == made["whose"] {
        return;
    }
    let says = made["says"].as_str().unwrap();
    assert!(!says.contains("private"), "private: {made}");
    let is_shared = says.contains("public") || made["has_credentials"] == false;
    let is_own = by_consumer && !consumer.is_empty() && made["consumer"] == consumer;
    assert!(is_shared || is_own, "made for another: {made}, asked by {asked:?}");
    if by_consumer && (made["consumer"] != "" || !consumer.is_empty()) {
        assert_eq!(made["consumer"], consumer, "each consumer has its own");
    }
}

#[test]
fn nobody_gets_what_is_for_another_fuzz() {
    let said = std::env::var("ARBTEST_BUDGET_MS").ok();
    let budget = said.and_then(|text| text.parse().ok()).unwrap_or(1000);
    arbtest::arbtest(property).budget_ms(budget).size_min(512);
}
