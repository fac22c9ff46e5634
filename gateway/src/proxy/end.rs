//! Who learns that an exchange has ended.
//!
//! Owns the list of these observers and its order: usage, the trace for developers, the plugins'
//! `on-complete`, the access log, metrics, the flight recorder, spans. What each does with it is its own
//! room's.

mod record;
mod spans;

use std::rc::Rc;
use std::time::Duration;

use self::spans::Spans;
use crate::access_log::{self, Kept, Way};
use crate::chain::{self, End, Ending, Endings};
use crate::config::AccessLog;
use crate::error::{ErrorSource, Failure};
use crate::exchange::{AtEnd, Exchange};
use crate::spans::Wants;
use crate::telemetry::traffic::{Candidate, Sample, Tried};
use crate::usage;

/// The observers of a worker's exchanges; the ends that plugins asked for go to `endings`, and what was used
/// to `usage`.
pub(crate) fn observers(endings: &Endings, usage: &Rc<usage::Cells>) -> Box<[Box<dyn AtEnd>]> {
    Box::new([
        Box::new(Usage(Rc::clone(usage))),
        Box::new(Trace),
        Box::new(OnComplete(endings.clone())),
        Box::new(Log),
        Box::new(Metrics),
        Box::new(Spans),
        Box::new(record::FlightRecorder::default()),
    ])
}

/// Adds it to what its consumer used.
#[derive(Debug)]
struct Usage(Rc<usage::Cells>);

impl AtEnd for Usage {
    fn ended(&self, exchange: &Exchange, _failure: Option<&Failure>) {
        let Some(ids) = &exchange.snapshot.shared.usage else { return };
        let (route, upstream) = (ids.route(exchange.route()), ids.upstream(exchange.destination()));
        let status = exchange.status().map_or(0, |status| (status.as_u16() / 100) as u8);
        let place = usage::Dimensions { minute: usage::minute(), route, upstream, status };
        let (uploaded, downloaded) = (exchange.uploaded(), exchange.downloaded());
        let sums = usage::Sums::of_one(uploaded, downloaded, exchange.elapsed());
        match exchange.run() {
            Some(run) => run.count_usage(&self.0, place, sums),
            None => self.0.add(place, "", sums),
        }
    }
}

/// Adds to the trace what only the end knows. It is complete when the last of the plugins is done.
#[derive(Debug)]
struct Trace;

impl AtEnd for Trace {
    fn ended(&self, exchange: &Exchange, failure: Option<&Failure>) {
        let Some(recording) = &exchange.recording else { return };
        recording.write(|trace| {
            trace.route = exchange.route_name().map(str::to_owned);
            trace.upstream = exchange.upstream().map(ToString::to_string);
            trace.left = exchange.client_left();
            trace.failure = failure.map(Failure::chain);
            trace.sent = exchange.downloaded();
        });
    }
}

/// Queues `on-complete` for the plugins that asked for it: a task of the worker calls them.
#[derive(Debug)]
struct OnComplete(Endings);

impl AtEnd for OnComplete {
    fn ended(&self, exchange: &Exchange, failure: Option<&Failure>) {
        let Some(run) = exchange.run().filter(|run| chain::wants_complete(run)) else { return };
        let end = End {
            ending: ending(exchange.is_answer_complete(), failure),
            status: exchange.status(),
            upstream: exchange.upstream().cloned(),
            duration: nanos(exchange.elapsed()),
            time_to_head: exchange.time_to_head().map_or(0, nanos),
            request_bytes: exchange.uploaded(),
            response_bytes: exchange.downloaded(),
        };
        // The run lives on until its plugins have heard of the end.
        run.give_back_slots();
        if !chain::record_alike(run, &end) {
            self.0.push(Rc::clone(run), end);
        }
    }
}

