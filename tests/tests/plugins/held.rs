//! Responses that a plugin holds back until their bodies have begun well: what comes of each decision, over both
//! protocols on both sides, and what bounds them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use gateway_tests::client::{request, request2};
use gateway_tests::streams::{self, Streams};
use gateway_tests::upstream::BoxBody;
use gateway_tests::{Answer, Http1, Http2, Raw, Running, Setup, Upstream, log, until};
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::Semaphore;

/// A service that says 200 and streams: a piece for each word, or what the word is for. `wait` waits for the gate,
/// `big` is 70 KiB, `break` breaks off, `trailers` ends with some.
struct Provider {
    upstream: Upstream,
    gate: Arc<Semaphore>,
}

impl Provider {
    async fn new(name: &'static str, is_http2: bool, script: &'static str) -> Self {
        let gate = Arc::new(Semaphore::new(0));
        let opens = Arc::clone(&gate);
        let answer = move |_| {
            let words = script.split_whitespace();
            let frames = stream::unfold((words, Arc::clone(&opens)), next);
            let body: BoxBody = StreamBody::new(frames).boxed_unsync();
            let response = Response::builder().header("content-type", "text/event-stream");
            std::future::ready(response.header("x-upstream", name).body(body).unwrap())
        };
        let upstream = match is_http2 {
            true => Upstream::http2(answer).await,
            false => Upstream::http1(answer).await,
        };
        Self { upstream, gate }
    }

    fn opens(&self) {
        self.gate.add_permits(1);
    }
}

type Words = std::str::SplitWhitespace<'static>;
type State = (Words, Arc<Semaphore>);

async fn next((mut words, gate): State) -> Option<(Result<Frame<Bytes>, std::io::Error>, State)> {
    let frame = loop {
        match words.next()? {
            "wait" => gate.acquire().await.unwrap().forget(),
            "break" => break Err(std::io::Error::other("it breaks off")),
            "trailers" => {
                let mut trailers = HeaderMap::new();
                trailers.insert("x-sum", "7".parse().unwrap());
                break Ok(Frame::trailers(trailers));
            }
            "big" => break Ok(Frame::data(Bytes::from(vec![b'x'; 70 << 10]))),
            word => break Ok(Frame::data(Bytes::from(format!("event: {word}\n\n")))),
        }
    };
    // So that it is a piece of its own on the way.
    tokio::time::sleep(Duration::from_millis(10)).await;
    Some((frame, (words, gate)))
}

/// The providers behind a route, of which the first is asked first.
fn start(name: &str, providers: &[&Provider], is_http2: bool, more: &str) -> Running {
    let protocol = if is_http2 { "http2" } else { "http1" };
    let upstreams: Vec<_> = (0..providers.len()).map(|it| format!("{name}-{it}")).collect();
    let tables = upstreams.iter().zip(providers).map(|(upstream, it)| {
        let address = it.upstream.address;
        format!(
            "[upstreams.{upstream}]\ntargets = [\"http://{address}\"]\nprotocol = \"{protocol}\"\n"
        )
    });
    let tables: String = tables.collect();
    let next = &upstreams[1..];
    let more = match more {
        "" => "config = { upstreams = UPSTREAMS, bytes = 65536, time_ms = 600000 }",
        more => more,
    };
    let more = more.replace("UPSTREAMS", &format!("{next:?}"));
    let text = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n{tables}\
         [plugins.{name}]\ncomponent = \"./holds.wasm\"\ngrants = [\"attempts\"]\nforward_to = {next:?}\n{more}\n\
         [plugins.tagger]\ncomponent = \"./tagger.wasm\"\nconfig = {{ name = \"t\" }}\n\
         [plugins.chunks]\ncomponent = \"./chunk-count.wasm\"\nconfig = {{ trailer = false }}\n\
         [[routes]]\nname = \"{name}\"\npaths = [\"/{{*rest}}\"]\nplugins = [\"tagger\", \"{name}\", \"chunks\"]\n\
         upstream = \"{name}-0\"\n"
    );
    Setup::toml(&text, &[]).workers(1).start()
}

