//! How far a response is read when its client has left, as its plugins want it.
//!
//! Owns what holds where several plugins ask. Reading it is the exchange's.

use std::sync::Arc;

use super::Run;
use crate::plugin::Drain;
use crate::telemetry::metrics::DrainCounts;

/// How far a response is read, and where that is counted.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) drain: Drain,
    /// Those of the plugin that asked first.
    pub(crate) counts: Arc<DrainCounts>,
}

impl Run {
    /// How far the response is to be read without its client, if it is.
    pub(crate) fn wanted_drain(&self) -> Option<Wanted> {
        let drains = self.drains.borrow();
        let (first, _) = drains.first()?;
        let drain = drains.iter().map(|(_, drain)| *drain).reduce(Drain::or)?;
        Some(Wanted { drain, counts: self.pool(*first).plugin().drains() })
    }

    /// The plugin wants that now.
    pub(super) fn drains_for(&self, index: usize, drain: Drain) {
        let mut drains = self.drains.borrow_mut();
        drains.retain(|(other, _)| *other != index);
        if !drain.is_none() {
            drains.push((index, drain));
        }
    }
}
