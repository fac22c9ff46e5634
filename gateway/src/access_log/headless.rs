//! Requests of which no head could be read.
//!
//! Owns their lines: always in the log of the process, and in the log of their listener.

use std::net::IpAddr;
use std::time::Duration;

use super::{Kept, Log, Record, Way, process};
use crate::error::Failure;

/// Writes the lines about one.
pub(crate) fn write_headless(
    log: Option<&Log>,
    listener: &str,
    id: &str,
    client: IpAddr,
    failure: &Failure,
) {
    process::write_headless(id, client, failure);
    let Some(log) = log else { return };
    let record = Record {
        id,
        trace: None,
        client,
        listener,
        request: None,
        route: None,
        upstream_name: None,
        variant: None,
        status: Some(failure.status()),
        uploaded: 0,
        downloaded: 0,
        first_byte: None,
        duration: Duration::ZERO,
        left: false,
        attributes: None,
    };
    log.write(&record, &Way::default(), Some(failure), &Kept::default());
}
