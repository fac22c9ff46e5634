//! The usage of a stream, and what else its events say to policy.
//!
//! Most events are pieces of text. Those are told by names of members that a scan finds, without
//! a parse; only an event that has a usage, an end or an error is read as a whole.

use super::read::{self, Parts};
use super::{Tier, Usage, calls, scan};
use crate::error::{self, Failure};
use crate::framing::Event;
use crate::json::Raw;
use crate::protocol::Protocol;
use crate::saved::saved;

/// What one event was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// It has text, reasoning, or a part of a call of a tool.
    pub content: bool,
    /// It has a usage.
    pub usage: bool,
    /// It is the chunk that `include_usage` adds: no choices, a usage. A client that did not ask
    /// for it must not get it.
    pub extra_usage: bool,
    /// It says that the answer is over.
    pub terminal: bool,
    /// It is an error.
    pub error: bool,
    /// It is nothing that the API has: its data is not JSON.
    pub garbled: bool,
}

/// Reads the events of one stream.
#[derive(Clone, Debug)]
pub struct Stream {
    protocol: Protocol,
    parts: Parts,
    usage: Option<Usage>,
    tier: Option<Tier>,
    finish: Option<String>,
    has_content: bool,
    text_bytes: u64,
    /// Calls of tools that began.
    calls: u64,
    is_over: bool,
    /// `[DONE]` came.
    is_done: bool,
    /// How many answers were asked for, and how many came to their end.
    answers: u64,
    ended: u64,
    failure: Option<Failure>,
    failed_first: bool,
}
saved!(struct Stream {
    protocol, parts, usage, tier, finish, has_content, text_bytes, calls, is_over, is_done, answers, ended,
    failure, failed_first,
});

