//! `retries` of a route, and `retry_budget` of an upstream.
//!
//! Owns both, with what of them contradicts the rest. Which requests may be sent twice is known where
//! they are routed; what an upstream bears is the upstream's. Must not send anything.

use std::time::Duration;

use http::Method;

use super::diagnostic::Diagnostic;
use super::reader::Table;
use super::route::matcher::methods;
use super::upstream::health;

/// `retries` of a route: when a request is sent once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retries {
    /// `attempts`: how often a request is sent at most, the first time included.
    pub attempts: u32,
    /// `on`: which failures.
    pub on: RetryOn,
    /// `statuses`: which responses.
    pub statuses: Vec<u16>,
    /// `methods` of requests that may be sent again though a target may have processed them.
    pub methods: Vec<Method>,
    /// `attempt_timeout`: from the beginning of an attempt to the head of its response.
    pub attempt_timeout: Option<Duration>,
    /// `backoff`: before a target is asked for the second time, at most; then twice that.
    pub backoff: Duration,
    /// `max_backoff`
    pub max_backoff: Duration,
    /// `retry_after`: the longest `Retry-After` that is waited for.
    pub retry_after: Duration,
    /// `hedge_after`: when a request without a body is sent to another target besides.
    pub hedge_after: Option<Duration>,
    /// `body`: bytes of a request body that are kept.
    pub body: usize,
}

/// `on` of `retries`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryOn {
    /// `"connect"`: no target can be connected to.
    pub connect: bool,
    /// `"reset"`: the connection ends before there is a response.
    pub reset: bool,
    /// `"timeout"`: there is no response in time.
    pub timeout: bool,
}

/// `retry_budget` of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    /// `share` of the requests of the last seconds, in thousandths. Default 200.
    pub share: u32,
    /// `min_per_second`: so many besides. Default 10.
    pub min_per_second: u32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { share: 200, min_per_second: 10 }
    }
}

/// `body` where nothing else is said.
pub const RETRY_BODY: usize = 1 << 20;

/// Statuses that say that the target could not, and another may.
const STATUSES: [u16; 3] = [502, 503, 504];

/// Those of RFC 9110 section 9.2.2.
const IDEMPOTENT: [Method; 6] =
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE];

/// Reads `retries` of a route, which may do something else than to forward.
pub(super) fn retries(route: &Table<'_, '_>, may_forward: bool) -> Option<Retries> {
    let table = route.given_table("retries")?;
    let errors = table.reading.errors();
    let on = table.choices("on");
    let has = |word| on.as_ref().is_none_or(|on| on.contains(&word));
    let on_failures =
        RetryOn { connect: has("connect"), reset: has("reset"), timeout: has("timeout") };
    let statuses = health::statuses(&table).unwrap_or_else(|| STATUSES.to_vec());
    // What was refused may be what was meant: nothing follows from its absence.
    let is_refused = table.reading.errors() > errors;
    let is_nothing = !is_refused && on.as_ref().is_some_and(Vec::is_empty) && statuses.is_empty();
    let chosen = match table.value("methods") {
        Some(value) if value.get_ref().as_array().is_some_and(|items| items.is_empty()) => {
            Vec::new()
        }
        Some(_) => methods(&table),
        None => IDEMPOTENT.to_vec(),
    };
    let attempt_timeout = table.duration("attempt_timeout");
    let backoff = table.duration("backoff").unwrap_or_default();
    let max_backoff = table.duration("max_backoff").unwrap_or_default();
    let report = |key: &str, warning: &str, help: &str| {
        let place = table.key_span(key).unwrap_or_else(|| table.span.clone());
        table.reading.report(Diagnostic::warning(place, warning.to_owned()).help(help.to_owned()));
    };
    if is_nothing && let Some(place) = table.key_span("on") {
        let error = "no request is ever sent again: `on` and `statuses` are empty";
        let error = Diagnostic::error(place, error);
        table.reading.report(error.help("name a failure or a status, or leave `retries` out"));
    }
    if !may_forward {
        let place = route.key_span("retries").unwrap_or_else(|| table.span.clone());
        let warning = "`retries` has no effect: the route forwards to no upstream";
        route.reading.report_absence(Diagnostic::warning(place, warning));
    }
    if attempt_timeout.is_some() && !on_failures.timeout && !is_refused {
        let warning = "an attempt that takes as long is ended, and no other follows";
        report("attempt_timeout", warning, "add \"timeout\" to `on`");
    }
    if backoff > max_backoff {
        let key = if table.key_span("backoff").is_some() { "backoff" } else { "max_backoff" };
        report(key, "`backoff` is over `max_backoff`, which is what counts", "make it smaller");
    }
    Some(Retries {
        attempts: table.integer("attempts").unwrap_or_default() as u32,
        on: on_failures,
        statuses,
        methods: chosen,
        attempt_timeout,
        backoff: backoff.min(max_backoff),
        max_backoff,
        retry_after: table.duration("retry_after").unwrap_or_default(),
        hedge_after: table.duration("hedge_after"),
        body: table.size("body").unwrap_or_default() as usize,
    })
}

/// Reads `retry_budget` of an upstream.
pub(super) fn budget(upstream: &Table<'_, '_>) -> RetryBudget {
    let table = upstream.table("retry_budget");
    RetryBudget {
        share: health::thousandths(table.ratio("share")),
        min_per_second: table.integer("min_per_second").unwrap_or_default() as u32,
    }
}
