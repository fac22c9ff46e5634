//! Streams: what a client reads is what the provider said, however the stream was cut.

use super::{CLIENTS, PROVIDERS, options, stream_of};
use crate::error::Class;
use crate::framing::Reader;
use crate::json::Raw;
use crate::protocol::Protocol;
use crate::saved::Saved;
use crate::translate::Translator;
use crate::translate::answer::{Answer, Kind};
use crate::translate::provider::Provider;
use crate::usage::Stream;

fn translated(from: Protocol, to: Protocol, chunks: &[&[u8]]) -> String {
    let mut reader = Reader::new(from.framing(), 100_000);
    let mut translator = Translator::new(from, to, &options()).expect("a translation");
    let mut out = Vec::new();
    for chunk in chunks {
        let read = reader.read(chunk, |event| _ = translator.event(&event, &mut out));
        read.expect("a stream in its framing");
        reader = Reader::from_bytes(&reader.to_bytes()).expect("what was saved");
        translator = Translator::from_bytes(&translator.to_bytes()).expect("what was saved");
    }
    translator.finish(&mut out);
    assert!(translator.is_over());
    String::from_utf8(out).expect("text")
}

/// What a client makes of a stream: its answer and its usage.
fn understood(protocol: Protocol, stream: &str) -> (Answer, Stream) {
    let mut answer = Answer::default();
    let mut usage = Stream::new(protocol);
    let mut provider = Provider::new(protocol, "r1");
    let read = Reader::new(protocol.framing(), 100_000).read(stream.as_bytes(), |event| {
        usage.event(&event);
        let data = event.data.as_deref().expect("an event with data");
        if let Some(provider) = &mut provider
            && data != b"[DONE]"
        {
            let json = Raw::parse(data).expect("JSON");
            provider.event(event.name, json, &mut answer).expect("an event of the protocol");
        }
    });
    read.expect("a stream in its framing");
    (answer, usage)
}

