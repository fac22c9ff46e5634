//! The answers to requests that are not let through.
//!
//! Owns their status, problem type and fields. Must not decide whether to give them.

use std::time::Duration;

use gateway_plugin_sdk::prelude::Response;

use crate::body::Content;
use crate::claims::Charges;
use crate::fields;
use crate::key::Part;
use crate::policy::Lack;

/// The problem type of draft-ietf-httpapi-ratelimit-headers-11, section 5.1.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// The title that goes with the type.
const QUOTA_EXCEEDED_TITLE: &str =
    "Request cannot be satisfied as assigned quota has been exceeded";

/// 429 with what was violated, and when to come again.
pub(crate) fn quota_exceeded(charges: &Charges<'_>) -> Response {
    let names: Vec<&str> = charges.violated().map(|it| it.policy.name.as_str()).collect();
    let wait = wait(charges);
    let mut detail = String::from("No quota is left under ");
    detail.push_str(&names.join(", "));
    if let Some(wait) = wait {
        detail.push_str("; there is again in ");
        detail.push_str(itoa::Buffer::new().format(wait));
        detail.push_str(" s");
    }
    detail.push('.');
    let response = Response::problem(429, QUOTA_EXCEEDED_TITLE, detail)
        .problem_type(QUOTA_EXCEEDED)
        .extension("violated-policies", &names);
    match wait {
        Some(wait) => response.header("retry-after", itoa::Buffer::new().format(wait)),
        None => response,
    }
}

/// 429 or 503: no slot is free, and the request does not wait any longer. One who came now would have a slot after `wait`.
pub(crate) fn no_slot(status: u16, policy: &str, why: &str, wait: Option<Duration>) -> Response {
    // Before any was given back nobody knows when one is.
    let seconds = wait.map_or(1, |wait| wait.as_millis().div_ceil(1000).max(1));
    let title = if status == 503 { "Service Unavailable" } else { "Too Many Requests" };
    Response::problem(status, title, format!("There is no slot under {policy}. {why}"))
        .extension("violated-policies", &[policy])
        .header("retry-after", seconds.to_string())
}

/// 429 or 503: the limit is 0. Nobody knows when to ask again, so that nothing says it.
pub(crate) fn none_allowed(status: u16, policy: &str) -> Response {
    let title = if status == 503 { "Service Unavailable" } else { "Too Many Requests" };
    Response::problem(status, title, format!("The limit {policy} lets no request through."))
        .extension("violated-policies", &[policy])
}

/// 503: the limiter is out of reach, and the configuration says not to go on without.
pub(crate) fn unavailable() -> Response {
    Response::service_unavailable("The limits cannot be checked at the moment.")
}

/// 400, 403 or 413: the request lacks what its limit goes by.
pub(crate) fn lacks(lack: Lack<'_>, content: &Content) -> Response {
    match lack {
        Lack::Part(Part::Header(name)) => {
            Response::bad_request(format!("The field {} is required here.", name.as_str()))
        }
        Lack::Part(Part::Cookie(name)) => {
            Response::bad_request(format!("The cookie {name} is required here."))
        }
        Lack::Part(Part::Json(_)) if *content == Content::TooLarge => {
            let detail = "The body is longer than what is read of it here.";
            Response::problem(413, "Content Too Large", detail)
        }
        Lack::Part(Part::Json(pointer)) => {
            let detail =
                format!("A JSON body with a value at {} is required here.", pointer.as_str());
            Response::bad_request(detail)
        }
        Lack::Part(Part::Client | Part::Attribute(_)) => {
            Response::forbidden("The request cannot be counted, since it is nobody's.")
                .because(format!("the request lacks {}", lack.name()))
        }
        Lack::Plan(_) => Response::forbidden("The request has no plan that is served here.")
            .because(format!("the request lacks {}", lack.name())),
    }
}

/// Seconds until all violated policies have room; `None` if one never has.
fn wait(charges: &Charges<'_>) -> Option<u64> {
    let waits: Option<Vec<Duration>> =
        charges.violated().map(|charge| charge.verdict.retry_after).collect();
    waits?.into_iter().max().map(|wait| fields::seconds(wait).max(1))
}
