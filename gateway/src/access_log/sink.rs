//! The queue of lines from workers to the writer of a log.
//!
//! Owns its bound, in lines and in bytes: what has no room is dropped and counted, and no worker waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::Sender;

use crate::telemetry::metrics::AccessLogCounts;

/// Lines that wait to be written, at most, and bytes of them.
pub(super) const MAX_LINES: usize = 65_536;
pub(super) const MAX_BYTES: usize = 8 << 20;

/// What a writer is sent.
#[derive(Debug)]
pub(super) enum Message {
    Line(Box<[u8]>),
    /// A file may have been moved.
    Reopen,
    /// Write what came before, and end. Answered when that is done.
    Stop(Sender<()>),
}

/// Takes lines, or drops them.
#[derive(Debug)]
pub(super) struct Sink {
    sender: Sender<Message>,
    waiting: Arc<Waiting>,
}

/// What waits.
#[derive(Debug)]
pub(super) struct Waiting {
    lines: AtomicUsize,
    bytes: AtomicUsize,
    /// Nobody sends lines any more, or soon nobody will.
    pub(super) is_stopping: AtomicBool,
    pub(super) counts: Arc<AccessLogCounts>,
}

impl Waiting {
    pub(super) fn new(counts: Arc<AccessLogCounts>) -> Self {
        let (lines, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { lines, bytes, is_stopping: AtomicBool::new(false), counts }
    }

    /// Whether there is room for a line of so many bytes, which then waits.
    fn takes(&self, bytes: usize) -> bool {
        let lines = self.lines.fetch_add(1, Relaxed);
        let before = self.bytes.fetch_add(bytes, Relaxed);
        let takes = lines < MAX_LINES && before.saturating_add(bytes) <= MAX_BYTES;
        if !takes {
            self.is_gone(bytes);
        }
        takes
    }

    fn is_gone(&self, bytes: usize) {
        self.lines.fetch_sub(1, Relaxed);
        self.bytes.fetch_sub(bytes, Relaxed);
    }

    /// How many lines wait.
    pub(super) fn lines(&self) -> usize {
        self.lines.load(Relaxed)
    }
}

impl Sink {
    pub(super) fn new(sender: Sender<Message>, waiting: Arc<Waiting>) -> Self {
        Self { sender, waiting }
    }

    /// Hands a line over, or drops it.
    pub(super) fn send(&self, line: &[u8]) {
        let is_taken = self.waiting.takes(line.len());
        if !is_taken || self.sender.send(Message::Line(line.into())).is_err() {
            if is_taken {
                self.waiting.is_gone(line.len());
            }
            self.waiting.counts.dropped(1);
        }
    }

    pub(super) fn reopen(&self) {
        let _ended = self.sender.send(Message::Reopen);
    }

    /// The writer ends when what waits is written, and answers then.
    pub(super) fn stop(&self, done: Sender<()>) {
        self.waiting.is_stopping.store(true, Relaxed);
        let _ended = self.sender.send(Message::Stop(done));
    }

    pub(super) fn waiting(&self) -> &Waiting {
        &self.waiting
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.waiting.is_stopping.store(true, Relaxed);
    }
}

/// Lines that the writer has taken.
#[derive(Debug)]
pub(super) struct Batch {
    lines: VecDeque<Box<[u8]>>,
    waiting: Arc<Waiting>,
}

impl Batch {
    pub(super) fn new(waiting: Arc<Waiting>) -> Self {
        Self { lines: VecDeque::new(), waiting }
    }

    pub(super) fn push(&mut self, line: Box<[u8]>) {
        self.lines.push_back(line);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().map(|line| &**line)
    }

    pub(super) fn first(&self) -> Option<&[u8]> {
        self.lines.front().map(|line| &**line)
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The first lines, as many as this, are written.
    pub(super) fn written(&mut self, count: usize) {
        self.remove(count);
        self.waiting.counts.written(count);
    }

    /// The first lines, as many as this, are abandoned.
    pub(super) fn dropped(&mut self, count: usize) {
        self.remove(count);
        self.waiting.counts.dropped(count);
    }

    fn remove(&mut self, count: usize) {
        self.lines.drain(..count).for_each(|line| self.waiting.is_gone(line.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_in_lines_and_in_bytes() {
        let sent = |bytes: usize, count: usize| {
            let (sender, receiver) = std::sync::mpsc::channel();
            let counts = Arc::new(AccessLogCounts::new("l"));
            let sink = Sink::new(sender, Arc::new(Waiting::new(Arc::clone(&counts))));
            (0..count).for_each(|_| sink.send(&vec![b'a'; bytes]));
            let taken = receiver.try_iter().count();
            assert_eq!(taken + counts.all_dropped() as usize, count);
            taken
        };
        assert_eq!(sent(1, MAX_LINES + 10), MAX_LINES);
        assert_eq!(sent(64 << 10, 1_000), MAX_BYTES / (64 << 10));
    }
}
