//! What goes into the bytes of an HTTP/1.1 connection past hyper.
//!
//! Owns the heads of interim responses, which hyper cannot send, and trailers that the head did not
//! announce, which it leaves out. Knows when everything was flushed; must not read or write.

use std::cell::{Cell, RefCell};
use std::task::Waker;

use bytes::Bytes;

/// The end of a chunked body, as hyper writes it.
const END: &[u8] = b"0\r\n\r\n";

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Inserts {
    /// Whether there is anything.
    is_waiting: Cell<bool>,
    /// To be sent before anything else.
    first: RefCell<Vec<u8>>,
    /// To be sent in front of the end of a chunked body.
    trailers: RefCell<Vec<u8>>,
    flushes: Cell<u64>,
    flush_waker: RefCell<Option<Waker>>,
}

impl Inserts {
    pub(super) fn go_first(&self, bytes: &[u8]) {
        self.first.borrow_mut().extend_from_slice(bytes);
        self.is_waiting.set(true);
    }

    pub(super) fn end_with(&self, trailers: Vec<u8>) {
        self.trailers.replace(trailers);
        self.is_waiting.set(true);
    }

    /// Whether there is anything to send that hyper does not know of.
    pub(super) fn is_waiting(&self) -> bool {
        self.is_waiting.get()
    }

    /// What is to be sent before anything else.
    pub(super) fn take_first(&self) -> Bytes {
        self.is_waiting.set(!self.trailers.borrow().is_empty());
        self.first.take().into()
    }

    /// What is to be sent in place of these bytes, which hyper wants to write next. Trailers that do not
    /// fit in there are none.
    pub(super) fn in_place_of(&self, bytes: &[u8]) -> Option<Bytes> {
        self.is_waiting.set(false);
        let trailers = self.trailers.take();
        let fits = !trailers.is_empty() && bytes == END;
        fits.then(|| [&END[..3], &trailers, &END[3..]].concat().into())
    }

    pub(super) fn flushed(&self) {
        self.flushes.set(self.flushes.get() + 1);
        if let Some(waker) = self.flush_waker.take() {
            waker.wake();
        }
    }

    pub(super) fn flushes(&self) -> u64 {
        self.flushes.get()
    }

    pub(super) fn wake_when_flushed(&self, waker: &Waker) {
        *self.flush_waker.borrow_mut() = Some(waker.clone());
    }
}
