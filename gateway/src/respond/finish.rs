//! The last step of a refusal: the form that its client reads.
//!
//! Owns the choice among the forms, what clients learn about retries, and what is left of
//! the answer to `HEAD`. Every refusal, no matter who made it, passes here once, after the plugins.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value};

use super::{Caller, PROBLEM_JSON, Refusal, grpc, json_rpc, provider, title};
use crate::body::{Body, CollectError, collect};
use crate::config::ErrorForm;

/// The field by which clients of AI APIs accept not to retry.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The largest problem document that is put into another form.
const MAX_DOCUMENT: u64 = 64 << 10;

/// Whether a response is a refusal that was made here.
pub(crate) fn is_refusal(response: &Response<Body>) -> bool {
    response.status().as_u16() >= 400 && response.extensions().get::<Refusal>().is_some()
}

/// What decides the form of a refusal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form<'a> {
    /// The setting of the route.
    pub(crate) errors: ErrorForm,
    /// What the request says about its client.
    pub(crate) caller: Caller,
    /// The id of the call where it is one of JSON-RPC.
    pub(crate) call: Option<&'a str>,
    /// A time that is over is the one that the client gave.
    pub(crate) is_deadline: bool,
    /// The request id.
    pub(crate) id: &'a HeaderValue,
    /// The request is a `HEAD`.
    pub(crate) is_head: bool,
    /// `retry_after_ceiling`, in seconds.
    pub(crate) ceiling: u64,
}

impl Form<'_> {
    /// Whether the client is known to speak JSON-RPC.
    fn speaks_json_rpc(&self) -> bool {
        self.caller == Caller::Mcp || self.call.is_some()
    }
}

/// Gives a refusal the form that its client reads.
pub(crate) async fn finish(wanted: Form<'_>, response: &mut Response<Body>) {
    let wait = wait(response.headers());
    if wait.is_some_and(|wait| wait > wanted.ceiling)
        && !response.headers().contains_key(SHOULD_RETRY)
    {
        response.headers_mut().insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    let Form { errors: form, caller, call, .. } = wanted;
    if caller.is_grpc() && form != ErrorForm::Problem {
        let text = read(response).await;
        let message = told(response, text.as_deref());
        let is_over = wanted.is_deadline && response.status() == StatusCode::GATEWAY_TIMEOUT;
        grpc::put(response, caller, &message, is_over);
        return;
    }
    if is_problem(response.headers()) {
        let is_call =
            form == ErrorForm::JsonRpc || (form == ErrorForm::Auto && wanted.speaks_json_rpc());
        let text = read(response).await;
        if let Some(document) = text.as_deref().and_then(object) {
            let refusal = Refused {
                status: response.status(),
                message: message_of(&document).unwrap_or(title(response.status())).to_owned(),
                document,
                id: wanted.id.to_str().unwrap_or_default(),
                wait,
            };
            let json = match form {
                _ if is_call => Some(json_rpc::error(refusal, call)),
                ErrorForm::OpenAi => Some(provider::openai(&refusal).to_string()),
                ErrorForm::Anthropic => {
                    let id = wanted.id.clone();
                    response.headers_mut().insert(HeaderName::from_static("request-id"), id);
                    Some(provider::anthropic(&refusal).to_string())
                }
                ErrorForm::Google => Some(provider::google(&refusal).to_string()),
                ErrorForm::Ollama => Some(provider::ollama(&refusal).to_string()),
                ErrorForm::Cohere => Some(provider::cohere(&refusal).to_string()),
                ErrorForm::Bedrock => {
                    let kind = HeaderValue::from_static(provider::bedrock_type(refusal.status));
                    response
                        .headers_mut()
                        .insert(HeaderName::from_static("x-amzn-errortype"), kind);
                    Some(provider::bedrock(&refusal).to_string())
                }
                ErrorForm::Auto | ErrorForm::Problem | ErrorForm::JsonRpc => {
                    if !refusal.document.contains_key("message") {
                        with_message(response, text.as_deref(), &refusal.message);
                    }
                    None
                }
            };
            if let Some(json) = json {
                response.headers_mut().insert(CONTENT_TYPE, JSON);
                write(response, json.into_bytes());
            }
        }
    }
    if wanted.is_head {
        // RFC 9110 section 9.3.2: the fields stay, the body goes.
        *response.body_mut() = Body::empty();
    }
}

/// A refusal, as the other forms need it.
pub(super) struct Refused<'a> {
    pub(super) status: StatusCode,
    /// One sentence for people.
    pub(super) message: String,
    /// The problem document.
    pub(super) document: Map<String, Value>,
    /// The request id.
    pub(super) id: &'a str,
    /// Seconds of `Retry-After`.
    pub(super) wait: Option<u64>,
}

