//! The spans that a collector gets.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use gateway_tests::client::{get, request};
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Running, Setup, Upstream, until};
use http::Response;
use opentelemetry_proto::tonic::trace::v1::Span;

use super::collector::{Taken, attributes, grpc, http, secured};

const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const ERROR: i32 = 2;

const ROUTE: &str = r#"
[upstreams.a]
targets = ["http://${env:A}"]
[[routes]]
name = "all"
paths = ["/things/{id}"]
upstream = "a"
"#;

/// A gateway that sends spans to a collector over HTTP.
async fn over_http(keys: &str, rest: &str, a: &dyn Display) -> (Taken, Upstream, Running) {
    let (taken, collector) = http().await;
    let text = format!(
        "[traces]\nendpoint = \"http://${{env:C}}\"\ncompression = \"none\"\n\
         headers = {{ x-token = \"${{env:TOKEN}}\" }}\n{keys}\n{rest}"
    );
    let values: [(&str, &dyn Display); 3] =
        [("A", a), ("C", &collector.address), ("TOKEN", &"hunter2")];
    let gateway = Setup::toml(&text, &values).start();
    (taken, collector, gateway)
}

fn of_kind(spans: &[Span], kind: i32) -> &Span {
    let mut all = spans.iter().filter(|span| span.kind == kind);
    let span = all.next().unwrap();
    assert!(all.next().is_none(), "{spans:#?}");
    span
}

fn has(span: &Span, wanted: &[(&str, &str)]) {
    let found: BTreeMap<_, _> = attributes(&span.attributes);
    for (name, value) in wanted {
        assert_eq!(found.get(*name).map(String::as_str), Some(*value), "{name} of {found:#?}");
    }
}

#[tokio::test]
async fn an_exchange_is_a_span_and_its_call_upstream_a_child() {
    let upstream = Upstream::echo().await;
    let (taken, collector) = grpc().await;
    let text = format!(
        "[traces]\nendpoint = \"http://${{env:C}}\"\nprotocol = \"grpc\"\nservice_name = \"edge\"\n\
         attributes = {{ \"deployment.environment.name\" = \"test\" }}\n\
         headers = {{ x-token = \"${{env:TOKEN}}\" }}\n{ROUTE}"
    );
    let values: [(&str, &dyn Display); 3] =
        [("A", &upstream.address), ("C", &collector), ("TOKEN", &"hunter2")];
    let gateway = Setup::toml(&text, &values).start();
    let mut client = Http1::connect(gateway.address).await;
    let fields = [
        ("traceparent", "00-12345678901234567890123456789012-1234567890123456-01"),
        ("tracestate", "a=1"),
        ("user-agent", "tester/1"),
        ("authorization", "Bearer hunter2"),
    ];
    let answer = client.send(request("POST", "/things/7?key=hunter2", &fields, "hello")).await;
    assert_eq!(answer.status(), 200);
    let spans = taken.spans(2).await;
    let (server, call) = (of_kind(&spans, SERVER), of_kind(&spans, CLIENT));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&server.trace_id), "12345678901234567890123456789012");
    assert_eq!(hex(&server.parent_span_id), "1234567890123456");
    assert_eq!((&call.trace_id, &call.parent_span_id), (&server.trace_id, &server.span_id));
    assert_eq!((&*server.trace_state, &*call.trace_state), ("a=1", "a=1"));
    let told = upstream.request().headers["traceparent"].to_str().unwrap().to_owned();
    assert_eq!(told.split('-').nth(2), Some(&*hex(&call.span_id)), "the upstream's parent");
    assert_eq!((&*server.name, &*call.name), ("POST /things/{id}", "POST"));
    let authority = upstream.address.to_string();
    let port = upstream.address.port().to_string();
    has(
        server,
        &[
            ("http.request.method", "POST"),
            ("http.route", "/things/{id}"),
            ("http.response.status_code", "200"),
            ("url.path", "/things/7"),
            ("url.scheme", "http"),
            ("server.address", "a.example"),
            ("client.address", "127.0.0.1"),
            ("network.peer.address", "127.0.0.1"),
            ("network.protocol.version", "1.1"),
            ("user_agent.original", "tester/1"),
            ("http.request.body.size", "5"),
            ("http.response.body.size", "5"),
            ("gateway.route", "all"),
            ("gateway.listener", "public"),
            ("gateway.upstream", "a"),
            ("gateway.request_id", answer.id()),
        ],
    );
    has(
        call,
        &[
            ("http.request.method", "POST"),
            ("url.full", &format!("http://{authority}/things/7")),
            ("server.address", "127.0.0.1"),
            ("server.port", &port),
            ("http.response.status_code", "200"),
        ],
    );
    assert!(server.start_time_unix_nano <= call.start_time_unix_nano);
    assert!(call.start_time_unix_nano < call.end_time_unix_nano);
    assert!(call.end_time_unix_nano <= server.end_time_unix_nano);
    assert!(server.status.as_ref().is_none_or(|status| status.code != ERROR));
    let resource = taken.resource();
    assert_eq!(resource["service.name"], "edge");
    assert_eq!(resource["deployment.environment.name"], "test");
    assert!(!format!("{spans:?}").contains("hunter2"), "{spans:#?}");
}