/// How it ended, for plugins.
fn ending(answer_complete: bool, failure: Option<&Failure>) -> Ending {
    match failure.map(Failure::error_source) {
        _ if answer_complete => Ending::Complete,
        None | Some(ErrorSource::Client) => Ending::ClientLeft,
        Some(ErrorSource::Upstream) => Ending::UpstreamFailed,
        Some(ErrorSource::Plugin) => Ending::PluginFailed,
        Some(ErrorSource::Gateway) => Ending::GatewayFailed,
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Writes the line of the access log.
#[derive(Debug)]
struct Log;

impl AtEnd for Log {
    fn ended(&self, exchange: &Exchange, failure: Option<&Failure>) {
        let log = exchange.access_log();
        let named = exchange.snapshot.shared.logs.named(log);
        if failure.is_none() && log != AccessLog::All && named.is_none() {
            return;
        }
        let component = exchange.component();
        let (tries, targets) = (exchange.tries(), exchange.targets());
        let target = tries.target().and_then(|index| targets.get(index));
        let upstreams = &exchange.snapshot.config.upstreams;
        let attempts = target.map(|_| tries.shown(exchange.timers().now(), upstreams));
        let target = target.map(|target| &*target.authority).or(component.as_deref());
        let way = Way { target, attempts: attempts.as_ref() };
        let uri = exchange.uri();
        let record = exchange.record(&uri);
        if let Some(named) = named {
            let kept = exchange.kept();
            let none = Kept::default();
            named.write(&record, &way, failure, kept.as_deref().unwrap_or(&none));
        }
        access_log::write(log, &record, &way, failure);
    }
}

/// Counts it, where somebody can ask for the numbers.
#[derive(Debug)]
struct Metrics;

impl AtEnd for Metrics {
    fn ended(&self, exchange: &Exchange, failure: Option<&Failure>) {
        let Some(counted) = &exchange.snapshot.shared.counted else { return };
        let upstream = exchange.upstream_time();
        let to_head = exchange.time_to_head();
        let sample = Sample {
            status: exchange.status().map(|status| status.as_u16()),
            fault: failure.map(|failure| failure.error_source() as usize),
            reason: failure.map(Failure::reason),
            candidate: candidate(exchange, failure),
            duration: exchange.elapsed(),
            upstream,
            overhead: to_head.map(|it| it.saturating_sub(upstream.unwrap_or_default())),
            uploaded: exchange.uploaded(),
            downloaded: exchange.downloaded(),
        };
        let worker = exchange.worker();
        match exchange.route() {
            Some(route) => {
                counted.routes[route].end(worker, &sample);
                if let Some(variant) = exchange.variant() {
                    counted.variants[route][variant].end(worker, &sample);
                }
            }
            None => {
                counted.unrouted.begin(worker);
                counted.unrouted.end(worker, &sample);
            }
        }
        if let (Some(route), Some(run)) = (exchange.route(), exchange.run()) {
            run.with_group(|group| {
                counted.routes[route].end_of_group(worker, group, sample.status);
            });
        }
        if exchange.destination().is_some() {
            let mut is_retry = false;
            exchange.tries().each(|(upstream, target), result, is_new| {
                let targets = counted.targets.get(upstream);
                if let Some(target) = targets.and_then(|it| it.get(target)) {
                    target.tried(worker, Tried { result, is_new, is_retry });
                }
                is_retry = true;
            });
        }
    }
}

/// What stands for others in the metrics, if it can be found: a trace that is exported, or without traces the
/// request id.
fn candidate<'a>(exchange: &'a Exchange, failure: Option<&Failure>) -> Option<Candidate<'a>> {
    let trace = match (&exchange.span, &exchange.snapshot.shared.spans) {
        (Some(span), Some(sink)) => {
            let (status, duration) = (exchange.status(), exchange.elapsed());
            let wants = Wants { status, has_failed: failure.is_some(), duration };
            if !span.is_wanted(&sink.settings, wants) {
                return None;
            }
            Some(u128::from_be_bytes(span.trace.to_bytes()))
        }
        _ => None,
    };
    Some(Candidate { trace, request_id: exchange.id.as_bytes(), now: exchange.timers().now() })
}
