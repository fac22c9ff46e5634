//! Which deployment a request goes to.
//!
//! Owns the order in which deployments are asked: by priority, and within one by weight, with requests that belong
//! together at one. Owns what keeps one out: a cool-down, its limits within a minute, and its requests at a time. Must
//! not know what is sent.

use std::time::Duration;

use gateway_model_protocols::saved;
use gateway_plugin_sdk::limiter::{self, Quota, Settlement, Window};
use gateway_plugin_sdk::prelude::Response;
use gateway_plugin_sdk::slots::{self, Queued, Taken, Wait};
use gateway_plugin_sdk::{key_value, log, random};

use crate::catalog::{Catalog, Deployment, Model};
use crate::groups::Turn;

/// Tokens and requests that were taken from a deployment's limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reserved {
    deployment: usize,
    /// What the estimate was taken from.
    taken: u64,
    /// The estimate, in tokens.
    tokens: u64,
}
saved!(struct Reserved { deployment, taken, tokens });

/// What is known of a request when it is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) model: &'a Model,
    /// The deployments that can serve it, by index, as bits.
    pub(crate) able: u64,
    /// Requests with the same number stay together.
    pub(crate) affinity: Option<u64>,
    /// The deployment that had the beginning of the prompt before.
    pub(crate) preferred: Option<usize>,
    /// Tokens of request and response together, as estimated.
    pub(crate) tokens: u64,
    /// Whose it is, for turns in queues.
    pub(crate) consumer: &'a str,
    pub(crate) turn: Turn,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Chosen {
    /// This deployment.
    Deployment(usize, Option<Reserved>),
    /// None has room.
    None(Full),
}

/// Why there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Full {
    /// As many requests as may be are under way, and wait.
    pub(crate) busy: bool,
    /// One could wait, and its turn would come too late.
    pub(crate) in_vain: bool,
    /// When a place is expected to be free, where that is known.
    pub(crate) place: Option<Duration>,
    /// When a limit has room again.
    pub(crate) retry_after: Option<Duration>,
}

impl Full {
    /// This deployment has no place.
    fn has_no_place(&mut self, deployment: &Deployment) {
        self.busy = true;
        self.place = soonest(self.place, place(deployment));
    }

    /// When it is worth to ask again, as far as it is known: for the deployment that has room first.
    pub(crate) fn wait(&self) -> Option<Duration> {
        soonest(self.place, self.retry_after)
    }
}

fn soonest(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    [one, other].into_iter().flatten().min()
}

/// When a place at a deployment is expected for one who asks now.
fn place(deployment: &Deployment) -> Option<Duration> {
    slots::expected_wait(&key("slots", deployment))
}

