//! Which hook is called when, and what becomes of what it returns.
//!
//! Over 400 lines: stories that share their setup and are read one at a time.

use gateway_tests::client::{self, request, request2};
use gateway_tests::upstream::full;
use gateway_tests::{Answer, Http1, Http2, Raw, Running, Setup, Upstream, log, until, within};
use http::{HeaderMap, Response};
use http_body_util::BodyExt as _;
use tracing::Level;

const THREE_TAGGERS: &str = r#"
[plugins.first]
component = "./tagger.wasm"
config = { name = "first", reads = "route.name" }

[plugins.second]
component = "./tagger.wasm"
config = { name = "second" }

[plugins.third]
component = "./tagger.wasm"
config = { name = "third", reads = "tag.first" }

[upstreams.orders]
targets = ["http://${env:ORDERS}"]

[[routes]]
name = "tagged"
paths = ["/{*rest}"]
plugins = ["first", "second", "third"]
upstream = "orders"
"#;

fn three_taggers(upstream: &Upstream) -> Running {
    Setup::toml(THREE_TAGGERS, &[("ORDERS", &upstream.address)]).start()
}

async fn ask(gateway: &Running, path: &str, fields: &[(&str, &str)]) -> Answer {
    Http1::connect(gateway.address).await.send(request("GET", path, fields, "")).await
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test]
async fn plugins_see_the_request_first_to_last_and_the_response_last_to_first() {
    let upstream = Upstream::echo().await;
    let gateway = three_taggers(&upstream);
    let answer = ask(&gateway, "/", &[]).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(text(&upstream.request().headers, "x-trace-request"), ["first, second, third"]);
    assert_eq!(text(&answer.head.headers, "x-trace-response"), ["third, second, first"]);
}

