//! Limits on requests at the same time.
//!
//! Owns what makes such a limit valid, and asking the gateway for its slots. The gateway gives a slot back when
//! the exchange ends. Must not know rates.

use std::time::Duration;

use gateway_plugin_sdk::prelude::{ConfigError, HeaderName, Interest, Request, Response};
use gateway_plugin_sdk::slots::{self, Queued, Taken, Wait};
use gateway_plugin_sdk::{duration, log};

use crate::body::Pointer;
use crate::config::{ConcurrencySpec, Missing, PrioritySpec, WeightSpec};
use crate::key::{self, Facts, Part};
use crate::policy::{Lack, keep, name, parts};
use crate::refusal;

/// The most that the gateway takes.
const LONGEST_QUEUE: u32 = 10_000;
const LONGEST_WAIT: Duration = Duration::from_hours(1);
const HEAVIEST: u16 = 1000;

/// A checked limit.
#[derive(Debug)]
pub(crate) struct Concurrency {
    pub(crate) name: String,
    limit: u32,
    key: Vec<Part>,
    missing: Missing,
    queue: u32,
    wait: Duration,
    priority: Option<Told>,
    share: Vec<Part>,
    weight: Option<Told>,
    wait_in_vain: bool,
    status: u16,
    /// What the keys of all its slots begin with.
    prefix: String,
}

/// Where a number of a request stands: its priority, or its weight.
#[derive(Debug)]
struct Told {
    source: Source,
    default: u16,
    min: u16,
    max: u16,
}

#[derive(Debug)]
enum Source {
    Header(HeaderName),
    Attribute(String),
}

/// What a limit makes of a request.
pub(crate) enum Admission {
    /// It goes on, perhaps after a while.
    Admitted,
    /// It would have been refused, if this was no dry run.
    WouldRefuse,
    Refused(Response),
}

impl Concurrency {
    /// Checks a limit; `pointer` is where it stands.
    pub(crate) fn new(spec: ConcurrencySpec, pointer: &str) -> Result<Self, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let at = |key: &str| format!("{pointer}/{key}");
        keep(&mut errors, name(&spec.name, &at("name")));
        let mut refuse = |is_wrong: bool, key: &str, message: String| {
            if is_wrong {
                errors.push(ConfigError::at(at(key), message));
            }
        };
        let is_long = spec.queue > LONGEST_QUEUE;
        refuse(is_long, "queue", format!("at most {LONGEST_QUEUE} requests can wait"));
        let is_status = matches!(spec.status, 429 | 503);
        refuse(!is_status, "status", "a refusal has the status 429 or 503".to_owned());
        let of_waiting = [
            ("priority", spec.priority.is_some()),
            ("share", !spec.share.is_empty()),
            ("weight", spec.weight.is_some()),
            ("wait_in_vain", spec.wait_in_vain),
        ];
        let useless = of_waiting.into_iter().find(|(_, is_set)| *is_set && spec.queue == 0);
        let message = "nobody waits: set `queue` to how many requests may".to_owned();
        refuse(useless.is_some(), useless.map_or("queue", |(key, _)| key), message);
        let message = "all are one share, and weights are for those of several: set `share` too";
        let is_one = spec.weight.is_some() && spec.share.is_empty() && spec.queue > 0;
        refuse(is_one, "weight", message.to_owned());
        let wait = keep(&mut errors, time(&spec.wait, &at("wait"))).unwrap_or(LONGEST_WAIT);
        let key = parts(&spec.key, &at("key"), &mut errors);
        let share = parts(&spec.share, &at("share"), &mut errors);
        let priority = spec.priority.map(|it| Told::priority(it, &at("priority"))).transpose();
        let priority = keep(&mut errors, priority).flatten();
        let weight = spec.weight.map(|it| Told::weight(it, &at("weight"))).transpose();
        let weight = keep(&mut errors, weight).flatten();
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut prefix = String::new();
        key::push_text(&mut prefix, spec.name.as_bytes());
        prefix.push('/');
        key::push_text(&mut prefix, spec.key.join(" ").as_bytes());
        prefix.push('/');
        let ConcurrencySpec { name, limit, missing, queue, status, wait_in_vain, .. } = spec;
        Ok(Self {
            name,
            limit,
            key,
            missing,
            queue,
            wait,
            priority,
            share,
            weight,
            wait_in_vain,
            status,
            prefix,
        })
    }

    /// Asks for all that the limit reads to arrive with the request.
    pub(crate) fn declare(&self, interest: Interest) -> Interest {
        let parts = self.key.iter().chain(&self.share);
        let interest = parts.fold(interest, |interest, part| part.declare(interest));
        let told = self.priority.iter().chain(&self.weight);
        told.fold(interest, |interest, told| match &told.source {
            Source::Header(name) => interest.header(name),
            Source::Attribute(name) => interest.attribute(name),
        })
    }

    /// Where parts of the key and of the share stand in bodies.
    pub(crate) fn pointers(&self) -> impl Iterator<Item = &Pointer> {
        self.key.iter().chain(&self.share).filter_map(Part::pointer)
    }

    /// Takes a slot for a request, or a place among those who wait.
    pub(crate) fn admit(&self, facts: Facts<'_>, dry_run: bool) -> Admission {
        let mut key = self.prefix.clone();
        for part in &self.key {
            if part.push(&mut key, facts) {
                continue;
            }
            match self.missing {
                Missing::Shared => key::push_missing(&mut key),
                Missing::Skip => return Admission::Admitted,
                Missing::Refuse if dry_run => return Admission::WouldRefuse,
                Missing::Refuse => {
                    return Admission::Refused(refusal::lacks(Lack::Part(part), facts.content));
                }
            }
        }
        if self.limit == 0 {
            return match dry_run {
                true => Admission::WouldRefuse,
                false => Admission::Refused(refusal::none_allowed(self.status, &self.name)),
            };
        }
        // A dry run counts, and lets all of them through.
        let limit = if dry_run { u32::MAX } else { self.limit };
        match slots::take(&key, limit) {
            Ok(Taken::Yes(now)) if now.in_use > self.limit => Admission::WouldRefuse,
            Ok(Taken::Yes(_)) => Admission::Admitted,
            // Also where nobody may wait, so that it is counted.
            Ok(Taken::No(_)) => self.wait(&key, facts),
            Err(error) => self.fails(&error),
        }
    }

    fn wait(&self, key: &str, facts: Facts<'_>) -> Admission {
        let mut share = String::new();
        for part in &self.share {
            if !part.push(&mut share, facts) {
                key::push_missing(&mut share);
            }
        }
        let wait = Wait {
            key,
            limit: self.limit,
            queue: self.queue,
            time: self.wait,
            priority: self
                .priority
                .as_ref()
                .map_or(0, |it| u8::try_from(it.of(facts.request)).unwrap_or(u8::MAX)),
            share: &share,
        };
        let weight = self.weight.as_ref().map_or(1, |it| it.of(facts.request));
        let expected = slots::expected_turn(&wait, weight);
        if self.queue > 0 && !self.wait_in_vain && expected.is_some_and(|it| it > self.wait) {
            let why = "None is expected to be free in time.";
            let refused = refusal::no_slot(self.status, &self.name, why, expected);
            return Admission::Refused(refused);
        }
        let late = refusal::no_slot(self.status, &self.name, "None was free in time.", expected);
        match slots::queue_by_weight(&wait, weight, late) {
            Ok(Queued::Taken(_) | Queued::Waits(_)) => Admission::Admitted,
            Ok(Queued::Full(_)) => self.refused(expected),
            Err(error) => self.fails(&error),
        }
    }

    fn refused(&self, wait: Option<Duration>) -> Admission {
        let why = match self.queue {
            0 => "All are in use.",
            _ => "All are in use, and as many requests wait as may.",
        };
        Admission::Refused(refusal::no_slot(self.status, &self.name, why, wait))
    }

    fn fails(&self, error: &slots::SlotsError) -> Admission {
        log::warn!("no slot under {} can be asked for: {error}", self.name);
        let why = format!("no slot under {} can be asked for: {error}", self.name);
        Admission::Refused(refusal::unavailable().because(why))
    }
}

