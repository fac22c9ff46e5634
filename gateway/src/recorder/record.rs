//! What is kept of one exchange.
//!
//! Owns the form of a record, in memory and as JSON: its names are documented and part of the interface.
//! Times are in nanoseconds; those whose name begins with `at` or ends in `_at_ns` count from the head of
//! the request. No value of a header field is in it.

use std::sync::Weak;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::notes::LineRecord;
use super::sentence::sentence;
use super::timeline::Manner;
use super::{Decision, Kept, Span, others};
use crate::config::{Config, ListenerId};
use crate::telemetry::metrics::FailureKind;

/// One exchange that has ended.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    /// Greater than that of each record that was kept before, on any worker.
    pub(crate) sequence: u64,
    pub(crate) id: String,
    /// The trace that it is in, where there are traces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<String>,
    /// When the head of the request was there, in UTC.
    #[serde(serialize_with = "in_utc")]
    pub(crate) time: SystemTime,
    pub(crate) kept: Kept,
    pub(crate) worker: usize,
    pub(crate) listener: String,
    pub(crate) client: String,
    pub(crate) version: &'static str,
    pub(crate) method: String,
    pub(crate) host: String,
    /// As the client sent it, with credentials in the query redacted.
    pub(crate) target: String,
    /// The path in normal form, where that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) matched_path: Option<String>,
    pub(crate) route: Option<RouteRecord>,
    pub(crate) consumer: Option<String>,
    pub(crate) status: Option<u16>,
    /// Who made the answer: `plugin NAME`, `upstream NAME`, `component NAME`, `route` or `gateway`.
    pub(crate) answered_by: Option<String>,
    /// `complete`, `failed` or `left`.
    pub(crate) outcome: &'static str,
    pub(crate) error: Option<Error>,
    pub(crate) duration_ns: u64,
    /// To the head of the response.
    pub(crate) head_at_ns: Option<u64>,
    /// To the first bytes of the body, where the response is an event stream.
    pub(crate) first_event_at_ns: Option<u64>,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) hooks: Vec<HookRecord>,
    /// Hooks that there was no room for.
    pub(crate) hooks_omitted: u32,
    /// The last lines that hooks wrote to the log.
    pub(crate) log: Vec<LineRecord>,
    /// Lines before them.
    pub(crate) log_omitted: u32,
    /// The hook that had not returned when the exchange ended.
    pub(crate) running: Option<Running>,
    pub(crate) upstream: Option<UpstreamRecord>,
    /// To find out about other routes when somebody asks, as long as it is in force.
    #[serde(skip)]
    pub(crate) config: Weak<Config>,
    #[serde(skip)]
    pub(crate) listener_id: ListenerId,
    /// Index of the route.
    #[serde(skip)]
    pub(crate) route_index: Option<usize>,
}

/// Which route served it, and by what.
#[derive(Debug, Serialize)]
pub(crate) struct RouteRecord {
    pub(crate) name: String,
    /// The path pattern that matched.
    pub(crate) pattern: String,
    /// The host pattern that matched; none where the route takes every host.
    pub(crate) host: Option<String>,
    /// File and line of the pattern.
    pub(crate) place: Option<String>,
    /// What else the route asks for.
    pub(crate) wants: Vec<String>,
}

/// Why it failed.
#[derive(Debug, Serialize)]
pub(crate) struct Error {
    /// Whose doing it is: `client`, `upstream`, `plugin` or `gateway`.
    pub(crate) fault: &'static str,
    pub(crate) cause: String,
}

/// What one hook did.
#[derive(Debug, Serialize)]
pub(crate) struct HookRecord {
    pub(crate) plugin: String,
    pub(crate) hook: &'static str,
    /// `called`, `reused` (a change that it made before), `known` (changes of every head), or `refused`.
    pub(crate) how: &'static str,
    pub(crate) calls: u32,
    pub(crate) at_ns: u64,
    /// With the waits.
    pub(crate) took_ns: u64,
    pub(crate) queue_ns: u64,
    pub(crate) instance_ns: u64,
    /// `next`, `answered`, `cut-off`, `failed` or `failed-open`.
    pub(crate) decision: &'static str,
    pub(crate) status: Option<u16>,
    /// How it failed, in the words of the metrics.
    pub(crate) failure: Option<&'static str>,
    /// Why it refused, as it says itself, or how it failed.
    pub(crate) reason: Option<String>,
    pub(crate) changes: Vec<String>,
}

/// A hook that had not returned.
#[derive(Debug, Serialize)]
pub(crate) struct Running {
    pub(crate) plugin: String,
    pub(crate) hook: &'static str,
    pub(crate) at_ns: u64,
}

/// The way to an upstream.
#[derive(Debug, Serialize)]
pub(crate) struct UpstreamRecord {
    pub(crate) name: String,
    /// `upstream` or `component`.
    pub(crate) kind: &'static str,
    pub(crate) sent_at_ns: u64,
    /// The head of its response.
    pub(crate) head_at_ns: Option<u64>,
    pub(crate) attempts: Vec<Attempt>,
}

