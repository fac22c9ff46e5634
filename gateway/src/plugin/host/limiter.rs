//! `gateway:plugin/limiter`: the shared token buckets, under keys of the plugin's own.

use smallvec::SmallVec;
use wasmtime::component::LinkerInstance;

use super::{Context, HostState};
use crate::plugin::bindings::{Charge, LimiterError, Verdict};
use crate::state::limits;

const MAX_CHARGES: usize = 16;
const MAX_KEY: usize = 1 << 10;

pub(super) fn link(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    linker.func_wrap("take", |store: Context<'_>, (charges,): (Vec<Charge>,)| {
        Ok((store.data().take(charges),))
    })
}

impl HostState {
    fn take(&self, charges: Vec<Charge>) -> Result<Vec<Verdict>, LimiterError> {
        self.reaches_out();
        if charges.len() > MAX_CHARGES || !charges.iter().all(is_valid) {
            return Err(LimiterError::Invalid);
        }
        // No name holds a NUL, so that no two plugins can meet under one key.
        let own = |charge: &Charge| [&*self.identity.name, "\0", &charge.key].concat();
        let keys: SmallVec<[String; 1]> = charges.iter().map(own).collect();
        let charges: SmallVec<[_; 1]> = charges.iter().zip(&keys).map(to_state).collect();
        let verdicts = self.identity.state.limits.take(&charges);
        let verdicts = verdicts.map_err(|limits::Full| LimiterError::Unavailable)?;
        Ok(verdicts.into_iter().map(from_state).collect())
    }
}

fn is_valid(charge: &Charge) -> bool {
    charge.key.len() <= MAX_KEY && charge.limit > 0 && charge.period > 0 && charge.burst > 0
}

fn to_state<'a>((charge, key): (&Charge, &'a String)) -> limits::Charge<'a> {
    limits::Charge {
        key,
        limit: charge.limit,
        period: charge.period,
        burst: charge.burst,
        cost: charge.cost,
    }
}

fn from_state(verdict: limits::Verdict) -> Verdict {
    Verdict {
        allowed: verdict.allowed,
        remaining: verdict.remaining,
        reset: verdict.reset,
        retry_after: verdict.retry_after,
    }
}
