//! Whether an answer is whole and good: only such a one is kept.

use gateway_model_protocols::framing::{Event, Framing, Reader};
use gateway_model_protocols::json::Raw;
use gateway_model_protocols::saved::Saved as _;
use gateway_model_protocols::usage::{self, Stream, Usage};
use gateway_model_protocols::{Action, Protocol};

/// The largest event of a stream that is read, in bytes: what is kept with an exchange has a bound.
const MAX_EVENT: usize = 512 << 10;

/// Why an answer is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    /// It is an error, or cannot be read.
    Error,
    /// It did not come to its end.
    Truncated,
    /// It ended for another reason than that it was complete: its length, a filter, a refusal.
    Finish,
}

/// Judges a whole answer. Its usage, if it has one.
pub(crate) fn judge(
    protocol: Option<Protocol>,
    action: Action,
    body: &[u8],
) -> Result<Option<Usage>, Bad> {
    let root = Raw::parse(body).map_err(|_| Bad::Error)?;
    if root.some("error").is_some() {
        return Err(Bad::Error);
    }
    let Some(protocol) = protocol else { return Ok(None) };
    if action == Action::Generate {
        finish(protocol, root)?;
    }
    Ok(usage::of_json(protocol, root))
}

/// Whether all answers of a whole response are complete.
fn finish(protocol: Protocol, root: Raw<'_>) -> Result<(), Bad> {
    let parts: Vec<Raw<'_>> = match protocol {
        Protocol::OpenAiChat | Protocol::OpenAiCompletions | Protocol::OpenAiOther => {
            root.some("choices").into_iter().flat_map(Raw::elements).collect()
        }
        // Without `alt=sse` a stream is an array.
        Protocol::Gemini if root.is_array() => root.elements().collect(),
        _ => vec![root],
    };
    let member = match protocol {
        Protocol::OpenAiChat
        | Protocol::OpenAiCompletions
        | Protocol::OpenAiOther
        | Protocol::Cohere => "finish_reason",
        Protocol::Anthropic => "stop_reason",
        Protocol::BedrockConverse => "stopReason",
        Protocol::Ollama => "done_reason",
        Protocol::OpenAiResponses => "status",
        Protocol::Gemini => return gemini(&parts),
        Protocol::OpenAiEmbeddings | Protocol::VertexEmbeddings | Protocol::BedrockInvoke => {
            return Ok(());
        }
    };
    let is_good = |part: &Raw<'_>| {
        let refuses = part.some("message").is_some_and(|message| message.some("refusal").is_some());
        !refuses && part.text_of(member).is_some_and(|word| is_good(protocol, &word))
    };
    if parts.is_empty() || !parts.iter().all(is_good) { Err(Bad::Finish) } else { Ok(()) }
}

