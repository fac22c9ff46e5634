//! To a component that answers, and back.
//!
//! Owns what a component is shown of a request, and the wait for the head of its response. Its
//! response is the gateway's own, so that no `Via` is added to it.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use http::header::{CONTENT_TYPE, EXPECT, HOST};
use http::{HeaderValue, Request, Response};

use crate::body::Body;
use crate::component::{Call, Instances};
use crate::config::{AccessLog, AddedFields, ComponentId, HostPolicy};
use crate::error::Failure;
use crate::exchange::{Answerer, Exchange};
use crate::proxy::action::Matched;
use crate::proxy::action::rewrite;
use crate::proxy::request::PreparedRequest;
use crate::proxy::request::hop_by_hop as request_fields;
use crate::proxy::response::hop_by_hop as response_fields;
use crate::share::Flow;
use crate::upstream::Added as _;

/// Has the component answer.
pub(in crate::proxy) async fn answer(
    exchange: &Rc<Exchange>,
    matched: &Matched<'_>,
    id: ComponentId,
    request: Box<PreparedRequest>,
) -> Result<Response<Body>, Failure> {
    let PreparedRequest { mut head, body, mut hop } = *request;
    let component = exchange.snapshot.component(id);
    // `wasi:http` has no upgrades.
    hop.upgrade = None;
    hop.websocket_key = None;
    let fields = AddedFields::default();
    let added = request_fields::announce(exchange, &mut head.headers, matched, &hop, fields);
    added.insert(&mut head.headers);
    rewrite::apply(exchange, matched, &mut head, &HostPolicy::Preserve)?;
    head.extensions.clear();
    if hop.expects {
        // The client gets the 100 when the component reads the body.
        head.headers.remove(EXPECT);
    }
    // Only HTTP/1.0 can do without a host, and `wasi:http` cannot.
    head.headers.entry(HOST).or_insert(HeaderValue::from_static("localhost"));
    if matches!(exchange.access_log(), AccessLog::All | AccessLog::Named(_)) {
        exchange.forwarded_to(&format!("component {}", component.name()));
    }
    let flow = exchange.snapshot.component_flow(matched.found.index);
    let flow = flow.ok_or(Failure::Internal("the route has no component"))?;
    exchange.is_sent();
    let mut response = run(exchange, component, flow, Request::from_parts(head, body)).await?;
    exchange.is_answered_upstream();
    exchange.answered_by(Answerer::Component(id));
    exchange.is_of_type(response.headers().get(CONTENT_TYPE));
    response_fields::strip(exchange, response.headers_mut());
    Ok(response)
}

/// Dropping what runs ends the instance.
async fn run(
    exchange: &Exchange,
    component: &Instances,
    flow: &Rc<Flow>,
    request: Request<Body>,
) -> Result<Response<Body>, Failure> {
    let watches_body = !http_body::Body::is_end_stream(request.body());
    let call = Call { flow, is_tls: exchange.is_https(), request_id: exchange.id() };
    let mut answered = pin!(component.answer(request, call));
    poll_fn(|context| {
        let polled = answered.as_mut().poll(context);
        // First of all: what a guest makes of a request that broke off, or was cut off, is nothing
        // to go by.
        if watches_body && let Some(failure) = exchange.poll_upload_failure(context) {
            return Poll::Ready(Err(failure));
        }
        polled.map_err(|error| Failure::Component {
            component: Arc::clone(component.name()),
            source: Arc::new(error),
        })
    })
    .await
}
