//! What an answer counts that was kept: attributes for quotas and logs, numbers for bills, metrics.
//!
//! The attributes are those of the plugin `models`, so that what settles by them settles by these.

use gateway_model_protocols::saved::Saved as _;
use gateway_model_protocols::usage::Usage;
use gateway_plugin_sdk::prelude::Request;
use gateway_plugin_sdk::{attributes, log, metrics, usage as rows};
use serde::{Deserialize, Serialize};

use crate::config::Count;

/// What is remembered of an answer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Kept {
    usage: Option<Vec<u8>>,
    /// In billionths of a US dollar.
    cost: Option<u64>,
    deployment: Option<String>,
}

impl Kept {
    /// Of the answer that passes.
    pub(crate) fn now(usage: Option<Usage>) -> Self {
        Self {
            usage: usage.map(|usage| usage.to_bytes()),
            cost: attributes::value("model.cost").and_then(|text| text.parse().ok()),
            deployment: attributes::value("model.deployment"),
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }

    fn usage(&self) -> Option<Usage> {
        self.usage.as_deref().and_then(Usage::from_bytes)
    }
}

/// Counts how a request was answered.
pub(crate) fn result(result: &str) {
    metrics::counter_with("prediction_cache_requests", &[("result", result)]).increment();
}

/// Says what an answer counts that is given again, and how alike the question was if it was another one.
pub(crate) fn given(
    request: &mut Request,
    kept: &Kept,
    model: Option<&str>,
    count: Count,
    similarity: Option<&str>,
) {
    result(if similarity.is_some() { "similar" } else { "hit" });
    set(request, "model.cached", "true");
    if let Some(similarity) = similarity {
        set(request, "model.similarity", similarity);
    }
    for (name, value) in [("model.name", model), ("model.deployment", kept.deployment.as_deref())] {
        if let Some(value) = value {
            set(request, name, value);
        }
    }
    let used = kept.usage().unwrap_or_default();
    let cost = kept.cost.unwrap_or(0);
    let (counted, counted_cost) = match count {
        Count::Nothing => (Usage::default(), 0),
        Count::Usage => (used, cost),
    };
    for (name, number) in [
        ("model.tokens.input", counted.input),
        ("model.tokens.output", counted.output),
        ("model.tokens.total", counted.total()),
        ("model.cost", counted_cost),
    ] {
        set(request, name, &number.to_string());
    }
    let saved = used.total().saturating_sub(counted.total());
    if saved > 0 {
        metrics::counter_with("prediction_cache_saved_tokens", &[]).add(saved);
    }
    let amounts = [
        ("cached_calls", 1),
        ("input_tokens", counted.input),
        ("output_tokens", counted.output),
        ("cost_usd_nanos", counted_cost),
        ("saved_tokens", saved),
        ("saved_cost_usd_nanos", cost - counted_cost),
    ];
    for (name, amount) in amounts.into_iter().filter(|(_, amount)| *amount > 0) {
        rows::add(name, i64::try_from(amount).unwrap_or(i64::MAX));
    }
}

fn set(request: &mut Request, name: &str, value: &str) {
    if let Err(error) = request.set_attribute(name, value) {
        log::warn!("the attribute {name} cannot be set: {error}");
    }
}
