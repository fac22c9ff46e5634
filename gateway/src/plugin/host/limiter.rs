//! `gateway:plugin/limiter`: the token buckets, shared by all workers and the plugin's own.

use std::borrow::Cow;

use super::functions::Functions;
use super::{Context, HostState};
use crate::plugin::bindings::{Charge, LimiterError, Verdict};
use crate::state::limits;
use crate::state::redis::Unavailable;
use crate::usage::CONSUMER;
use smallvec::SmallVec;

const MAX_CHARGES: usize = 16;
const MAX_KEY: usize = 1 << 10;

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap("take", |store: Context<'_>, (charges,): (Vec<Charge>,)| {
        Ok((store.data().take(charges),))
    })
}

/// Buckets in a store that several gateways share, for whose answer the hook waits.
pub(super) fn link_shared(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap_async("take", |mut store: Context<'_>, (charges,): (Vec<Charge>,)| {
        Box::new(async move {
            let Some(shared) = store.data().identity.stores.shared_limits.clone() else {
                return Ok((Err(LimiterError::Unavailable),));
            };
            if !are_valid(&charges) {
                return Ok((Err(LimiterError::Invalid),));
            }
            store.data_mut().budget.pause();
            let charges: SmallVec<[_; 1]> = charges.iter().map(to_state).collect();
            let verdicts = shared.take(&charges).await;
            let data = store.data();
            if let Some(consumer) = data.consumer() {
                data.identity.stores.limits.note_shared(&consumer, &charges);
            }
            // The epoch went on while the hook waited, and waiting is not computing.
            let look = store.data_mut().budget.resume();
            store.set_epoch_deadline(look);
            let verdicts = verdicts.map_err(|Unavailable| LimiterError::Unavailable);
            Ok((verdicts.map(|it| it.into_iter().map(from_state).collect::<Vec<_>>()),))
        })
    })
}

/// For a plugin whose interest promises that it never waits.
pub(super) fn link_refusing(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "take",
        |_: Context<'_>,
         (_,): (Vec<Charge>,)|
         -> wasmtime::Result<(Result<Vec<Verdict>, LimiterError>,)> {
            wasmtime::bail!("it called `limiter.take`, although its interest says `never-waits`")
        },
    )
}

impl HostState {
    /// Who is served, as plugins before this one said.
    fn consumer(&self) -> Option<String> {
        self.heads.as_ref()?.attribute(CONSUMER).map(Cow::into_owned)
    }

    fn take(&self, charges: Vec<Charge>) -> Result<Vec<Verdict>, LimiterError> {
        if !are_valid(&charges) {
            return Err(LimiterError::Invalid);
        }
        let charges: SmallVec<[_; 1]> = charges.iter().map(to_state).collect();
        let verdicts = self.identity.stores.limits.take_for(&charges, || self.consumer());
        Ok(verdicts.into_iter().map(from_state).collect())
    }
}

fn are_valid(charges: &[Charge]) -> bool {
    charges.len() <= MAX_CHARGES && charges.iter().all(is_valid)
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
