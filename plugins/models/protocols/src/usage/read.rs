//! The shapes in which providers write usage.

use super::{Tier, Usage};
use crate::json::Raw;
use crate::saved::Saved;

/// The usage of an object of OpenAI's with a member `usage`.
pub(super) fn openai_in(body: Raw<'_>) -> Option<Usage> {
    let [usage, tier] = body.fields(["usage", "service_tier"]);
    openai(usage?, tier)
}

/// Chat, completions and embeddings say `prompt` and `completion`; responses, images and
/// transcriptions `input` and `output`.
pub(super) fn openai(usage: Raw<'_>, tier: Option<Raw<'_>>) -> Option<Usage> {
    let mut found = Usage::default();
    let (mut input, mut output, mut total, mut hits) = (None, None, None, None);
    for (key, value) in usage.members() {
        match key.escaped().unwrap_or("") {
            "prompt_tokens" | "input_tokens" => input = value.u64().or(input),
            "completion_tokens" | "output_tokens" => output = value.u64().or(output),
            "total_tokens" => total = value.u64(),
            // Of a transcription, in place of tokens; with a fraction, perhaps.
            "seconds" => found.audio_seconds = whole_number(value),
            // DeepSeek has the hits of its cache outside of the details.
            "prompt_cache_hit_tokens" => hits = value.u64(),
            "prompt_tokens_details" | "input_tokens_details" | "input_token_details" => {
                for (key, value) in value.members() {
                    let Some(count) = value.u64() else { continue };
                    match key.escaped().unwrap_or("") {
                        "cached_tokens" => found.cached_input = count,
                        "cache_write_tokens" => found.cache_write = count,
                        "audio_tokens" => found.audio_input = count,
                        "image_tokens" => found.image_input = count,
                        _ => {}
                    }
                }
            }
            "completion_tokens_details" | "output_tokens_details" | "output_token_details" => {
                for (key, value) in value.members() {
                    let Some(count) = value.u64() else { continue };
                    match key.escaped().unwrap_or("") {
                        "reasoning_tokens" => found.reasoning = count,
                        "audio_tokens" => found.audio_output = count,
                        "image_tokens" => found.image_output = count,
                        "rejected_prediction_tokens" => found.rejected_prediction = count,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    if found.audio_seconds == 0 {
        input.or(output).or(total)?;
    }
    let all = total.unwrap_or(0);
    found.input = input.unwrap_or_else(|| all.saturating_sub(output.unwrap_or(0)));
    found.output = output.unwrap_or_else(|| all.saturating_sub(found.input));
    // Some compatible providers keep reasoning apart from the completion; their total tells.
    let with_reasoning = found.total().saturating_add(found.reasoning);
    if found.reasoning > 0 && total == Some(with_reasoning) {
        found.output = found.output.saturating_add(found.reasoning);
    }
    if found.cached_input == 0 {
        found.cached_input = hits.unwrap_or(0);
    }
    found.tier = tier.and_then(Raw::str).and_then(|it| Tier::of_name(&it)).unwrap_or_default();
    Some(found)
}

/// A number, rounded up.
fn whole_number(value: Raw<'_>) -> u64 {
    let (whole, fraction) = value.text().split_once('.').unwrap_or((value.text(), ""));
    let whole: u64 = whole.parse().unwrap_or(0);
    whole.saturating_add(u64::from(fraction.bytes().any(|digit| digit != b'0')))
}

/// Counts of Anthropic or Bedrock, whose input is without the caches. In a stream each field
/// may come several times, and the last value holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    input: Option<u64>,
    output: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    cache_write_1h: Option<u64>,
    thinking: Option<u64>,
    searches: Option<u64>,
    tier: Option<Tier>,
}

/// As [`Usage`], with a bit for each number that was said, zero too.
impl Saved for Parts {
    fn save(&self, out: &mut Vec<u8>) {
        let numbers = self.numbers();
        let bit = |at: usize| u64::from(numbers[at].is_some()) << at;
        (0..numbers.len()).map(bit).sum::<u64>().save(out);
        numbers.iter().flatten().for_each(|number| number.save(out));
        self.tier.save(out);
    }

    fn load(bytes: &mut &[u8]) -> Option<Self> {
        let there = u64::load(bytes)?;
        let mut numbers = [None; 7];
        for (at, number) in numbers.iter_mut().enumerate() {
            if there & 1 << at != 0 {
                *number = Some(u64::load(bytes)?);
            }
        }
        let [input, output, cache_read, cache_write, cache_write_1h, thinking, searches] = numbers;
        let tier = Saved::load(bytes)?;
        Some(Self {
            input,
            output,
            cache_read,
            cache_write,
            cache_write_1h,
            thinking,
            searches,
            tier,
        })
    }
}

fn replace(field: &mut Option<u64>, from: Raw<'_>, name: &str) {
    if let Some(value) = from.u64_of(name) {
        *field = Some(value);
    }
}

impl Parts {
    fn numbers(&self) -> [Option<u64>; 7] {
        [
            self.input,
            self.output,
            self.cache_read,
            self.cache_write,
            self.cache_write_1h,
            self.thinking,
            self.searches,
        ]
    }

    pub(super) fn with_anthropic(mut self, usage: Raw<'_>) -> Self {
        replace(&mut self.input, usage, "input_tokens");
        replace(&mut self.output, usage, "output_tokens");
        replace(&mut self.cache_read, usage, "cache_read_input_tokens");
        replace(&mut self.cache_write, usage, "cache_creation_input_tokens");
        if let Some(split) = usage.some("cache_creation") {
            replace(&mut self.cache_write_1h, split, "ephemeral_1h_input_tokens");
            if usage.u64_of("cache_creation_input_tokens").is_none() {
                let part = |name| split.u64_of(name).unwrap_or(0);
                let sum = part("ephemeral_5m_input_tokens")
                    .saturating_add(part("ephemeral_1h_input_tokens"));
                self.cache_write = Some(sum);
            }
        }
        if let Some(details) = usage.some("output_tokens_details") {
            replace(&mut self.thinking, details, "thinking_tokens");
        }
        if let Some(tools) = usage.some("server_tool_use") {
            replace(&mut self.searches, tools, "web_search_requests");
        }
        let tier = usage.text_of("service_tier").and_then(|name| Tier::of_name(&name));
        self.tier = tier.or(self.tier);
        self
    }

    pub(super) fn with_bedrock(mut self, usage: Raw<'_>) -> Self {
        replace(&mut self.input, usage, "inputTokens");
        replace(&mut self.output, usage, "outputTokens");
        replace(&mut self.cache_read, usage, "cacheReadInputTokens");
        replace(&mut self.cache_write, usage, "cacheWriteInputTokens");
        let details = usage.some("cacheDetails").into_iter().flat_map(Raw::elements);
        let hour = |detail: &Raw<'_>| detail.get("ttl").is_some_and(|ttl| ttl.is("1h"));
        let hours: Vec<_> =
            details.filter(hour).filter_map(|detail| detail.u64_of("inputTokens")).collect();
        if !hours.is_empty() {
            self.cache_write_1h = Some(hours.iter().fold(0, |sum, n| sum.saturating_add(*n)));
        }
        self
    }

    /// The usage, if any count was there.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.input.or(self.output).or(self.cache_read).or(self.cache_write)?;
        let read = self.cache_read.unwrap_or(0);
        let written = self.cache_write.unwrap_or(0);
        let hour = self.cache_write_1h.unwrap_or(0).min(written);
        Some(Usage {
            input: self.input.unwrap_or(0).saturating_add(read).saturating_add(written),
            output: self.output.unwrap_or(0),
            cached_input: read,
            cache_write: written - hour,
            cache_write_1h: hour,
            reasoning: self.thinking.unwrap_or(0),
            searches: self.searches.unwrap_or(0),
            tier: self.tier.unwrap_or_default(),
            ..Usage::default()
        })
    }
}

/// Gemini's `usageMetadata`: candidates are without thoughts, the prompt is with its cache but
/// without what tools brought. `None` while it has no counts, as in an early chunk.
pub(super) fn gemini(usage: Raw<'_>) -> Option<Usage> {
    let mut found = Usage::default();
    let mut has_counts = false;
    for (key, value) in usage.members() {
        let count = value.u64();
        has_counts |= count.is_some();
        match (key.escaped().unwrap_or(""), count) {
            ("promptTokenCount", Some(count)) => add(&mut found.input, count),
            ("toolUsePromptTokenCount", Some(count)) => {
                add(&mut found.input, count);
                found.tool_input = count;
            }
            ("candidatesTokenCount", Some(count)) => add(&mut found.output, count),
            ("thoughtsTokenCount", Some(count)) => {
                add(&mut found.output, count);
                found.reasoning = count;
            }
            ("cachedContentTokenCount", Some(count)) => found.cached_input = count,
            ("promptTokensDetails", None) => {
                (found.audio_input, found.image_input) = modalities(value);
            }
            ("candidatesTokensDetails", None) => {
                (found.audio_output, found.image_output) = modalities(value);
            }
            ("trafficType", None) => {
                found.tier = value.str().and_then(|it| Tier::of_name(&it)).unwrap_or_default();
            }
            _ => {}
        }
    }
    has_counts.then_some(found)
}

/// The tokens of audio and of images.
fn modalities(details: Raw<'_>) -> (u64, u64) {
    let (mut audio, mut image) = (0, 0);
    for detail in details.elements() {
        let [kind, count] = detail.fields(["modality", "tokenCount"]);
        let count = count.and_then(Raw::u64).unwrap_or(0);
        match kind.and_then(Raw::escaped) {
            Some("AUDIO") => add(&mut audio, count),
            Some("IMAGE") => add(&mut image, count),
            _ => {}
        }
    }
    (audio, image)
}

fn add(sum: &mut u64, count: u64) {
    *sum = sum.saturating_add(count);
}

/// Ollama's counts are members of the last object, left out where they are zero.
pub(super) fn ollama(body: Raw<'_>) -> Option<Usage> {
    let input = body.u64_of("prompt_eval_count");
    let output = body.u64_of("eval_count");
    let is_done = body.get("done").and_then(Raw::bool) == Some(true);
    if !is_done && input.or(output).is_none() {
        return None;
    }
    Some(Usage { input: input.unwrap_or(0), output: output.unwrap_or(0), ..Usage::default() })
}

/// The `usage` of an answer of Cohere's, or the `meta` of embeddings. What is billed counts; all tokens are more, by those of
/// Cohere's own prompt. Numbers may be written with a fraction.
pub(super) fn cohere(usage: Raw<'_>) -> Option<Usage> {
    let number = |object: Option<Raw<'_>>, name| object?.some(name).map(whole_number);
    let (billed, tokens) = (usage.some("billed_units"), usage.some("tokens"));
    let either = |name| number(billed, name).or_else(|| number(tokens, name));
    let (input, output) = (either("input_tokens"), either("output_tokens"));
    let images = number(billed, "image_tokens");
    let searches = number(billed, "search_units");
    input.or(output).or(images).or(searches)?;
    let images = images.unwrap_or(0);
    // Of embeddings the texts and the images are told apart, and no more.
    let input =
        input.unwrap_or_else(|| number(billed, "text_tokens").unwrap_or(0).saturating_add(images));
    Some(Usage {
        input,
        output: output.unwrap_or(0),
        cached_input: number(Some(usage), "cached_tokens").unwrap_or(0).min(input),
        image_input: images.min(input),
        searches: searches.unwrap_or(0),
        ..Usage::default()
    })
}

/// Embeddings of Vertex AI say it as Gemini does, or of each text.
pub(super) fn vertex(body: Raw<'_>) -> Option<Usage> {
    if let Some(usage) = body.some("usageMetadata") {
        return gemini(usage);
    }
    let predictions = body.some("predictions")?.elements();
    let counts = predictions
        .map(|it| it.some("embeddings")?.some("statistics")?.some("token_count"))
        .map(|count| count.map(whole_number));
    let input = counts.sum::<Option<u64>>()?;
    Some(Usage { input, ..Usage::default() })
}

/// Embeddings of Amazon's models on Bedrock. Those of Cohere say nothing there.
pub(super) fn invoked(body: Raw<'_>) -> Option<Usage> {
    let [titan, nova] = body.fields(["inputTextTokenCount", "inputTokenCount"]);
    let input = titan.or(nova).map(whole_number)?;
    Some(Usage { input, ..Usage::default() })
}
