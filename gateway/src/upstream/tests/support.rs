//! Servers to send to, upstreams to send through, requests to send.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::Sleep;

use super::super::{Answered, Resume, Upstream, UpstreamError};
use crate::config::{self, HostPolicy, UpstreamProtocol, UpstreamTimeouts, UpstreamTls};
use crate::health::Health;
use crate::names::Names;
use crate::timer::Timers;

pub(super) type TestBody = UnsyncBoxBody<Bytes, io::Error>;

pub(super) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let bounded = tokio::time::timeout(Duration::from_secs(60), test);
        bounded.await.expect("the test ends by itself")
    })
}

pub(super) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(super) fn target(address: SocketAddr) -> config::Target {
    named_target(&address.ip().to_string(), address.port())
}

pub(super) fn named_target(host: &str, port: u16) -> config::Target {
    let authority = format!("{host}:{port}");
    let (host, origin) = (host.to_owned(), config::Origin::Url);
    let place = config::Place::default();
    config::Target { tls: false, host, port, authority, weight: 1, priority: 0, origin, place }
}

pub(crate) fn config(targets: Vec<config::Target>) -> config::Upstream {
    config::Upstream {
        name: "test".to_owned(),
        targets,
        written: Vec::new(),
        dns: config::Dns::default(),
        protocol: UpstreamProtocol::Auto,
        host: HostPolicy::Preserve,
        tls: UpstreamTls::default(),
        timeouts: UpstreamTimeouts {
            connect: Duration::from_secs(20),
            first_byte: Duration::from_secs(20),
            idle: Duration::from_secs(20),
            request_body: Duration::from_secs(20),
        },
        idle_connections: 64,
        idle_timeout: Duration::from_secs(20),
        ping: Duration::from_secs(20),
        ping_timeout: Duration::from_secs(20),
        max_age: Duration::ZERO,
        limits: config::UpstreamLimits::default(),
        added_fields: config::AddedFields::default(),
        buffer_request_bodies: None,
        balance: config::Balance::default(),
        hash_by: config::StickyKey::default(),
        slow_start: Duration::ZERO,
        overprovisioning: 140,
        ejection: config::Ejection::default(),
        health: None,
        retry_budget: config::RetryBudget::default(),
        capacity: None,
        connections: None,
        grpc_web: false,
    }
}

/// Names that are looked up for as long as the tests run.
pub(super) fn names() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(Names::default)
}

pub(super) fn upstream(config: &config::Upstream) -> Upstream {
    Upstream::new(config, names(), &Timers::new()).unwrap()
}

/// As a worker has it, beside others that know the same of its targets.
pub(super) fn upstream_of_worker(config: &config::Upstream, known: &Health) -> Rc<Upstream> {
    Upstream::begin(config, None, known, names(), &Timers::new()).unwrap()
}

pub(super) fn upstream_at(address: SocketAddr) -> Upstream {
    upstream(&config(vec![target(address)]))
}

pub(super) fn upstream_with_first_byte(address: SocketAddr, bound: Duration) -> Upstream {
    let mut config = config(vec![target(address)]);
    config.timeouts.first_byte = bound;
    upstream(&config)
}

pub(super) fn empty() -> TestBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub(super) fn full(text: &'static str) -> TestBody {
    Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed_unsync()
}

pub(super) fn get(path: &str) -> Request<TestBody> {
    request(Method::GET, path, empty())
}

pub(super) fn request(method: Method, path: &str, body: TestBody) -> Request<TestBody> {
    let request = Request::builder().method(method).uri(path);
    request.header(header::HOST, "api.example.com").body(body).unwrap()
}

pub(super) async fn send(
    upstream: &Upstream,
    request: Request<TestBody>,
) -> Result<Answered, UpstreamError> {
    let mut request = request;
    upstream.send(&mut request, upstream.host_policy()).await
}

/// Sends, reads the response to its end, gives the connection back.
pub(super) async fn answer(upstream: &Upstream, request: Request<TestBody>) -> Answer {
    let exchange = send(upstream, request).await.unwrap();
    let (head, body) = exchange.response.into_parts();
    let text = body.collect().await.unwrap().to_bytes();
    drop(exchange.lease);
    Answer {
        version: head.version,
        status: head.status.as_u16(),
        text: String::from_utf8(text.to_vec()).unwrap(),
        target: exchange.info.target,
        reused: exchange.info.reused,
        connected: exchange.info.connect.is_some(),
    }
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) version: http::Version,
    pub(super) status: u16,
    pub(super) text: String,
    pub(super) target: usize,
    pub(super) reused: bool,
    pub(super) connected: bool,
}

