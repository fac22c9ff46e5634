//! What clients are sent while a response is silent: between two events, never inside of one, and nothing where it would not
//! be part of a stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use gateway_tests::streams::{self, Streams};
use gateway_tests::{Raw, Running, Setup, Upstream, log, until, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;

const COMMENT: &str = ": alive\n\n";

/// An upstream that answers with a head and pieces, each when it is let.
struct Service {
    upstream: Upstream,
    gate: Arc<Semaphore>,
    /// Whether the gateway hung up on it.
    hung_up: Arc<AtomicBool>,
}

impl Service {
    async fn start(fields: &'static str, pieces: &'static [&'static str]) -> Self {
        let gate = Arc::new(Semaphore::new(0));
        let hung_up = Arc::new(AtomicBool::new(false));
        let shared = (Arc::clone(&gate), Arc::clone(&hung_up));
        let upstream = Upstream::script(move |mut stream| {
            let (gate, hung_up) = shared.clone();
            async move {
                let mut head = [0; 2048];
                if stream.read(&mut head).await.unwrap_or(0) == 0 {
                    return;
                }
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{fields}\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await.unwrap();
                for piece in pieces {
                    let mut more = [0; 1];
                    tokio::select! {
                        permit = gate.acquire() => permit.unwrap().forget(),
                        _end = stream.read(&mut more) => {
                            hung_up.store(true, SeqCst);
                            return;
                        }
                    }
                    stream.write_all(piece.as_bytes()).await.unwrap();
                }
            }
        })
        .await;
        Self { upstream, gate, hung_up }
    }

    fn lets(&self, pieces: usize) {
        self.gate.add_permits(pieces);
    }
}

fn serve(name: &str, service: &Service, more: &str) -> Running {
    let address = service.upstream.address;
    let text = format!(
        "[upstreams.{name}]\ntargets = [\"http://{address}\"]\n{more}\n\
         [plugins.{name}]\ncomponent = \"./keeps-alive.wasm\"\nconfig = {{ every_ms = 100 }}\n\
         [[routes]]\nname = \"{name}\"\npaths = [\"/{{*rest}}\"]\nplugins = [\"{name}\"]\n\
         upstream = \"{name}\"\n"
    );
    Setup::toml(&text, &[]).workers(1).start()
}

async fn ask(gateway: &Running, path: &str) -> Raw {
    let mut raw = Raw::connect(gateway.address).await;
    raw.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await;
    raw
}

/// The content of chunks, which is all that a test needs to know of them here.
fn dechunked(text: &str) -> String {
    let mut lines = text.split("\r\n");
    let (mut out, mut size) = (String::new(), lines.next());
    while let Some(length) = size.and_then(|size| usize::from_str_radix(size, 16).ok()) {
        if length == 0 {
            break;
        }
        let mut data = lines.next().unwrap().to_owned();
        while data.len() < length {
            data.push_str("\r\n");
            data.push_str(lines.next().unwrap());
        }
        out.push_str(&data);
        size = lines.next();
    }
    out
}

const CHUNKED: &str = "transfer-encoding: chunked";
/// `data: 1`, the half of another event, and its end: as chunks.
const PIECES: [&str; 5] =
    ["9\r\ndata: 1\n\n\r\n", "4\r\ndata\r\n", "6\r\n: two\n\r\n", "1\r\n\n\r\n", "0\r\n\r\n"];

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_has_comments_between_its_events_and_none_inside_of_one() {
    let service = Service::start(CHUNKED, &PIECES).await;
    let gateway = serve("silent", &service, "");
    let mut raw = ask(&gateway, "/").await;
    let mut got = raw.read_until("\r\n\r\n").await;
    // Before the first event, and again.
    got += &raw.read_until(COMMENT).await;
    got += &raw.read_until(COMMENT).await;
    service.lets(1);
    got += &raw.read_until("data: 1\n\n").await;
    got += &raw.read_until(COMMENT).await;
    service.lets(1);
    got += &raw.read_until("data\r\n").await;
    // Nothing is sent inside of an event, however long it takes, and after the first of two line ends.
    tokio::time::sleep(Duration::from_millis(350)).await;
    service.lets(1);
    got += &raw.read_until(": two\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(350)).await;
    service.lets(1);
    got += &raw.read_until(COMMENT).await;
    service.lets(1);
    got += &raw.rest().await;
    let body = dechunked(got.split_once("\r\n\r\n").unwrap().1);
    let (before, after) = body.split_once("data: 1\n\n").unwrap();
    let (between, end) = after.split_once("data: two\n\n").expect("an event in one piece");
    for comments in [before, between, end] {
        assert!(!comments.is_empty(), "{body}");
        assert_eq!(comments.replace(COMMENT, ""), "", "{body}");
    }
    until(|| log::of_plugin("silent").iter().any(|line| line.message.starts_with("seen: "))).await;
    let seen: Vec<_> = log::of_plugin("silent").into_iter().map(|line| line.message).collect();
    assert_eq!(seen, ["seen: 20"], "comments are no part of the body");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_over_http_2_have_them_too() {
    let service = Service::start(CHUNKED, &PIECES).await;
    let gateway = serve("silent-2", &service, "");
    let mut streams = Streams::connect(gateway.address).await;
    let mut body = streams.get("/").await.response.into_body();
    let mut got = Vec::new();
    let mut comes = async |wanted: &[u8]| {
        while !got.ends_with(wanted) {
            let data = within(body.data()).await.unwrap().unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            got.extend_from_slice(&data);
        }
    };
    comes(COMMENT.as_bytes()).await;
    service.lets(1);
    comes(b"data: 1\n\n").await;
    comes(COMMENT.as_bytes()).await;
    service.lets(4);
    let (rest, _) = within(streams::read(&mut body)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&rest).replace(COMMENT, ""), "data: two\n\n");
}

/// A body of a known length, an encoded one, and one that a plugin put in the place of another.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_added_to_what_it_would_break() {
    let length = Service::start("content-length: 18", &["data: 1\n\n", "data: 2\n\n"]).await;
    let encoded = "transfer-encoding: chunked\r\ncontent-encoding: gzip";
    let encoded = Service::start(encoded, &[PIECES[0], PIECES[4]]).await;
    for (name, service) in [("length", &length), ("encoded", &encoded)] {
        let gateway = serve(name, service, "");
        let mut raw = ask(&gateway, "/").await;
        raw.read_until("\r\n\r\n").await;
        tokio::time::sleep(Duration::from_millis(350)).await;
        service.lets(1);
        raw.read_until("data: 1\n\n").await;
        tokio::time::sleep(Duration::from_millis(350)).await;
        service.lets(1);
        let rest = raw.rest().await;
        assert!(!rest.contains("alive") && !raw.peek().contains("alive"), "{name}: {rest}");
    }
    let another = Service::start(CHUNKED, &PIECES).await;
    let gateway = serve("another", &another, "");
    let mut raw = ask(&gateway, "/?another").await;
    let rest = raw.rest().await;
    assert!(rest.ends_with("\r\n\r\nanother"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_upstream_is_given_up_all_the_same() {
    let service = Service::start(CHUNKED, &PIECES).await;
    let gateway = serve("stalls", &service, "timeouts.idle = \"500ms\"");
    let mut raw = ask(&gateway, "/").await;
    raw.read_until(COMMENT).await;
    let rest = within(raw.rest()).await;
    assert!(!rest.contains("\r\n0\r\n"), "a body that is not whole does not look so: {rest}");
    until(|| service.hung_up.load(SeqCst)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_hooks_are_refused() {
    let service = Service::start(CHUNKED, &PIECES).await;
    service.lets(5);
    let gateway = serve("late", &service, "");
    ask(&gateway, "/?late").await.rest().await;
    until(|| log::of_plugin("late").len() > 1).await;
    let lines = log::of_plugin("late");
    assert_eq!(lines[0].message, "refused: this hook cannot ask for that");
}
