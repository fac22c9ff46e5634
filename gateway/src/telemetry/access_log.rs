//! One line for each finished exchange that is to be logged.
//!
//! Owns the names of the fields. A failed exchange says whose fault it was and the whole chain of
//! causes, which the client never sees.

use std::net::IpAddr;
use std::time::Duration;

use http::{Method, StatusCode};

use crate::config::AccessLog;
use crate::error::{Failure, Fault};

/// What is known of an exchange at its end.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) id: &'a str,
    pub(crate) client: IpAddr,
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) route: Option<&'a str>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) uploaded: u64,
    pub(crate) downloaded: u64,
    /// From the request head to the response head.
    pub(crate) first_byte: Option<Duration>,
    pub(crate) duration: Duration,
    /// Whether the client left before the end.
    pub(crate) left: bool,
}

/// Writes the line.
pub(crate) fn write(
    log: AccessLog,
    record: &Record<'_>,
    target: Option<&str>,
    failure: Option<&Failure>,
) {
    match failure {
        Some(failure) if log != AccessLog::Off => write_failure(record, target, failure),
        Some(_) => {}
        None => write_access(record, target),
    }
}

/// A request of which there was no head: only the connection is known.
pub(crate) fn write_headless(id: &str, client: IpAddr, failure: &Failure) {
    tracing::warn!(
        target: "gateway::access",
        fault = failure.fault().as_str(),
        cause = failure.chain(),
        request_id = id,
        %client,
        status = failure.status().as_u16(),
        "request refused"
    );
}

fn write_failure(record: &Record<'_>, target: Option<&str>, failure: &Failure) {
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: "gateway::access",
                fault = failure.fault().as_str(),
                cause = failure.chain(),
                request_id = record.id,
                client = %record.client,
                method = record.method.as_str(),
                path = record.path,
                route = record.route,
                upstream = target,
                status = record.status.map(|status| status.as_u16()),
                uploaded = record.uploaded,
                downloaded = record.downloaded,
                first_byte_ms = record.first_byte.map(milliseconds),
                duration_ms = milliseconds(record.duration),
                "exchange failed"
            )
        };
    }
    match failure.fault() {
        Fault::Client => line!(info),
        Fault::Upstream | Fault::Plugin => line!(warn),
        Fault::Gateway => line!(error),
    }
}

fn write_access(record: &Record<'_>, target: Option<&str>) {
    tracing::info!(
        target: "gateway::access",
        request_id = record.id,
        client = %record.client,
        method = record.method.as_str(),
        path = record.path,
        route = record.route,
        upstream = target,
        status = record.status.map(|status| status.as_u16()),
        uploaded = record.uploaded,
        downloaded = record.downloaded,
        first_byte_ms = record.first_byte.map(milliseconds),
        duration_ms = milliseconds(record.duration),
        left = record.left,
        "exchange"
    );
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
