//! What is kept of a call between its hooks.
//!
//! Owns the form in which it crosses them: small, since a stream's hooks each read it.

use std::fmt;

use gateway_model_protocols::framing::{Framing, Reader};
use gateway_model_protocols::saved;
use gateway_model_protocols::saved::{Held, Saved};
use gateway_model_protocols::translate::{Form, Translator};
use gateway_model_protocols::usage::{Stream, Usage};
use gateway_model_protocols::{Action, Protocol};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::choose::Reserved;
use crate::outcome::ErrorType;

/// The largest event of a stream that is read, in bytes. What is not whole of one is kept with the exchange, which has
/// 1 MiB for all that a plugin keeps.
pub(crate) const MAX_EVENT: usize = 512 << 10;

/// More tokens than a call can have used.
const MOST_TOKENS: u64 = 1_000_000_000;

/// What most calls take as bytes.
const SAVED: usize = 240;

/// The end of a JSON body that is kept for its usage, in bytes.
pub(crate) const TAIL: usize = 16 << 10;

/// How far an exchange has come.
#[derive(Debug, Default)]
pub struct Progress(pub(crate) Step);

#[derive(Debug, Default)]
pub(crate) enum Step {
    /// It is no call, or not any more.
    #[default]
    Nothing,
    /// A request whose body is waited for.
    Asked(Asked),
    /// A call.
    Call(Box<Call>),
}

/// The head of a request, as it arrived.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    /// Whether the client says which version of Anthropic's API it speaks.
    pub(crate) has_version: bool,
    pub(crate) who: Who,
}
saved!(struct Asked { path, query, has_version, who });

/// Whose request it is.
#[derive(Debug, Default)]
pub(crate) struct Who {
    /// Whom it is counted for; empty for nobody.
    pub(crate) id: String,
    /// All that says who it is.
    pub(crate) values: Vec<String>,
    /// The groups that let them in, as bits.
    pub(crate) groups: u64,
}
saved!(struct Who { id, values, groups });

/// A call of a model.
#[derive(Debug)]
pub(crate) struct Call {
    protocol: u8,
    /// What the deployment speaks that is asked.
    spoken: u8,
    action: u8,
    pub(crate) model: usize,
    pub(crate) deployment: usize,
    /// Deployments that can serve it and were not asked yet, as bits.
    pub(crate) able: u64,
    pub(crate) affinity: Option<u64>,
    /// Whether the usage in a stream was asked for here, so that the client must not see it.
    pub(crate) hides_usage: bool,
    pub(crate) streams: bool,
    /// For a client of Gemini's that takes a stream as one array of JSON: whether it has an element already.
    pub(crate) array: Option<bool>,
    /// The `Host` of the request, as the client sent it, where one that signs another was asked.
    pub(crate) host: Option<String>,
    /// The path of the request, as the client sent it.
    pub(crate) path: String,
    /// Its query, likewise.
    pub(crate) query: Option<String>,
    /// The consumer; empty for nobody.
    pub(crate) consumer: String,
    /// The model that an attribute selected, in place of the one that the request names.
    pub(crate) selected: Option<String>,
    /// The group by which the consumer may use the model.
    pub(crate) group: Option<usize>,
    /// Times of the monotonic clock, in nanoseconds.
    pub(crate) began: u64,
    /// When it was sent to the deployment, if that was not the first.
    pub(crate) sent: Option<u64>,
    /// When the first content came.
    pub(crate) first: Option<u64>,
    /// Tokens of the request, as estimated.
    pub(crate) input: u64,
    /// Tokens of request and response, as estimated.
    pub(crate) tokens: u64,
    pub(crate) reserved: Option<Reserved>,
    pub(crate) reading: Reading,
    /// Whether the response is held back, as far as this plugin knows.
    pub(crate) is_held: bool,
    /// How often the gateway was told which events pass without a call, since any has passed.
    pub(crate) told_alike: u8,
    /// Bytes of text that have passed without a call, as far as they were counted.
    pub(crate) passed: u64,
    /// Why it failed, as far as it is known.
    pub(crate) error: Option<ErrorType>,
    /// Calls of tools in the response, as far as they are known.
    pub(crate) tool_calls: Option<u64>,
    /// Whether a deployment answered.
    pub(crate) is_answered: bool,
    /// Whether the response came whole.
    pub(crate) is_complete: bool,
    /// The form of embeddings of another API.
    pub(crate) form: Form,
    usage: Option<Usage>,
}
saved!(struct Call {
    protocol, spoken, action, model, deployment, able, affinity, hides_usage, streams, array, host, path, query, consumer,
    selected, group, began, sent, first, input, tokens, reserved, reading, is_held, told_alike, passed, error, tool_calls, is_answered, is_complete,
    form, usage,
});

/// How the response is read.
#[derive(Debug, Default)]
pub(crate) enum Reading {
    /// Not at all, or not any more.
    #[default]
    Nothing,
    /// Event by event.
    Events(Box<(Reader, Stream)>),
    /// Event by event, each translated.
    Translated(Box<(Reader, Translator)>),
    /// A whole body that is translated.
    Whole,
    /// A whole JSON body, which is short.
    Short,
    /// The end of a JSON body. Whether it is its beginning too.
    Tail(Held, bool),
    /// An error whose body decides what follows.
    Failure,
    /// A stream whose client was told an error. Nothing more of it is passed on, and so many bytes were not.
    Over(u64),
}

