//! The log of a development run.
//!
//! Owns which lines are where: those of an exchange wait until its trace is shown and are in it,
//! all others are written at once. Must not show a trace.

use std::collections::HashMap;
use std::fmt::{Debug, Write as _};
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use super::terminal::{Terminal, colours_are_wanted};

/// Exchanges whose lines are kept. More have none only if their traces are not taken.
const MAX_EXCHANGES: usize = 4_000;

/// A line of the log.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) at: Instant,
    pub(super) level: Level,
    /// The plugin that wrote it, or that it is about.
    pub(super) plugin: String,
    pub(super) text: String,
    /// Whether the gateway wrote it, about what became of a hook.
    pub(super) is_verdict: bool,
}

/// Lines of exchanges that have not ended yet, by request id.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<HashMap<String, Vec<Line>>>>);

impl Lines {
    /// Starts the log of the process. Unless `GATEWAY_LOG` says otherwise, all is heard that
    /// plugins write at the level debug or above.
    pub(super) fn start(terminal: &Terminal) -> Self {
        let lines = Self::default();
        let filter = EnvFilter::try_from_env("GATEWAY_LOG")
            .unwrap_or_else(|_| EnvFilter::new("info,plugin=debug"));
        let keep = Keep { lines: lines.clone(), terminal: terminal.clone() };
        let is_about_no_request = filter_fn(|of| of.fields().field("request_id").is_none());
        let colours = std::io::stderr().is_terminal() && colours_are_wanted();
        let others = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let registry = tracing_subscriber::registry().with(filter).with(keep);
        if terminal.is_json() {
            let others = others.json().flatten_event(true);
            registry.with(others.with_filter(is_about_no_request)).init();
        } else {
            let others = others.with_ansi(colours).without_time().with_target(false).compact();
            registry.with(others.with_filter(is_about_no_request)).init();
        }
        lines
    }

    /// Takes the lines of an exchange that has ended.
    pub(super) fn take(&self, request_id: &str) -> Vec<Line> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(request_id).unwrap_or_default()
    }

    fn keep(&self, request_id: String, line: Line) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_EXCHANGES && !all.contains_key(&request_id) {
            all.clear();
        }
        all.entry(request_id).or_default().push(line);
    }
}

/// Keeps the lines of exchanges.
struct Keep {
    lines: Lines,
    terminal: Terminal,
}

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        // The trace itself reports how the exchange ended.
        let is_told = metadata.target() == "gateway::access";
        if is_told || metadata.fields().field("request_id").is_none() {
            return;
        }
        let mut words = Words::default();
        event.record(&mut words);
        let Words { request_id, plugin, message, others } = words;
        let text = format!("{message}{others}");
        if request_id.is_empty() {
            // Written while a plugin was configured.
            let level = metadata.level().as_str().to_lowercase();
            self.terminal.say(&format!("{plugin}: {level}: {text}"));
            return;
        }
        let line = Line {
            at: Instant::now(),
            level: *metadata.level(),
            plugin,
            text,
            is_verdict: metadata.target().starts_with("gateway::chain"),
        };
        self.lines.keep(request_id, line);
    }
}

/// The fields of an event.
#[derive(Default)]
struct Words {
    request_id: String,
    plugin: String,
    message: String,
    others: String,
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "request_id" => value.clone_into(&mut self.request_id),
            "plugin" => value.clone_into(&mut self.plugin),
            "message" => value.clone_into(&mut self.message),
            // Where the line is says so.
            "fault" | "hook" => {}
            name => drop(write!(self.others, " {name}={value}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
