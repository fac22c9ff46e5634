//! Bodies that are far larger than the memory they may take.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use futures_util::stream;
use gateway_tests::upstream::{BoxBody, full};
use gateway_tests::{Http1, Http2, PATIENCE, Upstream, within};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;

use crate::MIB;
use crate::process::Process;

/// What the gateway may take while it moves a body, all of its code and data included.
const MOST: u64 = 64 * MIB;

/// What it may take besides what it has at rest, where plugins, and the engine that runs them, are
/// there already; pages of the program that were unmapped at rest may come back.
const MORE: u64 = 40 * MIB;

/// A text that goes round and round.
#[derive(Clone)]
struct Cycle {
    text: Bytes,
    at: usize,
}

impl Cycle {
    fn of(text: impl Into<Bytes>) -> Self {
        Self { text: text.into(), at: 0 }
    }

    /// One whose places can be distinguished: nothing in it repeats within a mebibyte.
    fn noise() -> Self {
        let mut state = 0x9e37_79b9_u32;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        };
        // An odd length, so that no power of two of bytes brings it round.
        Self::of((0..(MIB as usize) + 7).map(|_| next() as u8).collect::<Vec<u8>>())
    }

    /// The next bytes, at most that many.
    fn next(&mut self, most: usize) -> Bytes {
        let end = self.text.len().min(self.at + most);
        let piece = self.text.slice(self.at..end);
        self.at = end % self.text.len();
        piece
    }

    /// Checks that these bytes are the next ones.
    fn check(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let expected = self.next(bytes.len());
            let (now, rest) = bytes.split_at(expected.len());
            assert!(now == expected, "the body is another one");
            bytes = rest;
        }
    }

    fn send(mut self, to: &mut impl Write, length: u64) {
        let mut left = length;
        while left > 0 {
            let piece = self.next(left.min(MIB) as usize);
            to.write_all(&piece).unwrap();
            left -= piece.len() as u64;
        }
    }

    fn receive(mut self, from: &mut impl Read, length: u64) {
        let mut buffer = vec![0; 256 << 10];
        let mut left = length;
        while left > 0 {
            let most = left.min(buffer.len() as u64) as usize;
            let read = from.read(&mut buffer[..most]).unwrap();
            assert!(read > 0, "{left} bytes are missing");
            self.check(&buffer[..read]);
            left -= read as u64;
        }
    }

    /// As a body in pieces, this many times the whole.
    fn body(&self, times: u64) -> BoxBody {
        let text = self.text.clone();
        let pieces = (0..times).map(move |_| Ok(Frame::data(text.clone())));
        StreamBody::new(stream::iter(pieces)).boxed_unsync()
    }

    /// Reads a body to its end; how long it was.
    async fn read(mut self, mut body: Incoming) -> u64 {
        let mut length = 0;
        while let Some(frame) = within(body.frame()).await {
            let data = frame.unwrap().into_data().unwrap_or_default();
            self.check(&data);
            length += data.len() as u64;
        }
        length
    }
}

fn stream(address: SocketAddr) -> TcpStream {
    patient(TcpStream::connect(address).unwrap())
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads a head, byte by byte so as not to touch the body.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

/// Takes one upload and gives one download of that length, in whatever order they are asked for.
fn vault(length: u64) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move || {
        let serve_one = move |mut stream: TcpStream| {
            let asked = head(&mut stream);
            if asked.starts_with("GET ") {
                write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").unwrap();
                Cycle::noise().send(&mut stream, length);
            } else {
                assert!(asked.contains(&format!("content-length: {length}\r\n")), "{asked}");
                Cycle::noise().receive(&mut stream, length);
                stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n").unwrap();
            }
        };
        let served: Vec<_> = (0..2)
            .map(|_| {
                let (stream, _) = listener.accept().unwrap();
                thread::spawn(move || serve_one(patient(stream)))
            })
            .collect();
        served.into_iter().for_each(|one| one.join().unwrap());
    };
    (address, thread::spawn(serve))
}

fn forwarding(address: SocketAddr) -> String {
    format!(
        r#"
        [upstreams.service]
        targets = ["http://{address}"]

        [[routes]]
        name = "all"
        paths = ["/{{*rest}}"]
        upstream = "service"
        "#
    )
}

fn assert_small(gateway: &Process) {
    let peak = gateway.peak();
    assert!(peak < MOST, "{} MiB were resident", peak / MIB);
}

