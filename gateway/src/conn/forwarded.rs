//! `X-Forwarded-*` and `Forwarded` (RFC 7239) of one connection.
//!
//! Owns the notation of both families, and the values that are the same for every request of a
//! connection. Must not decide which of them are sent, nor whose words are believed.

use std::cell::RefCell;
use std::net::IpAddr;

use http::header::FORWARDED;
use http::{HeaderName, HeaderValue};

use crate::upstream::write_line;

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
/// The values of one connection.
#[derive(Debug)]
pub(crate) struct ForwardedCache {
    address: HeaderValue,
    port: HeaderValue,
    scheme: HeaderValue,
    /// What goes with the `Host` of the last request.
    last: RefCell<Option<Last>>,
}

/// What goes with one value of `Host`.
#[derive(Debug)]
pub(crate) struct Last {
    host: Option<HeaderValue>,
    pub(crate) forwarded: HeaderValue,
    /// `X-Forwarded-*` and then `Forwarded`, as lines of HTTP/1.1.
    pub(crate) lines: Vec<u8>,
    /// Where in them `Forwarded` begins.
    pub(crate) forwarded_at: usize,
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
    pub(crate) fn with<T>(&self, host: Option<&HeaderValue>, look: impl FnOnce(&Last) -> T) -> T {
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

    pub(crate) fn x_forwarded(
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
pub(crate) fn node(address: Option<IpAddr>) -> String {
    match address {
        Some(IpAddr::V6(address)) => format!("for=\"[{address}]\""),
        Some(address) => format!("for={address}"),
        None => "for=unknown".to_owned(),
    }
}

/// What an element says of the client's side: host and scheme.
pub(crate) fn side(host: Option<&HeaderValue>, is_https: bool) -> String {
    self::host(host) + if is_https { ";proto=https" } else { ";proto=http" }
}

/// What an element says of the host.
pub(crate) fn host(host: Option<&HeaderValue>) -> String {
    let host = host.and_then(|host| host.to_str().ok()).filter(|host| !host.is_empty());
    // A checked host holds neither quotes nor backslashes.
    host.map_or_else(String::new, |host| format!(";host=\"{host}\""))
}
