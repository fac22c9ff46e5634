//! What a request is hashed by, where the upstream chooses its target so.
//!
//! Owns that the key is made of what a plugin of the route may have set. What becomes of it is the upstream's affair.

use http::request::Parts;

use super::{Matched, split};
use crate::access_log::Attributes as _;
use crate::exchange::Exchange;
use crate::upstream::Upstream;

/// The key of a request; `None` if the upstream needs none, or the request has no value there.
pub(super) fn of(
    exchange: &Exchange,
    upstream: &Upstream,
    matched: &Matched<'_>,
    head: &Parts,
) -> Option<u64> {
    let by = upstream.hash_by()?;
    let attribute = |name: &str, look: &mut dyn FnMut(&str)| match exchange.run() {
        Some(run) => run.look(name, look),
        None => split::own_attribute(exchange, matched, head, name, look),
    };
    split::hashed(by, 0, exchange, &head.headers, &attribute)
}
