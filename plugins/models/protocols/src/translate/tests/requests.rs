//! Requests: what a client asks is asked of the provider, and what cannot be is named.

use crate::json::Raw;
use crate::protocol::{Call, Protocol};
use crate::translate::{Refused, Target, Translated, request};

pub(super) const CHAT: &str = r#"{"model":"alias","stream":true,"temperature":0.70,"max_tokens":500,"stop":["END"],"user":"u1",
"reasoning_effort":"low","parallel_tool_calls":false,"tool_choice":"auto","metadata":{"a":"b"},"messages":[
{"role":"system","content":"Be brief."},
{"role":"user","content":[{"type":"text","text":"What \u00e9?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]},
{"role":"assistant","content":null,"tool_calls":[{"id":"call_1__thought__AbC+/w==","type":"function","function":{"name":"weather","arguments":"{\"n\": 1.50}"}},
{"id":"call_2","type":"function","function":{"name":"time","arguments":""}}]},
{"role":"tool","tool_call_id":"call_2","content":"noon"},
{"role":"tool","tool_call_id":"call_1__thought__AbC+/w==","content":"{\"rain\":true}"},
{"role":"user","content":"And?"}],
"tools":[{"type":"function","function":{"name":"weather","description":"d","parameters":{"type":"object","properties":{"n":{"type":"number","exclusiveMinimum":0}},"additionalProperties":false},"strict":true}},
{"type":"function","function":{"name":"time"}}]}"#;

pub(super) const CLAUDE: &str = r#"{"model":"alias","max_tokens":4000,"system":[{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}],
"thinking":{"type":"enabled","budget_tokens":2000},"tool_choice":{"type":"auto","disable_parallel_tool_use":true},"metadata":{"user_id":"u1"},"messages":[
{"role":"user","content":"Hi"},
{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"c2ln"},{"type":"redacted_thinking","data":"xyz"},{"type":"text","text":" "},{"type":"tool_use","id":"toolu_call_x2b1","name":"f","input":{"x":1.0}}]},
{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_call_x2b1","is_error":true,"content":[{"type":"text","text":"bad"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]},{"type":"text","text":"so?"}]}],
"tools":[{"name":"f","input_schema":{"type":"object","properties":{}}}]}"#;

pub(super) const GEMINI: &str = r#"{"contents":[{"role":"user","parts":[{"text":"Hi"}]},
        {"role":"model","parts":[{"text":"a","thought":true},{"text":"b","thought":true},{"text":"","thought":true,"thoughtSignature":"Z3cxc2ln"},
        {"functionCall":{"name":"f","args":{"a":1}}},{"functionCall":{"name":"f","args":{"a":2}}}]},
        {"role":"user","parts":[{"functionResponse":{"name":"f","response":{"r":1}}},{"functionResponse":{"name":"f","response":{"r":2}}}]}],
        "system_instruction":{"parts":[{"text":"S"}]},"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT","properties":{"a":{"type":"INTEGER"}}}}]}],
        "generationConfig":{"maxOutputTokens":99,"thinkingConfig":{"thinkingBudget":0}}}"#;

pub(super) const OLLAMA: &str = r#"{"model":"x","messages":[{"role":"user","content":"Hi","images":["/9j/AA"]},
        {"role":"assistant","content":"t","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},{"role":"tool","tool_name":"f","content":"r"},
        {"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"a":2}}}]},{"role":"tool","tool_name":"f","content":"s"}],
        "options":{"temperature":1.5,"num_ctx":8000}}"#;

pub(super) const RESPONSES: &str = r#"{"model":"x","instructions":"S","input":[{"role":"user","content":"Hi"},
        {"type":"reasoning","id":"rs","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"gw1:t:c2ln"},
        {"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":"r"}],
        "tools":[{"type":"function","name":"f","parameters":{"type":"object"}}],"reasoning":{"effort":"high"},"max_output_tokens":9000}"#;

