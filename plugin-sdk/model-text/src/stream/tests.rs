//! However a stream is cut, and wherever in it a match is, the same comes out.

use gateway_model_protocols::Protocol;
use gateway_model_protocols::framing::Framing;

use super::Stream;
use crate::text::{Changes, Text};

/// Puts `[n]` in place of a word of digits, stops at `STOP`, and waits at a word that is not over.
fn digits(text: &Text<'_>, changes: &mut Changes) {
    if text.text.contains("STOP") {
        return changes.stop("Enough.");
    }
    let is_digit = |byte: u8| byte.is_ascii_digit();
    let (bytes, mut at) = (text.text.as_bytes(), 0);
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|byte| is_digit(**byte)).count();
        if length > 0 && (at + length < bytes.len() || text.is_end) {
            changes.replace(at..at + length, "[\"n]");
        } else if length > 0 {
            return changes.wait_from(at);
        }
        at += length.max(1);
    }
    let tail = (1..4).rev().find(|part| text.text.ends_with(&"STOP"[..*part]));
    if let Some(tail) = tail {
        changes.wait_from(text.text.len() - tail);
    }
}

/// What comes out of a stream that arrives in these pieces, each after the state was written and read.
fn pieces<'a>(
    protocol: Protocol,
    framing: Framing,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> String {
    let mut stream = Stream::new(protocol, framing).unwrap();
    let mut out = Vec::new();
    let mut pieces = pieces.into_iter().peekable();
    while let Some(piece) = pieces.next() {
        stream.chunk(piece, pieces.peek().is_none(), &mut digits, &mut out).unwrap();
        let kept = postcard::to_allocvec(&stream).unwrap();
        stream = postcard::from_bytes(&kept).unwrap();
    }
    String::from_utf8(out).unwrap()
}

/// The same from every cut into two and three, and byte by byte.
fn passed(protocol: Protocol, framing: Framing, stream: &str) -> String {
    let bytes = stream.as_bytes();
    let whole = pieces(protocol, framing, [bytes]);
    for cut in 1..bytes.len() {
        let (front, back) = bytes.split_at(cut);
        assert_eq!(pieces(protocol, framing, [front, back]), whole, "cut at {cut}");
        if let Some((middle, back)) = back.split_at_checked(7) {
            assert_eq!(
                pieces(protocol, framing, [front, middle, back]),
                whole,
                "cut at {cut} and 7 later"
            );
        }
    }
    assert_eq!(pieces(protocol, framing, bytes.chunks(1)), whole);
    whole
}

fn chat(texts: &[&str]) -> String {
    let event = |text: &&str| {
        format!(
            "data: {{\"id\":\"c1\",\"model\":\"m\",\"created\":7,\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n"
        )
    };
    texts.iter().map(event).collect::<String>()
}

const CHAT_END: &str = "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

#[test]
fn a_match_over_several_events_is_written_where_it_begins() {
    let stream = chat(&["a 1", "2", "3 b", " 4"]) + CHAT_END;
    let wanted = chat(&["a [\\\"n]", "", " b", " [\\\"n]"]) + CHAT_END;
    assert_eq!(passed(Protocol::OpenAiChat, Framing::Sse, &stream), wanted);
}

#[test]
fn without_a_match_every_byte_is_as_it_came() {
    let stream = format!(
        ": comment\r\n\r\nevent: x\r\ndata: {{\"a\" : 1}}\r\nid: 3\r\n\r\n{}{CHAT_END}",
        chat(&["I am", " S", "TO", " \\u00e9 \\ud83d\\ude00 \\n"]),
    );
    assert_eq!(passed(Protocol::OpenAiChat, Framing::Sse, &stream), stream);
}

