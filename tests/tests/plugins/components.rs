//! Components that answer instead of an upstream, in a whole gateway.

mod outgoing;

use std::time::Duration;

use gateway::{BindError, Gateway};
use gateway_tests::client::{get, request, request2};
use gateway_tests::log::Line;
use gateway_tests::setup::Running;
use gateway_tests::{Answer, Http1, Http2, Raw, Setup, guests, log, until, within};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// One component on each path; `table` is what is in its table besides the file.
fn serving(table: &str) -> Running {
    let text = format!(
        r#"
[components.service]
file = "./serves.wasm"
{table}

[[routes]]
name = "gateway"
paths = ["/gateway"]
respond = {{ body = "fine" }}

[[routes]]
name = "service"
paths = ["/{{*rest}}"]
component = "service"
"#
    );
    Setup::toml(&text, &[]).start()
}

async fn ask(gateway: &Running, path: &str) -> Answer {
    Http1::get(gateway.address, path).await
}

/// The line about the failure of a request.
async fn failure(id: &str) -> Line {
    let find = || log::of_request(id).into_iter().find(|line| line.target == "gateway::access");
    until(|| find().is_some()).await;
    find().unwrap()
}

/// What the component said about a request.
fn said(id: &str) -> Vec<String> {
    let own = log::of_request(id).into_iter().filter(|line| line.target == "component");
    own.map(|line| line.message).collect()
}

#[tokio::test]
async fn a_component_answers_over_both_protocols() {
    let gateway = serving("");
    let answer = ask(&gateway, "/environment").await;
    assert_eq!((answer.status(), answer.text()), (200, "none of 0"));
    assert_eq!(answer.header("content-length"), Some("9"));
    assert_eq!(answer.header("via"), None);
    let mut client = Http2::connect(gateway.address).await;
    let answer = client.send(request2("GET", "/environment", &[], "")).await;
    assert_eq!((answer.status(), answer.text()), (200, "none of 0"));
}

#[tokio::test]
async fn it_sees_the_request_as_an_upstream_would() {
    let gateway = serving("");
    let fields = [("connection", "x-hop"), ("x-hop", "1"), ("x-own", "2"), ("te", "trailers")];
    let asked = request("POST", "/head/a%20b?q=1", &fields, "body");
    let answer = Http1::connect(gateway.address).await.send(asked).await;
    let lines: Vec<_> = answer.text().lines().collect();
    assert_eq!(lines[0], "POST http://a.example/head/a%20b?q=1");
    assert!(lines.contains(&"x-own: 2"), "{lines:?}");
    assert!(lines.contains(&"x-forwarded-for: 127.0.0.1"), "{lines:?}");
    assert!(lines.contains(&"via: 1.1 gateway"), "{lines:?}");
    assert!(lines.contains(&&*format!("x-request-id: {}", answer.id())), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("x-hop")), "{lines:?}");
}

#[tokio::test]
async fn a_route_rewrites_what_its_component_sees() {
    let text = r#"
[[routes]]
name = "by-file"
paths = ["/api/{*rest}"]
component = "./serves.wasm"
rewrite = { strip_prefix = "/api", host = "inner.example" }

[[routes]]
name = "inline"
paths = ["/inline/{*rest}"]
component = { file = "./serves.wasm", environment = { GREETING = "${env:GREETING}" } }
rewrite = { strip_prefix = "/inline" }
"#;
    let gateway = Setup::toml(text, &[("GREETING", &"hello")]).start();
    let answer = ask(&gateway, "/api/head").await;
    assert_eq!(answer.text().lines().next(), Some("GET http://inner.example/head"));
    assert_eq!(ask(&gateway, "/inline/environment").await.text(), "hello of 1");
}

#[tokio::test]
async fn plugins_stand_in_front_of_a_component_as_of_an_upstream() {
    let text = r#"
[[routes]]
name = "guarded"
paths = ["/{*rest}"]
plugins = [
  { component = "auth", config = { api_key = { keys = [{ id = "me", digest = "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b" }] } } },
  { component = "./tagger.wasm", config = { name = "tag" } },
  { component = "./body-upper.wasm" },
]
component = "./serves.wasm"
"#;
    let gateway = Setup::toml(text, &[]).start();
    assert_eq!(ask(&gateway, "/environment").await.status(), 401);
    let asked = request("GET", "/head", &[("x-api-key", "secret")], "");
    let answer = Http1::connect(gateway.address).await.send(asked).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.text().to_lowercase().contains("x-trace-request: tag"), "{}", answer.text());
    assert_eq!(answer.header("x-trace-response"), Some("tag"));
}

