//! The flight recorder's look at an exchange that has ended.
//!
//! Owns whether a record is made, and what of the exchange goes into it. Nothing is allocated for an
//! exchange that is not kept.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::Version;

use crate::config::{Action, HostPattern};
use crate::error::{ErrorSource, Failure, Reason};
use crate::exchange::{AtEnd, Exchange};
use crate::recorder::{
    self, Attempt, Dice, Ended, Error, Kept, Record, RouteRecord, UpstreamRecord,
};

/// Bytes of what others chose, at most: a ring has as many records as it has, whatever is sent.
const MOST_OF_TARGET: usize = 2 << 10;
const MOST_OF_NAME: usize = 256;
const MOST_OF_CAUSE: usize = 4 << 10;

/// Keeps a record, if the rules say so.
#[derive(Debug, Default)]
pub(super) struct FlightRecorder {
    dice: Dice,
}

impl AtEnd for FlightRecorder {
    fn ended(&self, exchange: &Exchange, failure: Option<&Failure>) {
        let Some(rules) = &exchange.snapshot.shared.recorder else { return };
        let ended = Ended {
            status: exchange.status().map_or(0, |status| status.as_u16()),
            is_fault: failure.is_some_and(|failure| failure.error_source() != ErrorSource::Client),
            is_left: exchange.client_left() || is_left(exchange, failure),
            is_debug: exchange.is_debug(),
            duration: exchange.time_that_counts(),
            now: exchange.timers().now(),
        };
        if let Some(kept) = rules.judge(&ended, &self.dice) {
            let record = record(exchange, failure, kept);
            rules.recorder.keep(exchange.worker(), rules.size, record);
        }
    }
}

/// Whether the client broke off what it had begun.
fn is_left(exchange: &Exchange, failure: Option<&Failure>) -> bool {
    let by_client = failure.is_some_and(|failure| failure.error_source() == ErrorSource::Client);
    let has_left = failure.is_some_and(|failure| failure.reason() == Reason::ClientLeft);
    has_left || (by_client && !exchange.is_answer_complete())
}

#[cold]
fn record(exchange: &Exchange, failure: Option<&Failure>, kept: Kept) -> Record {
    let began = exchange.began();
    let since = |at: Instant| nanos(at.saturating_duration_since(began));
    let duration = exchange.elapsed();
    let run = exchange.run();
    let (hooks, hooks_omitted) = run.map(|run| run.hooks()).unwrap_or_default();
    let (log, log_omitted) = run.map(|run| run.written(began)).unwrap_or_default();
    let of_heads = hooks.iter().filter(|hook| !hook.hook.ends_with("-chunk"));
    let last_hook = of_heads.map(|hook| hook.at_ns + hook.took_ns).max().unwrap_or_default();
    // The coarse clock does not see hooks that ran since the upstream answered.
    let head_at_ns =
        exchange.time_to_head().map(|time| nanos(time).max(last_hook).min(nanos(duration)));
    let (host, matched_path) = exchange.host_and_path();
    let facts = exchange.facts();
    let mut record = Record {
        sequence: 0,
        id: exchange.id().to_owned(),
        trace_id: exchange.span.as_ref().map(|span| span.trace.to_string()),
        time: SystemTime::now().checked_sub(duration).unwrap_or(SystemTime::UNIX_EPOCH),
        kept,
        worker: exchange.worker(),
        listener: facts.listener.name.to_string(),
        client: exchange.client().to_string(),
        version: version(exchange.version),
        method: exchange.method.as_str().to_owned(),
        target: cut(target(exchange), MOST_OF_TARGET),
        route: route(exchange, &host),
        host: cut(host, MOST_OF_NAME),
        matched_path: matched_path.map(|path| cut(path, MOST_OF_TARGET)),
        consumer: run.and_then(|run| run.consumer()).map(|name| cut(name, MOST_OF_NAME)),
        status: exchange.status().map(|status| status.as_u16()),
        answered_by: None,
        outcome: match failure {
            Some(failure) if failure.reason() == Reason::ClientLeft => "left",
            Some(_) => "failed",
            None if exchange.client_left() => "left",
            None => "complete",
        },
        error: failure.map(|failure| Error {
            fault: failure.error_source().as_str(),
            cause: cut(failure.chain(), MOST_OF_CAUSE),
        }),
        duration_ns: nanos(duration),
        head_at_ns,
        first_event_at_ns: exchange.first_event().map(nanos),
        request_bytes: exchange.uploaded(),
        response_bytes: exchange.downloaded(),
        hooks,
        hooks_omitted,
        log,
        log_omitted,
        running: run.and_then(|run| run.running(began)),
        upstream: upstream(exchange, since),
        config: Arc::downgrade(&exchange.snapshot.config),
        listener_id: exchange.listener,
        route_index: exchange.route(),
    };
    record.answered_by = answered_by(exchange, failure, &record);
    record
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The text, without its end if it is longer.
fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
    }
    text
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// The target without what must not be kept of it.
fn target(exchange: &Exchange) -> String {
    let uri = exchange.uri();
    let path = uri.path();
    match uri.query() {
        Some(query) => format!("{path}?{}", recorder::redacted(query)),
        None => path.to_owned(),
    }
}

