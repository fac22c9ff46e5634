//! The path of a request, top to bottom.
//!
//! Owns the order of the steps; each is a function in a file of its own. Every failure, from
//! anywhere, ends here, becomes a problem document, and takes the form that its client reads.

mod authority;
mod client;
mod component;
mod forward;
mod forwarded;
mod interim;
mod max_forwards;
mod plugins;
mod query;
mod request_headers;
mod request_id;
mod response_headers;
mod rewrite;
mod survey;
mod target;
mod template;
mod upgrade;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use http::request::Parts;
use http::{Request, Response};

pub(crate) use self::authority::host as host_of;
pub(crate) use self::client::Told;
pub(crate) use self::forwarded::ForwardedCache;
pub(crate) use self::query::escape as escape_query;
pub(crate) use self::request_id::RequestIds;
pub(crate) use self::response_headers::strip_hop_by_hop;
use crate::body::{Body, FromClient, Upload};
use crate::chain::{self, CollectError};
use crate::config::{Action, FixedResponse, Route};
use crate::error::Failure;
use crate::exchange::{Beginning, Exchange};
use crate::respond;
use crate::route::{Captures, Found, Query};
use crate::server::connection::Connection;
use crate::server::stream::StreamSlot;
use crate::trace::{self, Trace};
use forward::Outgoing;
use request_headers::Hop;
use survey::Survey;
use target::Target;

/// Answers one request, always; over HTTP/1.1 the future goes to hyper as it is, since a wrapper would
/// copy it.
pub(crate) async fn handle(
    connection: Rc<Connection>,
    request: Request<FromClient>,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let stream = match &body {
        FromClient::Http1(_) => None,
        FromClient::Http2(_, stream) => Some(Rc::clone(stream)),
    };
    let body = Body::from_client(body, &connection);
    let exchange = begin(&connection, stream, &head);
    // Boxed: it goes through several hands, and would be copied from the state of each to the next.
    let request = Box::new(Outgoing { head, body, hop: Hop::default() });
    let ran = run(&exchange, request).await;
    let mut response = ran.unwrap_or_else(|failure| refuse(&exchange, failure));
    // The log and the plugins are told this one: to a client of gRPC each refusal is a 200.
    let status = response.status();
    if respond::is_refusal(&response) {
        // Boxed, so that other requests do not carry its state around.
        Box::pin(respond::finish(&exchange, &mut response)).await;
    }
    response.body_mut().watch_download(Rc::clone(&exchange));
    response_headers::name(&exchange, &mut response);
    connection.conclude(&mut response);
    response_headers::settle_reason(&exchange, &mut response);
    exchange.answered(status);
    Ok(response)
}

/// The straight line.
async fn run(
    exchange: &Rc<Exchange>,
    mut request: Box<Outgoing>,
) -> Result<Response<Body>, Failure> {
    let Outgoing { head, body, hop } = &mut *request;
    let survey = survey::take(&exchange.connection, head)
        .inspect_err(|_| exchange.calls_as(survey::caller(&head.headers)))?;
    exchange.calls_as(survey.caller);
    if let Some(response) = target::answer_server_wide(head, &survey)? {
        return Ok(response);
    }
    let target = match target::resolve(&exchange.connection, head, &survey) {
        Ok(target) => target,
        Err(failure) => return Err(refuse_early(exchange, body, &survey, failure.into()).await),
    };
    if let Some(response) = max_forwards::take(head)? {
        return Ok(response);
    }
    client::find(exchange, &head.headers, &survey, &target);
    let found = match find_route(exchange, head, &target) {
        Ok(found) => found,
        Err(failure) => return Err(refuse_early(exchange, body, &survey, failure).await),
    };
    if let Err(failure) = admit(exchange, found.route, &survey, body) {
        return Err(refuse_early(exchange, body, &survey, failure).await);
    }
    if exchange.recording.is_some() {
        // Boxed, so that others do not carry its state around.
        *body = Box::pin(read_ahead(exchange, &survey, std::mem::take(body))).await?;
    }
    let has_body = !http_body::Body::is_end_stream(body);
    *hop = request_headers::strip(exchange, head, &survey, has_body);
    if hop.takes_trailers {
        exchange.will_take_trailers();
    }
    let chain = exchange.snapshot.chain(found.index);
    if chain.is_empty() {
        let matched = Matched { found: &found, target: &target, chosen_path: None };
        let acted = pin!(act(exchange, &matched, &found.route.action, request));
        return within_time(exchange, acted).await;
    }
    // Boxed, so that requests without plugins do not carry its state around.
    let mut through = Box::pin(plugins::run(exchange, chain, &found, &target, request));
    within_time(exchange, through.as_mut()).await
}

/// Does what the route says with a request that came through its plugins.
async fn act(
    exchange: &Rc<Exchange>,
    matched: &Matched<'_>,
    action: &Action,
    request: Box<Outgoing>,
) -> Result<Response<Body>, Failure> {
    match action {
        Action::Respond(fixed) => Ok(respond_fixed(exchange, fixed)),
        Action::Redirect(to) => rewrite::redirect(exchange, matched, to, &request.head),
        Action::Forward(upstream) => forward::forward(exchange, matched, *upstream, request).await,
        // Boxed, so that routes without one do not carry its state around.
        Action::Component(component) => {
            Box::pin(component::answer(exchange, matched, *component, request)).await
        }
    }
}

