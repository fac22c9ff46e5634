//! A request that a plugin has sent in the background, while its client is answered from the cache.
//!
//! Owns its exchange, which has no client: it is in no log, and counts as no request of a client. The plugins behind
//! the one that asked see it, and the response passes them and that one.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use http::Request;

use super::pass;
use crate::body::Body;
use crate::chain::Run;
use crate::exchange::Exchange;
use crate::plugin::InBackground;
use crate::proxy::request::hop_by_hop::Hop;
use crate::proxy::request::target::Target;
use crate::proxy::request::{FoundRoute, PreparedRequest};

/// The longest time for one. The upstream's own limits apply before.
const TIME: Duration = Duration::from_mins(10);

/// Sends it, and does not wait for it.
pub(super) fn send(
    exchange: &Rc<Exchange>,
    run: &Run,
    found: &FoundRoute<'_>,
    target: &Target,
    request: &PreparedRequest,
    (index, background): (usize, Box<InBackground>),
) {
    background.cache.counts.sent_in_background();
    let run = match run.in_background(index, *background) {
        Ok(run) => run,
        Err(failure) => {
            tracing::warn!(
                request_id = exchange.id(),
                fault = "plugin",
                "no request was sent in the background: {failure}"
            );
            return;
        }
    };
    let mut head = Request::new(());
    *head.method_mut() = request.head.method.clone();
    *head.uri_mut() = request.head.uri.clone();
    *head.version_mut() = request.head.version;
    let (head, ()) = head.into_parts();
    let hop = Hop { has_request_id: request.hop.has_request_id, ..Hop::default() };
    let request = Box::new(PreparedRequest { head, body: Body::empty(), hop });
    let FoundRoute { index, pattern, captures, .. } = found;
    let (index, pattern, captures) = (*index, *pattern, captures.clone());
    let (exchange, target) = (exchange.in_background(), target.clone());
    tokio::task::spawn_local(async move {
        exchange.runs(Rc::clone(&run));
        let route = &exchange.snapshot.config.routes[index];
        let found = FoundRoute { route, index, pattern, captures };
        let passed = async {
            let response = pass(&exchange, &run, &found, &target, request).await;
            read(response.into_body()).await;
        };
        let _in_time = tokio::time::timeout(TIME, passed).await;
    });
}

/// Reads a body to its end: what is stored of it is stored then.
async fn read(body: Body) {
    let mut body = pin!(body);
    while let Some(Ok(_)) =
        poll_fn(|context| http_body::Body::poll_frame(body.as_mut(), context)).await
    {}
}