#[test]
fn every_client_gets_what_every_provider_said() {
    for from in PROVIDERS {
        for to in CLIENTS {
            let stream = translated(from, to, &[&stream_of(from)]);
            let (answer, usage) = understood(to, &stream);
            let about = format!("{from:?} to {to:?}: {stream}");
            assert!(usage.is_complete() && usage.has_content(), "{about}");
            let tokens = usage.usage().expect("a usage");
            assert_eq!((tokens.input, tokens.output), (15, 20), "{about}");
            assert_eq!(answer.text(Kind::Thinking), "hm\\n", "{about}");
            assert_eq!(answer.text(Kind::Text), r#"Let \"me\" see \u00e9"#, "{about}");
            let calls: Vec<_> = answer.of(Kind::Call).collect();
            let said: Vec<_> = calls
                .iter()
                .map(|it| (it.name.as_str(), it.arguments().expect("an object")))
                .collect();
            let expected =
                [("weather", r#"{"city":"Oslo"}"#.to_owned()), ("time", "{}".to_owned())];
            assert_eq!(said, expected, "{about}");
            assert!(calls[0].id != calls[1].id && !calls[0].id.is_empty(), "{about}");
            let signed = matches!(from, Protocol::Anthropic | Protocol::BedrockConverse);
            match to {
                Protocol::Anthropic if signed => {
                    assert_eq!(answer.blocks[0].signature, "c2ln", "{about}")
                }
                Protocol::OpenAiChat if signed => {
                    assert!(stream.contains("\"c2ln\""), "{about}");
                }
                Protocol::Gemini if signed => {
                    assert!(stream.contains("\"Z3cxc2ln\""), "{about}");
                }
                Protocol::Anthropic | Protocol::OpenAiChat if from == Protocol::OpenAiResponses => {
                    assert!(stream.contains("openai:rs_1:gAAAA=="), "{about}");
                }
                _ => {}
            }
            let word = match to {
                Protocol::OpenAiChat => "tool_calls",
                Protocol::Anthropic => "tool_use",
                Protocol::Gemini => "STOP",
                Protocol::OpenAiResponses => "completed",
                _ => "stop",
            };
            assert_eq!(usage.finish_reason(), Some(word), "{about}");
        }
    }
}

#[test]
fn how_the_stream_is_cut_makes_no_difference() {
    for from in PROVIDERS {
        let stream = stream_of(from);
        for to in CLIENTS {
            let whole = translated(from, to, &[&stream]);
            for cut in (0..=stream.len()).step_by(11) {
                let cuts = [&stream[..cut], &stream[cut..]];
                assert_eq!(translated(from, to, &cuts), whole, "{from:?} to {to:?} at {cut}");
            }
            let bytes: Vec<_> = stream.chunks(1).collect();
            assert_eq!(translated(from, to, &bytes), whole);
        }
    }
}

#[test]
fn a_stream_that_is_cut_off_is_an_error_and_never_an_end() {
    for from in PROVIDERS {
        let stream = stream_of(from);
        let end = match from {
            Protocol::Anthropic => "message_stop",
            Protocol::Gemini => "finishReason",
            Protocol::Ollama => "done_reason",
            Protocol::Cohere => "finish_reason",
            Protocol::BedrockConverse => "stopReason",
            Protocol::OpenAiResponses => "response.completed",
            _ => "finish_reason\":\"tool_calls",
        };
        let end = memchr::memmem::find(&stream, end.as_bytes()).expect("an end");
        for to in CLIENTS {
            for cut in (0..end).step_by(101).chain([end]) {
                let written = translated(from, to, &[&stream[..cut]]);
                let (_, usage) = usage_of(to, &written);
                assert!(!usage.is_complete(), "{from:?} to {to:?} at {cut}: {written}");
                let failure = usage.failure().expect("an error");
                assert!(failure.message.contains("ended before"), "{written}");
            }
        }
    }
}

/// Like [`understood`], for streams with an error in them.
fn usage_of(protocol: Protocol, stream: &str) -> ((), Stream) {
    let mut usage = Stream::new(protocol);
    let mut reader = Reader::new(protocol.framing(), 100_000);
    reader.read(stream.as_bytes(), |event| _ = usage.event(&event)).expect("a stream");
    ((), usage)
}

#[test]
fn errors_in_the_stream_are_told_in_the_clients_protocol() {
    let errors = [
        (
            Protocol::OpenAiChat,
            "data: {\"error\":{\"message\":\"Slow\",\"type\":\"x\",\"code\":\"rate_limit_exceeded\"}}\n\ndata: [DONE]\n\n",
        ),
        (
            Protocol::Anthropic,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"Slow\"}}\n\n",
        ),
        (
            Protocol::Gemini,
            "data: {\"error\":{\"code\":429,\"message\":\"Slow\",\"status\":\"RESOURCE_EXHAUSTED\"}}\n\n",
        ),
    ];
    for (from, stream) in errors {
        for to in CLIENTS {
            let written = translated(from, to, &[stream.as_bytes()]);
            let (_, usage) = usage_of(to, &written);
            let failure = usage.failure().expect("an error");
            assert_eq!(failure.message, "Slow");
            if to != Protocol::Ollama {
                assert_eq!(failure.class, Class::RateLimited, "{written}");
            }
            assert!(!usage.is_complete() && !written.contains("[DONE]"));
        }
    }
}

#[test]
fn calls_are_told_apart_by_servers_that_give_every_index_0() {
    let stream = concat!(
        r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}}]}"#,
        "\n\n",
        r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"g","arguments":"{}"}}]}}]}"#,
        "\n\n",
        r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        "\n\n",
    );
    let written = translated(Protocol::OpenAiChat, Protocol::Anthropic, &[stream.as_bytes()]);
    let (answer, usage) = understood(Protocol::Anthropic, &written);
    let names: Vec<_> = answer.of(Kind::Call).map(|call| call.name.as_str()).collect();
    assert_eq!(names, ["f", "g"]);
    assert_eq!(usage.finish_reason(), Some("tool_use"));
}

#[test]
fn mixed_pieces_and_unknown_parts_are_errors_by_name() {
    let mixed = concat!(
        r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]}}]}"#,
        "\n\n",
        r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"{"}}]}}]}"#,
        "\n\n",
        r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}}]}"#,
        "\n\n",
    );
    let written = translated(Protocol::OpenAiChat, Protocol::Anthropic, &[mixed.as_bytes()]);
    assert!(written.contains("are mixed") && !written.contains("message_stop"), "{written}");
    let unknown = "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"server_tool_use\"}}\n\n";
    let written = translated(Protocol::Anthropic, Protocol::OpenAiChat, &[unknown.as_bytes()]);
    assert!(written.contains("`server_tool_use`"), "{written}");
    let garbage = translated(Protocol::Anthropic, Protocol::OpenAiChat, &[b"data: <html>\n\n"]);
    assert!(garbage.contains("not JSON"), "{garbage}");
}

