//! Looking at an event without a parse: most are pieces of text, which names of members tell.

use crate::framing::Event;
use crate::json;
use crate::protocol::Protocol;

/// What a scan found in an event.
#[derive(Clone, Copy, Default)]
pub(super) struct Found {
    pub(super) text: u64,
    pub(super) content: bool,
    pub(super) parse: bool,
    /// Something else than a usage makes it worth reading: an end or an error.
    pub(super) is_special: bool,
}

impl Found {
    const SPECIAL: Self = Self { text: 0, content: false, parse: true, is_special: true };
}

/// What an event of a protocol has.
pub(super) fn look(protocol: Protocol, event: &Event<'_>, data: &[u8]) -> Found {
    match protocol {
        _ if event.is_exception || event.name == b"error" => Found::SPECIAL,
        Protocol::Anthropic => anthropic(event.name, data),
        Protocol::BedrockConverse => bedrock(event.name, data),
        Protocol::OpenAiResponses => responses(event.name, data),
        Protocol::Gemini => {
            let content = ["text", "functionCall", "inlineData"];
            scan(data, &content, &["finishReason", "error", "promptFeedback"], &["usageMetadata"])
        }
        Protocol::Ollama => scan(
            data,
            &["content", "thinking", "tool_calls", "response"],
            &["done_reason", "error", "prompt_eval_count", "eval_count"],
            &[],
        ),
        _ => scan(
            data,
            &[
                "content",
                "text",
                "reasoning",
                "reasoning_content",
                "refusal",
                "arguments",
                "tool_calls",
                "data",
            ],
            &["finish_reason", "error"],
            &["usage"],
        ),
    }
}

/// Looks for members by name. One of `content` with a string counts its bytes; one of `special`
/// or `usage` that is not `null` makes the event worth reading.
fn scan(data: &[u8], content: &[&str], special: &[&str], usage: &[&str]) -> Found {
    let mut found = Found::default();
    let is_in = |names: &[&str], name: &[u8]| names.iter().any(|known| known.as_bytes() == name);
    json::scan(data, |name, value, length| {
        if is_in(content, name) {
            let first = value.first().copied().unwrap_or(b'n');
            let second = value.get(json::space(value, 1)).copied().unwrap_or(b']');
            found.text += length.unwrap_or(0) as u64;
            found.content |= match first {
                b'"' => length != Some(0),
                b'[' => second == b'{' && name == b"tool_calls",
                b'{' => name == b"functionCall" || name == b"inlineData",
                _ => false,
            };
        } else if is_in(special, name) {
            found.is_special |= !value.starts_with(b"null");
        } else if is_in(usage, name) {
            found.parse |= !value.starts_with(b"null");
        }
    });
    found.parse |= found.is_special;
    found
}

fn anthropic(name: &[u8], data: &[u8]) -> Found {
    let kind = kind(name, data);
    match kind {
        b"content_block_delta" => scan(data, &["text", "thinking", "partial_json"], &[], &[]),
        b"content_block_start" => {
            let tool = memchr::memmem::find(data, b"tool_use").is_some();
            Found { content: tool, ..Found::default() }
        }
        b"ping" | b"content_block_stop" => Found::default(),
        _ => Found::SPECIAL,
    }
}

fn bedrock(name: &[u8], data: &[u8]) -> Found {
    match name {
        b"contentBlockDelta" => scan(data, &["text", "input"], &[], &[]),
        b"contentBlockStart" => {
            let tool = memchr::memmem::find(data, b"\"toolUse\"").is_some();
            Found { content: tool, ..Found::default() }
        }
        b"contentBlockStop" | b"messageStart" => Found::default(),
        _ => Found::SPECIAL,
    }
}

fn responses(name: &[u8], data: &[u8]) -> Found {
    let kind = kind(name, data);
    if kind.ends_with(b".delta") {
        return scan(data, &["delta"], &[], &[]);
    }
    match kind {
        b"response.output_item.added" => {
            let call = memchr::memmem::find(data, b"_call\"").is_some();
            Found { content: call, ..Found::default() }
        }
        b"response.completed" | b"response.incomplete" | b"response.failed" | b"error" => {
            Found::SPECIAL
        }
        _ => Found::default(),
    }
}

/// The type of an event: its name, or if it has none the first member `type`.
fn kind<'a>(name: &'a [u8], data: &'a [u8]) -> &'a [u8] {
    if !name.is_empty() {
        return name;
    }
    let mut kind: &[u8] = b"";
    json::scan(data, |name, value, length| {
        if kind.is_empty()
            && name == b"type"
            && let Some(length) = length
        {
            kind = &value[1..=length];
        }
    });
    kind
}
