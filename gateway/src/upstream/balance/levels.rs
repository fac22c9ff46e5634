//! Which priority a request is for.
//!
//! Owns the share of requests that each level gets: all go to the first one while enough of it is healthy, and the
//! rest to the next. Must not choose a target.

use crate::config;

/// Parts of the requests.
const ALL: u64 = 1000;

#[derive(Debug)]
pub(super) struct Levels {
    /// The level of each target.
    of: Box<[usize]>,
    /// Their priorities, the first one to be asked first.
    priorities: Box<[u8]>,
    /// In hundredths: how much more than its share a level can take.
    overprovisioning: u64,
}

impl Levels {
    /// `None` where all targets have one priority.
    pub(super) fn new(upstream: &config::Upstream) -> Option<Self> {
        let mut priorities: Vec<u8> = upstream.targets.iter().map(|it| it.priority).collect();
        priorities.sort_unstable();
        priorities.dedup();
        let level = |target: &config::Target| {
            priorities.iter().position(|priority| *priority == target.priority).unwrap_or_default()
        };
        let of = upstream.targets.iter().map(level).collect();
        let overprovisioning = u64::from(upstream.overprovisioning);
        let levels = Self { of, priorities: priorities.into(), overprovisioning };
        (levels.priorities.len() > 1).then_some(levels)
    }

    pub(super) fn count(&self) -> usize {
        self.priorities.len()
    }

    /// The priorities of all levels.
    pub(super) fn all(&self) -> impl Iterator<Item = u8> {
        self.priorities.iter().copied()
    }

    pub(super) fn is_of(&self, target: usize, level: usize) -> bool {
        self.of[target] == level
    }

    /// The level that a request goes to.
    pub(super) fn pick(
        &self,
        weight: impl Fn(usize) -> i64,
        is_up: impl Fn(usize) -> bool,
        random: impl Fn() -> usize,
    ) -> usize {
        let health = |level: usize| self.health(level, &weight, &is_up);
        if health(0) == ALL {
            return 0;
        }
        // Where all together cannot take all, each takes more, in the same proportion.
        let total = (0..self.count()).map(health).sum::<u64>().min(ALL);
        if total == 0 {
            return 0;
        }
        let mut drawn = random() as u64 % total;
        for level in 0..self.count() {
            let share = health(level);
            if drawn < share {
                return level;
            }
            drawn -= share;
        }
        self.count() - 1
    }

    /// What a level can take, in parts of all requests.
    fn health(
        &self,
        level: usize,
        weight: &impl Fn(usize) -> i64,
        is_up: &impl Fn(usize) -> bool,
    ) -> u64 {
        let (mut up, mut all) = (0, 0);
        for target in (0..self.of.len()).filter(|target| self.of[*target] == level) {
            let weight = u64::try_from(weight(target)).unwrap_or_default();
            all += weight;
            up += if is_up(target) { weight } else { 0 };
        }
        let can_take = (up * self.overprovisioning * ALL / 100).checked_div(all);
        can_take.unwrap_or_default().min(ALL)
    }
}