#[test]
fn the_extra_chunk_is_only_for_who_asked() {
    let mut silent = options();
    silent.include_usage = false;
    let (from, to) = (Protocol::Anthropic, Protocol::OpenAiChat);
    let mut translator = Translator::new(from, to, &silent).expect("a translation");
    let mut out = Vec::new();
    let mut reader = Reader::new(from.framing(), 100_000);
    reader.read(&stream_of(from), |event| _ = translator.event(&event, &mut out)).expect("events");
    let written = String::from_utf8(out).expect("text");
    assert!(!written.contains("usage") && written.ends_with("data: [DONE]\n\n"), "{written}");
}

#[test]
fn a_prompt_that_gemini_blocks_is_an_answer_that_was_filtered() {
    let stream = b"data: {\"promptFeedback\":{\"blockReason\":\"OTHER\"},\"usageMetadata\":{\"promptTokenCount\":3}}\n\n";
    for (to, word) in [(Protocol::OpenAiChat, "content_filter"), (Protocol::Anthropic, "refusal")] {
        let written = translated(Protocol::Gemini, to, &[stream]);
        let (_, usage) = understood(to, &written);
        assert!(usage.is_complete(), "{written}");
        assert_eq!(usage.finish_reason(), Some(word));
    }
}

#[test]
fn the_events_of_responses_are_numbered_and_whole() {
    let stream = translated(
        Protocol::Anthropic,
        Protocol::OpenAiResponses,
        &[&stream_of(Protocol::Anthropic)],
    );
    let (mut names, mut numbers, mut last) = (Vec::new(), Vec::new(), String::new());
    let mut reader = Reader::new(Protocol::OpenAiResponses.framing(), 100_000);
    reader
        .read(stream.as_bytes(), |event| {
            let data = event.data.as_deref().expect("data");
            let json = Raw::parse(data).expect("JSON");
            names.push(String::from_utf8_lossy(event.name).into_owned());
            assert!(json.get("type").is_some_and(|kind| kind.is(&names[names.len() - 1])));
            numbers.push(json.u64_of("sequence_number").expect("a number"));
            last = String::from_utf8_lossy(data).into_owned();
        })
        .expect("events");
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
    let expected = [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ];
    let names: Vec<_> = names.iter().map(|name| name.trim_start_matches("response.")).collect();
    assert_eq!(names, expected);
    let response =
        Raw::parse(last.as_bytes()).expect("JSON").get("response").expect("a response").text();
    let items: Vec<_> = Raw::parse(response.as_bytes())
        .expect("JSON")
        .get("output")
        .expect("output")
        .elements()
        .collect();
    let ids: Vec<_> = items.iter().filter_map(|item| item.text_of("id")).collect();
    assert_eq!(ids, ["rs_msg_1_0", "msg_msg_1_1", "fc_msg_1_2", "fc_msg_1_3"]);
    for id in ids {
        assert!(stream.matches(&format!(r#""item":{{"id":"{id}""#)).count() == 2, "{id}");
    }
    for part in [
        r#""encrypted_content":"gw1:t:c2ln""#,
        r#""text":"Let \"me\" see \u00e9""#,
        r#""call_id":"toolu_A","name":"weather","arguments":"{\"city\":\"Oslo\"}""#,
        r#""name":"time","arguments":"{}""#,
        r#""status":"completed""#,
    ] {
        assert!(response.contains(part), "{part} in {response}");
    }
}

#[test]
fn contents_that_are_lists_are_read() {
    let stream = concat!(
        r#"data: {"choices":[{"index":0,"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}}]}"#,
        "\n\n",
        r#"data: {"choices":[{"index":0,"delta":{"content":[{"type":"text","text":"Hi"}]},"finish_reason":"stop"}]}"#,
        "\n\n",
    );
    let written = translated(Protocol::OpenAiChat, Protocol::Anthropic, &[stream.as_bytes()]);
    let (answer, usage) = understood(Protocol::Anthropic, &written);
    assert_eq!(
        (answer.text(Kind::Thinking).as_str(), answer.text(Kind::Text).as_str()),
        ("hm", "Hi")
    );
    assert!(usage.is_complete() && usage.has_content());
}
