//! Which target a request goes to.
//!
//! Owns the order in which the targets of one upstream take their turns, for one worker: weights, open
//! requests, latencies, keys, and which targets are to be left out. `levels` says which priority is asked, `load`
//! what a target is busy with, `maglev` whose a key is. Who is healthy is said by [`crate::health`].
//! A choice takes no lock and allocates nothing.

mod levels;
mod load;
mod maglev;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use self::levels::Levels;
use self::load::Load;
pub(super) use self::load::Open;
use self::maglev::Table;
use crate::config;
use crate::health::{UpstreamHealth, WHOLE};

/// Targets that a request has been refused by already, and what it is hashed by.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tried {
    targets: smallvec::SmallVec<[usize; 4]>,
    pub(super) key: Option<u64>,
}

/// How a target is chosen.
#[derive(Debug)]
pub(super) struct Balance {
    targets: RefCell<Vec<WeightedTarget>>,
    kind: Kind,
    /// Where targets have different priorities.
    levels: Option<Levels>,
    random: Cell<u64>,
}

#[derive(Debug)]
enum Kind {
    RoundRobin,
    /// What each target is busy with, of this worker.
    LeastRequests(Rc<[Load]>),
    PeakEwma(Rc<[Load]>),
    /// A table for each level.
    Hash(Box<[Table]>),
}

#[derive(Debug)]
struct WeightedTarget {
    weight: i64,
    /// What the target has been owed, less what it got, in parts of the total weight.
    credit: i64,
}

impl Tried {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(super) fn push(&mut self, target: usize) {
        self.targets.push(target);
    }

    pub(super) fn clear(&mut self) {
        self.targets.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.targets.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    pub(super) fn contains(&self, target: usize) -> bool {
        self.targets.contains(&target)
    }
}

impl Balance {
    /// `skip` is how many turns are over already; workers that begin at different turns do not
    /// send their requests to the same target all at the same time.
    pub(super) fn new(upstream: &config::Upstream, skip: u32) -> Self {
        let weighted = |target: &config::Target| WeightedTarget {
            weight: i64::from(target.weight),
            credit: 0,
        };
        let targets: Vec<_> = upstream.targets.iter().map(weighted).collect();
        let loads = || targets.iter().map(|_| Load::default()).collect();
        let levels = Levels::new(upstream);
        let kind = match upstream.balance {
            _ if targets.len() == 1 => Kind::RoundRobin,
            config::Balance::RoundRobin => Kind::RoundRobin,
            config::Balance::LeastRequests => Kind::LeastRequests(loads()),
            config::Balance::PeakEwma => Kind::PeakEwma(loads()),
            config::Balance::ConsistentHash => {
                let of_level = |level: Option<u8>| {
                    Table::new(upstream.targets.iter().map(|target| {
                        let is_of = level.is_none_or(|level| level == target.priority);
                        (target.authority.as_str(), if is_of { target.weight } else { 0 })
                    }))
                };
                Kind::Hash(match &levels {
                    None => [of_level(None)].into(),
                    Some(levels) => levels.all().map(|level| of_level(Some(level))).collect(),
                })
            }
        };
        let random = Cell::new(0x9e37_79b9_7f4a_7c15 ^ u64::from(skip));
        let balance = Self { targets: RefCell::new(targets), kind, levels, random };
        for _ in 0..skip {
            let _turn = balance.take_turn(&|_| true, None);
        }
        balance
    }

    /// Whether any target that is there may be chosen: there are several, no key decides, and none has priority.
    pub(super) fn is_free(&self) -> bool {
        let is_hashed = matches!(self.kind, Kind::Hash(_));
        self.targets.borrow().len() > 1 && self.levels.is_none() && !is_hashed
    }