fn to(path: &str, body: &str, target: &Target<'_>) -> Result<Translated, Refused> {
    let translated = request(&Call::of_path(path).expect("a path"), body.as_bytes(), target);
    if let Ok(translated) = &translated {
        assert!(Raw::parse(translated.body.as_bytes()).is_ok(), "{}", translated.body);
    }
    translated
}

fn plain(path: &str, body: &str, protocol: Protocol) -> Translated {
    to(path, body, &Target::new(protocol, "m")).expect("a translation")
}

const PATH_CHAT: &str = "/v1/chat/completions";
const PATH_CLAUDE: &str = "/v1/messages";

#[test]
fn chat_for_anthropic() {
    let got = plain(PATH_CHAT, CHAT, Protocol::Anthropic);
    let expected = concat!(
        r#"{"model":"m","max_tokens":500,"system":[{"type":"text","text":"Be brief."}],"messages":["#,
        r#"{"role":"user","content":[{"type":"text","text":"What \u00e9?"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]},"#,
        r#"{"role":"assistant","content":[{"type":"tool_use","id":"call_1","name":"weather","input":{"n": 1.50}},{"type":"tool_use","id":"call_2","name":"time","input":{}}]},"#,
        r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_2","content":[{"type":"text","text":"noon"}]},{"type":"tool_result","tool_use_id":"call_1","content":[{"type":"text","text":"{\"rain\":true}"}]},{"type":"text","text":"And?"}]}],"#,
        r#""stream":true,"temperature":0.70,"stop_sequences":["END"],"tools":[{"name":"weather","description":"d","input_schema":{"type":"object","properties":{"n":{"type":"number","exclusiveMinimum":0}},"additionalProperties":false}},{"name":"time","input_schema":{"type":"object","properties":{}}}],"#,
        r#""tool_choice":{"type":"auto","disable_parallel_tool_use":true},"metadata":{"user_id":"u1"}}"#,
    );
    assert_eq!(got.body, expected);
    assert_eq!(got.ignored, ["metadata", "tools: strict", "reasoning"]);
    assert!(got.stream && !got.include_usage);
}

#[test]
fn chat_for_gemini() {
    let got = plain(PATH_CHAT, CHAT, Protocol::Gemini);
    let expected = concat!(
        r#"{"systemInstruction":{"parts":[{"text":"Be brief."}]},"contents":[{"role":"user","parts":[{"text":"What \u00e9?"},{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]},"#,
        r#"{"role":"model","parts":[{"functionCall":{"name":"weather","args":{"n": 1.50}},"thoughtSignature":"AbC+/w=="},{"functionCall":{"name":"time","args":{}}}]},"#,
        r#"{"role":"user","parts":[{"functionResponse":{"name":"weather","response":{"rain":true}}},{"functionResponse":{"name":"time","response":{"result":"noon"}}}]},{"role":"user","parts":[{"text":"And?"}]}],"#,
        r#""generationConfig":{"maxOutputTokens":500,"temperature":0.70,"stopSequences":["END"],"thinkingConfig":{"thinkingBudget":2048,"includeThoughts":true}},"#,
        r#""tools":[{"functionDeclarations":[{"name":"weather","description":"d","parameters":{"type":"object","properties":{"n":{"type":"number"}}}},{"name":"time"}]}],"toolConfig":{"functionCallingConfig":{"mode":"AUTO"}}}"#,
    );
    assert_eq!(got.body, expected);
    let ignored =
        ["metadata", "tools: strict", "tools: exclusiveMinimum", "user", "parallel_tool_calls"];
    assert_eq!(got.ignored, ignored);
}

#[test]
fn claude_for_chat() {
    let got = plain(PATH_CLAUDE, CLAUDE, Protocol::OpenAiChat);
    let expected = concat!(
        r#"{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"},"#,
        r#"{"role":"assistant","content":null,"tool_calls":[{"id":"call+1","type":"function","function":{"name":"f","arguments":"{\"x\":1.0}"}}]},"#,
        r#"{"role":"tool","tool_call_id":"call+1","content":"[error] bad"},{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},{"type":"text","text":"so?"}]}],"#,
        r#""max_completion_tokens":4000,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}],"parallel_tool_calls":false,"tool_choice":"auto","reasoning_effort":"low","user":"u1"}"#,
    );
    assert_eq!(got.body, expected);
    assert_eq!(got.ignored, ["cache_control", "thinking"]);
}

