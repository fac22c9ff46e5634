//! What the request path may ask of a client's connection.

use std::task::Waker;

use http::header::CONNECTION;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;

use super::connection::{ClientConnection, Phase};
use super::leftover::Leftover;
use crate::conn::{ConnectionFacts, Downstream, Tunnel};
use crate::error::Cut;

impl Downstream for ClientConnection {
    fn facts(&self) -> &ConnectionFacts {
        &self.facts
    }

    fn raw_head_has(&self, test: fn(&[u8]) -> bool) -> bool {
        test(self.inbound.borrow().cut.raw_head())
    }

    /// It ends where the request has not ended and nobody reads the rest, or the upstream may stop at any time, since it
    /// has refused the request already; where the client has sent its last request; and where its worker leaves.
    fn conclude(&self, status: StatusCode, headers: &mut HeaderMap) {
        self.is_answered.set(true);
        let leaves = self.drain.is_leaving();
        let is_ordinary =
            !self.has_body.get() && !self.at_eof.get() && !self.refused.get() && !leaves;
        if is_ordinary || self.is_http2() {
            return;
        }
        let inbound = self.inbound.borrow();
        let rest_is_here = || inbound.cut.would_end(inbound.ahead.as_slice(), self.max_head());
        let is_left = self.leftover.borrow().is_some();
        let goes_on = || self.has_body.get() && !status.is_success() && !inbound.cut.is_over();
        let is_last = self.refused.get()
            || leaves
            || ((is_left || goes_on()) && !rest_is_here())
            || (self.at_eof.get() && inbound.cut.is_over() && inbound.ahead.is_empty());
        if is_last && status != StatusCode::SWITCHING_PROTOCOLS {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
            self.is_last.set(true);
            if is_left {
                self.forget_leftover();
            }
        }
    }

    fn refuse(&self) {
        self.refused.set(true);
    }

    fn cut(&self) -> Option<Cut> {
        self.cut.get().or_else(|| self.drain.has_cut().then_some(Cut::Drain))
    }

    fn response_gone(&self) {
        if self.phase() == Phase::Exchange {
            self.enter(Phase::Finishing);
        }
    }

    fn send_interim(&self, head: &[u8]) {
        if !self.is_blocked() {
            self.inserts().go_first(head);
        }
    }

    fn flushes(&self) -> u64 {
        self.inserts().flushes()
    }

    fn wake_when_flushed(&self, waker: &Waker) {
        self.inserts().wake_when_flushed(waker);
    }

    fn end_with_trailers(&self, trailers: Vec<u8>) {
        self.inserts().end_with(trailers);
    }

    fn switch_to(&self, tunnel: Tunnel) {
        self.tunnel.replace(Some(tunnel));
    }

    fn body_ended(&self) {
        self.has_body.set(false);
        if self.settle() {
            // Another time begins to run, and what was read already wakes nobody.
            self.wake();
        }
    }

    /// hyper would close behind a response that does not say so: while the rest may still be small,
    /// it is read and thrown away instead.
    fn body_abandoned(&self, body: Incoming) {
        if self.is_last.get() || body.is_end_stream() {
            drop(body);
            self.body_ended();
            return;
        }
        self.leftover.replace(Some(Leftover::new(body)));
        self.begin_wait();
        self.wake();
    }

    fn take_let_go(&self) -> bool {
        self.was_let_go.take()
    }
}