    /// The next target that may be chosen; `None` if none may. `key`: what the request is hashed by. Without
    /// `health` all are taken for healthy.
    pub(super) fn choose(
        &self,
        key: Option<u64>,
        health: Option<&UpstreamHealth>,
        may: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let Some(levels) = &self.levels else { return self.choose_of(0, key, health, &may) };
        let first = {
            let targets = self.targets.borrow();
            let weights = |index: usize| targets[index].weight;
            levels.pick(
                weights,
                |index| health.is_none_or(|it| it.is_open(index)),
                || self.random(),
            )
        };
        // Where all of a level was tried or is away, the others are asked in their order.
        let others = (0..levels.count()).filter(|level| *level != first);
        std::iter::once(first).chain(others).find_map(|level| {
            self.choose_of(level, key, health, &|index| levels.is_of(index, level) && may(index))
        })
    }

    fn choose_of(
        &self,
        level: usize,
        key: Option<u64>,
        health: Option<&UpstreamHealth>,
        may: &impl Fn(usize) -> bool,
    ) -> Option<usize> {
        match (&self.kind, key) {
            (Kind::Hash(tables), Some(key)) => tables[level].find(key, may),
            (Kind::RoundRobin | Kind::Hash(_), _) => self.take_turn(may, health),
            (Kind::LeastRequests(loads), _) => {
                self.less_of_two(may, health, |index| loads[index].open())
            }
            (Kind::PeakEwma(loads), _) => {
                let now = load::now();
                self.less_of_two(may, health, |index| loads[index].cost(now))
            }
        }
    }

    /// The request goes to this target.
    pub(super) fn begin(&self, target: usize) -> Option<Open> {
        match &self.kind {
            Kind::LeastRequests(loads) => Some(Open::begin(loads, target, false)),
            Kind::PeakEwma(loads) => Some(Open::begin(loads, target, true)),
            Kind::RoundRobin | Kind::Hash(_) => None,
        }
    }

    /// Smooth weighted round robin: each target gets its share of every stretch of requests, and the
    /// turns of a heavy one are spread over it instead of following each other. One that has just begun has less
    /// than its weight.
    fn take_turn(
        &self,
        may: &impl Fn(usize) -> bool,
        health: Option<&UpstreamHealth>,
    ) -> Option<usize> {
        let mut targets = self.targets.borrow_mut();
        if targets.len() == 1 {
            return may(0).then_some(0);
        }
        let mut total = 0;
        let mut best: Option<(usize, i64)> = None;
        for (index, seat) in targets.iter_mut().enumerate() {
            // One without a weight is drained.
            if seat.weight == 0 || !may(index) {
                continue;
            }
            let weight = seat.weight * share(health, index);
            total += weight;
            seat.credit += weight;
            if best.is_none_or(|(_, credit)| seat.credit > credit) {
                best = Some((index, seat.credit));
            }
        }
        let (index, _) = best?;
        targets[index].credit -= total;
        Some(index)
    }

    /// The power of two choices: of two at random the one with less load for its weight. A slow target gets fewer,
    /// without that all go to the one that is least busy at the moment. The first is the one whose turn it is, so
    /// that weights hold where none is busy.
    fn less_of_two(
        &self,
        may: &impl Fn(usize) -> bool,
        health: Option<&UpstreamHealth>,
        load: impl Fn(usize) -> f64,
    ) -> Option<usize> {
        let first = self.take_turn(may, health)?;
        let targets = self.targets.borrow();
        let others = targets.len() - 1;
        let step = 1 + self.random() % others;
        let mut candidates = (0..others).map(|more| (first + step + more) % targets.len());
        let may = |index: &usize| *index != first && targets[*index].weight > 0 && may(*index);
        let Some(second) = candidates.find(may) else { return Some(first) };
        let weight = |index: usize| (targets[index].weight * share(health, index)) as f64;
        // load(second) / weight(second) < load(first) / weight(first), without a division.
        let is_less = load(second) * weight(first) < load(first) * weight(second);
        Some(if is_less { second } else { first })
    }

    /// A number that is random enough to choose a target (xorshift, Marsaglia 2003).
    fn random(&self) -> usize {
        let mut state = self.random.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.random.set(state);
        state as usize
    }
}

/// How much of its weight a target has now, in thousandths.
fn share(health: Option<&UpstreamHealth>, index: usize) -> i64 {
    i64::from(health.map_or(WHOLE, |health| health.share(index)))
}

#[cfg(test)]
mod tests;
