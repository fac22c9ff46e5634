//! HTTP/2 frame by frame, as clients and as services behind the gateway: what hyper keeps to itself.

use std::future::poll_fn;
use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::{self, SendResponse};
use h2::{Error, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::within;

/// A client's connection.
#[derive(Debug)]
pub struct Streams(pub SendRequest<Bytes>);

/// A response, and what came before it.
#[derive(Debug)]
pub struct Heads {
    /// Interim responses.
    pub interim: Vec<Response<()>>,
    /// The final one.
    pub response: Response<RecvStream>,
}

impl Streams {
    /// Connects in clear, by prior knowledge.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("somebody listens");
        // A client that waits for its window waits for acknowledgements besides.
        stream.set_nodelay(true).expect("TCP");
        Self::over(stream).await
    }

    /// Speaks over a stream.
    ///
    /// # Panics
    /// If the handshake fails.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = h2::client::handshake(stream).await.expect("a handshake");
        tokio::spawn(connection);
        Self(sender)
    }

    /// Opens a stream with these fields; the body is the caller's to send, if there is one.
    ///
    /// # Panics
    /// If the connection is closed.
    pub fn open(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        has_body: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let builder = Request::builder().method(method).uri(format!("http://a.example{path}"));
        let builder = fields.iter().fold(builder, |it, (name, value)| it.header(*name, *value));
        let request = builder.body(()).expect("a request");
        self.0.send_request(request, !has_body).expect("an open connection")
    }

    /// `GET`, and the heads of its response.
    ///
    /// # Panics
    /// If there is none.
    pub async fn get(&mut self, path: &str) -> Heads {
        let (mut answer, _) = self.open("GET", path, &[], false);
        heads(&mut answer).await.expect("a response")
    }
}

/// The heads that come for a request.
///
/// # Errors
/// When there is no final one.
pub async fn heads(answer: &mut ResponseFuture) -> Result<Heads, Error> {
    let mut interim = Vec::new();
    while let Some(head) = within(poll_fn(|context| answer.poll_informational(context))).await {
        interim.push(head?);
    }
    Ok(Heads { interim, response: within(answer).await? })
}

/// The rest of a body, and its trailers.
///
/// # Errors
/// When it is cut off.
pub async fn read(body: &mut RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), Error> {
    let mut read = Vec::new();
    while let Some(data) = within(body.data()).await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        read.extend_from_slice(&data);
    }
    Ok((read, within(body.trailers()).await?))
}

/// Sends all of it, piece by piece, as the peer takes it; `false` if it stops taking it before.
pub async fn send(stream: &mut SendStream<Bytes>, mut data: Bytes) -> bool {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let Some(Ok(room)) = within(poll_fn(|context| stream.poll_capacity(context))).await else {
            return false;
        };
        let piece = data.split_to(room.min(data.len()));
        if stream.send_data(piece, data.is_empty()).is_err() {
            return false;
        }
    }
    true
}

/// Why the peer resets a stream.
pub async fn reset(stream: &mut SendStream<Bytes>) -> Option<h2::Reason> {
    within(poll_fn(|context| stream.poll_reset(context))).await.ok()
}

/// Serves a connection: each request in its own task, as the script says.
pub async fn serve<F, R>(stream: TcpStream, script: F)
where
    F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> R,
    R: Future<Output = ()> + Send + 'static,
{
    let Ok(mut connection) = server::handshake(stream).await else { return };
    while let Some(Ok((request, reply))) = connection.accept().await {
        tokio::spawn(script(request, reply));
    }
}

/// Serves a connection on which the script for a request may use the connection itself, too.
pub async fn serve_with<F>(stream: TcpStream, mut script: F)
where
    F: FnMut(&mut server::Connection<TcpStream, Bytes>, Request<RecvStream>, SendResponse<Bytes>),
{
    let Ok(mut connection) = server::handshake(stream).await else { return };
    while let Some(Ok((request, reply))) = connection.accept().await {
        script(&mut connection, request, reply);
    }
}

/// Answers with a head and a body.
///
/// # Panics
/// If the stream is closed.
pub fn answer(reply: &mut SendResponse<Bytes>, status: u16, body: &'static str) {
    let response = Response::builder().status(status).body(()).expect("a response");
    let mut stream = reply.send_response(response, false).expect("an open stream");
    stream.send_data(Bytes::from_static(body.as_bytes()), true).expect("an open stream");
}

/// Sends an interim response.
///
/// # Panics
/// If the stream is closed.
pub fn inform(reply: &mut SendResponse<Bytes>, status: u16, fields: &[(&str, &str)]) {
    let builder = Response::builder().status(status);
    let builder = fields.iter().fold(builder, |it, (name, value)| it.header(*name, *value));
    reply.send_informational(builder.body(()).expect("a response")).expect("an open stream");
}
