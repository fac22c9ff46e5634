//! Looking at an event without a parse: most are pieces of text, which names of members tell.

use crate::error::begins_as_error;
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
    /// How often a member has calls of tools.
    pub(super) calls: u64,
}

impl Found {
    const SPECIAL: Self = Self { text: 0, content: false, parse: true, is_special: true, calls: 0 };
}

/// Names of members that tell what an event is.
struct Names {
    /// One with a string counts its bytes as text.
    content: &'static [&'static str],
    /// One that is neither `null` nor `false` makes the event worth reading.
    special: &'static [&'static str],
    /// The same, of a usage.
    usage: &'static [&'static str],
    /// The lengths of all of them, and their first letters, as bits: most names of an event are none of them.
    lengths: u32,
    letters: u32,
}

/// Which of them a name is.
enum Kind {
    Content,
    Special,
    Usage,
}

impl Names {
    const fn new(
        content: &'static [&'static str],
        special: &'static [&'static str],
        usage: &'static [&'static str],
    ) -> Self {
        let (mut lengths, mut letters) = (0, 0);
        let (lists, mut list) = ([content, special, usage], 0);
        while list < lists.len() {
            let mut at = 0;
            while at < lists[list].len() {
                let name = lists[list][at].as_bytes();
                lengths |= 1 << (name.len() & 31);
                letters |= 1 << (name[0] & 31);
                at += 1;
            }
            list += 1;
        }
        Self { content, special, usage, lengths, letters }
    }

    fn kind(&self, name: &[u8]) -> Option<Kind> {
        let first = *name.first()?;
        if self.lengths >> (name.len() & 31) & self.letters >> (first & 31) & 1 == 0 {
            return None;
        }
        let is_in = |names: &[&str]| {
            names.iter().any(|known| {
                let known = known.as_bytes();
                known.len() == name.len() && known[0] == first && known == name
            })
        };
        if is_in(self.content) {
            Some(Kind::Content)
        } else if is_in(self.special) {
            Some(Kind::Special)
        } else {
            is_in(self.usage).then_some(Kind::Usage)
        }
    }
}

const OPENAI: Names = Names::new(
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
);
const RESPONSES: Names = Names::new(&["delta"], &[], &[]);
const ANTHROPIC: Names = Names::new(&["text", "thinking", "partial_json"], &[], &[]);
const BEDROCK: Names = Names::new(&["text", "input"], &[], &[]);
const COHERE: Names = Names::new(&["text", "thinking", "tool_plan", "arguments"], &[], &[]);
const GEMINI: Names = Names::new(
    &["text", "functionCall", "inlineData"],
    &["finishReason", "error", "promptFeedback"],
    &["usageMetadata"],
);
const OLLAMA: Names = Names::new(
    &["content", "thinking", "tool_calls", "response"],
    &["done", "done_reason", "error", "prompt_eval_count", "eval_count"],
    &[],
);

/// What an event of a protocol has.
pub(super) fn look(protocol: Protocol, event: &Event<'_>, data: &[u8]) -> Found {
    match protocol {
        _ if event.is_exception || event.name == b"error" => Found::SPECIAL,
        Protocol::Anthropic => anthropic(event.name, data),
        Protocol::BedrockConverse => bedrock(event.name, data),
        Protocol::OpenAiResponses => responses(event.name, data),
        Protocol::Gemini => scan(data, &GEMINI),
        Protocol::Cohere => cohere(event.name, data),
        Protocol::Ollama => scan(data, &OLLAMA),
        _ => scan(data, &OPENAI),
    }
}

/// Looks for members by name.
fn scan(data: &[u8], names: &Names) -> Found {
    let mut found = Found::default();
    json::scan(data, |name, value, length| match names.kind(name) {
        None => {}
        Some(Kind::Content) => {
            let first = value.first().copied().unwrap_or(b'n');
            let second = || value.get(json::space(value, 1)).copied().unwrap_or(b']');
            found.text += length.unwrap_or(0) as u64;
            let has_calls = match first {
                b'[' => name == b"tool_calls" && second() == b'{',
                b'{' => name == b"functionCall",
                _ => false,
            };
            found.calls += u64::from(has_calls);
            found.content |= match first {
                b'"' => length != Some(0),
                b'{' => has_calls || name == b"inlineData",
                _ => has_calls,
            };
        }
        Some(Kind::Special) => {
            found.is_special |= !value.starts_with(b"null") && !value.starts_with(b"false");
        }
        Some(Kind::Usage) => found.parse |= !value.starts_with(b"null"),
    });
    found.parse |= found.is_special;
    found
}

