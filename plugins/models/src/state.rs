//! What is kept of a call between its hooks.
//!
//! Owns the form in which it crosses them: small, since a stream's hooks each read it.

use gateway_model_protocols::framing::{Framing, Reader};
use gateway_model_protocols::saved::Saved as _;
use gateway_model_protocols::translate::Translator;
use gateway_model_protocols::usage::{Stream, Usage};
use gateway_model_protocols::{Action, Protocol};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::choose::Reserved;

/// The largest event of a stream that is read, in bytes. What is not whole of one is kept with the exchange, which has
/// 1 MiB for all that a plugin keeps.
pub(crate) const MAX_EVENT: usize = 512 << 10;

/// More tokens than a call can have used.
const MOST_TOKENS: u64 = 1_000_000_000;

/// The end of a JSON body that is kept for its usage, in bytes.
pub(crate) const TAIL: usize = 16 << 10;

/// A call, if the request is one.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Progress(pub(crate) Option<Box<Call>>);

/// A call of a model.
#[derive(Debug, Serialize, Deserialize)]
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
    /// Whether a deployment answered.
    pub(crate) is_answered: bool,
    /// Whether the response came whole.
    pub(crate) is_complete: bool,
    usage: Option<ByteBuf>,
}

/// How the response is read.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) enum Reading {
    /// Not at all, or not any more.
    #[default]
    Nothing,
    /// Event by event.
    Events(ByteBuf),
    /// Event by event, each translated.
    Translated(ByteBuf),
    /// A whole body that is translated.
    Whole,
    /// The end of a JSON body. Whether it is its beginning too.
    Tail(ByteBuf, bool),
    /// An error whose body decides what follows.
    Failure,
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
            began: 0,
            sent: None,
            first: None,
            input: 0,
            tokens: 0,
            reserved: None,
            reading: Reading::Nothing,
            is_answered: false,
            is_complete: false,
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

    /// The usage as far as it is known.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.usage.as_ref().and_then(|bytes| Usage::from_bytes(bytes))
    }

    /// The usage where none can be read.
    pub(crate) fn estimated(&self) -> Usage {
        Usage::estimate(self.input, self.tokens.saturating_sub(self.input))
    }

    pub(crate) fn set_usage(&mut self, usage: Usage) {
        // Nobody's quota ends by a number that no model has.
        let usage = if usage.total() > MOST_TOKENS { self.estimated() } else { usage };
        self.usage = Some(ByteBuf::from(usage.to_bytes()));
    }
}

impl Reading {
    /// At the start of a stream.
    pub(crate) fn events(framing: Framing, protocol: Protocol) -> Self {
        Self::of(&Reader::new(framing, MAX_EVENT), &Stream::new(protocol))
    }

    pub(crate) fn translated(reader: &Reader, translator: &Translator) -> Self {
        let mut bytes = Vec::with_capacity(256 + reader.held().len());
        reader.save(&mut bytes);
        translator.save(&mut bytes);
        Self::Translated(bytes.into())
    }

    pub(crate) fn of(reader: &Reader, stream: &Stream) -> Self {
        let mut bytes = Vec::with_capacity(96 + reader.held().len());
        reader.save(&mut bytes);
        stream.save(&mut bytes);
        Self::Events(bytes.into())
    }
}

/// The readers of a translated stream, as [`Reading::translated`] kept them.
pub(crate) fn translators(mut bytes: &[u8]) -> Option<(Reader, Translator)> {
    Some((Reader::load(&mut bytes)?, Translator::load(&mut bytes)?))
}

/// The readers of a stream, as [`Reading::of`] kept them.
pub(crate) fn readers(mut bytes: &[u8]) -> Option<(Reader, Stream)> {
    Some((Reader::load(&mut bytes)?, Stream::load(&mut bytes)?))
}

const ACTIONS: [Action; 5] =
    [Action::Generate, Action::CountTokens, Action::Embed, Action::Models, Action::Other];

fn index<T: PartialEq>(all: &[T], one: T) -> u8 {
    let at = all.iter().position(|it| *it == one).unwrap_or_default();
    u8::try_from(at).unwrap_or_default()
}
