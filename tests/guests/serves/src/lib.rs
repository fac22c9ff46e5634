//! Answers as a `wasi:http` service, for the tests of components instead of an upstream. The
//! first segment of the path says how: see [`serve`]. It is built on the raw bindings, so that each
//! step of the protocol can be taken wrongly.

use std::io::Write as _;
use std::time::Duration;

use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingRequest,
    OutgoingResponse, RequestOptions, ResponseOutparam, Scheme,
};

use wasip2::io::streams::StreamError;

wasip2::http::proxy::export!(Serves);

struct Serves;

impl wasip2::exports::http::incoming_handler::Guest for Serves {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        serve(&request, out);
    }
}

fn serve(request: &IncomingRequest, out: ResponseOutparam) {
    let target = request.path_with_query().unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    match path.split('/').nth(1).unwrap_or_default() {
        // What it sees of the request, in lines.
        "head" => text(out, &head(request, &target)),
        // The body as it comes, piece by piece, and the trailers behind it.
        "echo" => echo(request, out),
        // The trailers as text.
        "trailers" => text(out, &trailers(request)),
        // A line a moment, as often as the rest of the path says, each as soon as it is there.
        "ticks" => ticks(out, last(path)),
        // As many bytes as the rest of the path says.
        "bytes" => bytes(out, last(path), None),
        // The same, and a length that is one too large.
        "short" => bytes(out, last(path), Some(last(path) + 1)),
        // A variable of the environment, and how many there are.
        "environment" => text(out, &environment()),
        // Files, names of hosts, sockets and other services, and what became of each.
        "outside" => text(out, &outside()),
        // Passes the request on to the upstream that the next segment names, and its response back.
        "pass" => pass(request, out, &target),
        // Asks the upstream `granted` as often as the rest of the path says, and counts answers.
        "asks" => {
            let answered = (0..last(path)).map(|_| fetch("granted"));
            let (fine, others): (Vec<_>, Vec<_>) = answered.partition(|told| told == "200");
            text(out, &format!("{} {}", fine.len(), others.last().map_or("", |last| last)));
        }
        "writes" => {
            println!("to standard output");
            eprintln!("to standard error");
            text(out, "written");
        }
        "floods" => {
            for line in 0..5_000 {
                println!("line {line}");
            }
            text(out, "flooded");
        }
        "loops" => loop {
            std::hint::black_box(0);
        },
        // Computes for longer than it may, with a wait after each piece of work.
        "naps" => loop {
            compute();
            std::thread::sleep(Duration::from_millis(1));
        },
        // Computes for a while, and then answers.
        "works" => {
            (0..last(path)).for_each(|_| compute());
            text(out, "worked");
        }
        // Computes for as many turns as the rest of the path says, and then answers.
        "spins" => {
            for turn in 0..last(path) {
                std::hint::black_box(turn);
            }
            text(out, "spun");
        }
        "sleeps" => {
            std::thread::sleep(Duration::from_millis(last(path)));
            text(out, "slept");
        }
        "panics" => panic!("the service panicked on purpose"),
        "allocates" => allocate(),
        // Holds as many things of the host as it can get.
        "hoards" => hoard(),
        "silent" => drop(out),
        "refuses" => ResponseOutparam::set(out, Err(ErrorCode::DestinationUnavailable)),
        // Breaks off in the middle of its response.
        "breaks" => {
            let body = begin(out, 200, &[]);
            write(&body, b"half");
            std::thread::sleep(Duration::from_millis(50));
            panic!("the service broke off on purpose");
        }
        // Begins a response and says no more.
        "stalls" => {
            let body = begin(out, 200, &[]);
            write(&body, b"half");
            std::thread::sleep(Duration::from_secs(3_600));
            drop(body);
        }
        // Goes on when its response has ended, and tells the log.
        "lingers" => {
            text(out, "done");
            std::thread::sleep(Duration::from_millis(50));
            println!("went on after the response");
        }
        "interim" => drop(begin(out, 103, &[])),
        "nothing" => drop(OutgoingBody::finish(begin(out, 204, &[("content-length", "3")]), None)),
        "length" => finish(begin(out, 200, &[("content-length", "+3")]), b"abc"),
        _ => finish(begin(out, 404, &[]), b"no such page"),
    }
}

