//! Random conversations over HTTP/1.1 connections against a model that says which requests there
//! may be: what a client sends in whatever pieces and with whatever pauses is read as it was meant,
//! whenever it is answered.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::config::HalfClose;
use gateway_tests::upstream::full;
use gateway_tests::{PATIENCE, Setup, Upstream, route};
use http::Response;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Conversations at a time: almost all of their time is pauses.
const AT_ONCE: u64 = 400;

/// How often so many, where the variable `GATEWAY_TEST_LONG` is set.
const LONG_ROUNDS: u64 = 50;

/// Longer than a connection that asks for nothing keeps its buffers.
const LONG: Duration = Duration::from_millis(1_150);

/// Marsaglia's xorshift: the same numbers each time.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// Who answers a request, and when.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    /// The upstream, with the body.
    Echo,
    /// The upstream, before it has read the body.
    Early,
    /// The gateway, without the body.
    Fixed,
    /// The gateway, since it can be read in two ways.
    Refused,
}

#[derive(Debug)]
struct Planned {
    path: String,
    answer: Answer,
    expects: bool,
    body: String,
    bytes: String,
}

/// Bytes of bodies that look like requests and chunks.
const DISGUISES: [&str; 4] = [
    "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
    "\r\n\r\n",
    "0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
    "POST /smuggled HTTP/1.1\r\ncontent-length: 5\r\n\r\n",
];

fn plan(seed: u64, index: usize, random: &mut Random) -> Planned {
    let answer = match random.below(10) {
        0..4 => Answer::Echo,
        4..7 => Answer::Early,
        7..9 => Answer::Fixed,
        _ => Answer::Refused,
    };
    let prefix = if answer == Answer::Fixed { "/fixed" } else { "" };
    let path = format!("{prefix}/{seed}-{index}");
    let mut body = String::new();
    for _ in 0..random.below(4) {
        body.push_str(&DISGUISES[random.below(DISGUISES.len())].repeat(1 + random.below(5)));
    }
    let mut fields = String::from("host: a\r\n");
    if answer == Answer::Early {
        fields.push_str("x-early: 1\r\n");
    }
    let expects = random.one_in(6) && !body.is_empty();
    if expects {
        fields.push_str("expect: 100-continue\r\n");
    }
    let is_chunked = answer == Answer::Refused || random.one_in(2);
    let (method, framing, framed) = match (body.is_empty(), is_chunked) {
        (true, false) => ("GET", String::new(), String::new()),
        (false, false) => ("PUT", format!("content-length: {}\r\n", body.len()), body.clone()),
        (_, true) => {
            let framed = chunks(&body, random);
            ("POST", "transfer-encoding: chunked\r\n".to_owned(), framed)
        }
    };
    let framing = match answer {
        Answer::Refused if random.one_in(2) => format!("content-length: 3\r\n{framing}"),
        Answer::Refused => format!("{framing}content-length: 3\r\n"),
        _ => framing,
    };
    let empty_line = if random.one_in(5) { "\r\n" } else { "" };
    let bytes = format!("{empty_line}{method} {path} HTTP/1.1\r\n{fields}{framing}\r\n{framed}");
    Planned { path, answer, expects, body, bytes }
}

fn chunks(body: &str, random: &mut Random) -> String {
    let mut framed = String::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at(1 + random.below(rest.len().min(60)));
        let extension = if random.one_in(4) { ";x=\"y\"" } else { "" };
        framed.push_str(&format!("{:x}{extension}\r\n{chunk}\r\n", chunk.len()));
        rest = behind;
    }
    let trailer = if random.one_in(4) { "x-trailer: GET /smuggled HTTP/1.1\r\n" } else { "" };
    framed + "0\r\n" + trailer + "\r\n"
}

/// How a client ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ending {
    /// It ends its side behind the last request, and reads.
    HalfClose,
    /// It reads until the gateway has nothing more to say.
    Wait,
    /// It breaks the connection after so many bytes.
    Reset(usize),
}