fn route(exchange: &Exchange, host: &str) -> Option<RouteRecord> {
    let (route, pattern) = exchange.route_and_pattern()?;
    let place = route.path_lines.get(exchange.pattern()).cloned();
    Some(RouteRecord {
        name: route.name.clone(),
        pattern: pattern.to_owned(),
        host: host_pattern(&route.matcher.hosts, host),
        place,
        wants: recorder::wants(route),
    })
}

/// The most specific of the patterns that match.
fn host_pattern(patterns: &[HostPattern], host: &str) -> Option<String> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is = |pattern: &&HostPattern| match pattern {
        HostPattern::Exact(exact) => *exact == host,
        HostPattern::Suffix(suffix) => {
            host.strip_suffix(&**suffix).is_some_and(|front| front.ends_with('.'))
        }
    };
    let length = |pattern: &&HostPattern| match pattern {
        HostPattern::Exact(_) => usize::MAX,
        HostPattern::Suffix(suffix) => suffix.len(),
    };
    let found = patterns.iter().filter(is).max_by_key(length)?;
    Some(match found {
        HostPattern::Exact(exact) => exact.clone(),
        HostPattern::Suffix(suffix) => format!("*.{suffix}"),
    })
}

fn upstream(exchange: &Exchange, since: impl Fn(Instant) -> u64) -> Option<UpstreamRecord> {
    let (sent, answered) = exchange.at_upstream();
    let sent = sent?;
    let (name, kind) = match exchange.destination() {
        Some(id) => (exchange.snapshot.upstream_name(id).to_string(), "upstream"),
        None => (component(exchange)?, "component"),
    };
    let mut attempts = Vec::new();
    exchange.tries().list(|one| {
        attempts.push(Attempt {
            target: exchange.target(one).map_or("?", |target| &*target.authority).to_owned(),
            // The coarse clock may be a little behind the exact one.
            at_ns: since(one.began.max(sent)),
            connection: one.connected.map(|_| if one.connect.is_some() { "new" } else { "reused" }),
            connect_ns: one.connect.map(nanos),
            result: one.result,
            ended_at_ns: one.ended.map(|at| since(at.max(sent))),
        });
    });
    // Of this one it is known exactly.
    if let Some(last) = attempts.last_mut().filter(|last| last.result == "answered") {
        last.ended_at_ns = answered.map(&since);
    }
    Some(UpstreamRecord {
        name,
        kind,
        sent_at_ns: since(sent),
        head_at_ns: answered.map(&since),
        attempts,
    })
}

fn component(exchange: &Exchange) -> Option<String> {
    match &exchange.route_and_pattern()?.0.action {
        Action::Component(id) => Some(exchange.snapshot.component(*id).name().to_string()),
        Action::Forward(_) | Action::Split(_) | Action::Respond(_) | Action::Redirect(_) => None,
    }
}

/// Who made the answer.
fn answered_by(exchange: &Exchange, failure: Option<&Failure>, record: &Record) -> Option<String> {
    let status = record.status?;
    if failure.is_some_and(|failure| failure.status().as_u16() == status) {
        return Some("gateway".to_owned());
    }
    if let Some(hook) = record.hooks.iter().rev().find(|hook| hook.decision == "answered") {
        return Some(format!("plugin {}", hook.plugin));
    }
    Some(match (&record.upstream, exchange.route_and_pattern()) {
        (Some(upstream), _) if upstream.head_at_ns.is_some() => {
            format!("{} {}", upstream.kind, upstream.name)
        }
        (_, Some((route, _)))
            if matches!(route.action, Action::Respond(_) | Action::Redirect(_)) =>
        {
            "route".to_owned()
        }
        _ => "gateway".to_owned(),
    })
}
