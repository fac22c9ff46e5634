//! A checked policy, ready to charge.
//!
//! Owns what makes a policy valid, which of its rates a request has, and turning a request into a charge. All that
//! does not depend on the request is computed once.

use gateway_plugin_sdk::prelude::{ConfigError, Interest, Request};

use crate::body::Pointer;
use crate::config::{LimitSpec, Missing, PlanSpec, PolicySpec};
use crate::cost::Cost;
use crate::key::{self, Facts, Part};
use crate::learned::Learned;
use crate::rate::{Rate, Span};
use crate::settle::Settle;

/// Plans of a policy, at most.
const MOST_PLANS: usize = 64;

/// A checked policy.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) name: String,
    /// That of requests of no plan in the list.
    other: Limit,
    plans: Option<Plans>,
    pub(crate) settle: Option<Settle>,
    /// How far estimates are short of costs, where that is taken into account.
    pub(crate) learned: Option<Learned>,
    cost: Cost,
    key: Vec<Part>,
    missing: Missing,
}

/// How much there is for a request.
#[derive(Debug)]
enum Limit {
    Rate(Box<Rate>),
    Unlimited,
    Refused,
}

/// The plans of a policy.
#[derive(Debug)]
struct Plans {
    /// Where the plan of a request stands.
    by: Part,
    limits: Vec<(String, Limit)>,
}

/// What a policy makes of a request.
pub(crate) enum Claim<'a> {
    /// The bucket whose key was written is to be charged this much.
    Charge(&'a Rate, u64),
    /// The policy does not apply.
    None,
    /// The policy refuses the request.
    Refuse(Lack<'a>),
}

/// For lack of what a request is refused.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lack<'a> {
    /// Of a value for a part of the key.
    Part(&'a Part),
    /// Of a plan that there is.
    Plan(&'a Part),
}

impl Lack<'_> {
    /// What it is called towards people.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Part(part) => part.name().to_owned(),
            Self::Plan(part) => format!("a plan in {}", part.name()),
        }
    }
}

impl Policy {
    /// Checks a policy; `pointer` is where it stands.
    pub(crate) fn new(mut spec: PolicySpec, pointer: &str) -> Result<Self, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let at = |key: &str| format!("{pointer}/{key}");
        keep(&mut errors, name(&spec.name, &at("name")));
        let span = Span::new(&spec, at, &mut errors);
        let key = parts(&spec.key, &at("key"), &mut errors);
        // What stands beside a window that cannot be read is checked all the same.
        let span = span.unwrap_or(Span::Bucket(std::time::Duration::from_secs(86_400)));
        let listed = spec.plans.take();
        let other = keep_all(&mut errors, other(&spec, &span, listed.is_some(), pointer));
        let plans = keep_all(&mut errors, plans(&spec, &span, listed, pointer));
        let learned = spec.settle.as_ref().filter(|it| it.learn).map(|_| Learned::default());
        let settle = spec.settle.take().map(|settle| Settle::new(settle, &at("settle")));
        let settle = settle.and_then(|settle| keep(&mut errors, settle));
        let limits = plans.iter().flatten().flat_map(|plans| &plans.limits);
        let limits = limits.map(|(_, limit)| limit).chain(&other);
        // A limit of 0 has room for no cost.
        let bursts = limits.filter_map(Limit::burst).filter(|burst| *burst > 0);
        let bursts = (bursts.clone().min().unwrap_or(u64::MAX), bursts.max().unwrap_or(u64::MAX));
        let cost = keep(&mut errors, Cost::new(spec.cost, bursts, &at("cost")));
        let (Some(other), Some(plans), Some(cost), true) = (other, plans, cost, errors.is_empty())
        else {
            return Err(errors);
        };
        let PolicySpec { name, missing, .. } = spec;
        Ok(Self { name, other, plans, settle, learned, cost, key, missing })
    }

    /// Asks for all that the policy reads to arrive with the request.
    pub(crate) fn declare(&self, interest: Interest) -> Interest {
        let interest = self.cost.declare(interest);
        let parts = self.key.iter().chain(self.plans.as_ref().map(|plans| &plans.by));
        parts.fold(interest, |interest, part| part.declare(interest))
    }

    /// What the policy makes of a request. Appends the key of the bucket to `keys`, which is to be
    /// cut back unless the claim is a charge.
    pub(crate) fn claim(&self, facts: Facts<'_>, keys: &mut String) -> Claim<'_> {
        let rate = match (self.limit(facts.request), &self.plans) {
            (Limit::Rate(rate), _) => rate,
            (Limit::Refused, Some(plans)) => return Claim::Refuse(Lack::Plan(&plans.by)),
            (Limit::Unlimited | Limit::Refused, _) => return Claim::None,
        };
        keys.push_str(&rate.prefix);
        for part in &self.key {
            if part.push(keys, facts) {
                continue;
            }
            match self.missing {
                Missing::Shared => key::push_missing(keys),
                Missing::Skip => return Claim::None,
                Missing::Refuse => return Claim::Refuse(Lack::Part(part)),
            }
        }
        Claim::Charge(rate, self.cost.of(facts.request, rate.burst))
    }

    /// Where parts of the key stand in bodies.
    pub(crate) fn pointers(&self) -> impl Iterator<Item = &Pointer> {
        self.key.iter().filter_map(Part::pointer)
    }

    fn limit(&self, request: &Request) -> &Limit {
        let Some(plans) = &self.plans else { return &self.other };
        let plan = plans.by.text(request);
        let found = plan.and_then(|plan| plans.limits.iter().find(|(name, _)| name == plan));
        found.map_or(&self.other, |(_, limit)| limit)
    }

    /// The rate whose buckets have keys that begin so.
    pub(crate) fn rate_of(&self, key: &str) -> Option<&Rate> {
        let limits = self.plans.iter().flat_map(|plans| &plans.limits).map(|(_, limit)| limit);
        let rates = limits.chain([&self.other]).filter_map(Limit::rate);
        rates.filter(|rate| key.starts_with(&rate.prefix)).max_by_key(|rate| rate.prefix.len())
    }

    /// That of each request, if it is the same for all.
    pub(crate) fn only_rate(&self) -> Option<&Rate> {
        if self.plans.is_some() { None } else { self.other.rate() }
    }

    /// Whether a bucket is all that it charges, and what it takes is final.
    pub(crate) fn is_plain(&self) -> bool {
        let limits = self.plans.iter().flat_map(|plans| &plans.limits).map(|(_, limit)| limit);
        let mut rates = limits.chain([&self.other]).filter_map(Limit::rate);
        self.settle.is_none() && rates.all(|rate| matches!(rate.span, Span::Bucket(_)))
    }

    /// How long a key is, as a rule.
    pub(crate) fn key_size(&self) -> usize {
        100 + 40 * self.key.len()
    }
}

