//! Refusals in the forms of providers of AI APIs, whose clients read nothing else.
//!
//! Owns the names that each provider has for a status. The status itself stays that of HTTP.

use http::StatusCode;
use serde_json::{Value, json};

use super::finish::Refused;

/// OpenAI: `{"error": {...}}`.
pub(super) fn openai(refusal: &Refused<'_>) -> Value {
    let (kind, code) = match refusal.status.as_u16() {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        429 => ("rate_limit_error", Some("rate_limit_exceeded")),
        500.. => ("server_error", None),
        _ => ("invalid_request_error", None),
    };
    json!({ "error": { "message": refusal.message, "type": kind, "param": null, "code": code } })
}

/// Anthropic: `{"type": "error", "error": {...}, "request_id": "..."}`.
pub(super) fn anthropic(refusal: &Refused<'_>) -> Value {
    let kind = match refusal.status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        504 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    json!({
        "type": "error",
        "error": { "type": kind, "message": refusal.message },
        "request_id": refusal.id,
    })
}

/// Ollama: `{"error": "..."}`.
pub(super) fn ollama(refusal: &Refused<'_>) -> Value {
    json!({ "error": refusal.message })
}

/// Cohere: `{"id": "...", "message": "..."}`.
pub(super) fn cohere(refusal: &Refused<'_>) -> Value {
    json!({ "id": refusal.id, "message": refusal.message })
}

/// Amazon Bedrock: `{"message": "..."}`, beside [its type](bedrock_type).
pub(super) fn bedrock(refusal: &Refused<'_>) -> Value {
    json!({ "message": refusal.message })
}

/// The value of `x-amzn-errortype`, by which AWS's clients tell errors apart.
pub(super) fn bedrock_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 | 403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        500.. => "InternalServerException",
        _ => "ValidationException",
    }
}

/// Google: `{"error": {"code": ..., "message": ..., "status": ...}}`, with `google.rpc.RetryInfo`
/// where a time is known.
pub(super) fn google(refusal: &Refused<'_>) -> Value {
    let status = match refusal.status.as_u16() {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        405 | 501 => "UNIMPLEMENTED",
        502 | 503 => "UNAVAILABLE",
        408 | 504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    };
    let details: Vec<Value> = refusal
        .wait
        .map(|wait| {
            json!({
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": format!("{wait}s"),
            })
        })
        .into_iter()
        .collect();
    json!({ "error": {
        "code": refusal.status.as_u16(), "message": refusal.message, "status": status,
        "details": details,
    } })
}
