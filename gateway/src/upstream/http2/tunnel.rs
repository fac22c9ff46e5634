//! A WebSocket over a stream (RFC 8441 section 5).
//!
//! Owns the extended CONNECT that asks for it, made of the request that asks for the same over HTTP/1.1, and
//! what the response means there. Knows nothing of the protocol behind it.

use bytes::Bytes;
use h2::ext::Protocol;
use http::header::{CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;

use super::super::exchange::Interim;
use super::super::payload::Payload;
use super::super::switched::Switched;
use super::body::Http2Body;
use super::connection::Stream;
use super::send::{Error, begin, head_of, response};
use crate::config::UpstreamLimits;
use crate::http2::{Duplex, Received};

const WEBSOCKET: &str = "websocket";

/// Asks for a WebSocket, and answers as HTTP/1.1 does: 101 where the target agrees.
pub(in super::super) async fn connect<B>(
    stream: &Stream,
    request: &Request<B>,
    interim: Interim<'_>,
    limits: UpstreamLimits,
) -> Result<Response<Payload>, Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    if !stream.connection().takes_tunnels().await {
        return Err(Error::NoTunnel);
    }
    let mut head = head_of(request);
    *head.method_mut() = Method::CONNECT;
    head.headers_mut().remove(CONTENT_LENGTH);
    head.headers_mut().remove(SEC_WEBSOCKET_KEY);
    head.extensions_mut().insert(Protocol::from_static(WEBSOCKET));
    let (answer, mut sending) = begin(stream, head, false)?;
    let (mut head, received) = response::<B>(answer, interim, limits).await?.into_parts();
    stream.answered(None);
    if !head.status.is_success() {
        // What fails here shows in the response.
        let _ended = sending.send_data(Bytes::new(), true);
        let body = Received::new(received, &head.headers);
        return Ok(Response::from_parts(head, Payload::Http2(Http2Body::new(body, None))));
    }
    head.status = StatusCode::SWITCHING_PROTOCOLS;
    head.headers.remove(CONTENT_LENGTH);
    head.headers.remove(SEC_WEBSOCKET_ACCEPT);
    head.headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
    let switched = Switched::Http2(Duplex::new(received, sending));
    Ok(Response::from_parts(head, Payload::Switched(switched)))
}
