//! How many tokens a call used: of whole responses, and of streams of every shape.
//!
//! Totals include what is part of them: cached input is input, reasoning is output. Providers
//! that count otherwise are converted here, so that nobody else has to know.

mod calls;
mod last;
mod read;
mod scan;
mod stream;

pub use calls::of_body as tool_calls_of_body;
pub use stream::{Seen, Stream};

use crate::json::Raw;
use crate::protocol::Protocol;
use crate::saved::{Saved, saved};

/// The class of service that a provider says it used, by which prices differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Pay as you go.
    #[default]
    Standard,
    /// Answers within a day.
    Batch,
    /// Slower and cheaper.
    Flex,
    /// Faster and dearer.
    Priority,
    /// The fastest and dearest.
    Ultrafast,
}
saved!(
    enum Tier {
        Standard,
        Batch,
        Flex,
        Priority,
        Ultrafast,
    }
);

impl Tier {
    /// The tier that a provider's word means.
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            "default" | "standard" | "standard_only" | "ON_DEMAND" => Some(Self::Standard),
            "batch" => Some(Self::Batch),
            "flex" | "ON_DEMAND_FLEX" => Some(Self::Flex),
            "priority" | "ON_DEMAND_PRIORITY" => Some(Self::Priority),
            "ultrafast" => Some(Self::Ultrafast),
            _ => None,
        }
    }
}

/// The tokens of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All input, caches included.
    pub input: u64,
    /// All output, reasoning included.
    pub output: u64,
    /// Of the input: read from a cache.
    pub cached_input: u64,
    /// Of the input: written to a cache, for five minutes or as long as the provider's default.
    pub cache_write: u64,
    /// Of the input: written to a cache for an hour.
    pub cache_write_1h: u64,
    /// Of the output: reasoning.
    pub reasoning: u64,
    /// Of the input: audio.
    pub audio_input: u64,
    /// Of the output: audio.
    pub audio_output: u64,
    /// Of the input: images.
    pub image_input: u64,
    /// Of the output: images.
    pub image_output: u64,
    /// Of the input: results of tools that the provider ran itself.
    pub tool_input: u64,
    /// Of the output: predicted text that was not taken, which is billed.
    pub rejected_prediction: u64,
    /// Searches that the provider made.
    pub searches: u64,
    /// Seconds of audio, where those are counted and no tokens.
    pub audio_seconds: u64,
    /// The class of service.
    pub tier: Tier,
    /// Whether it is an estimate, as the provider gave none.
    pub estimated: bool,
}

/// Most numbers of a usage are zero: those that are not, behind a number whose bits say which they are.
impl Saved for Usage {
    fn save(&self, out: &mut Vec<u8>) {
        let numbers = self.numbers();
        let bit = |at: usize| u64::from(numbers[at] != 0) << at;
        (0..numbers.len()).map(bit).sum::<u64>().save(out);
        numbers.iter().filter(|number| **number != 0).for_each(|number| number.save(out));
        self.tier.save(out);
        self.estimated.save(out);
    }

    fn load(bytes: &mut &[u8]) -> Option<Self> {
        let there = u64::load(bytes)?;
        let mut numbers = [0; 14];
        for (at, number) in numbers.iter_mut().enumerate() {
            if there & 1 << at != 0 {
                *number = u64::load(bytes)?;
            }
        }
        let usage =
            Self { tier: Tier::load(bytes)?, estimated: bool::load(bytes)?, ..Self::default() };
        Some(usage.with_numbers(numbers))
    }
}

impl Usage {
    /// Input and output.
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// The input that was neither read from a cache nor written to one.
    pub fn uncached_input(&self) -> u64 {
        self.input
            .saturating_sub(self.cached_input)
            .saturating_sub(self.cache_write)
            .saturating_sub(self.cache_write_1h)
    }

    fn numbers(&self) -> [u64; 14] {
        [
            self.input,
            self.output,
            self.cached_input,
            self.cache_write,
            self.cache_write_1h,
            self.reasoning,
            self.audio_input,
            self.audio_output,
            self.image_input,
            self.image_output,
            self.tool_input,
            self.rejected_prediction,
            self.searches,
            self.audio_seconds,
        ]
    }

    fn with_numbers(self, numbers: [u64; 14]) -> Self {
        let [
            input,
            output,
            cached_input,
            cache_write,
            cache_write_1h,
            reasoning,
            audio_input,
            audio_output,
            image_input,
            image_output,
            tool_input,
            rejected_prediction,
            searches,
            audio_seconds,
        ] = numbers;
        Self {
            input,
            output,
            cached_input,
            cache_write,
            cache_write_1h,
            reasoning,
            audio_input,
            audio_output,
            image_input,
            image_output,
            tool_input,
            rejected_prediction,
            searches,
            audio_seconds,
            ..self
        }
    }

    /// An estimate where a provider gave no usage.
    pub fn estimate(input: u64, output: u64) -> Self {
        Self { input, output, estimated: true, ..Self::default() }
    }
}

/// The usage in a whole response. `None` if it has none; a usage of zero is a usage. What is not JSON has the usage
/// that lies before the fault.
pub fn of_body(protocol: Protocol, body: &[u8]) -> Option<Usage> {
    if let Some(usage) = at_end(protocol, body) {
        return Some(usage);
    }
    of_json(protocol, Raw::unchecked(body)?)
}

/// The same, without reading what stands before it, where that changes nothing.
fn at_end(protocol: Protocol, body: &[u8]) -> Option<Usage> {
    match protocol {
        Protocol::Anthropic => {
            let (usage, ..) = last::member(body, "usage")?;
            read::Parts::default().with_anthropic(usage).usage()
        }
        Protocol::Gemini => read::gemini(last::member(body, "usageMetadata")?.0),
        Protocol::BedrockConverse
        | Protocol::Ollama
        | Protocol::Cohere
        | Protocol::VertexEmbeddings
        | Protocol::BedrockInvoke => None,
        _ => {
            let (usage, before, behind) = last::member(body, "usage")?;
            let is_tiered = |bytes| last::may_have(bytes, "service_tier");
            let is_plain = !is_tiered(&body[..before]) && !is_tiered(&body[behind..]);
            is_plain.then(|| read::openai(usage, None))?
        }
    }
}

/// The same of a body that is parsed already.
pub fn of_json(protocol: Protocol, body: Raw<'_>) -> Option<Usage> {
    match protocol {
        Protocol::Anthropic => read::Parts::default().with_anthropic(body.some("usage")?).usage(),
        Protocol::BedrockConverse => {
            read::Parts::default().with_bedrock(body.some("usage")?).usage()
        }
        Protocol::Gemini if body.is_array() => {
            body.elements().filter_map(|part| read::gemini(part.some("usageMetadata")?)).last()
        }
        Protocol::Gemini => read::gemini(body.some("usageMetadata")?),
        Protocol::Ollama => read::ollama(body),
        Protocol::Cohere => read::cohere(body.some("usage").or_else(|| body.some("meta"))?),
        Protocol::VertexEmbeddings => read::vertex(body),
        Protocol::BedrockInvoke => read::invoked(body),
        _ => read::openai_in(body),
    }
}

/// Why a whole response ended, in the provider's word.
pub fn finish_of_body(protocol: Protocol, body: &[u8]) -> Option<String> {
    stream::finish(protocol, Raw::parse(body).ok()?)
}

#[cfg(test)]
mod tests;
