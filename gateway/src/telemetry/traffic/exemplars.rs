//! Single requests that stand for the others of their bucket: exemplars.
//!
//! Owns how they are kept: one for each bucket of a duration and each reason of a failure, of a route on one
//! worker. One replaces another once a second at most, and never waits for who reads it. What an ordinary
//! request pays is the second of its end, and a look at when the bucket had its last one.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::SECONDS;

/// Bytes of a request id, at most: with the id of a trace and both names, OpenMetrics allows 128 characters.
const ID: usize = 64;

/// From here on seconds are counted.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A request that may stand for others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    /// The trace that it is in, if that can be found.
    pub(crate) trace: Option<u128>,
    /// In ASCII; it is read where the request is kept.
    pub(crate) request_id: &'a [u8],
    /// When it ended.
    pub(crate) now: Instant,
}

/// One that stands for others.
#[derive(Debug, Clone, Copy)]
pub(in crate::telemetry) struct Exemplar {
    trace: Option<u128>,
    id: [u8; ID],
    id_length: u8,
    value: f64,
    /// Since 1970.
    at: Duration,
}

/// Those of a route on one worker.
#[derive(Debug, Default)]
pub(super) struct Exemplars {
    /// The second in which each bucket had its last one, and one more.
    seconds: [AtomicU64; SECONDS.len() + 1],
    buckets: [Mutex<Option<Exemplar>>; SECONDS.len() + 1],
    /// With the reasons, of which there are few.
    failures: Mutex<Vec<(usize, Exemplar)>>,
}

/// Those of a route on all workers.
#[derive(Debug, Default)]
pub(in crate::telemetry) struct ShownExemplars {
    buckets: Option<Box<[Option<Exemplar>; SECONDS.len() + 1]>>,
    failures: Vec<(usize, Exemplar)>,
}

impl ShownExemplars {
    /// That of a bucket, by its place.
    pub(in crate::telemetry) fn of_bucket(&self, bucket: usize) -> Option<&Exemplar> {
        self.buckets.as_ref()?.get(bucket)?.as_ref()
    }

    /// That of a reason, by its place.
    pub(in crate::telemetry) fn of_failure(&self, reason: usize) -> Option<&Exemplar> {
        self.failures.iter().find(|(known, _)| *known == reason).map(|(_, exemplar)| exemplar)
    }
}

impl Exemplars {
    /// A request of this duration ended.
    pub(super) fn observe(&self, bucket: usize, value: f64, candidate: Candidate<'_>) {
        let second = candidate.now.saturating_duration_since(*ORIGIN).as_secs() + 1;
        let last = &self.seconds[bucket];
        if last.load(Relaxed) == second {
            return;
        }
        last.store(second, Relaxed);
        // Who reads holds it for a moment: then the next second has another.
        if let Ok(mut slot) = self.buckets[bucket].try_lock() {
            *slot = Some(Exemplar::new(value, candidate));
        }
    }

    /// A request failed for this reason.
    pub(super) fn failed(&self, reason: usize, candidate: Candidate<'_>) {
        let Ok(mut failures) = self.failures.try_lock() else { return };
        let made = Exemplar::new(1.0, candidate);
        match failures.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, exemplar)) => *exemplar = made,
            None => failures.push((reason, made)),
        }
    }

    /// Puts its own in place of older ones.
    pub(super) fn add_to(&self, shown: &mut ShownExemplars) {
        let buckets = shown.buckets.get_or_insert_default();
        for (slot, own) in buckets.iter_mut().zip(&self.buckets) {
            let own = *own.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(own) = own.filter(|own| slot.is_none_or(|known| known.at < own.at)) {
                *slot = Some(own);
            }
        }
        let own = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for (reason, own) in &*own {
            match shown.failures.iter_mut().find(|(known, _)| known == reason) {
                Some((_, known)) if known.at < own.at => *known = *own,
                Some(_) => {}
                None => shown.failures.push((*reason, *own)),
            }
        }
    }
}

impl Exemplar {
    fn new(value: f64, candidate: Candidate<'_>) -> Self {
        let mut id = [0; ID];
        let text = candidate.request_id;
        // A part of an id finds nothing.
        let text = if text.len() <= ID { text } else { &[] };
        id[..text.len()].copy_from_slice(text);
        Self {
            trace: candidate.trace,
            id,
            id_length: text.len() as u8,
            value,
            at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }

    fn id(&self) -> &str {
        std::str::from_utf8(&self.id[..usize::from(self.id_length)]).unwrap_or_default()
    }
}

/// As OpenMetrics has it behind a value.
impl fmt::Display for Exemplar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(" # {")?;
        if let Some(trace) = self.trace {
            write!(f, "trace_id=\"{trace:032x}\"")?;
        }
        let id = self.id();
        if !id.is_empty() {
            let comma = if self.trace.is_some() { "," } else { "" };
            let id = id.replace('\\', "\\\\").replace('"', "\\\"");
            write!(f, "{comma}request_id=\"{id}\"")?;
        }
        write!(f, "}} {} {}.{:03}", self.value, self.at.as_secs(), self.at.subsec_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(trace: Option<u128>, request_id: &str, now: Instant) -> Candidate<'_> {
        Candidate { trace, request_id: request_id.as_bytes(), now }
    }

    #[test]
    fn a_bucket_has_one_a_second_and_the_youngest_of_all_workers_is_shown() {
        let (one, other) = (Exemplars::default(), Exemplars::default());
        let began = *ORIGIN;
        one.observe(2, 0.002, candidate(Some(7), "a", began));
        one.observe(2, 0.001, candidate(Some(8), "b", began));
        let shown = |of: &[&Exemplars]| {
            let mut shown = ShownExemplars::default();
            of.iter().for_each(|it| it.add_to(&mut shown));
            let text = |of: Option<&Exemplar>| of.map(ToString::to_string);
            (text(shown.of_bucket(2)), text(shown.of_failure(1)))
        };
        let first = shown(&[&one]).0.expect("there is one");
        let begin = " # {trace_id=\"00000000000000000000000000000007\",request_id=\"a\"} 0.002 ";
        assert!(first.starts_with(begin), "{first}");
        std::thread::sleep(Duration::from_millis(2));
        other.observe(2, 0.003, candidate(None, "c\"\\", began));
        let both = shown(&[&other, &one]).0.expect("there is one");
        assert!(both.starts_with(" # {request_id=\"c\\\"\\\\\"} 0.003 "), "{both}");
        one.observe(2, 0.004, candidate(Some(9), "d", began + Duration::from_secs(1)));
        assert!(shown(&[&one]).0.expect("there is one").contains("} 0.004 "));
        one.failed(1, candidate(Some(1), &"x".repeat(65), began));
        let failed = shown(&[&one]).1.expect("there is one");
        assert!(
            failed.starts_with(" # {trace_id=\"00000000000000000000000000000001\"} 1 "),
            "{failed}"
        );
    }

    #[test]
    fn its_labels_have_128_characters_at_most() {
        let id = "x".repeat(ID);
        let labels = "trace_id".len() + 32 + "request_id".len() + id.len();
        assert!(labels <= 128, "{labels}");
    }
}
