//! How many tools an answer calls: those that the client is to run, and not what the provider ran itself.

use memchr::memmem::find;

use super::scan::Found;
use crate::json::Raw;
use crate::protocol::Protocol;

/// Items of a response that are calls for the client.
const ITEMS: [&str; 6] = [
    "function_call",
    "custom_tool_call",
    "computer_call",
    "local_shell_call",
    "shell_call",
    "apply_patch_call",
];

/// Those that begin with an event of a stream.
pub(super) fn in_event(protocol: Protocol, found: &Found, name: &[u8], data: &[u8]) -> u64 {
    let has = |text: &[u8]| found.content && find(data, text).is_some();
    match protocol {
        Protocol::Anthropic => u64::from(found.text == 0 && has(b"\"tool_use\"")),
        Protocol::BedrockConverse => u64::from(name == b"contentBlockStart" && has(b"\"toolUse\"")),
        Protocol::Cohere => {
            let is_named = name.is_empty() && has(b"\"tool-call-start\"");
            u64::from(name == b"tool-call-start" || is_named)
        }
        Protocol::OpenAiResponses if found.text == 0 && found.content => {
            Raw::parse(data).ok().and_then(|json| json.some("item")).map_or(0, item)
        }
        Protocol::Gemini => found.calls,
        _ if found.calls > 0 => Raw::parse(data).map_or(0, |json| listed(protocol, json)),
        _ => 0,
    }
}

/// Those of a whole answer, which was not parsed: in most there is no word of them.
pub fn of_body(protocol: Protocol, body: &[u8]) -> u64 {
    let word: &[u8] = match protocol {
        Protocol::Anthropic => b"\"tool_use\"",
        Protocol::BedrockConverse => b"\"toolUse\"",
        Protocol::Gemini => b"\"functionCall\"",
        Protocol::OpenAiResponses => b"_call\"",
        _ => b"\"tool_calls\"",
    };
    if find(body, word).is_none() {
        return 0;
    }
    let Ok(json) = Raw::parse(body) else { return 0 };
    let count = |list: Option<Raw<'_>>, is_one: &dyn Fn(Raw<'_>) -> bool| {
        let items = list.into_iter().flat_map(Raw::elements);
        items.filter(|item| is_one(*item)).count() as u64
    };
    match protocol {
        Protocol::Anthropic => count(json.some("content"), &|part| {
            part.get("type").is_some_and(|kind| kind.is("tool_use"))
        }),
        Protocol::BedrockConverse => {
            let message = json.some("output").and_then(|output| output.some("message"));
            count(message.and_then(|it| it.some("content")), &|part| part.some("toolUse").is_some())
        }
        Protocol::Gemini => {
            let parts = json.some("candidates").into_iter().flat_map(Raw::elements);
            let parts = parts.filter_map(|one| one.some("content")?.some("parts"));
            parts.map(|it| count(Some(it), &|part| part.some("functionCall").is_some())).sum()
        }
        Protocol::OpenAiResponses => {
            json.some("output").into_iter().flat_map(Raw::elements).map(item).sum()
        }
        _ => listed(protocol, json),
    }
}

/// Whether an item of a response is one.
fn item(item: Raw<'_>) -> u64 {
    let kind = item.get("type");
    u64::from(kind.is_some_and(|kind| ITEMS.iter().any(|known| kind.is(known))))
}

/// Those in lists `tool_calls` of messages, or of pieces of them. A call that goes on in other pieces has its name in the first.
fn listed(protocol: Protocol, json: Raw<'_>) -> u64 {
    let of = |message: Raw<'_>| {
        let calls = message.some("tool_calls").into_iter().flat_map(Raw::elements);
        let named = calls.filter(|call| {
            let function = call.some("function").unwrap_or(*call);
            function.text_of("name").is_some_and(|name| !name.is_empty())
        });
        named.count() as u64
    };
    match protocol {
        Protocol::Ollama | Protocol::Cohere => json.some("message").map_or(0, of),
        _ => {
            let choices = json.some("choices").into_iter().flat_map(Raw::elements);
            let messages = choices.filter_map(|it| it.some("delta").or_else(|| it.some("message")));
            messages.map(of).sum()
        }
    }
}
