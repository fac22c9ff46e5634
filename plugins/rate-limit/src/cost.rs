//! What a request costs.
//!
//! Owns reading a cost out of a request and keeping it between 1 and what the bucket can hold, so
//! that a told cost can neither be free nor locked out for ever.

use gateway_plugin_sdk::prelude::{ConfigError, HeaderName, Interest, Request};

use crate::config::{CostSpec, ToldCost};

/// A checked cost.
#[derive(Debug)]
pub(crate) struct Cost {
    source: Option<Source>,
    default: u64,
    max: u64,
}

/// Where a cost stands.
#[derive(Debug)]
enum Source {
    Header(HeaderName),
    Attribute(String),
}

impl Cost {
    /// Checks a cost against what the smallest and the largest bucket hold; `pointer` is where it stands.
    pub(crate) fn new(
        spec: CostSpec,
        bursts: (u64, u64),
        pointer: &str,
    ) -> Result<Self, ConfigError> {
        match spec {
            CostSpec::Fixed(cost) => {
                within(cost, bursts.0, pointer)?;
                Ok(Self { source: None, default: cost, max: cost })
            }
            CostSpec::Told(told) => Self::told(told, bursts, pointer),
        }
    }

    fn told(
        spec: ToldCost,
        (smallest, largest): (u64, u64),
        pointer: &str,
    ) -> Result<Self, ConfigError> {
        let source = match (spec.header, spec.attribute) {
            (Some(header), None) => Source::Header(header),
            (None, Some(attribute)) => Source::Attribute(attribute),
            _ => {
                let message = "a cost is told by either `header` or `attribute`";
                return Err(ConfigError::at(pointer, message));
            }
        };
        let max = spec.max.unwrap_or(largest);
        within(max, largest, &format!("{pointer}/max"))?;
        within(spec.default, max.min(smallest), &format!("{pointer}/default"))?;
        Ok(Self { source: Some(source), default: spec.default, max })
    }

    /// Asks for the cost to arrive with the request.
    pub(crate) fn declare(&self, interest: Interest) -> Interest {
        match &self.source {
            None => interest,
            Some(Source::Header(name)) => interest.header(name),
            Some(Source::Attribute(name)) => interest.attribute(name),
        }
    }

    /// What this request costs, where no more than that would ever fit.
    pub(crate) fn of(&self, request: &Request, burst: u64) -> u64 {
        match &self.source {
            None => self.default,
            Some(Source::Header(name)) => self.read(request.header(name)).min(burst),
            Some(Source::Attribute(name)) => self.read(request.attribute(name)).min(burst),
        }
    }

    fn read(&self, told: Option<&str>) -> u64 {
        match told {
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                // More digits than a number holds are still more than the maximum.
                digits.parse().unwrap_or(u64::MAX).clamp(1, self.max)
            }
            _ => self.default,
        }
    }
}

fn within(cost: u64, most: u64, pointer: &str) -> Result<(), ConfigError> {
    if (1..=most).contains(&cost) {
        return Ok(());
    }
    let message = format!("{cost} is not between 1 and {most}: such a request would never fit");
    Err(ConfigError::at(pointer, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost() -> Cost {
        Cost { source: None, default: 3, max: 10 }
    }

    #[test]
    fn reads_whole_numbers_up_to_the_maximum() {
        assert_eq!(cost().read(Some("7")), 7);
        assert_eq!(cost().read(Some("11")), 10);
        assert_eq!(cost().read(Some("99999999999999999999999")), 10);
    }

    #[test]
    fn lets_nobody_ask_for_nothing() {
        assert_eq!(cost().read(Some("0")), 1);
    }

    #[test]
    fn takes_the_default_for_what_is_no_number() {
        for told in [None, Some(""), Some("-1"), Some("+1"), Some("1.5"), Some("many")] {
            assert_eq!(cost().read(told), 3, "{told:?}");
        }
    }
}
