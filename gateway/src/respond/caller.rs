//! What a request says about its client: the protocol that it speaks above HTTP.
//!
//! Owns how that follows from the fields and from a body that was read. Must not write an answer.

use http::HeaderValue;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// The protocol above HTTP, weakest sign first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Caller {
    /// Nothing is known.
    #[default]
    Plain,
    /// A body of JSON, which may be a call of JSON-RPC.
    Json,
    /// The Model Context Protocol, by one of its fields.
    Mcp,
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC-Web, in binary.
    GrpcWeb,
    /// gRPC-Web, in base64.
    GrpcWebText,
}

impl Caller {
    /// By the media type of the request body.
    pub(crate) fn of_media_type(value: &HeaderValue) -> Self {
        let Some((kind, rest)) = value.as_bytes().split_at_checked(16) else { return Self::Plain };
        if kind.eq_ignore_ascii_case(b"application/json") {
            return if ends(rest) { Self::Json } else { Self::Plain };
        }
        if !kind.eq_ignore_ascii_case(b"application/grpc") {
            return Self::Plain;
        }
        let after = |prefix: &[u8]| {
            let (front, rest) = rest.split_at_checked(prefix.len())?;
            let fits = front.eq_ignore_ascii_case(prefix);
            (fits && (ends(rest) || rest.first() == Some(&b'+'))).then_some(())
        };
        match (after(b"-web-text"), after(b"-web"), after(b"")) {
            (Some(()), ..) => Self::GrpcWebText,
            (_, Some(()), _) => Self::GrpcWeb,
            (_, _, Some(())) => Self::Grpc,
            _ => Self::Plain,
        }
    }

    /// By the name of a field, in lower case: those of MCP, of 2026-07-28 and before.
    pub(crate) fn of_field(name: &[u8]) -> Self {
        match name {
            b"mcp-method" | b"mcp-protocol-version" | b"mcp-session-id" => Self::Mcp,
            _ => Self::Plain,
        }
    }

    /// Whether it is gRPC of any kind.
    pub(crate) fn is_grpc(self) -> bool {
        self >= Self::Grpc
    }
}

/// Whether a media type ends here.
fn ends(rest: &[u8]) -> bool {
    matches!(rest.trim_ascii_start().first(), None | Some(b';'))
}

/// A message of JSON-RPC, as far as an answer to it needs it.
#[derive(Deserialize)]
struct Message {
    jsonrpc: Option<String>,
    method: Option<IgnoredAny>,
    result: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
    id: Option<Value>,
}

impl Message {
    /// Whether somebody waits for its answer: nobody does for that of a response.
    fn is_call(&self) -> bool {
        let is_response = self.method.is_none() && (self.result.is_some() || self.error.is_some());
        self.jsonrpc.as_deref() == Some("2.0") && !is_response
    }
}

/// The id of a call of JSON-RPC 2.0 as it is written: null for a notification and a batch. `None` if it
/// is no call.
pub(crate) fn id_of_call(body: &[u8]) -> Option<Box<str>> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if body.trim_ascii_start().first() == Some(&b'[') {
        let batch: Vec<Message> = serde_json::from_slice(body).ok()?;
        return batch.first().filter(|call| call.is_call()).map(|_| "null".into());
    }
    let call: Message = serde_json::from_slice(body).ok()?;
    call.is_call().then(|| match call.id {
        Some(id @ Value::String(_)) => id.to_string().into(),
        // As written: as a number it may have lost digits.
        Some(id @ Value::Number(_)) => {
            number_of_id(body).map_or_else(|| id.to_string().into(), Into::into)
        }
        _ => "null".into(),
    })
}

/// The number behind the key `id` of a text that is known to be an object of JSON with one.
fn number_of_id(body: &[u8]) -> Option<&str> {
    let (mut depth, mut at, mut found) = (0_usize, 0, None);
    while let Some(byte) = body.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let start = at + 1;
                at = start;
                while *body.get(at)? != b'"' {
                    at += if body[at] == b'\\' { 2 } else { 1 };
                }
                let rest = body.get(at + 1..)?.trim_ascii_start();
                if depth == 1
                    && body.get(start..at) == Some(b"id")
                    && let Some(value) = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start)
                {
                    let is_digit = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                    let length = value.iter().take_while(|byte| is_digit(byte)).count();
                    found = value.get(..length).filter(|it| !it.is_empty());
                }
            }
            _ => {}
        }
        at += 1;
    }
    std::str::from_utf8(found?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_callers_by_the_media_type() {
        for (text, caller) in [
            ("application/grpc", Caller::Grpc),
            ("Application/gRPC+proto", Caller::Grpc),
            ("application/grpc;x=y", Caller::Grpc),
            ("application/grpc-web", Caller::GrpcWeb),
            ("application/grpc-web+proto", Caller::GrpcWeb),
            ("application/grpc-web-text+proto", Caller::GrpcWebText),
            ("application/grpcs", Caller::Plain),
            ("application/grpc-websocket", Caller::Plain),
            ("application/json", Caller::Json),
            ("application/json; charset=utf-8", Caller::Json),
            ("application/json-seq", Caller::Plain),
            ("application/problem+json", Caller::Plain),
            ("text/plain", Caller::Plain),
            ("", Caller::Plain),
        ] {
            assert_eq!(Caller::of_media_type(&HeaderValue::from_static(text)), caller, "{text}");
        }
    }

    #[test]
    fn reads_the_id_of_a_call_and_of_nothing_else() {
        for (body, id) in [
            (r#"{"jsonrpc":"2.0","id":7,"method":"a","params":{"id":8}}"#, Some("7")),
            (r#"{"params":{"id":8},"a":"\"id\":9","id" : -7 ,"jsonrpc":"2.0"}"#, Some("-7")),
            (r#"{"method":"a","id":"x\"","jsonrpc":"2.0"}"#, Some(r#""x\"""#)),
            (
                r#"{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"a"}"#,
                Some("123456789012345678901234567890"),
            ),
            (r#"{"jsonrpc":"2.0","id":1.10,"method":"a"}"#, Some("1.10")),
            (r#"{"jsonrpc":"2.0","method":"a"}"#, Some("null")),
            (r#"{"jsonrpc":"2.0","id":{"a":1},"method":"a"}"#, Some("null")),
            (r#"[{"jsonrpc":"2.0","id":7,"method":"a"}]"#, Some("null")),
            (r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, None),
            (r#"{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"a"}}"#, None),
            (r#"[{"jsonrpc":"2.0","id":7,"result":{}}]"#, None),
            (r#"{"jsonrpc":"1.0","id":7,"method":"a"}"#, None),
            (r#"{"id":7,"model":"a"}"#, None),
            ("[]", None),
            ("", None),
            (r#"{"jsonrpc":"2.0","id":7"#, None),
        ] {
            assert_eq!(id_of_call(body.as_bytes()).as_deref(), id, "{body}");
        }
    }
}
