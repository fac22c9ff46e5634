//! Why an answer ended, in each protocol's words.

use crate::protocol::Protocol;
use crate::saved::saved;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Stop,
    StopSequence,
    Length,
    Tools,
    Filter,
    Refusal,
    /// The provider wants to be asked to go on.
    Pause,
    Context,
    /// The model wrote a call that is none.
    Malformed,
    Other,
}
saved!(
    enum Reason {
        Stop,
        StopSequence,
        Length,
        Tools,
        Filter,
        Refusal,
        Pause,
        Context,
        Malformed,
        Other,
    }
);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finish {
    pub(super) reason: Reason,
    /// The provider's word.
    pub(super) word: String,
    /// The stop sequence, as the inside of a JSON string.
    pub(super) sequence: Option<String>,
}
saved!(struct Finish { reason, word, sequence });

impl Finish {
    /// What a provider's word means.
    pub(super) fn of(word: &str) -> Self {
        let reason = match word {
            "stop" | "STOP" | "end_turn" | "completed" | "COMPLETE" => Reason::Stop,
            "stop_sequence" | "STOP_SEQUENCE" => Reason::StopSequence,
            "length" | "max_tokens" | "MAX_TOKENS" | "max_output_tokens" => Reason::Length,
            "tool_calls" | "function_call" | "tool_use" | "TOOL_CALL" => Reason::Tools,
            "content_filter"
            | "content_filtered"
            | "guardrail_intervened"
            | "SAFETY"
            | "RECITATION"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION"
            | "OTHER_BLOCKED" => Reason::Filter,
            "refusal" => Reason::Refusal,
            "pause_turn" => Reason::Pause,
            "model_context_window_exceeded" => Reason::Context,
            "MALFORMED_FUNCTION_CALL"
            | "UNEXPECTED_TOOL_CALL"
            | "malformed_tool_use"
            | "malformed_model_output"
            | "TOO_MANY_TOOL_CALLS" => Reason::Malformed,
            _ => Reason::Other,
        };
        Self { reason, word: word.to_owned(), sequence: None }
    }

    /// The reason, with regard to whether tools were called: providers say that they stopped
    /// although they called some, or that they called some although they did not.
    pub(super) fn with_calls(&self, has_calls: bool) -> Reason {
        match (self.reason, has_calls) {
            (Reason::Stop | Reason::Other, true) => Reason::Tools,
            (Reason::Tools, false) => Reason::Stop,
            (reason, _) => reason,
        }
    }
}

/// The word of the client's protocol, and whether it says less than the provider did.
pub(super) fn word(protocol: Protocol, reason: Reason) -> (&'static str, bool) {
    match protocol {
        Protocol::Anthropic => match reason {
            Reason::Stop => ("end_turn", false),
            Reason::StopSequence => ("stop_sequence", false),
            Reason::Length => ("max_tokens", false),
            Reason::Tools => ("tool_use", false),
            Reason::Refusal => ("refusal", false),
            Reason::Filter => ("refusal", true),
            Reason::Pause => ("pause_turn", false),
            Reason::Context => ("model_context_window_exceeded", false),
            Reason::Malformed | Reason::Other => ("end_turn", true),
        },
        Protocol::Gemini => match reason {
            Reason::Stop | Reason::StopSequence | Reason::Tools => ("STOP", false),
            Reason::Length => ("MAX_TOKENS", false),
            Reason::Filter => ("SAFETY", false),
            Reason::Malformed => ("MALFORMED_FUNCTION_CALL", false),
            Reason::Context => ("MAX_TOKENS", true),
            Reason::Refusal | Reason::Pause | Reason::Other => ("OTHER", true),
        },
        Protocol::Ollama => match reason {
            Reason::Length | Reason::Context | Reason::Pause => ("length", false),
            _ => ("stop", false),
        },
        _ => match reason {
            Reason::Stop | Reason::StopSequence => ("stop", false),
            Reason::Length => ("length", false),
            Reason::Tools => ("tool_calls", false),
            Reason::Filter => ("content_filter", false),
            // The answer is not whole, and a client that cares asks for the rest.
            Reason::Pause | Reason::Context => ("length", true),
            Reason::Refusal | Reason::Malformed | Reason::Other => ("stop", true),
        },
    }
}
