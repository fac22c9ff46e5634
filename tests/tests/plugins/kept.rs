//! What plugins leave in the gateway: counted, bounded, and given back.
//!
//! Over 400 lines: stories that share their setup and are read one at a time.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use gateway_tests::client::{self, request, request2};
use gateway_tests::upstream::{BoxBody, full};
use gateway_tests::{Http1, Http2, Raw, Running, Setup, Upstream, log, until};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};

/// A plugin under its own name, so that its lines of the log can be distinguished, and `other`, the same
/// without its limits.
fn through(name: &str, plugin: &str, upstream: &Upstream) -> Setup {
    let text = format!(
        r#"
[admin]
address = "127.0.0.1:0"
[plugins.{name}]
component = "./leaves.wasm"
{plugin}
[plugins.other]
component = "./leaves.wasm"
[upstreams.orders]
targets = ["http://${{env:ORDERS}}"]
[[routes]]
name = "{name}"
paths = ["/{{*rest}}"]
plugins = ["{name}"]
upstream = "orders"
[[routes]]
name = "other"
paths = ["/other"]
plugins = ["other"]
upstream = "orders"
"#
    );
    Setup::toml(&text, &[("ORDERS", &upstream.address)])
}

/// Echoes bodies; `/endless` sends pieces without end, and `/announced` says so of a gibibyte.
async fn service() -> Upstream {
    Upstream::http1(|request| async move {
        let pieces = |pause| {
            // Those without a pause fill what the system keeps for a client that takes nothing.
            let piece: &[u8] = if pause == 0 { &[b'x'; 64 << 10] } else { &[b'x'; 1 << 10] };
            let pieces = stream::unfold((), move |()| async move {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                Some((Ok(Frame::data(Bytes::from_static(piece))), ()))
            });
            StreamBody::new(pieces).boxed_unsync()
        };
        match request.uri().path() {
            "/endless" => Response::new(pieces(0)),
            "/events" => Response::new(pieces(20)),
            "/announced" => {
                let answer = Response::builder().header("content-length", 1_u64 << 30);
                answer.body(pieces(0)).unwrap()
            }
            _ => {
                let body = request.into_body().collect().await;
                Response::new(full(body.map_or_else(|_| Bytes::new(), |body| body.to_bytes())))
            }
        }
    })
    .await
}

