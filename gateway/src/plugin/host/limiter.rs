//! `gateway:plugin/limiter`: token buckets and windows, shared by all workers and the plugin's own.

use std::borrow::Cow;

use super::functions::Functions;
use super::{Context, HasToWait, HostState};
use crate::plugin::bindings::{
    CalendarUnit, Charge, LimiterError, Quota, Reservation, Settlement, SlidingQuota, Verdict,
    Window,
};
use crate::state::limits::calendar::{Unit, Zone};
use crate::state::limits::{self, quotas};
use crate::state::redis::Unavailable;
use crate::usage::CONSUMER;
use smallvec::SmallVec;

const MAX_CHARGES: usize = 16;
const MAX_KEY: usize = 1 << 10;

type Reserved = Result<Vec<Reservation>, LimiterError>;
type Settled = Result<(), LimiterError>;

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap("take", |store: Context<'_>, (charges,): (Vec<Charge>,)| {
        Ok((store.data().take(charges),))
    })?;
    linker.func_wrap("reserve", |store: Context<'_>, (quotas,): (Vec<Quota>,)| {
        Ok((store.data().reserve(to_quotas(&quotas)),))
    })?;
    linker.func_wrap(
        "reserve-sliding",
        |store: Context<'_>, (quotas,): (Vec<SlidingQuota>,)| {
            Ok((store.data().reserve(to_sliding(&quotas)),))
        },
    )?;
    linker.func_wrap("settle", |store: Context<'_>, (settlements,): (Vec<Settlement>,)| {
        Ok((store.data().settle(&settlements),))
    })?;
    link_time_zones(linker)
}

/// Buckets in a store that several gateways share, for whose answer the hook waits.
pub(super) fn link_shared(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    link_shared_calls(&mut linker.of_limiter())?;
    link_time_zones(linker)
}

fn link_shared_calls(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap_async("take", |mut store: Context<'_>, (charges,): (Vec<Charge>,)| {
        // Nearly every check with a lease: it has no need of a future that can wait.
        if let Some(answer) = store.data().take_at_once(&charges) {
            return Box::new(std::future::ready(Ok((answer,))));
        }
        Box::new(async move {
            let Some(shared) = store.data().identity.stores.shared_limits.clone() else {
                return Ok((Err(LimiterError::Unavailable),));
            };
            let charges: SmallVec<[_; 1]> = charges.iter().map(to_state).collect();
            store.data_mut().budget.pause();
            let verdicts = shared.take(&charges).await;
            resume(&mut store);
            store.data().note_shared(charges.iter().map(quotas::Quota::of));
            let verdicts = verdicts.map_err(|Unavailable| LimiterError::Unavailable);
            Ok((verdicts.map(|it| it.into_iter().map(from_state).collect::<Vec<_>>()),))
        })
    })?;
    linker.func_wrap_async("reserve", |mut store: Context<'_>, (quotas,): (Vec<Quota>,)| {
        Box::new(async move { Ok((reserve_shared(&mut store, to_quotas(&quotas)).await,)) })
    })?;
    linker.func_wrap_async(
        "reserve-sliding",
        |mut store: Context<'_>, (quotas,): (Vec<SlidingQuota>,)| {
            Box::new(async move { Ok((reserve_shared(&mut store, to_sliding(&quotas)).await,)) })
        },
    )?;
    linker.func_wrap_async(
        "settle",
        |mut store: Context<'_>, (settlements,): (Vec<Settlement>,)| {
            Box::new(async move {
                let Some(shared) = store.data().identity.stores.shared_limits.clone() else {
                    return Ok((Settled::Err(LimiterError::Unavailable),));
                };
                let Some(settlements) = to_settlements(&settlements) else {
                    return Ok((Err(LimiterError::Invalid),));
                };
                store.data().note_order();
                store.data_mut().budget.pause();
                let settled = shared.settle(&settlements).await;
                resume(&mut store);
                Ok((settled.map_err(|Unavailable| LimiterError::Unavailable),))
            })
        },
    )
}

/// The same store, where permits were taken ahead of the hook: what they do not answer ends it.
pub(super) fn link_at_once(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    link_calls_at_once(&mut linker.of_limiter())?;
    link_time_zones(linker)
}

