//! `[events.NAME]`.
//!
//! Owns where events are sent and in which batches. Must not send anything: a receiver that is away is no fault of the
//! configuration.

use std::sync::Arc;

use super::diagnostic::Diagnostic;
use super::document::{Known, path_of};
use super::names::Names;
use super::reader::{Table, Text};
use super::{EventFormat, EventSink, Span, traces, units};

/// The sinks of a file.
pub(super) struct EventSinks {
    names: Names,
    spans: Vec<Span>,
    pub(super) read: Vec<Option<Arc<EventSink>>>,
}

impl EventSinks {
    /// Reads all of them.
    pub(super) fn read(root: &Table<'_, '_>, known: Known<'_>) -> Self {
        let tables = root.named_tables("events");
        let spans = tables.iter().map(|(name, _)| name.span.clone()).collect();
        let read = tables.iter().map(|(name, table)| read(name, table, known).map(Arc::new));
        let read = read.collect();
        let names = tables.into_iter().map(|(name, _)| Some(name)).collect();
        Self { names: Names::new(root.reading, "sink of events", names), spans, read }
    }

    /// Those that a plugin lists; `None` where the file has no such key.
    pub(super) fn granted(&self, table: &Table<'_, '_>) -> Option<Vec<Arc<EventSink>>> {
        let items = table.list("events")?.iter();
        let names = items.filter_map(|item| table.reading.text(item, "the name of a sink"));
        let found = names.filter_map(|name| {
            let index = self.names.find(table.reading, &name, "an `[events.NAME]` table")?;
            self.read[index].clone()
        });
        Some(found.collect())
    }

    /// Warns of sinks that no plugin lists.
    pub(super) fn warn_of_unused(&self, root: &Table<'_, '_>) {
        self.names.warn_of_unused(root.reading, "plugin", |index| self.spans[index].clone());
    }
}

fn read(name: &Text, table: &Table<'_, '_>, known: Known<'_>) -> Option<EventSink> {
    let upstream = table.word("upstream").and_then(|name| known.find(table, &name));
    let path = table
        .word("path")
        .and_then(|text| table.reading.parsed(&text, "a path", |text| path_of(text, "/v1/events")));
    let headers = traces::headers(table);
    let format = match table.choice("format") {
        "ndjson" => EventFormat::Ndjson,
        _ => EventFormat::Json,
    };
    let batch = table.integer("batch").unwrap_or_default() as usize;
    let size = |key| table.size(key).unwrap_or_default() as usize;
    let (mut batch_size, queue) = (size("batch_size"), size("queue"));
    let interval = table.duration("interval").unwrap_or_default();
    let timeout = table.duration("timeout").unwrap_or_default();
    if batch_size > queue {
        if let Some(value) = table.value("batch_size") {
            let error = Diagnostic::error(value.span(), "`batch_size` is larger than `queue`");
            let help = format!("write {} or less", units::show_size(queue as u64));
            table.reading.report(error.help(help));
        }
        // The default of one is larger than what the file says of the other.
        batch_size = queue;
    }
    let name = name.value.clone();
    let (upstream, path) = (upstream?, path?);
    Some(EventSink {
        name,
        upstream,
        path,
        headers,
        format,
        batch,
        batch_size,
        interval,
        queue,
        timeout,
    })
}
