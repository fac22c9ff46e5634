//! What clients see of the plugin, through the harness of the SDK.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use cache::Cache;
use gateway_plugin_sdk::testing::{self, Answer, Harness, RequestBuilder, ResponseBuilder};
use serde_json::{Value, json};

const AGED: (&str, &str) = ("cache-control", "max-age=60");

fn harness(config: Value) -> Harness<Cache> {
    let harness = Harness::<Cache>::new(config).unwrap();
    harness.set_time(Duration::from_secs(1_790_000_000));
    harness
}

fn get(path: &str) -> RequestBuilder {
    let (path, query) =
        path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let request = testing::request()
        .path(path)
        .attribute("request.scheme", "https")
        .attribute("request.host", "a.example");
    query.map_or(request.clone(), |query| request.query(query))
}

fn answer(fields: &[(&str, &str)], body: &str) -> ResponseBuilder {
    let mut response = testing::response();
    for (name, value) in fields {
        response = response.header(name, *value);
    }
    response.body(body)
}

/// Sends a request. What comes of it: the answer, and whether it is from the cache.
fn send(
    harness: &Harness<Cache>,
    request: RequestBuilder,
    response: ResponseBuilder,
) -> (bool, Answer) {
    let mut exchange = harness.request(request);
    if let Some(answer) = exchange.answer() {
        return (true, answer.clone());
    }
    let answer = exchange.response(response).clone();
    (exchange.is_from_cache(), answer)
}

fn text(harness: &Harness<Cache>, request: RequestBuilder, body: &str) -> String {
    send(harness, request, answer(&[AGED], body)).1.text().to_owned()
}

#[test]
fn what_is_stored_answers_until_it_is_stale() {
    let harness = harness(json!({ "name": "edge" }));
    let (_, first) =
        send(&harness, get("/a"), answer(&[AGED, ("cache-status", "origin; hit")], "one"));
    assert_eq!(
        first.header_values("cache-status"),
        ["origin; hit", "edge; fwd=uri-miss; ttl=60; stored"]
    );
    harness.advance(Duration::from_secs(59));
    let (is_cached, second) = send(&harness, get("/a"), answer(&[], "two"));
    assert!(is_cached);
    assert_eq!((second.text(), second.header("age")), ("one", Some("59")));
    assert_eq!(second.header("cache-status"), Some("origin; hit, edge; hit; ttl=1"));
    harness.advance(Duration::from_secs(1));
    assert_eq!(text(&harness, get("/a"), "two"), "two");
    assert_eq!(text(&harness, get("/a?x=1"), "three"), "three");
}

#[test]
fn the_key_has_what_counts_and_nothing_else() {
    let config = json!({ "key": {
        "query_ignore": ["utm_*"], "query_any_order": true, "headers": ["x-kind"], "attributes": ["tenant"] } });
    let harness = harness(config);
    assert_eq!(text(&harness, get("/a?b=1&a=2&utm_x=3"), "one"), "one");
    assert_eq!(text(&harness, get("/a?a=2&b=1"), "two"), "one");
    assert_eq!(text(&harness, get("/a?a=2&b=1").header("x-kind", "k"), "two"), "two");
    assert_eq!(text(&harness, get("/a?a=2&b=1").attribute("tenant", "t"), "three"), "three");
    assert_eq!(
        text(&harness, get("/a?a=2&b=1").attribute("request.host", "b.example"), "four"),
        "four"
    );
}

#[test]
fn all_of_a_query_counts_unless_it_is_said_what_does() {
    let queries = ["/a", "/a?", "/a?x=1&y=2", "/a?x=1&&y=2", "/a?x=1&y=2&", "/a?%78=1&y=2"];
    let exact = harness(json!({}));
    for body in [1, 2] {
        for path in queries {
            assert_eq!(text(&exact, get(path), &format!("{path} {body}")), format!("{path} 1"));
        }
    }
    let some = harness(json!({ "key": { "query_ignore": ["z"] } }));
    assert_eq!(text(&some, get("/a"), "none"), "none");
    assert_eq!(text(&some, get("/a?z=1"), "other"), "none");
}