impl Stream {
    /// A stream of a provider that speaks `protocol`.
    pub fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            parts: Parts::default(),
            usage: None,
            tier: None,
            finish: None,
            has_content: false,
            text_bytes: 0,
            calls: 0,
            is_over: false,
            is_done: false,
            answers: 1,
            ended: 0,
            failure: None,
            failed_first: false,
        }
    }

    /// The stream of a request for `answers` answers: it is complete when all of them are.
    pub fn of_answers(protocol: Protocol, answers: u64) -> Self {
        Self { answers: answers.max(1), ..Self::new(protocol) }
    }

    /// Reads one event.
    pub fn event(&mut self, event: &Event<'_>) -> Seen {
        let Some(data) = event.data.as_deref() else { return Seen::default() };
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            self.is_done = true;
            return Seen { terminal: true, ..Seen::default() };
        }
        if data.is_empty() {
            return Seen::default();
        }
        let found = scan::look(self.protocol, event, data);
        let mut seen = Seen { content: found.content, ..Seen::default() };
        if !(looks_whole(data) || event.is_exception || event.name == b"error") {
            // What came of an event whose end did not is no fault of its form.
            return Seen { garbled: event.is_whole, ..Seen::default() };
        }
        self.calls += calls::in_event(self.protocol, &found, event.name, data);
        if found.parse && !found.is_special {
            self.read_usage(data, &mut seen);
        } else if found.parse
            && let Ok(json) = Raw::parse(data)
        {
            self.read(event, json, &mut seen);
        } else if event.is_exception || event.name == b"error" {
            seen.error = true;
            self.fail(error::of_text(self.protocol, event.name, data));
        } else if event.is_whole {
            // Behind content how it begins and ends is enough.
            let is_read = found.parse || !(found.content || self.has_content);
            seen.garbled = found.parse || (is_read && Raw::parse(data).is_err());
        }
        self.text_bytes = self.text_bytes.saturating_add(found.text);
        self.has_content |= seen.content;
        self.is_over |= seen.terminal;
        seen
    }

    /// What events look like that are as this one but for their texts, which need not be read: the pieces between the strings
    /// that differ, and which of these is the text, whose bytes [`Stream::add_text`] counts. `None` if there are no such.
    pub fn pieces<'e>(&self, event: &Event<'e>, seen: Seen) -> Option<(Vec<&'e [u8]>, u32)> {
        let is_plain = !(seen.usage || seen.extra_usage || seen.terminal || seen.error);
        if !(seen.content && is_plain && event.is_whole) {
            return None;
        }
        scan::pieces(self.protocol, event.raw)
    }

    /// Counts text that was not read.
    pub fn add_text(&mut self, bytes: u64) {
        self.text_bytes = self.text_bytes.saturating_add(bytes);
    }

    /// Reads an event that has nothing of interest but a usage, as each does that some servers
    /// send: one pass over its members.
    fn read_usage(&mut self, data: &[u8], seen: &mut Seen) {
        let Some(json) = Raw::unchecked(data) else { return };
        let usage = if self.protocol == Protocol::Gemini {
            let [usage] = json.fields(["usageMetadata"]);
            usage.and_then(read::gemini)
        } else {
            let [usage, tier, choices, kind] =
                json.fields(["usage", "service_tier", "choices", "type"]);
            seen.extra_usage = choices.is_some_and(is_empty);
            seen.terminal = kind.and_then(Raw::escaped).is_some_and(is_last_kind);
            usage.and_then(|usage| read::openai(usage, tier))
        };
        seen.usage = usage.is_some();
        seen.extra_usage &= seen.usage;
        self.usage = usage.or(self.usage);
    }

    fn read(&mut self, event: &Event<'_>, json: Raw<'_>, seen: &mut Seen) {
        if let Some(failure) = error::of_stream(self.protocol, event, json) {
            *seen = Seen { error: true, ..Seen::default() };
            // A failed response says what it used.
            if let Some(usage) = json.some("response").and_then(read::openai_in) {
                self.usage = Some(usage);
            }
            return self.fail(failure);
        }
        match self.protocol {
            Protocol::Anthropic => {
                let usage = match json.some("message") {
                    Some(message) => message.some("usage"),
                    None => json.some("usage"),
                };
                seen.usage = usage.is_some();
                if let Some(usage) = usage {
                    self.parts = std::mem::take(&mut self.parts).with_anthropic(usage);
                }
                seen.terminal = json.get("type").is_some_and(|kind| kind.is("message_stop"));
            }
            Protocol::BedrockConverse => {
                if let Some(usage) = json.some("usage") {
                    seen.usage = true;
                    self.parts = std::mem::take(&mut self.parts).with_bedrock(usage);
                }
                seen.terminal = event.name == b"messageStop";
            }
            Protocol::Gemini => {
                if let Some(usage) = json.some("usageMetadata").and_then(read::gemini) {
                    seen.usage = true;
                    self.usage = Some(usage);
                }
            }
            Protocol::Ollama => {
                if let Some(usage) = read::ollama(json) {
                    seen.usage = true;
                    self.usage = Some(usage);
                }
                seen.terminal = json.get("done").and_then(Raw::bool) == Some(true);
            }
            Protocol::Cohere => {
                let delta = json.some("delta").unwrap_or(json);
                if let Some(usage) = delta.some("usage").and_then(read::cohere) {
                    seen.usage = true;
                    self.usage = Some(usage);
                }
                seen.terminal = json.get("type").is_some_and(|kind| kind.is("message-end"))
                    || event.name == b"message-end";
            }
            Protocol::OpenAiResponses => {
                if let Some(response) = json.some("response") {
                    self.take_openai(response, seen);
                }
                let kind = json.text_of("type").unwrap_or_default();
                seen.terminal = matches!(&*kind, "response.completed" | "response.incomplete");
            }
            _ => {
                self.take_openai(json, seen);
                seen.extra_usage = seen.usage && json.get("choices").is_some_and(is_empty);
                seen.terminal = json.get("type").and_then(Raw::escaped).is_some_and(is_last_kind);
            }
        }
        if let Some(finish) = finish(self.protocol, json) {
            seen.terminal |= !matches!(self.protocol, Protocol::Anthropic);
            self.finish = Some(finish);
            let choices = json.some("choices").into_iter().flat_map(Raw::elements);
            self.ended += choices.filter(|it| it.some("finish_reason").is_some()).count() as u64;
        }
    }

    fn take_openai(&mut self, json: Raw<'_>, seen: &mut Seen) {
        if let Some(usage) = read::openai_in(json) {
            seen.usage = true;
            self.usage = Some(usage);
        }
    }

    /// Reads a whole response in the place of a stream.
    pub fn whole(&mut self, body: Raw<'_>) {
        self.usage = super::of_json(self.protocol, body);
        self.finish = finish(self.protocol, body);
        self.is_over = self.finish.is_some();
        self.ended = self.answers;
    }

    fn fail(&mut self, failure: Failure) {
        if self.failure.is_none() {
            self.failed_first = !self.has_content;
            self.failure = Some(failure);
        }
    }

    /// What the provider speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The usage as far as the stream has said it.
    pub fn usage(&self) -> Option<Usage> {
        self.usage.or_else(|| self.parts.usage())
    }

    /// The usage, or an estimate marked as such: the given input, and a token for each four bytes
    /// of text that came.
    ///
    /// What Anthropic says at the start has an output that is a beginning only: as long as the
    /// stream did not end, its output is the larger of that and the estimate.
    pub fn usage_or_estimate(&self, input: u64) -> Usage {
        let output = self.text_bytes.div_ceil(4);
        match self.usage() {
            Some(usage) if self.is_over || self.usage.is_some() => usage,
            Some(usage) => Usage { output: usage.output.max(output), estimated: true, ..usage },
            None => Usage::estimate(input, output),
        }
    }

    /// Why the answer ended, in the provider's word.
    pub fn finish_reason(&self) -> Option<&str> {
        self.finish.as_deref()
    }

    /// Whether content was seen: from then on another provider must not be asked.
    pub fn has_content(&self) -> bool {
        self.has_content
    }

    /// How many tools the answer calls, as far as it came.
    pub fn tool_calls(&self) -> u64 {
        self.calls
    }

    /// The bytes of text, reasoning and arguments that came.
    pub fn text_bytes(&self) -> u64 {
        self.text_bytes
    }

    /// Whether the answer came to its end: the event that says so was seen and no error was.
    /// `[DONE]` alone says nothing, as it follows errors too.
    pub fn is_complete(&self) -> bool {
        let needs_reason =
            matches!(self.protocol, Protocol::OpenAiChat | Protocol::OpenAiCompletions);
        let have_reasons = self.finish.is_some() && self.ended >= self.answers;
        self.is_over && self.failure.is_none() && (!needs_reason || have_reasons)
    }

    /// Whether the provider said that its answer is over, in any of the ways that servers have: less than to be
    /// [complete](Self::is_complete). A stream that ends without that was cut off.
    pub fn has_ended(&self) -> bool {
        self.is_over || self.is_done || self.failure.is_some()
    }

    /// The error that came in the stream.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Whether that error came before any content, so that another provider can be asked.
    pub fn failed_before_content(&self) -> bool {
        self.failed_first
    }
}

