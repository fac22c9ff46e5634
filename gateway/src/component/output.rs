//! Standard output and error of a component, which go to the gateway's log.
//!
//! Owns the lines, with the component's name and the request id, and how many of them are kept. The
//! last lines on standard error are remembered: they are what a guest says when it panics.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::plugin::{FailureReport, OutputBuffer, OutputLine};
use crate::telemetry::log_line::{MAX_LINE, cut, printable};

/// Lines of one request that are kept.
const MAX_LINES: u32 = 1_000;

/// What the guest of one request writes.
#[derive(Debug)]
pub(super) struct Output {
    component: Arc<str>,
    request_id: Box<str>,
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    lines: u32,
    /// The unfinished line on standard output, and on standard error.
    partial: [Vec<u8>; 2],
    /// Of the lines on standard error, the last.
    held: OutputBuffer,
    /// Whether the line on standard error that is not finished is the first of a write.
    begins: bool,
}

/// One of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Output,
    Error,
}

impl Output {
    pub(super) fn new(component: &Arc<str>, request_id: &str) -> Arc<Self> {
        Arc::new(Self {
            component: Arc::clone(component),
            request_id: request_id.into(),
            written: Mutex::default(),
        })
    }

    /// Standard output.
    pub(super) fn stdout(self: &Arc<Self>) -> impl StdoutStream + use<> {
        Pipe { output: Arc::clone(self), stream: Stream::Output }
    }

    /// Standard error.
    pub(super) fn stderr(self: &Arc<Self>) -> impl StdoutStream + use<> {
        Pipe { output: Arc::clone(self), stream: Stream::Error }
    }

    /// What the guest reported about a failure, with what it has not finished yet.
    pub(super) fn failure_report(&self) -> Option<FailureReport> {
        let mut written = self.written();
        self.finish(&mut written, Stream::Error);
        written.held.take_failure_report()
    }

    /// The guest wanted to send a request where it may not.
    pub(super) fn refused(&self, uri: &http::Uri) {
        tracing::warn!(
            component = &*self.component,
            request_id = &*self.request_id,
            "the component wanted to send a request to `{}`, which is no upstream that it was \
             granted (`upstreams = [...]`)",
            uri.authority().map_or("", |authority| authority.as_str())
        );
    }

    /// Something of what the guest did is worth knowing.
    pub(super) fn warn(&self, text: &str) {
        let (component, request_id) = (&*self.component, &*self.request_id);
        tracing::warn!(component, request_id, "{text}");
    }

    /// That of the request which the guest serves.
    pub(super) fn request_id(&self) -> &str {
        &self.request_id
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, stream: Stream, mut bytes: &[u8]) {
        let mut written = self.written();
        if stream == Stream::Error && written.partial[stream as usize].is_empty() {
            written.begins = true;
        }
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            written.keep(stream, &bytes[..end]);
            self.write_line(&mut written, stream);
            bytes = &bytes[end + 1..];
        }
        written.keep(stream, bytes);
    }

    fn finish(&self, written: &mut Written, stream: Stream) {
        if !written.partial[stream as usize].is_empty() {
            self.write_line(written, stream);
        }
    }

    fn write_line(&self, written: &mut Written, stream: Stream) {
        let line = std::mem::take(&mut written.partial[stream as usize]);
        let line = String::from_utf8_lossy(&line);
        let text = &*printable(cut(&line));
        if stream == Stream::Error {
            let begins = std::mem::take(&mut written.begins);
            written.held.push(OutputLine { text: text.to_owned(), begins });
            while written.held.surplus().is_some() {}
        }
        written.lines = written.lines.saturating_add(1);
        if written.lines > MAX_LINES {
            return;
        }
        let (component, request_id) = (&*self.component, &*self.request_id);
        match stream {
            Stream::Output => {
                tracing::info!(target: "component", component, request_id, "{text}");
            }
            Stream::Error => {
                tracing::error!(target: "component", component, request_id, "{text}");
            }
        }
    }
}

impl Written {
    fn keep(&mut self, stream: Stream, bytes: &[u8]) {
        let partial = &mut self.partial[stream as usize];
        let room = MAX_LINE.saturating_sub(partial.len());
        partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let mut written = std::mem::take(&mut *self.written());
        self.finish(&mut written, Stream::Output);
        self.finish(&mut written, Stream::Error);
        if written.lines > MAX_LINES {
            let dropped = written.lines - MAX_LINES;
            tracing::warn!(
                component = &*self.component,
                request_id = &*self.request_id,
                dropped,
                "the component wrote more than {MAX_LINES} lines for one request"
            );
        }
    }
}

#[derive(Clone)]
struct Pipe {
    output: Arc<Output>,
    stream: Stream,
}

impl IsTerminal for Pipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Pipe {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Of WASI 0.3, which is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Pipe {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.output.write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_LINE)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Pipe {
    async fn ready(&mut self) {}
}
