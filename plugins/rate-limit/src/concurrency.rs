//! Limits on requests at the same time.
//!
//! Owns what makes such a limit valid, and asking the gateway for its slots. The gateway gives a slot back when
//! the exchange ends. Must not know rates.

use std::time::Duration;

use gateway_plugin_sdk::prelude::{ConfigError, HeaderName, Interest, Request, Response};
use gateway_plugin_sdk::slots::{self, Queued, Taken, Wait};
use gateway_plugin_sdk::{duration, log};

use crate::body::Pointer;
use crate::config::{ConcurrencySpec, Missing, PrioritySpec};
use crate::key::{self, Facts, Part};
use crate::policy::{Lack, keep, name, parts};
use crate::refusal;

/// The most that the gateway takes.
const LONGEST_QUEUE: u32 = 10_000;
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// A checked limit.
#[derive(Debug)]
pub(crate) struct Concurrency {
    pub(crate) name: String,
    limit: u32,
    key: Vec<Part>,
    missing: Missing,
    queue: u32,
    wait: Duration,
    priority: Option<Priority>,
    share: Vec<Part>,
    status: u16,
    /// What the keys of all its slots begin with.
    prefix: String,
}

/// Where the priority of a request stands.
#[derive(Debug)]
struct Priority {
    source: Source,
    default: u8,
    max: u8,
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
        refuse(spec.limit == 0, "limit", "there is at least one slot".to_owned());
        let is_long = spec.queue > LONGEST_QUEUE;
        refuse(is_long, "queue", format!("at most {LONGEST_QUEUE} requests can wait"));
        let is_status = matches!(spec.status, 429 | 503);
        refuse(!is_status, "status", "a refusal has the status 429 or 503".to_owned());
        let is_useless = spec.queue == 0 && (spec.priority.is_some() || !spec.share.is_empty());
        let message = "nobody waits: set `queue` to how many requests may".to_owned();
        let where_ = if spec.priority.is_some() { "priority" } else { "share" };
        refuse(is_useless, where_, message);
        let wait = keep(&mut errors, time(&spec.wait, &at("wait"))).unwrap_or(LONGEST_WAIT);
        let key = parts(&spec.key, &at("key"), &mut errors);
        let share = parts(&spec.share, &at("share"), &mut errors);
        let priority = spec.priority.map(|it| Priority::new(it, &at("priority"))).transpose();
        let priority = keep(&mut errors, priority).flatten();
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut prefix = String::new();
        key::push_text(&mut prefix, spec.name.as_bytes());
        prefix.push('/');
        key::push_text(&mut prefix, spec.key.join(" ").as_bytes());
        prefix.push('/');
        let ConcurrencySpec { name, limit, missing, queue, status, .. } = spec;
        Ok(Self { name, limit, key, missing, queue, wait, priority, share, status, prefix })
    }

    /// Asks for all that the limit reads to arrive with the request.
    pub(crate) fn declare(&self, interest: Interest) -> Interest {
        let parts = self.key.iter().chain(&self.share);
        let interest = parts.fold(interest, |interest, part| part.declare(interest));
        match self.priority.as_ref().map(|priority| &priority.source) {
            None => interest,
            Some(Source::Header(name)) => interest.header(name),
            Some(Source::Attribute(name)) => interest.attribute(name),
        }
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
            priority: self.priority.as_ref().map_or(0, |it| it.of(facts.request)),
            share: &share,
        };
        let expected = slots::expected_wait(key);
        let late = refusal::no_slot(self.status, &self.name, "None was free in time.", expected);
        match slots::queue(&wait, late) {
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

impl Priority {
    fn new(spec: PrioritySpec, pointer: &str) -> Result<Self, ConfigError> {
        let source = match (spec.header, spec.attribute) {
            (Some(header), None) => Source::Header(header),
            (None, Some(attribute)) => Source::Attribute(attribute),
            _ => {
                let message = "a priority is told by either `header` or `attribute`";
                return Err(ConfigError::at(pointer, message));
            }
        };
        if spec.default > spec.max {
            let message = format!("{} is over `max`, {}", spec.default, spec.max);
            return Err(ConfigError::at(format!("{pointer}/default"), message));
        }
        Ok(Self { source, default: spec.default, max: spec.max })
    }

    /// That of a request. What is no number counts as none.
    fn of(&self, request: &Request) -> u8 {
        let told = match &self.source {
            Source::Header(name) => request.header(name),
            Source::Attribute(name) => request.attribute(name),
        };
        let told = told.and_then(|text| text.trim().parse::<u64>().ok());
        told.map_or(self.default, |told| u8::try_from(told).unwrap_or(u8::MAX).min(self.max))
    }
}
