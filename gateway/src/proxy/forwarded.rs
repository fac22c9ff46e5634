//! What the upstream is told of the client: `X-Forwarded-*` and `Forwarded` (RFC 7239).
//!
//! Owns the rule that only a trusted peer's words go on, in the one family that it writes, and the
//! values that are the same for every request of a connection.

use std::cell::RefCell;
use std::net::IpAddr;

use http::header::{FORWARDED, HeaderMap};
use http::{HeaderName, HeaderValue};

use super::client::Told;
use super::survey::Survey;
use super::target::Target;
use crate::config::{AddedFields, ForwardedFamily};
use crate::exchange::Exchange;
use crate::upstream::write_line;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// What some services read instead of `x-forwarded-proto`, and proxies do not all overwrite.
const OTHER_WORDS: [&str; 3] = ["x-forwarded-scheme", "x-forwarded-ssl", "x-forwarded-protocol"];

/// The values of one connection.
#[derive(Debug)]
pub(crate) struct ForwardedCache {
    address: HeaderValue,
    port: HeaderValue,
    scheme: HeaderValue,
    /// What goes with the `Host` of the last request.
    last: RefCell<Option<Last>>,
}

#[derive(Debug)]
struct Last {
    host: Option<HeaderValue>,
    forwarded: HeaderValue,
    /// `X-Forwarded-*` and then `Forwarded`, as lines of HTTP/1.1.
    lines: Vec<u8>,
    /// Where in them `Forwarded` begins.
    forwarded_at: usize,
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

    /// Looks at what goes with this `Host`.
    fn with<T>(&self, host: Option<&HeaderValue>, look: impl FnOnce(&Last) -> T) -> T {
        let mut last = self.last.borrow_mut();
        match &mut *last {
            Some(last) if last.host.as_ref() == host => look(last),
            last => look(last.insert(self.make(host))),
        }
    }

    fn make(&self, host: Option<&HeaderValue>) -> Last {
        let address = self.address.to_str().unwrap_or_default().parse().ok();
        let element = node(address) + &side(host, self.scheme == "https");
        let unknown = |_| HeaderValue::from_static("for=unknown");
        let forwarded = HeaderValue::try_from(element).unwrap_or_else(unknown);
        let mut lines = Vec::new();
        self.x_forwarded(host, |name, value| write_line(&mut lines, &name, value.as_bytes()));
        let forwarded_at = lines.len();
        write_line(&mut lines, &FORWARDED, forwarded.as_bytes());
        // A copy: a clone would keep the whole buffer that the head was read into.
        let host = host.and_then(|host| HeaderValue::from_bytes(host.as_bytes()).ok());
        Last { host, forwarded, lines, forwarded_at }
    }

    fn x_forwarded(
        &self,
        host: Option<&HeaderValue>,
        mut each: impl FnMut(HeaderName, &HeaderValue),
    ) {
        each(X_FORWARDED_FOR, &self.address);
        each(X_FORWARDED_PROTO, &self.scheme);
        each(X_FORWARDED_PORT, &self.port);
        if let Some(host) = host {
            each(X_FORWARDED_HOST, host);
        }
    }
}

/// A forwarded-element that says who asks.
pub(super) fn node(address: Option<IpAddr>) -> String {
    match address {
        Some(IpAddr::V6(address)) => format!("for=\"[{address}]\""),
        Some(address) => format!("for={address}"),
        None => "for=unknown".to_owned(),
    }
}

/// What an element says of the client's side: host and scheme.
pub(super) fn side(host: Option<&HeaderValue>, is_https: bool) -> String {
    self::host(host) + if is_https { ";proto=https" } else { ";proto=http" }
}

/// What an element says of the host.
pub(super) fn host(host: Option<&HeaderValue>) -> String {
    let host = host.and_then(|host| host.to_str().ok()).filter(|host| !host.is_empty());
    // A checked host holds neither quotes nor backslashes.
    host.map_or_else(String::new, |host| format!(";host=\"{host}\""))
}

/// Takes away what nobody vouches for, before plugins see it: both families of an untrusted client,
/// and of a trusted proxy the family that it does not write. What says in another way what the
/// account of the client says too goes, or says the same.
pub(super) fn withdraw(headers: &mut HeaderMap, exchange: &Exchange, survey: &Survey) {
    let family = &exchange.connection.listener.config.forwarded_by;
    let is_believed =
        |wanted: ForwardedFamily| exchange.connection.peer_is_trusted && *family == wanted;
    if survey.forwarded && !is_believed(ForwardedFamily::Forwarded) {
        headers.remove(FORWARDED);
    }
    if !survey.x_forwarded {
        return;
    }
    if !is_believed(ForwardedFamily::XForwarded) {
        return remove_x_forwarded(headers);
    }
    for name in OTHER_WORDS {
        headers.remove(name);
    }
    if headers.contains_key(X_REAL_IP)
        && let Ok(address) = HeaderValue::try_from(exchange.client().to_string())
    {
        headers.insert(X_REAL_IP, address);
    }
}

/// Writes the families that are to be added as lines of HTTP/1.1, from one account.
pub(super) fn write(
    out: &mut Vec<u8>,
    exchange: &Exchange,
    target: &Target,
    families: AddedFields,
) {
    if let Some(told) = exchange.what_was_told() {
        return told_fields(told, families, |name, value| write_line(out, &name, value.as_bytes()));
    }
    exchange.connection.forwarded.with(target.field(), |last| {
        let start = if families.x_forwarded { 0 } else { last.forwarded_at };
        let end = if families.forwarded { last.lines.len() } else { last.forwarded_at };
        out.extend_from_slice(last.lines.get(start..end).unwrap_or_default());
    });
}

/// Puts the families that are to be added into the request's fields, from one account.
pub(super) fn insert(
    headers: &mut HeaderMap,
    exchange: &Exchange,
    target: &Target,
    families: AddedFields,
) {
    let mut each = |name: HeaderName, value: &HeaderValue| {
        headers.insert(name, value.clone());
    };
    if let Some(told) = exchange.what_was_told() {
        return told_fields(told, families, each);
    }
    let (cache, host) = (&exchange.connection.forwarded, target.field());
    if families.x_forwarded {
        cache.x_forwarded(host, &mut each);
    }
    if families.forwarded {
        cache.with(host, |last| each(FORWARDED, &last.forwarded));
    }
}

/// What was told by a proxy.
fn told_fields(told: &Told, families: AddedFields, mut each: impl FnMut(HeaderName, &HeaderValue)) {
    if families.x_forwarded {
        each(X_FORWARDED_FOR, &told.x_forwarded_for);
        let scheme = if told.is_https { "https" } else { "http" };
        each(X_FORWARDED_PROTO, &HeaderValue::from_static(scheme));
        each(X_FORWARDED_PORT, &HeaderValue::from(told.port));
        if let Some(host) = &told.host {
            each(X_FORWARDED_HOST, host);
        }
    }
    if families.forwarded {
        each(FORWARDED, &told.forwarded);
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