fn gemini(parts: &[Raw<'_>]) -> Result<(), Bad> {
    let candidates =
        parts.iter().filter_map(|part| part.some("candidates")).flat_map(Raw::elements);
    let reasons: Vec<_> = candidates.filter_map(|one| one.text_of("finishReason")).collect();
    let is_blocked = parts.iter().any(|part| {
        part.some("promptFeedback").is_some_and(|feedback| feedback.some("blockReason").is_some())
    });
    let is_good = !reasons.is_empty() && reasons.iter().all(|word| is_good(Protocol::Gemini, word));
    if is_good && !is_blocked { Ok(()) } else { Err(Bad::Finish) }
}

/// Whether an answer that ended with this word is complete, and was not filtered.
fn is_good(protocol: Protocol, word: &str) -> bool {
    match protocol {
        Protocol::Anthropic | Protocol::BedrockConverse => {
            matches!(word, "end_turn" | "stop_sequence" | "tool_use")
        }
        Protocol::Gemini => word == "STOP",
        Protocol::Ollama => word == "stop",
        Protocol::Cohere => matches!(word, "COMPLETE" | "STOP_SEQUENCE" | "TOOL_CALL"),
        Protocol::OpenAiResponses => word == "completed",
        _ => matches!(word, "stop" | "tool_calls" | "function_call"),
    }
}

/// A stream that is read while it passes.
#[derive(Debug)]
pub(crate) struct Reading {
    reader: Reader,
    stream: Stream,
    protocol: Protocol,
    is_bad: bool,
}

impl Reading {
    pub(crate) fn new(framing: Framing, protocol: Protocol, answers: u64) -> Self {
        let reader = Reader::new(framing, MAX_EVENT);
        Self { reader, stream: Stream::of_answers(protocol, answers), protocol, is_bad: false }
    }

    /// Reads a chunk. `Err` if what comes is not kept, whatever follows.
    pub(crate) fn chunk(&mut self, data: &[u8], is_last: bool) -> Result<(), Bad> {
        let (stream, protocol, is_bad) = (&mut self.stream, self.protocol, &mut self.is_bad);
        let mut each = |event: Event<'_>| {
            let before = stream.finish_reason().map(str::to_owned);
            stream.event(&event);
            let data = event.data.as_deref().unwrap_or_default();
            let has = |part: &[u8]| data.windows(part.len()).any(|window| window == part);
            // A refusal that ends well is a refusal.
            *is_bad |= protocol.is_openai() && has(b"\"refusal\":\"");
            let word = stream.finish_reason().filter(|word| Some(*word) != before.as_deref());
            // What is under way at OpenAI's newer API has a word for that.
            let is_on_the_way = |word: &str| {
                protocol == Protocol::OpenAiResponses && matches!(word, "in_progress" | "queued")
            };
            *is_bad |= word.is_some_and(|word| !is_good(protocol, word) && !is_on_the_way(word));
        };
        self.reader.read(data, &mut each).map_err(|_| Bad::Error)?;
        if is_last {
            self.reader.finish(&mut each);
        }
        if self.stream.failure().is_some() {
            return Err(Bad::Error);
        }
        if self.is_bad {
            return Err(Bad::Finish);
        }
        let is_whole = self.stream.is_complete()
            || (self.protocol == Protocol::Gemini && self.stream.finish_reason() == Some("STOP"));
        if is_last && !is_whole { Err(Bad::Truncated) } else { Ok(()) }
    }

    /// The usage that it has said.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.stream.usage()
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256 + self.reader.held().len());
        self.reader.save(&mut bytes);
        self.stream.save(&mut bytes);
        self.protocol.save(&mut bytes);
        bytes.push(u8::from(self.is_bad));
        bytes
    }

    pub(crate) fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let reader = Reader::load(&mut bytes)?;
        let stream = Stream::load(&mut bytes)?;
        let protocol = Protocol::load(&mut bytes)?;
        Some(Self { reader, stream, protocol, is_bad: bytes.first() == Some(&1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_that_are_complete_are_good() {
        use Protocol::{Anthropic, Cohere, Gemini, Ollama, OpenAiChat, OpenAiResponses};
        let judged = |protocol, body: &str| {
            judge(Some(protocol), Action::Generate, body.as_bytes()).map(|_| ())
        };
        for (protocol, body) in [
            (
                OpenAiChat,
                r#"{"choices":[{"finish_reason":"stop"},{"finish_reason":"tool_calls"}]}"#,
            ),
            (OpenAiResponses, r#"{"status":"completed","error":null,"incomplete_details":null}"#),
            (Anthropic, r#"{"stop_reason":"end_turn"}"#),
            (Gemini, r#"{"candidates":[{"finishReason":"STOP"}]}"#),
            (Gemini, r#"[{"candidates":[{}]},{"candidates":[{"finishReason":"STOP"}]}]"#),
            (Ollama, r#"{"done":true,"done_reason":"stop"}"#),
            (Cohere, r#"{"id":"1","finish_reason":"COMPLETE","message":{"content":[]}}"#),
        ] {
            assert_eq!(judged(protocol, body), Ok(()), "{body}");
        }
        for (protocol, body) in [
            (OpenAiChat, r#"{"choices":[{"finish_reason":"stop"},{"finish_reason":"length"}]}"#),
            (OpenAiChat, r#"{"choices":[{"finish_reason":"content_filter"}]}"#),
            (OpenAiChat, r#"{"choices":[{"finish_reason":"stop","message":{"refusal":"no"}}]}"#),
            (OpenAiChat, r#"{"choices":[]}"#),
            (
                OpenAiResponses,
                r#"{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}"#,
            ),
            (Anthropic, r#"{"stop_reason":"refusal"}"#),
            (Anthropic, r#"{"stop_reason":"pause_turn"}"#),
            (Gemini, r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#),
            (Gemini, r#"{"candidates":[{"finishReason":"MAX_TOKENS"}]}"#),
            (Ollama, r#"{"done":true,"done_reason":"length"}"#),
            (Cohere, r#"{"id":"1","finish_reason":"MAX_TOKENS"}"#),
        ] {
            assert_eq!(judged(protocol, body), Err(Bad::Finish), "{body}");
        }
        assert_eq!(judged(OpenAiChat, r#"{"error":{"message":"x"}}"#), Err(Bad::Error));
        assert_eq!(judged(OpenAiChat, "<html>"), Err(Bad::Error));
        assert_eq!(judge(None, Action::Other, b"[1]"), Ok(None));
        let embedded = br#"{"data":[],"usage":{"prompt_tokens":3,"total_tokens":3}}"#;
        let usage =
            judge(Some(Protocol::OpenAiEmbeddings), Action::Embed, embedded).unwrap().unwrap();
        assert_eq!(usage.input, 3);
    }

    fn streamed(answers: u64, events: &[&str]) -> Result<Option<u64>, Bad> {
        let mut reading = Reading::new(Framing::Sse, Protocol::OpenAiChat, answers);
        let text: String = events.iter().map(|data| format!("data: {data}\n\n")).collect();
        // Byte by byte, as the worst network does it.
        for (index, byte) in text.as_bytes().iter().enumerate() {
            reading.chunk(&[*byte], index + 1 == text.len())?;
            reading = Reading::from_bytes(&reading.to_bytes()).unwrap();
        }
        Ok(reading.usage().map(|usage| usage.total()))
    }

    #[test]
    fn only_streams_that_come_to_their_end_are_good() {
        let text = r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#;
        let end = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
        let usage =
            r#"{"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3}}"#;
        assert_eq!(streamed(1, &[text, end, usage, "[DONE]"]), Ok(Some(3)));
        assert_eq!(streamed(1, &[text, end, "[DONE]"]), Ok(None));
        assert_eq!(streamed(1, &[text]), Err(Bad::Truncated));
        assert_eq!(streamed(1, &[text, "[DONE]"]), Err(Bad::Truncated));
        assert_eq!(streamed(2, &[text, end, "[DONE]"]), Err(Bad::Truncated));
        let long = r#"{"choices":[{"index":1,"delta":{},"finish_reason":"length"}]}"#;
        assert_eq!(streamed(2, &[text, long, end, "[DONE]"]), Err(Bad::Finish));
        assert_eq!(streamed(1, &[text, r#"{"error":{"message":"x"}}"#, "[DONE]"]), Err(Bad::Error));
        let refusal = r#"{"choices":[{"index":0,"delta":{"refusal":"no"}}]}"#;
        assert_eq!(streamed(1, &[refusal, end, "[DONE]"]), Err(Bad::Finish));
    }
}
