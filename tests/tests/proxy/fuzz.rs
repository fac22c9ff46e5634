//! Requests that nobody meant to send, to a real gateway in front of a real service.
//!
//! Owns two properties. What reaches the service are requests that a strict reader sees in the same
//! bytes, in the same order. And whatever was sent, the client hears nothing but whole responses.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::config::{HalfClose, PathRules};
use gateway_fuzz::Target;
use gateway_tests::upstream::full;
use gateway_tests::{Setup, Upstream};
use http::Response;
use http_body_util::{BodyExt as _, Collected};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

const TOKENS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    ":",
    " ",
    "\t",
    "\0",
    "0\r\n\r\n",
    "\r\n\r\n",
    "GET /b HTTP/1.1\r\nhost: a.example\r\n\r\n",
    "content-length: 5\r\n",
    "content-length: 0\r\n",
    "transfer-encoding: chunked\r\n",
    "transfer-encoding: identity\r\n",
    "transfer-encoding: chunked, chunked\r\n",
    "host: b.example\r\n",
    "connection: close\r\n",
    "expect: 100-continue\r\n",
    "HTTP/1.0",
    "HTTP/1.1",
    "HTTP/2.0",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "CONNECT",
    "#",
    "/../",
    ";a=\"\r\n\"",
    "ffffffffffffffff",
];

/// A method and what stands of its target behind the authority.
type Seen = (String, String);

/// What reached the service, by the address of the client that the gateway names: a request may come
/// after the connection of its client has ended.
type Log = Arc<Mutex<HashMap<String, Vec<Seen>>>>;

/// Notes each request and answers with its body.
async fn service(log: &Log) -> Upstream {
    let log = Arc::clone(log);
    Upstream::http1(move |request| {
        let client = request.headers()["x-forwarded-for"].to_str().unwrap().to_owned();
        let seen = (request.method().to_string(), request.uri().path().to_owned());
        log.lock().unwrap().entry(client).or_default().push(seen);
        async {
            let body = request.into_body().collect().await;
            Response::new(full(body.map(Collected::to_bytes).unwrap_or_default()))
        }
    })
    .await
}

#[test]
fn what_reaches_the_service_of_fuzzed_requests_is_what_a_strict_reader_sees() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let log = Log::default();
    let upstream = runtime.block_on(service(&log));
    let gateway =
        Setup::proxy(upstream.address).listen(|it| it.half_close = HalfClose::Answer).start();
    let (mut case, mut forwarded) = (0_u32, 0);
    let mut meant_by = HashMap::new();
    Target::new(concat!(env!("CARGO_MANIFEST_DIR"), "/seeds/requests"), TOKENS).check(|input| {
        // Another protocol.
        if input.starts_with(b"PRI * HTTP/2.0") {
            return;
        }
        case += 1;
        let client = client(case);
        let heard = runtime.block_on(exchange(gateway.address, client, input));
        let meant = strict(input);
        let seen = log.lock().unwrap().get(&client.to_string()).cloned().unwrap_or_default();
        forwarded += seen.len();
        assert!(are_in_order(&seen, &meant), "meant {meant:?}, forwarded {seen:?}");
        let responses = whole_responses(&heard);
        assert!(responses.is_some(), "heard {:?}", String::from_utf8_lossy(&heard));
        meant_by.insert(client.to_string(), (input.to_vec(), meant));
    });
    for (client, seen) in log.lock().unwrap().iter() {
        let (input, meant) = &meant_by[client];
        let input = String::from_utf8_lossy(input);
        assert!(are_in_order(seen, meant), "meant {meant:?}, forwarded {seen:?} of {input:?}");
    }
    assert!(forwarded > 5, "only {forwarded} were forwarded");
}

/// Whether these are requests that were meant, in their order. What the gateway refuses is missing.
fn are_in_order(seen: &[Seen], meant: &[Seen]) -> bool {
    let mut meant = meant.iter();
    seen.iter().all(|one| meant.any(|other| other == one))
}

/// An address for each case, so that ports that rest after their connection do not run out either.
fn client(case: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x7F10_0000 + case % 0x000F_FFFE + 1)
}

/// Sends all of it, ends the sending side, and reads to the end.
async fn exchange(gateway: SocketAddr, client: Ipv4Addr, input: &[u8]) -> Vec<u8> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((client, 0))).unwrap();
    let mut stream = socket.connect(gateway).await.unwrap();
    let _may_be_closed = stream.write_all(input).await;
    let _may_be_closed = stream.shutdown().await;
    let mut heard = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut heard)).await;
    // A reset is an end too; hanging is not.
    let _orderly_or_not = read.expect("the gateway neither answers nor closes");
    heard
}