impl Limit {
    fn rate(&self) -> Option<&Rate> {
        match self {
            Self::Rate(rate) => Some(rate),
            Self::Unlimited | Self::Refused => None,
        }
    }

    fn burst(&self) -> Option<u64> {
        self.rate().map(|rate| rate.burst)
    }
}

fn other(
    spec: &PolicySpec,
    span: &Span,
    has_plans: bool,
    pointer: &str,
) -> Result<Limit, Vec<ConfigError>> {
    let at = |key: &str| format!("{pointer}/{key}");
    match spec.limit {
        Some(LimitSpec::Number(limit)) => {
            let plan = has_plans.then_some("");
            let rate = Rate::new(spec, span, (limit, spec.burst), plan, pointer)?;
            Ok(Limit::Rate(Box::new(rate)))
        }
        _ if spec.burst.is_some() => {
            Err(vec![ConfigError::at(at("burst"), "a burst is for a `limit` that is a number")])
        }
        Some(LimitSpec::Word(_)) if has_plans => Ok(Limit::Unlimited),
        Some(LimitSpec::Word(_)) => {
            let message = "a limit without `plans` is a number: leave the policy out instead";
            Err(vec![ConfigError::at(at("limit"), message)])
        }
        None if has_plans => Ok(Limit::Refused),
        None => Err(vec![ConfigError::at(pointer, "a policy has a `limit`, or `plans` with one")]),
    }
}

fn plans(
    spec: &PolicySpec,
    span: &Span,
    listed: Option<std::collections::BTreeMap<String, PlanSpec>>,
    pointer: &str,
) -> Result<Option<Plans>, Vec<ConfigError>> {
    let at = |key: &str| format!("{pointer}/{key}");
    let Some(listed) = listed else {
        return match &spec.plan {
            Some(_) => Err(vec![ConfigError::at(at("plan"), "there are no `plans`")]),
            None => Ok(None),
        };
    };
    let mut errors = Vec::new();
    if !(1..=MOST_PLANS).contains(&listed.len()) {
        let message = format!("there are 1 to {MOST_PLANS} plans");
        errors.push(ConfigError::at(at("plans"), message));
    }
    let by = spec.plan.as_deref().unwrap_or("consumer.group");
    let by = match Part::parse(by) {
        Ok(part) if part.is_of_the_client() => {
            let message = "clients write requests as they like: a plan is in an attribute, \
                           such as `consumer.group` or `claim:plan`";
            Err(ConfigError::at(at("plan"), message))
        }
        Ok(part) => Ok(part),
        Err(error) => Err(ConfigError::at(at("plan"), error)),
    };
    let by = keep(&mut errors, by);
    let mut limits = Vec::with_capacity(listed.len());
    for (name, plan) in listed {
        // The name as a part of a JSON Pointer (RFC 6901 section 3).
        let pointer = format!("{pointer}/plans/{}", name.replace('~', "~0").replace('/', "~1"));
        if name.is_empty() || name.len() > 64 || name.contains([':', '/']) {
            let message = "a plan has 1 to 64 characters, and neither `:` nor `/`";
            errors.push(ConfigError::at(&pointer, message));
            continue;
        }
        let limit = match (plan.limit, plan.burst) {
            (LimitSpec::Number(limit), burst) => {
                Rate::new(spec, span, (limit, burst), Some(&name), &pointer)
                    .map(|rate| Limit::Rate(Box::new(rate)))
            }
            (LimitSpec::Word(_), None) => Ok(Limit::Unlimited),
            (LimitSpec::Word(_), Some(_)) => {
                let message = "a plan without a limit has no burst";
                Err(vec![ConfigError::at(format!("{pointer}/burst"), message)])
            }
        };
        if let Some(limit) = keep_all(&mut errors, limit) {
            limits.push((name, limit));
        }
    }
    match (by, errors.is_empty()) {
        (Some(by), true) => Ok(Some(Plans { by, limits })),
        _ => Err(errors),
    }
}

fn keep_all<T>(errors: &mut Vec<ConfigError>, result: Result<T, Vec<ConfigError>>) -> Option<T> {
    result.map_err(|found| errors.extend(found)).ok()
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
