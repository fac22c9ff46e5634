//! A checked policy, ready to charge.
//!
//! Owns what makes a policy valid, and turning a request into a charge. All that does not depend
//! on the request is computed once.

use std::time::Duration;

use gateway_plugin_sdk::prelude::{ConfigError, Interest, Request};

use crate::config::{Missing, PolicySpec};
use crate::cost::Cost;
use crate::duration;
use crate::key::{self, Part};

/// The largest integer of a structured field (RFC 9651 section 3.3.1).
const MOST: u64 = 999_999_999_999_999;

/// The longest window, and the longest time to fill an empty bucket.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// A checked policy.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) name: String,
    /// Tokens per period.
    pub(crate) limit: u64,
    pub(crate) period: Duration,
    pub(crate) burst: u64,
    cost: Cost,
    key: Vec<Part>,
    missing: Missing,
    /// What the keys of all its buckets begin with. It names the policy, its rate, and what its
    /// values mean, so that a changed policy begins with new buckets.
    prefix: String,
}

/// What a policy makes of a request.
pub(crate) enum Claim<'a> {
    /// The bucket whose key was written is to be charged this much.
    Charge(u64),
    /// The policy does not apply.
    None,
    /// The policy refuses the request, which has no value for this part of the key.
    Refuse(&'a Part),
}

impl Policy {
    /// Checks a policy; `pointer` is where it stands.
    pub(crate) fn new(spec: PolicySpec, pointer: &str) -> Result<Self, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let at = |key: &str| format!("{pointer}/{key}");
        keep(&mut errors, name(&spec.name, &at("name")));
        keep(&mut errors, amount(spec.limit, &at("limit")));
        let burst = spec.burst.unwrap_or(spec.limit);
        if spec.burst.is_some() {
            keep(&mut errors, amount(burst, &at("burst")));
        }
        let period = keep(&mut errors, window(&spec.window, &at("window"))).unwrap_or(LONGEST);
        let key = parts(&spec.key, &at("key"), &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        keep(&mut errors, speed(&spec, burst, period, pointer));
        let prefix = prefix(&spec, burst, period);
        let cost = keep(&mut errors, Cost::new(spec.cost, burst, &at("cost")));
        let Some(cost) = cost.filter(|_| errors.is_empty()) else {
            return Err(errors);
        };
        let PolicySpec { name, limit, missing, .. } = spec;
        Ok(Self { name, limit, period, burst, cost, key, missing, prefix })
    }

    /// Asks for all that the policy reads to arrive with the request.
    pub(crate) fn declare(&self, interest: Interest) -> Interest {
        let interest = self.cost.declare(interest);
        self.key.iter().fold(interest, |interest, part| part.declare(interest))
    }

    /// What the policy makes of a request. Appends the key of the bucket to `keys`, which is to be
    /// cut back unless the claim is a charge.
    pub(crate) fn claim(&self, request: &Request, ipv6_prefix: u8, keys: &mut String) -> Claim<'_> {
        keys.push_str(&self.prefix);
        for part in &self.key {
            if part.push(keys, request, ipv6_prefix) {
                continue;
            }
            match self.missing {
                Missing::Shared => key::push_missing(keys),
                Missing::Skip => return Claim::None,
                Missing::Refuse => return Claim::Refuse(part),
            }
        }
        Claim::Charge(self.cost.of(request))
    }

    /// How long a key is, as a rule.
    pub(crate) fn key_size(&self) -> usize {
        self.prefix.len() + 40 * self.key.len()
    }
}

pub(crate) fn keep<T>(errors: &mut Vec<ConfigError>, result: Result<T, ConfigError>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}

pub(crate) fn name(name: &str, pointer: &str) -> Result<(), ConfigError> {
    let tame = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if matches!(name.len(), 1..=64) && name.bytes().all(tame) {
        return Ok(());
    }
    let message = "a name is 1 to 64 letters, digits, `-`, `_` and `.`";
    Err(ConfigError::at(pointer, message))
}

fn amount(amount: u64, pointer: &str) -> Result<(), ConfigError> {
    if (1..=MOST).contains(&amount) {
        return Ok(());
    }
    Err(ConfigError::at(pointer, format!("{amount} is not between 1 and {MOST}")))
}

pub(crate) fn window(text: &str, pointer: &str) -> Result<Duration, ConfigError> {
    let refuse = |message| Err(ConfigError::at(pointer, message));
    match duration::parse(text) {
        Err(error) => refuse(format!("`{text}` is not a duration: {error}")),
        Ok(Duration::ZERO) => refuse("a window cannot be empty".to_owned()),
        Ok(window) if window > LONGEST => refuse("a window has at most 366d".to_owned()),
        Ok(window) => Ok(window),
    }
}

pub(crate) fn parts(key: &[String], pointer: &str, errors: &mut Vec<ConfigError>) -> Vec<Part> {
    if key.len() > 8 {
        errors.push(ConfigError::at(pointer, "a key has at most 8 parts"));
        return Vec::new();
    }
    let part = |(index, text): (usize, &String)| {
        Part::parse(text).map_err(|error| ConfigError::at(format!("{pointer}/{index}"), error))
    };
    key.iter().enumerate().filter_map(|found| keep(errors, part(found))).collect()
}

/// Refuses rates that a clock of nanoseconds cannot tell, and buckets that nobody sees full again.
fn speed(
    spec: &PolicySpec,
    burst: u64,
    period: Duration,
    pointer: &str,
) -> Result<(), ConfigError> {
    let (limit, burst) = (u128::from(spec.limit), u128::from(burst));
    if limit > period.as_nanos() {
        let message = "the limit is over one for each nanosecond of the window";
        return Err(ConfigError::at(format!("{pointer}/limit"), message));
    }
    // At most 10^15 by 3.2 * 10^16, so nothing overflows.
    if burst * period.as_nanos() / limit > LONGEST.as_nanos() {
        let message = "at this rate it takes over 366d until the burst is there again";
        return Err(ConfigError::at(format!("{pointer}/burst"), message));
    }
    Ok(())
}

fn prefix(spec: &PolicySpec, burst: u64, period: Duration) -> String {
    let mut prefix = String::new();
    key::push_text(&mut prefix, spec.name.as_bytes());
    for number in [u128::from(spec.limit), period.as_nanos(), u128::from(burst)] {
        prefix.push('/');
        prefix.push_str(itoa::Buffer::new().format(number));
    }
    prefix.push('/');
    key::push_text(&mut prefix, spec.key.join(" ").as_bytes());
    prefix.push('/');
    prefix
}
