//! Writing errors in the shape that a protocol's official client shows to people.

use super::{Class, Failure};
use crate::framing::{event_stream, write_named_sse, write_sse};
use crate::json::Writer;
use crate::protocol::Protocol;

/// An error that the gateway gives to a caller.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// The status of the response, or the one that it would have had.
    pub status: u16,
    /// The kind.
    pub class: Class,
    /// A word for programs, such as `budget_exceeded`. Empty: the usual one of the class.
    pub code: &'a str,
    /// A sentence for people.
    pub message: &'a str,
    /// The member of the request that is at fault.
    pub param: Option<&'a str>,
    /// The id of the request, where the protocol has a place for it.
    pub request_id: Option<&'a str>,
}

impl<'a> Refusal<'a> {
    /// What a caller of any protocol is told of a provider's error.
    pub fn of(failure: &'a Failure) -> Self {
        let message = match failure.message.as_str() {
            "" => "The provider answered with an error and no message.",
            message => message,
        };
        let status = failure.status;
        Self { status, class: failure.class, code: "", message, param: None, request_id: None }
    }

    fn code(&self) -> &'a str {
        match (self.code, self.class) {
            ("", Class::RateLimited) => "rate_limit_exceeded",
            ("", Class::Overloaded) => "overloaded",
            ("", Class::ContextTooLong) => "context_length_exceeded",
            ("", Class::ContentFiltered) => "content_filter",
            ("", Class::Invalid) => "invalid_request",
            ("", Class::Auth) if self.status == 403 => "permission_denied",
            ("", Class::Auth) => "invalid_api_key",
            ("", Class::NotFound) => "model_not_found",
            ("", Class::Server) => "server_error",
            (code, _) => code,
        }
    }
}

/// The body of a response with the refusal's status, as `application/json`. Bedrock's clients
/// want [`aws_type`] in the field `x-amzn-errortype` as well.
pub fn body(protocol: Protocol, refusal: &Refusal<'_>) -> String {
    let mut writer = Writer::new();
    writer.object(|w| match protocol {
        Protocol::Anthropic => anthropic(w, refusal),
        Protocol::Gemini => gemini(w, refusal),
        Protocol::Ollama => {
            w.key("error").str(refusal.message);
        }
        Protocol::BedrockConverse | Protocol::Cohere => {
            w.key("message").str(refusal.message);
        }
        _ => openai(w, refusal),
    });
    writer.out
}

/// The event that ends a stream with the refusal, in the framing of the protocol's streams.
pub fn event(protocol: Protocol, refusal: &Refusal<'_>) -> Vec<u8> {
    numbered_event(protocol, refusal, 0)
}

/// The same behind other events of a stream of responses, which are numbered.
pub(crate) fn numbered_event(protocol: Protocol, refusal: &Refusal<'_>, number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    match protocol {
        Protocol::Anthropic => write_named_sse(&mut out, "error", &body(protocol, refusal)),
        Protocol::Ollama => {
            out.extend_from_slice(body(protocol, refusal).as_bytes());
            out.push(b'\n');
        }
        Protocol::BedrockConverse => {
            let name = stream_exception(refusal.class);
            event_stream::write_exception(&mut out, name, &body(protocol, refusal));
        }
        Protocol::Cohere => {
            let mut writer = Writer::new();
            writer.object(|w| {
                w.key("type").str("message-end").key("delta").object(|w| {
                    w.key("finish_reason").str("ERROR").key("error").str(refusal.message);
                });
            });
            write_named_sse(&mut out, "message-end", &writer.out);
        }
        Protocol::OpenAiResponses => {
            // The API's own event has the members at the top; the official client raises an
            // error only if there is a member `error`.
            let mut writer = Writer::new();
            writer.object(|w| {
                w.key("type").str("error").key("sequence_number").u64(number);
                w.key("code").str(refusal.code());
                w.key("message").str(refusal.message).key("param");
                optional(w, refusal.param);
                openai(w, refusal);
            });
            write_named_sse(&mut out, "error", &writer.out);
        }
        _ => write_sse(&mut out, &body(protocol, refusal)),
    }
    out
}

fn optional(writer: &mut Writer, text: Option<&str>) {
    match text {
        Some(text) => writer.str(text),
        None => writer.null(),
    };
}

fn openai(writer: &mut Writer, refusal: &Refusal<'_>) {
    let kind = match refusal.class {
        Class::RateLimited => "rate_limit_error",
        Class::Overloaded | Class::Server => "server_error",
        Class::Auth => "authentication_error",
        Class::ContextTooLong | Class::ContentFiltered | Class::Invalid | Class::NotFound => {
            "invalid_request_error"
        }
    };
    writer.key("error").object(|w| {
        w.key("message").str(refusal.message).key("type").str(kind).key("param");
        optional(w, refusal.param);
        w.key("code").str(refusal.code());
    });
}

fn anthropic(writer: &mut Writer, refusal: &Refusal<'_>) {
    let kind = match (refusal.class, refusal.status) {
        (Class::RateLimited, _) => "rate_limit_error",
        (Class::Overloaded, _) => "overloaded_error",
        (Class::Auth, 403) => "permission_error",
        (Class::Auth, _) => "authentication_error",
        (Class::NotFound, _) => "not_found_error",
        (_, 413) => "request_too_large",
        (Class::Server, 504) => "timeout_error",
        (Class::Server, _) => "api_error",
        _ => "invalid_request_error",
    };
    writer.key("type").str("error").key("error").object(|w| {
        w.key("type").str(kind).key("message").str(refusal.message);
    });
    if let Some(id) = refusal.request_id {
        writer.key("request_id").str(id);
    }
}

fn gemini(writer: &mut Writer, refusal: &Refusal<'_>) {
    let status = match (refusal.class, refusal.status) {
        (Class::RateLimited, _) => "RESOURCE_EXHAUSTED",
        (Class::Overloaded, _) => "UNAVAILABLE",
        (Class::Auth, 403) => "PERMISSION_DENIED",
        (Class::Auth, _) => "UNAUTHENTICATED",
        (Class::NotFound, _) => "NOT_FOUND",
        (Class::Server, 504) => "DEADLINE_EXCEEDED",
        (Class::Server, _) => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    };
    writer.key("error").object(|w| {
        // 529 is Anthropic's alone.
        let code = if refusal.status == 529 { 503 } else { refusal.status };
        w.key("code").u64(u64::from(code));
        w.key("message").str(refusal.message).key("status").str(status);
        w.key("details").array(|w| {
            w.object(|w| {
                w.key("@type").str("type.googleapis.com/google.rpc.ErrorInfo");
                w.key("reason").str(refusal.code());
            });
        });
    });
}

/// The name of the exception that ends a Bedrock stream.
fn stream_exception(class: Class) -> &'static str {
    match class {
        Class::RateLimited => "throttlingException",
        Class::Overloaded => "serviceUnavailableException",
        Class::Server => "internalServerException",
        _ => "validationException",
    }
}

/// The value of `x-amzn-errortype` by which Bedrock's clients tell errors apart.
pub fn aws_type(class: Class) -> &'static str {
    match class {
        Class::RateLimited => "ThrottlingException",
        Class::Overloaded => "ServiceUnavailableException",
        Class::Server => "InternalServerException",
        Class::Auth => "AccessDeniedException",
        Class::NotFound => "ResourceNotFoundException",
        _ => "ValidationException",
    }
}
