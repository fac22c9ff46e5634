//! `gateway:plugin/log`, and standard output and error: what a plugin writes goes to the gateway's
//! log, with the plugin's name and the request id.

use super::functions::Functions;
use super::{Context, HostState};
use crate::plugin::bindings::Level;
use crate::plugin::guest_output::{FailureReport, OutputBuffer, OutputLine, says_why};
use crate::recorder::Written;
use crate::state::volume::Speaker;
use crate::telemetry::log_line::{MAX_LINE, cut, printable};
use tracing::Level as TracingLevel;

/// Lines of one hook that are kept.
const MAX_LINES: u32 = 100;

/// About what a record of the gateway's own takes.
const RECORD: usize = 256;

/// What an instance wrote.
#[derive(Default)]
pub(crate) struct Output {
    /// Lines of the hook that runs.
    lines: u32,
    /// The unfinished line on standard output, and on standard error.
    partial: [Vec<u8>; 2],
    /// The last error that the guest reported to the log: what it says when it panics.
    last_error: Option<String>,
    /// The last lines on standard error, which may be about a failure.
    held: OutputBuffer,
    /// Whether the line on standard error that is not finished is the first of a write.
    begins: bool,
    /// The last lines of the hook that runs, for the flight recorder.
    written: Option<Box<Written>>,
}

/// A standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Output,
    Error,
}

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap("enabled", |_: Context<'_>, (level,): (Level,)| Ok((is_enabled(level),)))?;
    linker.func_wrap("write", |mut store: Context<'_>, (level, text): (Level, String)| {
        store.data_mut().write_line(level, &text);
        Ok(())
    })
}

impl HostState {
    /// Before a hook: its lines are counted from zero.
    pub(crate) fn begin_output(&mut self) {
        self.output.lines = 0;
        self.output.last_error = None;
        self.output.written = None;
    }

    /// The last lines of the hook that has returned.
    pub(crate) fn take_written(&mut self) -> Option<Box<Written>> {
        self.output.written.take()
    }

    /// After a hook: an unfinished line is finished, and what was dropped is counted.
    pub(crate) fn end_output(&mut self) {
        for stream in [Stream::Output, Stream::Error] {
            self.finish(stream);
        }
        self.let_go();
        if self.output.lines > MAX_LINES {
            let dropped = self.output.lines - MAX_LINES;
            self.identity.metrics.log_dropped(dropped.into());
            if self.identity.stores.volume.admits(Speaker::Gateway, RECORD) {
                tracing::warn!(plugin = %self.identity.name, request_id = self.request_id(),
                    dropped, "the plugin wrote more than {MAX_LINES} lines in one hook");
            }
        }
    }

    /// What the guest said last about an error, to the log.
    pub(crate) fn last_error(&mut self) -> Option<String> {
        self.output.last_error.take()
    }

    /// What the guest told of a failure at the end of standard error, which goes to the log with
    /// the failure and not by itself.
    pub(crate) fn take_failure_report(&mut self) -> Option<FailureReport> {
        self.finish(Stream::Error);
        self.output.held.take_failure_report()
    }

    /// As [`take_failure_report`](Self::take_failure_report), but what was told stays.
    pub(crate) fn peek_failure_report(&mut self) -> Option<FailureReport> {
        self.finish(Stream::Error);
        self.output.held.failure_report()
    }

    /// A line by the interface, or on standard output: what stood on standard error before it is no
    /// account of what comes.
    fn write_line(&mut self, level: Level, text: &str) {
        self.let_go();
        let text = self.shown(text);
        if matches!(level, Level::Error) && says_why(&text) {
            self.output.last_error = Some(text.trim().to_owned());
        }
        self.log(level, &text);
    }

    /// As the log may show it: without secrets, and on one line.
    fn shown(&self, text: &str) -> String {
        printable(&self.identity.without_secrets(cut(text))).into_owned()
    }

    fn let_go(&mut self) {
        while let Some(line) = self.output.held.pop() {
            self.log(level_of(&line.text), &line.text);
        }
    }

