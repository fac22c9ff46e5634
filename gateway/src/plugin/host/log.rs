//! `gateway:plugin/log`, and standard output and error: what a plugin writes goes to the gateway's
//! log, with the plugin's name and the request id.

use std::borrow::Cow;

use tracing::Level as TracingLevel;
use wasmtime::component::LinkerInstance;

use super::{Context, HostState};
use crate::plugin::bindings::Level;

/// Bytes of a line that are kept.
pub(crate) const MAX_LINE: usize = 8 << 10;
/// Lines of one hook that are kept.
const MAX_LINES: u32 = 100;

/// What an instance wrote.
#[derive(Default)]
pub(crate) struct Output {
    /// Lines of the hook that runs.
    lines: u32,
    /// The unfinished line on standard output, and on standard error.
    partial: [Vec<u8>; 2],
    /// The last error that the guest reported: what it says when it panics.
    last_error: Option<String>,
}

/// A standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Output,
    Error,
}

pub(super) fn link(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
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
    }

    /// After a hook: an unfinished line is finished, and what was dropped is counted.
    pub(crate) fn end_output(&mut self) {
        for stream in [Stream::Output, Stream::Error] {
            if !self.output.partial[stream as usize].is_empty() {
                self.write_stream(stream, b"\n");
            }
        }
        if self.output.lines > MAX_LINES {
            let dropped = self.output.lines - MAX_LINES;
            tracing::warn!(plugin = %self.identity.name, request_id = self.request_id(), dropped,
                "the plugin wrote more than {MAX_LINES} lines in one hook");
        }
    }

    /// What the guest said last about an error.
    pub(crate) fn last_error(&mut self) -> Option<String> {
        self.output.last_error.take()
    }

    fn write_line(&mut self, level: Level, text: &str) {
        self.reaches_out();
        let text = self.identity.without_secrets(cut(text));
        let text = &*printable(&text);
        if matches!(level, Level::Error) && says_why(text) {
            self.output.last_error = Some(text.trim().to_owned());
        }
        self.output.lines = self.output.lines.saturating_add(1);
        if self.output.lines > MAX_LINES {
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
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.keep_partial(stream, &bytes[..end]);
            let line = std::mem::take(&mut self.output.partial[stream as usize]);
            let line = String::from_utf8_lossy(&line);
            match stream {
                Stream::Output => self.write_line(Level::Info, &line),
                Stream::Error => self.write_line(Level::Error, &line),
            }
            bytes = &bytes[end + 1..];
        }
        self.keep_partial(stream, bytes);
    }

    fn keep_partial(&mut self, stream: Stream, bytes: &[u8]) {
        let partial = &mut self.output.partial[stream as usize];
        let room = MAX_LINE.saturating_sub(partial.len());
        partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// Whether a line can be what a failure is about. Languages end what they say of an uncaught
/// exception with blank lines and with advice.
fn says_why(text: &str) -> bool {
    let text = text.trim_start();
    !text.is_empty() && !text.starts_with("note:")
}

/// As much of a line as is kept.
pub(crate) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_LINE)]
}

/// The text with control characters escaped, so that nobody forges lines of the log or steers the
/// terminal that shows them.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let is_control = |c: char| c.is_control() && c != '\t';
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_control(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
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
    fn advice_and_blank_lines_say_not_why() {
        for line in ["", "  ", "note: run with `RUST_BACKTRACE=1`", "  note: see the manual"] {
            assert!(!says_why(line), "{line:?}");
        }
        for line in ["ValueError: no name", "  at hook (plugin.js:3:7)", "notes: 3"] {
            assert!(says_why(line), "{line:?}");
        }
    }
}