#[tokio::test]
async fn what_failed_says_so() {
    let (taken, _collector, gateway) = over_http("", ROUTE, &"127.0.0.1:1").await;
    assert_eq!(Http1::get(gateway.address, "/things/1").await.status(), 502);
    let spans = taken.spans(2).await;
    let (server, call) = (of_kind(&spans, SERVER), of_kind(&spans, CLIENT));
    has(server, &[("http.response.status_code", "502"), ("error.type", "upstream")]);
    has(call, &[("error.type", "refused")]);
    for span in [server, call] {
        assert_eq!(span.status.as_ref().unwrap().code, ERROR);
    }
    // A path that no route takes is the client's mistake and no error of the server's.
    assert_eq!(Http1::get(gateway.address, "/nothing").await.status(), 404);
    let spans = taken.spans(3).await;
    has(&spans[2], &[("http.response.status_code", "404"), ("error.type", "client")]);
    assert_eq!((&*spans[2].name, spans[2].parent_span_id.len()), ("GET", 0));
    assert!(spans[2].status.as_ref().is_none_or(|status| status.code != ERROR));
}

#[tokio::test]
async fn what_is_not_sampled_is_exported_if_it_failed_or_was_slow() {
    let upstream = Upstream::http1(|request| async move {
        let mut answer = Response::new(full(""));
        match request.uri().path() {
            "/things/slow" => tokio::time::sleep(Duration::from_millis(400)).await,
            "/things/broken" => *answer.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR,
            _ => {}
        }
        answer
    })
    .await;
    let keys = "sample = 0.0\nslow = \"300ms\"";
    let (taken, _collector, gateway) = over_http(keys, ROUTE, &upstream.address).await;
    let mut client = Http1::connect(gateway.address).await;
    for path in ["fast", "slow", "fast", "broken"] {
        client.send(get(&format!("/things/{path}"))).await;
    }
    let spans = taken.spans(4).await;
    let paths = spans.iter().filter(|span| span.kind == SERVER);
    let paths: Vec<_> = paths.map(|it| attributes(&it.attributes)["url.path"].clone()).collect();
    assert_eq!(paths, ["/things/slow", "/things/broken"]);
}

#[tokio::test]
async fn names_the_consumer_where_a_plugin_knows_it() {
    let plugins = r#"
[plugins.keys]
component = "auth"
config.api_key.keys = [{ id = "k", digest = "sha256:130a82f68d3064ef477880b571abfcf0f1f4aac4f9cd161aea5e6b543d2ee2d8", consumer = "ann" }]
[[routes]]
name = "keyed"
paths = ["/keyed"]
plugins = ["keys"]
respond = { status = 200, body = "hi" }
"#;
    let (taken, _collector, gateway) = over_http("", plugins, &"127.0.0.1:1").await;
    let mut client = Http1::connect(gateway.address).await;
    let keyed = request("GET", "/keyed", &[("x-api-key", "quickstart-key")], "");
    assert_eq!(client.send(keyed).await.status(), 200);
    assert_eq!(client.send(get("/keyed")).await.status(), 401);
    until(|| taken.all().iter().filter(|span| span.kind == SERVER).count() == 2).await;
    let spans = taken.all();
    let servers: Vec<_> = spans.iter().filter(|span| span.kind == SERVER).collect();
    has(servers[0], &[("gateway.consumer", "ann"), ("gateway.route", "keyed")]);
    has(servers[1], &[("http.response.status_code", "401")]);
    // Where a plugin had to be called, that is its own span.
    let hooks: Vec<_> = spans.iter().filter(|span| span.kind == INTERNAL).collect();
    assert!(!hooks.is_empty() && hooks.iter().all(|it| it.name == "keys on-request"), "{spans:#?}");
}