#[test]
fn claude_for_bedrock() {
    let got = to(PATH_CLAUDE, CLAUDE, &Target::new(Protocol::BedrockConverse, "claude-x"));
    let expected = concat!(
        r#"{"system":[{"text":"Be brief."},{"cachePoint":{"type":"default"}}],"messages":[{"role":"user","content":[{"text":"Hi"}]},"#,
        r#"{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"hm","signature":"c2ln"}}},{"reasoningContent":{"redactedContent":"xyz"}},{"toolUse":{"toolUseId":"call_x2b1","name":"f","input":{"x":1.0}}}]},"#,
        r#"{"role":"user","content":[{"toolResult":{"toolUseId":"call_x2b1","content":[{"text":"bad"},{"image":{"format":"png","source":{"bytes":"AAAA"}}}],"status":"error"}},{"text":"so?"}]}],"#,
        r#""inferenceConfig":{"maxTokens":4000},"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{"type":"object","properties":{}}}}}],"toolChoice":{"auto":{}}},"#,
        r#""additionalModelRequestFields":{"thinking":{"type":"enabled","budget_tokens":2000}}}"#,
    );
    assert_eq!(got.expect("a translation").body, expected);
}

#[test]
fn chat_and_claude_for_responses() {
    let body = CHAT.replace(r#""stop":["END"],"#, "");
    let got = plain(PATH_CHAT, &body, Protocol::OpenAiResponses);
    let expected = concat!(
        r#"{"model":"m","store":false,"instructions":"Be brief.","input":[{"role":"user","content":[{"type":"input_text","text":"What \u00e9?"},{"type":"input_image","image_url":"data:image/png;base64,AAAA"}]},"#,
        r#"{"type":"function_call","call_id":"call_1","name":"weather","arguments":"{\"n\": 1.50}"},{"type":"function_call","call_id":"call_2","name":"time","arguments":"{}"},"#,
        r#"{"type":"function_call_output","call_id":"call_2","output":"noon"},{"type":"function_call_output","call_id":"call_1","output":"{\"rain\":true}"},{"role":"user","content":[{"type":"input_text","text":"And?"}]}],"#,
        r#""stream":true,"max_output_tokens":500,"temperature":0.70,"tools":[{"type":"function","name":"weather","description":"d","parameters":{"type":"object","properties":{"n":{"type":"number","exclusiveMinimum":0}},"additionalProperties":false},"strict":true},"#,
        r#"{"type":"function","name":"time","parameters":{"type":"object","properties":{}},"strict":false}],"parallel_tool_calls":false,"tool_choice":"auto","reasoning":{"effort":"low","summary":"auto"},"include":["reasoning.encrypted_content"],"safety_identifier":"u1"}"#,
    );
    assert_eq!(got.body, expected);
    // Reasoning that OpenAI encrypted goes back to OpenAI, and not to Claude.
    let body = CLAUDE.replace("c2ln", "openai:rs_1:gAAA");
    let got = plain(PATH_CLAUDE, &body, Protocol::OpenAiResponses);
    assert!(got.body.contains(r#"{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"gAAA"}"#), "{}", got.body);
    let got = plain(PATH_CLAUDE, &body, Protocol::Anthropic);
    assert!(!got.body.contains("gAAA") && got.ignored.contains(&"thinking".to_owned()));
}

#[test]
fn chat_for_ollama() {
    let got = plain(PATH_CHAT, CHAT, Protocol::Ollama);
    for part in [
        r#"{"role":"user","content":"What \u00e9?","images":["AAAA"]}"#,
        r#""tool_calls":[{"function":{"name":"weather","arguments":{"n": 1.50}}},{"function":{"name":"time","arguments":{}}}]"#,
        r#"{"role":"tool","content":"noon","tool_name":"time"}"#,
        r#""stream":true,"options":{"num_predict":500,"temperature":0.70,"stop":["END"]}"#,
        r#""think":true"#,
    ] {
        assert!(got.body.contains(part), "{part} in {}", got.body);
    }
}

#[test]
fn gemini_for_anthropic() {
    let got = plain("/v1beta/models/g:streamGenerateContent", GEMINI, Protocol::Anthropic);
    let expected = concat!(
        r#"{"model":"m","max_tokens":99,"system":[{"type":"text","text":"S"}],"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]},"#,
        r#"{"role":"assistant","content":[{"type":"thinking","thinking":"ab","signature":"c2ln"},{"type":"tool_use","id":"call_1","name":"f","input":{"a":1}},{"type":"tool_use","id":"call_2","name":"f","input":{"a":2}}]},"#,
        r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":[{"type":"text","text":"{\"r\":1}"}]},{"type":"tool_result","tool_use_id":"call_2","content":[{"type":"text","text":"{\"r\":2}"}]}]}],"#,
        r#""stream":true,"tools":[{"name":"f","input_schema":{"type":"object","properties":{"a":{"type":"integer"}}}}],"thinking":{"type":"disabled"}}"#,
    );
    assert_eq!(got.body, expected);
}