impl Wanted<'_> {
    /// The deployment for a request's first time. It may have to wait for its turn, behind the hook; `late` is the
    /// answer if that takes too long, by what one who comes now would have to wait.
    pub(crate) fn first(&self, late: impl Fn(Option<Duration>) -> Response) -> Chosen {
        let (mut full, mut busy) = (Full::default(), Vec::new());
        for index in self.order() {
            let deployment = &self.catalog.deployments[index];
            // A slot that was taken stays with the request, so that the limits are asked before.
            if is_busy(deployment) {
                busy.push(index);
                continue;
            }
            let Some(reserved) = self.reserve(index, &mut full) else { continue };
            if self.enters(deployment, reserved.as_ref()) {
                return Chosen::Deployment(index, reserved);
            }
            busy.push(index);
        }
        for index in busy {
            let deployment = &self.catalog.deployments[index];
            let Some(slots) =
                deployment.concurrency.as_ref().filter(|it| it.queue > 0 && it.limit > 0)
            else {
                full.has_no_place(deployment);
                continue;
            };
            let wait = Wait {
                key: &key("slots", deployment),
                limit: slots.limit,
                queue: slots.queue,
                time: slots.wait,
                priority: self.turn.priority,
                share: self.consumer,
            };
            let expected = slots::expected_turn(&wait, self.turn.weight);
            if !slots.wait_in_vain && expected.is_some_and(|expected| expected > slots.wait) {
                (full.busy, full.in_vain) = (true, true);
                full.place = soonest(full.place, expected);
                continue;
            }
            match slots::queue_by_weight(&wait, self.turn.weight, late(expected)) {
                Ok(Queued::Taken(_) | Queued::Waits(_)) => match self.reserve(index, &mut full) {
                    Some(reserved) => return Chosen::Deployment(index, reserved),
                    None => return Chosen::None(full),
                },
                Ok(Queued::Full(_)) => full.has_no_place(deployment),
                Err(error) => log::warn!("deployment {}: {error}", deployment.name),
            }
        }
        Chosen::None(full)
    }

    /// The deployment for another attempt, which does not wait: one that has no slot free is passed over.
    pub(crate) fn next(&self) -> Chosen {
        let mut full = Full::default();
        for index in self.order() {
            let deployment = &self.catalog.deployments[index];
            if is_busy(deployment) {
                full.busy = true;
                continue;
            }
            let Some(reserved) = self.reserve(index, &mut full) else { continue };
            if self.enters(deployment, reserved.as_ref()) {
                return Chosen::Deployment(index, reserved);
            }
            full.busy = true;
        }
        Chosen::None(full)
    }

    /// Takes a slot, where the deployment has some. If none is free, its limits have back what was taken from them.
    fn enters(&self, deployment: &Deployment, reserved: Option<&Reserved>) -> bool {
        let has_slot = takes_slot(deployment);
        if let (false, Some(reserved)) = (has_slot, reserved) {
            reserved.settle(self.catalog, 0);
        }
        has_slot
    }

    /// The deployments in the order in which they are asked. Those that cool down come last: better one that may have
    /// recovered than none.
    fn order(&self) -> Vec<usize> {
        let able = |index: &usize| self.able & (1 << *index) != 0;
        if let [only] = self.model.shares.as_slice() {
            let is_it = only.weight > 0 && able(&only.deployment);
            return is_it.then_some(only.deployment).into_iter().collect();
        }
        let seed = self.affinity.unwrap_or_else(random::number);
        let shares = self.model.shares.iter();
        let mut order: Vec<(bool, u8, bool, f64, usize)> = shares
            .filter(|share| share.weight > 0 && able(&share.deployment))
            .map(|share| {
                let deployment = &self.catalog.deployments[share.deployment];
                let cools = is_cooling(deployment);
                let score = match self.preferred == Some(share.deployment) && !is_busy(deployment) {
                    true => f64::INFINITY,
                    false => score(seed, &deployment.name, share.weight),
                };
                (cools, share.priority, false, score, share.deployment)
            })
            .collect();
        self.pass_over_loaded(&mut order);
        order.sort_by(|one, other| {
            (one.0, one.1, one.2).cmp(&(other.0, other.1, other.2)).then(other.3.total_cmp(&one.3))
        });
        order.into_iter().map(|(.., index)| index).collect()
    }

    /// Marks those that have more under way than `affinity_load` lets requests that stay together add to (consistent
    /// hashing with bounded loads). One in each priority always has less.
    fn pass_over_loaded(&self, order: &mut [(bool, u8, bool, f64, usize)]) {
        let Some(load) = self.model.affinity_load else { return };
        if self.affinity.is_none() && self.preferred.is_none() {
            return;
        }
        let weight = |index: usize| {
            let share = self.model.shares.iter().find(|share| share.deployment == index);
            share.map_or(0.0, |share| f64::from(share.weight))
        };
        let under_way: Vec<f64> = order
            .iter()
            .map(|it| {
                let key = key("slots", &self.catalog.deployments[it.4]);
                f64::from(slots::look(&key).in_use)
            })
            .collect();
        let all_of: Vec<(bool, u8, usize)> = order.iter().map(|it| (it.0, it.1, it.4)).collect();
        for (at, it) in order.iter_mut().enumerate() {
            let (mut all, mut weights) = (1.0, 0.0);
            let beside =
                all_of.iter().zip(&under_way).filter(|(one, _)| (one.0, one.1) == (it.0, it.1));
            for (one, running) in beside {
                all += running;
                weights += weight(one.2);
            }
            it.2 = under_way[at] >= (load * all * weight(it.4) / weights).ceil();
        }
    }

    /// Takes the request from the deployment's limits. `None` if one has no room.
    fn reserve(&self, index: usize, full: &mut Full) -> Option<Option<Reserved>> {
        let deployment = &self.catalog.deployments[index];
        if deployment.requests_per_minute == Some(0) || deployment.tokens_per_minute == Some(0) {
            // It is sent nothing, and nobody knows when that changes.
            return None;
        }
        if deployment.requests_per_minute.or(deployment.tokens_per_minute).is_none() {
            return Some(None);
        }
        let (requests, tokens) = (key("requests", deployment), key("tokens", deployment));
        let mut quotas = Vec::new();
        if let Some(limit) = deployment.requests_per_minute {
            quotas.push(per_minute(&requests, limit, 1));
        }
        if let Some(limit) = deployment.tokens_per_minute {
            // A request that is larger than the limit is sent when the bucket is full.
            quotas.push(per_minute(&tokens, limit, self.tokens.clamp(1, limit)));
        }
        let reservations = match limiter::reserve(&quotas) {
            Ok(reservations) => reservations,
            Err(error) => {
                log::warn!("the limits of deployment {} are not checked: {error}", deployment.name);
                return Some(None);
            }
        };
        let refused = reservations.iter().filter(|it| !it.allowed);
        if let Some(wait) = refused.filter_map(|it| it.retry_after).max() {
            full.retry_after = soonest(full.retry_after, Some(wait));
            return None;
        }
        let tokens = deployment.tokens_per_minute.and_then(|limit| {
            let last = reservations.last()?;
            let tokens = self.tokens.clamp(1, limit);
            Some(Reserved { deployment: index, taken: last.taken, tokens })
        });
        Some(tokens)
    }
}

