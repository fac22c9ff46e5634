//! Where texts are in what model APIs send: in a body all strings but those that are known to be no text, in an event of
//! a stream its pieces of texts, and whether it ends some.
//!
//! A member of a new kind is taken for text: what nobody thought of is rather checked than passed.

use std::ops::Range;

use gateway_model_protocols::Protocol;
use gateway_model_protocols::json::Raw;

use crate::encoded;
use crate::text::Kind;

/// A string.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// What stands between its quotes.
    pub(crate) range: Range<usize>,
    pub(crate) kind: Kind,
    /// The text of which it is a piece; `None` if it is a whole one.
    pub(crate) piece: Option<Channel>,
}

/// One of the texts that a stream brings in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Channel {
    pub(crate) id: u64,
    /// The answer, or the part of one, of which only one text grows at a time.
    pub(crate) group: u32,
}

/// Which texts an event ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    None,
    Group(u32),
    All,
}

/// Members whose strings are no text: names, ids and kinds. Objects and arrays of these names are looked into.
const NO_TEXT: [&str; 37] = [
    "type",
    "role",
    "id",
    "model",
    "object",
    "status",
    "format",
    "detail",
    "index",
    "created_at",
    "created",
    "tool_call_id",
    "tool_use_id",
    "call_id",
    "item_id",
    "file_id",
    "response_id",
    "previous_response_id",
    "request_id",
    "responseId",
    "modelVersion",
    "signature",
    "thoughtSignature",
    "thought_signature",
    "encrypted_content",
    "redacted_thinking",
    "media_type",
    "mimeType",
    "mime_type",
    "finish_reason",
    "finishReason",
    "stop_reason",
    "service_tier",
    "system_fingerprint",
    "obfuscation",
    "event_id",
    "done_reason",
];

/// Below these the names are the tools' or the client's own, and say nothing of what is below them.
const OF_TOOLS: [&str; 14] = [
    "input",
    "args",
    "arguments",
    "response",
    "parameters",
    "input_schema",
    "schema",
    "format",
    "metadata",
    "parametersJsonSchema",
    "responseSchema",
    "response_schema",
    "responseJsonSchema",
    "response_json_schema",
];

/// All texts of a body.
pub(crate) fn of_body(root: Raw<'_>, body: &[u8]) -> Vec<Place> {
    let mut walk = Walk { body, places: Vec::new(), piece: None };
    walk.value(root, "", Kind::Said, false);
    walk.places
}

/// The strings that a pointer of RFC 6901 leads to, and all below. `*` stands for each element or member.
pub(crate) fn at_pointer(root: Raw<'_>, body: &[u8], pointer: &str, places: &mut Vec<Place>) {
    fn down<'a>(value: Raw<'a>, mut steps: std::str::Split<'_, char>, walk: &mut Walk<'_>) {
        let Some(step) = steps.next() else { return walk.value(value, "", Kind::Said, true) };
        let name = step.replace("~1", "/").replace("~0", "~");
        for (at, element) in value.elements().enumerate() {
            if name == "*" || name.parse() == Ok(at) {
                down(element, steps.clone(), walk);
            }
        }
        for (key, member) in value.members() {
            if name == "*" || key.is(&name) {
                down(member, steps.clone(), walk);
            }
        }
    }
    let mut walk = Walk { body, places: Vec::new(), piece: None };
    let mut steps = pointer.split('/');
    steps.next();
    down(root, steps, &mut walk);
    places.append(&mut walk.places);
}

/// The texts of an event's JSON in the order of what they say, and what the event ends.
pub(crate) fn of_event(protocol: Protocol, root: Raw<'_>, data: &[u8]) -> (Vec<Place>, Ends) {
    let mut walk = Walk { body: data, places: Vec::new(), piece: None };
    let ends = match protocol {
        Protocol::Anthropic => anthropic(&mut walk, root),
        Protocol::OpenAiResponses => responses(&mut walk, root),
        Protocol::Gemini => gemini(&mut walk, root),
        Protocol::Ollama => ollama(&mut walk, root),
        Protocol::Cohere => cohere(&mut walk, root),
        _ => chat(&mut walk, root),
    };
    (walk.places, ends)
}

struct Walk<'b> {
    body: &'b [u8],
    places: Vec<Place>,
    /// Of what the strings are pieces.
    piece: Option<Channel>,
}