/// Strings of events besides their text that differ from one event to the next.
const VARYING: [&[u8]; 2] = [b"obfuscation", b"created_at"];

/// What events look like that are as this one but for their texts: the pieces between the strings that differ, and which of
/// those is the text. `None` if that cannot be said, as where numbers differ too.
pub(super) fn pieces(protocol: Protocol, raw: &[u8]) -> Option<(Vec<&[u8]>, u32)> {
    let names = match protocol {
        Protocol::OpenAiChat | Protocol::OpenAiCompletions => &OPENAI,
        Protocol::Anthropic => &ANTHROPIC,
        Protocol::Ollama => &OLLAMA,
        Protocol::Cohere => &COHERE,
        _ => return None,
    };
    let (mut pieces, mut start, mut text, mut texts) = (Vec::with_capacity(4), 0, 0, 0);
    json::scan(raw, |name, value, length| {
        let Some(length) = length else { return };
        let is_text = length > 0 && matches!(names.kind(name), Some(Kind::Content));
        if is_text {
            text = pieces.len();
            texts += 1;
        }
        if is_text || VARYING.contains(&name) {
            let inside = raw.len() - value.len() + 1;
            pieces.push(&raw[start..inside]);
            start = inside + length;
        }
    });
    pieces.push(&raw[start..]);
    (texts == 1).then_some((pieces, u32::try_from(text).ok()?))
}

fn anthropic(name: &[u8], data: &[u8]) -> Found {
    let kind = kind(name, data);
    match kind {
        b"content_block_delta" => scan(data, &ANTHROPIC),
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
        b"contentBlockDelta" => scan(data, &BEDROCK),
        b"contentBlockStart" => {
            let tool = memchr::memmem::find(data, b"\"toolUse\"").is_some();
            Found { content: tool, ..Found::default() }
        }
        b"contentBlockStop" | b"messageStart" => Found::default(),
        _ => Found::SPECIAL,
    }
}

fn cohere(name: &[u8], data: &[u8]) -> Found {
    match kind(name, data) {
        b"content-start" | b"content-delta" | b"tool-plan-delta" | b"tool-call-delta" => {
            scan(data, &COHERE)
        }
        b"tool-call-start" => Found { content: true, ..scan(data, &COHERE) },
        b"message-start" | b"content-end" | b"tool-call-end" | b"citation-start"
        | b"citation-end" | b"debug" => Found::default(),
        _ => Found::SPECIAL,
    }
}

fn responses(name: &[u8], data: &[u8]) -> Found {
    let kind = kind(name, data);
    if kind.ends_with(b".delta") {
        return scan(data, &RESPONSES);
    }
    match kind {
        b"response.output_item.added" => {
            let call = memchr::memmem::find(data, b"_call\"").is_some();
            Found { content: call, ..Found::default() }
        }
        b"error" => Found::SPECIAL,
        kind if ENDS.contains(&kind) => Found::SPECIAL,
        // Of an event without a name the type may stand behind a response, which has types too.
        _ if name.is_empty() && ENDS.iter().any(|end| has_text(data, end)) => Found::SPECIAL,
        // Servers that have chat completions too write an error as it is there.
        _ if name.is_empty() && begins_as_error(data) == Some(true) => Found::SPECIAL,
        _ => Found::default(),
    }
}

/// The last events of a response.
const ENDS: [&[u8]; 4] =
    [b"response.completed", b"response.incomplete", b"response.failed", b"response.cancelled"];

/// Whether there is a string that is this text.
fn has_text(data: &[u8], text: &[u8]) -> bool {
    let quoted =
        |at: usize| data[..at].last() == Some(&b'"') && data.get(at + text.len()) == Some(&b'"');
    memchr::memmem::find_iter(data, text).any(quoted)
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