impl Saved for Reading {
    fn save(&self, out: &mut Vec<u8>) {
        match self {
            Self::Nothing => out.push(0),
            Self::Events(read) => {
                out.push(1);
                read.save(out);
            }
            Self::Translated(read) => {
                out.push(2);
                read.save(out);
            }
            Self::Whole => out.push(3),
            Self::Short => out.push(4),
            Self::Tail(tail, is_first) => {
                out.push(5);
                tail.save(out);
                is_first.save(out);
            }
            Self::Failure => out.push(6),
            Self::Over(bytes) => {
                out.push(7);
                bytes.save(out);
            }
        }
    }

    fn load(bytes: &mut &[u8]) -> Option<Self> {
        Some(match u8::load(bytes)? {
            0 => Self::Nothing,
            1 => Self::Events(Saved::load(bytes)?),
            2 => Self::Translated(Saved::load(bytes)?),
            3 => Self::Whole,
            4 => Self::Short,
            5 => Self::Tail(Saved::load(bytes)?, Saved::load(bytes)?),
            6 => Self::Failure,
            7 => Self::Over(Saved::load(bytes)?),
            _ => return None,
        })
    }
}

impl Saved for Step {
    fn save(&self, out: &mut Vec<u8>) {
        match self {
            Self::Nothing => out.push(0),
            Self::Asked(asked) => {
                out.push(1);
                asked.save(out);
            }
            Self::Call(call) => {
                out.push(2);
                call.save(out);
            }
        }
    }

    fn load(bytes: &mut &[u8]) -> Option<Self> {
        Some(match u8::load(bytes)? {
            0 => Self::Nothing,
            1 => Self::Asked(Saved::load(bytes)?),
            2 => Self::Call(Saved::load(bytes)?),
            _ => return None,
        })
    }
}

/// As bytes that are written by hand: member by member it would be several times the work, for each hook.
impl Serialize for Progress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(SAVED);
        self.0.save(&mut bytes);
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for Progress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Progress;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("what was kept of a call")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Progress, E> {
                let step = Step::from_bytes(bytes).map(Progress);
                step.ok_or_else(|| E::invalid_length(bytes.len(), &self))
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

impl Progress {
    pub(crate) fn call(&self) -> Option<&Call> {
        if let Step::Call(call) = &self.0 { Some(call) } else { None }
    }

    pub(crate) fn call_mut(&mut self) -> Option<&mut Call> {
        if let Step::Call(call) = &mut self.0 { Some(call) } else { None }
    }
}

impl Call {
    pub(crate) fn new(protocol: Protocol, action: Action) -> Self {
        Self {
            protocol: index(&Protocol::ALL, protocol),
            spoken: index(&Protocol::ALL, protocol),
            action: index(&ACTIONS, action),
            model: 0,
            deployment: 0,
            able: 0,
            affinity: None,
            hides_usage: false,
            streams: false,
            array: None,
            host: None,
            path: String::new(),
            query: None,
            consumer: String::new(),
            selected: None,
            group: None,
            began: 0,
            sent: None,
            first: None,
            input: 0,
            tokens: 0,
            reserved: None,
            reading: Reading::Nothing,
            is_held: false,
            told_alike: 0,
            passed: 0,
            error: None,
            tool_calls: None,
            is_answered: false,
            is_complete: false,
            form: Form::default(),
            usage: None,
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        Protocol::ALL[usize::from(self.protocol)]
    }

    pub(crate) fn spoken(&self) -> Protocol {
        Protocol::ALL[usize::from(self.spoken)]
    }

    pub(crate) fn set_spoken(&mut self, spoken: Protocol) {
        self.spoken = index(&Protocol::ALL, spoken);
    }

    /// Whether client and deployment speak different APIs.
    pub(crate) fn is_translated(&self) -> bool {
        self.spoken != self.protocol
    }

    pub(crate) fn action(&self) -> Action {
        ACTIONS[usize::from(self.action)]
    }

    /// It is to be sent once more: nothing of what came is known any more.
    pub(crate) fn begins_anew(&mut self) {
        self.reading = Reading::Nothing;
        (self.is_held, self.is_answered, self.is_complete) = (false, false, false);
        (self.first, self.error, self.tool_calls) = (None, None, None);
    }

    /// The usage as far as it is known.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// What the head of a response says of its usage; that of an answer that came before does not count any more.
    pub(crate) fn told(&mut self, usage: Option<Usage>) {
        self.usage = usage;
    }

    /// The usage where none can be read.
    pub(crate) fn estimated(&self) -> Usage {
        Usage::estimate(self.input, self.tokens.saturating_sub(self.input))
    }

    pub(crate) fn set_usage(&mut self, usage: Usage) {
        // Nobody's quota ends by a number that no model has.
        let usage = if usage.total() > MOST_TOKENS { self.estimated() } else { usage };
        self.usage = Some(usage);
    }
}

impl Reading {
    /// At the start of a stream.
    pub(crate) fn events(framing: Framing, protocol: Protocol, most: u64) -> Self {
        let reader = Reader::new(framing, MAX_EVENT).passing(most);
        Self::Events(Box::new((reader, Stream::new(protocol))))
    }

    /// At the start of a stream that is translated.
    pub(crate) fn translated(framing: Framing, translator: Translator) -> Self {
        Self::Translated(Box::new((Reader::new(framing, MAX_EVENT), translator)))
    }
}

const ACTIONS: [Action; 5] =
    [Action::Generate, Action::CountTokens, Action::Embed, Action::Models, Action::Other];

fn index<T: PartialEq>(all: &[T], one: T) -> u8 {
    let at = all.iter().position(|it| *it == one).unwrap_or_default();
    u8::try_from(at).unwrap_or_default()
}
