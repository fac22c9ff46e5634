//! Streams of every shape, cut at every byte, give the same usage; cut off, they are not whole.

use super::{Stream, Tier, Usage, finish_of_body, of_body};
use crate::error::Class;
use crate::framing::{Framing, Reader, event_stream};
use crate::protocol::Protocol;
use crate::saved::Saved;

fn read(protocol: Protocol, framing: Framing, chunks: &[&[u8]]) -> Stream {
    let mut reader = Reader::new(framing, 100_000);
    let mut stream = Stream::new(protocol);
    for chunk in chunks {
        reader
            .read(chunk, |event| {
                stream.event(&event);
            })
            .expect("a stream in its framing");
        reader = Reader::from_bytes(&reader.to_bytes()).expect("what was saved");
        stream = Stream::from_bytes(&stream.to_bytes()).expect("what was saved");
    }
    stream
}

/// Reads the stream whole, at every split and byte for byte, and cut off before `end`.
fn check(protocol: Protocol, stream: &[u8], end: &str, usage: Usage, finish: &str) {
    let framing = match stream.starts_with(b"[") {
        true => Framing::JsonArray,
        false => protocol.framing(),
    };
    let same = |chunks: &[&[u8]]| {
        let read = read(protocol, framing, chunks);
        assert_eq!(read.usage(), Some(usage));
        assert_eq!(read.usage_or_estimate(9), usage);
        assert_eq!(read.finish_reason(), Some(finish));
        assert!(read.is_complete() && read.has_content() && read.failure().is_none());
    };
    same(&[stream]);
    for cut in 0..=stream.len() {
        same(&[&stream[..cut], &stream[cut..]]);
    }
    let bytes: Vec<_> = stream.chunks(1).collect();
    same(&bytes);
    let last = memchr::memmem::rfind(stream, end.as_bytes()).expect("the end is in the stream");
    for cut in 0..=last {
        let read = read(protocol, framing, &[&stream[..cut]]);
        assert!(!read.is_complete(), "cut at {cut} of {}", stream.len());
    }
}

fn sse(events: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events {
        match event.split_once('|').filter(|(name, _)| !name.starts_with('{')) {
            Some((name, data)) => out.extend(format!("event: {name}\ndata: {data}\n\n").bytes()),
            None => out.extend(format!("data: {event}\n\n").bytes()),
        }
    }
    out
}

#[test]
fn chat_with_the_chunk_that_include_usage_adds() {
    let stream = sse(&[
        r#"{"id":"c","object":"chat.completion.chunk","model":"m","service_tier":"default","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null,"obfuscation":"xx"}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{"content":"a \"usage\": {\"prompt_tokens\":9}"},"finish_reason":null}],"usage":null}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#,
        r#"{"id":"c","service_tier":"priority","choices":[],"usage":{"prompt_tokens":1200,"completion_tokens":300,"total_tokens":1500,"prompt_tokens_details":{"cached_tokens":1024,"cache_write_tokens":64,"audio_tokens":3},"completion_tokens_details":{"reasoning_tokens":256,"audio_tokens":2,"accepted_prediction_tokens":1,"rejected_prediction_tokens":5}}}"#,
        "[DONE]",
    ]);
    let usage = Usage {
        input: 1200,
        output: 300,
        cached_input: 1024,
        cache_write: 64,
        reasoning: 256,
        audio_input: 3,
        audio_output: 2,
        rejected_prediction: 5,
        tier: Tier::Priority,
        ..Usage::default()
    };
    check(Protocol::OpenAiChat, &stream, "finish_reason\":\"stop", usage, "stop");
}

