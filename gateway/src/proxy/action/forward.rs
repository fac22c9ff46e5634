//! To the upstream and back.
//!
//! Owns the wait for the response head: it ends with the response, or with a failure of the
//! request's own body. The bodies stream on after it.

mod buffered;
mod grpc_web;
mod repeated;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use http::header::{CONNECTION, CONTENT_TYPE, EXPECT};
use http::{HeaderValue, Request, Response, StatusCode, Version};

use crate::body::{Body, BodyError};
use crate::config::{HostPolicy, UpstreamId};
use crate::error::Failure;
use crate::exchange::{Answerer, Exchange};
use crate::proxy::action::rewrite;
use crate::proxy::action::{Matched, hash_key, mirror};
use crate::proxy::request::PreparedRequest;
use crate::proxy::request::hop_by_hop as request_fields;
use crate::proxy::response::hop_by_hop as response_fields;
use crate::proxy::response::interim;
use crate::proxy::response::upgrade;
use crate::upstream::{self, Along, Tried, Upstream, UpstreamError};

/// Sends the request on and makes the client's response of what comes back.
pub(in crate::proxy) async fn forward(
    exchange: &Rc<Exchange>,
    matched: &Matched<'_>,
    id: UpstreamId,
    request: Box<PreparedRequest>,
) -> Result<Response<Body>, Failure> {
    let PreparedRequest { mut head, mut body, mut hop } = *request;
    let upstream = exchange.snapshot.upstream(id);
    // Before the target is rewritten, of which it may be a part.
    let key = hash_key::of(exchange, upstream, matched, &head);
    let settings = &exchange.snapshot.config.upstreams[id.0];
    let web = match settings.grpc_web {
        false => None,
        true => grpc_web::translate(exchange, &mut head, &mut body, &mut hop),
    };
    if let Some(limit) = settings.buffer_request_bodies
        && hop.upgrade.is_none()
        && buffered::is_needed(&body)
    {
        // Boxed, so that others do not carry its state around.
        let time = settings.timeouts.request_body;
        body = Box::pin(buffered::read(exchange, id, &mut head.headers, body, limit, time)).await?;
    }
    let fields = settings.added_fields;
    let added = request_fields::announce(exchange, &mut head.headers, matched, &hop, fields);
    let host = rewrite::apply(exchange, matched, &mut head, upstream.host_policy())?;
    head.extensions.clear();
    // If the body was read, for example by a plugin, hyper has sent the 100 already.
    let expects = hop.expects && exchange.awaits_upload() && head.headers.contains_key(EXPECT);
    if hop.expects && !expects {
        head.headers.remove(EXPECT);
    }
    let mut request = Request::from_parts(head, body);
    exchange.forwards_to(id);
    let tell = |status, fields| interim::pass_on(exchange, status, fields, expects);
    let first_byte = exchange.run().and_then(|run| run.first_byte());
    let along = Along { added: Some(&added), interim: Some(&tell), key, first_byte };
    let mut place = match upstream.has_places() {
        false => None,
        // Boxed, so that others do not carry its state around.
        true => Box::pin(upstream.place()).await.map_err(|source| {
            let upstream = Arc::clone(exchange.snapshot.upstream_name(id));
            Failure::UpstreamFull { upstream, source }
        })?,
    };
    // Boxed, so that others do not carry it around.
    let copy = matched.found.route.mirror.as_ref();
    let copy = copy.filter(|_| hop.upgrade.is_none() && exchange.is_first_sent());
    let copy = copy.and_then(|mirror| {
        let own = exchange.snapshot.upstream(mirror.upstream).host_policy();
        let own = if rewrite::of(exchange, matched).host.is_some() { host } else { own };
        mirror::keep(exchange, mirror, &mut request, own, &added).map(|copy| (copy, mirror))
    });
    exchange.is_sent();
    let retries = matched.found.route.retries.as_ref().filter(|_| hop.upgrade.is_none());
    let answer = match retries {
        None => send(exchange, upstream, &mut request, host, along).await,
        // Boxed, so that others do not carry its state around.
        Some(retries) => {
            Box::pin(repeated::send(exchange, upstream, request, host, along, retries)).await
        }
    };
    if let Some((copy, mirror)) = copy
        && let Some(counts) = &exchange.snapshot.shared.mirrors[matched.found.index]
    {
        let status = answer.as_ref().ok().map(|answer| answer.response.status());
        copy.send(exchange, mirror, counts, status);
    }
    let mut answer = answer?;
    if let Some(place) = &mut place {
        place.is_answered(answer.response.status());
    }
    answer.lease.holds(place);
    exchange.is_answered_upstream();
    exchange.answered_by(Answerer::Upstream(id));
    if answer.response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return upgrade::accept(exchange, hop, answer.response, answer.lease);
    }
    let idle = settings.timeouts.idle;
    let (mut head, body) = answer.response.into_parts();
    response_fields::refuse_malformed(&head)?;
    exchange.is_of_type(head.headers.get(CONTENT_TYPE));
    response_fields::prepare(exchange, &mut head.headers, head.version);
    // A response is in the version of its own hop (RFC 9110 section 2.5).
    head.version = Version::HTTP_11;
    if expects && exchange.awaits_upload() && exchange.version < Version::HTTP_2 {
        // The client may send its body all the same or not: what follows is not known.
        head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let mut body = Body::answered(body);
    body.monitor_upstream(answer.lease, exchange.timers(), idle);
    if let Some(web) = web {
        body = web.translate(&mut head, body);
    }
    Ok(Response::from_parts(head, body))
}

/// Dropping what is sent abandons it: the upstream's connection is closed or its stream reset.
async fn send(
    exchange: &Exchange,
    upstream: &Upstream,
    request: &mut Request<Body>,
    host: &HostPolicy,
    along: Along<'_>,
) -> Result<upstream::Answered, Failure> {
    let watches_body = !http_body::Body::is_end_stream(request.body());
    let mut tried = Tried::new();
    let sent = pin!(upstream.send_noting(request, host, along, exchange.tries(), &mut tried));
    until_upload_fails(exchange, watches_body, sent).await
}

async fn until_upload_fails(
    exchange: &Exchange,
    watches_body: bool,
    mut sent: Pin<&mut impl Future<Output = Result<upstream::Answered, UpstreamError>>>,
) -> Result<upstream::Answered, Failure> {
    poll_fn(|context| {
        let polled = sent.as_mut().poll(context);
        if let Poll::Ready(Ok(answer)) = polled {
            return Poll::Ready(Ok(answer));
        }
        if watches_body && let Some(failure) = exchange.poll_upload_failure(context) {
            return Poll::Ready(Err(failure));
        }
        if let Poll::Ready(Err(error)) = polled {
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
            return Some(cut_off_by(plugin));
        }
        cause = error.source();
    }
    None
}

/// The failure of a plugin that cut a request's body off.
fn cut_off_by(plugin: &str) -> Failure {
    let source = "it failed at the request body, or cut it off".into();
    Failure::PluginFailed { plugin: plugin.to_owned(), source }
}
