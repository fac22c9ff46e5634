//! The path of a request, top to bottom.
//!
//! Owns the order of the steps; each is a function in its own file. Every failure, from
//! anywhere, ends here, becomes a problem document, and takes the form that its client reads.

mod action;
mod end;
mod plugins;
mod refusal;
mod request;
mod response;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use http::request::Parts;
use http::{Request, Response};

use self::action::Matched;
use self::refusal::{refuse, refuse_early};
use self::request::hop_by_hop::Hop;
use self::request::{
    PreparedRequest, checks, client_address, debug, hop_by_hop, id, limits, max_forwards, route,
    target,
};
use crate::body::{Body, FromClient, Observer as _};
use crate::chain::Endings;
use crate::conn::{Downstream, Stream};
use crate::error::Failure;
use crate::exchange::{Application, AtEnd, Exchange, ExchangeInit, WorkerState};
use crate::respond;
use crate::usage::Cells;

/// The request path, as workers serve it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proxy;

impl Application for Proxy {
    fn observers(self, endings: &Endings, usage: &Rc<Cells>) -> Box<[Box<dyn AtEnd>]> {
        end::observers(endings, usage)
    }

    fn handle(
        self,
        worker: Rc<WorkerState>,
        connection: Rc<dyn Downstream>,
        request: Request<FromClient>,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> {
        handle(worker, connection, request)
    }
}

/// Answers one request, always; over HTTP/1.1 the future goes to hyper as it is, since a wrapper would
/// copy it.
async fn handle(
    worker: Rc<WorkerState>,
    connection: Rc<dyn Downstream>,
    request: Request<FromClient>,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let stream = match &body {
        FromClient::Http1(_) => None,
        FromClient::Http2(_, stream) | FromClient::Connect(stream) => Some(Rc::clone(stream)),
    };
    let body = Body::from_client(body, &connection);
    let exchange = begin(worker, connection, stream, &head);
    // Boxed: it goes through several hands, and would be copied from the state of each to the next.
    let request = Box::new(PreparedRequest { head, body, hop: Hop::default() });
    let ran = run(&exchange, request).await;
    let mut response = ran.unwrap_or_else(|failure| refuse(&exchange, failure));
    if is_no_tunnel(&exchange, &response) {
        response = refuse(&exchange, Failure::NotSwitched(response.status()));
    }
    // The log and the plugins get this one: to a client of gRPC each refusal is a 200.
    let status = response.status();
    if respond::is_refusal(&response) {
        // Boxed, so that other requests do not carry its state around.
        Box::pin(refusal::finish(&exchange, &mut response)).await;
    }
    if response.body().is_open_ended() {
        exchange.detach();
    }
    let keep_alive = exchange.run().and_then(|run| run.take_keep_alive(&response));
    response.body_mut().monitor_response(exchange.clone(), keep_alive);
    response::hop_by_hop::name(&exchange, &mut response);
    if exchange.is_debug() {
        response::server_timing::report(&exchange, response.headers_mut());
    }
    exchange.connection.conclude(response.status(), response.headers_mut());
    response::hop_by_hop::settle_reason(&exchange, &mut response);
    exchange.keep_response(response.headers());
    exchange.answered(status);
    Ok(response)
}

/// Whether a client over HTTP/2 that asks for a tunnel would take this response for one.
fn is_no_tunnel(exchange: &Exchange, response: &Response<Body>) -> bool {
    response.status().is_success() && exchange.stream().is_some_and(Stream::waits_for_tunnel)
}

/// The straight line.
async fn run(
    exchange: &Rc<Exchange>,
    mut request: Box<PreparedRequest>,
) -> Result<Response<Body>, Failure> {
    let PreparedRequest { head, body, hop } = &mut *request;
    let checked = checks::take(exchange, head)
        .inspect_err(|_| exchange.calls_as(checks::caller(&head.headers)))?;
    exchange.calls_as(checked.caller);
    if checked.debug {
        debug::take(exchange, head);
    }
    if let Some(response) = target::answer_server_wide(head, &checked)? {
        return Ok(response);
    }
    let target = match target::resolve(exchange, head, &checked) {
        Ok(target) => target,
        Err(failure) => return Err(refuse_early(exchange, body, &checked, failure.into()).await),
    };
    if exchange.facts().client_tls.get().is_some_and(|tls| !tls.is_for(target.host())) {
        return Err(refuse_early(exchange, body, &checked, Failure::Misdirected).await);
    }
    if let Some(response) = max_forwards::take(head)? {
        return Ok(response);
    }
    client_address::find(exchange, &head.headers, &checked, &target);
    let found = match route::find(exchange, head, &target) {
        Ok(found) => found,
        Err(failure) => return Err(refuse_early(exchange, body, &checked, failure).await),
    };
    if let Err(failure) = limits::admit(exchange, found.route, (&checked, &head.headers), body) {
        return Err(refuse_early(exchange, body, &checked, failure).await);
    }
    if exchange.recording.is_some() {
        // Boxed, so that others do not carry its state around.
        *body = Box::pin(limits::read_ahead(exchange, &checked, std::mem::take(body))).await?;
    }
    let has_body = !http_body::Body::is_end_stream(body);
    *hop = hop_by_hop::strip(exchange, head, &checked, has_body);
    // Who speaks gRPC takes them, said or not: its status is one.
    if hop.takes_trailers || exchange.caller().is_grpc() {
        exchange.will_take_trailers();
    }
    let chain = exchange.snapshot.chain(found.index);
    if chain.is_empty() {
        let matched = Matched { found: &found, target: &target, chosen_path: None };
        split(exchange, &matched, head);
        let acted = pin!(action::act(exchange, &matched, &found.route.action, request));
        return within_time(exchange, acted).await;
    }
    if chain.may_drain() {
        let mut through = pin!(plugins::run_on(exchange, found, target, request));
        return within_time(exchange, through.as_mut()).await;
    }
    // Boxed, so that requests without plugins do not carry its state around.
    let mut through = Box::pin(plugins::run(exchange, chain, &found, &target, request));
    within_time(exchange, through.as_mut()).await
}

/// Chooses the variant of a request that goes through no plugins.
fn split(exchange: &Exchange, matched: &Matched<'_>, head: &Parts) {
    let attribute = |name: &str, look: &mut dyn FnMut(&str)| {
        action::split::own_attribute(exchange, matched, head, name, look);
    };
    action::split::settle(exchange, &matched.found.route.action, &head.headers, attribute);
}

fn begin(
    worker: Rc<WorkerState>,
    connection: Rc<dyn Downstream>,
    stream: Option<Rc<dyn Stream>>,
    head: &Parts,
) -> Rc<Exchange> {
    let id = id::choose(connection.facts(), &worker.ids, &head.headers);
    let init = ExchangeInit {
        id,
        method: &head.method,
        uri: &head.uri,
        version: head.version,
        headers: &head.headers,
        stream,
    };
    Exchange::begin(worker, connection, init)
}

/// Gives an exchange up when the time for the whole of it is over. The work is borrowed: moved in,
/// it would be in the state of each request more than once.
async fn within_time(
    exchange: &Exchange,
    mut work: Pin<&mut impl Future<Output = Result<Response<Body>, Failure>>>,
) -> Result<Response<Body>, Failure> {
    poll_fn(|context| {
        if let Poll::Ready(result) = work.as_mut().poll(context) {
            return Poll::Ready(result);
        }
        exchange.poll_time_limit(context).map(|()| Err(exchange.out_of_time()))
    })
    .await
}
