//! Changes of protocol (RFC 9110 section 7.8), such as WebSocket.
//!
//! Owns the rule that nothing is a tunnel before the upstream has said 101 to what the client
//! asked for. Until then every byte is HTTP.

use std::rc::Rc;

use http::header::{CONNECTION, HeaderMap, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, Version};

use crate::body::Body;
use crate::conn::Tunnel;
use crate::error::Failure;
use crate::exchange::Exchange;
use crate::proxy::request::checks::Checked;
use crate::proxy::request::hop_by_hop::has_upgrades;
use crate::upstream::{Lease, Payload};

/// The protocol that the client asks for: only over HTTP/1.1, only if `Connection` says so too,
/// and only without a body, which would have to end before the new protocol begins.
pub(in crate::proxy) fn asked(
    head: &Parts,
    checked: &Checked,
    has_body: bool,
) -> Option<HeaderValue> {
    if !checked.upgrade || !checked.connection || has_body || !has_upgrades(head.version) {
        return None;
    }
    let mut protocols = head.headers.get_all(UPGRADE).iter();
    let protocol = protocols.next().filter(|_| protocols.next().is_none())?;
    // `h2c` would be a second way into HTTP/2, past every check of this request.
    let is_h2c = protocol.as_bytes().len() >= 3 && holds(protocol, b"h2c");
    (nominated(&head.headers) && !is_h2c).then(|| protocol.clone())
}

fn nominated(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| holds(value, b"upgrade"))
}

fn holds(list: &HeaderValue, member: &[u8]) -> bool {
    let mut members = list.as_bytes().split(|byte| *byte == b',');
    members.any(|known| known.trim_ascii().eq_ignore_ascii_case(member))
}

/// Asks the upstream for it.
pub(in crate::proxy) fn ask(headers: &mut HeaderMap, protocol: &HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol.clone());
}

/// Passes a 101 on, and leaves the upstream's connection with the client's.
///
/// # Errors
/// When nobody asked for what the upstream switched to.
pub(in crate::proxy) fn accept(
    exchange: &Rc<Exchange>,
    asked: Option<HeaderValue>,
    response: Response<Payload>,
    lease: Lease,
) -> Result<Response<Body>, Failure> {
    let agreed = response.headers().get(UPGRADE).cloned();
    let (Some(asked), Some(agreed)) = (asked, agreed) else {
        return Err(Failure::UpstreamBroken("101 that nobody asked for".into()));
    };
    if !asked
        .as_bytes()
        .split(|byte| *byte == b',')
        .any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(agreed.as_bytes().trim_ascii()))
    {
        return Err(Failure::UpstreamBroken("101 to another protocol than asked".into()));
    }
    let (mut head, payload) = response.into_parts();
    let Payload::Switched(upstream) = payload else {
        return Err(Failure::UpstreamBroken("101 over HTTP/2, which has none".into()));
    };
    let tunnel = Tunnel { upstream, exchange: exchange.clone(), lease };
    exchange.connection.switch_to(tunnel);
    crate::proxy::response::hop_by_hop::prepare(exchange, &mut head.headers, head.version);
    ask(&mut head.headers, &agreed);
    head.version = Version::HTTP_11;
    let mut head = Response::from_parts(head, Body::empty());
    *head.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    Ok(head)
}