#[tokio::test]
async fn a_component_that_answers_is_a_child() {
    let text = r#"
[components.service]
file = "./serves.wasm"
limits = { deadline = "50ms" }
[[routes]]
name = "served"
paths = ["/{*rest}"]
component = "service"
"#;
    let (taken, _collector, gateway) = over_http("", text, &"127.0.0.1:1").await;
    let mut client = Http1::connect(gateway.address).await;
    assert_eq!(client.send(get("/environment")).await.status(), 200);
    let spans = taken.spans(2).await;
    let (server, answer) = (of_kind(&spans, SERVER), of_kind(&spans, INTERNAL));
    assert_eq!((&*answer.name, &answer.parent_span_id), ("service answer", &server.span_id));
    assert_eq!(answer.trace_id, server.trace_id);
    has(answer, &[("gateway.component", "service"), ("http.response.status_code", "200")]);
    let (began, over) = (answer.start_time_unix_nano, answer.end_time_unix_nano);
    assert!(server.start_time_unix_nano <= began && began <= over, "{spans:#?}");
    assert!(over <= server.end_time_unix_nano, "{spans:#?}");

    assert_eq!(client.send(get("/panics")).await.status(), 502);
    let spans = taken.spans(4).await;
    let failed = spans.iter().rfind(|span| span.kind == INTERNAL).unwrap();
    has(failed, &[("gateway.component", "service"), ("error.type", "component")]);
}

#[tokio::test]
async fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    let upstream = Upstream::echo().await;
    let text = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[traces]\nendpoint = \"http://127.0.0.1:1\"\n{ROUTE}"
    );
    let gateway = Setup::toml(&text, &[("A", &upstream.address)]).start();
    let mut client = Http1::connect(gateway.address).await;
    let admin = gateway.admin.unwrap();
    for _ in 0..20 {
        assert_eq!(client.send(get("/things/1")).await.status(), 200);
    }
    let mut page = String::new();
    for _ in 0..200 {
        page = Http1::admin(admin, "/metrics").await.text().to_owned();
        if page.contains("gateway_spans_dropped_total{reason=\"collector\"} 40") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(page.contains("gateway_spans_dropped_total{reason=\"collector\"} 40"), "{page}");
    assert!(page.contains("gateway_spans_exported_total 0"), "{page}");
}

#[tokio::test]
async fn a_reload_changes_the_collector_and_an_end_exports_what_is_left() {
    let upstream = Upstream::echo().await;
    let (first, _one, mut gateway) = over_http("", ROUTE, &upstream.address).await;
    let mut client = Http1::connect(gateway.address).await;
    assert_eq!(client.send(get("/things/1")).await.status(), 200);
    let (second, two) = http().await;
    let text = format!(
        "[traces]\nendpoint = \"http://${{env:C}}\"\ncompression = \"none\"\n\
         headers = {{ x-token = \"hunter2\" }}\n{ROUTE}"
    );
    let values: [(&str, &dyn Display); 2] = [("A", &upstream.address), ("C", &two.address)];
    let next = Setup::toml(&text, &values).config;
    let handle = gateway.handle.clone();
    tokio::task::spawn_blocking(move || handle.reload(next).unwrap()).await.unwrap();
    first.spans(2).await;
    assert_eq!(client.send(get("/things/2")).await.status(), 200);
    drop(client);
    gateway.stop();
    until(|| gateway.has_ended()).await;
    assert_eq!((first.all().len(), second.all().len()), (2, 2));
}