/// A route that was found, and how.
struct FoundRoute<'a> {
    route: &'a Route,
    index: usize,
    pattern: usize,
    captures: Captures,
}

/// What a request is for, as far as it decides what goes out.
struct Matched<'a> {
    found: &'a FoundRoute<'a>,
    target: &'a Target,
    /// The path that a plugin put in the place of the one that was matched.
    chosen_path: Option<&'a str>,
}

fn begin(
    connection: &Rc<Connection>,
    stream: Option<Rc<StreamSlot>>,
    head: &Parts,
) -> Rc<Exchange> {
    let id = request_id::choose(connection, &head.headers);
    let beginning = Beginning {
        id,
        method: &head.method,
        uri: &head.uri,
        version: head.version,
        headers: &head.headers,
        stream,
    };
    Exchange::begin(connection, beginning)
}

fn find_route<'a>(
    exchange: &'a Exchange,
    head: &Parts,
    target: &Target,
) -> Result<FoundRoute<'a>, Failure> {
    let query = Query {
        host: target.host(),
        path: target.path(&head.uri),
        method: &head.method,
        headers: &head.headers,
        query: head.uri.query(),
    };
    let snapshot = &exchange.snapshot;
    match snapshot.table(exchange.connection.listener.id).find(&query) {
        Found::Route { route: index, pattern, captures } => {
            exchange.routed(index);
            Ok(FoundRoute { route: &snapshot.config.routes[index], index, pattern, captures })
        }
        Found::NotFound => Err(Failure::NotFound),
        Found::MethodNotAllowed { allow, route } => {
            exchange.missed(route);
            Err(Failure::MethodNotAllowed { allow })
        }
    }
}

/// Puts the limits of the route on the exchange and its body. A body that says that it is too
/// large is refused before a byte of it is read.
/// A request is refused while its body is whole: who sent it may be known by that.
async fn refuse_early(
    exchange: &Exchange,
    body: &mut Body,
    survey: &Survey,
    failure: Failure,
) -> Failure {
    // Boxed, so that others do not carry its state around.
    Box::pin(respond::note_call(exchange, std::mem::take(body), survey.expect)).await;
    failure
}

fn admit(
    exchange: &Rc<Exchange>,
    route: &Route,
    survey: &Survey,
    body: &mut Body,
) -> Result<(), Failure> {
    let listener = &exchange.connection.listener.config;
    if let Some(limit) = route.request_timeout.or(listener.timeouts.request) {
        exchange.limit_time(limit);
    }
    if http_body::Body::is_end_stream(body) {
        if let Some(recording) = &exchange.recording {
            recording.write(Trace::body_complete);
        }
        return Ok(());
    }
    let limit = route.body_size.or(listener.limits.body_size);
    if let (Some(limit), Some(length)) = (limit, survey.content_length)
        && length > limit
    {
        return Err(Failure::BodyTooLarge { limit });
    }
    let gives_length = http_body::Body::size_hint(body).exact().is_some();
    body.watch_upload(Upload::new(Rc::clone(exchange), limit, gives_length));
    Ok(())
}

/// Reads a body that a trace keeps before anything is done with the request: what answers early
/// reads none of it, and it could not be sent again.
async fn read_ahead(exchange: &Exchange, survey: &Survey, body: Body) -> Result<Body, Failure> {
    let limit = trace::MAX_BODY as u64;
    if survey.content_length.is_none_or(|length| length > limit) {
        return Ok(body);
    }
    match chain::collect(body, limit).await {
        Ok((bytes, trailers)) => Ok(Body::whole(bytes, trailers)),
        Err(CollectError::TooLarge(body)) => Ok(*body),
        Err(CollectError::Broken) => {
            Err(exchange.take_upload_failure().unwrap_or(Failure::ClientLeft(None)))
        }
    }
}

fn respond_fixed(exchange: &Exchange, fixed: &FixedResponse) -> Response<Body> {
    let is_head = exchange.method == http::Method::HEAD;
    let body = if is_head { Body::empty() } else { Body::full(fixed.body.clone()) };
    let mut response = Response::new(body);
    *response.status_mut() = fixed.status;
    *response.headers_mut() = fixed.headers.clone();
    if is_head && !fixed.body.is_empty() {
        let length = http::HeaderValue::from(fixed.body.len());
        response.headers_mut().insert(http::header::CONTENT_LENGTH, length);
    }
    response
}

/// Gives an exchange up when the time for the whole of it is over. The work is borrowed: moved in,
/// it would stand in the state of each request more than once.
async fn within_time(
    exchange: &Exchange,
    mut work: Pin<&mut impl Future<Output = Result<Response<Body>, Failure>>>,
) -> Result<Response<Body>, Failure> {
    poll_fn(|context| {
        if let Poll::Ready(result) = work.as_mut().poll(context) {
            return Poll::Ready(result);
        }
        match exchange.time_limit().as_mut() {
            Some(limit) => Pin::new(limit).poll(context).map(|()| Err(Failure::RequestTimeout)),
            None => Poll::Pending,
        }
    })
    .await
}

/// The answer to a failure. The exchange remembers it for the log.
fn refuse(exchange: &Exchange, failure: Failure) -> Response<Body> {
    let response = respond::failure(&failure, exchange.version, exchange.id());
    if failure.closes() {
        exchange.connection.refuse();
    }
    exchange.fail(failure);
    response
}
