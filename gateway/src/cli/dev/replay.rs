//! A request, sent again.
//!
//! Owns the way to the listener: the same version of HTTP, over TLS where the listener wants it. The
//! answer is read and thrown away, since the trace of it is what is wanted. Must not know what a
//! trace is shown as.

mod tls;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gateway::body::Body;
use gateway::trace::{self, MAX_BODY};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, Request, Response, Uri, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// How long an answer is read. A stream that never ends is left then.
const PATIENCE: Duration = Duration::from_secs(60);

/// The connections over which requests were sent again, so that their traces are known.
#[derive(Clone, Default)]
pub(super) struct Replays(Arc<Mutex<Vec<SocketAddr>>>);

impl Replays {
    fn begin(&self, peer: SocketAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(peer);
    }

    /// Whether this is one of them, which it is once.
    pub(super) fn take(&self, peer: SocketAddr) -> bool {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |known: &SocketAddr| {
            known.port() == peer.port() && known.ip().to_canonical() == peer.ip().to_canonical()
        };
        peers.iter().position(is_it).map(|index| peers.swap_remove(index)).is_some()
    }
}

/// Where requests go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) is_tls: bool,
}

/// Sends a request again, and reads the answer to its end.
///
/// # Errors
/// Why it could not be sent, in words for people.
pub(super) async fn replay(
    request: &trace::Request,
    listener: Listener,
    replays: &Replays,
) -> Result<(), String> {
    if request.headers.contains_key(UPGRADE) {
        return Err("a request that asks for another protocol is not sent again".to_owned());
    }
    let sent = async {
        let stream = TcpStream::connect(reachable(listener.address)).await?;
        replays.begin(stream.local_addr()?);
        if listener.is_tls {
            let stream = tls::connect(request, stream).await?;
            exchange(request, stream).await
        } else {
            exchange(request, stream).await
        }
    };
    let sent: Result<Result<(), Failed>, _> = tokio::time::timeout(PATIENCE, sent).await;
    match sent {
        Ok(sent) => sent.map_err(|error| format!("it could not be sent again: {error}")),
        Err(_) => Err(format!("its answer did not end within {} s", PATIENCE.as_secs())),
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// An address of this machine for one that a listener has.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

async fn exchange(
    request: &trace::Request,
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
) -> Result<(), Failed> {
    let io = TokioIo::new(stream);
    if request.version == Version::HTTP_2 {
        let (mut sender, connection) = http2::handshake(Local, io).await?;
        let work = tokio::task::spawn_local(connection);
        let done = read(sender.send_request(again(request)?).await?).await;
        work.abort();
        return done;
    }
    let (mut sender, connection) = http1::handshake(io).await?;
    let work = tokio::task::spawn_local(connection);
    let done = read(sender.send_request(again(request)?).await?).await;
    work.abort();
    done
}

/// The request without what belonged to its connection.
fn again(request: &trace::Request) -> Result<Request<Body>, Failed> {
    let is_http2 = request.version == Version::HTTP_2;
    let target = request.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut again = Request::new(match &request.body {
        none if none.is_empty() => Body::empty(),
        body => Body::full(Bytes::copy_from_slice(&body[..body.len().min(MAX_BODY)])),
    });
    *again.method_mut() = request.method.clone();
    *again.version_mut() = if is_http2 { Version::HTTP_2 } else { Version::HTTP_11 };
    *again.uri_mut() = if is_http2 { request.uri.clone() } else { Uri::try_from(target)? };
    let headers = again.headers_mut();
    headers.clone_from(&request.headers);
    for name in [CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    headers.remove(HeaderName::from_static("keep-alive"));
    if !is_http2 {
        headers.remove(TE);
        if let (false, Some(authority)) = (headers.contains_key(HOST), request.uri.authority()) {
            headers.insert(HOST, authority.as_str().parse()?);
        }
    }
    Ok(again)
}

/// Reads an answer to its end.
async fn read(response: Response<Incoming>) -> Result<(), Failed> {
    let mut body = pin!(response.into_body());
    while let Some(frame) = std::future::poll_fn(|it| body.as_mut().poll_frame(it)).await {
        frame?;
    }
    Ok(())
}

/// Runs what a connection needs on this thread.
#[derive(Clone, Copy)]
struct Local;

impl<F: Future<Output: 'static> + 'static> Executor<F> for Local {
    fn execute(&self, work: F) {
        tokio::task::spawn_local(work);
    }
}
