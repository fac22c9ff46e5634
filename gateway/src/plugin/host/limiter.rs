//! `gateway:plugin/limiter`: the token buckets, shared by all workers and the plugin's own.

use super::functions::Functions;
use super::{Context, HostState};
use crate::plugin::bindings::{Charge, LimiterError, Verdict};
use crate::state::limits;
use smallvec::SmallVec;

const MAX_CHARGES: usize = 16;
const MAX_KEY: usize = 1 << 10;

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap("take", |store: Context<'_>, (charges,): (Vec<Charge>,)| {
        Ok((store.data().take(charges),))
    })
}

impl HostState {
    fn take(&self, charges: Vec<Charge>) -> Result<Vec<Verdict>, LimiterError> {
        if charges.len() > MAX_CHARGES || !charges.iter().all(is_valid) {
            return Err(LimiterError::Invalid);
        }
        let charges: SmallVec<[_; 1]> = charges.iter().map(to_state).collect();
        let verdicts = self.identity.stores.limits.take(&charges);
        Ok(verdicts.into_iter().map(from_state).collect())
    }
}

fn is_valid(charge: &Charge) -> bool {
    charge.key.len() <= MAX_KEY && charge.limit > 0 && charge.period > 0 && charge.burst > 0
}

fn to_state(charge: &Charge) -> limits::Charge<'_> {
    limits::Charge {
        key: &charge.key,
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