fn link_calls_at_once(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap("take", |store: Context<'_>, (charges,): (Vec<Charge>,)| {
        let state = store.data();
        if let Some(answer) = state.take_at_once(&charges) {
            return Ok((answer,));
        }
        state.must_be_called_again()?;
        Ok((state.take_without_store(&charges),))
    })?;
    linker.func_wrap("reserve", |store: Context<'_>, (_,): (Vec<Quota>,)| {
        store.data().must_be_called_again()?;
        Ok((Reserved::Err(LimiterError::Unavailable),))
    })?;
    linker.func_wrap("reserve-sliding", |store: Context<'_>, (_,): (Vec<SlidingQuota>,)| {
        store.data().must_be_called_again()?;
        Ok((Reserved::Err(LimiterError::Unavailable),))
    })?;
    linker.func_wrap("settle", |store: Context<'_>, (_,): (Vec<Settlement>,)| {
        store.data().must_be_called_again()?;
        Ok((Settled::Err(LimiterError::Unavailable),))
    })
}

async fn reserve_shared(
    store: &mut Context<'_>,
    quotas: Option<Vec<quotas::Quota<'_>>>,
) -> Reserved {
    let shared = store.data().identity.stores.shared_limits.clone();
    let shared = shared.ok_or(LimiterError::Unavailable)?;
    let quotas = quotas.ok_or(LimiterError::Invalid)?;
    store.data().note_order();
    store.data_mut().budget.pause();
    let reserved = shared.reserve(&quotas).await;
    store.data().note_shared(quotas.iter().copied());
    resume(store);
    let reserved = reserved.map_err(|Unavailable| LimiterError::Unavailable)?;
    Ok(reserved.into_iter().map(from_reservation).collect())
}

/// The epoch went on while the hook waited, and waiting is not computing.
fn resume(store: &mut Context<'_>) {
    let look = store.data_mut().budget.resume();
    store.set_epoch_deadline(look);
}

/// For a plugin whose interest promises that it never waits.
pub(super) fn link_refusing(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    fn refused<T>(name: &str) -> wasmtime::Result<T> {
        wasmtime::bail!("it called `limiter.{name}`, although its interest says `never-waits`")
    }
    linker.func_wrap("take", |_: Context<'_>, (_,): (Vec<Charge>,)| {
        refused::<(Result<Vec<Verdict>, LimiterError>,)>("take")
    })?;
    linker.func_wrap("reserve", |_: Context<'_>, (_,): (Vec<Quota>,)| {
        refused::<(Reserved,)>("reserve")
    })?;
    linker.func_wrap("reserve-sliding", |_: Context<'_>, (_,): (Vec<SlidingQuota>,)| {
        refused::<(Reserved,)>("reserve-sliding")
    })?;
    linker.func_wrap("settle", |_: Context<'_>, (_,): (Vec<Settlement>,)| {
        refused::<(Settled,)>("settle")
    })?;
    link_time_zones(linker)
}

