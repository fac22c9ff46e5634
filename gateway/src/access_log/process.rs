//! Lines about requests in the log of the process.
//!
//! Owns the names of their fields. A failed exchange has the source of the failure and the whole chain of
//! causes, which the client never sees.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::IpAddr;

use super::{Record, Way, milliseconds};
use crate::config::AccessLog;
use crate::error::{ErrorSource, Failure};

/// Writes the line.
pub(crate) fn write(log: AccessLog, record: &Record<'_>, way: &Way<'_>, failure: Option<&Failure>) {
    match failure {
        Some(failure) if log != AccessLog::Off => {
            with_attempts(way, |attempts| write_failure(record, way, attempts, failure));
        }
        None if log == AccessLog::All => {
            with_attempts(way, |attempts| write_access(record, way, attempts));
        }
        Some(_) | None => {}
    }
}

/// A request of which there was no head: only the connection is known.
pub(crate) fn write_headless(id: &str, client: IpAddr, failure: &Failure) {
    tracing::warn!(
        target: "gateway::access",
        fault = failure.error_source().as_str(),
        cause = failure.chain(),
        request_id = id,
        %client,
        status = failure.status().as_u16(),
        "request refused"
    );
}

/// A timeout of the whole exchange does not know for whom it waited.
pub(super) fn cause(way: &Way<'_>, failure: &Failure) -> String {
    let cause = failure.chain();
    match way.target {
        Some(target)
            if failure.error_source() == ErrorSource::Upstream && !cause.contains(target) =>
        {
            format!("{cause} (target {target})")
        }
        _ => cause,
    }
}

thread_local! {
    /// Takes the tries of an exchange, one exchange after the other: a text is quoted in the log, and
    /// what is merely displayed is not.
    static ATTEMPTS: RefCell<String> = const { RefCell::new(String::new()) };
}

fn with_attempts(way: &Way<'_>, then: impl FnOnce(Option<&str>)) {
    let Some(attempts) = way.attempts else { return then(None) };
    ATTEMPTS.with_borrow_mut(|text| {
        text.clear();
        // Writing to a string does not fail.
        let _written = write!(text, "{attempts}");
        then(Some(text));
    });
}

fn write_failure(record: &Record<'_>, way: &Way<'_>, attempts: Option<&str>, failure: &Failure) {
    let cause = cause(way, failure);
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: "gateway::access",
                fault = failure.error_source().as_str(),
                cause,
                request_id = record.id,
                trace_id = record.trace.map(tracing::field::display),
                client = %record.client,
                method = record.request.map(|it| it.method.as_str()),
                path = record.request.map(|it| it.uri.path()),
                route = record.route,
                upstream = way.target,
                attempts,
                status = record.status.map(|status| status.as_u16()),
                uploaded = record.uploaded,
                downloaded = record.downloaded,
                first_byte_ms = record.first_byte.map(milliseconds),
                duration_ms = milliseconds(record.duration),
                "exchange failed"
            )
        };
    }
    match failure.error_source() {
        ErrorSource::Client => line!(info),
        ErrorSource::Upstream | ErrorSource::Plugin => line!(warn),
        // A bound did what it is there for.
        ErrorSource::Gateway if !matches!(failure, Failure::Internal(_)) => line!(warn),
        ErrorSource::Gateway => line!(error),
    }
}

fn write_access(record: &Record<'_>, way: &Way<'_>, attempts: Option<&str>) {
    tracing::info!(
        target: "gateway::access",
        request_id = record.id,
        trace_id = record.trace.map(tracing::field::display),
        client = %record.client,
        method = record.request.map(|it| it.method.as_str()),
        path = record.request.map(|it| it.uri.path()),
        route = record.route,
        upstream = way.target,
        attempts,
        status = record.status.map(|status| status.as_u16()),
        uploaded = record.uploaded,
        downloaded = record.downloaded,
        first_byte_ms = record.first_byte.map(milliseconds),
        duration_ms = milliseconds(record.duration),
        left = record.left,
        "exchange"
    );
}
