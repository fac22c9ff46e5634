//! Requests are read as a provider reads them, and edits leave the rest alone.

use super::{Edits, Fault, Request, Size, read};
use crate::protocol::{Call, Protocol};

fn request(path: &str, body: &str) -> Request {
    read(&Call::of_path(path).expect("a path of an API"), body.as_bytes()).expect("a request")
}

#[test]
fn what_policy_needs_of_each_protocol() {
    let chat = request(
        "/v1/chat/completions",
        r#"{"mod\u0065l":"m","stream":true,"stream_options":{"include_usage":true},"n":2,"max_tokens":10,
        "max_completion_tokens":20,"tools":[{"type":"function"}],"user":"u","prompt_cache_key":"k",
        "service_tier":"flex","messages":[{"role":"user","content":[{"type":"text","text":"hello!!"},
        {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]}"#,
    );
    assert_eq!(chat.model.as_deref(), Some("m"));
    assert!(chat.stream && chat.include_usage && chat.has_tools);
    assert_eq!((chat.n, chat.max_output, chat.output_bound(5)), (2, Some(20), 40));
    assert_eq!((chat.user.as_deref(), chat.session.as_deref()), (Some("u"), Some("k")));
    assert_eq!(chat.service_tier.as_deref(), Some("flex"));
    assert_eq!((chat.size.images, chat.size.messages), (1, 1));

    let claude = request(
        "/v1/messages",
        r#"{"model":"c","max_tokens":0,"system":"1234567","metadata":{"user_id":"u"},"messages":[{"role":"user",
        "content":[{"type":"image","source":{"type":"base64","data":"AAAA"}},
        {"type":"document","source":{"type":"base64","data":"AAAA"}},{"type":"text","text":"1234567"}]}]}"#,
    );
    assert!(!claude.stream);
    assert_eq!((claude.max_output, claude.user.as_deref()), (Some(0), Some("u")));
    assert_eq!((claude.size.text_bytes(), claude.size.images), (14, 1));
    assert!(claude.size.documents > 0);

    let gemini = request(
        "/v1beta/models/g:streamGenerateContent",
        r#"{"contents":[{"role":"user","parts":[{"text":"hi"},{"inlineData":{"mimeType":"audio/wav","data":"AAAA"}}]}],
        "generation_config":{"max_output_tokens":"7","candidateCount":3}}"#,
    );
    assert_eq!((gemini.model.as_deref(), gemini.stream), (Some("g"), true));
    assert_eq!((gemini.max_output, gemini.n), (Some(7), 3));
    assert!(gemini.size.audio > 0);

    let ollama =
        request("/api/chat", r#"{"model":"o","messages":[],"options":{"num_predict":-1}}"#);
    assert!(ollama.stream);
    assert_eq!(ollama.max_output, None);

    let bedrock =
        request("/model/b/converse", r#"{"inferenceConfig":{"maxTokens":5},"messages":[]}"#);
    assert_eq!((bedrock.model.as_deref(), bedrock.max_output), (Some("b"), Some(5)));

    let many =
        request("/v1/completions", r#"{"prompt":["a","b"],"n":2,"best_of":3,"max_tokens":4}"#);
    assert_eq!(many.output_bound(9), 24);

    let tokens = request("/v1/embeddings", r#"{"model":"e","input":[[1,2,3],[4]]}"#);
    assert_eq!(tokens.size.estimate(), 4);
    // What else requests for embeddings say is no text.
    let one = r#"{"model":"models/e","taskType":"RETRIEVAL_QUERY","content":{"parts":[{"text":"abcdefg"}]}}"#;
    let read = request("/v1beta/models/e:embedContent", one);
    assert_eq!((read.model.as_deref(), read.size.estimate()), (Some("e"), 2));
    let titled = r#"{"title":"abcdefg","content":{"parts":[{"text":"abcdefg"}]}}"#;
    let several = format!(r#"{{"requests":[{one},{titled}]}}"#);
    let read = request("/v1beta/models/e:batchEmbedContents", &several);
    assert_eq!((read.size.text_bytes(), read.size.estimate()), (21, 6));
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let fault = |path: &str, body: &str| {
        read(&Call::of_path(path).expect("a path"), body.as_bytes()).expect_err("a fault")
    };
    let chat = "/v1/chat/completions";
    assert_eq!(fault(chat, r#"{"model":"a","mod\u0065l":"b"}"#), Fault::Twice("model"));
    assert_eq!(fault(chat, r#"{"stream":"true"}"#), Fault::WrongType("stream", "true or false"));
    assert_eq!(
        fault(chat, r#"{"max_tokens":1.5}"#),
        Fault::WrongType("max_tokens", "a whole number")
    );
    assert_eq!(fault(chat, "[]"), Fault::NotAnObject);
    assert!(matches!(fault(chat, "{"), Fault::Json(_)));
    assert_eq!(fault("/api/chat", r#"{"model":"a","Model":"b"}"#), Fault::Case("model"));
    assert_eq!(
        fault("/api/chat", r#"{"options":{"num_predict":1,"NUM_PREDICT":9}}"#),
        Fault::Twice("num_predict")
    );
    let both =
        r#"{"generationConfig":{"maxOutputTokens":1},"generation_config":{"max_output_tokens":9}}"#;
    assert_eq!(fault("/models/g:generateContent", both), Fault::Twice("generationConfig"));
    let both = r#"{"generationConfig":{"maxOutputTokens":1,"max_output_tokens":9}}"#;
    assert_eq!(fault("/models/g:generateContent", both), Fault::Twice("maxOutputTokens"));
}

#[test]
fn texts_are_measured_without_their_escapes() {
    let size = |text: &str| {
        let body = format!(r#"{{"prompt":"{text}"}}"#);
        let size = request("/v1/completions", &body).size;
        (size.ascii, size.other)
    };
    assert_eq!(size("abcdefghij"), (10, 0));
    assert_eq!(size(r#"a\nb\"c\\"#), (6, 0));
    assert_eq!(size("\u{4e2d}\u{6587}ab"), (2, 6));
    assert_eq!(size(r"\u4e2d\u6587ab"), (2, 6));
}

#[test]
fn what_is_text_is_counted_wherever_its_type_stands() {
    let size = |message: &str| {
        let body = format!(r#"{{"messages":[{message}],"model":"m"}}"#);
        let read = request("/v1/messages", &body);
        assert_eq!(&body[read.model_at.expect("it has a model")], r#""m""#);
        let Size { ascii, other, tokens, messages, images, audio, documents } = read.size;
        assert_eq!((tokens, messages), (0, 1));
        (ascii, other, images, audio, documents)
    };
    let none = (0, 0, 0, 0, 0);
    assert_eq!(size(r#"{"role":"user","id":"abc","content":""}"#), none);
    assert_eq!(size(r#""abc""#), (3, 0, 0, 0, 0));
    assert_eq!(size(r#"{"content":["abc", 12, true, {"x":"d"}]}"#), (10, 0, 0, 0, 0));
    let image = r#"{"source":{"data":"AAAA"},"type":"image"}"#;
    assert_eq!(size(image), (0, 0, 1, 0, 0));
    let document = r#"{"source":{"data":"AAAA"},"type":"document"}"#;
    assert_eq!(size(document), (0, 0, 0, 0, 15));
    let text = r#"{"source":{"type":"text","data":"AAAA"},"type":"document"}"#;
    assert_eq!(size(text), (4, 0, 0, 0, 0));
    assert_eq!(size(r#"{"source":{"data":"AAAA"}}"#), (4, 0, 0, 0, 0));
    assert_eq!(size(r#"{"source":"AAAA","images":["x","y"]}"#), (4, 0, 2, 0, 0));
    assert_eq!(size(r#"{"images":"AAAA","input_audio":"BB"}"#), (4, 0, 0, 4, 0));
    assert_eq!(size(r#"{"file":"AAAA","document":{"a":"b"}}"#), (4, 0, 0, 0, 9));
    assert_eq!(size(r#"{"file_data":"AAAA"}"#), (0, 0, 0, 0, 6));
    assert_eq!(size(r#"{"fileData":{"mimeType":"image/png"}}"#), (0, 0, 1, 0, 0));
    assert_eq!(size("{\"a\":\"\u{e9}bcdefghijklmnop\u{e9}\"}"), (15, 4, 0, 0, 0));
    assert_eq!(size(r#"{"a":"a long text with \u4e2d an escape"}"#), (27, 3, 0, 0, 0));

    let tools = r#"{"tools":[{"type":"function","function":{"name":"ab"}}],"model":"m"}"#;
    // Names too: all but the brackets and quotes.
    assert_eq!(request("/v1/messages", tools).size.ascii, 4 + 8 + 8 + 4 + 2);
}

#[test]
fn requests_that_begin_alike_have_the_same_first_hashes() {
    let prefix = |texts: &[String]| {
        let messages: Vec<_> =
            texts.iter().map(|t| format!(r#"{{"role":"user","content":"{t}"}}"#)).collect();
        let body = format!(r#"{{"messages":[{}],"model":"m"}}"#, messages.join(","));
        super::prefix(body.as_bytes())
    };
    let long = "x".repeat(3000);
    let one = prefix(std::slice::from_ref(&long));
    let two = prefix(&[long.clone(), "y".repeat(2000)]);
    let other = prefix(&[format!("z{long}"), "y".repeat(2000)]);
    assert_eq!(one.len(), 2);
    assert_eq!(one[..], two[..2]);
    assert_eq!(two.len(), 4);
    assert!(two.iter().all(|hash| !other.contains(hash)));
    assert_eq!(prefix(&["x".repeat(1_000_000)]).len(), 128);
}

fn edited(protocol: Protocol, body: &str, change: impl FnOnce(&mut Edits<'_>)) -> String {
    let mut edits = Edits::new(protocol, body.as_bytes()).expect("JSON");
    change(&mut edits);
    String::from_utf8(edits.apply()).expect("text")
}

#[test]
fn edits_change_what_they_name_and_nothing_else() {
    let chat = Protocol::OpenAiChat;
    let body = "{ \"b\" : 1.50e+3,\n \"model\" : \"x\" , \"max_tokens\": 100, \"z\":[ ] }\n";
    let result = edited(chat, body, |edits| {
        edits.model("a\"b");
        edits.max_output(50, None);
        edits.include_usage();
    });
    let expected = "{ \"b\" : 1.50e+3,\n \"model\" : \"a\\\"b\" , \"max_tokens\": 50, \"z\":[ ] ,\"stream_options\":{\"include_usage\":true}}\n";
    assert_eq!(result, expected);
    let same =
        edited(chat, r#"{"max_tokens":50,"stream_options":{"include_usage":true}}"#, |edits| {
            edits.max_output(50, None);
            edits.include_usage();
            assert!(edits.is_empty());
        });
    assert_eq!(same, r#"{"max_tokens":50,"stream_options":{"include_usage":true}}"#);
}

fn of_read(call: &Call<'_>, body: &str, change: impl FnOnce(&mut Edits<'_>)) -> String {
    let read = read(call, body.as_bytes()).expect("a request");
    let mut edits = Edits::of_read(call.protocol, body.as_bytes(), &read);
    change(&mut edits);
    String::from_utf8(edits.apply()).expect("text")
}

/// A request that was read is changed as one that is looked through.
#[test]
fn the_usage_is_asked_for_wherever_the_options_are() {
    let call = Call::of_path("/v1/chat/completions").expect("a path");
    for (body, expected) in [
        ("{ }\n", "{ \"stream_options\":{\"include_usage\":true}}\n"),
        ("{\"a\":{} } ", "{\"a\":{} ,\"stream_options\":{\"include_usage\":true}} "),
        ("{\"stream_options\":null}", "{\"stream_options\":{\"include_usage\":true}}"),
        ("{\"stream_options\":{}}", "{\"stream_options\":{\"include_usage\":true}}"),
        (
            "{\"stream_options\":{\"b\":[{}]},\"c\":1}",
            "{\"stream_options\":{\"b\":[{}],\"include_usage\":true},\"c\":1}",
        ),
    ] {
        let whole = edited(call.protocol, body, |edits| edits.include_usage());
        assert_eq!(
            (whole.as_str(), of_read(&call, body, |edits| edits.include_usage()).as_str()),
            (expected, expected)
        );
    }
    for (body, expected) in [
        ("{ }", "{ \"seed\":1,\"max_tokens\":9}"),
        ("{\"max_completion_tokens\":12,\"stream_options\":{}}", "{\"max_tokens\":12,\"seed\":1}"),
        ("{\"stream_options\":1,\"max_tokens\":10}", "{\"max_tokens\":9,\"seed\":1}"),
    ] {
        let change = |edits: &mut Edits<'_>| {
            edits.remove("stream_options");
            edits.rename("max_completion_tokens", "max_tokens");
            edits.set(&["seed"], "1");
            if !body.contains("12") {
                edits.max_output(9, Some("max_tokens"));
            }
        };
        let whole = edited(call.protocol, body, change);
        assert_eq!((whole.as_str(), of_read(&call, body, change).as_str()), (expected, expected));
    }
}

#[test]
fn bounds_are_set_where_each_protocol_has_them() {
    let bound = |protocol, body| edited(protocol, body, |edits| edits.max_output(9, None));
    use Protocol::{Anthropic, BedrockConverse, Gemini, Ollama, OpenAiChat, OpenAiResponses};
    for (protocol, body, expected) in [
        (OpenAiChat, "{}", r#"{"max_completion_tokens":9}"#),
        (
            OpenAiChat,
            r#"{"max_tokens":10,"max_completion_tokens":3}"#,
            r#"{"max_tokens":9,"max_completion_tokens":3}"#,
        ),
        (OpenAiResponses, r#"{"max_output_tokens":null}"#, r#"{"max_output_tokens":9}"#),
        (Anthropic, r#"{"max_tokens":64000}"#, r#"{"max_tokens":9}"#),
        (Gemini, "{}", r#"{"generationConfig":{"maxOutputTokens":9}}"#),
        (Gemini, r#"{"generation_config":{}}"#, r#"{"generation_config":{"max_output_tokens":9}}"#),
        (
            Gemini,
            r#"{"generationConfig":{"maxOutputTokens":"10"}}"#,
            r#"{"generationConfig":{"maxOutputTokens":9}}"#,
        ),
        (Ollama, r#"{"options":{"num_predict":-1}}"#, r#"{"options":{"num_predict":9}}"#),
        (BedrockConverse, r#"{"inferenceConfig":null}"#, r#"{"inferenceConfig":{"maxTokens":9}}"#),
    ] {
        assert_eq!(bound(protocol, body), expected);
    }
    let legacy = edited(OpenAiChat, "{}", |edits| edits.max_output(9, Some("max_tokens")));
    assert_eq!(legacy, r#"{"max_tokens":9}"#);
}

#[test]
fn several_members_are_added_and_removed() {
    let chat = Protocol::OpenAiChat;
    let added = edited(chat, "{ }", |edits| {
        edits.set(&["a"], "1");
        edits.set(&["b", "c"], "2");
    });
    assert_eq!(added, r#"{ "a":1,"b":{"c":2}}"#);
    let removed = |body| edited(chat, body, |edits| edits.remove("x"));
    assert_eq!(removed(r#"{"x":1, "a":2}"#), r#"{"a":2}"#);
    assert_eq!(removed(r#"{"a":2, "x":1}"#), r#"{"a":2}"#);
    assert_eq!(removed(r#"{"x":1}"#), "{}");
    assert_eq!(removed(r#"{"x":0,"x":1,"a":2,"x":3,"b":4}"#), r#"{"a":2,"b":4}"#);
}

#[test]
fn the_model_of_a_path_is_replaced() {
    let with = |path| Call::path_with_model(path, "a:b/c");
    assert_eq!(
        with("/v1/models/g:generateContent").as_deref(),
        Some("/v1/models/a%3Ab%2Fc:generateContent")
    );
    assert_eq!(
        with("/model/x%3A0/converse-stream").as_deref(),
        Some("/model/a%3Ab%2Fc/converse-stream")
    );
    assert_eq!(
        with("/openai/deployments/d/chat/completions").as_deref(),
        Some("/openai/deployments/a%3Ab%2Fc/chat/completions")
    );
    assert_eq!(with("/v1/messages"), None);
}

#[test]
fn what_other_providers_left_in_a_conversation_is_taken_out() {
    let mended = |protocol, body: &str| edited(protocol, body, |edits| edits.mend_history());
    let claude = r#"{"messages":[{"role":"user","content":"a"}, {"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":""}, {"type":"text","text":"b"}]},
        {"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"openai:rs:g"}]},{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"c2ln"}]}]}"#;
    let expected = r#"{"messages":[{"role":"user","content":"a"}, {"role":"assistant","content":[{"type":"text","text":"b"}]},{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"c2ln"}]}]}"#;
    assert_eq!(mended(Protocol::Anthropic, claude), expected);
    let long = "y".repeat(50);
    let chat = format!(
        r#"{{"messages":[{{"role":"assistant","thinking_blocks":[{{}}],"tool_calls":[{{"id":"call_1__thought__AbC+/w==","x":1.0}},{{"id":"{long}"}}]}},{{"role":"tool","tool_call_id":"call_1__thought__AbC+/w=="}}]}}"#
    );
    let got = mended(Protocol::OpenAiChat, &chat);
    assert!(
        got.starts_with(
            r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"call_1","x":1.0},{"id":"call_"#
        ),
        "{got}"
    );
    assert!(
        got.ends_with(r#"{"role":"tool","tool_call_id":"call_1"}]}"#) && !got.contains(&long),
        "{got}"
    );
    let responses = r#"{"input":[{"type":"reasoning","encrypted_content":"gw1:t:c"}, {"type":"reasoning","encrypted_content":"gAAA"}]}"#;
    assert_eq!(
        mended(Protocol::OpenAiResponses, responses),
        r#"{"input":[{"type":"reasoning","encrypted_content":"gAAA"}]}"#
    );
    let gemini = r#"{"contents":[{"role":"model","parts":[{"text":"","thought":true,"thoughtSignature":"Z3cxc2ln"},{"functionCall":{"name":"f"}},{"functionCall":{"name":"g"}}]}]}"#;
    let expected = r#"{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f"},"thoughtSignature":"skip_thought_signature_validator"},{"functionCall":{"name":"g"}}]}]}"#;
    assert_eq!(mended(Protocol::Gemini, gemini), expected);
    // A conversation with one provider stays as it is.
    for (protocol, body) in [
        (
            Protocol::Anthropic,
            r#"{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"c2ln"}]}]}"#,
        ),
        (
            Protocol::OpenAiChat,
            r#"{"messages":[{"role":"tool","tool_call_id":"call_1","content":"x"}]}"#,
        ),
        (
            Protocol::Gemini,
            r#"{"contents":[{"parts":[{"functionCall":{},"thoughtSignature":"x"},{"functionCall":{}}]}]}"#,
        ),
    ] {
        let mut edits = Edits::new(protocol, body.as_bytes()).expect("JSON");
        edits.mend_history();
        assert!(edits.is_empty(), "{body}");
    }
}