fn link_time_zones(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.same_each_time("check-time-zone", |_: Context<'_>, (name,): (String,)| {
        Ok((match Zone::of(&name) {
            Some(_) => Ok(()),
            None => Err(Zone::nearest(&name)),
        },))
    })
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

    /// The answer of a shared store that nobody has to wait for: permits that were taken ahead, or a refusal.
    fn take_at_once(&self, charges: &[Charge]) -> Option<Result<Vec<Verdict>, LimiterError>> {
        let Some(shared) = &self.identity.stores.shared_limits else {
            return Some(Err(LimiterError::Unavailable));
        };
        if !are_valid(charges) {
            return Some(Err(LimiterError::Invalid));
        }
        self.note_order();
        let charges: SmallVec<[_; 1]> = charges.iter().map(to_state).collect();
        let verdicts = shared.take_leased(&charges)?;
        self.note_shared(charges.iter().map(quotas::Quota::of));
        Some(Ok(verdicts.into_iter().map(from_state).collect()))
    }

    /// Notes whether the hook had asked or told anything before, so that it cannot be called again.
    fn note_order(&self) {
        if self.was_impure.get()
            && let Some(shared) = &self.identity.stores.shared_limits
        {
            shared.is_not_asked_first();
        }
    }

    /// Ends the hook, if all that it did so far can be done again. If it cannot, the store is as good as away for
    /// this call: plugins that ask or tell something before they ask the limiter are called where they can wait, and
    /// only one that did not do so before comes here.
    fn must_be_called_again(&self) -> Result<(), HasToWait> {
        if self.was_impure.get() { Ok(()) } else { Err(HasToWait) }
    }

    #[cold]
    fn take_without_store(&self, charges: &[Charge]) -> Result<Vec<Verdict>, LimiterError> {
        let shared = &self.identity.stores.shared_limits;
        let shared = shared.as_ref().ok_or(LimiterError::Unavailable)?;
        let charges: SmallVec<[_; 1]> = charges.iter().map(to_state).collect();
        let verdicts = shared.take_without_store(&charges);
        let verdicts = verdicts.map_err(|Unavailable| LimiterError::Unavailable)?;
        Ok(verdicts.into_iter().map(from_state).collect())
    }

    fn reserve(&self, quotas: Option<Vec<quotas::Quota<'_>>>) -> Reserved {
        let quotas = quotas.ok_or(LimiterError::Invalid)?;
        let reserved = self.identity.stores.quotas.reserve(&quotas, || self.consumer());
        Ok(reserved.into_iter().map(from_reservation).collect())
    }

    fn settle(&self, settlements: &[Settlement]) -> Settled {
        let settlements = to_settlements(settlements).ok_or(LimiterError::Invalid)?;
        self.identity.stores.quotas.settle(&settlements);
        Ok(())
    }

    /// Notes what the consumer has in a store that several gateways share.
    fn note_shared<'a>(&self, quotas: impl ExactSizeIterator<Item = quotas::Quota<'a>> + Clone) {
        if let Some(consumer) = self.consumer() {
            self.identity.stores.limits.note_shared(&consumer, quotas);
        }
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

/// `None` if there are too many, or one is not valid.
fn to_quotas(quotas: &[Quota]) -> Option<Vec<quotas::Quota<'_>>> {
    if quotas.len() > MAX_CHARGES {
        return None;
    }
    quotas.iter().map(to_quota).collect()
}

/// The same with those that slide.
fn to_sliding(quotas: &[SlidingQuota]) -> Option<Vec<quotas::Quota<'_>>> {
    if quotas.len() > MAX_CHARGES {
        return None;
    }
    quotas.iter().map(|it| slide(to_quota(&it.quota)?, it.slides)).collect()
}

/// Of windows only those of a fixed length slide.
fn slide(quota: quotas::Quota<'_>, slides: bool) -> Option<quotas::Quota<'_>> {
    match quota.window {
        _ if !slides => Some(quota),
        quotas::Window::Fixed(length) => {
            Some(quotas::Quota { window: quotas::Window::Sliding(length), ..quota })
        }
        _ => None,
    }
}

fn to_settlements(settlements: &[Settlement]) -> Option<Vec<quotas::Settlement<'_>>> {
    if settlements.len() > MAX_CHARGES {
        return None;
    }
    settlements
        .iter()
        .map(|Settlement { quota, taken, by }| {
            let quota = slide(to_quota(quota)?, taken & quotas::SLIDING > 0)?;
            Some(quotas::Settlement { quota, taken: *taken, by: *by })
        })
        .collect()
}

fn to_quota(quota: &Quota) -> Option<quotas::Quota<'_>> {
    let Quota { key, limit, window, cost } = quota;
    let window = match window {
        Window::Bucket(bucket) => {
            quotas::Window::Bucket { period: bucket.period, burst: bucket.burst }
        }
        Window::Fixed(length) => quotas::Window::Fixed(*length),
        Window::Calendar(calendar) => {
            quotas::Window::Calendar(to_unit(calendar.unit), Zone::of(&calendar.time_zone)?)
        }
    };
    let is_valid = key.len() <= MAX_KEY && window.is_valid(*limit);
    is_valid.then_some(quotas::Quota { key, limit: *limit, window, cost: *cost })
}

fn to_unit(unit: CalendarUnit) -> Unit {
    match unit {
        CalendarUnit::Hour => Unit::Hour,
        CalendarUnit::Day => Unit::Day,
        CalendarUnit::Week => Unit::Week,
        CalendarUnit::Month => Unit::Month,
        CalendarUnit::Year => Unit::Year,
    }
}

fn from_reservation(reservation: quotas::Reservation) -> Reservation {
    let quotas::Reservation { verdict, length, taken } = reservation;
    let limits::Verdict { allowed, remaining, reset, retry_after } = verdict;
    Reservation { allowed, remaining, reset, retry_after, length, taken }
}
