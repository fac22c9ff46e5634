//! What the upstream is told of the client: `X-Forwarded-*` and `Forwarded` (RFC 7239).
//!
//! Owns the rule that only a trusted peer's words go on, and the values that are the same for
//! every request of a connection.

use std::cell::RefCell;
use std::net::IpAddr;

use http::header::{FORWARDED, HeaderMap};
use http::{HeaderName, HeaderValue};

use super::survey::Survey;
use super::target::Target;
use crate::server::connection::Connection;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The values of one connection.
#[derive(Debug)]
pub(crate) struct ForwardedCache {
    address: HeaderValue,
    port: HeaderValue,
    scheme: HeaderValue,
    /// The last `Host` and the `Forwarded` that goes with it.
    last: RefCell<Option<(Option<HeaderValue>, HeaderValue)>>,
}

impl ForwardedCache {
    pub(crate) fn new(peer: IpAddr, local_port: u16, is_tls: bool) -> Self {
        Self {
            address: HeaderValue::try_from(peer.to_string()).expect("an address is visible"),
            port: HeaderValue::from(local_port),
            scheme: HeaderValue::from_static(if is_tls { "https" } else { "http" }),
            last: RefCell::new(None),
        }
    }

    /// This hop as a forwarded-element.
    fn element(&self, host: Option<&HeaderValue>) -> HeaderValue {
        let mut last = self.last.borrow_mut();
        match &*last {
            Some((known, element)) if known.as_ref() == host => element.clone(),
            _ => {
                let element = self.write_element(host);
                // A copy: a clone would keep the whole buffer that the head was read into.
                let host = host.and_then(|host| HeaderValue::from_bytes(host.as_bytes()).ok());
                *last = Some((host, element.clone()));
                element
            }
        }
    }

    fn write_element(&self, host: Option<&HeaderValue>) -> HeaderValue {
        let address = self.address.to_str().unwrap_or_default();
        let scheme = self.scheme.to_str().unwrap_or_default();
        let mut element = match address.contains(':') {
            true => format!("for=\"[{address}]\""),
            false => format!("for={address}"),
        };
        let host = host.and_then(|host| host.to_str().ok()).filter(|host| !host.is_empty());
        if let Some(host) = host {
            // A checked host holds neither quotes nor backslashes.
            element.push_str(";host=\"");
            element.push_str(host);
            element.push('"');
        }
        element.push_str(";proto=");
        element.push_str(scheme);
        HeaderValue::try_from(element).unwrap_or_else(|_| HeaderValue::from_static("for=unknown"))
    }
}

/// Puts this hop into the request's fields; what an untrusted client said there is gone.
pub(super) fn apply(
    headers: &mut HeaderMap,
    connection: &Connection,
    survey: &Survey,
    target: &Target,
) {
    let cache = &connection.forwarded;
    if survey.x_forwarded && !connection.peer_is_trusted {
        remove_x_forwarded(headers);
    }
    if survey.x_forwarded && connection.peer_is_trusted {
        append(headers, X_FORWARDED_FOR, &cache.address);
        keep_or_insert(headers, X_FORWARDED_PROTO, &cache.scheme);
        keep_or_insert(headers, X_FORWARDED_PORT, &cache.port);
        if let Some(host) = target.field() {
            keep_or_insert(headers, X_FORWARDED_HOST, host);
        }
    } else {
        headers.insert(X_FORWARDED_FOR, cache.address.clone());
        headers.insert(X_FORWARDED_PROTO, cache.scheme.clone());
        headers.insert(X_FORWARDED_PORT, cache.port.clone());
        if let Some(host) = target.field() {
            headers.insert(X_FORWARDED_HOST, host.clone());
        }
    }
    let element = cache.element(target.field());
    if survey.forwarded && connection.peer_is_trusted {
        append(headers, FORWARDED, &element);
    } else {
        headers.insert(FORWARDED, element);
    }
}

/// Every field of that family, also those that the gateway does not write itself: services behind
/// it may believe them.
fn remove_x_forwarded(headers: &mut HeaderMap) {
    let theirs: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("x-forwarded-")).cloned().collect();
    for name in theirs {
        headers.remove(name);
    }
    headers.remove(X_REAL_IP);
}

fn keep_or_insert(headers: &mut HeaderMap, name: HeaderName, value: &HeaderValue) {
    headers.entry(name).or_insert_with(|| value.clone());
}

/// As one line: some readers look at the first line alone.
fn append(headers: &mut HeaderMap, name: HeaderName, value: &HeaderValue) {
    let mut list = Vec::new();
    for line in headers.get_all(&name) {
        list.extend_from_slice(line.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(value.as_bytes());
    let joined = HeaderValue::from_maybe_shared(bytes::Bytes::from(list));
    headers.insert(name, joined.unwrap_or_else(|_| value.clone()));
}
