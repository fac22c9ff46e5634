//! Answers to requests that failed.
//!
//! Owns what a failure means for the exchange and its connection, the look into the body of a request that
//! is refused early, and what of the exchange decides the form of the answer. The forms are those of
//! [`crate::respond`].

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use http::{Method, Response};

use crate::body::{Body, collect};
use crate::config::ErrorForm;
use crate::error::Failure;
use crate::exchange::Exchange;
use crate::proxy::request::checks::Checked;
use crate::respond::{self, Caller, Form, id_of_call};

/// The largest body that is looked into.
const MAX_CALL: u64 = 64 << 10;
/// How long is waited for its bytes: bytes that have arrived are read at once, and a refusal must not wait for
/// the rest.
const AT_HAND: Duration = Duration::from_millis(100);

/// The answer to a failure. The exchange remembers it for the log.
pub(super) fn refuse(exchange: &Exchange, failure: Failure) -> Response<Body> {
    let response = respond::failure(&failure, exchange.version, exchange.id());
    if failure.closes() {
        exchange.connection.refuse();
    }
    exchange.fail(failure);
    response
}

/// A request is refused while its body is whole: who sent it may be known by that.
pub(super) async fn refuse_early(
    exchange: &Exchange,
    body: &mut Body,
    checked: &Checked,
    failure: Failure,
) -> Failure {
    // Boxed, so that others do not carry its state around.
    Box::pin(note_call(exchange, std::mem::take(body), checked.expect)).await;
    failure
}

/// Gives a refusal the form that its client reads.
pub(in crate::proxy) async fn finish(exchange: &Exchange, response: &mut Response<Body>) {
    let form = Form {
        errors: exchange.error_form(),
        caller: exchange.caller(),
        call: exchange.call(),
        is_deadline: exchange.is_deadline(),
        id: &exchange.id,
        is_head: exchange.method == Method::HEAD,
        ceiling: exchange.snapshot.config.process.retry_after_ceiling.as_secs(),
    };
    respond::finish(form, response).await;
}

/// Looks into the body of a request that is refused, if it may be a call of JSON-RPC: its client
/// knows the answer by the id of the call. Nothing is read where nobody asks for it, nothing that is
/// large, and nothing for which the client waits to be asked (`Expect`).
pub(in crate::proxy) async fn note_call(exchange: &Exchange, body: Body, expects: bool) {
    let is_there = !http_body::Body::is_end_stream(&body) && !body.is_filtered();
    if expects || !is_there || !may_be_call(exchange) {
        return;
    }
    let hint = http_body::Body::size_hint(&body);
    if hint.lower() > MAX_CALL {
        return;
    }
    let mut read = pin!(collect(body, MAX_CALL));
    let mut timeout = exchange.timers().after(AT_HAND);
    let read = poll_fn(|context| {
        if let Poll::Ready(read) = read.as_mut().poll(context) {
            return Poll::Ready(read.ok());
        }
        Pin::new(&mut timeout).poll(context).map(|()| None)
    });
    if let Some((bytes, _)) = read.await
        && let Some(id) = id_of_call(&bytes)
    {
        exchange.called(id);
    }
}

fn may_be_call(exchange: &Exchange) -> bool {
    match exchange.error_form() {
        ErrorForm::JsonRpc => true,
        ErrorForm::Auto => matches!(exchange.caller(), Caller::Json | Caller::Mcp),
        ErrorForm::Problem
        | ErrorForm::OpenAi
        | ErrorForm::Anthropic
        | ErrorForm::Google
        | ErrorForm::Ollama
        | ErrorForm::Cohere
        | ErrorForm::Bedrock => false,
    }
}
