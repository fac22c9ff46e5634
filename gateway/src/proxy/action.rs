//! What a route does with a request that came through its plugins.
//!
//! Owns the choice among the actions. Each is its own module.

pub(super) mod component;
pub(super) mod forward;
pub(super) mod forwarded;
mod hash_key;
mod mirror;
pub(super) mod redirect;
pub(super) mod respond;
pub(super) mod rewrite;
pub(super) mod split;
pub(super) mod template;

use std::rc::Rc;

use http::Response;

use super::request::target::Target;
use super::request::{FoundRoute, PreparedRequest};
use crate::body::Body;
use crate::config::Action;
use crate::error::Failure;
use crate::exchange::Exchange;

/// What a request is for, as far as it decides what goes out.
pub(super) struct Matched<'a> {
    pub(super) found: &'a FoundRoute<'a>,
    pub(super) target: &'a Target,
    /// The path that a plugin put there instead of the one that was matched.
    pub(super) chosen_path: Option<&'a str>,
}

/// Does what the route says with a request that came through its plugins.
pub(super) async fn act(
    exchange: &Rc<Exchange>,
    matched: &Matched<'_>,
    action: &Action,
    request: Box<PreparedRequest>,
) -> Result<Response<Body>, Failure> {
    let upstream = match action {
        Action::Forward(upstream) => *upstream,
        // Settled before: a request has one variant.
        Action::Split(split) => split::settled(exchange, split)?,
        Action::Respond(fixed) => return Ok(respond::fixed(exchange, fixed)),
        Action::Redirect(to) => {
            return redirect::redirect(exchange, matched, to, &request.head);
        }
        // Boxed, so that routes without one do not carry its state around.
        Action::Component(component) => {
            return Box::pin(component::answer(exchange, matched, *component, request)).await;
        }
    };
    forward::forward(exchange, matched, upstream, request).await
}
