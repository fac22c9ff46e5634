//! What plugins add to one exchange.
//!
//! Owns the bound on its names, and that what is added after the exchange ended, in `on-complete`,
//! still goes to the same row. Must not know Wasm.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::cells::Cells;
use super::names::CounterId;
use super::table::{Dimensions, Sums};

/// Names that one exchange may have.
const MAX_NAMES: usize = 16;
/// An amount goes so far both ways: in a float, in JSON and in a sum of thousands it is exact.
pub(super) const MAX_AMOUNT: i64 = (1 << 53) - 1;

/// Amounts by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Amounts(Vec<(CounterId, i64)>);

impl Amounts {
    /// Whether there is no room for another name.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= MAX_NAMES
    }

    /// Adds. `false` if there is no room for the name.
    pub(crate) fn add(&mut self, name: CounterId, amount: i64) -> bool {
        if let Some((_, sum)) = self.0.iter_mut().find(|(known, _)| *known == name) {
            *sum = bounded(sum.saturating_add(amount));
            return true;
        }
        let has_room = !self.is_full();
        if has_room {
            self.0.push((name, bounded(amount)));
        }
        has_room
    }
}

/// An amount within its bounds.
pub(super) fn bounded(amount: i64) -> i64 {
    amount.clamp(-MAX_AMOUNT, MAX_AMOUNT)
}

/// What the plugins of one exchange added.
#[derive(Debug, Default)]
pub(crate) struct OfExchange(RefCell<Stage>);

#[derive(Debug)]
enum Stage {
    /// It continues. `None` for nothing, which takes no memory.
    Open(Option<Box<Amounts>>),
    /// It is recorded, and so is what follows. The names so far count towards the bound.
    Recorded { cells: Rc<Cells>, place: Dimensions, names: Option<Box<Amounts>> },
}

impl Default for Stage {
    fn default() -> Self {
        Self::Open(None)
    }
}

impl OfExchange {
    /// Takes what a hook added, and returns for how many names there was no room. `consumer` is asked
    /// only where the exchange has ended.
    pub(crate) fn add<'a>(
        &self,
        added: Box<Amounts>,
        consumer: impl FnOnce() -> Option<Cow<'a, str>>,
    ) -> usize {
        let count = added.0.len();
        let amounts = match &mut *self.0.borrow_mut() {
            Stage::Open(none @ None) => {
                *none = Some(added);
                return 0;
            }
            Stage::Open(Some(all)) => merge(all, *added),
            Stage::Recorded { cells, place, names } => {
                let amounts = merge(names.get_or_insert_default(), *added);
                if !amounts.is_empty() {
                    let sums = Sums { amounts: amounts.clone(), ..Sums::default() };
                    cells.add(*place, consumer().as_deref().unwrap_or_default(), sums);
                }
                amounts
            }
        };
        count - amounts.len()
    }

    /// The names so far, one bit for each.
    pub(crate) fn names(&self) -> u64 {
        match &*self.0.borrow() {
            Stage::Open(amounts) | Stage::Recorded { names: amounts, .. } => {
                let numbers = amounts.iter().flat_map(|amounts| &amounts.0);
                numbers.fold(0, |names, (number, _)| names | 1_u64.wrapping_shl(u32::from(*number)))
            }
        }
    }

    /// What was added so far under a name.
    pub(crate) fn amount(&self, name: CounterId) -> Option<i64> {
        match &*self.0.borrow() {
            Stage::Open(amounts) | Stage::Recorded { names: amounts, .. } => {
                let mut amounts = amounts.iter().flat_map(|amounts| &amounts.0);
                amounts.find(|(number, _)| *number == name).map(|(_, amount)| *amount)
            }
        }
    }

    /// What was added so far, by the numbers of names.
    pub(crate) fn so_far(&self) -> Option<Arc<[(CounterId, i64)]>> {
        match &*self.0.borrow() {
            Stage::Open(amounts) | Stage::Recorded { names: amounts, .. } => {
                amounts.as_ref().map(|amounts| amounts.0.as_slice().into())
            }
        }
    }

    /// The exchange ended, and is recorded with what was added. `goes_on`: more may be added.
    pub(crate) fn record(
        &self,
        cells: &Rc<Cells>,
        place: Dimensions,
        consumer: Option<Cow<'_, str>>,
        mut sums: Sums,
        goes_on: bool,
    ) {
        let stage = &mut *self.0.borrow_mut();
        let Stage::Open(amounts) = stage else { return };
        let names = amounts.take();
        if let Some(amounts) = &names {
            sums.amounts.clone_from(&amounts.0);
        }
        cells.add(place, consumer.as_deref().unwrap_or_default(), sums);
        if goes_on {
            *stage = Stage::Recorded { cells: Rc::clone(cells), place, names };
        }
    }
}

/// Adds to what is there. Returns what there was room for.
fn merge(all: &mut Amounts, added: Amounts) -> Vec<(CounterId, i64)> {
    let mut taken = added.0;
    taken.retain(|(name, amount)| all.add(*name, *amount));
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_amounts_are_bounded() {
        let mut amounts = Amounts::default();
        for name in 0..16 {
            assert!(amounts.add(name, 1));
        }
        assert!(!amounts.add(16, 1) && amounts.add(3, i64::MAX) && amounts.add(4, i64::MIN));
        assert!(amounts.add(3, i64::MAX));
        assert_eq!((amounts.0[3].1, amounts.0[4].1), (MAX_AMOUNT, -MAX_AMOUNT));
    }
}