impl Reserved {
    /// Puts right what was estimated. A deployment that was not asked in the end is given everything back.
    pub(crate) fn settle(&self, catalog: &Catalog, used: u64) {
        let Some(deployment) = catalog.deployments.get(self.deployment) else { return };
        let Some(limit) = deployment.tokens_per_minute else { return };
        let by = i64::try_from(i128::from(used) - i128::from(self.tokens)).unwrap_or(i64::MAX);
        if by == 0 {
            return;
        }
        let key = key("tokens", deployment);
        let quota = per_minute(&key, limit, 0);
        if let Err(error) = limiter::settle(&[Settlement { quota, taken: self.taken, by }]) {
            log::warn!("the estimate for deployment {} stays: {error}", deployment.name);
        }
    }
}

/// How long a deployment is remembered by the beginning of a prompt: about as long as providers keep theirs.
const REMEMBERED: Duration = Duration::from_secs(600);

/// One request of so many goes where it would go without a memory, so that others get to know the prompt too.
const EXPLORED: u64 = 100;

/// The most beginnings of a prompt that are looked up, or remembered.
const BEGINNINGS: usize = 8;

/// The deployment that was given the longest beginning of this prompt. `prefix` has a number for each beginning, the
/// shortest first.
pub(crate) fn remembered(catalog: &Catalog, model: &Model, prefix: &[u64]) -> Option<usize> {
    if prefix.is_empty() || random::number().is_multiple_of(EXPLORED) {
        return None;
    }
    let name = prefix
        .iter()
        .rev()
        .take(BEGINNINGS)
        .find_map(|number| key_value::get(&beginning(model, *number)))?;
    let is_it = |share: &&crate::catalog::Share| {
        catalog.deployments[share.deployment].name.as_bytes() == name
    };
    model.shares.iter().find(is_it).map(|share| share.deployment)
}

/// Remembers who was given this prompt.
pub(crate) fn remember(deployment: &Deployment, model: &Model, prefix: &[u64]) {
    for number in prefix.iter().rev().take(BEGINNINGS) {
        let name = deployment.name.as_bytes();
        // Without room for it, the next request goes where it would without a memory.
        let _no_room = key_value::set(&beginning(model, *number), name, Some(REMEMBERED));
    }
}

fn beginning(model: &Model, number: u64) -> String {
    format!("prompt:{}:{number:016x}", model.name)
}

/// Passes a deployment over for a while.
pub(crate) fn cool_down(deployment: &Deployment, time: Duration) {
    if let Err(error) = key_value::set(&key("cool", deployment), b"", Some(time)) {
        log::warn!("deployment {} does not cool down: {error}", deployment.name);
    }
}

/// Whether as many requests are under way as may be, or others wait.
fn is_busy(deployment: &Deployment) -> bool {
    deployment.concurrency.as_ref().is_some_and(|slots| {
        let now = slots::look(&key("slots", deployment));
        now.in_use >= slots.limit || now.waiting > 0
    })
}

/// Takes a slot, where the deployment has some.
fn takes_slot(deployment: &Deployment) -> bool {
    let limit = match &deployment.concurrency {
        Some(slots) => slots.limit,
        // A slot that is always free counts its requests until they end.
        None if deployment.is_counted => u32::MAX,
        None => return true,
    };
    match slots::take(&key("slots", deployment), limit) {
        Ok(Taken::Yes(_)) => true,
        Ok(Taken::No(_)) => false,
        Err(error) => {
            log::warn!("deployment {}: {error}", deployment.name);
            true
        }
    }
}

/// Gives the slot at a deployment back that is not asked, or not any more.
pub(crate) fn leave(deployment: &Deployment) {
    if deployment.concurrency.is_none() && !deployment.is_counted {
        return;
    }
    if let Err(error) = slots::give_back(&key("slots", deployment)) {
        log::warn!("deployment {} has its slot back late: {error}", deployment.name);
    }
}

fn is_cooling(deployment: &Deployment) -> bool {
    key_value::get(&key("cool", deployment)).is_some()
}

fn key(kind: &str, deployment: &Deployment) -> String {
    [kind, ":", &deployment.name].concat()
}

fn per_minute(key: &str, limit: u64, cost: u64) -> Quota<'_> {
    let window = Window::Bucket { period: Duration::from_secs(60), burst: limit };
    Quota { key, limit, window, cost }
}

/// Weighted rendezvous hashing: of all deployments the one with the highest score has the request, each for its part of
/// the numbers, and only what belonged to one that is gone moves.
fn score(seed: u64, name: &str, weight: u32) -> f64 {
    let hash = hash(seed, name.as_bytes());
    #[expect(clippy::cast_precision_loss, reason = "53 bits of the hash are kept")]
    let unit = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    f64::from(weight) / -unit.ln()
}

/// FNV-1a with a finish that spreads all bits (that of SplitMix64).
pub(crate) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = seed ^ 0xcbf2_9ce4_8422_2325;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
