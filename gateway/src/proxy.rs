//! The path of a request, top to bottom.
//!
//! Owns the order of the steps; each is a function in a file of its own. Every failure, from
//! anywhere, ends here and becomes a problem document.

mod authority;
mod client;
mod component;
mod forward;
mod forwarded;
mod plugins;
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
use hyper::body::Incoming;

pub(crate) use self::forwarded::ForwardedCache;
pub(crate) use self::request_id::RequestIds;
use crate::body::{Body, Upload};
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
use survey::Survey;
use target::Target;

/// Answers one request, always; the future goes to hyper as it is, since a wrapper would copy it.
/// `stream` is its stream on an HTTP/2 connection.
pub(crate) async fn handle(
    connection: Rc<Connection>,
    stream: Option<Rc<StreamSlot>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let exchange = begin(&connection, stream, &head);
    connection.uploading(!http_body::Body::is_end_stream(&body));
    let ran = run(&exchange, head, body).await;
    let mut response = ran.unwrap_or_else(|failure| refuse(&exchange, failure));
    response.body_mut().watch_download(Rc::clone(&exchange));
    response_headers::name(&exchange, &mut response);
    exchange.answered(response.status());
    Ok(response)
}

/// The straight line.
async fn run(
    exchange: &Rc<Exchange>,
    mut head: Parts,
    body: Incoming,
) -> Result<Response<Body>, Failure> {
    let survey = survey::take(&exchange.connection, &head)?;
    if let Some(response) = target::answer_server_wide(&head)? {
        return Ok(response);
    }
    let target = target::resolve(&mut head, &survey)?;
    client::find(exchange, &head.headers, &survey);
    let found = find_route(exchange, &head, &target)?;
    let body = admit(exchange, found.route, &survey, body)?;
    let body = match exchange.recording {
        // Boxed, so that others do not carry its state around.
        Some(_) => Box::pin(read_ahead(exchange, &survey, body)).await?,
        None => body,
    };
    let has_body = !http_body::Body::is_end_stream(&body);
    let hop = request_headers::strip(&mut head, &survey, has_body);
    let request = Box::new(Outgoing { head, body, survey: &survey, hop });
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
    request: Box<Outgoing<'_>>,
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
        Found::MethodNotAllowed { allow } => Err(Failure::MethodNotAllowed { allow }),
    }
}

/// Puts the limits of the route on the exchange and its body. A body that says that it is too
/// large is refused before a byte of it is read.
fn admit(
    exchange: &Rc<Exchange>,
    route: &Route,
    survey: &Survey,
    body: Incoming,
) -> Result<Body, Failure> {
    let listener = &exchange.connection.listener.config;
    if let Some(limit) = route.request_timeout.or(listener.timeouts.request) {
        exchange.limit_time(limit);
    }
    let mut body = Body::incoming(body);
    if http_body::Body::is_end_stream(&body) {
        if let Some(recording) = &exchange.recording {
            recording.write(Trace::body_complete);
        }
        return Ok(Body::empty());
    }
    let limit = route.body_size.or(listener.limits.body_size);
    if let (Some(limit), Some(length)) = (limit, survey.content_length)
        && length > limit
    {
        return Err(Failure::BodyTooLarge { limit });
    }
    body.watch_upload(Upload::new(Rc::clone(exchange), limit, listener.timeouts.idle));
    Ok(body)
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
        Err(CollectError::TooLarge(body)) => Ok(body),
        Err(CollectError::Broken(_)) => {
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
    let response = respond::failure(&failure, &exchange.method, exchange.version, exchange.id());
    if failure.closes() {
        exchange.connection.refuse();
    }
    exchange.fail(failure);
    response
}
