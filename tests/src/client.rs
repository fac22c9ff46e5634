//! Clients that speak proper HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::upstream::{BoxBody, full};
use crate::{PATIENCE, within};

/// A response with all of its body.
#[derive(Debug)]
pub struct Answer {
    /// The head.
    pub head: http::response::Parts,
    /// The body.
    pub body: Bytes,
    /// The trailers, if there were any.
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    async fn read(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = within(body.collect()).await.expect("a whole body");
        let trailers = body.trailers().cloned();
        Self { head, body: body.to_bytes(), trailers }
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// The value of a field.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as text.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// The id of the request.
    ///
    /// # Panics
    /// If the answer does not name it.
    #[must_use]
    pub fn id(&self) -> &str {
        self.header("x-request-id").expect("every answer names its request")
    }

    /// The body as a problem document.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn problem(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem: serde_json::Value = serde_json::from_slice(&self.body).expect("valid JSON");
        assert_eq!(problem["status"], self.status());
        problem
    }
}

/// A connection over HTTP/1.1.
#[derive(Debug)]
pub struct Http1(pub http1::SendRequest<BoxBody>);

/// A connection over HTTP/2.
#[derive(Debug, Clone)]
pub struct Http2(pub http2::SendRequest<BoxBody>);

impl Http1 {
    /// Connects in clear.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("somebody listens")).await
    }

    /// Speaks over a stream.
    ///
    /// # Panics
    /// If the handshake fails.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
        tokio::spawn(connection);
        Self(sender)
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Panics
    /// If there is none.
    pub async fn send(&mut self, request: Request<BoxBody>) -> Answer {
        self.send_within(request, PATIENCE).await
    }

    /// As [`send`](Self::send), where the head of the response may take so long.
    ///
    /// # Panics
    /// If there is none.
    pub async fn send_within(&mut self, request: Request<BoxBody>, time: Duration) -> Answer {
        within(self.0.ready()).await.expect("an open connection");
        let response = tokio::time::timeout(time, self.0.send_request(request)).await;
        Answer::read(response.expect("a step hangs").expect("a response")).await
    }

    /// `GET` of the admin API, by its own address, on a new connection.
    ///
    /// # Panics
    /// If the path is none.
    pub async fn admin(address: SocketAddr, path: &str) -> Answer {
        Self::connect(address).await.send(to(address, get(path))).await
    }

    /// `GET` on a new connection.
    pub async fn get(address: SocketAddr, path: &str) -> Answer {
        Self::connect(address).await.send(get(path)).await
    }
}

impl Http2 {
    /// Connects in clear, by prior knowledge.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("somebody listens")).await
    }

    /// Speaks over a stream.
    ///
    /// # Panics
    /// If the handshake fails.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = handshake.await.expect("a handshake");
        tokio::spawn(connection);
        Self(sender)
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Panics
    /// If there is none.
    pub async fn send(&mut self, request: Request<BoxBody>) -> Answer {
        within(self.0.ready()).await.expect("an open connection");
        Answer::read(within(self.0.send_request(request)).await.expect("a response")).await
    }
}

/// A `GET` with a host.
///
/// # Panics
/// If the path is none.
#[must_use]
pub fn get(path: &str) -> Request<BoxBody> {
    Request::get(path).header("host", "a.example").body(full("")).expect("a request")
}

/// The same request to the host of this address.
///
/// # Panics
/// Never: an address is a host.
#[must_use]
pub fn to(address: SocketAddr, mut request: Request<BoxBody>) -> Request<BoxBody> {
    let host = address.to_string().parse().expect("an address is a host");
    request.headers_mut().insert(http::header::HOST, host);
    request
}

/// A `GET` for HTTP/2.
///
/// # Panics
/// If the path is none.
#[must_use]
pub fn get2(path: &str) -> Request<BoxBody> {
    Request::get(format!("http://a.example{path}")).body(full("")).expect("a request")
}

/// A request with these fields and this body, for HTTP/1.1.
///
/// # Panics
/// If they make none.
#[must_use]
pub fn request(
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Request<BoxBody> {
    let builder = Request::builder().method(method).uri(path).header("host", "a.example");
    let builder =
        fields.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    builder.body(full(body)).expect("a request")
}

/// The same for HTTP/2.
///
/// # Panics
/// If they make none.
#[must_use]
pub fn request2(
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Request<BoxBody> {
    let mut request = request(method, &format!("http://a.example{path}"), fields, body);
    request.headers_mut().remove("host");
    request
}