#[test]
fn ollama_and_responses_for_anthropic() {
    let got = plain("/api/chat", OLLAMA, Protocol::Anthropic);
    let expected = concat!(
        r#"{"model":"m","max_tokens":8192,"messages":[{"role":"user","content":[{"type":"text","text":"Hi"},{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"/9j/AA"}}]},"#,
        r#"{"role":"assistant","content":[{"type":"text","text":"t"},{"type":"tool_use","id":"call_1","name":"f","input":{"a":1}}]},"#,
        r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":[{"type":"text","text":"r"}]}]},"#,
        r#"{"role":"assistant","content":[{"type":"tool_use","id":"call_2","name":"f","input":{"a":2}}]},"#,
        r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_2","content":[{"type":"text","text":"s"}]}]}],"stream":true,"temperature":1}"#,
    );
    assert_eq!(got.body, expected);
    assert_eq!(got.ignored, ["options.num_ctx", "temperature above 1"]);

    let got = plain("/v1/responses", RESPONSES, Protocol::Anthropic);
    let expected = concat!(
        r#"{"model":"m","max_tokens":9000,"system":[{"type":"text","text":"S"}],"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]},"#,
        r#"{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"c2ln"},{"type":"tool_use","id":"c1","name":"f","input":{}}]},"#,
        r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":[{"type":"text","text":"r"}]}]}],"#,
        r#""tools":[{"name":"f","input_schema":{"type":"object"}}],"thinking":{"type":"enabled","budget_tokens":8999}}"#,
    );
    assert_eq!(got.body, expected);
}