/// The requests that a reader sees which takes nothing but what RFC 9112 lets a sender write, up to
/// the first that it cannot read.
fn strict(input: &[u8]) -> Vec<Seen> {
    let mut requests = Vec::new();
    let mut input = input.to_vec();
    while let Some((seen, rest)) = strict_request(&input) {
        requests.push(seen);
        match rest {
            Some(rest) => input = rest,
            None => break,
        }
    }
    requests
}

/// A request and what follows it; a body that is broken or cut off ends the connection, but its head may
/// have been forwarded.
fn strict_request(input: &[u8]) -> Option<(Seen, Option<Vec<u8>>)> {
    // An empty line in front of a request is allowed for (RFC 9112 section 2.2).
    let mut input = input;
    while let Some(rest) = input.strip_prefix(b"\r\n").or_else(|| input.strip_prefix(b"\n")) {
        input = rest;
    }
    // Raw characters that no URI may hold are taken for their escapes.
    let target = input.iter().position(|byte| *byte == b' ')? + 1;
    let input = &*gateway::route::raw::escape(input, target, false);
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut head = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(input).ok()? else { return None };
    let rest = &input[length..];
    let path = head.path?.split(['?', '#']).next()?;
    let path = authority(path)
        .map_or(path, |authority| authority.find('/').map_or("/", |slash| &authority[slash..]));
    let seen = (head.method?.to_owned(), normal(path).unwrap_or_default());
    let values = |name: &str| {
        let named = head.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value.trim_ascii()).collect::<Vec<_>>()
    };
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    let rest = match (&lengths[..], &codings[..]) {
        ([], []) => Some(rest),
        (_, []) => {
            let mut members = lengths.iter().flat_map(|value| value.split(|byte| *byte == b','));
            let first = number(members.next()?.trim_ascii())?;
            if !members.all(|member| number(member.trim_ascii()) == Some(first)) {
                return None;
            }
            rest.get(first..)
        }
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") && head.version == Some(1) => {
            behind_chunks(rest)
        }
        _ => return None,
    };
    Some((seen, rest.map(<[u8]>::to_vec)))
}

/// What follows the scheme of an absolute form. The case of a scheme means nothing (RFC 3986 section 3.1).
fn authority(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    ["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme)).then_some(rest)
}

/// The path in the gateway's form, where it has one.
fn normal(path: &str) -> Option<String> {
    gateway::route::normalise(path, PathRules::default()).ok().map(|path| path.into_owned())
}

fn number(digits: &[u8]) -> Option<usize> {
    let are_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| are_digits)?.parse().ok()
}

/// What follows a chunked body, if it is whole and each of its lines ends as it must.
fn behind_chunks(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let (line, behind) = line(rest)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = usize::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()?;
        let extension = line[digits..].trim_ascii_start();
        if !extension.is_empty() && extension[0] != b';' {
            return None;
        }
        if size == 0 {
            rest = behind;
            break;
        }
        rest = behind.get(size..)?.strip_prefix(b"\r\n")?;
    }
    loop {
        let (line, behind) = line(rest)?;
        rest = behind;
        if line.is_empty() {
            return Some(rest);
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        if colon == 0 || !line[..colon].iter().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
    }
}

/// A line and what follows it. A control character within it is an error.
fn line(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = input.windows(2).position(|pair| pair == b"\r\n")?;
    let line = &input[..end];
    let sound = line.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t');
    sound.then_some((line, &input[end + 2..]))
}

/// How many final responses these are; `None` if anything else stands among them.
fn whole_responses(mut heard: &[u8]) -> Option<usize> {
    let mut count = 0;
    while !heard.is_empty() {
        let mut fields = [httparse::EMPTY_HEADER; 100];
        let mut head = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(length) = head.parse(heard).ok()? else { return None };
        heard = &heard[length..];
        let value = |name: &str| {
            let field = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
            field.map(|field| field.value)
        };
        match head.code? {
            101 => return Some(count),
            100..=199 => continue,
            _ => count += 1,
        }
        // A response to HEAD has a length and no body: what follows says which it is.
        let has_no_body = heard.is_empty() || heard.starts_with(b"HTTP/1.");
        if let Some(length) = value("content-length") {
            let length = number(length)?;
            if length > 0 && !has_no_body {
                heard = heard.get(length..)?;
            }
        } else if value("transfer-encoding").is_some() && !has_no_body {
            heard = behind_chunks(heard)?;
        } else if !has_no_body && !matches!(head.code?, 204 | 304) {
            return Some(count);
        }
    }
    Some(count)
}