#[tokio::test]
async fn bodies_stream_through_it_with_their_trailers() {
    let gateway = serving("");
    let mut raw = Raw::connect(gateway.address).await;
    let head = "POST /echo HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\n\
                transfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n";
    raw.send(head).await;
    for piece in ["first", "other"] {
        // Each piece comes back before the next is sent.
        raw.send(format!("5\r\n{piece}\r\n")).await;
        raw.read_until(piece).await;
    }
    raw.send("0\r\nx-sum: 42\r\n\r\n").await;
    let end = raw.read_until("\r\n\r\n").await;
    assert!(end.contains("0\r\nx-sum: 42\r\n"), "{end}");

    let mut raw = Raw::connect(gateway.address).await;
    raw.send("POST /trailers HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    raw.send("3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n").await;
    assert_eq!(raw.response().await.body, "x-sum: 7");
}

#[tokio::test]
async fn each_line_of_a_stream_comes_when_it_is_there() {
    let gateway = serving("");
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET /ticks/1000000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    raw.read_until("data: 2\n\n").await;
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_component_back() {
    const SIZE: usize = 100 << 20;
    let gateway = serving("limits = { deadline = \"1m\" }");
    let mut raw = Raw::connect(gateway.address).await;
    raw.send(format!("GET /bytes/{SIZE} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
    let head = raw.head().await;
    let id = head.header("x-request-id").unwrap().to_owned();
    let mut before = usize::MAX;
    within(async {
        while said(&id).len() != before {
            before = said(&id).len();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await;
    // It tells each MiB. Kernel buffers take some; the gateway takes no more than two pieces.
    assert!(before < 25, "{before}");
    let mut stream = raw.stream;
    let (mut read, mut buffer) = (0, vec![0; 64 << 10]);
    while read < SIZE {
        read += within(stream.read(&mut buffer)).await.unwrap();
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_the_clients_fault() {
    let text = r#"
[[routes]]
name = "small"
paths = ["/{*rest}"]
component = "./serves.wasm"
limits = { body_size = 4 }
"#;
    let gateway = Setup::toml(text, &[]).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("POST /trailers HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    raw.send("5\r\nlarge\r\n0\r\n\r\n").await;
    let response = raw.response().await;
    assert_eq!(response.status, 413);
    assert_eq!(failure(response.header("x-request-id").unwrap()).await.field("fault"), "client");
}

#[tokio::test]
async fn a_component_that_fails_costs_one_request_and_is_named() {
    let gateway = serving("limits = { deadline = \"100ms\", memory = \"8MiB\" }");
    for (path, why) in [
        ("/panics", "it trapped: "),
        ("/loops", "it computed for longer than its deadline of 100ms"),
        ("/naps", "it computed for longer than its deadline of 100ms"),
        ("/allocates", "it wanted more than its 8388608 bytes of memory"),
        ("/hoards", "it trapped: "),
        ("/silent", "it returned without a response"),
        ("/refuses", "it answered with the error code ErrorCode::DestinationUnavailable"),
        ("/interim", "its response is not valid: its status is not a final one"),
        ("/short/10", "its response is not valid: its body is not as long as its content-length"),
    ] {
        let answer = ask(&gateway, path).await;
        assert_eq!(answer.status(), 502, "{path}");
        assert_eq!(answer.problem()["detail"], "The service failed.", "{path}");
        let line = failure(answer.id()).await;
        let cause = line.field("cause");
        assert!(cause.starts_with("component service failed: "), "{path}: {cause}");
        assert!(cause.contains(why), "{path}: {cause}");
        assert_eq!((line.field("fault"), line.field("route")), ("upstream", "service"));
        assert_eq!(ask(&gateway, "/environment").await.status(), 200, "after {path}");
    }
    let answer = ask(&gateway, "/panics").await;
    let line = failure(answer.id()).await;
    assert!(line.field("cause").contains("the service panicked on purpose"), "{line:?}");
    assert!(said(answer.id()).iter().any(|line| line.contains("panicked")));
}

#[tokio::test]
async fn a_component_that_computes_lets_others_go_first() {
    let gateway = serving("limits = { deadline = \"1h\" }");
    let mut works = Raw::connect(gateway.address).await;
    works.send("GET /works/1000000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    // There is one worker, and it would compute for the better part of an hour.
    for _ in 0..5 {
        assert_eq!(ask(&gateway, "/gateway").await.text(), "fine");
        assert_eq!(ask(&gateway, "/environment").await.text(), "none of 0");
    }
    assert_eq!(works.peek(), "");
}

#[tokio::test]
async fn waiting_is_not_computing() {
    let gateway = serving("limits = { deadline = \"20ms\" }");
    assert_eq!(ask(&gateway, "/sleeps/300").await.text(), "slept");
}

#[tokio::test]
async fn a_component_that_says_nothing_is_given_up() {
    let gateway = serving("timeouts = { first_byte = \"100ms\" }");
    let answer = ask(&gateway, "/sleeps/60000").await;
    assert_eq!(answer.status(), 504);
    assert_eq!(answer.problem()["detail"], "The service did not answer in time.");
    assert!(failure(answer.id()).await.field("cause").contains("within 100ms after the request"));
    // The time that a client takes for its request is not the component's.
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("POST /trailers HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n").await;
    for byte in ["a", "b", "c", "d"] {
        tokio::time::sleep(Duration::from_millis(150)).await;
        raw.send(byte).await;
    }
    assert_eq!(raw.response().await.status, 200);
}

#[tokio::test]
async fn half_a_response_never_looks_whole() {
    let gateway = serving("timeouts = { idle = \"100ms\" }");
    for (path, why) in [("/breaks", "broke off on purpose"), ("/stalls", "for 100ms (`idle`)")] {
        let mut raw = Raw::connect(gateway.address).await;
        raw.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        let head = raw.head().await;
        let rest = raw.rest().await;
        assert!(rest.contains("half") && !rest.contains("\r\n0\r\n"), "{path}: {rest}");
        let line = failure(head.header("x-request-id").unwrap()).await;
        assert!(line.field("cause").contains(why), "{line:?}");
    }
    // A length that is known is one that is kept.
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET /short/1000000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let head = raw.head().await;
    assert_eq!(head.header("content-length"), Some("1000001"));
    assert!(raw.rest().await.len() <= 1_000_000);
}

#[tokio::test]
async fn there_is_no_body_where_there_can_be_none() {
    let gateway = serving("");
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(request("HEAD", "/environment", &[], "")).await;
    assert_eq!((answer.status(), answer.text()), (200, ""));
    let answer = client.send(get("/nothing")).await;
    assert_eq!((answer.status(), answer.header("content-length")), (204, None));
    // The connection is in step.
    assert_eq!(client.send(get("/environment")).await.text(), "none of 0");
}

#[tokio::test]
async fn what_it_writes_goes_to_the_log() {
    let gateway = serving("");
    let answer = ask(&gateway, "/writes").await;
    assert_eq!(said(answer.id()), ["to standard output", "to standard error"]);
    let line = log::of_request(answer.id()).remove(0);
    assert_eq!(line.field("component"), "service");

    let answer = ask(&gateway, "/floods").await;
    assert_eq!(answer.text(), "flooded");
    assert_eq!(said(answer.id()).len(), 1_000);
    let told = |line: &Line| line.field("dropped") == "4000";
    until(|| log::of_request(answer.id()).iter().any(told)).await;
}

#[tokio::test]
async fn it_has_no_way_out() {
    let gateway = serving("");
    let answer = ask(&gateway, "/outside").await;
    let refused = "file false, name false, socket false, fetched ErrorCode::HttpRequestDenied";
    assert_eq!(answer.text(), refused);
    let told = log::of_request(answer.id());
    assert!(told[0].message.contains("to `127.0.0.1:80`, which is no upstream"), "{told:?}");
}

#[tokio::test]
async fn it_may_go_on_after_its_response() {
    let gateway = serving("");
    let answer = ask(&gateway, "/lingers").await;
    assert_eq!(answer.text(), "done");
    until(|| said(answer.id()) == ["went on after the response"]).await;
}

#[tokio::test]
async fn requests_beyond_its_instances_wait_for_their_turn() {
    let gateway = serving("limits = { instances = 1 }");
    let both = async { tokio::join!(ask(&gateway, "/sleeps/50"), ask(&gateway, "/sleeps/50")) };
    let (first, second) = within(both).await;
    assert_eq!((first.text(), second.text()), ("slept", "slept"));
    // A client that leaves takes its instance with it.
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET /ticks/1000000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    raw.read_until("data: 1\n\n").await;
    drop(raw);
    assert_eq!(ask(&gateway, "/environment").await.status(), 200);
    // One that stays keeps it, and nobody waits for ever.
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET /ticks/1000000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    raw.read_until("data: 1\n\n").await;
    let answer = ask(&gateway, "/environment").await;
    assert_eq!(answer.status(), 503);
    assert!(failure(answer.id()).await.field("cause").contains("all of its 1 instances are busy"));
}

#[tokio::test]
async fn the_access_log_says_which_component_answered() {
    let mut setup = Setup::toml(
        "[[routes]]\nname = \"all\"\npaths = [\"/{*rest}\"]\ncomponent = \"./serves.wasm\"",
        &[],
    );
    setup.config.process.access_log = gateway::config::AccessLog::All;
    let gateway = setup.start();
    let answer = ask(&gateway, "/environment").await;
    assert_eq!(failure(answer.id()).await.field("upstream"), "component ./serves.wasm");
}

#[tokio::test]
async fn a_reload_swaps_it_and_lets_what_runs_run() {
    let text = |greeting: &str| {
        format!(
            "[components.service]\nfile = \"./serves.wasm\"\nenvironment = {{ GREETING = \
             \"{greeting}\" }}\n[[routes]]\nname = \"all\"\npaths = [\"/{{*rest}}\"]\n\
             component = \"service\""
        )
    };
    let gateway = Setup::toml(&text("first"), &[]).start();
    assert_eq!(ask(&gateway, "/environment").await.text(), "first of 1");
    let mut stream = Raw::connect(gateway.address).await;
    stream.send("GET /ticks/1000000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    stream.read_until("data: 1\n\n").await;
    gateway.handle.reload(Setup::toml(&text("second"), &[]).config).unwrap();
    let swapped = async {
        while ask(&gateway, "/environment").await.text() != "second of 1" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(swapped).await;
    let now = stream.peek();
    stream.read_until("\ndata: ").await;
    assert!(now.len() < 1 << 20);
}

/// What is said to a component that cannot be loaded.
fn refusals(table: &str) -> Vec<(String, Option<String>)> {
    let text = format!(
        "[components.refused]\n{table}\n[[routes]]\nname = \"all\"\npaths = [\"/{{*rest}}\"]\n\
         component = \"refused\""
    );
    let errors = Gateway::bind(Setup::toml(&text, &[]).config).map(drop).unwrap_err();
    let refusal = |error: &BindError| match error {
        BindError::Component { name, message, help, .. } => {
            assert_eq!(name, "refused");
            (message.clone(), help.clone())
        }
        other => panic!("{other}"),
    };
    errors.iter().map(refusal).collect()
}

#[test]
fn a_file_of_another_kind_is_called_what_it_is() {
    let (message, help) = refusals("file = \"./tagger.wasm\"").remove(0);
    assert_eq!(message, "it is a plugin, not an HTTP service");
    assert!(help.unwrap().contains("`plugins`"));
    let (message, _) = refusals("file = \"./core-module.wasm\"").remove(0);
    assert!(message.contains("a core WebAssembly module, not a component"), "{message}");

    let folder = tempfile::tempdir_in(guests::folder()).unwrap();
    let file = folder.path().join("other.wasm");
    for (export, words) in [
        ("wasi:cli/run@0.2.6", "it is a command, not an HTTP service: it exports wasi:cli/run"),
        ("wasi:http/handler@0.3.0", "and this gateway serves `wasi:http/incoming-handler@0.2`"),
        ("wasi:http/incoming-handler@0.3.0", "it exports `wasi:http/incoming-handler@0.3.0`"),
    ] {
        let text = format!("(component (instance $it) (export \"{export}\" (instance $it)))");
        std::fs::write(&file, wat::parse_str(text).unwrap()).unwrap();
        let (message, _) = refusals(&format!("file = '{}'", file.display())).remove(0);
        assert!(message.contains(words), "{export}: {message}");
    }
    let imports = r#"(component
        (import "wasi:keyvalue/store@0.2.0" (instance))
        (import "gateway:plugin/clock@0.1.0" (instance))
        (instance $it)
        (export "wasi:http/incoming-handler@0.2.0" (instance $it)))"#;
    std::fs::write(&file, wat::parse_str(imports).unwrap()).unwrap();
    let said = refusals(&format!("file = '{}'", file.display()));
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].0.contains("`wasi:keyvalue/store@0.2.0`, which is not offered"), "{said:?}");
    assert!(said[1].0.contains("`gateway:plugin/clock@0.1.0`, which only plugins have"));
}

#[test]
fn limits_that_no_instance_fits_into_are_told_before_the_first_request() {
    let (message, _) =
        refusals("file = \"./serves.wasm\"\nlimits = { memory = \"64KiB\" }").remove(0);
    assert!(message.starts_with("it failed before its first request: "), "{message}");
    assert!(message.contains("65536 bytes of memory"), "{message}");
}

#[tokio::test]
async fn http_1_0_without_a_host_is_served() {
    let gateway = serving("");
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET /head HTTP/1.0\r\n\r\n").await.unwrap();
    let mut all = String::new();
    within(stream.read_to_string(&mut all)).await.unwrap();
    assert!(all.contains("GET http://localhost/head"), "{all}");
}
