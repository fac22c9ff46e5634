//! What Cohere wants otherwise: its names, and plans for calls.

use super::options;
use super::requests::{CHAT, CLAUDE};
use crate::json::Raw;
use crate::protocol::{Call, Protocol};
use crate::translate::{Refused, Target, Translated, request, response};

fn to(path: &str, body: &str) -> Result<Translated, Refused> {
    let call = Call::of_path(path).expect("a path");
    let got = request(&call, body.as_bytes(), &Target::new(Protocol::Cohere, "command"));
    if let Ok(got) = &got {
        assert!(Raw::parse(got.body.as_bytes()).is_ok(), "{}", got.body);
    }
    got
}

fn chat(members: &str) -> Translated {
    let body = format!(r#"{{"model":"x",{members}}}"#);
    to("/v1/chat/completions", &body).expect("a translation")
}

#[test]
fn chat_for_cohere() {
    let got = to("/v1/chat/completions", CHAT).expect("a translation");
    let expected = concat!(
        r#"{"model":"command","messages":[{"role":"system","content":"Be brief."},"#,
        r#"{"role":"user","content":[{"type":"text","text":"What \u00e9?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]},"#,
        r#"{"role":"assistant","tool_calls":[{"id":"call_1","type":"function","function":{"name":"weather","arguments":"{\"n\": 1.50}"}},"#,
        r#"{"id":"call_2","type":"function","function":{"name":"time","arguments":"{}"}}]},"#,
        r#"{"role":"tool","tool_call_id":"call_2","content":"noon"},"#,
        r#"{"role":"tool","tool_call_id":"call_1","content":"{\"rain\":true}"},"#,
        r#"{"role":"user","content":"And?"}],"stream":true,"max_tokens":500,"temperature":0.70,"stop_sequences":["END"],"#,
        r#""tools":[{"type":"function","function":{"name":"weather","description":"d","parameters":{"type":"object","properties":{"n":{"type":"number","exclusiveMinimum":0}},"additionalProperties":false}}},"#,
        r#"{"type":"function","function":{"name":"time","parameters":{"type":"object","properties":{}}}}],"#,
        r#""thinking":{"type":"enabled","token_budget":2048}}"#,
    );
    assert_eq!(got.body, expected);
    assert_eq!(got.ignored, ["metadata", "tools: strict", "user", "parallel_tool_calls"]);
}

#[test]
fn messages_of_claude_s_for_cohere() {
    let got = to("/v1/messages", CLAUDE).expect("a translation");
    let expected = concat!(
        r#"{"role":"user","content":"Hi"},"#,
        r#"{"role":"assistant","tool_calls":[{"id":"call+1","type":"function","function":{"name":"f","arguments":"{\"x\":1.0}"}}]},"#,
        r#"{"role":"tool","tool_call_id":"call+1","content":"[error] bad"},"#,
        r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},{"type":"text","text":"so?"}]}"#,
    );
    assert!(got.body.contains(expected), "{}", got.body);
    // What Claude thought is Claude's alone.
    assert!(got.ignored.contains(&"thinking".to_owned()), "{:?}", got.ignored);
}

#[test]
fn a_plan_is_a_text_beside_calls_there_and_back() {
    let said = r#""messages":[{"role":"assistant","reasoning_content":"hm","content":"I look.","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"a","content":""},{"role":"assistant","reasoning_content":"so","content":"Done."},{"role":"assistant","content":""}]"#;
    let expected = concat!(
        r#""messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"hm"}],"tool_plan":"I look.","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},"#,
        r#"{"role":"tool","tool_call_id":"a","content":"(no output)"},"#,
        r#"{"role":"assistant","content":[{"type":"thinking","thinking":"so"},{"type":"text","text":"Done."#,
    );
    let got = chat(said).body;
    assert!(got.contains(expected), "{got}");
}

#[test]
fn settings_have_cohere_s_names_and_bounds() {
    let tool = |name: &str| {
        format!(
            r#"{{"type":"function","function":{{"name":"{name}","strict":true,"parameters":{{"type":"object","properties":{{"a":{{"type":"string"}}}},"required":["a"]}}}}}}"#
        )
    };
    let tools = format!(r#""messages":[],"tools":[{},{}]"#, tool("f"), tool("g"));
    for (members, expected) in [
        (r#""messages":[],"top_p":1"#.to_owned(), r#""p":0.99"#),
        (r#""messages":[],"top_p":0"#.to_owned(), r#""p":0.01"#),
        (r#""messages":[],"top_p":0.5,"seed":7"#.to_owned(), r#""p":0.5,"seed":7"#),
        (r#""messages":[],"top_k":5"#.to_owned(), r#""k":5"#),
        (r#""messages":[],"reasoning_effort":"none""#.to_owned(), r#""thinking":{"type":"disabled"}"#),
        (
            r#""messages":[],"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}}"#.to_owned(),
            r#""response_format":{"type":"json_object","json_schema":{"type":"object"}}"#,
        ),
        (format!(r#"{tools},"tool_choice":"required""#), r#""strict_tools":true,"tool_choice":"REQUIRED""#),
        (format!(r#"{tools},"tool_choice":"none""#), r#""tool_choice":"NONE""#),
    ] {
        let got = chat(&members);
        assert!(got.body.contains(expected), "{}", got.body);
        assert!(got.ignored.is_empty(), "{:?}", got.ignored);
    }
    let choice = r#""tool_choice":{"type":"function","function":{"name":"g"}}"#;
    let one = chat(&format!("{tools},{choice}")).body;
    assert!(one.contains(r#""name":"g""#) && !one.contains(r#""name":"f""#), "{one}");
    let sound = r#"{"model":"x","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}]}]}"#;
    let refused = to("/v1/chat/completions", sound).expect_err("a refusal").to_string();
    assert!(refused.contains("`messages` has audio"), "{refused}");
}

#[test]
fn an_answer_that_failed_is_none() {
    let of = |end: &str| {
        let body = format!(r#"{{"id":"c","message":{{"content":[]}},"finish_reason":"{end}"}}"#);
        response(Protocol::Cohere, Protocol::OpenAiChat, body.as_bytes(), &options())
    };
    assert!(of("COMPLETE").is_ok());
    assert!(of("ERROR").is_err_and(|it| it.message == "The provider failed to generate."));
    assert!(of("TIMEOUT").is_err_and(|it| it.message.contains("too long")));
}
