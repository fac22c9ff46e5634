//! `gateway:plugin/metrics`: what the plugin records.
//!
//! A series is found by its name once for each instance, and then by its place in a list of the
//! instance's own: recording takes no lock and no hash.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::functions::Functions;
use super::{Context, HostState};
use crate::plugin::bindings::AlikeOut;
use crate::plugin::ends::{Counting, Of, RecordedEnd};
use crate::plugin::instance::{Hook as _, OnComplete};
use crate::telemetry::metrics::{Counter, Histogram, Key, Kind, NoSeries, Series};
use foldhash::fast::RandomState;

/// Bounds of a histogram.
const MAX_BOUNDS: usize = 32;
/// Those for seconds.
const SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Stands for every series that there was no room for.
const DROPPED: u32 = u32::MAX;

/// The series that an instance has asked for.
#[derive(Default)]
pub(crate) struct Recorder {
    /// Their places, by the one form of name and labels, which all instances share.
    places: HashMap<Arc<str>, u32, RandomState>,
    list: Vec<Arc<Series>>,
}

type Labels = Vec<(String, String)>;

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    type Named = (String, Labels);
    linker.func_wrap("counter", |mut store: Context<'_>, (name, labels): Named| {
        let key = Key::new(Kind::Counter, &name, labels);
        Ok((store.data_mut().series(&key, || Series::Counter(Counter::default()))?,))
    })?;
    linker.func_wrap("gauge", |mut store: Context<'_>, (name, labels): Named| {
        let key = Key::new(Kind::Gauge, &name, labels);
        Ok((store.data_mut().series(&key, || Series::Gauge(AtomicU64::new(0)))?,))
    })?;
    type Bounded = (String, Labels, Vec<f64>);
    linker.func_wrap("histogram", |mut store: Context<'_>, (name, labels, bounds): Bounded| {
        check_bounds(&name, &bounds)?;
        let bounds = if bounds.is_empty() { &SECONDS[..] } else { &bounds };
        let key = Key::new(Kind::Histogram, &name, labels);
        let new = || Series::Histogram(Histogram::new(bounds));
        Ok((store.data_mut().series(&key, new)?,))
    })?;
    linker.func_wrap("add", |store: Context<'_>, (series, amount): (u32, u64)| {
        store.data().add(series, amount)
    })?;
    type Recorded = (Vec<(u32, u64)>, Vec<(u32, f64)>);
    linker.func_wrap("record-all", |store: Context<'_>, (amounts, values): Recorded| {
        let state = store.data();
        amounts.into_iter().try_for_each(|(series, amount)| state.add(series, amount))?;
        values.into_iter().try_for_each(|(series, value)| state.observe(series, value))
    })?;
    linker.func_wrap("set", |store: Context<'_>, (series, value): (u32, f64)| {
        match store.data().recorded(series, "gauge")? {
            Some(Series::Gauge(bits)) => bits.store(value.to_bits(), Relaxed),
            Some(Series::Counter(_) | Series::Histogram(_)) => {
                return Err(no_series(series, "gauge"));
            }
            None => {}
        }
        Ok(())
    })?;
    type Ends = (Vec<u32>, Vec<u32>, Vec<u32>);
    // What it does is done for each exchange that ends alike, with a call or without.
    linker.same_each_time(
        "record-end",
        |mut store: Context<'_>, (counters, durations, squares): Ends| {
            store.data_mut().record_end(&counters, &durations, &squares)
        },
    )?;
    type Amount = (String, u32, u32);
    linker.same_each_time(
        "record-amount",
        |mut store: Context<'_>, (name, amounts, squares): Amount| {
            store.data_mut().record_amount(&name, amounts, squares)
        },
    )?;
    linker.same_each_time(
        "count-alike",
        |mut store: Context<'_>, (most, time_to_head): (u32, u64)| {
            let ends = store.data_mut().recorded_end()?;
            ends.is_counted(Counting { most, time_to_head });
            Ok(())
        },
    )?;
    // What is told once is told in calls alone, and the exchanges that need none have nothing to tell.
    linker.same_each_time("counted", |store: Context<'_>, (): ()| Ok((store.data().counted(),)))?;
    linker.func_wrap("observe", |store: Context<'_>, (series, value): (u32, f64)| {
        store.data().observe(series, value)
    })
}

impl HostState {
    /// The place of a series in this instance's list.
    fn series(&mut self, key: &Key, new: impl FnOnce() -> Series) -> wasmtime::Result<u32> {
        let recorder = &mut self.recorder;
        let known = recorder.places.get(key.text()).copied();
        if let Some(place) = known
            && recorder.list[place as usize].kind() == key.kind()
        {
            return Ok(place);
        }
        let identity = &self.identity;
        match identity.state.metrics.series(&identity.metrics, key, new) {
            Ok((name, series)) => {
                // There are not more than a plugin may have.
                let place = recorder.list.len() as u32;
                recorder.list.push(series);
                recorder.places.insert(name, place);
                Ok(place)
            }
            Err(NoSeries::Dropped) => Ok(DROPPED),
            Err(NoSeries::Breach(why)) => wasmtime::bail!("it broke the contract: {why}"),
        }
    }

