//! What a client is sent while its response is silent.
//!
//! Owns when: after a silence, and only where what was sent last ends an event, so that no event is torn. Must not know
//! why a plugin wants it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use crate::timer::{Deadline, Timers};

/// A text for silences.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    pub(crate) text: Bytes,
    /// After how long a silence.
    pub(crate) every: Duration,
    /// What the body ends with where the text may follow.
    pub(crate) ends: Vec<Vec<u8>>,
}

impl KeepAlive {
    /// So many of the last bytes of a body are known: no end is longer.
    pub(crate) const KNOWN: usize = KNOWN;
}

const KNOWN: usize = 16;

/// A response that is kept alive, as far as it has come.
#[derive(Debug)]
pub(super) struct Silence {
    wanted: Box<KeepAlive>,
    /// The last bytes of the body that were sent.
    last: [u8; KNOWN],
    length: usize,
    /// Made when the body is waited for first.
    deadline: Option<Deadline>,
    is_waiting: bool,
}

impl Silence {
    /// Nothing was sent yet.
    pub(super) fn of(wanted: Box<KeepAlive>) -> Self {
        Self { wanted, last: [0; KNOWN], length: 0, deadline: None, is_waiting: false }
    }

    /// This was sent.
    pub(super) fn sent(&mut self, data: &[u8]) {
        self.is_waiting = false;
        let new = &data[data.len().saturating_sub(KNOWN)..];
        let kept = self.length.min(KNOWN - new.len());
        self.last.copy_within(self.length - kept..self.length, 0);
        self.last[kept..kept + new.len()].copy_from_slice(new);
        self.length = kept + new.len();
    }

    /// Nothing has come: the text, if it is time.
    pub(super) fn poll(&mut self, timers: &Timers, context: &mut Context<'_>) -> Poll<Bytes> {
        if !self.is_between() {
            return Poll::Pending;
        }
        let every = self.wanted.every;
        let deadline = self.deadline.get_or_insert_with(|| timers.after(every));
        if !std::mem::replace(&mut self.is_waiting, true) {
            deadline.reset(every);
        }
        std::task::ready!(Pin::new(deadline).poll(context));
        // The next one is for the next silence, which begins now.
        self.is_waiting = false;
        Poll::Ready(self.wanted.text.clone())
    }

    /// Whether what was sent last ends an event.
    fn is_between(&self) -> bool {
        let last = &self.last[..self.length];
        last.is_empty() || self.wanted.ends.iter().any(|end| last.ends_with(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ends: &[&str]) -> Silence {
        let ends = ends.iter().map(|end| end.as_bytes().to_vec()).collect();
        let (text, every) = (Bytes::from_static(b":\n\n"), Duration::from_secs(1));
        Silence::of(Box::new(KeepAlive { text, every, ends }))
    }

    #[test]
    fn an_event_is_at_its_end_however_it_is_cut() {
        let event = "id: 1\r\ndata: a line that is longer than what is known\r\n\r\n";
        for cut in 0..=event.len() {
            for again in cut..=event.len() {
                let mut it = of(&["\n\n", "\n\r\n"]);
                assert!(it.is_between(), "before the first byte");
                let pieces = [&event[..cut], &event[cut..again], &event[again..]];
                let mut sent = 0;
                for piece in pieces {
                    it.sent(piece.as_bytes());
                    sent += piece.len();
                    assert_eq!(it.is_between(), sent == 0 || sent == event.len(), "{cut} {again}");
                }
            }
        }
    }

    #[test]
    fn the_end_of_a_line_ends_no_event() {
        let mut it = of(&["\n\n"]);
        it.sent(b"data: 1\n");
        assert!(!it.is_between());
        it.sent(b"\n");
        assert!(it.is_between());
        it.sent(b"d");
        assert!(!it.is_between());
    }
}