#[test]
fn a_response_has_all_its_tags_or_is_not_stored() {
    let harness = harness(json!({}));
    let tags = |count: usize| (0..count).map(|tag| format!("t{tag} ")).collect::<String>();
    // One is that of the URL.
    for (path, count, is_stored) in [("/few", 63, true), ("/many", 64, false)] {
        let keys = tags(count).repeat(2);
        let head = [AGED, ("surrogate-key", &*keys)];
        let (_, sent) = send(&harness, get(path), answer(&head, "one"));
        let said = sent.header("cache-status").unwrap().to_owned();
        assert_eq!(said.ends_with("detail=too-many-tags"), !is_stored, "{said}");
        assert_eq!(send(&harness, get(path), answer(&head, "two")).0, is_stored, "{path}");
    }
    let long = "t".repeat((8 << 10) + 1);
    let head = [AGED, ("surrogate-key", &*long)];
    send(&harness, get("/long"), answer(&head, "one"));
    assert!(!send(&harness, get("/long"), answer(&head, "two")).0);
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_fresh_again() {
    let harness = harness(json!({}));
    let wall = |seconds: u64| harness.set_time(Duration::from_secs(1_790_000_000 + seconds));
    send(&harness, get("/a"), answer(&[AGED, ("etag", "\"1\"")], "one"));
    harness.advance(Duration::from_secs(59));
    harness.set_time(Duration::from_secs(1_790_000_000 - 3600));
    let (is_cached, answered) = send(&harness, get("/a"), answer(&[], "two"));
    assert_eq!((is_cached, answered.header("age")), (true, Some("59")));
    harness.advance(Duration::from_secs(1));
    let exchange = harness.request(get("/a"));
    assert!(exchange.answer().is_none(), "its time is over, whatever the clock says");
    assert_eq!(exchange.request().header("if-none-match"), Some("\"1\""));
    // One that goes on makes it older, and does not keep it from growing older when it is set right.
    send(&harness, get("/b"), answer(&[AGED], "one"));
    wall(7200);
    assert!(harness.request(get("/b")).answer().is_none());
}

#[test]
fn another_port_route_or_listener_has_its_own_responses() {
    let harness = harness(json!({}));
    let at = |host: &str| get("/a").header("host", host);
    assert_eq!(text(&harness, at("a.example:6666"), "of the port"), "of the port");
    assert_eq!(text(&harness, at("a.example"), "one"), "one");
    assert_eq!(text(&harness, at("A.example:443"), "two"), "one");
    assert_eq!(text(&harness, at("b.example"), "of another host"), "of another host");
    assert_eq!(text(&harness, at("a.example:6666"), "two"), "of the port");
    for name in ["route.name", "listener.name"] {
        let other = || at("a.example").attribute(name, "other");
        assert_eq!(text(&harness, other(), name), name);
        assert_eq!(text(&harness, other(), "again"), name);
    }
}

#[test]
fn what_one_upstream_answers_is_not_for_another() {
    let harness = harness(json!({}));
    let by = |upstream: &str| get("/a").attribute("upstream.name", upstream);
    assert_eq!(text(&harness, get("/a"), "route"), "route");
    assert_eq!(text(&harness, by("v2"), "v2"), "v2");
    assert_eq!(text(&harness, by("v3"), "v3"), "v3");
    assert_eq!(text(&harness, by("v2"), "x"), "v2");
    let has = |variants: &str| get("/a").attribute("experiment-variants", variants);
    assert_eq!(text(&harness, has("checkout:new "), "new"), "new");
    assert_eq!(text(&harness, has("checkout:control "), "control"), "control");
    assert_eq!(text(&harness, has("checkout:new "), "x"), "new");
    assert_eq!(text(&harness, get("/a"), "x"), "route");
    // A variant that is chosen behind the plugins is not known.
    let split = || get("/b").attribute("route.splits", "true");
    for body in ["one", "two"] {
        let (_, sent) = send(&harness, split(), answer(&[AGED], body));
        let said = Some("gateway; fwd=bypass; detail=variant");
        assert_eq!((sent.text(), sent.header("cache-status")), (body, said));
    }
    let chosen = || split().attribute("upstream.name", "v2");
    assert_eq!(text(&harness, chosen(), "v2"), "v2");
    assert_eq!(text(&harness, chosen(), "x"), "v2");
}

#[test]
fn a_change_is_of_the_port_that_it_was_sent_to_and_of_what_counts_of_its_query() {
    let harness = harness(json!({ "key": { "query_ignore": ["utm_x"] } }));
    let at = |host: &str, path: &str| get(path).header("host", host);
    let change = |path: &str| {
        let request = at("a.example:81", path).method("POST").body("x");
        send(&harness, request, answer(&[], "").status(201));
    };
    for host in ["a.example", "a.example:81"] {
        text(&harness, at(host, "/a?x=1&utm_x=1"), "old");
    }
    change("/a?utm_x=2&x=1");
    assert_eq!(text(&harness, at("a.example", "/a?x=1"), "new"), "old");
    assert_eq!(text(&harness, at("a.example:81", "/a?x=1"), "new"), "new");
}

#[test]
fn what_varies_is_kept_for_each_kind_of_request() {
    let harness = harness(json!({}));
    let varies = [AGED, ("vary", "accept-encoding")];
    let ask = |coding: &str, body: &str| {
        let request = get("/a").header("accept-encoding", coding);
        send(&harness, request, answer(&varies, body)).1.text().to_owned()
    };
    assert_eq!(ask("gzip, br", "both"), "both");
    assert_eq!(ask("br", "br"), "br");
    assert_eq!(ask("BR,gzip", "other"), "both");
    assert_eq!(ask("br", "other"), "br");
}

#[test]
fn a_stale_response_is_confirmed_and_the_client_has_it() {
    let harness = harness(json!({}));
    let head = [AGED, ("etag", "\"1\""), ("x-part", "old"), ("x-kept", "yes")];
    send(&harness, get("/a"), answer(&head, "one"));
    harness.advance(Duration::from_secs(100));
    let mut exchange = harness.request(get("/a").header("range", "bytes=0-0"));
    assert_eq!(exchange.request().header("if-none-match"), Some("\"1\""));
    assert_eq!(exchange.request().header("range"), None);
    let confirmation = answer(&[("etag", "W/\"1\""), ("x-part", "new"), ("set-cookie", "a=b")], "");
    let served = exchange.response(confirmation.status(304)).clone();
    assert_eq!((served.status(), served.text()), (200, "one"));
    assert_eq!((served.header("x-part"), served.header("x-kept")), (Some("new"), Some("yes")));
    assert_eq!(served.header("set-cookie"), Some("a=b"));
    let status = "gateway; fwd=stale; fwd-status=304; ttl=60; stored";
    assert_eq!((served.header("age"), served.header("cache-status")), (Some("0"), Some(status)));
    // Everybody has what is new, but for the cookie.
    let (is_cached, next) = send(&harness, get("/a"), answer(&[], "two"));
    assert_eq!(
        (is_cached, next.header("x-part"), next.header("set-cookie")),
        (true, Some("new"), None)
    );
    // A client that has it is told so, before and after it is confirmed.
    let has = || get("/a").header("if-none-match", "\"1\"");
    assert_eq!(send(&harness, has(), answer(&[], "two")).1.status(), 304);
    harness.advance(Duration::from_secs(100));
    let (_, confirmed) = send(&harness, has(), answer(&[], "").status(304));
    assert_eq!((confirmed.status(), confirmed.text()), (304, ""));
    harness.advance(Duration::from_secs(100));
    let changed = answer(&[AGED, ("etag", "\"2\"")], "two");
    assert_eq!(send(&harness, has(), changed).1.text(), "two");
    assert_eq!(text(&harness, get("/a"), "three"), "two");
}

#[test]
fn a_confirmation_of_something_else_updates_nothing() {
    let harness = harness(json!({}));
    send(&harness, get("/a"), answer(&[AGED, ("etag", "\"1\""), ("x-part", "old")], "one"));
    harness.advance(Duration::from_secs(100));
    let other = answer(&[("etag", "\"2\""), ("x-part", "new")], "").status(304);
    let (_, told) = send(&harness, get("/a"), other);
    assert_eq!((told.status(), told.text(), told.header("x-part")), (200, "one", Some("old")));
    let exchange = harness.request(get("/a"));
    assert_eq!(exchange.request().header("if-none-match"), None);
    // Where what is stored is for more than one query, too.
    let all = ("no-vary-search", "params=(\"session\")");
    send(&harness, get("/b?session=1"), answer(&[AGED, ("etag", "\"1\""), all], "one"));
    harness.advance(Duration::from_secs(100));
    let other = answer(&[("etag", "\"2\"")], "").status(304);
    assert_eq!(send(&harness, get("/b?session=2"), other).1.text(), "one");
    let exchange = harness.request(get("/b?session=3"));
    assert_eq!(exchange.request().header("if-none-match"), None);
}

#[test]
fn what_is_stale_is_served_while_it_is_revalidated_and_instead_of_errors() {
    let harness = harness(json!({}));
    let head = [
        ("cache-control", "max-age=10, stale-while-revalidate=20, stale-if-error=90"),
        ("etag", "\"1\""),
    ];
    send(&harness, get("/a"), answer(&head, "one"));
    harness.advance(Duration::from_secs(15));
    let stale = harness.request(get("/a").header("if-none-match", "\"0\""));
    assert_eq!(stale.answer().unwrap().text(), "one");
    assert_eq!(stale.answer().unwrap().header("cache-status"), Some("gateway; hit; ttl=-5"));
    let mut background = harness.background(&stale);
    assert_eq!(stale.background().unwrap().header("if-none-match"), Some("\"1\""));
    background.response(answer(&head, "two"));
    assert_eq!(text(&harness, get("/a"), "three"), "two");
    harness.advance(Duration::from_secs(40));
    let (_, saved) = send(&harness, get("/a"), answer(&[], "broken").status(503));
    assert_eq!((saved.status(), saved.text()), (200, "two"));
    let status = "gateway; hit; fwd=stale; fwd-status=503; ttl=-30";
    assert_eq!(saved.header("cache-status"), Some(status));
    harness.advance(Duration::from_secs(61));
    assert_eq!(send(&harness, get("/a"), answer(&[], "broken").status(503)).1.status(), 503);
}

#[test]
fn nobody_gets_what_is_for_another() {
    let ada = || get("/a").header("authorization", "Bearer ada");
    let standard = harness(json!({}));
    assert_eq!(text(&standard, ada(), "ada"), "ada");
    assert_eq!(text(&standard, get("/a").attribute("consumer.id", "bob"), "bob"), "bob");
    assert_eq!(text(&standard, get("/a"), "all"), "all");
    assert_eq!(text(&standard, ada(), "ada"), "all");
    let own = harness(json!({ "credentials": "by-consumer" }));
    let consumer = |id: &str| get("/a").header("authorization", "x").attribute("consumer.id", id);
    assert_eq!(text(&own, consumer("ada"), "ada"), "ada");
    assert_eq!(text(&own, consumer("bob"), "bob"), "bob");
    assert_eq!(text(&own, consumer("ada"), "other"), "ada");
    assert_eq!(text(&own, get("/a").header("authorization", "x"), "nobody"), "nobody");
    assert_eq!(text(&own, get("/a").header("authorization", "x"), "again"), "again");
    let shared = harness(json!({ "credentials": "shared" }));
    assert_eq!(text(&shared, ada(), "ada"), "ada");
    assert_eq!(text(&shared, consumer("bob"), "bob"), "ada");
    // What varies by who asks is for who asks, whatever else is said.
    let varies = [("cache-control", "public, max-age=60"), ("vary", "authorization")];
    let ask = |who: &str| {
        let request = get("/v").header("authorization", who);
        send(&standard, request, answer(&varies, who)).1.text().to_owned()
    };
    assert_eq!((ask("ada"), ask("bob"), ask("ada")), ("ada".into(), "bob".into(), "ada".into()));
    // A confirmation for one changes nothing for others.
    let public = [("cache-control", "public, max-age=60"), ("etag", "\"1\"")];
    send(&standard, get("/c"), answer(&public, "all"));
    standard.advance(Duration::from_secs(61));
    let said = answer(&[("cache-control", "max-age=60"), ("x-name", "ada")], "").status(304);
    let (_, told) = send(&standard, get("/c").header("authorization", "ada"), said);
    assert_eq!((told.text(), told.header("x-name")), ("all", Some("ada")));
    let (is_cached, next) = send(&standard, get("/c"), answer(&[], "").status(304));
    assert_eq!((is_cached, next.header("x-name")), (true, None));
}

#[test]
fn cookies_are_not_for_others_unless_it_is_said() {
    let head = [AGED, ("set-cookie", "id=1")];
    for (setting, cached, cookie) in
        [("refuse", false, Some("id=1")), ("remove", true, None), ("keep", true, Some("id=1"))]
    {
        let harness = harness(json!({ "set_cookie": setting }));
        assert_eq!(
            send(&harness, get("/a"), answer(&head, "one")).1.header("set-cookie"),
            Some("id=1")
        );
        let (is_cached, second) = send(&harness, get("/a"), answer(&head, "two"));
        assert_eq!((is_cached, second.header("set-cookie")), (cached, cookie), "{setting}");
    }
}

#[test]
fn who_may_goes_past_the_cache_and_has_it_revalidated() {
    let harness = harness(json!({
        "may_revalidate": ["ops"], "bypass_header": "x-past", "may_bypass": ["ops"] }));
    let by = |group: &str| get("/a").attribute("consumer.group", group);
    assert_eq!(text(&harness, get("/a"), "one"), "one");
    assert_eq!(text(&harness, by("dev").header("cache-control", "no-cache"), "two"), "one");
    assert_eq!(text(&harness, by("dev").header("cache-control", "no-store"), "two"), "one");
    assert_eq!(text(&harness, by("ops").header("cache-control", "no-store"), "own"), "own");
    assert_eq!(text(&harness, by("dev").header("x-past", "1"), "two"), "one");
    assert_eq!(text(&harness, by("ops").header("x-past", "1"), "past"), "past");
    assert_eq!(text(&harness, get("/a"), "two"), "one");
    let (_, refreshed) = send(
        &harness,
        by("ops").header("cache-control", "no-cache"),
        answer(&[("cache-control", "public, max-age=60")], "new"),
    );
    assert_eq!(refreshed.header("cache-status"), Some("gateway; fwd=request; ttl=60; stored"));
    assert_eq!(text(&harness, get("/a"), "two"), "new");
    let unstored = get("/c").header("cache-control", "no-store");
    assert_eq!(text(&harness, unstored, "own"), "own");
    assert_eq!(text(&harness, get("/c"), "for all"), "for all");
    let only = get("/b").header("cache-control", "only-if-cached");
    let (_, refused) = send(&harness, only, answer(&[], "x"));
    assert_eq!(
        (refused.status(), refused.header("cache-status")),
        (504, Some("gateway; detail=only-if-cached"))
    );
}

#[test]
fn a_change_makes_what_is_stored_invalid() {
    let harness = harness(json!({}));
    let grouped = [AGED, ("cache-groups", "\"list\""), ("surrogate-key", "a b")];
    for path in ["/a", "/a?x=1", "/list", "/other"] {
        send(
            &harness,
            get(path),
            answer(if path == "/list" { &grouped } else { &grouped[..1] }, "old"),
        );
    }
    let change = |status: u16| {
        let head = [("location", "/a?x=1"), ("cache-group-invalidation", "\"list\"")];
        send(&harness, get("/a").method("POST").body("x"), answer(&head, "").status(status));
    };
    change(500);
    assert_eq!(text(&harness, get("/a"), "new"), "old");
    change(201);
    for (path, is) in [("/a", "new"), ("/a?x=1", "new"), ("/list", "new"), ("/other", "old")] {
        assert_eq!(text(&harness, get(path), "new"), is, "{path}");
    }
}

#[test]
fn parameters_that_a_response_does_not_vary_by_do_not_count() {
    let harness = harness(json!({}));
    let head = [AGED, ("no-vary-search", "params=(\"session\")")];
    let ask =
        |path: &str, body: &str| send(&harness, get(path), answer(&head, body)).1.text().to_owned();
    assert_eq!(ask("/a?x=1&session=2", "one"), "one");
    assert_eq!(ask("/a?x=1&session=3", "two"), "one");
    assert_eq!(ask("/a?x=2&session=2", "two"), "two");
    assert_eq!(ask("/a?x=1", "three"), "one");
}

#[test]
fn a_head_is_answered_from_what_get_has_stored() {
    let harness = harness(json!({}));
    send(&harness, get("/a"), answer(&[AGED, ("etag", "\"1\"")], "one"));
    let (is_cached, head) = send(&harness, get("/a").method("HEAD"), answer(&[], ""));
    assert_eq!((is_cached, head.header("etag")), (true, Some("\"1\"")));
    harness.advance(Duration::from_secs(61));
    send(&harness, get("/a").method("HEAD"), answer(&[AGED, ("etag", "\"2\"")], ""));
    assert_eq!(text(&harness, get("/a"), "two"), "two");
}

#[test]
fn requests_that_are_more_than_their_key_pass() {
    let harness = harness(json!({}));
    assert_eq!(text(&harness, get("/a"), "one"), "one");
    for odd in [
        get("/a").header("upgrade", "websocket"),
        get("/a").header("sec-websocket-key", "x"),
        get("/a").body("a body"),
    ] {
        assert_eq!(text(&harness, odd, "odd"), "odd");
    }
    assert_eq!(text(&harness, get("/a"), "two"), "one");
}

#[test]
fn a_response_without_content_is_stored() {
    let harness = harness(json!({}));
    let none = || testing::response().status(204).header(AGED.0, AGED.1).header("x-number", "1");
    assert!(!send(&harness, get("/a"), none()).0);
    let (is_cached, again) = send(&harness, get("/a"), answer(&[AGED], "two"));
    assert!(is_cached);
    assert_eq!((again.status(), again.header("x-number")), (204, Some("1")));
}

#[test]
fn a_response_to_post_answers_get_where_it_says_what_it_is() {
    let post = |body: &str| get("/a").method("POST").body(body);
    let said = ("content-location", "/a");
    let cases = [
        (vec![AGED, said], true),
        (vec![AGED, ("content-location", "https://a.example/a")], true),
        (vec![("expires", "Thu, 01 Dec 2095 16:00:00 GMT"), said], true),
        (vec![AGED], false),
        (vec![AGED, ("content-location", "/b")], false),
        (vec![AGED, ("content-location", "https://b.example/a")], false),
        // It has to say it itself.
        (vec![said], false),
        (vec![("last-modified", "Thu, 01 Dec 1994 16:00:00 GMT"), said], false),
        (vec![("cache-control", "private, max-age=60"), said], false),
        (vec![AGED, said, ("set-cookie", "a=b")], false),
    ];
    for (fields, is_stored) in cases {
        let harness = harness(json!({ "default_ttl": "1m" }));
        assert!(!send(&harness, post("change"), answer(&fields, "changed")).0);
        let (is_cached, _) = send(&harness, get("/a"), answer(&[AGED], "got"));
        assert_eq!(is_cached, is_stored, "{fields:?}");
        // It answers no `POST`, and another one takes its place.
        assert!(!send(&harness, post("again"), answer(&fields, "again")).0);
        let (is_cached, got) = send(&harness, get("/a"), answer(&[AGED], "got"));
        assert_eq!((is_cached, got.text()), (is_stored, if is_stored { "again" } else { "got" }));
    }
    let harness = harness(json!({}));
    let failed = answer(&[AGED, said], "no").status(409);
    send(&harness, post("change"), failed);
    let told = post("change").header("authorization", "Bearer x");
    send(&harness, told, answer(&[AGED, said], "mine"));
    assert!(!send(&harness, get("/a"), answer(&[AGED], "got")).0);
}

#[test]
fn points_at_each_fault() {
    let cases = [
        (json!({ "default_ttl": "2h", "max_ttl": "1h" }), "/default_ttl"),
        (json!({ "status_ttl": { "404": "2h" }, "max_ttl": "1h" }), "/status_ttl/404"),
        (json!({ "status_ttl": { "206": "1s" } }), "/status_ttl/206"),
        (json!({ "status_ttl": { "205": "1s" } }), "/status_ttl/205"),
        (json!({ "status_ttl": { "404": "soon" } }), "/status_ttl/404"),
        (json!({ "key": { "query_only": [], "query_ignore": [] } }), "/key/query_ignore"),
        (json!({ "key": { "attributes": [""] } }), "/key/attributes/0"),
        (json!({ "may_bypass": [] }), "/may_bypass"),
        (json!({ "collapse_wait": "2h" }), "/collapse_wait"),
        (json!({ "stale_if_error": "-1s" }), "/stale_if_error"),
    ];
    for (config, pointer) in cases {
        let error = Harness::<Cache>::new(&config).err().unwrap();
        assert_eq!(error.issues()[0].pointer, pointer, "{config}: {error}");
    }
}