#[tokio::test]
async fn plugins_see_an_exchange_over_http2_in_the_same_order() {
    let upstream = Upstream::echo().await;
    let gateway = three_taggers(&upstream);
    let mut client = Http2::connect(gateway.address).await;
    let answer = client.send(client::get2("/")).await;
    assert_eq!(text(&upstream.request().headers, "x-trace-request"), ["first, second, third"]);
    assert_eq!(text(&answer.head.headers, "x-trace-response"), ["third, second, first"]);
    let answer = client.send(request2("GET", "/", &[("x-answer", "second")], "")).await;
    assert_eq!(answer.body, "answered by second");
    assert_eq!(text(&answer.head.headers, "x-trace-response"), ["first"]);
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn an_answering_plugin_keeps_the_request_from_those_behind_it_and_from_the_upstream() {
    let upstream = Upstream::echo().await;
    let gateway = three_taggers(&upstream);
    let answer = ask(&gateway, "/", &[("x-answer", "second")]).await;
    assert_eq!((answer.status(), answer.text()), (200, "answered by second"));
    assert!(upstream.requests().is_empty());
    let id = answer.id().to_owned();
    until(|| log::said(&id).len() >= 4).await;
    let said = log::said(&id);
    assert_eq!(said[..2], ["first saw the request", "second saw the request"]);
    // The one that answered hears of the end too, and none that never saw the request does.
    let ends: Vec<_> = said[2..].iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(ends, ["second", "first"]);
}

#[tokio::test]
async fn the_plugins_before_an_answering_one_see_its_answer_in_reverse_order() {
    let upstream = Upstream::echo().await;
    let gateway = three_taggers(&upstream);
    let answer = ask(&gateway, "/", &[("x-answer", "third")]).await;
    assert_eq!(answer.body, "answered by third");
    assert_eq!(text(&answer.head.headers, "x-trace-response"), ["second, first"]);
}

#[tokio::test]
async fn an_answer_to_head_has_no_body_whoever_gives_it() {
    let upstream = Upstream::echo().await;
    let gateway = three_taggers(&upstream);
    let mut raw = Raw::connect(gateway.address).await;
    let head = "HEAD / HTTP/1.1\r\nhost: a\r\nx-answer: first\r\n\r\n";
    raw.send(format!("{head}GET /second HTTP/1.1\r\nhost: a\r\n\r\n")).await;
    assert_eq!(raw.head().await.header("content-length"), Some("17"));
    // What follows on the head is the next response, and no body.
    assert_eq!(raw.response().await.status, 200);
    let mut client = Http2::connect(gateway.address).await;
    let answer = client.send(request2("HEAD", "/", &[("x-answer", "first")], "")).await;
    assert_eq!((answer.status(), answer.text()), (200, ""));
}

#[tokio::test]
async fn a_later_plugin_reads_what_an_earlier_one_and_the_gateway_say_of_the_exchange() {
    let upstream = Upstream::echo().await;
    let gateway = three_taggers(&upstream);
    ask(&gateway, "/", &[]).await;
    let seen = upstream.request().headers;
    assert_eq!(text(&seen, "x-attribute-first"), ["tagged"]);
    assert_eq!(text(&seen, "x-attribute-third"), ["set"]);
}

const EDITS: &str = r#"
[plugins.edits]
component = "./edits.wasm"

[upstreams.orders]
targets = ["http://${env:ORDERS}"]

[[routes]]
name = "edited"
paths = ["/api/{*rest}"]
plugins = ["edits"]
upstream = "orders"
rewrite = { strip_prefix = "/api", add_prefix = "/v1" }
"#;

#[tokio::test]
async fn a_plugin_changes_method_path_query_and_fields_of_the_request() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::toml(EDITS, &[("ORDERS", &upstream.address)]).start();
    ask(&gateway, "/api/a?x=1", &[]).await;
    ask(&gateway, "/api/a?x=1", &[("x-set-path", "/chosen/%2F")]).await;
    ask(&gateway, "/api/a?x=1", &[("x-set-query", "y=2&z=%20")]).await;
    ask(&gateway, "/api/a?x=1", &[("x-set-query", "")]).await;
    ask(&gateway, "/api/a", &[("x-set-method", "PUT"), ("x-set-header", "x-one=new")]).await;
    let fields = [("x-add-header", "x-one=b"), ("x-remove-header", "x-two")];
    let own = [("x-one", "a"), ("x-two", "gone")];
    ask(&gateway, "/api/a", &[fields, own].concat()).await;
    let seen = upstream.requests();
    let targets: Vec<_> = seen[..4].iter().map(|request| request.uri.to_string()).collect();
    // The route's rewriting holds until a plugin chooses its own path.
    assert_eq!(targets, ["/v1/a?x=1", "/chosen/%2F?x=1", "/v1/a?y=2&z=%20", "/v1/a"]);
    assert_eq!((seen[4].method.as_str(), text(&seen[4].headers, "x-one")), ("PUT", vec!["new"]));
    assert_eq!(text(&seen[5].headers, "x-one"), ["a", "b"]);
    assert!(!seen[5].headers.contains_key("x-two"));
}

#[tokio::test]
async fn a_plugin_changes_status_and_fields_of_the_response_or_replaces_it() {
    let upstream = Upstream::http1(|_| async {
        let builder = Response::builder().header("x-one", "a").header("x-two", "gone");
        builder.body(full("from the upstream")).unwrap()
    })
    .await;
    let gateway = Setup::toml(EDITS, &[("ORDERS", &upstream.address)]).start();
    let fields = [
        ("x-set-status", "418"),
        ("x-add-response-header", "x-one=b"),
        ("x-remove-response-header", "x-two"),
        ("x-set-response-header", "x-three=c"),
    ];
    let answer = ask(&gateway, "/api/a", &fields).await;
    assert_eq!((answer.status(), answer.text()), (418, "from the upstream"));
    let headers = &answer.head.headers;
    assert_eq!((text(headers, "x-one"), text(headers, "x-three")), (vec!["a", "b"], vec!["c"]));
    assert!(!headers.contains_key("x-two"));
    let answer = ask(&gateway, "/api/a", &[("x-replace-response", "instead")]).await;
    assert_eq!((answer.text(), answer.header("x-one")), ("instead", None));
    assert_eq!(answer.header("content-length"), Some("7"));
}

