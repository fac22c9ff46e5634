//! A request through the plugins of its route, and its response back through them.
//!
//! Owns what the plugins are shown of the exchange, and what their outcome means for it. Must not
//! call a plugin; the chain does.

mod abandoned;
mod attempts;
mod background;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Response, StatusCode, Version};
use http_body::Body as _;

pub(in crate::proxy) use self::abandoned::run_on;
use self::attempts::Sent;
use crate::access_log::Attributes as _;
use crate::body::{self, Body};
use crate::chain::{self, Chain, ResponseFailed, Run, Side, Stop};
use crate::config::Action;
use crate::error::{Failure, Malformed};
use crate::exchange::Exchange;
use crate::heads::{ExchangeFacts, ExchangeView, RequestHead};
use crate::plugin::full_text;
use crate::proxy::action::Matched;
use crate::proxy::action::act;
use crate::proxy::action::{rewrite, split};
use crate::proxy::refusal;
use crate::proxy::refusal::refuse;
use crate::proxy::request::FoundRoute;
use crate::proxy::request::PreparedRequest;
use crate::proxy::request::target::Target;
use crate::respond;

/// Forward over the request, the route's action, and back over the response. A failure of any of
/// them becomes an answer here, so that the plugins before it still see that.
pub(in crate::proxy) async fn run(
    exchange: &Rc<Exchange>,
    chain: &Rc<Chain>,
    found: &FoundRoute<'_>,
    target: &Target,
    request: Box<PreparedRequest>,
) -> Result<Response<Body>, Failure> {
    let mut request = request;
    let heads = heads(exchange, found, target, &mut request)?;
    let run = Run::start(chain, heads, exchange.recording.clone(), exchange.recorded_since());
    let is_http2 = exchange.version == Version::HTTP_2;
    if request.body.may_have_trailers(is_http2) {
        run.may_have_trailers(Side::Request);
    }
    exchange.runs(Rc::clone(&run));
    Ok(pass(exchange, &run, found, target, request).await)
}

/// The way of a run, forth and back.
async fn pass(
    exchange: &Rc<Exchange>,
    run: &Rc<Run>,
    found: &FoundRoute<'_>,
    target: &Target,
    request: Box<PreparedRequest>,
) -> Response<Body> {
    let is_tunnel = request.hop.upgrade.is_some();
    let mut sent = None;
    let acted = forth(exchange, run, found, target, request, &mut sent).await;
    let mut response = acted.unwrap_or_else(|failure| refuse(exchange, failure));
    if is_tunnel && response.status() == StatusCode::SWITCHING_PROTOCOLS {
        // From here on the bytes are another protocol's, and the head is that protocol's too.
        return response;
    }
    loop {
        if response.body().may_have_trailers(true) {
            run.may_have_trailers(Side::Response);
        }
        run.may_send_again(sent.as_deref().map(Sent::attempts));
        let fail = |failed| refuse(exchange, response_failure(failed));
        let again = chain::on_response(run, &mut response, fail).await;
        let (Some(again), Some(sent)) = (again, &mut sent) else { break };
        if exchange.is_abandoned() {
            // Nobody waits for what another attempt would bring.
            return refuse(exchange, Failure::ClientLeft(None));
        }
        // Boxed, so that others do not carry its state around.
        let acted = Box::pin(attempts::send_again(exchange, run, found, target, sent, *again));
        response = acted.await.unwrap_or_else(|failure| refuse(exchange, failure));
    }
    run.may_send_again(None);
    settle_body(exchange, &mut response);
    response
}

