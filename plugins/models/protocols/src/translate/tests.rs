//! Every provider's answers for every client, and requests the other way.

mod cohere;
mod embeddings;
mod mutations;
mod requests;
mod streams;
mod wholes;

use super::Options;
use crate::framing::event_stream;
use crate::protocol::Protocol;

/// The protocols of clients, and those of providers.
const CLIENTS: [Protocol; 5] = [
    Protocol::OpenAiChat,
    Protocol::Anthropic,
    Protocol::Gemini,
    Protocol::Ollama,
    Protocol::OpenAiResponses,
];
const PROVIDERS: [Protocol; 7] = [
    Protocol::OpenAiChat,
    Protocol::OpenAiResponses,
    Protocol::Anthropic,
    Protocol::Gemini,
    Protocol::Ollama,
    Protocol::BedrockConverse,
    Protocol::Cohere,
];

fn options() -> Options {
    Options {
        id: "r1".to_owned(),
        model: "alias".to_owned(),
        created: 1_700_000_000,
        include_usage: true,
        input_estimate: 0,
    }
}

/// A stream of a provider: it thinks, says a text and calls two tools, one without arguments.
fn stream_of(provider: Protocol) -> Vec<u8> {
    let mut out = Vec::new();
    let mut sse = |name: &str, data: &str| {
        if !name.is_empty() {
            out.extend_from_slice(format!("event: {name}\r\n").as_bytes());
        }
        out.extend_from_slice(format!("data: {data}\r\n\r\n").as_bytes());
    };
    match provider {
        Protocol::Anthropic => {
            for (name, data) in [
                (
                    "message_start",
                    r#"{"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":1}}}"#,
                ),
                (
                    "content_block_start",
                    r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
                ),
                (
                    "content_block_delta",
                    r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm\n"}}"#,
                ),
                (
                    "content_block_delta",
                    r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}"#,
                ),
                ("content_block_stop", r#"{"type":"content_block_stop","index":0}"#),
                (
                    "content_block_start",
                    r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
                ),
                ("ping", r#"{"type":"ping"}"#),
                (
                    "content_block_delta",
                    r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Let \"me\" "}}"#,
                ),
                (
                    "content_block_delta",
                    r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"see \u00e9"}}"#,
                ),
                ("content_block_stop", r#"{"type":"content_block_stop","index":1}"#),
                (
                    "content_block_start",
                    r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_A","name":"weather","input":{}}}"#,
                ),
                (
                    "content_block_delta",
                    r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}"#,
                ),
                (
                    "content_block_delta",
                    r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"city\":"}}"#,
                ),
                (
                    "content_block_delta",
                    r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"\"Oslo\"}"}}"#,
                ),
                ("content_block_stop", r#"{"type":"content_block_stop","index":2}"#),
                (
                    "content_block_start",
                    r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_B","name":"time","input":{}}}"#,
                ),
                ("content_block_stop", r#"{"type":"content_block_stop","index":3}"#),
                (
                    "message_delta",
                    r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":20}}"#,
                ),
                ("message_stop", r#"{"type":"message_stop"}"#),
            ] {
                sse(name, data);
            }
        }
        Protocol::Gemini => {
            sse("", r#"{"usageMetadata":{"trafficType":"ON_DEMAND"},"responseId":"g1"}"#);
            sse(
                "",
                r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hm\n","thought":true}]}}],"responseId":"g1"}"#,
            );
            sse(
                "",
                r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Let \"me\" "},{"text":"see \u00e9"}]}}]}"#,
            );
            sse(
                "",
                r#"{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"weather","args":{"city":"Oslo"}},"thoughtSignature":"AbC+/w=="},{"functionCall":{"name":"time","args":{}}}]}}],"usageMetadata":{"promptTokenCount":15,"totalTokenCount":15}}"#,
            );
            sse(
                "",
                r#"{"candidates":[{"content":{"role":"model","parts":[{"text":""}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":15,"cachedContentTokenCount":5,"candidatesTokenCount":18,"thoughtsTokenCount":2,"totalTokenCount":35}}"#,
            );
        }
        Protocol::OpenAiResponses => {
            for (name, data) in [
                (
                    "response.created",
                    r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","status":"in_progress","output":[],"usage":null}}"#,
                ),
                (
                    "response.output_item.added",
                    r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[]}}"#,
                ),
                (
                    "response.reasoning_summary_part.added",
                    r#"{"type":"response.reasoning_summary_part.added","item_id":"rs_1","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""}}"#,
                ),
                (
                    "response.reasoning_summary_text.delta",
                    r#"{"type":"response.reasoning_summary_text.delta","item_id":"rs_1","output_index":0,"summary_index":0,"delta":"hm\n"}"#,
                ),
                (
                    "response.output_item.done",
                    r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"hm\n"}],"encrypted_content":"gAAAA=="}}"#,
                ),
                (
                    "response.output_item.added",
                    r#"{"type":"response.output_item.added","output_index":1,"item":{"id":"msg_1","type":"message","role":"assistant","content":[]}}"#,
                ),
                (
                    "response.output_text.delta",
                    r#"{"type":"response.output_text.delta","item_id":"msg_1","output_index":1,"content_index":0,"delta":"Let \"me\" see \u00e9"}"#,
                ),
                (
                    "response.output_text.done",
                    r#"{"type":"response.output_text.done","item_id":"msg_1","output_index":1,"content_index":0,"text":"Let \"me\" see \u00e9"}"#,
                ),
                (
                    "response.output_item.added",
                    r#"{"type":"response.output_item.added","output_index":2,"item":{"id":"fc_1","type":"function_call","call_id":"call_A","name":"weather","arguments":""}}"#,
                ),
                (
                    "response.function_call_arguments.delta",
                    r#"{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":2,"delta":"{\"city\":\"Oslo\"}"}"#,
                ),
                (
                    "response.function_call_arguments.done",
                    r#"{"type":"response.function_call_arguments.done","item_id":"fc_1","output_index":2,"arguments":"{\"city\":\"Oslo\"}"}"#,
                ),
                (
                    "response.output_item.added",
                    r#"{"type":"response.output_item.added","output_index":3,"item":{"id":"fc_2","type":"function_call","call_id":"call_B","name":"time","arguments":""}}"#,
                ),
                (
                    "response.function_call_arguments.done",
                    r#"{"type":"response.function_call_arguments.done","item_id":"fc_2","output_index":3,"arguments":"{}"}"#,
                ),
                (
                    "response.completed",
                    r#"{"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[],"usage":{"input_tokens":15,"input_tokens_details":{"cached_tokens":5},"output_tokens":20,"total_tokens":35}}}"#,
                ),
            ] {
                sse(name, data);
            }
        }
        Protocol::Ollama => {
            for line in [
                r#"{"model":"m","message":{"role":"assistant","content":"","thinking":"hm\n"},"done":false}"#,
                r#"{"model":"m","message":{"role":"assistant","content":"Let \"me\" see \u00e9"},"done":false}"#,
                r#"{"model":"m","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"weather","arguments":{"city":"Oslo"}}},{"function":{"name":"time","arguments":{}}}]},"done":false}"#,
                r#"{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":15,"eval_count":20}"#,
            ] {
                out.extend_from_slice(line.as_bytes());
                out.push(b'\n');
            }
        }
        Protocol::Cohere => {
            for (name, data) in [
                (
                    "message-start",
                    r#"{"id":"29f1","type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}"#,
                ),
                (
                    "content-start",
                    r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"thinking","thinking":""}}}}"#,
                ),
                (
                    "content-delta",
                    r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"thinking":"hm\n"}}}}"#,
                ),
                ("content-end", r#"{"type":"content-end","index":0}"#),
                (
                    "tool-plan-delta",
                    r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"Let \"me\" "}}}"#,
                ),
                (
                    "tool-plan-delta",
                    r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"see \u00e9"}}}"#,
                ),
                (
                    "tool-call-start",
                    r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"weather_1","type":"function","function":{"name":"weather","arguments":""}}}}}"#,
                ),
                (
                    "tool-call-delta",
                    r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{\"city\":"}}}}}"#,
                ),
                (
                    "tool-call-delta",
                    r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"\"Oslo\"}"}}}}}"#,
                ),
                ("tool-call-end", r#"{"type":"tool-call-end","index":0}"#),
                (
                    "tool-call-start",
                    r#"{"type":"tool-call-start","index":1,"delta":{"message":{"tool_calls":{"id":"time_1","type":"function","function":{"name":"time","arguments":"{}"}}}}}"#,
                ),
                ("tool-call-end", r#"{"type":"tool-call-end","index":1}"#),
                (
                    "message-end",
                    r#"{"type":"message-end","delta":{"finish_reason":"TOOL_CALL","usage":{"billed_units":{"input_tokens":15,"output_tokens":20},"tokens":{"input_tokens":1500,"output_tokens":25},"cached_tokens":5}}}"#,
                ),
            ] {
                sse(name, data);
            }
            sse("", "[DONE]");
        }
        Protocol::BedrockConverse => {
            for (name, data) in [
                ("messageStart", r#"{"role":"assistant"}"#),
                (
                    "contentBlockDelta",
                    r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"hm\n"}}}"#,
                ),
                (
                    "contentBlockDelta",
                    r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"c2ln"}}}"#,
                ),
                ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
                (
                    "contentBlockDelta",
                    r#"{"contentBlockIndex":1,"delta":{"text":"Let \"me\" see \u00e9"}}"#,
                ),
                ("contentBlockStop", r#"{"contentBlockIndex":1}"#),
                (
                    "contentBlockStart",
                    r#"{"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"tooluse_1","name":"weather"}}}"#,
                ),
                (
                    "contentBlockDelta",
                    r#"{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"city\":"}}}"#,
                ),
                (
                    "contentBlockDelta",
                    r#"{"contentBlockIndex":2,"delta":{"toolUse":{"input":"\"Oslo\"}"}}}"#,
                ),
                ("contentBlockStop", r#"{"contentBlockIndex":2}"#),
                (
                    "contentBlockStart",
                    r#"{"contentBlockIndex":3,"start":{"toolUse":{"toolUseId":"tooluse_2","name":"time"}}}"#,
                ),
                ("contentBlockStop", r#"{"contentBlockIndex":3}"#),
                ("messageStop", r#"{"stopReason":"tool_use"}"#),
                (
                    "metadata",
                    r#"{"usage":{"inputTokens":10,"outputTokens":20,"totalTokens":35,"cacheReadInputTokens":5}}"#,
                ),
            ] {
                event_stream::write_event(&mut out, name, data);
            }
        }
        _ => {
            for data in [
                r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
                r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"reasoning_content":"hm\n"}}]}"#,
                r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"Let \"me\" "}}]}"#,
                r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"see \u00e9"}}]}"#,
                r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_A","type":"function","function":{"name":"weather","arguments":""}}]}}]}"#,
                r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]}}]}"#,
                r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"Oslo\"}"}}]}}]}"#,
                r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_B","type":"function","function":{"name":"time","arguments":"{}"}}]}}]}"#,
                r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
                r#"{"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":15,"completion_tokens":20,"total_tokens":35,"prompt_tokens_details":{"cached_tokens":5}}}"#,
                "[DONE]",
            ] {
                sse("", data);
            }
        }
    }
    out
}