#[tokio::test]
async fn what_a_request_hook_writes_into_the_response_stands_in_whatever_answers() {
    let upstream = Upstream::http1(|_| async {
        let builder = Response::builder().header("x-one", "a").header("x-two", "gone");
        builder.body(full("from the upstream")).unwrap()
    })
    .await;
    let gateway = Setup::toml(EDITS, &[("ORDERS", &upstream.address)]).start();
    let early =
        [("x-early-set", "x-three=c"), ("x-early-add", "x-one=b"), ("x-early-remove", "x-two")];
    let answer = ask(&gateway, "/api/a", &early).await;
    let headers = &answer.head.headers;
    assert_eq!((text(headers, "x-one"), text(headers, "x-three")), (vec!["a", "b"], vec!["c"]));
    assert!(!headers.contains_key("x-two"));
    // The plugin's own response hook comes behind it.
    let late = [("x-early-set", "x-three=c"), ("x-add-response-header", "x-three=d")];
    let answer = ask(&gateway, "/api/a", &late).await;
    assert_eq!(text(&answer.head.headers, "x-three"), ["c", "d"]);
    // Bound but not listening, so that nobody else takes the port meanwhile.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let gateway = Setup::toml(EDITS, &[("ORDERS", &nobody.local_addr().unwrap())]).start();
    let answer = ask(&gateway, "/api/a", &early).await;
    assert_eq!((answer.status(), answer.header("x-three")), (502, Some("c")));
}