impl Walk<'_> {
    fn value(&mut self, value: Raw<'_>, name: &str, kind: Kind, is_tools: bool) {
        if let Some(written) = value.escaped() {
            // A piece may be the front of what is no file.
            let is_file = self.piece.is_none() && encoded::is_url_of_file(name, written)
                || !is_tools && encoded::is_file(name, written);
            if !written.is_empty() && !is_file {
                let start = value.range_in(self.body).start + 1;
                let range = start..start + written.len();
                let kind = if !is_tools && is_arguments(name) { Kind::Arguments } else { kind };
                self.places.push(Place { range, kind, piece: self.piece });
            }
            return;
        }
        for element in value.elements() {
            self.value(element, name, kind, is_tools);
        }
        let piece = self.piece;
        for (key, member) in value.members() {
            let key = key.escaped().unwrap_or_default();
            // A document of Anthropic's may be text.
            let is_text = key == "data" && value.get("type").is_some_and(|it| it.is("text"));
            if !is_tools && is_no_text(key, member) {
                continue;
            }
            let below = is_tools || member.is_object() && OF_TOOLS.contains(&key);
            if let Some(Channel { id, group }) = piece {
                let mut id = mix(id, key.as_bytes());
                // One of several texts that grow at the same place.
                if let Some(index) = value.u64_of("index") {
                    id = mix(id, &index.to_le_bytes());
                }
                self.piece = Some(Channel { id, group });
            }
            let name = if is_text { "" } else { key };
            self.value(member, name, kind_of(key, kind), below);
            self.piece = piece;
        }
    }

    fn pieces(&mut self, value: Raw<'_>, name: &str, group: u64) {
        let group = u32::try_from(group).unwrap_or(u32::MAX);
        self.piece = Some(Channel { id: mix(u64::from(group), name.as_bytes()), group });
        self.value(value, name, kind_of(name, Kind::Said), false);
        self.piece = None;
    }

    /// The members but those with a name of these, as whole texts.
    fn rest(&mut self, root: Raw<'_>, but: &[&str]) {
        for (key, member) in root.members() {
            let key = key.escaped().unwrap_or_default();
            if !but.contains(&key) && !is_no_text(key, member) {
                self.value(member, key, kind_of(key, Kind::Said), false);
            }
        }
    }
}

/// FNV-1a: texts of one stream are told apart, nothing more.
fn mix(hash: u64, bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(step(hash ^ 0xcbf2_9ce4_8422_2325, &0), step)
}

fn is_arguments(name: &str) -> bool {
    matches!(name, "arguments" | "partial_json" | "partialJson")
}

fn kind_of(name: &str, kind: Kind) -> Kind {
    match name {
        "thinking" | "reasoning" | "reasoning_content" | "summary" => Kind::Thinking,
        _ => kind,
    }
}

fn is_no_text(name: &str, value: Raw<'_>) -> bool {
    // None of these has white space: an error's `detail`, for one, may be a sentence.
    let is_sentence = |it: &str| [" ", "\\n", "\\t", "\\u"].iter().any(|space| it.contains(space));
    NO_TEXT.contains(&name) && value.escaped().is_some_and(|it| !is_sentence(it))
}

fn chat(walk: &mut Walk<'_>, root: Raw<'_>) -> Ends {
    let mut ends = Ends::None;
    for choice in root.get("choices").into_iter().flat_map(Raw::elements) {
        let [index, delta, text, finish] =
            choice.fields(["index", "delta", "text", "finish_reason"]);
        let index = index.and_then(Raw::u64).unwrap_or(0);
        for (name, value) in [("delta", delta), ("text", text)] {
            if let Some(value) = value {
                walk.pieces(value, name, index);
            }
        }
        if finish.is_some_and(Raw::is_string) {
            ends = match ends {
                Ends::None => Ends::Group(u32::try_from(index).unwrap_or(u32::MAX)),
                Ends::Group(_) | Ends::All => Ends::All,
            };
        }
    }
    walk.rest(root, &["choices", "usage"]);
    if root.some("error").is_some() { Ends::All } else { ends }
}

fn anthropic(walk: &mut Walk<'_>, root: Raw<'_>) -> Ends {
    let [kind, delta, index] = root.fields(["type", "delta", "index"]);
    match (kind.and_then(Raw::escaped), delta) {
        (Some("content_block_delta"), Some(delta)) => {
            walk.pieces(delta, "delta", index.and_then(Raw::u64).unwrap_or(0));
            Ends::None
        }
        (Some("ping"), _) => Ends::None,
        (kind, _) => {
            walk.rest(root, &["usage"]);
            // What is not known may come in the middle of a block, whose text goes on behind it.
            match kind {
                Some(
                    "message_start"
                    | "content_block_start"
                    | "content_block_stop"
                    | "message_delta"
                    | "message_stop"
                    | "error",
                ) => Ends::All,
                _ => Ends::None,
            }
        }
    }
}

