//! Refusals as errors of JSON-RPC, which is all that clients of MCP read.
//!
//! Owns status, code and words of each. Must not decide whether to refuse.

use gateway_json_rpc::{Fault, envelope};
use gateway_plugin_sdk::attributes;
use gateway_plugin_sdk::prelude::Response;

use crate::message::{Message, Subject};
use crate::resource::Resource;
use crate::rules::Verdict;

/// The code of what the protocol has none for, as in the gateway's own refusals.
const REFUSED: i32 = -32_000;

/// What is said of a list that cannot be filtered.
const UNREADABLE: &str = "The server's list cannot be read.";

/// An error for a request with this id, as it is written.
fn error(id: Option<&str>, code: i32, message: &str) -> String {
    let instance = attributes::value("request.id");
    envelope::error(id, code, message, instance.as_deref())
}

/// An error with the status of HTTP that belongs to it.
pub(crate) fn one(status: u16, id: Option<&str>, code: i32, message: &str) -> Response {
    let body = error(id, code, message);
    let response = Response::new(status).header("content-type", "application/json").body(body);
    response.because(message)
}

/// 400: the body is no message.
pub(crate) fn no_message(id: Option<&str>, fault: Fault) -> Response {
    one(400, id, fault.code, fault.message)
}

/// 403: a page of the web asks.
pub(crate) fn origin() -> Response {
    one(403, None, REFUSED, "Requests from this origin are not allowed.")
}

/// 405: the protocol has no such method of HTTP.
pub(crate) fn method() -> Response {
    let message = "Only GET, POST and DELETE are known here.";
    one(405, None, -32_600, message).header("allow", "GET, POST, DELETE")
}

/// 405: the connection would be for another protocol.
pub(crate) fn upgrade() -> Response {
    let message = "No other protocol is spoken here: send the request without `Upgrade`.";
    one(405, None, -32_600, message).header("allow", "GET, POST, DELETE")
}

/// 415: the body cannot be read.
pub(crate) fn media_type(message: &str) -> Response {
    one(415, None, -32_600, message)
}

/// 404: there is no such session, so that the client begins a new one.
pub(crate) fn session() -> Response {
    one(404, None, -32_600, "Session not found")
}

/// 502: what came cannot be filtered, and so it does not pass.
pub(crate) fn unreadable(id: Option<&str>) -> Response {
    one(502, id, -32_603, UNREADABLE)
}

/// The same, for a stream that has begun.
pub(crate) fn unreadable_message(id: Option<&str>) -> Vec<u8> {
    error(id, -32_603, UNREADABLE).into_bytes()
}

/// 403: what a request is about is not for who asks. Each request of a batch has its answer.
pub(crate) fn forbidden(
    messages: &[Message<'_>],
    is_batch: bool,
    (at, subject, name): (usize, Subject, &str),
    verdict: &Verdict<'_>,
    resource: Option<&Resource>,
) -> Response {
    let noun = subject.noun();
    let message = match verdict {
        Verdict::Lacks(scopes) => {
            format!("The {noun} `{name}` needs the scope `{}`.", scopes.join(" "))
        }
        Verdict::Allowed | Verdict::Denied => format!("The {noun} `{name}` is not allowed here."),
    };
    let of = |(index, it): (usize, &Message<'_>)| match index == at {
        true => error(it.id, REFUSED, &message),
        false => error(it.id, REFUSED, "Another request of the batch is not allowed."),
    };
    let requests =
        messages.iter().enumerate().filter(|(index, it)| it.id.is_some() || *index == at);
    let body = requests.map(of).collect::<Vec<_>>().join(",");
    let body = if is_batch { format!("[{body}]") } else { body };
    let response = Response::new(403).header("content-type", "application/json").body(body);
    let mut response = response.because(message);
    if let Verdict::Lacks(scopes) = verdict {
        let mut challenge =
            format!(r#"Bearer error="insufficient_scope", scope="{}""#, scopes.join(" "));
        if let Some(resource) = resource {
            challenge.push_str(&format!(r#", resource_metadata="{}""#, resource.address()));
        }
        response = response.header("www-authenticate", challenge);
    }
    response
}