/// One try at a target.
#[derive(Debug, Serialize)]
pub(crate) struct Attempt {
    pub(crate) target: String,
    pub(crate) at_ns: u64,
    /// `new` or `reused`; none where there was no connection.
    pub(crate) connection: Option<&'static str>,
    /// How long the connection took, where it is new.
    pub(crate) connect_ns: Option<u64>,
    /// As in the access log: `answered`, `refused`, `connect-timeout`, ...
    pub(crate) result: &'static str,
    pub(crate) ended_at_ns: Option<u64>,
}

impl HookRecord {
    /// Of a span, with the name of its plugin.
    pub(crate) fn of(span: &Span, plugin: &str, reason: Option<String>) -> Self {
        let (decision, status, failure) = match span.decision {
            Decision::Next => ("next", None, None),
            Decision::Answered(status) => ("answered", Some(status), None),
            Decision::CutOff => ("cut-off", None, None),
            Decision::Failed { kind, goes_on: false } => ("failed", None, Some(word(kind))),
            Decision::Failed { kind, goes_on: true } => ("failed-open", None, Some(word(kind))),
        };
        let how = match span.how {
            Manner::Called => "called",
            Manner::Waited => "waited",
            Manner::Reused => "reused",
            Manner::Known => "known",
            Manner::Refused => "refused",
        };
        Self {
            plugin: plugin.to_owned(),
            hook: span.hook.as_str(),
            how,
            calls: span.calls,
            at_ns: span.at,
            took_ns: span.took,
            queue_ns: u64::from(span.queue) * 1_000,
            instance_ns: u64::from(span.instance) * 1_000,
            decision,
            status,
            failure,
            reason,
            changes: changes(span),
        }
    }
}

fn changes(span: &Span) -> Vec<String> {
    let it = span.changes;
    let kinds = [
        (it.method, "method"),
        (it.target, "target"),
        (it.status, "status"),
        (it.upstream, "upstream"),
        (it.attributes, "attributes"),
        (it.body, "body"),
    ];
    let kinds = kinds.iter().filter(|(is, _)| *is).map(|(_, kind)| (*kind).to_owned());
    let count = |count: u8, what: &str| match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        more => Some(format!("{more} {what}s")),
    };
    let numbers = [count(it.fields, "field"), count(it.response_fields, "field of the response")];
    let plural = |text: String| text.replace("field of the responses", "fields of the response");
    kinds.chain(numbers.into_iter().flatten().map(plural)).collect()
}

fn word(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Trap => "trap",
        FailureKind::Deadline => "deadline",
        FailureKind::Memory => "memory",
        FailureKind::Breach => "breach",
        FailureKind::Instantiate => "instantiate",
        FailureKind::Exhausted => "exhausted",
        FailureKind::Kept => "kept",
        FailureKind::Busy => "busy",
    }
}

impl Record {
    /// All of it, what happened in one sentence, and what other routes had to do with it, as far as the
    /// configuration still lives.
    pub(crate) fn json(&self) -> Value {
        let mut json = serde_json::to_value(self).unwrap_or_default();
        let Some(members) = json.as_object_mut() else { return json };
        members.insert("explanation".into(), sentence(self).into());
        if let Some(config) = self.config.upgrade() {
            let others = others(&config, self);
            members.insert("other_routes".into(), serde_json::to_value(others).unwrap_or_default());
        }
        json
    }

    /// What a list has of it.
    pub(crate) fn summary(&self) -> Value {
        serde_json::json!({
            "sequence": self.sequence,
            "id": self.id,
            "time": rfc3339(self.time),
            "kept": self.kept,
            "method": self.method,
            "host": self.host,
            "target": self.target,
            "route": self.route.as_ref().map(|route| &route.name),
            "consumer": self.consumer,
            "status": self.status,
            "outcome": self.outcome,
            "fault": self.error.as_ref().map(|error| error.fault),
            "duration_ns": self.duration_ns,
            "explanation": sentence(self),
        })
    }
}

fn in_utc<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}

/// A time as RFC 3339 has it, in UTC, with milliseconds.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let date = httpdate::HttpDate::from(time).to_string();
    // "Sun, 22 Nov 2026 12:50:33 GMT": a calendar that is there already.
    let mut parts = date.split(' ').skip(1);
    let (day, month) = (parts.next().unwrap_or("01"), parts.next().unwrap_or("Jan"));
    let (year, clock) = (parts.next().unwrap_or("1970"), parts.next().unwrap_or("00:00:00"));
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|known| *known == month).unwrap_or_default() + 1;
    format!("{year}-{month:02}-{day}T{clock}.{:03}Z", since.subsec_millis())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn writes_times_as_rfc_3339_has_them() {
        let time = UNIX_EPOCH + Duration::from_millis(1_795_858_233_042);
        assert_eq!(rfc3339(time), "2026-11-28T09:30:33.042Z");
        assert_eq!(rfc3339(UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
    }
}
