//! The end of an exchange.
//!
//! Owns the call of the observers, once, when the request and the response are complete or abandoned. It
//! happens in a `Drop`, anywhere on the worker's thread: an observer records what it needs and returns. It must
//! not wait, and no guest may run there.

use std::fmt;

use http::Uri;

use super::{Exchange, ExchangeOutcome};
use crate::access_log::{Attributes, Record, RequestLine};
use crate::error::{Cut, Failure};

/// Learns of each exchange that has ended.
pub(crate) trait AtEnd: fmt::Debug {
    /// The exchange has ended, with the failure if it failed.
    fn ended(&self, exchange: &Exchange, failure: Option<&Failure>);
}

impl Exchange {
    /// What the log needs of it; `uri` is its own.
    pub(crate) fn record<'a>(&'a self, uri: &'a Uri) -> Record<'a> {
        Record {
            id: self.id(),
            trace: self.span.as_ref().map(|span| span.trace),
            client: self.client(),
            listener: &self.facts().listener.name,
            request: Some(RequestLine {
                method: &self.method,
                uri,
                version: self.version,
                is_https: self.is_https(),
            }),
            route: self.route_name(),
            upstream_name: self.upstream().map(|name| &**name),
            variant: self.variant_name(),
            status: self.status(),
            uploaded: self.uploaded(),
            downloaded: self.downloaded(),
            first_byte: self.time_to_head(),
            duration: self.elapsed(),
            left: self.client_left(),
            attributes: self.run().map(|run| &**run as &dyn Attributes),
        }
    }

    /// Why the gateway ended it, if nothing else did.
    fn cut(&self) -> Option<Failure> {
        // One that is read without its client was left before.
        if !self.client_left() || self.is_abandoned() {
            return None;
        }
        let of_stream = self.stream.as_ref().filter(|stream| stream.is_cut());
        let idle = self.facts().listener.config.timeouts.idle;
        let cut = of_stream.map(|_| Cut::Idle(idle)).or_else(|| self.connection.cut())?;
        self.outcome.set(ExchangeOutcome::Failed);
        Some(Failure::Cut(cut))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.is_background {
            return;
        }
        let failure = self.failure.take().or_else(|| self.upload_failure.take());
        let failure = failure.or_else(|| self.cut());
        if super::is_timed(&self.snapshot) {
            self.timers().refresh();
        }
        for observer in &self.worker.at_end {
            observer.ended(self, failure.as_ref());
        }
    }
}