#[test]
fn answers_of_one_stream_do_not_mix_and_arguments_keep_their_escapes() {
    let event = |index: u8, delta: &str| {
        format!("data: {{\"choices\":[{{\"index\":{index},\"delta\":{delta}}}]}}\n\n")
    };
    let tool = |arguments: &str| {
        format!(r#"{{"tool_calls":[{{"index":0,"function":{{"arguments":"{arguments}"}}}}]}}"#)
    };
    let stream = [
        event(0, r#"{"content":"1"}"#),
        event(1, r#"{"content":"a2"}"#),
        event(0, r#"{"content":"1 "}"#),
        event(1, r#"{"content":" "}"#),
        // A text that another follows is over.
        event(0, r#"{"content":"x3"}"#),
        event(0, &tool(r#"{\"q\":\"4"#)),
        event(0, &tool(r#"4\"}"#)),
    ];
    let wanted = [
        event(0, r#"{"content":"[\"n]"}"#),
        event(1, r#"{"content":"a[\"n]"}"#),
        event(0, r#"{"content":" "}"#),
        event(1, r#"{"content":" "}"#),
        event(0, r#"{"content":"x[\"n]"}"#),
        event(0, &tool(r#"{\"q\":\"[\\\"n]"#)),
        event(0, &tool(r#"\"}"#)),
    ];
    assert_eq!(passed(Protocol::OpenAiChat, Framing::Sse, &stream.concat()), wanted.concat());
}

#[test]
fn every_api_is_read_and_ended_in_its_own_words() {
    let anthropic = |text: &str| {
        let delta = |text: &str| {
            format!(
                "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}\n\n"
            )
        };
        let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m1\",\"usage\":{\"output_tokens\":3}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
        (start.to_owned(), text.split('|').map(delta).collect::<String>())
    };
    let (start, text) = anthropic("fine |ST|OP 1");
    let out = passed(Protocol::Anthropic, Framing::Sse, &(start.clone() + &text));
    let (_, fine) = anthropic("fine ");
    let ended = out.strip_prefix(&(start.clone() + &fine)).expect(&out);
    assert!(ended.starts_with("event: content_block_stop\n"), "{ended}");
    assert!(ended.contains(r#""stop_reason":"refusal""#) && ended.contains("Enough."), "{ended}");
    assert!(
        ended.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"),
        "{ended}"
    );
    let (_, text) = anthropic("1|2 |x");
    let (_, wanted) = anthropic("[\\\"n]| |x");
    assert_eq!(
        passed(Protocol::Anthropic, Framing::Sse, &(start.clone() + &text)),
        start + &wanted
    );

    let out = passed(Protocol::OpenAiChat, Framing::Sse, &(chat(&["a", " STOP"]) + CHAT_END));
    assert!(out.ends_with("\"finish_reason\":\"content_filter\"}]}\n\ndata: [DONE]\n\n"), "{out}");
    assert!(
        !out.contains("STOP") && out.contains("\"id\":\"c1\",\"object\":\"chat.completion.chunk\""),
        "{out}"
    );

    let gemini = |text: &str, end: &str| {
        format!(
            "{{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"{text}\"}}]}}{end},\"index\":0}}]}}"
        )
    };
    let array = format!("[{},\n{}]", gemini("a1", ""), gemini("1", ",\"finishReason\":\"STOP\""));
    let wanted =
        format!("[{},\n{}]", gemini("a[\\\"n]", ""), gemini("", ",\"finishReason\":\"STOP\""));
    assert_eq!(passed(Protocol::Gemini, Framing::JsonArray, &array), wanted);
    let array = format!("[{},\n{}]", gemini("a", ""), gemini("STOP", ""));
    let out = passed(Protocol::Gemini, Framing::JsonArray, &array);
    let json: serde_json::Value = serde_json::from_str(&out).expect(&out);
    assert_eq!(json[1]["candidates"][0]["finishReason"], "SAFETY");

    let line = |text: &str, done: bool| {
        format!(
            "{{\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\"}},\"done\":{done}}}\n"
        )
    };
    let stream = line("a 1", false) + &line("1", false) + &line("", true);
    let wanted = line("a [\\\"n]", false) + &line("", false) + &line("", true);
    assert_eq!(passed(Protocol::Ollama, Framing::Ndjson, &stream), wanted);
    let out = passed(Protocol::Ollama, Framing::Ndjson, &line("STOP", false));
    assert_eq!(out, "{\"error\":\"Enough.\"}\n");

    let event = |kind: &str, rest: &str| {
        format!(
            "event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":4,\"output_index\":0,{rest}}}\n\n"
        )
    };
    let delta = |text: &str| {
        event("response.output_text.delta", &format!("\"content_index\":0,\"delta\":\"{text}\""))
    };
    let created =
        event("response.created", "\"response\":{\"id\":\"r1\",\"model\":\"m\",\"created_at\":5}");
    let done = |text: &str| {
        event("response.output_text.done", &format!("\"content_index\":0,\"text\":\"{text}\""))
    };
    let stream = [created.clone(), delta("a 1"), delta("2"), done("a 12")].concat();
    let wanted = [created.clone(), delta("a [\\\"n]"), delta(""), done("a [\\\"n]")].concat();
    assert_eq!(passed(Protocol::OpenAiResponses, Framing::Sse, &stream), wanted);
    let out = passed(Protocol::OpenAiResponses, Framing::Sse, &(created + &delta("STOP")));
    assert!(
        out.contains("response.incomplete") && out.contains(r#""reason":"content_filter""#),
        "{out}"
    );
    assert!(out.contains(r#""id":"r1""#) && out.contains(r#""sequence_number":5"#), "{out}");
}

#[test]
fn no_more_is_held_back_than_what_is_waited_for() {
    let mut stream = Stream::new(Protocol::OpenAiChat, Framing::Sse).unwrap();
    let mut out = Vec::new();
    for (text, is_held) in
        [("one", false), (" 2", true), ("3", true), (" ", false), (" ST", true), ("x", false)]
    {
        stream.chunk(chat(&[text]).as_bytes(), false, &mut digits, &mut out).unwrap();
        assert_eq!(stream.held_back() > 0, is_held, "{text}");
    }
    // A text that never ends is not waited for longer than there is room.
    for _ in 0..2000 {
        stream.chunk(chat(&["1"]).as_bytes(), false, &mut digits, &mut out).unwrap();
        assert!(stream.held_back() <= super::MAX_HELD + 1000);
    }
}

#[test]
fn an_event_that_is_too_large_ends_the_reading() {
    let (front, large) = (chat(&["a 1"]), chat(&[&"x".repeat(super::MAX_EVENT)]));
    let chunk = front.clone() + &large;
    for passes in [true, false] {
        let mut stream = Stream::new(Protocol::OpenAiChat, Framing::Sse).unwrap();
        let mut out = Vec::new();
        let unreadable = stream.chunk(chunk.as_bytes(), false, &mut digits, &mut out).unwrap_err();
        match passes {
            true => stream.pass_unread(chunk.as_bytes(), unreadable, &mut out),
            false => stream.stop("It cannot be read.", &mut out),
        }
        stream.chunk(b"more", true, &mut digits, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        match passes {
            true => assert_eq!(out, chunk.clone() + "more"),
            false => assert!(out.ends_with("[DONE]\n\n") && !out.contains("xxx"), "{}", out.len()),
        }
    }
}

#[test]
fn an_event_that_is_not_known_does_not_end_a_text() {
    let event = |kind: &str, rest: &str| {
        format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"index\":0{rest}}}\n\n")
    };
    let delta = |text: &str| {
        let rest = format!(",\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}");
        event("content_block_delta", &rest)
    };
    for other in [
        event("content_block_note", ",\"note\":\"n\""),
        event("content_block_delta", ""),
        "event: x\ndata: {\"a\":\"n\"}\n\n".to_owned(),
        "data: no JSON\n\n".to_owned(),
        ": comment\n\n".to_owned(),
    ] {
        let end = event("content_block_stop", "");
        let stream = [delta("a 1"), other.clone(), delta("2 b"), end.clone()].concat();
        let wanted = [delta("a [\\\"n]"), other, delta(" b"), end].concat();
        assert_eq!(passed(Protocol::Anthropic, Framing::Sse, &stream), wanted);
    }
}

#[test]
fn a_piece_that_looks_like_a_file_is_a_text() {
    let stream = chat(&["data:;base64,", &"A1b2".repeat(16), " x"]) + CHAT_END;
    let out = passed(Protocol::OpenAiChat, Framing::Sse, &stream);
    assert!(!out.contains("A1b2") && out.contains("[\\\"n]"), "{out}");
    let stream = chat(&[&format!("data:;base64,{} x", "A1b2".repeat(16))]) + CHAT_END;
    assert!(!passed(Protocol::OpenAiChat, Framing::Sse, &stream).contains("A1b2"));
}

#[test]
fn cohere_s_texts_plans_and_arguments_are_read_and_ended_in_its_words() {
    let event =
        |kind: &str, rest: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\",{rest}}}\n\n");
    let content = |text: &str| {
        let message = format!(
            "\"index\":0,\"delta\":{{\"message\":{{\"content\":{{\"text\":\"{text}\"}}}}}}"
        );
        event("content-delta", &message)
    };
    let plan = |text: &str| {
        event("tool-plan-delta", &format!("\"delta\":{{\"message\":{{\"tool_plan\":\"{text}\"}}}}"))
    };
    let call = |text: &str| {
        event(
            "tool-call-delta",
            &format!(
                "\"index\":0,\"delta\":{{\"message\":{{\"tool_calls\":{{\"function\":{{\"arguments\":\"{text}\"}}}}}}}}"
            ),
        )
    };
    let end = event("message-end", "\"delta\":{\"finish_reason\":\"COMPLETE\"}");
    // A citation in the middle of a text does not end it.
    let citation = event(
        "citation-start",
        "\"index\":0,\"delta\":{\"message\":{\"citations\":{\"text\":\"x\"}}}",
    );
    let stream = [
        content("a 1"),
        citation.clone(),
        content("2"),
        plan("3"),
        plan("4"),
        call("5"),
        call("6"),
        end.clone(),
    ];
    let wanted = [
        content("a [\\\"n]"),
        citation,
        content(""),
        plan("[\\\"n]"),
        plan(""),
        call("[\\\\\\\"n]"),
        call(""),
        end,
    ];
    assert_eq!(passed(Protocol::Cohere, Framing::Sse, &stream.concat()), wanted.concat());
    let out = passed(Protocol::Cohere, Framing::Sse, &(content("fine ") + &content("STOP")));
    let ended = "event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"ERROR\",\"error\":\"Enough.\"}}\n\n";
    assert_eq!(out, content("fine ") + ended);
}
