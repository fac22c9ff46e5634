//! What a development run writes to its terminal.
//!
//! Owns colours, the line that shows progress, and that both stay out of files and pipes. Its own
//! words go to standard output; the log, cargo's words and what is wrong with a configuration to
//! standard error. Must not know what is said.

use std::io::{IsTerminal as _, Write as _};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::LogFormat;

/// How long a thing may take before its progress is shown.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often progress is written where lines cannot be taken back.
const SELDOM: Duration = Duration::from_secs(10);

/// Where people, or machines, read what happens. Cheap to copy.
#[derive(Clone)]
pub(super) struct Terminal(Arc<Inner>);

struct Inner {
    is_json: bool,
    has_colours: bool,
    /// Whether standard output is a terminal, on which a line can be written over.
    is_live: bool,
    /// Whether a line of progress is there.
    progress: Mutex<bool>,
}

/// What a text is, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Good,
    Changed,
    Bad,
    Strong,
    Faint,
}

impl Terminal {
    pub(super) fn new(format: LogFormat) -> Self {
        let is_live = std::io::stdout().is_terminal();
        let is_json = format == LogFormat::Json;
        let inner = Inner {
            is_json,
            has_colours: is_live && !is_json && colours_are_wanted(),
            is_live: is_live && !is_json,
            progress: Mutex::new(false),
        };
        Self(Arc::new(inner))
    }

    /// Whether machines read it.
    pub(super) fn is_json(&self) -> bool {
        self.0.is_json
    }

    /// Writes a line about the run itself.
    pub(super) fn say(&self, message: &str) {
        if self.0.is_json {
            self.write(&format!("{}\n", json!({ "event": "status", "message": message })));
        } else {
            self.write(&format!("{message}\n"));
        }
    }

    /// Writes an object, for machines.
    pub(super) fn object(&self, value: &Value) {
        self.write(&format!("{value}\n"));
    }

    /// Writes whole lines.
    pub(super) fn write(&self, lines: &str) {
        let mut progress = self.0.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stdout = std::io::stdout().lock();
        let erased = if std::mem::take(&mut *progress) { "\r\x1b[2K" } else { "" };
        let _reader_left = stdout.write_all(format!("{erased}{lines}").as_bytes());
        let _reader_left = stdout.flush();
    }

    /// Writes a line to standard error: something is wrong.
    pub(super) fn complain(&self, lines: &str) {
        self.write("");
        let _reader_left = std::io::stderr().lock().write_all(lines.as_bytes());
    }

    /// A text in its colour, where there are colours.
    pub(super) fn paint(&self, style: Style, text: &str) -> String {
        if !self.0.has_colours {
            return text.to_owned();
        }
        let code = match style {
            Style::Good => "32",
            Style::Changed => "33",
            Style::Bad => "31",
            Style::Strong => "1",
            Style::Faint => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// Does something that may take long, and shows progress meanwhile.
    pub(super) fn working<T>(&self, what: &str, work: impl FnOnce() -> T) -> T {
        let (done, is_done) = channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || self.tick(what, &is_done));
            let result = work();
            drop(done);
            result
        })
    }

    fn tick(&self, what: &str, is_done: &std::sync::mpsc::Receiver<()>) {
        let (began, mut told) = (Instant::now(), None::<Duration>);
        while let Err(RecvTimeoutError::Timeout) = is_done.recv_timeout(PATIENCE) {
            let passed = began.elapsed();
            let line = format!("{what} ... {} s", passed.as_secs());
            if self.0.is_live {
                self.over(&line);
            } else if told.is_none_or(|told| passed >= told + SELDOM) {
                told = Some(passed);
                self.say(&line);
            }
        }
        if self.0.is_live {
            self.write("");
        }
    }

    /// Writes over the line of progress.
    fn over(&self, line: &str) {
        self.write("");
        let mut progress = self.0.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stdout = std::io::stdout().lock();
        let _reader_left = stdout.write_all(self.paint(Style::Faint, line).as_bytes());
        let _reader_left = stdout.flush();
        *progress = true;
    }
}

/// Whether the user has not switched colours off (<https://no-color.org>).
pub(super) fn colours_are_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