fn time(text: &str, pointer: &str) -> Result<Duration, ConfigError> {
    let refuse = |message| Err(ConfigError::at(pointer, message));
    match duration::parse(text) {
        Err(error) => refuse(format!("`{text}` is not a duration: {error}")),
        Ok(time) if time.is_zero() => refuse("who waits has some time".to_owned()),
        Ok(time) if time > LONGEST_WAIT => refuse("a request waits for at most 1h".to_owned()),
        Ok(time) => Ok(time),
    }
}

impl Told {
    fn priority(spec: PrioritySpec, pointer: &str) -> Result<Self, ConfigError> {
        let source = source("priority", spec.header, spec.attribute, pointer)?;
        Self { source, default: spec.default.into(), min: 0, max: spec.max.into() }.checked(pointer)
    }

    fn weight(spec: WeightSpec, pointer: &str) -> Result<Self, ConfigError> {
        let source = source("weight", spec.header, spec.attribute, pointer)?;
        for (key, weight) in [("default", spec.default), ("max", spec.max)] {
            if !(1..=HEAVIEST).contains(&weight) {
                let message = format!("{weight} is not between 1 and {HEAVIEST}");
                return Err(ConfigError::at(format!("{pointer}/{key}"), message));
            }
        }
        Self { source, default: spec.default, min: 1, max: spec.max }.checked(pointer)
    }

    fn checked(self, pointer: &str) -> Result<Self, ConfigError> {
        if self.default > self.max {
            let message = format!("{} is over `max`, {}", self.default, self.max);
            return Err(ConfigError::at(format!("{pointer}/default"), message));
        }
        Ok(self)
    }

    /// That of a request. What is no number counts as none.
    fn of(&self, request: &Request) -> u16 {
        let told = match &self.source {
            Source::Header(name) => request.header(name),
            Source::Attribute(name) => request.attribute(name),
        };
        let told = told.and_then(|text| text.trim().parse::<u64>().ok());
        told.map_or(self.default, |told| {
            u16::try_from(told).unwrap_or(u16::MAX).clamp(self.min, self.max)
        })
    }
}

fn source(
    what: &str,
    header: Option<HeaderName>,
    attribute: Option<String>,
    pointer: &str,
) -> Result<Source, ConfigError> {
    match (header, attribute) {
        (Some(header), None) => Ok(Source::Header(header)),
        (None, Some(attribute)) => Ok(Source::Attribute(attribute)),
        _ => {
            let message = format!("a {what} is told by either `header` or `attribute`");
            Err(ConfigError::at(pointer, message))
        }
    }
}
