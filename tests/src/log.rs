//! What the gateway logs, for tests to read.
//!
//! The log is one for the process and tests run side by side, so a test looks for its own lines:
//! by the id of its request, or by the name of a plugin that no other test of the file has.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

static LINES: Mutex<Vec<Line>> = Mutex::new(Vec::new());

/// A line of the log.
#[derive(Debug, Clone)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// Who speaks: `plugin` for the plugins themselves, `component` for components that answer.
    pub target: String,
    /// The words.
    pub message: String,
    /// What goes with them.
    pub fields: BTreeMap<String, String>,
}

impl Line {
    /// The value of a field; empty if it has none.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

/// Begins to listen, at `info` and above. Done by every gateway that a test starts from a file.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(Listener).expect("nobody else listens");
    });
}

/// The lines so far that say so.
pub fn lines(wanted: impl Fn(&Line) -> bool) -> Vec<Line> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().filter(|line| wanted(line)).cloned().collect()
}

/// The lines so far about a request.
#[must_use]
pub fn of_request(id: &str) -> Vec<Line> {
    assert!(!id.is_empty(), "every answer names its request");
    lines(|line| line.field("request_id") == id)
}

/// What plugins themselves said about a request.
#[must_use]
pub fn said(id: &str) -> Vec<String> {
    let own = of_request(id).into_iter().filter(|line| line.target == "plugin");
    own.map(|line| line.message).collect()
}

/// The lines so far that name a plugin.
#[must_use]
pub fn of_plugin(name: &str) -> Vec<Line> {
    lines(|line| line.field("plugin") == name)
}

struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = ["gateway", "plugin", "component"]
            .iter()
            .any(|name| metadata.target().starts_with(name));
        ours && *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut words = Words::default();
        event.record(&mut words);
        let metadata = event.metadata();
        let line = Line {
            level: *metadata.level(),
            target: metadata.target().to_owned(),
            message: words.0.remove("message").unwrap_or_default(),
            fields: words.0,
        };
        LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Words(BTreeMap<String, String>);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}