/// The number at the end of the path.
fn last(path: &str) -> u64 {
    path.rsplit('/').next().and_then(|last| last.parse().ok()).unwrap_or(1)
}

fn begin(out: ResponseOutparam, status: u16, fields: &[(&str, &str)]) -> OutgoingBody {
    let headers = Fields::new();
    for (name, value) in fields {
        headers.append(name, value.as_bytes()).expect("a field that is allowed");
    }
    let response = OutgoingResponse::new(headers);
    response.set_status_code(status).expect("a status");
    // A length that is no number is found when the body is asked for: such a one goes without.
    let body = response.body();
    ResponseOutparam::set(out, Ok(response));
    body.expect("the body")
}

fn write(body: &OutgoingBody, bytes: &[u8]) {
    let mut stream = body.write().expect("the stream");
    stream.write_all(bytes).expect("a client");
    stream.blocking_flush().expect("a client");
}

fn finish(body: OutgoingBody, bytes: &[u8]) {
    write(&body, bytes);
    OutgoingBody::finish(body, None).expect("an end");
}

fn text(out: ResponseOutparam, text: &str) {
    finish(begin(out, 200, &[("content-type", "text/plain")]), text.as_bytes());
}

fn head(request: &IncomingRequest, target: &str) -> String {
    let method = match request.method() {
        Method::Get => "GET".to_owned(),
        Method::Post => "POST".to_owned(),
        Method::Other(other) => other,
        other => format!("{other:?}"),
    };
    let scheme = match request.scheme() {
        Some(Scheme::Https) => "https",
        _ => "http",
    };
    let authority = request.authority().unwrap_or_default();
    let mut lines = vec![format!("{method} {scheme}://{authority}{target}")];
    let mut fields: Vec<_> = request.headers().entries();
    fields.sort();
    for (name, value) in fields {
        lines.push(format!("{name}: {}", String::from_utf8_lossy(&value)));
    }
    lines.join("\n")
}

fn echo(request: &IncomingRequest, out: ResponseOutparam) {
    let given = request.consume().expect("the body");
    let body = begin(out, 200, &[("trailer", "x-sum")]);
    {
        let from = given.stream().expect("the stream");
        let mut to = body.write().expect("the stream");
        loop {
            match from.blocking_read(16 << 10) {
                Ok(piece) => to.write_all(&piece).expect("a client"),
                Err(StreamError::Closed) => break,
                Err(error) => panic!("the request broke off: {error:?}"),
            }
        }
    }
    let trailers = rest(given).map(|trailers| {
        let copy = Fields::new();
        for (name, value) in trailers.entries() {
            copy.append(&name, &value).expect("a field that is allowed");
        }
        copy
    });
    OutgoingBody::finish(body, trailers).expect("an end");
}

/// The trailers of a body that was read.
fn rest(body: IncomingBody) -> Option<Fields> {
    let trailers = IncomingBody::finish(body);
    trailers.subscribe().block();
    trailers.get()?.ok()?.ok()?
}