async fn metric(gateway: &Running, line: &str) -> String {
    let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let found = page.text().lines().find(|it| it.starts_with(line)).unwrap_or_default().to_owned();
    found.rsplit(' ').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn what_is_kept_with_one_exchange_is_bounded() {
    let upstream = service().await;
    let gateway = through("one", "limits = { exchange = \"64KiB\" }", &upstream).start();
    let mut client = Http1::connect(gateway.address).await;
    for (field, least, most, what) in [
        ("x-context", "60000", "70000", "context 7000"),
        ("x-attributes", "55", "65", "attributes 6"),
        ("x-fields", "50000", "70000", "fields 7"),
    ] {
        let answer = client.send(request("GET", "/a", &[(field, least)], "")).await;
        assert_eq!(answer.status(), 200, "{field}");
        let answer = client.send(request("GET", "/a", &[(field, most)], "")).await;
        assert_eq!(answer.status(), 500, "{field}");
        assert_eq!(answer.header("x-field"), None, "nothing of it is applied");
        let lines = log::of_request(answer.id());
        let line = lines.iter().find(|line| line.field("plugin") == "one").unwrap();
        assert!(
            line.message.contains(what) && line.message.contains("`limits.exchange`"),
            "{line:?}"
        );
        let answer = client.send(request("GET", "/other", &[(field, most)], "")).await;
        assert_eq!(answer.status(), 200, "{field}: another plugin has its own bound");
    }
    // Several kinds together.
    let both = [("x-context", "40000"), ("x-attributes", "30")];
    assert_eq!(client.send(request("GET", "/a", &both, "")).await.status(), 500);
    assert_eq!(
        metric(&gateway, "gateway_plugin_failures_total{plugin=\"one\",kind=\"kept\"}").await,
        "4"
    );
    let client = Http2::connect(gateway.address).await;
    let answer = client.clone().send(request2("GET", "/a", &[("x-context", "70000")], "")).await;
    assert_eq!(answer.status(), 500);
}

#[tokio::test]
async fn a_plugin_that_may_fail_leaves_nothing_where_it_wanted_too_much() {
    let upstream = service().await;
    let limits = "on_error = \"open\"\nlimits = { exchange = \"64KiB\" }";
    let gateway = through("open", limits, &upstream).start();
    let mut client = Http1::connect(gateway.address).await;
    let much = [("x-context", "70000"), ("x-fields", "10")];
    let answer = client.send(request("GET", "/a", &much, "")).await;
    assert_eq!(
        (answer.status(), answer.header("x-left"), answer.header("x-field")),
        (200, Some("0"), None)
    );
}

#[tokio::test]
async fn what_is_replaced_again_and_again_counts_once() {
    let upstream = service().await;
    let gateway = through("again", "limits = { exchange = \"12KiB\" }", &upstream).start();
    let fields = "x-attributes: 5\r\nx-again: 8\r\nx-chunk-context: 2000\r\n";
    let mut client = Raw::connect(gateway.address).await;
    client.send(format!("GET /events HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).await;
    assert_eq!(client.head().await.status, 200);
    // Twenty chunks, each with all of it.
    for _ in 0..20 {
        client.read_until("xxxx\r\n").await;
    }
    // And a context that has no room cuts the body off.
    let mut client = Raw::connect(gateway.address).await;
    client.send("GET /events HTTP/1.1\r\nhost: a\r\nx-chunk-context: 20000\r\n\r\n").await;
    let rest = client.rest().await;
    assert!(!rest.contains("xxxx") && !rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
    let told = log::of_plugin("again");
    assert!(told.iter().any(|line| line.message.contains("`limits.exchange`")), "{told:?}");
}

#[tokio::test]
async fn what_is_kept_with_all_exchanges_is_bounded_and_given_back() {
    let upstream = service().await;
    let gateway = through("all", "limits = { exchanges = \"256KiB\" }", &upstream).start();
    for round in 0..3 {
        let mut streams = Vec::new();
        for number in 0..5 {
            let mut client = Raw::connect(gateway.address).await;
            client.send("GET /events HTTP/1.1\r\nhost: a\r\nx-context: 48000\r\n\r\n").await;
            assert_eq!(client.head().await.status, 200, "{round}: {number}");
            streams.push(client);
        }
        let mut client = Http1::connect(gateway.address).await;
        let refused = client.send(request("GET", "/a", &[("x-context", "50000")], "")).await;
        assert_eq!(refused.status(), 500);
        let lines = log::of_request(refused.id());
        assert!(lines.iter().any(|line| line.message.contains("`limits.exchanges`")), "{lines:?}");
        let small = client.send(request("GET", "/a", &[("x-context", "1000")], "")).await;
        assert_eq!(small.status(), 200);
        let other = client.send(request("GET", "/other", &[("x-context", "50000")], "")).await;
        assert_eq!(other.status(), 200);
        // They leave in different ways.
        streams.pop().unwrap().reset();
        drop(streams);
        // The first has room when all of them are gone, the second when the first is too: an exchange
        // keeps what it has until its plugins have heard of its end.
        for context in ["250000", "13000"] {
            let began = Instant::now();
            loop {
                let asked = request("GET", "/a", &[("x-context", context)], "");
                if client.send(asked).await.status() == 200 {
                    break;
                }
                assert!(began.elapsed() < Duration::from_secs(10), "it is not given back");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

#[tokio::test]
async fn a_body_is_held_no_further_than_an_instance_could_take() {
    let upstream = service().await;
    let gateway =
        through("far", "limits = { memory = \"4MiB\", deadline = \"5s\" }", &upstream).start();
    let mut client = Http1::connect(gateway.address).await;
    let (name, all) = ("x-hold-response", "18446744073709551615");
    for path in ["/announced", "/endless"] {
        let answer = client.send(request("GET", path, &[(name, all)], "")).await;
        assert_eq!(answer.status(), 500, "{path}");
        let lines = log::of_request(answer.id());
        let told = lines.iter().find(|line| line.field("plugin") == "far").unwrap();
        let is = told.message.contains("4194304 bytes") && told.message.contains("`limits.memory`");
        assert!(is, "{told:?}");
    }
    // Nobody is asked for a body that is too long: there is no 100, and no byte is read.
    let mut client = Raw::connect(gateway.address).await;
    let head = "POST /a HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 1073741824";
    client.send(format!("{head}\r\nx-hold: {all}\r\n\r\n")).await;
    assert_eq!(client.response().await.status, 413);
    // A smaller limit of the plugin's own is still the limit.
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(request("POST", "/a", &[("x-hold", "10")], "more than ten")).await;
    assert_eq!(answer.status(), 413);
}

/// Begins a body of 30,000 bytes, all but the last of which come.
async fn slow(gateway: &Running, path: &str) -> Raw {
    let mut client = Raw::connect(gateway.address).await;
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: a\r\nx-hold: 100000\r\ncontent-length: 30000");
    client.send(format!("{head}\r\n\r\n{}", "s".repeat(29_999))).await;
    client
}

#[tokio::test]
async fn bodies_that_are_held_for_a_plugin_are_bounded_together() {
    let upstream = service().await;
    let gateway = through("held", "limits = { buffered = \"64KiB\" }", &upstream).start();
    let mut slow = vec![slow(&gateway, "/a").await, slow(&gateway, "/b").await];
    let held = r#"gateway_plugin_held_body_bytes{plugin="held"}"#;
    let began = Instant::now();
    while metric(&gateway, held).await.parse::<u64>().unwrap() < 50_000 {
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    let body = "b".repeat(30_000);
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(request("POST", "/a", &[("x-hold", "100000")], body.clone())).await;
    assert_eq!((answer.status(), answer.header("retry-after")), (503, Some("1")));
    assert!(answer.problem()["detail"].as_str().unwrap().contains("no room"), "{answer:?}");
    let lines = log::of_request(answer.id());
    let is_told = |line: &log::Line| {
        let cause = line.field("cause");
        cause.contains("plugin held") && cause.contains("`limits.buffered`")
    };
    assert!(lines.iter().any(is_told), "{lines:?}");
    // A response that is to be held, too; what is not held and what is another's is served.
    let mut client = Http1::connect(gateway.address).await;
    let response = [("x-hold-response", "100000")];
    let answer = client.send(request("POST", "/a", &response, body.clone())).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(client.send(request("POST", "/a", &[], body.clone())).await.status(), 200);
    let hold = [("x-hold", "100000")];
    assert_eq!(client.send(request("POST", "/other", &hold, body.clone())).await.status(), 200);
    let mut over_http2 = Http2::connect(gateway.address).await;
    let answer = over_http2.send(request2("POST", "/a", &hold, body.clone())).await;
    assert_eq!(answer.status(), 503);
    // One ends well and one is gone: there is room again.
    slow[0].send("s").await;
    assert_eq!(slow[0].response().await.status, 200);
    slow.pop().unwrap().reset();
    let began = Instant::now();
    while metric(&gateway, held).await != "0" {
        assert!(began.elapsed() < Duration::from_secs(10), "it is not given back");
    }
    for _ in 0..5 {
        let mut client = Http1::connect(gateway.address).await;
        assert_eq!(client.send(request("POST", "/a", &hold, body.clone())).await.status(), 200);
    }
    assert_eq!(metric(&gateway, held).await, "0");
}

#[tokio::test]
async fn bodies_that_are_held_for_all_plugins_are_bounded_together() {
    let upstream = service().await;
    let mut setup = through("process", "", &upstream);
    setup.config.process.buffered_bodies = 64 << 10;
    let gateway = setup.start();
    let _slow = [slow(&gateway, "/a").await, slow(&gateway, "/other").await];
    let began = Instant::now();
    while metric(&gateway, "gateway_held_body_bytes").await.parse::<u64>().unwrap() < 50_000 {
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    let mut client = Http1::connect(gateway.address).await;
    let body = "b".repeat(30_000);
    let answer = client.send(request("POST", "/a", &[("x-hold", "100000")], body)).await;
    assert_eq!((answer.status(), answer.header("retry-after")), (503, Some("1")));
    let lines = log::of_request(answer.id());
    assert!(
        lines.iter().any(|line| line.field("cause").contains("`buffered_bodies`")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_body_that_does_not_come_whole_in_time_is_given_up() {
    let upstream = service().await;
    let gateway = through("late", "limits = { buffer_time = \"300ms\" }", &upstream).start();
    let mut slow = slow(&gateway, "/a").await;
    assert_eq!(slow.response().await.status, 408);
    let mut client = Http1::connect(gateway.address).await;
    let answer =
        client.send(request("GET", "/events", &[("x-hold-response", "1000000")], "")).await;
    assert_eq!(answer.status(), 502);
    let lines = log::of_request(answer.id());
    assert!(
        lines.iter().any(|line| line.field("cause").contains("`limits.buffer_time`")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn what_a_plugin_makes_counts_as_what_it_holds() {
    let upstream = service().await;
    let gateway = through("makes", "limits = { buffered = \"64KiB\" }", &upstream).start();
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(request("GET", "/a", &[("x-answer", "200 60000")], "")).await;
    assert_eq!((answer.status(), answer.text().len()), (200, 60_000));
    let answer = client.send(request("GET", "/a", &[("x-answer", "200 70000")], "")).await;
    assert_eq!(answer.status(), 500);
    let lines = log::of_request(answer.id());
    assert!(lines.iter().any(|line| line.message.contains("`limits.buffered`")), "{lines:?}");
    let hold = [("x-hold", "1000"), ("x-grow", "70000")];
    assert_eq!(client.send(request("POST", "/a", &hold, "small")).await.status(), 500);
    let hold = [("x-hold", "1000"), ("x-grow", "50000")];
    let answer = client.send(request("POST", "/a", &hold, "small")).await;
    assert_eq!((answer.status(), answer.text().len()), (200, 50_000));
}

#[tokio::test]
async fn lines_of_a_plugin_are_bounded_by_time() {
    let upstream = service().await;
    let gateway = through("talks", "limits = { log_lines = 10 }", &upstream).start();
    let mut client = Http1::connect(gateway.address).await;
    for _ in 0..3 {
        assert_eq!(client.send(request("GET", "/a", &[("x-say", "50")], "")).await.status(), 200);
    }
    let said =
        || log::of_plugin("talks").into_iter().filter(|line| line.target == "plugin").count();
    assert!((10..=30).contains(&said()), "{}", said());
    let told =
        || log::of_plugin("talks").into_iter().find(|it| it.message.contains("were dropped"));
    until(|| told().is_some()).await;
    let told = told().unwrap();
    assert!(told.message.contains("`limits.log_lines`"), "{told:?}");
    let dropped: u64 = told.field("dropped").parse().unwrap();
    assert!((100..=143).contains(&dropped), "{dropped}");
    let name = r#"gateway_plugin_log_lines_dropped_total{plugin="talks"}"#;
    assert!(metric(&gateway, name).await.parse::<u64>().unwrap() >= dropped);
    // What the gateway has to say of its failures does not drown.
    let answer = client.send(request("GET", "/a", &[("x-say", "50"), ("x-fail", "oh")], "")).await;
    assert_eq!(answer.status(), 500);
    let lines = log::of_request(answer.id());
    assert!(lines.iter().any(|line| line.message.contains("it trapped")), "{lines:?}");
}

#[tokio::test]
async fn a_trace_is_written_once_and_failures_are_bounded_too() {
    let upstream = service().await;
    let gateway = through("fails", "limits = { log_lines = 5 }", &upstream).start();
    let mut client = Http1::connect(gateway.address).await;
    for number in 0..60 {
        let words = format!("word {number}");
        let answer = client.send(request("GET", "/a", &[("x-fail", &words)], "")).await;
        assert_eq!(answer.status(), 500);
    }
    let records = log::of_plugin("fails").into_iter();
    let records: Vec<_> = records.filter(|it| it.message.contains("it trapped")).collect();
    let traces = records.iter().filter(|record| record.message.contains('\n')).count();
    assert_eq!(traces, 1, "{records:?}");
    assert!((5..60).contains(&records.len()), "{}", records.len());
    assert!(records[1].message.contains("word 1") && records[1].message.contains("time 2"));
    let name = r#"gateway_plugin_failures_total{plugin="fails",kind="trap"}"#;
    assert_eq!(metric(&gateway, name).await, "60", "all are counted");
    let told =
        || log::of_plugin("fails").into_iter().any(|it| it.message.contains("about the plugin"));
    until(told).await;
}

/// How `on-complete` says that the exchanges of a plugin ended.
fn ends(plugin: &str) -> Vec<String> {
    let lines = log::of_plugin(plugin).into_iter().map(|line| line.message);
    lines.filter(|line| line.starts_with("ended ")).collect()
}

/// The causes of failed exchanges that a route of this name has in the log.
fn causes(route: &str) -> Vec<(String, String)> {
    let lines = log::lines(|line| line.field("route") == route && !line.field("cause").is_empty());
    lines.iter().map(|it| (it.field("fault").to_owned(), it.field("cause").to_owned())).collect()
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off_by_the_gateway() {
    let upstream = service().await;
    let setup = through("idle", "", &upstream);
    let gateway = setup.listen(|it| it.timeouts.idle = Duration::from_millis(300)).start();
    let mut over_http1 = Raw::connect(gateway.address).await;
    over_http1.send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await;
    until(|| ends("idle").len() == 1).await;
    drop(over_http1);
    // Over HTTP/2 a client that takes none of one stream; the connection lives on.
    let tcp = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let mut builder =
        hyper::client::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
    builder.initial_stream_window_size(64 << 10);
    let io = hyper_util::rt::TokioIo::new(tcp);
    let (mut sender, connection) = builder.handshake::<_, BoxBody>(io).await.unwrap();
    tokio::spawn(connection);
    let _unread = sender.send_request(client::get2("/endless")).await.unwrap();
    until(|| ends("idle").len() == 2).await;
    assert_eq!(ends("idle"), ["ended GatewayFailed", "ended GatewayFailed"]);
    let causes = causes("idle");
    assert_eq!(causes.len(), 2, "{causes:?}");
    for (fault, cause) in causes {
        assert!(fault == "gateway" && cause.contains("idle time"), "{fault}: {cause}");
    }
}

#[tokio::test]
async fn what_is_cut_at_the_end_of_the_grace_time_is_the_gateways_doing() {
    let upstream = service().await;
    let mut gateway = through("drain", "", &upstream).start();
    let mut over_http1 = Raw::connect(gateway.address).await;
    over_http1.send("GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(over_http1.head().await.status, 200);
    let mut over_http2 = Http2::connect(gateway.address).await;
    let reading = tokio::spawn(async move {
        over_http2.send(client::get2("/events")).await;
    });
    until(|| upstream.connections() >= 2).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    gateway.stop();
    until(|| gateway.has_ended()).await;
    reading.abort();
    assert_eq!(ends("drain"), ["ended GatewayFailed", "ended GatewayFailed"]);
    let causes = causes("drain");
    assert_eq!(causes.len(), 2, "{causes:?}");
    for (fault, cause) in causes {
        assert!(
            fault == "gateway" && cause.contains("the gateway or the listener ends"),
            "{fault}: {cause}"
        );
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_still_said_to_have_left() {
    let upstream = service().await;
    let gateway = through("left", "", &upstream).start();
    let mut client = Raw::connect(gateway.address).await;
    client.send("GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.head().await.status, 200);
    client.reset();
    until(|| ends("left").len() == 1).await;
    assert_eq!((ends("left"), causes("left").len()), (vec!["ended ClientLeft".to_owned()], 0));
}