#[test]
fn a_gibibyte_passes_each_way_at_once_in_little_memory() {
    const LENGTH: u64 = 1024 * MIB;
    let (address, vault) = vault(LENGTH);
    let gateway = Process::start(&forwarding(address));
    let to = gateway.address;
    let upload = thread::spawn(move || {
        let mut stream = stream(to);
        write!(stream, "PUT /up HTTP/1.1\r\nhost: a\r\ncontent-length: {LENGTH}\r\n\r\n").unwrap();
        Cycle::noise().send(&mut stream, LENGTH);
        assert!(head(&mut stream).starts_with("HTTP/1.1 201 "));
    });
    let mut download = stream(to);
    download.write_all(b"GET /down HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let head = head(&mut download);
    assert!(head.contains(&format!("content-length: {LENGTH}\r\n")), "{head}");
    Cycle::noise().receive(&mut download, LENGTH);
    upload.join().unwrap();
    vault.join().unwrap();
    assert_small(&gateway);
}

/// Takes uploads of this text, and gives downloads of it, this many times.
async fn library(text: &Cycle, times: u64) -> Upstream {
    let text = text.clone();
    Upstream::http1(move |request| {
        let text = text.clone();
        async move {
            if request.method() == "GET" {
                let body = text.body(times);
                return Response::builder()
                    .header("content-type", "text/plain")
                    .body(body)
                    .unwrap();
            }
            let length = text.read(request.into_body()).await;
            Response::new(full(length.to_string()))
        }
    })
    .await
}

/// Speaks HTTP/2 over a connection that sends what it has at once, as every client does that takes
/// HTTP/2 seriously: with small windows, waiting for full packets costs 40 ms a window.
async fn connect(address: SocketAddr) -> Http2 {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    Http2::over(stream).await
}

fn put(text: &Cycle, times: u64) -> Request<BoxBody> {
    let request = Request::put("http://a.example/up").header("content-type", "text/plain");
    request.body(text.body(times)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_passes_each_way_over_http2_in_little_memory() {
    const TIMES: u64 = 192;
    let text = Cycle::noise();
    let length = TIMES * text.text.len() as u64;
    let upstream = library(&text, TIMES).await;
    let gateway = Process::start(&forwarding(upstream.address));
    let mut client = connect(gateway.address).await;
    let mut uploading = client.clone();
    let body = put(&text, TIMES);
    let upload = tokio::spawn(async move { uploading.0.send_request(body).await.unwrap() });
    let download = client.0.send_request(gateway_tests::client::get2("/down"));
    let download = within(download).await.unwrap();
    assert_eq!(text.clone().read(download.into_body()).await, length);
    let told = within(upload).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(told.to_bytes(), length.to_string());
    assert_small(&gateway);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_is_changed_each_way_in_little_memory() {
    const TIMES: u64 = 64;
    // The text is found across the borders of whatever pieces the body comes in.
    let line = "A needle in a haystack, and no other one for a while: 0123456789.\n";
    let lines = MIB as usize / line.len();
    let inside = Cycle::of(line.replace("needle", "pin").repeat(lines));
    let outside = Cycle::of(line.repeat(lines));
    // What the upstream is told, and what the client reads.
    let upstream = {
        let (give, expect) = (outside.clone(), inside.clone());
        Upstream::http1(move |request| {
            let (give, expect) = (give.clone(), expect.clone());
            async move {
                if request.method() == "GET" {
                    let response = Response::builder().header("content-type", "text/plain");
                    return response.body(give.body(TIMES)).unwrap();
                }
                let length = expect.read(request.into_body()).await;
                Response::new(full(length.to_string()))
            }
        })
        .await
    };
    let gateway = Process::start(&format!(
        r#"
        [upstreams.service]
        targets = ["http://{}"]

        [plugins.shape]
        component = "transform"
        limits = {{ deadline = "10s" }}
        [plugins.shape.config]
        request.text = [{{ find = "needle", replace = "pin" }}]
        response.text = [{{ find = "needle", replace = "pin" }}]

        [[routes]]
        name = "all"
        paths = ["/{{*rest}}"]
        plugins = ["shape"]
        upstream = "service"
        "#,
        upstream.address
    ));
    let at_rest = gateway.resident();
    gateway.forget_peak();
    let length = TIMES * inside.text.len() as u64;
    let mut client = Http1::connect(gateway.address).await;
    let mut get = Request::get("/down").header("host", "a.example").body(full("")).unwrap();
    get.headers_mut().insert("accept", "text/plain".parse().unwrap());
    let download = within(client.0.send_request(get)).await.unwrap();
    assert_eq!(inside.clone().read(download.into_body()).await, length);

    let mut client = connect(gateway.address).await;
    let uploaded = client.0.send_request(put(&outside, TIMES)).await.unwrap();
    let told = within(uploaded.into_body().collect()).await.unwrap();
    assert_eq!(told.to_bytes(), length.to_string());
    let peak = gateway.peak();
    assert!(peak < at_rest + MORE, "{} MiB grew to {} MiB", at_rest / MIB, peak / MIB);
}