fn cohere(walk: &mut Walk<'_>, root: Raw<'_>) -> Ends {
    let [kind, delta, index] = root.fields(["type", "delta", "index"]);
    match (kind.and_then(Raw::escaped), delta) {
        (Some("content-delta" | "tool-plan-delta" | "tool-call-delta"), Some(delta)) => {
            walk.pieces(delta, "delta", index.and_then(Raw::u64).unwrap_or(0));
            Ends::None
        }
        (Some("citation-start" | "citation-end" | "debug"), _) => {
            walk.rest(root, &[]);
            Ends::None
        }
        (_, Some(delta)) => {
            walk.rest(root, &["delta"]);
            walk.rest(delta, &["usage"]);
            Ends::All
        }
        _ => {
            walk.rest(root, &[]);
            Ends::All
        }
    }
}

fn responses(walk: &mut Walk<'_>, root: Raw<'_>) -> Ends {
    let [kind, delta, output] = root.fields(["type", "delta", "output_index"]);
    let kind = kind.and_then(Raw::escaped).unwrap_or_default();
    let group = output.and_then(Raw::u64).unwrap_or(0);
    if let (Some(name), Some(delta)) = (kind.strip_suffix(".delta"), delta) {
        let [content, summary] = root.fields(["content_index", "summary_index"]);
        let part = content.or(summary).and_then(Raw::u64).unwrap_or(0);
        let group = u32::try_from(group).unwrap_or(u32::MAX);
        let id = mix(mix(u64::from(group), name.as_bytes()), &part.to_le_bytes());
        walk.piece = Some(Channel { id, group });
        let is_thought = name.contains("reasoning");
        let kind = if is_thought { Kind::Thinking } else { Kind::Said };
        let name = if name.ends_with("arguments") { "arguments" } else { "" };
        walk.value(delta, name, kind, false);
        walk.piece = None;
        return Ends::None;
    }
    walk.rest(root, &[]);
    match kind {
        "response.completed" | "response.incomplete" | "response.failed" | "error" => Ends::All,
        // What is added to a text while it grows, such as annotations, does not end it.
        _ if [".done", "_item.added", "_part.added"].iter().any(|end| kind.ends_with(end)) => {
            Ends::Group(u32::try_from(group).unwrap_or(u32::MAX))
        }
        _ => Ends::None,
    }
}

fn gemini(walk: &mut Walk<'_>, root: Raw<'_>) -> Ends {
    let mut ends = Ends::None;
    let mut end = |group: u64| {
        ends = match ends {
            Ends::None => Ends::Group(u32::try_from(group).unwrap_or(u32::MAX)),
            Ends::Group(_) | Ends::All => Ends::All,
        };
    };
    for candidate in root.get("candidates").into_iter().flat_map(Raw::elements) {
        let [index, content, finish] = candidate.fields(["index", "content", "finishReason"]);
        let group = index.and_then(Raw::u64).unwrap_or(0);
        let parts = content.and_then(|content| content.get("parts"));
        for part in parts.into_iter().flat_map(Raw::elements) {
            match part.get("text") {
                Some(text) => {
                    let is_thought = part.get("thought").and_then(Raw::bool) == Some(true);
                    walk.pieces(text, if is_thought { "thinking" } else { "text" }, group);
                    walk.rest(part, &["text"]);
                }
                None => {
                    walk.rest(part, &[]);
                    end(group);
                }
            }
        }
        walk.rest(candidate, &["content"]);
        if finish.is_some() {
            end(group);
        }
    }
    walk.rest(root, &["candidates", "usageMetadata"]);
    if root.some("error").is_some() { Ends::All } else { ends }
}

fn ollama(walk: &mut Walk<'_>, root: Raw<'_>) -> Ends {
    let [message, response, thinking] = root.fields(["message", "response", "thinking"]);
    let mut ends = Ends::None;
    for (name, value) in [("response", response), ("thinking", thinking)] {
        if let Some(value) = value {
            walk.pieces(value, name, 0);
        }
    }
    for (key, member) in message.into_iter().flat_map(Raw::members) {
        match key.escaped().unwrap_or_default() {
            name @ ("content" | "thinking") => walk.pieces(member, name, 0),
            "tool_calls" => {
                walk.value(member, "tool_calls", Kind::Said, false);
                ends = Ends::All;
            }
            name if is_no_text(name, member) => {}
            name => walk.value(member, name, Kind::Said, false),
        }
    }
    walk.rest(root, &["message", "response", "thinking"]);
    let is_done = root.get("done").and_then(Raw::bool) == Some(true);
    if is_done || root.some("error").is_some() { Ends::All } else { ends }
}