    fn add(&self, series: u32, amount: u64) -> wasmtime::Result<()> {
        match self.recorded(series, "counter")? {
            Some(Series::Counter(counter)) => counter.add(amount),
            Some(Series::Gauge(_) | Series::Histogram(_)) => {
                return Err(no_series(series, "counter"));
            }
            None => {}
        }
        Ok(())
    }

    fn observe(&self, series: u32, value: f64) -> wasmtime::Result<()> {
        match self.recorded(series, "histogram")? {
            Some(Series::Histogram(histogram)) if !value.is_nan() => histogram.observe(value),
            Some(Series::Counter(_) | Series::Gauge(_)) => {
                return Err(no_series(series, "histogram"));
            }
            Some(Series::Histogram(_)) | None => {}
        }
        Ok(())
    }

    /// Notes what is to be recorded of the exchange when the hook has returned.
    fn record_end(
        &mut self,
        counters: &[u32],
        durations: &[u32],
        squares: &[u32],
    ) -> wasmtime::Result<()> {
        self.recorded_end()?;
        let mut ends = self.ends.take().unwrap_or_default();
        let kinds = [
            (counters, Kind::Counter, "counter", Of::Count),
            (durations, Kind::Histogram, "histogram", Of::Duration),
            (squares, Kind::Histogram, "histogram", Of::Square),
        ];
        for (places, kind, name, of) in kinds {
            for place in places {
                match self.recorder.list.get(*place as usize) {
                    Some(series) if series.kind() == kind => ends.add(Arc::clone(series), of),
                    None if *place == DROPPED => {
                        self.identity.metrics.dropped();
                        ends.has_dropped();
                    }
                    _ => return Err(no_series(*place, name)),
                }
            }
        }
        self.ends = Some(ends);
        Ok(())
    }

    /// What is recorded of the end, in the hook in which it may be.
    fn recorded_end(&mut self) -> wasmtime::Result<&mut RecordedEnd> {
        if self.hook != OnComplete::INDEX {
            wasmtime::bail!("it broke the contract: it recorded the end of an exchange before it");
        }
        Ok(self.ends.get_or_insert_default())
    }

    /// Notes what is to be recorded of the usage of the exchange when the hook has returned.
    fn record_amount(&mut self, name: &str, amounts: u32, squares: u32) -> wasmtime::Result<()> {
        self.recorded_end()?;
        let mut ends = self.ends.take().unwrap_or_default();
        // Nothing was added under a name that there is not.
        let known = self.identity.state.usage.counter(name, false);
        for (place, is_square) in [(amounts, false), (squares, true)] {
            let of = |name| if is_square { Of::SquareOfAmount(name) } else { Of::Amount(name) };
            match self.recorder.list.get(place as usize) {
                Some(series) if series.kind() == Kind::Histogram => {
                    known.inspect(|name| ends.add(Arc::clone(series), of(*name)));
                }
                None if place == DROPPED => {
                    self.identity.metrics.dropped();
                    ends.has_dropped();
                }
                _ => return Err(no_series(place, "histogram")),
            }
        }
        self.ends = Some(ends);
        Ok(())
    }

    /// What the hook hears of exchanges that ended before.
    fn counted(&self) -> Vec<AlikeOut> {
        let counted = self.heads.as_ref().and_then(|heads| heads.facts.counted.as_deref());
        let out = |(context, status, count): &(Box<[u8]>, u16, u32)| AlikeOut {
            context: context.to_vec(),
            status: *status,
            count: *count,
        };
        counted.into_iter().flatten().map(out).collect()
    }

    /// A series by its place; `None` for one that there was no room for, which is counted.
    fn recorded(&self, place: u32, kind: &str) -> wasmtime::Result<Option<&Series>> {
        match self.recorder.list.get(place as usize) {
            Some(series) => Ok(Some(series)),
            None if place == DROPPED => {
                self.identity.metrics.dropped();
                Ok(None)
            }
            None => Err(no_series(place, kind)),
        }
    }
}

fn no_series(place: u32, kind: &str) -> wasmtime::Error {
    wasmtime::format_err!("it broke the contract: {place} is no {kind} of this instance")
}

fn check_bounds(name: &str, bounds: &[f64]) -> wasmtime::Result<()> {
    let rise = bounds.windows(2).all(|pair| pair[0] < pair[1]);
    if bounds.len() <= MAX_BOUNDS && rise && bounds.iter().all(|bound| bound.is_finite()) {
        return Ok(());
    }
    let name = &name[..name.floor_char_boundary(64)];
    wasmtime::bail!(
        "it broke the contract: the bounds of the histogram {name:?} do not rise, or are more than \
         {MAX_BOUNDS}"
    )
}