/// Plugins may change the method and the status, and with them whether there can be a body and what
/// `content-length` says (RFC 9110 sections 6.4.1 and 8.6). What the client takes for a body must be
/// one, or its connection gets out of step.
fn settle_body(exchange: &Exchange, response: &mut Response<Body>) {
    if respond::is_refusal(response) {
        // Its body is needed for the last step, which settles it.
        return;
    }
    let is_head = exchange.method == Method::HEAD;
    let status = response.status();
    // The next request would be taken for the content of a 205, or the other way round: there is
    // none (RFC 9110 section 15.3.6).
    const NONE: [StatusCode; 3] =
        [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED];
    let has_none = is_head || NONE.contains(&status);
    let is_empty = response.body().is_end_stream();
    if has_none && !is_empty {
        *response.body_mut() = Body::empty();
    }
    if status == StatusCode::NO_CONTENT {
        response.headers_mut().remove(CONTENT_LENGTH);
    } else if status == StatusCode::RESET_CONTENT
        || (is_empty && !has_none && response.headers().contains_key(CONTENT_LENGTH))
    {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}

async fn forth(
    exchange: &Rc<Exchange>,
    run: &Rc<Run>,
    found: &FoundRoute<'_>,
    target: &Target,
    mut request: Box<PreparedRequest>,
    sent: &mut Option<Box<Sent>>,
) -> Result<Response<Body>, Failure> {
    if let Err(stop) = chain::on_request(run, &mut request.body).await {
        if let Some(wanted) = run.take_background() {
            background::send(exchange, run, found, target, &request, wanted);
        }
        let refused = matches!(stop, Stop::Answered(_) | Stop::Failed(_));
        let body = std::mem::take(&mut request.body);
        if refused && !body.is_end_stream() {
            Box::pin(refusal::note_call(exchange, body, request.hop.expects)).await;
        }
        return answer(exchange, stop);
    }
    request.body.guard_trailers(run.clone());
    let changed = run.take_request();
    request.head.method = changed.method;
    request.head.headers = changed.headers;
    if changed.target.query() != request.head.uri.query() {
        request.head.uri = rewrite::with_query(&request.head.uri, changed.target.query())?;
    }
    let path = changed.target.path();
    let chosen_path = (path != target.path(&request.head.uri)).then_some(path);
    let matched = Matched { found, target, chosen_path };
    let attribute = |name: &str, look: &mut dyn FnMut(&str)| run.look(name, look);
    let chosen = chosen_upstream(exchange, run);
    if chosen.is_none() {
        split::settle(exchange, &found.route.action, &request.head.headers, attribute);
    }
    let action = chosen.as_ref().unwrap_or(&found.route.action);
    if run.may_attempt() {
        *sent = attempts::keep(exchange, &matched, action, &mut request);
    }
    match action {
        Action::Forward(_) | Action::Split(_) => {
            if let Some(upstream) = split::upstream_of(exchange, action) {
                run.forwarded_to(exchange.snapshot.upstream_name(upstream), exchange.variant());
            }
        }
        Action::Component(component) => {
            run.forwarded_to(exchange.snapshot.component(*component).name(), None);
        }
        Action::Respond(_) | Action::Redirect(_) => {}
    }
    act(exchange, &matched, action, request).await
}

/// What the chain gave instead of a request to forward.
fn answer(exchange: &Exchange, stop: Stop) -> Result<Response<Body>, Failure> {
    match stop {
        Stop::Answered(response) => Ok(*response),
        Stop::Failed(failed) => Err(plugin_failure(failed)),
        Stop::BodyTooLarge(limit) => Err(Failure::BodyTooLarge { limit }),
        Stop::BodyLate(limit) => Err(Failure::UploadTooLong { limit }),
        Stop::NoRoom(no_room) => Err(no_room_failure(no_room)),
        Stop::BodyBroken => {
            Err(exchange.take_upload_failure().unwrap_or(Failure::ClientLeft(None)))
        }
    }
}

/// The upstream that a plugin chose: one that it was granted, and so one that there is.
fn chosen_upstream(exchange: &Exchange, run: &Run) -> Option<Action> {
    let chosen = run.chosen_upstream();
    exchange.snapshot.upstream_named(chosen.as_deref()?).map(Action::Forward)
}

fn response_failure(failed: ResponseFailed) -> Failure {
    match failed {
        ResponseFailed::Plugin(failed) => plugin_failure(failed),
        ResponseFailed::Upstream(error) => body::broken(&error),
        ResponseFailed::NoRoom(no_room) => no_room_failure(no_room),
        ResponseFailed::TooLarge { plugin, limit } => Failure::AnswerTooLarge { plugin, limit },
    }
}

fn no_room_failure(chain::NoRoom { plugin, full }: chain::NoRoom) -> Failure {
    Failure::NoRoom { plugin, bound: full_text(full) }
}

fn plugin_failure(failed: chain::PluginFailed) -> Failure {
    let plugin = failed.plugin.to_string();
    let is_overload = failed.failure.is_overload();
    let source = failed.failure.into();
    if is_overload {
        return Failure::PluginBusy { plugin, source };
    }
    Failure::PluginFailed { plugin, source }
}

/// Moves the head into what plugins see.
fn heads(
    exchange: &Exchange,
    found: &FoundRoute<'_>,
    target: &Target,
    request: &mut PreparedRequest,
) -> Result<Arc<ExchangeView>, Failure> {
    let (head, request_body) = (&mut request.head, &request.body);
    let has_upgrade = request.hop.upgrade.is_some();
    let matched = match (target.path_differs(), head.uri.path_and_query()) {
        (false, Some(same)) => same.clone(),
        _ => with_path(target.path(&head.uri), head.uri.query())?,
    };
    let (connection, snapshot) = (exchange.facts(), &exchange.snapshot);
    let host = target.host().to_ascii_lowercase().into();
    let request = RequestHead {
        method: head.method.clone(),
        target: matched.clone(),
        headers: std::mem::take(&mut head.headers),
    };
    let facts = ExchangeFacts {
        client: exchange.client(),
        client_port: connection.peer.port(),
        certificate: connection.client_tls.get().and_then(|it| it.certificate.clone()),
        request_id: exchange.id.clone(),
        scheme: if exchange.is_https() { "https" } else { "http" },
        host,
        authority: exchange
            .forwarded_client()
            .and_then(|client| client.host.clone())
            .or_else(|| target.field().cloned()),
        has_body: !request_body.is_end_stream(),
        has_upgrade,
        waited: Duration::ZERO,
        listener: Arc::clone(&connection.listener.name),
        route: Arc::clone(snapshot.route_names(found.index)),
        pattern: found.pattern,
        captures: found.captures.clone(),
        matched,
        upstream: None,
        variant: None,
        calls: exchange.calls(),
        attempts: None,
        cache: None,
        amounts: None,
        counted: None,
        held_by: None,
        passed: 0,
    };
    let attributes = Vec::new();
    Ok(Arc::new(ExchangeView {
        request,
        response: None,
        attributes,
        facts,
        received: None,
        cached: None,
    }))
}

fn with_path(path: &str, query: Option<&str>) -> Result<PathAndQuery, Failure> {
    let text = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    PathAndQuery::try_from(text).map_err(|_| Malformed::TargetForm.into())
}
