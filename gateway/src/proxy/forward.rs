//! To the upstream and back.
//!
//! Owns the wait for the response head: it ends with the response, or with a failure of the
//! request's own body. The bodies stream on after it.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use http::request::Parts;
use http::{Request, Response, StatusCode};

use super::request_headers::Hop;
use super::survey::Survey;
use super::{Matched, request_headers, response_headers, rewrite, upgrade};
use crate::body::{Body, BodyError, Origin};
use crate::config::{AccessLog, HostPolicy, UpstreamId};
use crate::error::Failure;
use crate::exchange::Exchange;
use crate::upstream::{self, Upstream, UpstreamError};

/// Sends the request on and makes the client's response of what comes back.
pub(super) async fn forward(
    exchange: &Rc<Exchange>,
    matched: &Matched<'_>,
    id: UpstreamId,
    request: Box<Outgoing<'_>>,
) -> Result<Response<Body>, Failure> {
    let Outgoing { mut head, body, survey, hop } = *request;
    let upstream = exchange.snapshot.upstream(id);
    request_headers::announce(exchange, &mut head.headers, survey, matched.target, &hop);
    let host = rewrite::apply(exchange, matched, &mut head, upstream.host_policy())?;
    head.extensions.clear();
    let mut request = Request::from_parts(head, body);
    let answer = send(exchange, upstream, &mut request, host).await?;
    exchange.answered_by(exchange.snapshot.upstream_name(id));
    note_target(exchange, &answer.info.authority);
    if answer.response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return upgrade::accept(exchange, hop.upgrade, answer.response);
    }
    let idle = exchange.snapshot.config.upstreams[id.0].timeouts.idle;
    let (mut head, body) = answer.response.into_parts();
    response_headers::prepare(exchange, &mut head.headers, head.version);
    head.extensions.clear();
    let mut body = Body::answered(body);
    body.watch_origin(Origin::new(answer.lease, exchange.timers().clone(), idle));
    Ok(Response::from_parts(head, body))
}

/// A request that is ready to go but for what the gateway adds to it. It goes through several
/// hands and is large, so that they pass it on in a box.
pub(super) struct Outgoing<'a> {
    pub(super) head: Parts,
    pub(super) body: Body,
    pub(super) survey: &'a Survey,
    pub(super) hop: Hop,
}

/// Dropping what is sent gives it up: the upstream's connection is closed or its stream reset.
async fn send(
    exchange: &Exchange,
    upstream: &Upstream<Body>,
    request: &mut Request<Body>,
    host: &HostPolicy,
) -> Result<upstream::Exchange<Body>, Failure> {
    let watches_body = !http_body::Body::is_end_stream(request.body());
    let mut sent = pin!(upstream.send(request, host));
    poll_fn(|context| {
        let polled = sent.as_mut().poll(context);
        if let Poll::Ready(Ok(answer)) = polled {
            return Poll::Ready(Ok(answer));
        }
        if watches_body && let Some(failure) = exchange.poll_upload_failure(context) {
            return Poll::Ready(Err(failure));
        }
        if let Poll::Ready(Err(error)) = polled {
            note_target(exchange, error.target());
            return Poll::Ready(Err(ended_by_plugin(&error).unwrap_or_else(|| error.into())));
        }
        Poll::Pending
    })
    .await
}

/// The plugin that cut the request's body off, if one did.
fn ended_by_plugin(error: &UpstreamError) -> Option<Failure> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(BodyError::Plugin(plugin)) = error.downcast_ref() {
            let source = "it failed at the request body, or cut it off".into();
            return Some(Failure::PluginFailed { plugin: plugin.to_string(), source });
        }
        cause = error.source();
    }
    None
}

/// For the log, where every exchange is logged; a failed one names its target itself.
fn note_target(exchange: &Exchange, target: &str) {
    if exchange.snapshot.config.process.access_log == AccessLog::All {
        exchange.forwarded_to(target);
    }
}