#[tokio::test]
async fn what_a_plugin_sends_by_itself_is_a_child_and_says_so_to_its_upstream() {
    let upstream = Upstream::echo().await;
    let plugins = r#"
[upstreams.a]
targets = ["http://${env:A}"]
[plugins.calls]
component = "./calls-out.wasm"
upstreams = ["a"]
[[routes]]
name = "calling"
paths = ["/calling"]
plugins = ["calls"]
respond = { status = 200, body = "hi" }
"#;
    let (taken, _collector, gateway) = over_http("", plugins, &upstream.address).await;
    let mut client = Http1::connect(gateway.address).await;
    let trace = "00-12345678901234567890123456789012-1234567890123456-01";
    let fields = [
        ("x-call", "a"),
        ("x-target", "/there?key=hunter2"),
        ("x-times", "2"),
        ("traceparent", trace),
        ("tracestate", "a=1"),
    ];
    let answer = client.send(request("GET", "/calling", &fields, "")).await;
    assert_eq!(answer.header("x-answers"), Some("2"));
    let spans = taken.spans(4).await;
    let server = of_kind(&spans, SERVER);
    let hook = of_kind(&spans, INTERNAL);
    assert_eq!((&*hook.name, &hook.parent_span_id), ("calls on-request", &server.span_id));
    has(hook, &[("gateway.plugin", "calls"), ("gateway.hook", "on-request")]);
    has(hook, &[("gateway.hook.decision", "next"), ("gateway.hook.calls", "1")]);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for (span, told) in spans.iter().filter(|span| span.kind == CLIENT).zip(upstream.requests()) {
        assert_eq!((&span.trace_id, &span.parent_span_id), (&server.trace_id, &server.span_id));
        let path = [("url.path", "/there"), ("gateway.plugin", "calls"), ("gateway.upstream", "a")];
        has(span, &path);
        has(span, &[("http.response.status_code", "200")]);
        let expected = format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id));
        assert_eq!(told.headers["traceparent"], expected);
        assert_eq!(told.headers["tracestate"], "a=1");
    }
    assert!(!format!("{spans:?}").contains("hunter2"), "{spans:#?}");
}

#[tokio::test]
async fn logs_and_records_name_the_trace() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[recorder]\nsample = 1.0\n[traces]\n\
         [access_logs.api]\nfile = \"{}/log\"\n\
         [[routes]]\nname = \"r\"\npaths = [\"/\"]\naccess_log = \"api\"\nrespond = {{ body = \"hi\" }}\n",
        folder.path().display()
    );
    let gateway = Setup::toml(&text, &[]).start();
    let trace = "12345678901234567890123456789012";
    let parent = format!("00-{trace}-1234567890123456-01");
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(request("GET", "/", &[("traceparent", &parent)], "")).await;
    let path = format!("/requests/{}", answer.id());
    let record = Http1::admin(gateway.admin.unwrap(), &path).await;
    let record: serde_json::Value = serde_json::from_str(record.text()).unwrap();
    assert_eq!(record["trace_id"], trace);
    drop(gateway);
    let line = std::fs::read_to_string(folder.path().join("log")).unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["trace_id"], trace);
}

#[tokio::test]
async fn a_collector_over_tls_must_be_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let (over_grpc, grpc) = grpc().await;
    let (over_http, http) = http().await;
    for (protocol, taken, collector) in
        [("grpc", over_grpc, grpc), ("http", over_http, http.address)]
    {
        let (address, certificate) = secured(collector).await;
        let file = folder.path().join(protocol);
        std::fs::write(&file, certificate).unwrap();
        for (trust, spans) in [(String::new(), 0), (format!("ca = \"{}\"", file.display()), 1)] {
            let text = format!(
                "[admin]\naddress = \"127.0.0.1:0\"\n[traces]\nendpoint = \"https://localhost:{}\"\n\
                 protocol = \"{protocol}\"\ncompression = \"none\"\ntimeout = \"2s\"\n{trust}\n\
                 headers = {{ x-token = \"${{env:TOKEN}}\" }}\n\
                 [[routes]]\nname = \"r\"\npaths = [\"/\"]\nrespond.body = \"hi\"\n",
                address.port()
            );
            let gateway = Setup::toml(&text, &[("TOKEN", &"hunter2")]).start();
            assert_eq!(Http1::get(gateway.address, "/").await.status(), 200);
            let counted = match spans {
                0 => "gateway_spans_dropped_total{reason=\"collector\"} 1\n",
                _ => "gateway_spans_exported_total 1\n",
            };
            let mut page = String::new();
            for _ in 0..200 {
                page = Http1::admin(gateway.admin.unwrap(), "/metrics").await.text().to_owned();
                if page.contains(counted) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert!(page.contains(counted), "{protocol} {trust}: {page}");
            assert_eq!(taken.all().len(), spans);
        }
    }
}
