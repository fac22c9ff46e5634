//! The shapes in which providers write usage.

use super::{Tier, Usage};
use crate::json::Raw;
use crate::saved::saved;

/// The usage of an object of OpenAI's with a member `usage`.
pub(super) fn openai_in(body: Raw<'_>) -> Option<Usage> {
    let mut usage = openai(body.some("usage")?)?;
    if let Some(tier) = body.text_of("service_tier").and_then(|name| Tier::of_name(&name)) {
        usage.tier = tier;
    }
    Some(usage)
}

/// Chat, completions and embeddings say `prompt` and `completion`; responses, images and
/// transcriptions `input` and `output`.
fn openai(usage: Raw<'_>) -> Option<Usage> {
    let either = |a, b| usage.u64_of(a).or_else(|| usage.u64_of(b));
    let total = usage.u64_of("total_tokens");
    let input = either("prompt_tokens", "input_tokens");
    let output = either("completion_tokens", "output_tokens");
    input.or(output).or(total)?;
    let details = |a, b| usage.some(a).or_else(|| usage.some(b));
    let of_input = details("prompt_tokens_details", "input_tokens_details");
    let of_output = details("completion_tokens_details", "output_tokens_details");
    let input_part = |name| of_input.and_then(|part| part.u64_of(name));
    let output_part = |name| of_output.and_then(|part| part.u64_of(name)).unwrap_or(0);
    let input = input.unwrap_or_else(|| total.unwrap_or(0).saturating_sub(output.unwrap_or(0)));
    let mut output = output.unwrap_or_else(|| total.unwrap_or(0).saturating_sub(input));
    let reasoning = output_part("reasoning_tokens");
    // Some compatible providers keep reasoning apart from the completion; their total tells.
    if reasoning > 0 && total == Some(input + output + reasoning) {
        output += reasoning;
    }
    // DeepSeek has the hits of its cache outside of the details.
    let cached = input_part("cached_tokens").or_else(|| usage.u64_of("prompt_cache_hit_tokens"));
    Some(Usage {
        input,
        output,
        cached_input: cached.unwrap_or(0),
        cache_write: input_part("cache_write_tokens").unwrap_or(0),
        reasoning,
        audio_input: input_part("audio_tokens").unwrap_or(0),
        audio_output: output_part("audio_tokens"),
        image_input: input_part("image_tokens").unwrap_or(0),
        image_output: output_part("image_tokens"),
        rejected_prediction: output_part("rejected_prediction_tokens"),
        ..Usage::default()
    })
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
saved!(struct Parts {
    input, output, cache_read, cache_write, cache_write_1h, thinking, searches, tier,
});

fn replace(field: &mut Option<u64>, from: Raw<'_>, name: &str) {
    if let Some(value) = from.u64_of(name) {
        *field = Some(value);
    }
}

impl Parts {
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
    let prompt = usage.u64_of("promptTokenCount");
    let candidates = usage.u64_of("candidatesTokenCount");
    let thoughts = usage.u64_of("thoughtsTokenCount");
    let total = usage.u64_of("totalTokenCount");
    prompt.or(candidates).or(thoughts).or(total)?;
    let tool_input = usage.u64_of("toolUsePromptTokenCount").unwrap_or(0);
    let thoughts = thoughts.unwrap_or(0);
    let modality = |list: &str, kind: &str| {
        let details = usage.some(list).into_iter().flat_map(Raw::elements);
        let of_kind = details.filter(|detail| detail.get("modality").is_some_and(|m| m.is(kind)));
        of_kind.filter_map(|detail| detail.u64_of("tokenCount")).fold(0, u64::saturating_add)
    };
    let traffic = usage.text_of("trafficType").and_then(|name| Tier::of_name(&name));
    Some(Usage {
        input: prompt.unwrap_or(0).saturating_add(tool_input),
        output: candidates.unwrap_or(0).saturating_add(thoughts),
        cached_input: usage.u64_of("cachedContentTokenCount").unwrap_or(0),
        reasoning: thoughts,
        tool_input,
        audio_input: modality("promptTokensDetails", "AUDIO"),
        audio_output: modality("candidatesTokensDetails", "AUDIO"),
        image_input: modality("promptTokensDetails", "IMAGE"),
        image_output: modality("candidatesTokensDetails", "IMAGE"),
        tier: traffic.unwrap_or_default(),
        ..Usage::default()
    })
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
