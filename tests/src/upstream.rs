//! Services behind the gateway that follow a script.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A body of any kind.
pub type BoxBody = UnsyncBoxBody<Bytes, std::io::Error>;

/// Any free port.
const LOOPBACK: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// A service; it ends when it is dropped.
#[derive(Debug)]
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<http::request::Parts>>>,
    task: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A body of these bytes.
pub fn full(bytes: impl Into<Bytes>) -> BoxBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

impl Upstream {
    /// Answers each request over HTTP/1.1.
    pub async fn http1<F, R>(answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Response<BoxBody>> + Send + 'static,
    {
        Self::serve(answer, false, LOOPBACK).await
    }

    /// Answers each request over HTTP/2 in clear.
    pub async fn http2<F, R>(answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Response<BoxBody>> + Send + 'static,
    {
        Self::serve(answer, true, LOOPBACK).await
    }

    /// Answers 200 with the body of the request.
    pub async fn echo() -> Self {
        Self::http1(|request| async {
            match request.into_body().collect().await {
                Ok(body) => Response::new(full(body.to_bytes())),
                Err(_) => Response::new(full("broken")),
            }
        })
        .await
    }

    /// As [`http1`](Self::http1), at this address.
    ///
    /// # Panics
    /// If it is not free.
    pub async fn http1_at<F, R>(address: SocketAddr, answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Response<BoxBody>> + Send + 'static,
    {
        Self::serve(answer, false, address).await
    }

    async fn serve<F, R>(answer: F, http2: bool, address: SocketAddr) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Response<BoxBody>> + Send + 'static,
    {
        let answer = Arc::new(answer);
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let script = move |stream: TcpStream| {
            let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
            async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let (head, body) = request.into_parts();
                    seen.lock().expect("no panic").push(head.clone());
                    let answered = answer(Request::from_parts(head, body));
                    async move { Ok::<_, Infallible>(answered.await) }
                });
                let io = TokioIo::new(stream);
                let _ended = if http2 {
                    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    builder.serve_connection(io, service).await
                } else {
                    let builder = hyper::server::conn::http1::Builder::new();
                    builder.serve_connection(io, service).await
                };
            }
        };
        let mut this = Self::script_at(address, script).await;
        this.requests = requests;
        this
    }

    /// Does what the script says with each connection.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn script<F, R>(script: F) -> Self
    where
        F: Fn(TcpStream) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self::script_at(LOOPBACK, script).await
    }

    async fn script_at<F, R>(address: SocketAddr, script: F) -> Self
    where
        F: Fn(TcpStream) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            // They end with this.
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                open.spawn(script(stream));
                while open.try_join_next().is_some() {}
            }
        });
        Self { address, connections, requests: Arc::default(), task }
    }

    /// How many connections it was given.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The heads of the requests that it was given.
    ///
    /// # Panics
    /// If a script panicked.
    #[must_use]
    pub fn requests(&self) -> Vec<http::request::Parts> {
        self.requests.lock().expect("no panic").clone()
    }

    /// The head of the only request.
    ///
    /// # Panics
    /// If there was none, or more than one.
    #[must_use]
    pub fn request(&self) -> http::request::Parts {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "exactly one request");
        requests.remove(0)
    }
}