/// Seconds of `Retry-After` (RFC 9110 section 10.2.3), which may be a date.
fn wait(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(std::time::SystemTime::now()).map_or(0, |left| left.as_secs()))
}

fn is_problem(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    let kind = kind.and_then(|kind| kind.split(|byte| *byte == b';').next());
    kind.is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(PROBLEM_JSON.as_bytes()))
}

/// The bytes of the answer's body, which stays as it is. `None` if there are too many.
async fn read(response: &mut Response<Body>) -> Option<bytes::Bytes> {
    let body = std::mem::take(response.body_mut());
    match collect(body, MAX_DOCUMENT).await {
        Ok((bytes, trailers)) => {
            *response.body_mut() = Body::buffered(bytes.clone(), trailers);
            Some(bytes)
        }
        Err(CollectError::TooLarge(body)) => {
            *response.body_mut() = *body;
            None
        }
        Err(CollectError::Broken) => None,
    }
}

fn object(text: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(text).ok()
}

/// The detail, or what else a document says in words.
fn message_of(document: &Map<String, Value>) -> Option<&str> {
    let text = |name| document.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text("detail").or_else(|| text("message")).or_else(|| text("title"))
}

/// What an answer of any kind says in words, for a client that reads nothing but that.
fn told(response: &Response<Body>, text: Option<&[u8]>) -> String {
    let document = text.filter(|_| is_problem(response.headers())).and_then(object);
    let in_document = document.as_ref().and_then(message_of);
    let plain = || {
        let kind = response.headers().get(CONTENT_TYPE)?.as_bytes();
        let is_plain = kind.get(..10).is_some_and(|it| it.eq_ignore_ascii_case(b"text/plain"));
        let text = std::str::from_utf8(text.filter(|_| is_plain)?).ok()?.trim();
        (1..=1024).contains(&text.len()).then_some(text)
    };
    in_document.or_else(plain).unwrap_or(title(response.status())).to_owned()
}

/// Adds the member `message` behind the others of a problem document, which stay as they are.
fn with_message(response: &mut Response<Body>, document: Option<&[u8]>, message: &str) {
    let front = document.and_then(|text| text.trim_ascii_end().strip_suffix(b"}"));
    if let Some(front) = front {
        let comma = if front.trim_ascii_end().ends_with(b"{") { "" } else { "," };
        let member = format!("{comma}\"message\":{}}}", Value::from(message));
        write(response, [front, member.as_bytes()].concat());
    }
}

fn write(response: &mut Response<Body>, text: Vec<u8>) {
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    *response.body_mut() = Body::full(text.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(value: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(value).expect("a value"));
        wait(&headers)
    }

    #[test]
    fn reads_both_notations_of_retry_after() {
        assert_eq!(waits("61"), Some(61));
        assert_eq!(waits("Wed, 21 Oct 2015 07:28:00 GMT"), Some(0));
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(600);
        let later = waits(&httpdate::fmt_http_date(later)).expect("a date");
        assert!((590..=600).contains(&later), "{later}");
        assert_eq!(waits("soon"), None);
    }

    #[test]
    fn adds_a_message_behind_the_members_that_are_there() {
        for (document, whole) in [
            ("{}", r#"{"message":"a \"b\""}"#),
            (
                r#"{"title":"x", "status":400 }"#,
                r#"{"title":"x", "status":400 ,"message":"a \"b\""}"#,
            ),
        ] {
            let mut response = Response::new(Body::empty());
            with_message(&mut response, Some(document.as_bytes()), "a \"b\"");
            assert_eq!(response.headers()[CONTENT_LENGTH], whole.len().to_string());
            let body = http_body::Body::size_hint(response.body()).exact();
            assert_eq!(body, Some(whole.len() as u64));
            assert!(object(whole.as_bytes()).is_some());
        }
    }

    #[test]
    fn tells_problem_documents_by_their_media_type() {
        for (kind, is) in [
            ("application/problem+json", true),
            ("Application/Problem+JSON; charset=utf-8", true),
            ("application/json", false),
            ("text/html", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            assert_eq!(is_problem(&headers), is, "{kind}");
        }
    }
}
