//! The field by which a caller asks for its request to be recorded and reported.
//!
//! Owns that nobody behind the gateway sees it: where there is a debug secret, the field goes away
//! no matter what it holds.

use http::HeaderName;
use http::request::Parts;

use crate::exchange::Exchange;

/// The field.
pub(in crate::proxy) const GATEWAY_DEBUG: HeaderName = HeaderName::from_static("gateway-debug");

/// Takes the field, and notes whether it holds the secret.
#[cold]
pub(in crate::proxy) fn take(exchange: &Exchange, head: &mut Parts) {
    let Some(rules) = &exchange.snapshot.shared.recorder else { return };
    if !rules.has_secret() {
        return;
    }
    let mut lines = head.headers.get_all(&GATEWAY_DEBUG).iter();
    if lines.any(|line| rules.is_secret(line.as_bytes())) {
        exchange.is_debugged();
    }
    head.headers.remove(&GATEWAY_DEBUG);
}
