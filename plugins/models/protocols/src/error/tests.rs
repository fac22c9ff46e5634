//! Errors as providers write them, and what is written is read as what it was.

use super::{Class, Refusal, body, event, of_response, of_stream};
use crate::framing::Reader;
use crate::json::Raw;
use crate::protocol::Protocol;
use crate::usage::Stream;

fn none(_: &str) -> Option<&'static str> {
    None
}

#[test]
fn errors_of_responses_have_their_class() {
    use Protocol::{Anthropic, BedrockConverse, Cohere, Gemini, Ollama, OpenAiChat};
    for (protocol, status, json, class, kind) in [
        (
            OpenAiChat,
            429,
            r#"{"error":{"message":"Slow","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
            Class::RateLimited,
            "tokens",
        ),
        (
            OpenAiChat,
            429,
            r#"{"error":{"message":"Pay","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
            Class::RateLimited,
            "insufficient_quota",
        ),
        (
            OpenAiChat,
            400,
            r#"{"error":{"message":"Long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            Class::ContextTooLong,
            "invalid_request_error",
        ),
        (
            OpenAiChat,
            400,
            r#"{"error":{"message":"The response was filtered","type":null,"code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            Class::ContentFiltered,
            "",
        ),
        (
            OpenAiChat,
            400,
            r#"{"object":"error","message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","param":null,"code":400}"#,
            Class::ContextTooLong,
            "BadRequestError",
        ),
        (
            OpenAiChat,
            404,
            r#"{"error":{"message":"The model `x` does not exist.","type":"NotFoundError","param":null,"code":404}}"#,
            Class::NotFound,
            "NotFoundError",
        ),
        (
            OpenAiChat,
            401,
            r#"{"error":{"message":"Incorrect key","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
            Class::Auth,
            "invalid_request_error",
        ),
        (
            OpenAiChat,
            422,
            r#"{"error":"Input validation error","error_type":"validation"}"#,
            Class::Invalid,
            "validation",
        ),
        (
            OpenAiChat,
            402,
            r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","code":"invalid_request_error"}}"#,
            Class::RateLimited,
            "unknown_error",
        ),
        (OpenAiChat, 502, "<html>Bad Gateway</html>", Class::Server, ""),
        (
            Anthropic,
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"r"}"#,
            Class::Overloaded,
            "overloaded_error",
        ),
        (
            Anthropic,
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
            Class::ContextTooLong,
            "invalid_request_error",
        ),
        (
            Anthropic,
            413,
            r#"{"type":"error","error":{"type":"request_too_large","message":"Too large"}}"#,
            Class::ContextTooLong,
            "request_too_large",
        ),
        (
            Gemini,
            429,
            r#"[{"error":{"code":429,"message":"Quota","status":"RESOURCE_EXHAUSTED","details":[]}}]"#,
            Class::RateLimited,
            "RESOURCE_EXHAUSTED",
        ),
        (
            Gemini,
            400,
            r#"{"error":{"code":400,"message":"The input token count (9) exceeds the maximum number of tokens allowed (8).","status":"INVALID_ARGUMENT"}}"#,
            Class::ContextTooLong,
            "INVALID_ARGUMENT",
        ),
        (Ollama, 404, r#"{"error":"model 'x' not found"}"#, Class::NotFound, ""),
        (
            Cohere,
            400,
            r#"{"id":"x","message":"too many tokens: total number of tokens in the prompt cannot exceed 4081"}"#,
            Class::ContextTooLong,
            "",
        ),
        (Cohere, 429, r#"{"message":"You are using a Trial key"}"#, Class::RateLimited, ""),
        (Cohere, 498, r#"{"message":"blocked"}"#, Class::ContentFiltered, ""),
        (Cohere, 401, r#"{"message":"invalid api token"}"#, Class::Auth, ""),
        (
            BedrockConverse,
            400,
            r#"{"message":"Input is too long for requested model."}"#,
            Class::ContextTooLong,
            "",
        ),
    ] {
        let failure = of_response(protocol, status, &none, json.as_bytes(), 0);
        assert_eq!((failure.class, failure.kind.as_str()), (class, kind), "{json}");
        assert_eq!(failure.status, status, "{json}");
    }
}

#[test]
fn waits_are_read_from_details_and_aws_names_from_the_head() {
    let json = br#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"m","details":[
        {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"37.5s"}]}}"#;
    let failure = of_response(Protocol::Gemini, 429, &none, json, 0);
    assert_eq!(failure.retry_after_ms, Some(37_500));
    let header =
        |name: &str| (name == "x-amzn-errortype").then_some("ThrottlingException:http://x");
    let failure = of_response(Protocol::BedrockConverse, 400, &header, b"{\"message\":\"m\"}", 0);
    assert_eq!((failure.class, failure.kind.as_str()), (Class::RateLimited, "ThrottlingException"));
}