#[tokio::test]
async fn a_status_without_a_body_takes_the_body_away_and_the_connection_stays_in_step() {
    let upstream = Upstream::http1(|_| async { Response::new(full("from the upstream")) }).await;
    let gateway = Setup::toml(EDITS, &[("ORDERS", &upstream.address)]).start();
    for status in ["204", "304"] {
        let mut raw = Raw::connect(gateway.address).await;
        let first = format!("GET /api/a HTTP/1.1\r\nhost: a\r\nx-set-status: {status}\r\n\r\n");
        raw.send(format!("{first}GET /api/b HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        let answer = raw.head().await;
        assert_eq!(answer.status.to_string(), status);
        // RFC 9110 section 8.6: none in a 204; in a 304 it would have to be that of the 200.
        assert_eq!(answer.header("content-length").filter(|_| status == "204"), None);
        assert_eq!(answer.header("transfer-encoding"), None);
        let next = raw.response().await;
        assert_eq!((next.status, next.body.as_str()), (200, "from the upstream"));
        let fields = [("x-set-status", status)];
        let mut client = Http2::connect(gateway.address).await;
        let answer = client.send(request2("GET", "/api/a", &fields, "")).await;
        assert_eq!((answer.status().to_string().as_str(), answer.text()), (status, ""));
    }
}

#[tokio::test]
async fn a_method_that_a_plugin_changes_does_not_put_the_client_out_of_step() {
    let upstream = Upstream::http1(|_| async { Response::new(full("from the upstream")) }).await;
    let gateway = Setup::toml(EDITS, &[("ORDERS", &upstream.address)]).start();
    for (method, other) in [("GET", "HEAD"), ("HEAD", "GET")] {
        let mut raw = Raw::connect(gateway.address).await;
        let first = format!("{method} /api/a HTTP/1.1\r\nhost: a\r\nx-set-method: {other}\r\n\r\n");
        raw.send(format!("{first}GET /api/b HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        let answer = if method == "HEAD" { raw.head().await } else { raw.response().await };
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{method}");
        let next = raw.response().await;
        assert_eq!((next.status, next.body.as_str()), (200, "from the upstream"), "{method}");
        assert_eq!(upstream.requests().iter().rev().nth(1).unwrap().method, other);
        let fields = [("x-set-method", other)];
        let mut client = Http2::connect(gateway.address).await;
        let answer = client.send(request2(method, "/api/a", &fields, "")).await;
        assert_eq!((answer.status(), answer.text()), (200, ""), "{method}");
    }
}

const CHOOSER: &str = r#"
[plugins.chooser]
component = "./chooser.wasm"
on_error = "${env:ON_ERROR}"
forward_to = ["gpu"]
config = { models = { large = "gpu", typo = "gpuu" } }

[upstreams.cpu]
targets = ["http://${env:CPU}"]

[upstreams.gpu]
targets = ["http://${env:GPU}"]

[[routes]]
name = "models"
paths = ["/{*rest}"]
plugins = ["chooser"]
upstream = "cpu"

[[routes]]
name = "other"
paths = ["/other"]
upstream = "gpu"
"#;

async fn named(name: &'static str) -> Upstream {
    Upstream::http1(move |request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(full(format!("{name}: {}", String::from_utf8_lossy(&body))))
    })
    .await
}

#[tokio::test]
async fn a_plugin_chooses_the_upstream_by_a_field_or_by_the_model_in_the_body() {
    let (cpu, gpu) = (named("cpu").await, named("gpu").await);
    let values: [(&str, &dyn std::fmt::Display); 3] =
        [("CPU", &cpu.address), ("GPU", &gpu.address), ("ON_ERROR", &"closed")];
    let gateway = Setup::toml(CHOOSER, &values).start();
    let mut client = Http1::connect(gateway.address).await;
    assert_eq!(client.send(client::get("/")).await.body, "cpu: ");
    let answer = client.send(request("GET", "/", &[("x-upstream", "gpu")], "")).await;
    assert_eq!(answer.body, "gpu: ");
    let json = [("content-type", "application/json")];
    let question = r#"{"model":"large","messages":[]}"#;
    let answer = client.send(request("POST", "/", &json, question)).await;
    assert_eq!(answer.text(), format!("gpu: {question}"));
    let answer = client.send(request("POST", "/", &json, "{}")).await;
    assert_eq!(answer.body, "cpu: {}");
    let answer = client.send(request("POST", "/", &json, r#"{"model":"none"}"#)).await;
    assert_eq!(answer.status(), 400);
    assert_eq!((cpu.requests().len(), gpu.requests().len()), (2, 2));
}

#[tokio::test]
async fn an_upstream_that_does_not_exist_is_the_fault_of_the_plugin_that_chose_it() {
    let (cpu, gpu) = (named("cpu").await, named("gpu").await);
    let values = |on_error| -> [(&str, &dyn std::fmt::Display); 3] {
        [("CPU", &cpu.address), ("GPU", &gpu.address), ("ON_ERROR", on_error)]
    };
    let gateway = Setup::toml(CHOOSER, &values(&"closed")).start();
    let answer = ask(&gateway, "/", &[("x-upstream", "nowhere")]).await;
    assert_eq!(answer.status(), 500);
    // The client learns nothing of what is in the configuration.
    assert!(!answer.problem().to_string().contains("nowhere"), "{answer:?}");
    until(|| !log::of_request(answer.id()).is_empty()).await;
    let lines = log::of_request(answer.id());
    let line = lines.iter().find(|line| line.target == "gateway::access").unwrap();
    assert_eq!((line.field("fault"), line.level), ("plugin", Level::WARN));
    assert!(line.field("cause").contains("`nowhere`"), "{line:?}");
    assert!(line.field("cause").contains("chooser"), "{line:?}");
    // Nor may it choose one that is there and that it was not granted.
    assert_eq!(ask(&gateway, "/", &[("x-upstream", "cpu")]).await.status(), 500);
    drop(gateway);

    let gateway = Setup::toml(CHOOSER, &values(&"open")).start();
    let answer = ask(&gateway, "/", &[("x-upstream", "nowhere")]).await;
    assert_eq!(answer.text(), "cpu: ", "on_error is open: as if the plugin were not there");
}

/// The line that `first` writes when an exchange ends.
async fn end_of(id: &str) -> String {
    let end = || log::said(id).into_iter().find(|line| line.starts_with("first saw the end"));
    until(|| end().is_some()).await;
    end().unwrap().replace("first saw the end: ", "")
}

#[tokio::test]
async fn tells_plugins_of_a_complete_exchange_after_its_last_byte() {
    let upstream = Upstream::http1(|request| async {
        let _whole = request.into_body().collect().await;
        Response::builder().status(201).body(full("created")).unwrap()
    })
    .await;
    let gateway = three_taggers(&upstream);
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(request("POST", "/", &[], "five!")).await;
    assert_eq!(end_of(answer.id()).await, "Complete 201 5 7 orders");
    let answer = client.send(request("POST", "/", &[("x-answer", "second")], "five!")).await;
    let end = end_of(answer.id()).await;
    assert!(end.starts_with("Complete 200 ") && end.ends_with(" 18 -"), "{end}");
}

#[tokio::test]
async fn tells_plugins_that_the_client_left() {
    let upstream = Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        raw.read_until("\r\n\r\n").await;
        raw.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
        raw.rest().await;
    })
    .await;
    let gateway = three_taggers(&upstream);
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let head = raw.head().await;
    raw.read_until("half").await;
    raw.reset();
    assert_eq!(end_of(head.header("x-request-id").unwrap()).await, "ClientLeft 200 0 4 orders");

    let mut client = Http2::connect(gateway.address).await;
    let response = within(client.0.send_request(client::get2("/"))).await.unwrap();
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let mut body = response.into_body();
    within(body.frame()).await.unwrap().unwrap();
    // The connection stays; only this stream is abandoned.
    drop(body);
    assert_eq!(end_of(&id).await, "ClientLeft 200 0 4 orders");
}

#[tokio::test]
async fn tells_plugins_that_the_client_left_before_there_was_an_answer() {
    let upstream = Upstream::http1(|_| std::future::pending()).await;
    let gateway = three_taggers(&upstream);
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    until(|| upstream.requests().len() == 1).await;
    raw.reset();
    let id = upstream.request().headers["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(end_of(&id).await, "ClientLeft 0 0 0 -");
}

#[tokio::test]
async fn tells_plugins_that_the_upstream_failed_in_the_middle_and_that_none_was_there() {
    let upstream = Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        raw.read_until("\r\n\r\n").await;
        raw.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
    })
    .await;
    let gateway = three_taggers(&upstream);
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let head = raw.head().await;
    assert_eq!(within(raw.rest()).await, "half");
    let end = end_of(head.header("x-request-id").unwrap()).await;
    assert_eq!(end, "UpstreamFailed 200 0 4 orders");

    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let gateway = Setup::toml(THREE_TAGGERS, &[("ORDERS", &address)]).start();
    let answer = ask(&gateway, "/", &[]).await;
    assert_eq!((answer.status(), answer.problem()["status"].as_u64()), (502, Some(502)));
    assert_eq!(text(&answer.head.headers, "x-trace-response"), ["third, second, first"]);
    let end = end_of(answer.id()).await;
    assert!(end.starts_with("Complete 502 0 ") && end.ends_with(" -"), "nobody answered: {end}");
}

#[tokio::test]
async fn a_plugin_may_be_written_into_the_route() {
    let upstream = Upstream::echo().await;
    let text = r#"
[upstreams.orders]
targets = ["http://${env:ORDERS}"]

[[routes]]
name = "inline"
paths = ["/{*rest}"]
plugins = [{ component = "./tagger.wasm", config = { name = "inline" } }]
upstream = "orders"
"#;
    let gateway = Setup::toml(text, &[("ORDERS", &upstream.address)]).start();
    let answer = ask(&gateway, "/", &[]).await;
    assert_eq!(answer.header("x-trace-response"), Some("inline"));
}
