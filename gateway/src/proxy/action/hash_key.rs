//! What a request is hashed by, where the upstream chooses its target so.
//!
//! Owns that the key is made of what a plugin of the route may have set. What becomes of it is the upstream's affair.

use http::HeaderMap;

use super::split;
use crate::access_log::Attributes as _;
use crate::exchange::Exchange;
use crate::upstream::Upstream;

/// The key of a request; `None` if the upstream needs none, or the request has no value there.
pub(super) fn of(exchange: &Exchange, upstream: &Upstream, headers: &HeaderMap) -> Option<u64> {
    let attribute = |name: &str| {
        let mut found = None;
        exchange.run()?.look(name, &mut |value| found = Some(value.into()));
        found
    };
    split::hashed(upstream.hash_by()?, 0, exchange, headers, &attribute)
}
