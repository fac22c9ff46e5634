//! One named log, as workers use it: from what is known of an exchange to a line.
//!
//! Owns which exchanges have a line, and the form of it. A line is made in buffers of its
//! thread; what is handed over is its one allocation.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::HeaderName;

use super::sink::Sink;
use super::syslog::Prefix;
use super::value::{Entry, Source, Value};
use super::{Kept, Record, Way, escape, time};
use crate::config::{AccessLogFormat, LogDestination, LogField, LogPart, NamedAccessLog};
use crate::error::Failure;

/// All requests, as a share.
const WHOLE: u64 = 1 << 32;

/// A named log.
#[derive(Debug)]
pub(crate) struct Log {
    format: Format,
    failures_only: bool,
    /// The share of the requests that has a line, in parts of [`WHOLE`].
    sample: u64,
    seen: AtomicU64,
    redact: Vec<String>,
    syslog: Option<Prefix>,
    pub(super) sink: Arc<Sink>,
}

#[derive(Debug)]
enum Format {
    /// Each with its key as it is in the line.
    Json(Box<[(Box<[u8]>, Source)]>),
    Template(Box<[Part]>),
}

#[derive(Debug)]
enum Part {
    Text(Box<[u8]>),
    Value { source: Source, is_quoted: bool },
}

thread_local! {
    /// A line and one of its values.
    static BUFFERS: RefCell<(Vec<u8>, Vec<u8>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

impl Log {
    /// A log that hands its lines to this sink. The fields of heads that it shows get their places.
    pub(super) fn new(
        config: &NamedAccessLog,
        sink: Arc<Sink>,
        request: &mut Vec<HeaderName>,
        response: &mut Vec<HeaderName>,
    ) -> Self {
        let mut source = |field: &LogField| Source::new(field, &config.redact, request, response);
        let format = match &config.format {
            AccessLogFormat::Json(fields) => Format::Json(
                fields
                    .iter()
                    .map(|(key, field)| {
                        let mut text = Vec::new();
                        escape::json(key.as_bytes(), &mut text);
                        text.push(b':');
                        (text.into(), source(field))
                    })
                    .collect(),
            ),
            AccessLogFormat::Template(parts) => Format::Template(
                parts
                    .iter()
                    .map(|part| match part {
                        LogPart::Text(text) => Part::Text(text.as_bytes().into()),
                        LogPart::Field { field, is_quoted } => {
                            Part::Value { source: source(field), is_quoted: *is_quoted }
                        }
                    })
                    .collect(),
            ),
        };
        let syslog = match &config.destination {
            LogDestination::Syslog(syslog) => Some(Prefix::new(syslog)),
            LogDestination::Stdout | LogDestination::File(_) => None,
        };
        Self {
            format,
            failures_only: config.failures_only,
            sample: (config.sample * WHOLE as f64).ceil() as u64,
            seen: AtomicU64::new(0),
            redact: config.redact.clone(),
            syslog,
            sink,
        }
    }

    /// Writes the line of an exchange, if it has one. Never waits.
    pub(crate) fn write(
        &self,
        record: &Record<'_>,
        way: &Way<'_>,
        failure: Option<&Failure>,
        kept: &Kept,
    ) {
        let is_failure = failure.is_some() || record.status.is_some_and(|it| it.is_server_error());
        let is_wanted = is_failure || (!self.failures_only && self.is_drawn());
        if !is_wanted {
            return;
        }
        let (now, redact) = (time::now(), &*self.redact);
        let entry = Entry { record, way, failure, kept, now, redact };
        BUFFERS.with_borrow_mut(|(line, value)| {
            line.clear();
            if let Some(syslog) = &self.syslog {
                syslog.write(entry.now, failure.map(Failure::error_source), line);
            }
            self.write_entry(&entry, line, value);
            if self.syslog.is_none() {
                line.push(b'\n');
            }
            self.sink.send(line);
        });
    }

    /// Whether this one is in the sample, which takes requests at even distances.
    fn is_drawn(&self) -> bool {
        if self.sample == WHOLE {
            return true;
        }
        let seen = self.seen.fetch_add(1, Relaxed);
        seen.wrapping_mul(self.sample) % WHOLE < self.sample
    }

    fn write_entry(&self, entry: &Entry<'_>, line: &mut Vec<u8>, value: &mut Vec<u8>) {
        match &self.format {
            Format::Json(fields) => {
                let mut border = b'{';
                for (key, source) in fields {
                    let kind = source.value(entry, value);
                    if matches!(kind, Value::Absent) {
                        continue;
                    }
                    line.push(border);
                    border = b',';
                    line.extend_from_slice(key);
                    match kind {
                        Value::Bare => line.extend_from_slice(value),
                        _ => escape::json(value, line),
                    }
                }
                if border == b'{' {
                    line.push(border);
                }
                line.push(b'}');
            }
            Format::Template(parts) => {
                for part in parts {
                    let (source, is_quoted) = match part {
                        Part::Text(text) => {
                            line.extend_from_slice(text);
                            continue;
                        }
                        Part::Value { source, is_quoted } => (source, *is_quoted),
                    };
                    match source.value(entry, value) {
                        _ if value.is_empty() => line.push(b'-'),
                        Value::Absent => line.push(b'-'),
                        Value::Bare | Value::Own => line.extend_from_slice(value),
                        Value::Text => escape::text(value, is_quoted, line),
                    }
                }
            }
        }
    }
}