#[test]
fn a_refusal_in_a_stream_is_read_as_an_error_of_its_class() {
    for protocol in Protocol::ALL {
        for class in [Class::RateLimited, Class::Overloaded, Class::Invalid, Class::Server] {
            let status = class.status();
            let refusal = Refusal {
                status,
                class,
                code: "",
                message: "Say \"less\".\nPlease.",
                param: None,
                request_id: Some("r1"),
            };
            let mut stream = Stream::new(protocol);
            let mut reader = Reader::new(protocol.framing(), 10_000);
            let written = event(protocol, &refusal);
            reader.read(&written, |event| assert!(stream.event(&event).error)).expect("a stream");
            let failure = stream.failure().expect("an error");
            assert_eq!(failure.message, refusal.message);
            assert!(stream.failed_before_content() && !stream.is_complete());
            // These have no word for it.
            if !matches!(protocol, Protocol::Ollama | Protocol::Cohere) {
                assert_eq!(failure.class, class, "{protocol:?}");
            }
            let whole =
                of_response(protocol, status, &none, body(protocol, &refusal).as_bytes(), 0);
            assert_eq!((whole.class, whole.message.as_str()), (class, refusal.message));
        }
    }
}

#[test]
fn an_answer_that_is_an_error_is_told_by_its_beginning_and_read_as_a_whole() {
    for (json, is_one) in [
        (r#"{"error":{"message":"m","type":"server_error","code":null}}"#, true),
        (r#" { "error" : "m" }"#, true),
        (r#"[{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}]"#, true),
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#, true),
        (r#"{"object":"error","message":"m","code":500}"#, true),
        (r#"{"error":null,"choices":[]}"#, false),
        (r#"{"id":"a","choices":[],"error":null}"#, false),
        (r#"{"type":"message","content":[]}"#, false),
        (r#"{"object":"list","data":[]}"#, false),
        ("[]", false),
        ("<html>", false),
    ] {
        let failure = super::of_answer(json.as_bytes());
        assert_eq!(failure.is_some(), is_one, "{json}");
        assert!(failure.is_none_or(|it| it.message == "m"), "{json}");
        // However much of it is there, nothing that is one is taken for none.
        let told: Vec<_> = (0..=json.len())
            .filter_map(|end| super::begins_as_error(&json.as_bytes()[..end]))
            .collect();
        assert_eq!(told.last(), Some(&is_one), "{json}");
        assert!(told.iter().all(|told| *told == is_one), "{json}");
    }
}

#[test]
fn an_event_with_null_for_an_error_is_none() {
    let mut reader = Reader::new(Protocol::OpenAiChat.framing(), 1000);
    let read = reader.read(b"data: {\"choices\":[],\"error\":null}\n\n", |event| {
        let json = Raw::parse(event.data.as_deref().expect("data")).expect("JSON");
        assert_eq!(of_stream(Protocol::OpenAiChat, &event, json), None);
    });
    assert_eq!(read, Ok(()));
}
