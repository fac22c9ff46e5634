//! Requests for a WebSocket over a stream (RFC 8441).
//!
//! Owns what such a request is to the rest of the gateway: the one that asks for the same over HTTP/1.1, so
//! that routes, plugins and upstreams need to know one form; and the stream behind the response that agrees.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use h2::RecvStream;
use h2::ext::Protocol;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, SEC_WEBSOCKET_KEY, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};

use super::super::stream::StreamSlot;
use super::super::tunnel;
use super::date;
use crate::body::Body;
use crate::conn::Tunnel;
use crate::heads;
use crate::http2::Duplex;

/// The one protocol that is served.
const WEBSOCKET: &str = "websocket";

/// Makes a request for a WebSocket the one of HTTP/1.1 (RFC 6455 section 4.1). Whether it was one.
pub(super) fn translate(head: &mut Parts) -> bool {
    let is_websocket = |protocol: &Protocol| protocol.as_str() == WEBSOCKET;
    if head.method != Method::CONNECT || !head.extensions.get().is_some_and(is_websocket) {
        return false;
    }
    head.method = Method::GET;
    // It has no content, whatever is said of it.
    for name in [CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING] {
        head.headers.remove(name);
    }
    head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
    head.headers.insert(SEC_WEBSOCKET_KEY, key());
    true
}

/// A key as a client of HTTP/1.1 makes it. It keeps no secret: it shows that the server knows of WebSocket.
fn key() -> HeaderValue {
    let mut bytes = [0; 16];
    // Where there is no randomness, all keys are the same, which servers do not notice.
    let _no_secret = getrandom::fill(&mut bytes);
    let text = Bytes::from(STANDARD.encode(bytes));
    HeaderValue::from_maybe_shared(text).unwrap_or(HeaderValue::from_static(""))
}

/// Sends the head that agrees, and is the tunnel from then on.
pub(super) async fn run(
    slot: &Rc<StreamSlot>,
    response: Response<Body>,
    received: RecvStream,
    tunnel: Tunnel,
) {
    let (mut head, _none) = response.into_parts();
    head.status = StatusCode::OK;
    heads::strip_hop_by_hop(&mut head.headers);
    head.headers.remove(CONTENT_LENGTH);
    if !head.headers.contains_key(DATE)
        && let Some(date) = date::now()
    {
        head.headers.insert(DATE, date);
    }
    let Some(mut reply) = slot.take_reply() else { return };
    match reply.send_response(Response::from_parts(head, ()), false) {
        Ok(stream) => {
            let client = Duplex::new(received, stream);
            let broken = client.broken();
            tunnel::run(tunnel, client, Bytes::new(), broken, &slot.connection).await;
        }
        Err(error) => tracing::debug!(%error, "a tunnel was not opened"),
    }
}
