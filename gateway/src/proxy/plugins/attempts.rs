//! Another attempt that a plugin asks for.
//!
//! Owns what is kept of a request that was sent, and the request of the next attempt. Only where a plugin of
//! the route may ask for one; requests of other routes are not kept.

use std::rc::Rc;

use http::Response;
use http::request::Parts;

use crate::body::{Body, Replay};
use crate::chain::{Again, Run};
use crate::config::{Action, RETRY_BODY, UpstreamId};
use crate::error::Failure;
use crate::exchange::Exchange;
use crate::heads::Attempts;
use crate::proxy::action::{Matched, act, rewrite, split};
use crate::proxy::request::hop_by_hop::Hop;
use crate::proxy::request::target::Target;
use crate::proxy::request::{FoundRoute, PreparedRequest};

/// A request that was sent to an upstream.
pub(super) struct Sent {
    head: Parts,
    hop: Hop,
    body: Option<Replay>,
    chosen_path: Option<String>,
    upstream: UpstreamId,
    count: u32,
}

impl Sent {
    /// What plugins learn of it.
    pub(super) fn attempts(&self) -> Attempts {
        let is_whole = self.body.as_ref().is_none_or(Replay::is_whole);
        Attempts { sent: self.count, is_whole }
    }
}

/// Keeps a request that is about to be sent. One for another protocol is sent once.
pub(super) fn keep(
    exchange: &Exchange,
    matched: &Matched<'_>,
    action: &Action,
    request: &mut PreparedRequest,
) -> Option<Box<Sent>> {
    let upstream = split::upstream_of(exchange, action)?;
    if request.hop.upgrade.is_some() {
        return None;
    }
    let has_body = !http_body::Body::is_end_stream(&request.body);
    let body = has_body.then(|| {
        let limit = matched.found.route.retries.as_ref().map_or(RETRY_BODY, |it| it.body);
        let body = std::mem::take(&mut request.body);
        let kept = Replay::new(body, limit, &exchange.snapshot.shared.bodies);
        request.body = kept.read();
        kept
    });
    Some(Box::new(Sent {
        head: request.head.clone(),
        hop: request.hop.clone(),
        body,
        chosen_path: matched.chosen_path.map(str::to_owned),
        upstream,
        count: 1,
    }))
}

/// Sends it as the plugin wants it.
pub(super) async fn send_again(
    exchange: &Rc<Exchange>,
    run: &Run,
    found: &FoundRoute<'_>,
    target: &Target,
    sent: &mut Sent,
    mut again: Again,
) -> Result<Response<Body>, Failure> {
    sent.count += 1;
    if let Some(name) = &again.upstream {
        let chosen = exchange.snapshot.upstream_named(name);
        sent.upstream = chosen.ok_or(Failure::Internal("a granted upstream is not there"))?;
    }
    again.write(&mut sent.head.headers);
    if let Some((target, has_path)) = &again.target {
        if target.query() != sent.head.uri.query() {
            sent.head.uri = rewrite::with_query(&sent.head.uri, target.query())?;
        }
        if *has_path {
            sent.chosen_path = Some(target.path().to_owned());
        }
    }
    if let Some(body) = again.body.take() {
        let limit = body.len();
        let body = Body::full(body);
        let is_empty = http_body::Body::is_end_stream(&body);
        let quota = &exchange.snapshot.shared.bodies;
        sent.body = (!is_empty).then(|| Replay::new(body, limit, quota));
    }
    if !again.wait.is_zero() {
        exchange.timers().after(again.wait).await;
    }
    let body = sent.body.as_ref().map_or_else(Body::empty, Replay::read);
    let (head, hop) = (sent.head.clone(), sent.hop.clone());
    let request = Box::new(PreparedRequest { head, body, hop });
    let matched = Matched { found, target, chosen_path: sent.chosen_path.as_deref() };
    let variant = variant_of(&found.route.action, sent.upstream, exchange.variant());
    run.forwarded_to(exchange.snapshot.upstream_name(sent.upstream), variant);
    exchange.is_sent_again();
    act(exchange, &matched, &Action::Forward(sent.upstream), request).await
}

/// The variant of a route that an upstream is: the request's own, if it is the same upstream still.
fn variant_of(action: &Action, upstream: UpstreamId, own: Option<usize>) -> Option<usize> {
    let Action::Split(split) = action else { return own };
    let is_it = |index: &usize| split.variants[*index].upstream == upstream;
    own.filter(is_it).or_else(|| (0..split.variants.len()).find(is_it))
}
