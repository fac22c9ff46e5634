//! What a request did cost, once its response is there.
//!
//! Owns where that is told, and what is kept of a request until then. What is not told leaves the estimate as it is:
//! also where the client left, the upstream failed, or somebody else answered.

use gateway_plugin_sdk::limiter::{self, LimiterError, Settlement};
use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::{Body, BodyMode, ConfigError, HeaderName, ResponseHead, Summary};
use serde::{Deserialize, Serialize};

use crate::config::SettleSpec;
use crate::policy::Policy;

/// The largest response body that is read, unless it is said.
const MAX_BODY: u64 = 1 << 20;

/// Where the cost is told.
#[derive(Debug)]
pub(crate) enum Settle {
    Header(HeaderName),
    Json { pointer: String, max_body: u64 },
    Attribute(String),
}

/// What requests of an exchange reserved and is not settled yet.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Reserved(Vec<Kept>);

/// A reservation.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Which policy.
    pub(crate) policy: usize,
    pub(crate) key: String,
    /// What the request said.
    pub(crate) estimate: u64,
    /// What was taken for it.
    pub(crate) cost: u64,
    pub(crate) taken: u64,
}

impl Settle {
    /// Checks where a cost is told; `pointer` is where that stands.
    pub(crate) fn new(spec: SettleSpec, pointer: &str) -> Result<Self, ConfigError> {
        let at = |key: &str| format!("{pointer}/{key}");
        if spec.max_body.is_some() && spec.json.is_none() {
            return Err(ConfigError::at(at("max_body"), "only for `json` a body is read"));
        }
        match (spec.response_header, spec.json, spec.attribute) {
            (Some(header), None, None) => Ok(Self::Header(header)),
            (None, Some(pointer), None) if pointer.starts_with('/') => {
                Ok(Self::Json { pointer, max_body: spec.max_body.unwrap_or(MAX_BODY) })
            }
            (None, Some(pointer), None) => {
                let message = format!(
                    "`{pointer}` is not a JSON Pointer: it begins with `/`, as in `/usage/total_tokens`"
                );
                Err(ConfigError::at(at("json"), message))
            }
            (None, None, Some(attribute)) => Ok(Self::Attribute(attribute)),
            _ => {
                let message = "a cost is settled by one of `response_header`, `json`, `attribute`";
                Err(ConfigError::at(pointer, message))
            }
        }
    }
}

impl Reserved {
    pub(crate) fn push(&mut self, kept: Kept) {
        self.0.push(kept);
    }

    /// Settles what the head of the response tells, and says how the body is wanted.
    pub(crate) fn settle_head(
        &mut self,
        policies: &[Policy],
        response: &ResponseHead,
    ) -> Option<BodyMode> {
        self.settle(policies, |settle| match settle {
            Settle::Header(name) => Some(response.header(name).and_then(number)),
            Settle::Json { .. } | Settle::Attribute(_) => None,
        });
        let wanted = self.0.iter().filter_map(|kept| match &policies.get(kept.policy)?.settle {
            Some(Settle::Json { max_body, .. }) => Some(*max_body),
            Some(Settle::Header(_) | Settle::Attribute(_)) | None => None,
        });
        let max_body = wanted.max().filter(|max_body| is_json(response, *max_body))?;
        Some(BodyMode::Buffered(max_body))
    }

    /// Settles what the body of the response tells.
    pub(crate) fn settle_body(&mut self, policies: &[Policy], body: &Body) {
        let Ok(value) = body.json::<serde_json::Value>() else { return };
        self.settle(policies, |settle| match settle {
            Settle::Json { pointer, .. } => Some(value.pointer(pointer).and_then(json_number)),
            Settle::Header(_) | Settle::Attribute(_) => None,
        });
    }

    /// Settles what attributes tell when all is over.
    pub(crate) fn settle_end(&self, policies: &[Policy], summary: &Summary) {
        let mut left = Self(self.0.iter().map(Kept::again).collect());
        left.settle(policies, |settle| match settle {
            Settle::Attribute(name) => Some(summary.attribute(name).as_deref().and_then(number)),
            Settle::Header(_) | Settle::Json { .. } => None,
        });
    }

    /// Whether nothing is to be settled.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Settles by the costs that are told now: `None` for one that is told elsewhere. What is told now is done,
    /// whether or not there was a number.
    fn settle(&mut self, policies: &[Policy], told: impl Fn(&Settle) -> Option<Option<u64>>) {
        let of = |kept: &Kept| policies.get(kept.policy)?.settle.as_ref().and_then(&told);
        let (done, left) = std::mem::take(&mut self.0).into_iter().partition(|it| of(it).is_some());
        self.0 = left;
        let done: Vec<Kept> = done;
        let settlement = |kept| settlement(policies, kept, of(kept)??);
        let settlements: Vec<_> = done.iter().filter_map(settlement).collect();
        if settlements.is_empty() {
            return;
        }
        match limiter::settle(&settlements) {
            Ok(()) => {}
            // The gateway says once that a store went.
            Err(error @ LimiterError::Unavailable) => {
                log::debug!("estimates stay as they are: {error}");
            }
            Err(error @ LimiterError::Invalid) => log::warn!("estimates stay as they are: {error}"),
        }
    }
}

impl Kept {
    fn again(&self) -> Self {
        let Self { policy, key, estimate, cost, taken } = self;
        Self { policy: *policy, key: key.clone(), estimate: *estimate, cost: *cost, taken: *taken }
    }
}

fn settlement<'a>(policies: &'a [Policy], kept: &'a Kept, cost: u64) -> Option<Settlement<'a>> {
    let by = i128::from(cost) - i128::from(kept.cost);
    let by = i64::try_from(by).unwrap_or(i64::MAX);
    let policy = policies.get(kept.policy)?;
    if let Some(learned) = &policy.learned {
        learned.note(kept.estimate, cost);
    }
    let rate = policy.rate_of(&kept.key)?;
    (by != 0).then(|| Settlement { quota: rate.quota(&kept.key, 0), taken: kept.taken, by })
}

/// Whether the body is JSON that can be read.
fn is_json(response: &ResponseHead, max_body: u64) -> bool {
    let kind = response.header("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let length = response.header("content-length").and_then(|text| text.parse::<u64>().ok());
    (kind == "application/json" || kind.ends_with("+json"))
        && response.header("content-encoding").is_none()
        && length.is_none_or(|length| length <= max_body)
}

fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than a number holds are more than any limit.
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// A part of a token counts as one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is not negative, and saturates"
)]
fn json_number(value: &serde_json::Value) -> Option<u64> {
    let fraction = || value.as_f64().filter(|it| *it >= 0.0).map(|it| it.ceil() as u64);
    value.as_u64().or_else(fraction)
}