#[test]
fn thinking_has_room_in_the_bound() {
    let with = |rest: &str| {
        let body =
            format!(r#"{{"model":"x","messages":[{{"role":"user","content":"Hi"}}],{rest}}}"#);
        plain(PATH_CHAT, &body, Protocol::Anthropic)
    };
    let none = with(r#""reasoning_effort":"high""#);
    assert!(
        none.body.contains(r#""max_tokens":24576"#)
            && none.body.contains(r#""budget_tokens":16384"#)
    );
    let small = with(r#""reasoning_effort":"high","max_tokens":1024,"temperature":0"#);
    assert!(
        small.body.contains(r#""max_tokens":1024"#) && small.body.contains(r#""temperature":0"#)
    );
    assert_eq!(small.ignored, ["reasoning"]);
    let forced = with(
        r#""reasoning_effort":"high","tool_choice":"required","tools":[{"type":"function","function":{"name":"f"}}]"#,
    );
    assert!(!forced.body.contains("thinking") && forced.body.contains(r#""type":"any""#));
}

#[test]
fn bedrock_has_tools_where_the_history_has_calls() {
    let body = r#"{"model":"x","tool_choice":"none","messages":[{"role":"user","content":" "},{"role":"assistant","content":"","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"a","content":""},{"role":"assistant","content":"  "}]}"#;
    let got = plain(PATH_CHAT, body, Protocol::BedrockConverse);
    let expected = concat!(
        r#"{"messages":[{"role":"assistant","content":[{"toolUse":{"toolUseId":"a","name":"f","input":{}}}]},"#,
        r#"{"role":"user","content":[{"toolResult":{"toolUseId":"a","content":[{"text":"(no output)"}],"status":"success"}}]}],"#,
        r#""inferenceConfig":{"maxTokens":8192},"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{"type":"object"}}}}]}}"#,
    );
    assert_eq!(got.body, expected);
    assert_eq!(got.ignored, ["tool_choice"]);
}

#[test]
fn what_is_no_list_of_messages_is_refused_by_its_name() {
    let refused = |path: &str, messages: &str| {
        let list = match path {
            "/v1/responses" => "input",
            path if path.contains(':') => "contents",
            _ => "messages",
        };
        let most = if path == PATH_CLAUDE { r#""max_tokens":9,"# } else { "" };
        let body = format!(r#"{{"model":"x",{most}"{list}":{messages}}}"#);
        let got = to(path, &body, &Target::new(Protocol::BedrockConverse, "m"));
        got.map(|got| got.body).map_err(|refused| refused.member)
    };
    let (gemini, responses) = ("/models/g:generateContent", "/v1/responses");
    for path in [PATH_CHAT, PATH_CLAUDE, "/api/chat"] {
        for (messages, member) in [
            (r#""x""#, "messages"),
            ("5", "messages"),
            (r#"{"a":1}"#, "messages"),
            ("{}", "messages"),
            ("null", "messages"),
            ("false", "messages"),
            ("[5]", "messages.0"),
            (r#"[{"role":"user"}]"#, "messages.0.content"),
            (r#"[{"role":"user","content":null}]"#, "messages.0.content"),
            (r#"[{"role":"user","content":5}]"#, "messages.0.content"),
            (r#"[{"role":"user","content":{"a":1}}]"#, "messages.0.content"),
            (r#"[{"role":"user","content":{}}]"#, "messages.0.content"),
            (
                r#"[{"role":"user","content":"a"},{"role":"assistant","content":5}]"#,
                "messages.1.content",
            ),
        ] {
            assert_eq!(refused(path, messages), Err(member.into()), "{path} {messages}");
        }
        let fine = r#"[{"role":"user","content":"a"}]"#;
        assert!(refused(path, fine).is_ok(), "{path}");
    }
    for (path, messages, member) in [
        (gemini, r#""x""#, "contents"),
        (gemini, "null", "contents"),
        (gemini, r#"[{"role":"user"}]"#, "contents.0.parts"),
        (gemini, r#"{"role":"user","parts":"a"}"#, "contents.0.parts"),
        (gemini, r#"[{"parts":{"text":"a"}}]"#, "contents.0.parts"),
        (responses, "5", "input"),
        (responses, r#"{"a":1}"#, "input"),
        (responses, r#"[{"role":"user"}]"#, "input.0.content"),
        (responses, r#"[{"role":"user","content":5}]"#, "input.0.content"),
        (
            responses,
            r#"[{"type":"function_call_output","call_id":"a","output":5}]"#,
            "input.0.output",
        ),
        (
            PATH_CLAUDE,
            r#"[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":5}]}]"#,
            "messages.0.content.0.content",
        ),
    ] {
        assert_eq!(refused(path, messages), Err(member.into()), "{path} {messages}");
    }
}

#[test]
fn what_cannot_be_translated_is_refused_by_its_name() {
    let refused = |path: &str, rest: &str, protocol| {
        let list = if path.contains(':') { "contents" } else { "messages" };
        let body = format!(r#"{{"model":"x","max_tokens":9,"{list}":[],{rest}}}"#);
        to(path, &body, &Target::new(protocol, "m")).expect_err("a refusal").to_string()
    };
    use Protocol::{Anthropic, BedrockConverse, Gemini, Ollama, OpenAiChat};
    for (path, rest, protocol, name) in [
        (PATH_CHAT, r#""n":2"#, Anthropic, "`n`"),
        (PATH_CHAT, r#""logprobs":true"#, Anthropic, "`logprobs`"),
        (PATH_CHAT, r#""brand_new":{"a":1}"#, Gemini, "`brand_new`"),
        (
            PATH_CHAT,
            r#""response_format":{"type":"json_object"}"#,
            BedrockConverse,
            "`response_format`",
        ),
        (PATH_CHAT, r#""tool_choice":"required""#, Ollama, "`tool_choice`"),
        (PATH_CHAT, r#""tools":[{"type":"web_search"}]"#, Anthropic, "`tools.0.type`"),
        (
            PATH_CLAUDE,
            r#""tools":[{"type":"bash_20250124","name":"bash"}]"#,
            OpenAiChat,
            "`tools.0.type`",
        ),
        (PATH_CLAUDE, r#""mcp_servers":[{"url":"x"}]"#, OpenAiChat, "`mcp_servers`"),
        (PATH_CLAUDE, r#""system":[{"type":"mystery"}]"#, Gemini, "`system.0.type`"),
        ("/models/g:generateContent", r#""cachedContent":"c""#, Anthropic, "`max_tokens`"),
        ("/v1/responses", r#""previous_response_id":"r""#, Anthropic, "`max_tokens`"),
    ] {
        let message = refused(path, rest, protocol);
        assert!(message.contains(name), "{message}");
    }
    // Inside of messages and tools it is reported.
    let inner = r#"{"model":"x","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"a","brand_new":1}]}],"tools":[{"name":"f","defer_loading":true,"input_schema":{"x":1}}]}"#;
    let got = plain(PATH_CLAUDE, inner, OpenAiChat);
    assert_eq!(got.ignored, ["messages: brand_new", "tools: defer_loading"]);
    let stored = r#"{"model":"x","input":[{"type":"item_reference","id":"msg_1"}]}"#;
    let refused = to("/v1/responses", stored, &Target::new(Protocol::Anthropic, "m"));
    assert!(
        refused
            .expect_err("a refusal")
            .to_string()
            .starts_with("`input.0` needs what only OpenAI stores")
    );
    let arguments = r#"{"model":"x","messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{"}}]}]}"#;
    let refused =
        to(PATH_CHAT, arguments, &Target::new(Protocol::Anthropic, "m")).expect_err("a refusal");
    assert_eq!(refused.member, "messages.0.tool_calls.0.function.arguments");
    // What says no more than its absence is no reason to refuse.
    let neutral =
        r#"{"model":"x","messages":[],"logprobs":false,"logit_bias":{},"audio":null,"tools":[]}"#;
    assert!(to(PATH_CHAT, neutral, &Target::new(Protocol::Gemini, "m")).is_ok());
}

#[test]
fn ids_are_nine_characters_where_a_server_wants_that() {
    let target = Target { short_ids: true, ..Target::new(Protocol::OpenAiChat, "m") };
    let got = to(PATH_CLAUDE, CLAUDE, &target).expect("a translation").body;
    let root = Raw::parse(got.as_bytes()).expect("JSON");
    let messages: Vec<_> = root.get("messages").expect("messages").elements().collect();
    let call =
        messages[2].get("tool_calls").and_then(|calls| calls.elements().next()).expect("a call");
    let (of_call, of_result) = (call.text_of("id"), messages[3].text_of("tool_call_id"));
    assert_eq!(of_call, of_result);
    assert!(
        of_call.is_some_and(|id| id.len() == 9 && id.bytes().all(|it| it.is_ascii_alphanumeric()))
    );
}

#[test]
fn targets_have_their_paths() {
    let path = |protocol, stream| Target::new(protocol, "a:b").path(stream);
    assert_eq!(path(Protocol::Gemini, true), "/v1beta/models/a%3Ab:streamGenerateContent?alt=sse");
    assert_eq!(path(Protocol::BedrockConverse, false), "/model/a%3Ab/converse");
    assert_eq!(path(Protocol::Anthropic, true), "/v1/messages");
}
