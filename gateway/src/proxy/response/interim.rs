//! Interim responses of an upstream, such as 103 (RFC 9110 section 15.2).
//!
//! Owns which of them, and which of their fields, a client gets. hyper has no way to send them: over
//! HTTP/1.1 they are put into the stream of bytes beneath it.

use std::io::Write as _;

use http::header::{CONTENT_LENGTH, HeaderMap, LINK, TRAILER};
use http::{StatusCode, Version};

use crate::exchange::Exchange;
use crate::heads::strip_hop_by_hop;
use crate::proxy::request::checks::has_outer_space;
use crate::upstream::write_fields;

/// Passes one on. Where the client `expects` a 100, it gets one as soon as the body is asked for.
pub(in crate::proxy) fn pass_on(
    exchange: &Exchange,
    status: StatusCode,
    mut fields: HeaderMap,
    expects: bool,
) {
    // HTTP/1.0 has none.
    if exchange.is_background()
        || exchange.version < Version::HTTP_11
        || (expects && status == StatusCode::CONTINUE)
    {
        return;
    }
    // Malformed over HTTP/2 (RFC 9113 section 8.2.1).
    if fields.values().any(has_outer_space) {
        return;
    }
    strip_hop_by_hop(&mut fields);
    fields.remove(CONTENT_LENGTH);
    fields.remove(TRAILER);
    if exchange.has_plugins() {
        // They see the final response alone, and what they would take out of it must not go before it.
        let links: Vec<_> = fields.get_all(LINK).iter().cloned().collect();
        fields.clear();
        fields.extend(links.into_iter().map(|link| (LINK, link)));
    }
    if let Some(stream) = exchange.stream() {
        return stream.send_interim(status, fields);
    }
    let mut head = Vec::with_capacity(256);
    let reason = status.canonical_reason().unwrap_or_default();
    let _into_memory = write!(head, "HTTP/1.1 {} {reason}\r\n", status.as_str());
    write_fields(&mut head, &fields);
    head.extend_from_slice(b"\r\n");
    exchange.connection.send_interim(&head);
}