async fn ask(gateway: &Running, is_http2: bool) -> Answer {
    match is_http2 {
        false => {
            let mut client = Http1::connect(gateway.address).await;
            client.send(request("POST", "/", &[], "a prompt")).await
        }
        true => {
            let mut client = Http2::connect(gateway.address).await;
            client.send(request2("POST", "/", &[], "a prompt")).await
        }
    }
}

async fn holds_nothing(gateway: &Running) {
    let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let line = page.text().lines().find(|it| it.starts_with("gateway_held_body_bytes")).unwrap();
    assert_eq!(line.rsplit(' ').next(), Some("0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_as_the_first_event_of_a_stream_goes_to_the_next_upstream() {
    for (is_http2, name) in [(false, "next-1"), (true, "next-2")] {
        let one = Provider::new("one", is_http2, "ping error wait").await;
        let two = Provider::new("two", is_http2, "error").await;
        let three = Provider::new("three", is_http2, "ping message more late end trailers").await;
        let gateway = start(name, &[&one, &two, &three], is_http2, "");
        for _ in 0..2 {
            let answer = ask(&gateway, is_http2).await;
            assert_eq!((answer.status(), answer.header("x-upstream")), (200, Some("three")));
            assert_eq!(
                (answer.header("x-sent"), answer.header("x-seen")),
                (Some("3"), Some("yes"))
            );
            // The plugin before it has seen this response alone.
            assert_eq!(answer.header("x-trace-response"), Some("t"));
            let events = ["ping", "message", "more", "late", "end"];
            assert_eq!(answer.text(), events.map(|it| format!("event: {it}\n\n")).concat());
            let said = || log::said(answer.id());
            until(|| said().iter().any(|it| it.starts_with("ended"))).await;
            assert!(said().contains(&"late: false false".to_owned()), "{:?}", said());
            assert!(said().contains(&"ended: 200 9".to_owned()), "{:?}", said());
        }
        assert_eq!((one.upstream.requests().len(), two.upstream.requests().len()), (2, 2));
        holds_nothing(&gateway).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_passed_on_before_the_response_is_let_go_and_everything_streams_behind() {
    let provider = Provider::new("one", false, "ping wait message wait more").await;
    let gateway = start("streams", &[&provider], false, "");
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    until(|| !provider.upstream.requests().is_empty()).await;
    let early = tokio::time::timeout(Duration::from_millis(100), raw.is_answered()).await;
    assert!(early.is_err(), "{}", raw.peek());
    provider.opens();
    let head = raw.read_until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    raw.read_until("event: ping\n\nevent: message\n\n").await;
    provider.opens();
    raw.read_until("event: more\n\n").await;

    let mut client = Streams::connect(gateway.address).await;
    let (mut answer, _) = client.open("GET", "/", &[], false);
    until(|| provider.upstream.requests().len() == 2).await;
    let early = tokio::time::timeout(Duration::from_millis(100), &mut answer).await;
    assert!(early.is_err(), "a head");
    provider.opens();
    let mut body = streams::heads(&mut answer).await.unwrap().response.into_body();
    let first = gateway_tests::within(body.data()).await.unwrap().unwrap();
    assert_eq!(first, "event: ping\n\nevent: message\n\n");
    provider.opens();
    assert_eq!(streams::read(&mut body).await.unwrap().0, b"event: more\n\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_error_becomes_a_status() {
    let all_busy = Provider::new("one", false, "loud error wait").await;
    let gateway = start("answers", &[&all_busy], false, "");
    let answer = ask(&gateway, false).await;
    assert_eq!((answer.status(), answer.header("retry-after")), (529, Some("7")));
    assert_eq!(answer.problem()["title"], "Overloaded");
    assert_eq!((answer.header("x-upstream"), answer.header("x-trace-response")), (None, Some("t")));

    let refusing = Provider::new("one", true, "loud refuse more").await;
    let gateway = start("changes", &[&refusing], true, "");
    for is_http2 in [false, true] {
        let answer = ask(&gateway, is_http2).await;
        assert_eq!((answer.status(), answer.header("x-refused")), (503, Some("yes")));
        assert_eq!(answer.header("x-upstream"), None);
        assert_eq!(answer.text(), "EVENT: LOUD\n\nevent: refuse\n\nevent: more\n\n");
    }
    holds_nothing(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_let_go_where_a_bound_is_reached_or_its_body_ends() {
    let long = Provider::new("one", false, "a b c d wait error").await;
    let config = "config = { upstreams = UPSTREAMS, bytes = 20, time_ms = 600000 }";
    let gateway = start("bytes", &[&long, &long], false, config);
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    raw.read_until("event: a\n\nevent: b\n\n").await;
    raw.read_until("event: d\n\n").await;
    long.opens();
    raw.read_until("event: error\n\n").await;
    assert_eq!(long.upstream.requests().len(), 1);

    let slow = Provider::new("one", false, "ping wait error").await;
    let config = "config = { upstreams = UPSTREAMS, bytes = 1000, time_ms = 60 }";
    let gateway = start("time", &[&slow, &slow], false, config);
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    raw.read_until("event: ping\n\n").await;
    slow.opens();
    raw.read_until("event: error\n\n").await;
    assert_eq!(slow.upstream.requests().len(), 1);

    let short = Provider::new("one", true, "a b trailers").await;
    let gateway = start("ends", &[&short], true, "");
    let mut client = Streams::connect(gateway.address).await;
    let (mut answer, _) = client.open("GET", "/", &[("te", "trailers")], false);
    let mut body = streams::heads(&mut answer).await.unwrap().response.into_body();
    let (read, trailers) = streams::read(&mut body).await.unwrap();
    assert_eq!(read, b"event: a\n\nevent: b\n\n");
    assert_eq!(trailers.unwrap()["x-sum"], "7");
    holds_nothing(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_before_it_is_let_go_was_no_response() {
    for (is_http2, name) in [(false, "breaks-1"), (true, "breaks-2")] {
        let breaking = Provider::new("one", is_http2, "ping break").await;
        let well = Provider::new("two", is_http2, "message").await;
        let gateway = start(name, &[&breaking, &well], is_http2, "");
        let answer = ask(&gateway, is_http2).await;
        assert_eq!((answer.status(), answer.header("x-sent")), (200, Some("2")));
        assert_eq!(answer.text(), "event: message\n\n");
        assert!(log::of_request(answer.id()).iter().all(|line| line.field("cause").is_empty()));
        // Where there is no other, its client learns that from a status.
        let gateway = start(name, &[&breaking, &breaking], is_http2, "");
        let answer = ask(&gateway, is_http2).await;
        assert_eq!((answer.status(), answer.header("x-sent")), (502, Some("2")));
        assert_eq!((answer.header("x-seen"), answer.header("x-upstream")), (Some("yes"), None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_fails_while_it_holds_a_response_back_fails_as_it_does_elsewhere() {
    let falls = Provider::new("one", false, "ping fall more").await;
    let gateway = start("closed", &[&falls, &falls], false, "");
    let answer = ask(&gateway, false).await;
    assert_eq!((answer.status(), answer.header("x-upstream")), (500, None));
    let open = "on_error = \"open\"\nconfig = { bytes = 65536, time_ms = 600000 }";
    let gateway = start("open", &[&falls], false, open);
    let answer = ask(&gateway, false).await;
    assert_eq!((answer.status(), answer.header("x-upstream")), (200, Some("one")));
    assert_eq!(answer.text(), "event: ping\n\nevent: fall\n\nevent: more\n\n");
    let cuts = Provider::new("one", false, "ping cut more").await;
    let gateway = start("cuts", &[&cuts, &cuts], false, "");
    let answer = ask(&gateway, false).await;
    assert_eq!((answer.status(), answer.header("x-upstream")), (500, None));
    assert_eq!(cuts.upstream.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_finds_no_room_is_let_go() {
    let provider = Provider::new("one", false, "ping big error").await;
    let config = "limits = { buffered = \"64KiB\" }\n\
                  config = { upstreams = UPSTREAMS, bytes = 1048576, time_ms = 600000 }";
    let gateway = start("full", &[&provider, &provider], false, config);
    let answer = ask(&gateway, false).await;
    let (first, last) = ("event: ping\n\n", "event: error\n\n");
    assert_eq!((answer.status(), answer.body.len()), (200, first.len() + (70 << 10) + last.len()));
    assert!(answer.text().starts_with(first) && answer.text().ends_with(last));
    let said = log::lines(|line| {
        line.field("plugin") == "full" && line.message.starts_with("there is no room to hold")
    });
    assert_eq!(said.len(), 1);
    holds_nothing(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_decides_of_a_response_that_is_silent_for_too_long() {
    for (is_http2, name) in [(false, "late-1"), (true, "late-2")] {
        // One has a head and nothing else, one has pings.
        let silent = Provider::new("one", is_http2, "wait error").await;
        let pings = Provider::new("two", is_http2, "ping ping wait error").await;
        let well = Provider::new("three", is_http2, "message wait more").await;
        let config = "config = { upstreams = UPSTREAMS, bytes = 1000, time_ms = 80, late = true }";
        let gateway = start(name, &[&silent, &pings, &well], is_http2, config);
        well.opens();
        let answer = ask(&gateway, is_http2).await;
        assert_eq!((answer.status(), answer.header("x-sent")), (200, Some("3")));
        assert_eq!(answer.text(), "event: message\n\nevent: more\n\n");
        assert_eq!(log::said(answer.id()).iter().filter(|it| *it == "silent").count(), 2);
        // Where nobody is left the plugin answers.
        let gateway = start(name, &[&silent, &pings], is_http2, config);
        let answer = ask(&gateway, is_http2).await;
        assert_eq!((answer.status(), answer.header("x-upstream")), (504, None));
        assert_eq!(answer.problem()["detail"], "It says nothing.");
        holds_nothing(&gateway).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_come_in_the_time_of_a_plugin_is_not_waited_for() {
    for (is_http2, name) in [(false, "heads-1"), (true, "heads-2")] {
        let hangs = |_| std::future::pending();
        let hangs = match is_http2 {
            true => Upstream::http2(hangs).await,
            false => Upstream::http1(hangs).await,
        };
        let hangs = Provider { upstream: hangs, gate: Arc::new(Semaphore::new(0)) };
        let well = Provider::new("two", is_http2, "message").await;
        let config =
            "config = { upstreams = UPSTREAMS, bytes = 1000, time_ms = 60000, first_byte_ms = 80 }";
        let gateway = start(name, &[&hangs, &well], is_http2, config);
        let answer = ask(&gateway, is_http2).await;
        assert_eq!((answer.status(), answer.header("x-sent")), (200, Some("2")));
        let gateway = start(name, &[&hangs, &hangs], is_http2, config);
        let answer = ask(&gateway, is_http2).await;
        assert_eq!((answer.status(), answer.header("x-sent")), (504, Some("2")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_may_end_a_body_that_breaks_off_behind_what_was_passed_on() {
    for (is_http2, name) in [(false, "ends-1"), (true, "ends-2")] {
        let provider = Provider::new("one", is_http2, "message more wait break").await;
        let config =
            "config = { upstreams = UPSTREAMS, bytes = 1000, time_ms = 60000, late = true }";
        // With the bound it passes nothing on, and the body is cut off.
        let silent = config.replace("late = true", "late = true, first_byte_ms = 60000");
        for (config, says) in [(config, true), (&*silent, false)] {
            let gateway = start(name, &[&provider], is_http2, config);
            let mut raw = Raw::connect(gateway.address).await;
            raw.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
            let head = raw.read_until("event: more\n\n").await;
            provider.opens();
            let rest = raw.rest().await;
            assert_eq!(rest.contains("event: broken\n\n"), says, "{rest}");
            assert_eq!(rest.ends_with("0\r\n\r\n"), says, "{rest}");
            let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
            let told =
                |line: &log::Line| line.message.contains("the plugin has told the client so");
            let count = log::of_request(id).iter().filter(|line| told(line)).count();
            assert_eq!(count, usize::from(says));
            holds_nothing(&gateway).await;
        }
    }
}