    fn log(&mut self, level: Level, text: &str) {
        self.output.lines = self.output.lines.saturating_add(1);
        if self.output.lines > MAX_LINES {
            return;
        }
        if !is_enabled(level) {
            return;
        }
        // Also where the log has no room for it.
        self.output.written.get_or_insert_default().push(word(level), text);
        if !self.identity.stores.volume.admits(Speaker::Plugin, text.len()) {
            return;
        }
        let (plugin, request_id) = (&*self.identity.name, self.request_id());
        match level {
            Level::Trace => tracing::trace!(target: "plugin", plugin, request_id, "{text}"),
            Level::Debug => tracing::debug!(target: "plugin", plugin, request_id, "{text}"),
            Level::Info => tracing::info!(target: "plugin", plugin, request_id, "{text}"),
            Level::Warn => tracing::warn!(target: "plugin", plugin, request_id, "{text}"),
            Level::Error => tracing::error!(target: "plugin", plugin, request_id, "{text}"),
        }
    }

    /// Writes to a standard stream; each finished line goes to the log.
    pub(super) fn write_stream(&mut self, stream: Stream, mut bytes: &[u8]) {
        if stream == Stream::Error && self.output.partial[stream as usize].is_empty() {
            self.output.begins = true;
        }
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.keep_partial(stream, &bytes[..end]);
            self.write_partial(stream);
            bytes = &bytes[end + 1..];
        }
        self.keep_partial(stream, bytes);
    }

    fn write_partial(&mut self, stream: Stream) {
        let line = std::mem::take(&mut self.output.partial[stream as usize]);
        let line = String::from_utf8_lossy(&line);
        match stream {
            Stream::Output => self.write_line(Level::Info, &line),
            Stream::Error => {
                let begins = std::mem::take(&mut self.output.begins);
                let line = OutputLine { text: self.shown(&line), begins };
                self.output.held.push(line);
                while let Some(line) = self.output.held.surplus() {
                    self.log(level_of(&line.text), &line.text);
                }
            }
        }
    }

    fn finish(&mut self, stream: Stream) {
        if !self.output.partial[stream as usize].is_empty() {
            self.write_partial(stream);
        }
    }

    fn keep_partial(&mut self, stream: Stream, bytes: &[u8]) {
        let partial = &mut self.output.partial[stream as usize];
        let room = MAX_LINE.saturating_sub(partial.len());
        partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// How a line on standard error is meant. Python begins a record with its level, and says of a
/// warning where it stands; others say nothing, and mean an error.
fn level_of(line: &str) -> Level {
    let first = line.split(':').next().unwrap_or_default();
    match first {
        "DEBUG" => Level::Debug,
        "INFO" => Level::Info,
        "WARNING" => Level::Warn,
        _ if is_python_warning(line) => Level::Warn,
        _ => Level::Error,
    }
}

/// Such as `/0/orders.py:56: DeprecationWarning: use another`.
fn is_python_warning(line: &str) -> bool {
    let mut parts = line.splitn(3, ": ");
    let (Some(place), Some(kind), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let line = place.rsplit_once(':').map_or("", |(_, line)| line);
    let is_line = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
    is_line && kind.ends_with("Warning") && kind.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

fn is_enabled(level: Level) -> bool {
    match level {
        Level::Trace => tracing::enabled!(target: "plugin", TracingLevel::TRACE),
        Level::Debug => tracing::enabled!(target: "plugin", TracingLevel::DEBUG),
        Level::Info => tracing::enabled!(target: "plugin", TracingLevel::INFO),
        Level::Warn => tracing::enabled!(target: "plugin", TracingLevel::WARN),
        Level::Error => tracing::enabled!(target: "plugin", TracingLevel::ERROR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_of_a_line_on_standard_error_is_what_its_language_says() {
        for (line, level) in [
            ("DEBUG:app:d", Level::Debug),
            ("INFO:app:i", Level::Info),
            ("WARNING:app:w", Level::Warn),
            ("ERROR:app:e", Level::Error),
            ("CRITICAL:app:c", Level::Error),
            ("INFORMATION: none", Level::Error),
            ("/0/lab.py:56: UserWarning: careful", Level::Warn),
            ("/0/lab.py:43: RuntimeWarning: coroutine 'f' was never awaited", Level::Warn),
            ("a note: UserWarning: careful", Level::Error),
            ("Warning: careful", Level::Error),
            ("", Level::Error),
        ] {
            assert_eq!(level_of(line), level, "{line:?}");
        }
    }
}
