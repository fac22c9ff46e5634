//! Whole answers: what a client reads is what the provider said.

use super::{CLIENTS, options};
use crate::framing::Reader;
use crate::json::Raw;
use crate::protocol::Protocol;
use crate::translate::answer::{Answer, Kind};
use crate::translate::provider::Provider;
use crate::translate::{Translator, response};
use crate::usage::{self, Stream};

pub(super) const WHOLES: [(Protocol, &str); 7] = [
    (
        Protocol::OpenAiChat,
        r#"{"id":"c1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi \u00e9","reasoning_content":"hm","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\": 1.50}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":15,"completion_tokens":20,"total_tokens":35}}"#,
    ),
    (
        Protocol::Anthropic,
        r#"{"id":"m1","type":"message","role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"c2ln"},{"type":"text","text":"Hi \u00e9"},{"type":"tool_use","id":"toolu_a","name":"f","input":{"x": 1.50}}],"stop_reason":"tool_use","usage":{"input_tokens":5,"cache_read_input_tokens":10,"output_tokens":20}}"#,
    ),
    (
        Protocol::OpenAiResponses,
        r#"{"id":"resp_1","object":"response","status":"completed","output":[{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"gAAA"},{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"Hi \u00e9","annotations":[]}]},{"id":"fc_1","type":"function_call","call_id":"a","name":"f","arguments":"{\"x\": 1.50}"}],"usage":{"input_tokens":15,"output_tokens":20,"total_tokens":35}}"#,
    ),
    (
        Protocol::Gemini,
        r#"{"responseId":"g1","candidates":[{"content":{"role":"model","parts":[{"text":"hm","thought":true},{"text":"Hi \u00e9"},{"functionCall":{"name":"f","args":{"x": 1.50}},"thoughtSignature":"c2ln"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":15,"candidatesTokenCount":18,"thoughtsTokenCount":2,"totalTokenCount":35}}"#,
    ),
    (
        Protocol::Ollama,
        r#"{"model":"m","message":{"role":"assistant","content":"Hi \u00e9","thinking":"hm","tool_calls":[{"function":{"name":"f","arguments":{"x": 1.50}}}]},"done":true,"done_reason":"stop","prompt_eval_count":15,"eval_count":20}"#,
    ),
    (
        Protocol::BedrockConverse,
        r#"{"output":{"message":{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"hm","signature":"c2ln"}}},{"text":"Hi \u00e9"},{"toolUse":{"toolUseId":"t","name":"f","input":{"x": 1.50}}}]}},"stopReason":"tool_use","usage":{"inputTokens":15,"outputTokens":20,"totalTokens":35}}"#,
    ),
    (
        Protocol::Cohere,
        r#"{"id":"c1","message":{"role":"assistant","content":[{"type":"thinking","thinking":"hm"}],"tool_plan":"Hi \u00e9","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\": 1.50}"}}]},"finish_reason":"TOOL_CALL","usage":{"billed_units":{"input_tokens":15.0,"output_tokens":20},"tokens":{"input_tokens":1500,"output_tokens":25}}}"#,
    ),
];

#[test]
fn every_client_gets_what_every_provider_said() {
    for (from, body) in WHOLES {
        for to in CLIENTS {
            let written = response(from, to, body.as_bytes(), &options()).expect("an answer");
            let json = Raw::parse(written.as_bytes()).expect("JSON");
            let tokens = usage::of_json(to, json).expect("a usage");
            assert_eq!((tokens.input, tokens.output), (15, 20), "{written}");
            let mut answer = Answer::default();
            let mut provider = Provider::new(to, "x").expect("a provider");
            provider.whole(json, &mut answer).expect("an answer of the protocol");
            assert_eq!(answer.text(Kind::Thinking), "hm", "{written}");
            assert_eq!(answer.text(Kind::Text), "Hi \\u00e9", "{written}");
            let call = answer.of(Kind::Call).next().expect("a call");
            assert_eq!(call.arguments().as_deref(), Some(r#"{"x": 1.50}"#), "{written}");
            assert!(answer.finish.is_some(), "{written}");
        }
    }
}

#[test]
fn what_is_no_answer_is_a_failure() {
    let of = |from, body: &str| response(from, Protocol::OpenAiChat, body.as_bytes(), &options());
    for body in ["<html>", "{}", r#"{"choices":[]}"#] {
        assert_eq!(of(Protocol::OpenAiChat, body).map_err(|it| it.status), Err(502), "{body}");
    }
    let audio =
        r#"{"choices":[{"index":0,"message":{"audio":{"data":"x"}},"finish_reason":"stop"}]}"#;
    assert!(of(Protocol::OpenAiChat, audio).is_err_and(|it| it.message.contains("`audio`")));
    let broken = r#"{"choices":[{"message":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{"}}]},"finish_reason":"tool_calls"}]}"#;
    let broken = response(Protocol::OpenAiChat, Protocol::Anthropic, broken.as_bytes(), &options());
    assert!(broken.is_err_and(|it| it.message.contains("not a JSON object")));
}

#[test]
fn reasons_to_end_are_translated_and_the_providers_word_is_kept_where_it_says_more() {
    let claude = |reason: &str| {
        let body =
            format!(r#"{{"content":[{{"type":"text","text":"x"}}],"stop_reason":"{reason}"}}"#);
        response(Protocol::Anthropic, Protocol::OpenAiChat, body.as_bytes(), &options())
            .expect("an answer")
    };
    for (reason, word, native) in [
        ("end_turn", "stop", false),
        ("stop_sequence", "stop", false),
        ("max_tokens", "length", false),
        ("tool_use", "stop", false),
        ("refusal", "stop", true),
        ("pause_turn", "length", true),
        ("model_context_window_exceeded", "length", true),
        ("something_new", "stop", true),
    ] {
        let written = claude(reason);
        assert!(written.contains(&format!(r#""finish_reason":"{word}""#)), "{written}");
        let own = format!(r#""native_finish_reason":"{reason}""#);
        assert_eq!(written.contains(&own), native, "{written}");
    }
}

#[test]
fn a_whole_answer_is_written_as_a_stream_where_one_was_asked_for() {
    for (from, body) in WHOLES {
        for to in CLIENTS {
            let mut translator = Translator::new(from, to, &options()).expect("a translation");
            let mut out = Vec::new();
            translator.whole(body.as_bytes(), &mut out);
            assert!(translator.is_over() && translator.usage().is_complete());
            let mut read = Stream::new(to);
            let mut reader = Reader::new(to.framing(), 100_000);
            reader.read(&out, |event| _ = read.event(&event)).expect("a stream");
            let about = String::from_utf8_lossy(&out).into_owned();
            assert!(read.is_complete() && read.has_content(), "{about}");
            assert_eq!(read.usage().map(|usage| usage.total()), Some(35), "{about}");
        }
    }
    let (from, to) = (Protocol::OpenAiChat, Protocol::Anthropic);
    for body in ["<html>", "{}"] {
        let mut translator = Translator::new(from, to, &options()).expect("a translation");
        let mut out = Vec::new();
        translator.whole(body.as_bytes(), &mut out);
        assert!(String::from_utf8_lossy(&out).starts_with("event: error"), "{body}");
    }
}