#[test]
fn only_the_added_chunk_is_the_added_chunk() {
    let extra = |json: &str| {
        let mut seen = Vec::new();
        let mut stream = Stream::new(Protocol::OpenAiChat);
        let mut reader = Reader::new(Framing::Sse, 10_000);
        reader.read(&sse(&[json]), |event| seen.push(stream.event(&event))).expect("an event");
        seen[0].extra_usage
    };
    assert!(extra(r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#));
    assert!(extra(r#"{"usage" : {"prompt_tokens":1}, "choices" : [ ] }"#));
    // Azure's first chunk has no choices either.
    assert!(!extra(r#"{"choices":[],"prompt_filter_results":[],"usage":null}"#));
    assert!(!extra(r#"{"choices":[{"delta":{"content":"x"}}],"usage":{"prompt_tokens":1}}"#));
}

#[test]
fn usage_in_every_chunk_replaces_and_is_not_added() {
    let stream = sse(&[
        r#"{"choices":[{"index":0,"delta":{"role":"assistant"}}],"usage":{"prompt_tokens":7,"completion_tokens":0,"total_tokens":7}}"#,
        r#"{"choices":[{"index":0,"delta":{"reasoning":"a"}}],"usage":{"prompt_tokens":7,"completion_tokens":1,"total_tokens":8}}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"length"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#,
        "[DONE]",
    ]);
    let usage = Usage { input: 7, output: 2, ..Usage::default() };
    check(Protocol::OpenAiChat, &stream, "\"finish_reason\":\"length\"", usage, "length");
}

#[test]
fn an_error_before_done_is_no_success() {
    let stream = sse(&[
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
        r#"{"error":{"message":"EngineCore died","type":"InternalServerError","param":null,"code":500}}"#,
        "[DONE]",
    ]);
    let read = read(Protocol::OpenAiChat, Framing::Sse, &[&stream]);
    assert!(!read.is_complete() && read.failed_before_content());
    let failure = read.failure().expect("an error");
    assert_eq!((failure.class, failure.status), (Class::Server, 500));
    let done = self::read(Protocol::OpenAiChat, Framing::Sse, &[b"data: [DONE]\n\n"]);
    assert!(!done.is_complete());
}

#[test]
fn several_answers_are_complete_when_all_are() {
    let stream = sse(&[
        r#"{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}"#,
        r#"{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#,
        "[DONE]",
    ]);
    let last = memchr::memmem::find(&stream, b"length").expect("an end");
    for (end, is_complete) in [(last, false), (stream.len(), true)] {
        let mut read = Stream::of_answers(Protocol::OpenAiChat, 2);
        let mut reader = Reader::new(Framing::Sse, 1000);
        reader.read(&stream[..end], |event| _ = read.event(&event)).expect("events");
        assert_eq!(read.is_complete(), is_complete);
    }
}

#[test]
fn completions() {
    let stream = sse(&[
        r#"{"object":"text_completion","choices":[{"index":0,"text":"Hi","finish_reason":null}]}"#,
        r#"{"object":"text_completion","choices":[{"index":0,"text":"","finish_reason":"stop"}],"usage":{"prompt_tokens":2,"total_tokens":3,"completion_tokens":1}}"#,
        "[DONE]",
    ]);
    let usage = Usage { input: 2, output: 1, ..Usage::default() };
    check(Protocol::OpenAiCompletions, &stream, "\"stop\"", usage, "stop");
}

#[test]
fn responses() {
    let stream = sse(&[
        r#"response.created|{"type":"response.created","sequence_number":0,"response":{"id":"r","status":"in_progress","usage":null}}"#,
        r#"response.output_text.delta|{"type":"response.output_text.delta","sequence_number":4,"delta":"Hello"}"#,
        r#"response.completed|{"type":"response.completed","sequence_number":9,"response":{"id":"r","status":"completed","service_tier":"flex","usage":{"input_tokens":100,"input_tokens_details":{"cached_tokens":64},"output_tokens":20,"output_tokens_details":{"reasoning_tokens":12},"total_tokens":120}}}"#,
    ]);
    let usage = Usage {
        input: 100,
        output: 20,
        cached_input: 64,
        reasoning: 12,
        tier: Tier::Flex,
        ..Usage::default()
    };
    check(Protocol::OpenAiResponses, &stream, "response.completed\",", usage, "completed");
    let failed = sse(&[
        r#"response.failed|{"type":"response.failed","response":{"status":"failed","error":{"code":"rate_limit_exceeded","message":"Slow"},"usage":{"input_tokens":5,"output_tokens":0,"total_tokens":5}}}"#,
    ]);
    let read = read(Protocol::OpenAiResponses, Framing::Sse, &[&failed]);
    assert!(!read.is_complete());
    assert_eq!(read.failure().map(|failure| failure.class), Some(Class::RateLimited));
    assert_eq!(read.usage().map(|usage| usage.input), Some(5));
}

#[test]
fn anthropic_with_caches_and_repeated_fields() {
    let stream = sse(&[
        r#"message_start|{"type":"message_start","message":{"id":"m","usage":{"input_tokens":10,"cache_creation_input_tokens":300,"cache_read_input_tokens":2000,"cache_creation":{"ephemeral_5m_input_tokens":200,"ephemeral_1h_input_tokens":100},"output_tokens":1,"service_tier":"standard"}}}"#,
        r#"ping|{"type":"ping"}"#,
        r#"content_block_start|{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
        r#"content_block_delta|{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"usage"}}"#,
        r#"content_block_stop|{"type":"content_block_stop","index":0}"#,
        r#"message_delta|{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":12,"cache_read_input_tokens":2000,"output_tokens":50,"output_tokens_details":{"thinking_tokens":40},"server_tool_use":{"web_search_requests":2}}}"#,
        r#"message_stop|{"type":"message_stop"}"#,
    ]);
    let usage = Usage {
        input: 2312,
        output: 50,
        cached_input: 2000,
        cache_write: 200,
        cache_write_1h: 100,
        reasoning: 40,
        searches: 2,
        ..Usage::default()
    };
    check(Protocol::Anthropic, &stream, "message_stop\"}", usage, "tool_use");
    let cut = memchr::memmem::find(&stream, b"event: message_delta").expect("an event");
    let read = read(Protocol::Anthropic, Framing::Sse, &[&stream[..cut]]);
    let estimate = read.usage_or_estimate(1);
    assert!(estimate.estimated);
    assert_eq!((estimate.input, estimate.output), (2310, 2));
}

#[test]
fn anthropic_overloaded_after_a_status_of_200() {
    let stream = sse(&[
        r#"message_start|{"type":"message_start","message":{"usage":{"input_tokens":10,"output_tokens":1}}}"#,
        r#"error|{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
    ]);
    let read = read(Protocol::Anthropic, Framing::Sse, &[&stream]);
    assert!(read.failed_before_content());
    let failure = read.failure().expect("an error");
    assert_eq!((failure.class, failure.status), (Class::Overloaded, 529));
}

const GEMINI: [&str; 3] = [
    r#"{"usageMetadata":{"trafficType":"ON_DEMAND"},"responseId":"x"}"#,
    r#"{"candidates":[{"content":{"parts":[{"text":"a"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":30,"totalTokenCount":35,"thoughtsTokenCount":5}}"#,
    r#"{"candidates":[{"content":{"parts":[{"text":"b"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":30,"candidatesTokenCount":4,"thoughtsTokenCount":6,"toolUsePromptTokenCount":8,"cachedContentTokenCount":16,"totalTokenCount":48,"promptTokensDetails":[{"modality":"TEXT","tokenCount":20},{"modality":"AUDIO","tokenCount":10}],"trafficType":"ON_DEMAND"}}"#,
];

#[test]
fn gemini_as_events_and_as_an_array() {
    let usage = Usage {
        input: 38,
        output: 10,
        cached_input: 16,
        reasoning: 6,
        audio_input: 10,
        tool_input: 8,
        ..Usage::default()
    };
    check(Protocol::Gemini, &sse(&GEMINI), "finishReason", usage, "STOP");
    let array = format!("[{}]", GEMINI.join("\r\n,\r\n"));
    check(Protocol::Gemini, array.as_bytes(), "finishReason", usage, "STOP");
    assert_eq!(of_body(Protocol::Gemini, array.as_bytes()), Some(usage));
}

#[test]
fn gemini_that_refuses_the_prompt() {
    let stream = sse(&[
        r#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":4,"totalTokenCount":4}}"#,
    ]);
    let read = read(Protocol::Gemini, Framing::Sse, &[&stream]);
    assert_eq!(read.finish_reason(), Some("SAFETY"));
    assert!(read.is_complete() && !read.has_content());
}

#[test]
fn ollama_with_counts_left_out() {
    let stream = b"{\"message\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"done\":false}\n\
        {\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"eval_count\":3}\n";
    let usage = Usage { output: 3, ..Usage::default() };
    check(Protocol::Ollama, stream, "\"done_reason\"", usage, "stop");
    let late =
        b"{\"message\":{\"content\":\"Hi\"},\"done\":false}\n{\"error\":\"out of memory\"}\n";
    let read = read(Protocol::Ollama, Framing::Ndjson, &[late]);
    assert!(!read.is_complete() && !read.failed_before_content());
    assert_eq!(read.failure().map(|failure| failure.message.as_str()), Some("out of memory"));
}

#[test]
fn bedrock_whose_usage_comes_after_the_stop() {
    let mut stream = Vec::new();
    for (name, json) in [
        ("messageStart", r#"{"role":"assistant"}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"Hi"}}"#),
        ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        ("messageStop", r#"{"stopReason":"end_turn"}"#),
        (
            "metadata",
            r#"{"usage":{"inputTokens":10,"outputTokens":2,"totalTokens":42,"cacheReadInputTokens":20,"cacheWriteInputTokens":10,"cacheDetails":[{"ttl":"1h","inputTokens":4},{"ttl":"5m","inputTokens":6}]},"metrics":{"latencyMs":5}}"#,
        ),
    ] {
        event_stream::write_event(&mut stream, name, json);
    }
    let usage = Usage {
        input: 40,
        output: 2,
        cached_input: 20,
        cache_write: 6,
        cache_write_1h: 4,
        ..Usage::default()
    };
    check(Protocol::BedrockConverse, &stream, "stopReason", usage, "end_turn");
    let mut broken = Vec::new();
    event_stream::write_event(&mut broken, "messageStart", "{}");
    event_stream::write_exception(
        &mut broken,
        "modelStreamErrorException",
        r#"{"message":"m","originalStatusCode":429}"#,
    );
    let read = read(Protocol::BedrockConverse, Framing::EventStream, &[&broken]);
    let failure = read.failure().expect("an error");
    assert_eq!((failure.class, failure.status), (Class::RateLimited, 424));
}

#[test]
fn cohere_whose_usage_is_in_the_event_that_ends_it() {
    let stream = sse(&[
        r#"message-start|{"id":"1","type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}"#,
        r#"content-start|{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}"#,
        r#"content-delta|{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hi"}}}}"#,
        r#"content-end|{"type":"content-end","index":0}"#,
        r#"message-end|{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"billed_units":{"input_tokens":9,"output_tokens":2},"tokens":{"input_tokens":517,"output_tokens":4},"cached_tokens":448}}}"#,
        "[DONE]",
    ]);
    let usage = Usage { input: 9, output: 2, cached_input: 9, ..Usage::default() };
    check(Protocol::Cohere, &stream, "message-end", usage, "COMPLETE");
    // Only tokens, with fractions.
    let only = r#"{"usage":{"tokens":{"input_tokens":5.0,"output_tokens":1.5}}}"#;
    let only = of_body(Protocol::Cohere, only.as_bytes());
    assert_eq!(only, Some(Usage { input: 5, output: 2, ..Usage::default() }));
    for (end, class, status) in [
        (r#"{"finish_reason":"ERROR","error":"out of memory"}"#, Class::Server, 502),
        (r#"{"finish_reason":"TIMEOUT"}"#, Class::Server, 504),
        (r#"{"error":"out of memory"}"#, Class::Server, 502),
    ] {
        let end = format!(r#"message-end|{{"type":"message-end","delta":{end}}}"#);
        let read = read(Protocol::Cohere, Framing::Sse, &[&sse(&[&end])]);
        let failure = read.failure().expect("an error");
        assert_eq!((failure.class, failure.status), (class, status), "{end}");
        assert!(read.failed_before_content() && !read.is_complete());
    }
}

#[test]
fn cohere_s_embeddings_and_rankings_say_what_is_billed() {
    let of = |json: &str| of_body(Protocol::Cohere, json.as_bytes());
    let texts = r#"{"id":"1","embeddings":{"float":[[0.1]]},"meta":{"api_version":{"version":"2"},"billed_units":{"input_tokens":8}}}"#;
    assert_eq!(of(texts), Some(Usage { input: 8, ..Usage::default() }));
    let images = r#"{"meta":{"billed_units":{"images":1,"image_tokens":1000,"text_tokens":3}}}"#;
    assert_eq!(of(images), Some(Usage { input: 1003, image_input: 1000, ..Usage::default() }));
    let ranked = r#"{"results":[],"meta":{"billed_units":{"search_units":1}}}"#;
    assert_eq!(of(ranked), Some(Usage { searches: 1, ..Usage::default() }));
    assert_eq!(of(r#"{"meta":{"warnings":[]}}"#), None);
}

#[test]
fn whole_responses() {
    let of = |protocol, json: &str| of_body(protocol, json.as_bytes());
    let plain = |input, output| Some(Usage { input, output, ..Usage::default() });
    let chat = r#"{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":0,"completion_tokens":0}}"#;
    assert_eq!(of(Protocol::OpenAiChat, chat), plain(0, 0));
    assert_eq!(finish_of_body(Protocol::OpenAiChat, chat.as_bytes()).as_deref(), Some("stop"));
    assert_eq!(of(Protocol::OpenAiChat, r#"{"choices":[],"usage":null}"#), None);
    let embeddings = r#"{"data":[],"usage":{"prompt_tokens":8,"total_tokens":8}}"#;
    assert_eq!(of(Protocol::OpenAiEmbeddings, embeddings), plain(8, 0));
    let predicted = r#"{"predictions":[{"embeddings":{"values":[1],"statistics":{"token_count":3.0}}},{"embeddings":{"values":[1],"statistics":{"token_count":5}}}]}"#;
    assert_eq!(of(Protocol::VertexEmbeddings, predicted), plain(8, 0));
    let content = r#"{"embedding":{"values":[1]},"usageMetadata":{"promptTokenCount":8}}"#;
    assert_eq!(of(Protocol::VertexEmbeddings, content), plain(8, 0));
    assert_eq!(of(Protocol::VertexEmbeddings, r#"{"predictions":[{"embeddings":{}}]}"#), None);
    let titan = r#"{"embedding":[1],"inputTextTokenCount":8}"#;
    assert_eq!(of(Protocol::BedrockInvoke, titan), plain(8, 0));
    assert_eq!(of(Protocol::BedrockInvoke, r#"{"embeddings":{"float":[[1]]}}"#), None);
    let images = r#"{"usage":{"input_tokens":5,"output_tokens":9,"input_tokens_details":{"text_tokens":3,"image_tokens":2}}}"#;
    let with_images = Usage { input: 5, output: 9, image_input: 2, ..Usage::default() };
    assert_eq!(of(Protocol::OpenAiOther, images), Some(with_images));
    let apart = r#"{"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":35,"completion_tokens_details":{"reasoning_tokens":20}}}"#;
    let with_reasoning = Usage { input: 10, output: 25, reasoning: 20, ..Usage::default() };
    assert_eq!(of(Protocol::OpenAiChat, apart), Some(with_reasoning));
    let ollama = r#"{"done":true,"done_reason":"stop","prompt_eval_count":4,"eval_count":2}"#;
    assert_eq!(of(Protocol::Ollama, ollama), plain(4, 2));
    assert_eq!(of(Protocol::OpenAiChat, "not JSON"), None);
}

#[test]
fn a_usage_that_is_looked_for_from_the_end_is_the_one_of_the_whole() {
    let used = r#""usage":{"prompt_tokens":3,"completion_tokens":4}"#;
    for body in [
        format!(r#" {{"id":"c","choices":[],{used}}} "#),
        format!(r#"{{{used} , "system_fingerprint":"a, \"usage"}}"#),
        format!(r#"{{"choices":[{{"message":{{"content":"say \"usage\":{{\"usage"}}}}],{used}}}"#),
        r#"{"choices":[{"message":{"content":"say ,\"usage"}}]}"#.to_owned(),
        format!(r#"{{"nested":{{{used}}}}}"#),
        format!(r#"{{"nested":{{{used},"more":1}}}}"#),
        format!(r#"{{"list":[{{{used}}}]}}"#),
        format!(r#"{{{used},"timings":{{"usage":{{"prompt_tokens":9}}}}}}"#),
        format!(r#"{{{used},"usage":null}}"#),
        format!(r#"{{"usage":{{"prompt_tokens":9}},{used}}}"#),
        format!(r#"{{"service_tier":"priority",{used},"logging":1}}"#),
        format!(r#"{{{used},"service_tier":"flex"}}"#),
        format!(r#"{{"text":"a_b service_tiers","x_y":1,{used},"service":"tier"}}"#),
        format!(r#"[{{{used}}}]"#),
    ] {
        let whole = crate::json::Raw::parse(body.as_bytes()).expect("JSON");
        for protocol in [Protocol::OpenAiChat, Protocol::Anthropic] {
            let expected = super::of_json(protocol, whole);
            assert_eq!(of_body(protocol, body.as_bytes()), expected, "{body}");
        }
        let gemini = body.replace("\"usage\":", "\"usageMetadata\":");
        let gemini = gemini.replace("prompt_tokens", "promptTokenCount");
        let whole = crate::json::Raw::parse(gemini.as_bytes()).expect("JSON");
        let expected = super::of_json(Protocol::Gemini, whole);
        assert_eq!(of_body(Protocol::Gemini, gemini.as_bytes()), expected, "{gemini}");
    }
}

#[test]
fn events_that_differ_in_their_texts_have_the_same_pieces() {
    let pieces = |protocol: Protocol, raw: &str| {
        let (mut stream, mut found) = (Stream::new(protocol), None);
        let mut reader = Reader::new(protocol.framing(), 1000);
        let each = |event: crate::framing::Event<'_>| {
            let seen = stream.event(&event);
            found = stream.pieces(&event, seen).map(|(pieces, text)| {
                let text = text as usize;
                (
                    pieces
                        .iter()
                        .map(|piece| String::from_utf8_lossy(piece).into_owned())
                        .collect::<Vec<_>>(),
                    text,
                )
            });
        };
        reader.read(raw.as_bytes(), each).expect("an event");
        found
    };
    let chat = |delta: &str, rest: &str| {
        let event = format!(
            r#"data: {{"id":"c","choices":[{{"index":0,"delta":{{{delta}}},"finish_reason":null}}]{rest}}}"#
        );
        pieces(Protocol::OpenAiChat, &(event + "\n\n"))
    };
    let (found, text) =
        chat(r#""content":"a \"b""#, r#","obfuscation":"xyz""#).expect("it is plain");
    assert_eq!(found[0], r#"data: {"id":"c","choices":[{"index":0,"delta":{"content":""#);
    assert_eq!(found[1..], [r#""},"finish_reason":null}],"obfuscation":""#, "\"}\n\n"]);
    assert_eq!(text, 0);
    assert_eq!(chat(r#""content":"longer""#, r#","obfuscation":"""#), Some((found, 0)));
    let (_, text) =
        chat(r#""role":"assistant","content":"","reasoning":"x""#, "").expect("it is plain");
    assert_eq!(text, 0);
    // An end, a usage, two texts, none: each such event is to be read.
    assert_eq!(chat(r#""content":"a""#, r#","usage":{"prompt_tokens":1}"#), None);
    assert_eq!(chat(r#""content":"a","reasoning":"b""#, ""), None);
    assert_eq!(chat(r#""content":"""#, ""), None);
    assert_eq!(chat(r#""content":"a""#, r#","error":{"message":"m"}"#), None);
    let claude = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n";
    let (found, _) = pieces(Protocol::Anthropic, claude).expect("it is plain");
    assert_eq!(found.concat(), claude.replace("\"a\"", "\"\""));
    let ollama = r#"{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"a"},"done":false}"#;
    let (found, text) = pieces(Protocol::Ollama, &(ollama.to_owned() + "\n")).expect("it is plain");
    assert_eq!((found.len(), text), (3, 1));
    let gemini = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}],\"usageMetadata\":{\"promptTokenCount\":1}}\n\n";
    assert_eq!(pieces(Protocol::Gemini, gemini), None);
}

#[test]
fn what_is_no_json_in_a_stream_does_no_harm() {
    let read =
        read(Protocol::OpenAiChat, Framing::Sse, &[b"data: {\"usage\":{\n\ndata: \n\n: x\n\n"]);
    assert_eq!(read.usage(), None);
    assert!(!read.is_complete());
}

#[test]
fn calls_of_tools_are_counted_when_they_begin() {
    let sse =
        |events: &[&str]| events.iter().map(|it| format!("data: {it}\n\n")).collect::<String>();
    let piece = |call: &str| {
        format!("{{\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":[{call}]}}}}]}}")
    };
    let one = piece("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}");
    let more = piece("{\"index\":0,\"function\":{\"arguments\":\"{}\"}}");
    let chat = sse(&[&one, &more, &more, &one, &more]);
    let start = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#;
    let own = start.replace("\"tool_use\"", "\"server_tool_use\"");
    let delta = r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"tool_use\":1}"}}"#;
    let anthropic = sse(&[start, delta, &own, start]);
    let item = |kind: &str| {
        format!(r#"{{"type":"response.output_item.added","item":{{"type":"{kind}"}}}}"#)
    };
    let arguments = r#"{"type":"response.function_call_arguments.delta","delta":"{}"}"#;
    let responses = sse(&[
        &item("function_call"),
        arguments,
        &item("web_search_call"),
        &item("custom_tool_call"),
    ]);
    let call = r#"{"functionCall":{"name":"f","args":{}}}"#;
    let gemini =
        sse(&[&format!(r#"{{"candidates":[{{"content":{{"parts":[{call},{call}]}}}}]}}"#)]);
    let call = r#"{"function":{"name":"f","arguments":{}}}"#;
    let ollama = format!(
        "{{\"message\":{{\"content\":\"\",\"tool_calls\":[{call},{call}]}},\"done\":false}}\n"
    );
    let start = r#"{"type":"tool-call-start","delta":{"message":{"tool_calls":{"id":"a","function":{"name":"f","arguments":"{"}}}}}"#;
    let delta = r#"{"type":"tool-call-delta","delta":{"message":{"tool_calls":{"function":{"arguments":"}"}}}}}"#;
    let cohere = sse(&[start, delta, start]);
    let mut bedrock = Vec::new();
    for _ in 0..2 {
        let start = r#"{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}"#;
        event_stream::write_event(&mut bedrock, "contentBlockStart", start);
        let delta = r#"{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{}"}}}"#;
        event_stream::write_event(&mut bedrock, "contentBlockDelta", delta);
    }
    for (protocol, stream) in [
        (Protocol::OpenAiChat, chat.as_bytes()),
        (Protocol::Anthropic, anthropic.as_bytes()),
        (Protocol::OpenAiResponses, responses.as_bytes()),
        (Protocol::Gemini, gemini.as_bytes()),
        (Protocol::Ollama, ollama.as_bytes()),
        (Protocol::Cohere, cohere.as_bytes()),
        (Protocol::BedrockConverse, &bedrock),
    ] {
        for size in [1, 10, stream.len()] {
            let chunks: Vec<_> = stream.chunks(size).collect();
            let read = read(protocol, protocol.framing(), &chunks);
            assert_eq!(read.tool_calls(), 2, "{protocol:?} {size}");
        }
    }
}

#[test]
fn calls_of_tools_are_counted_in_whole_answers() {
    let call = r#"{"id":"a","function":{"name":"f","arguments":"{}"}}"#;
    for (protocol, body) in [
        (Protocol::OpenAiChat, format!(r#"{{"choices":[{{"message":{{"tool_calls":[{call},{call}]}}}}]}}"#)),
        (
            Protocol::Anthropic,
            r#"{"content":[{"type":"text","text":"\"tool_use\""},{"type":"tool_use"},{"type":"tool_use"}]}"#.to_owned(),
        ),
        (
            Protocol::OpenAiResponses,
            r#"{"output":[{"type":"function_call"},{"type":"web_search_call"},{"type":"shell_call"}]}"#.to_owned(),
        ),
        (
            Protocol::Gemini,
            r#"{"candidates":[{"content":{"parts":[{"functionCall":{}},{"text":"a"},{"functionCall":{}}]}}]}"#.to_owned(),
        ),
        (Protocol::Ollama, format!(r#"{{"message":{{"tool_calls":[{call},{call}]}}}}"#)),
        (Protocol::Cohere, format!(r#"{{"message":{{"tool_calls":[{call},{call}]}}}}"#)),
        (
            Protocol::BedrockConverse,
            r#"{"output":{"message":{"content":[{"toolUse":{}},{"text":"a"},{"toolUse":{}}]}}}"#.to_owned(),
        ),
    ] {
        assert_eq!(super::tool_calls_of_body(protocol, body.as_bytes()), 2, "{protocol:?}");
        assert_eq!(super::tool_calls_of_body(protocol, b"{\"a\":1}"), 0, "{protocol:?}");
    }
}

#[test]
fn what_is_no_json_is_nothing_that_an_api_has() {
    for (framing, garbage) in [
        (Framing::Sse, "data: <html>\n\n"),
        (Framing::Sse, "data: {\"choices\":[\n\n"),
        (Framing::Sse, "data: {]}\n\n"),
        (Framing::Ndjson, "Bad Gateway\n"),
    ] {
        let mut stream = Stream::new(Protocol::OpenAiChat);
        let (mut reader, mut garbled) = (Reader::new(framing, 1_000), false);
        reader.read(garbage.as_bytes(), |event| garbled |= stream.event(&event).garbled).unwrap();
        assert!(garbled, "{garbage}");
    }
    // Comments, nothing, and what servers say besides are none.
    for fine in [": wait\n\n", "data:\n\n", "event: ping\n\n", "data: [DONE]\n\n", "data: {}\n\n"] {
        let mut stream = Stream::new(Protocol::OpenAiChat);
        let (mut reader, mut garbled) = (Reader::new(Framing::Sse, 1_000), false);
        reader.read(fine.as_bytes(), |event| garbled |= stream.event(&event).garbled).unwrap();
        assert!(!garbled, "{fine}");
    }
}

#[test]
fn an_error_in_the_form_of_chat_completions_is_one_of_responses_too() {
    let stream = b"data: {\"error\":{\"message\":\"full\",\"code\":\"overloaded\"}}\n\n";
    let read = read(Protocol::OpenAiResponses, Framing::Sse, &[stream]);
    assert_eq!(read.failure().map(|failure| failure.class), Some(Class::Overloaded));
    assert!(read.failed_before_content());
}
