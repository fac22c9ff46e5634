//! Refusals for clients of gRPC: a response of trailers alone.
//!
//! Owns the mapping of statuses and the notation of the message. The protocol is that of "gRPC over
//! HTTP2", where the status line is 200 no matter what happened; for HTTP/1.1 and for gRPC-Web it is the
//! same, since their clients read the status from the head too.

use std::fmt::Write as _;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::Caller;
use crate::body::Body;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Turns a refusal into one of gRPC. Its other fields stay; they are metadata then.
pub(super) fn put(
    response: &mut Response<Body>,
    caller: Caller,
    message: &str,
    is_past_deadline: bool,
) {
    // DEADLINE_EXCEEDED, where the client said until when it waits.
    let code = if is_past_deadline { "4" } else { code(response.status()) };
    let kind = match caller {
        Caller::GrpcWeb => "application/grpc-web",
        Caller::GrpcWebText => "application/grpc-web-text",
        _ => "application/grpc",
    };
    *response.status_mut() = StatusCode::OK;
    *response.body_mut() = Body::empty();
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.remove(CONTENT_ENCODING);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(GRPC_STATUS, HeaderValue::from_static(code));
    if let Ok(message) = HeaderValue::try_from(encoded(message)) {
        headers.insert(GRPC_MESSAGE, message);
    }
}

/// The status code of gRPC: "HTTP to gRPC Status Code Mapping", but for 429, which says more than
/// UNAVAILABLE does.
fn code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "13",
        401 => "16",
        403 => "7",
        404 => "12",
        429 => "8",
        502..=504 => "14",
        _ => "2",
    }
}

/// Percent-encoding of all but visible ASCII and space, as `grpc-message` has it.
fn encoded(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b'%' | ..0x20 | 0x7f.. => {
                // Writing to a string does not fail.
                let _written = write!(text, "%{byte:02X}");
            }
            _ => text.push(char::from(byte)),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_what_no_field_carries() {
        assert_eq!(encoded("no quota, 100 % used"), "no quota, 100 %25 used");
        assert_eq!(encoded("größer\n"), "gr%C3%B6%C3%9Fer%0A");
    }

    #[test]
    fn maps_statuses() {
        for (status, grpc) in [
            (400, "13"),
            (401, "16"),
            (403, "7"),
            (404, "12"),
            (405, "2"),
            (413, "2"),
            (429, "8"),
            (500, "2"),
            (502, "14"),
            (503, "14"),
            (504, "14"),
        ] {
            assert_eq!(code(StatusCode::from_u16(status).expect("a status")), grpc, "{status}");
        }
    }
}