/// Says all of it in pieces, and returns all that came back, whether to its end, and how it ended.
async fn converse(
    address: SocketAddr,
    planned: &[Planned],
    random: &mut Random,
) -> (Vec<u8>, Ending) {
    let all: String = planned.iter().map(|request| request.bytes.as_str()).collect();
    let ending = match random.below(6) {
        0 => Ending::Reset(random.below(all.len())),
        1 | 2 => Ending::Wait,
        _ => Ending::HalfClose,
    };
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let mut long_pauses = 2;
    let write = async {
        let mut rest = all.as_bytes();
        while !rest.is_empty() {
            let size = match random.below(4) {
                0 => 1 + random.below(3),
                1 => 1 + random.below(80),
                _ => 1 + random.below(2_000),
            };
            let (piece, behind) = rest.split_at(size.min(rest.len()));
            if let Ending::Reset(after) = ending
                && all.len() - behind.len() > after
            {
                return;
            }
            if writer.write_all(piece).await.is_err() {
                return;
            }
            rest = behind;
            match random.below(12) {
                0 if long_pauses > 0 => {
                    long_pauses -= 1;
                    tokio::time::sleep(LONG).await;
                }
                0..4 => tokio::time::sleep(Duration::from_millis(3)).await,
                4 | 5 => tokio::task::yield_now().await,
                _ => {}
            }
        }
        if ending == Ending::HalfClose {
            let _closed_already = writer.shutdown().await;
        }
    };
    let mut heard = Vec::new();
    if let Ending::Reset(_) = ending {
        let read = async { while reader.read_buf(&mut heard).await.is_ok_and(|read| read > 0) {} };
        tokio::select! {
            () = write => {}
            () = read => {}
        }
        let stream = reader.reunite(writer).unwrap();
        stream.set_zero_linger().unwrap();
        return (heard, ending);
    }
    // The gateway closes an idle connection after its time; that is the end of the conversation.
    let read = async { while reader.read_buf(&mut heard).await.is_ok_and(|read| read > 0) {} };
    let both = async { tokio::join!(write, read) };
    if tokio::time::timeout(PATIENCE, both).await.is_err() {
        heard.extend_from_slice(b"and then it hung");
    }
    (heard, ending)
}

#[derive(Debug)]
struct Heard {
    status: u16,
    body: String,
    closes: bool,
}

/// The final responses in what came back, and whether the last is whole.
fn responses(mut heard: &[u8]) -> (Vec<Heard>, bool) {
    let mut responses = Vec::new();
    while !heard.is_empty() {
        let Some(end) = heard.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            return (responses, false);
        };
        let head = String::from_utf8(heard[..end].to_vec()).unwrap().to_ascii_lowercase();
        heard = &heard[end + 4..];
        assert!(head.starts_with("http/1.1 "), "{head}");
        let status = head[9..12].parse().unwrap();
        if status == 100 {
            continue;
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.unwrap().parse().unwrap();
        if heard.len() < length {
            return (responses, false);
        }
        let body = String::from_utf8(heard[..length].to_vec()).unwrap();
        heard = &heard[length..];
        let closes = head.lines().any(|line| line == "connection: close");
        responses.push(Heard { status, body, closes });
    }
    (responses, true)
}

/// What requests the upstream was given, with what came of their bodies.
type Seen = Arc<Mutex<Vec<(String, String)>>>;

async fn upstream() -> (Upstream, Seen) {
    let seen = Seen::default();
    let kept = Arc::clone(&seen);
    let upstream = Upstream::http1(move |request| {
        let kept = Arc::clone(&kept);
        async move {
            let path = request.uri().path().to_owned();
            let index = {
                let mut kept = kept.lock().unwrap();
                kept.push((path.clone(), String::new()));
                kept.len() - 1
            };
            let is_early = request.headers().contains_key("x-early");
            let reading = tokio::spawn(async move {
                let mut body = request.into_body();
                while !body.is_end_stream()
                    && let Some(Ok(frame)) = body.frame().await
                {
                    let Ok(data) = frame.into_data() else { break };
                    let data = std::str::from_utf8(&data).unwrap();
                    kept.lock().unwrap()[index].1.push_str(data);
                }
                kept.lock().unwrap()[index].1.clone()
            });
            let body = if is_early { String::new() } else { reading.await.unwrap() };
            Response::new(full(format!("{path} {body}")))
        }
    })
    .await;
    (upstream, seen)
}