fn is_empty(list: Raw<'_>) -> bool {
    list.is_array() && list.elements().next().is_none()
}

/// Whether the data begins and ends as JSON of an event does. Texts inside are not read here: most events are looked at, and
/// not parsed.
fn looks_whole(data: &[u8]) -> bool {
    matches!((data.first(), data.last()), (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')))
}

/// Images and audio have typed events, with their usage in the last.
fn is_last_kind(kind: &str) -> bool {
    kind.ends_with(".completed") || kind.ends_with(".done")
}

/// Why an answer ended, from an event or a whole response.
pub(super) fn finish(protocol: Protocol, json: Raw<'_>) -> Option<String> {
    let first = |list: &str, member: &str| {
        let mut items = json.some(list)?.elements();
        items.find_map(|item| item.text_of(member))
    };
    let word = match protocol {
        Protocol::Anthropic => match json.some("delta") {
            Some(delta) => delta.text_of("stop_reason"),
            None => json.text_of("stop_reason"),
        },
        Protocol::BedrockConverse => json.text_of("stopReason"),
        Protocol::Gemini => first("candidates", "finishReason")
            .or_else(|| json.some("promptFeedback")?.text_of("blockReason")),
        Protocol::Ollama => json.text_of("done_reason"),
        Protocol::Cohere => json.some("delta").unwrap_or(json).text_of("finish_reason"),
        Protocol::OpenAiResponses => {
            let response = json.some("response").unwrap_or(json);
            let reason = response.some("incomplete_details").and_then(|why| why.text_of("reason"));
            reason.or_else(|| response.text_of("status"))
        }
        _ => first("choices", "finish_reason"),
    };
    word.map(|word| word.into_owned())
}