/// A server, and how many connections it has accepted.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    accepted: Rc<Cell<usize>>,
}

impl Server {
    pub(super) fn accepted(&self) -> usize {
        self.accepted.get()
    }

    /// Runs `serve` for each connection, with its number.
    pub(super) async fn start<F>(serve: impl Fn(TcpStream, usize) -> F + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Rc::new(Cell::new(0));
        let count = Rc::clone(&accepted);
        spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.set(count.get() + 1);
                spawn_local(serve(stream, count.get()));
            }
        });
        Self { address, accepted }
    }

    /// Answers the first request of each connection with these bytes, and closes if told so.
    pub(super) async fn raw(answer: &'static str, close: bool) -> Self {
        Self::start(move |mut stream, _| async move {
            read_head(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
            if !close {
                let _eof = stream.read(&mut [0; 64]).await;
            }
        })
        .await
    }

    /// hyper's HTTP/1.1, which answers with what it was asked.
    pub(super) async fn http1() -> Self {
        Self::start(|stream, _| async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(echo));
            let _ended = connection.await;
        })
        .await
    }

    /// hyper's HTTP/2 by prior knowledge, with so many streams a connection.
    pub(super) async fn http2(streams: u32) -> Self {
        Self::start(move |stream, _| serve_http2(TokioIo::new(stream), streams)).await
    }
}

pub(super) async fn serve_http2<T>(io: T, streams: u32)
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
{
    let connection = hyper::server::conn::http2::Builder::new(LocalExecutor)
        .max_concurrent_streams(streams)
        .serve_connection(io, service_fn(echo));
    let _ended = connection.await;
}

/// Says what the request was: version, method, target, host and body. Waits a little on `/slow`.
pub(super) async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    if head.uri.path() == "/slow" {
        tokio::time::sleep(ms(20)).await;
    }
    if head.uri.path() == "/never" {
        std::future::pending::<()>().await;
    }
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let host = head.headers.get(header::HOST).map_or("-", |host| host.to_str().unwrap());
    let (version, method, uri) = (head.version, head.method, head.uri);
    let body = String::from_utf8_lossy(&body);
    let text = format!("{version:?} {method} {uri} host={host} body={body}");
    Ok(Response::new(Full::new(text.into())))
}

pub(super) async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

#[derive(Clone, Copy)]
pub(super) struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, task: F) {
        spawn_local(async move {
            task.await;
        });
    }
}

impl Resume for TestBody {
    fn resumed(read: Bytes, rest: Self) -> Self {
        BodyExt::boxed_unsync(Resumed { read, rest })
    }
}

struct Resumed {
    read: Bytes,
    rest: TestBody,
}

impl Body for Resumed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let read = std::mem::take(&mut self.read);
        if read.is_empty() {
            return Pin::new(&mut self.rest).poll_frame(context);
        }
        Poll::Ready(Some(Ok(Frame::data(read))))
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, read) = (self.rest.size_hint(), self.read.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + read);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + read);
        }
        hint
    }
}

/// A body of so many frames with a pause before each, and perhaps an error at its end.
pub(super) struct SlowBody {
    left: usize,
    pause: Duration,
    sleep: Pin<Box<Sleep>>,
    fails: bool,
}

impl SlowBody {
    pub(super) fn boxed(frames: usize, pause: Duration, fails: bool) -> TestBody {
        let sleep = Box::pin(tokio::time::sleep(pause));
        BodyExt::boxed_unsync(Self { left: frames, pause, sleep, fails })
    }
}

impl Body for SlowBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        std::task::ready!(self.sleep.as_mut().poll(context));
        if self.left == 0 {
            let end = self.fails.then(|| Err(io::Error::other("the client left")));
            return Poll::Ready(end);
        }
        self.left -= 1;
        let next = tokio::time::Instant::now() + self.pause;
        self.sleep.as_mut().reset(next);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
    }
}
