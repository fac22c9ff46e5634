//! What the upstream learns about the client: `X-Forwarded-*` and `Forwarded` (RFC 7239).
//!
//! Owns the rule that only the fields of a trusted peer are passed on, in the one family that it
//! writes. The notation is that of [`crate::conn::forwarded`].

use http::header::{FORWARDED, HeaderMap};
use http::{HeaderName, HeaderValue};

use crate::config::{AddedFields, ForwardedFamily};
use crate::conn::Client;
use crate::conn::forwarded::{
    X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO,
};
use crate::exchange::Exchange;
use crate::proxy::request::checks::Checked;
use crate::proxy::request::target::Target;
use crate::upstream::write_line;

const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// What some services read instead of `x-forwarded-proto`, and proxies do not all overwrite.
const OTHER_WORDS: [&str; 3] = ["x-forwarded-scheme", "x-forwarded-ssl", "x-forwarded-protocol"];

/// Takes away what nobody vouches for, before plugins see it: both families of an untrusted client,
/// and of a trusted proxy the family that it does not write. What says in another way what the
/// account of the client says too goes, or says the same.
pub(in crate::proxy) fn withdraw(headers: &mut HeaderMap, exchange: &Exchange, checked: &Checked) {
    let family = &exchange.facts().listener.config.forwarded_by;
    let is_believed =
        |wanted: ForwardedFamily| exchange.facts().peer_is_trusted && *family == wanted;
    if checked.forwarded && !is_believed(ForwardedFamily::Forwarded) {
        headers.remove(FORWARDED);
    }
    if !checked.x_forwarded {
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
pub(in crate::proxy) fn write(
    out: &mut Vec<u8>,
    exchange: &Exchange,
    target: &Target,
    families: AddedFields,
) {
    if let Some(client) = exchange.forwarded_client() {
        return client_fields(client, families, |name, value| {
            write_line(out, &name, value.as_bytes())
        });
    }
    exchange.facts().forwarded.with(target.field(), |last| {
        let start = if families.x_forwarded { 0 } else { last.forwarded_at };
        let end = if families.forwarded { last.lines.len() } else { last.forwarded_at };
        out.extend_from_slice(last.lines.get(start..end).unwrap_or_default());
    });
}

/// Puts the families that are to be added into the request's fields, from one account.
pub(in crate::proxy) fn insert(
    headers: &mut HeaderMap,
    exchange: &Exchange,
    target: &Target,
    families: AddedFields,
) {
    let mut each = |name: HeaderName, value: &HeaderValue| {
        headers.insert(name, value.clone());
    };
    if let Some(client) = exchange.forwarded_client() {
        return client_fields(client, families, each);
    }
    let (cache, host) = (&exchange.facts().forwarded, target.field());
    if families.x_forwarded {
        cache.x_forwarded(host, &mut each);
    }
    if families.forwarded {
        cache.with(host, |last| each(FORWARDED, &last.forwarded));
    }
}

/// The account that a trusted proxy gave.
fn client_fields(
    client: &Client,
    families: AddedFields,
    mut each: impl FnMut(HeaderName, &HeaderValue),
) {
    if families.x_forwarded {
        each(X_FORWARDED_FOR, &client.x_forwarded_for);
        let scheme = if client.is_https { "https" } else { "http" };
        each(X_FORWARDED_PROTO, &HeaderValue::from_static(scheme));
        each(X_FORWARDED_PORT, &HeaderValue::from(client.port));
        if let Some(host) = &client.host {
            each(X_FORWARDED_HOST, host);
        }
    }
    if families.forwarded {
        each(FORWARDED, &client.forwarded);
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