fn trailers(request: &IncomingRequest) -> String {
    let body = request.consume().expect("the body");
    let fields = rest(body).map(|fields| fields.entries()).unwrap_or_default();
    let line =
        |(name, value): &(String, Vec<u8>)| format!("{name}: {}", String::from_utf8_lossy(value));
    fields.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn ticks(out: ResponseOutparam, count: u64) {
    let body = begin(out, 200, &[("content-type", "text/event-stream")]);
    {
        let mut stream = body.write().expect("the stream");
        for tick in 0..count {
            stream.write_all(format!("data: {tick}\n\n").as_bytes()).expect("a client");
            stream.blocking_flush().expect("a client");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    OutgoingBody::finish(body, None).expect("an end");
}

fn bytes(out: ResponseOutparam, count: u64, length: Option<u64>) {
    let length = length.map(|length| length.to_string());
    let fields: Vec<_> = length.iter().map(|length| ("content-length", length.as_str())).collect();
    let body = begin(out, 200, &fields);
    {
        let mut stream = body.write().expect("the stream");
        let piece = vec![b'x'; 64 << 10];
        let mut left = usize::try_from(count).expect("a number of bytes that fits");
        while left > 0 {
            let now = left.min(piece.len());
            stream.write_all(&piece[..now]).expect("a client");
            left -= now;
            if left.is_multiple_of(1 << 20) {
                println!("{} MiB to go", left >> 20);
            }
        }
    }
    // A body that is too short cannot be finished, which is what the host must see to.
    drop(OutgoingBody::finish(body, None));
}

fn environment() -> String {
    let greeting = std::env::var("GREETING").unwrap_or_else(|_| "none".to_owned());
    format!("{greeting} of {}", std::env::vars().count())
}

fn outside() -> String {
    let file = std::fs::read("/etc/hostname").is_ok();
    let name = std::net::ToSocketAddrs::to_socket_addrs("localhost:80").is_ok();
    let socket = std::net::TcpStream::connect("127.0.0.1:80").is_ok();
    let fetched = fetch("127.0.0.1:80");
    format!("file {file}, name {name}, socket {socket}, fetched {fetched}")
}

fn fetch(authority: &str) -> String {
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&Scheme::Http)).expect("a scheme");
    request.set_authority(Some(authority)).expect("an authority");
    request.set_path_with_query(Some("/")).expect("a path");
    let sent = match wasip2::http::outgoing_handler::handle(request, None) {
        Ok(sent) => sent,
        Err(code) => return format!("{code:?}"),
    };
    sent.subscribe().block();
    match sent.get() {
        Some(Ok(Ok(response))) => response.status().to_string(),
        Some(Ok(Err(code))) => format!("{code:?}"),
        _ => "nothing".to_owned(),
    }
}

/// Both bodies stream: a piece is passed on as soon as it is there.
fn pass(request: &IncomingRequest, out: ResponseOutparam, target: &str) {
    let (upstream, path) = target["/pass/".len()..].split_once('/').expect("an upstream's name");
    let fields = Fields::new();
    for (name, value) in request.headers().entries() {
        if ["x-name", "content-length", "expect"].contains(&name.as_str()) {
            fields.append(&name, &value).expect("a field that is allowed");
        }
    }
    let outgoing = OutgoingRequest::new(fields);
    let is_tunnel = path.starts_with("connect");
    let method = if is_tunnel { Method::Connect } else { request.method() };
    outgoing.set_method(&method).expect("a method");
    outgoing.set_scheme(Some(&Scheme::Https)).expect("a scheme");
    outgoing.set_authority(Some(upstream)).expect("an authority");
    outgoing.set_path_with_query(Some(&format!("/{path}"))).expect("a path");
    let body = outgoing.body().expect("the body");
    let options = RequestOptions::new();
    if path.starts_with("slow") {
        options.set_first_byte_timeout(Some(50_000_000)).expect("a time");
    }
    let sent = wasip2::http::outgoing_handler::handle(outgoing, Some(options));
    let sent = match sent {
        Ok(sent) => sent,
        Err(code) => return text(out, &format!("{code:?}")),
    };
    let given = request.consume().expect("the body");
    copy(&given, &body);
    OutgoingBody::finish(body, None).expect("an end");
    sent.subscribe().block();
    let response = match sent.get() {
        Some(Ok(Ok(response))) => response,
        Some(Ok(Err(code))) => return text(out, &format!("{code:?}")),
        _ => panic!("no answer"),
    };
    let fields = response.headers().entries();
    let fields: Vec<_> = fields
        .iter()
        .filter(|(name, _)| name.starts_with("x-"))
        .map(|(name, value)| (name.as_str(), std::str::from_utf8(value).expect("text")))
        .collect();
    let body = begin(out, response.status(), &fields);
    let given = response.consume().expect("the body");
    copy(&given, &body);
    OutgoingBody::finish(body, None).expect("an end");
}

fn copy(from: &IncomingBody, to: &OutgoingBody) {
    let from = from.stream().expect("the stream");
    let mut to = to.write().expect("the stream");
    loop {
        match from.blocking_read(16 << 10) {
            Ok(piece) => {
                to.write_all(&piece).expect("whoever reads it");
                to.blocking_flush().expect("whoever reads it");
            }
            Err(StreamError::Closed) => break,
            Err(error) => panic!("a body broke off: {error:?}"),
        }
    }
}

/// A few milliseconds of work.
fn compute() {
    let mut sum = 0_u64;
    for number in 0..2_000_000_u64 {
        sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(number));
    }
}

fn allocate() -> ! {
    let mut all = Vec::new();
    loop {
        all.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

fn hoard() -> ! {
    let mut all = Vec::new();
    loop {
        all.push(Fields::new());
    }
}
