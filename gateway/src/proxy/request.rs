//! A request before its plugins, in the order of the steps.

pub(super) mod checks;
pub(super) mod client_address;
pub(super) mod debug;
pub(super) mod hop_by_hop;
pub(super) mod id;
pub(super) mod limits;
pub(super) mod max_forwards;
pub(super) mod route;
pub(super) mod target;

use http::request::Parts;

pub(super) use self::route::FoundRoute;
use crate::body::Body;

/// A request that is ready to go but for what the gateway adds to it. It goes through several
/// hands and is large, so that they pass it on in a box.
pub(super) struct PreparedRequest {
    pub(super) head: Parts,
    pub(super) body: Body,
    pub(super) hop: hop_by_hop::Hop,
}