/// Holds what happened against what may happen.
fn check(seed: u64, planned: &[Planned], heard: &[u8], ending: Ending, seen: &[(String, String)]) {
    let shown = || {
        format!(
            "seed {seed}, {ending:?}: {planned:#?}\nseen {seen:#?}\nheard {}",
            String::from_utf8_lossy(heard)
        )
    };
    assert!(!heard.ends_with(b"and then it hung"), "{}", shown());
    let (responses, is_whole) = responses(heard);
    let is_reset = matches!(ending, Ending::Reset(_));
    assert!(is_whole || is_reset, "{}", shown());
    assert!(responses.len() <= planned.len(), "{}", shown());
    for (request, response) in planned.iter().zip(&responses) {
        let expected = match request.answer {
            Answer::Echo => (200, format!("{} {}", request.path, request.body)),
            Answer::Early => (200, format!("{} ", request.path)),
            Answer::Fixed => (200, "/fixed/{*rest}".to_owned()),
            Answer::Refused => (400, response.body.clone()),
        };
        assert_eq!((response.status, &response.body), (expected.0, &expected.1), "{}", shown());
        if request.answer == Answer::Refused {
            assert!(response.body.contains("Both content-length"), "{}", shown());
            assert!(response.closes, "{}", shown());
        }
    }
    // Nothing comes behind an answer that says that it is the last.
    for response in responses.iter().rev().skip(1) {
        assert!(!response.closes, "{}", shown());
    }
    // Who is not answered was told so.
    if responses.len() < planned.len() && !is_reset {
        assert!(responses.last().is_some_and(|last| last.closes), "{}", shown());
        let last = &planned[responses.len() - 1];
        // The one who is answered in place of a 100 may send its body or not: nothing can follow.
        let is_unasked = last.answer == Answer::Early && last.expects;
        let may_be_last = matches!(last.answer, Answer::Fixed | Answer::Refused) || is_unasked;
        assert!(may_be_last, "{}", shown());
    }
    // The upstream was given the requests that were meant, in their order, and no other.
    let forwarded = |count: usize| {
        let forwarded = planned[..count].iter();
        let forwarded = forwarded.filter(|it| matches!(it.answer, Answer::Echo | Answer::Early));
        forwarded.map(|request| request.path.as_str()).collect::<Vec<_>>()
    };
    let paths: Vec<_> = seen.iter().map(|(path, _)| path.as_str()).collect();
    if is_reset {
        assert!(forwarded(planned.len()).starts_with(&paths), "{}", shown());
    } else {
        assert_eq!(paths, forwarded(responses.len()), "{}", shown());
    }
    // It was given their bodies, to the end.
    let bodies: HashMap<_, _> = planned.iter().map(|it| (it.path.as_str(), &it.body)).collect();
    for (path, body) in seen {
        let sent = bodies[path.as_str()];
        assert!(sent == body || (is_reset && sent.starts_with(body)), "{}", shown());
    }
}

#[tokio::test]
async fn requests_are_what_was_sent() {
    let (upstream, seen) = upstream().await;
    let gateway = Setup::proxy(upstream.address)
        .listen(|it| it.half_close = HalfClose::Answer)
        .route(route("/fixed/{*rest}"))
        .listen(|it| it.timeouts.keep_alive = Duration::from_secs(3))
        .start();
    let rounds = if std::env::var_os("GATEWAY_TEST_LONG").is_some() { LONG_ROUNDS } else { 1 };
    // One conversation alone, by the number in a failure.
    let only: Option<u64> = std::env::var("GATEWAY_TEST_SEED").ok().map(|it| it.parse().unwrap());
    let (from, to) = only.map_or((0, rounds * AT_ONCE), |seed| (seed, seed + 1));
    for first in (from..to).step_by(AT_ONCE as usize) {
        let talks = (first..to.min(first + AT_ONCE)).map(|seed| {
            let address = gateway.address;
            tokio::spawn(async move {
                let mut random = Random::new(seed + 1);
                let count = 1 + random.below(5);
                let planned: Vec<_> =
                    (0..count).map(|index| plan(seed, index, &mut random)).collect();
                let (heard, ending) = converse(address, &planned, &mut random).await;
                (seed, planned, heard, ending)
            })
        });
        let talks: Vec<_> = talks.collect();
        for talk in talks {
            let (seed, planned, heard, ending) = talk.await.unwrap();
            let prefix = format!("/{seed}-");
            let mine = || -> Vec<_> {
                let seen = seen.lock().unwrap();
                seen.iter().filter(|(path, _)| path.starts_with(&prefix)).cloned().collect()
            };
            // The end of a body may be on its way.
            let is_whole = |(path, body): &(String, String)| {
                planned.iter().any(|request| request.path == *path && request.body == *body)
            };
            for _ in 0..200 {
                if mine().iter().all(is_whole) || matches!(ending, Ending::Reset(_)) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            check(seed, &planned, &heard, ending, &mine());
        }
    }
    assert!(seen.lock().unwrap().iter().all(|(path, _)| path != "/smuggled"));
}
