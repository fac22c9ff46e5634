//! What an exchange learns from its two bodies, and from a tunnel.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http::{HeaderMap, Version};

use super::Exchange;
use crate::body::{Body, Observer, TrailerForm};
use crate::chain::Side;
use crate::conn::{Downstream, TunnelObserver};
use crate::error::{Cut, Failure};
use crate::timer::Timers;
use crate::trace::Trace;
use crate::trailers;

impl Observer for Exchange {
    fn timers(&self) -> &Timers {
        &self.worker.timers
    }

    fn downstream(&self) -> &dyn Downstream {
        &*self.connection
    }

    fn is_answered(&self) -> bool {
        self.status.get().is_some()
    }

    fn upload_polled(&self) {
        self.upload_began.set(true);
    }

    fn upload_data(&self, data: &[u8]) -> u64 {
        if let Some(recording) = &self.recording {
            recording.write(|trace| trace.body_piece(data));
        }
        self.count_upload(data.len());
        self.uploaded.get()
    }

    fn upload_bytes(&self) -> u64 {
        self.uploaded.get()
    }

    fn filter_upload_trailers(&self, trailers: &mut HeaderMap) {
        self.filter_trailers(Side::Request, trailers);
    }

    fn upload_ended(&self) {
        if let Some(recording) = &self.recording {
            recording.write(Trace::body_complete);
        }
    }

    fn upload_failed(&self, failure: Failure) {
        // A client that sends more than it may does send, and reads its response behind that.
        if self.is_answered()
            && !matches!(failure, Failure::BodyTooLarge { .. })
            && let Some(stream) = &self.stream
        {
            stream.give_up_body();
        }
        let mut slot = self.upload_failure.borrow_mut();
        if slot.is_none() {
            *slot = Some(failure);
        }
        drop(slot);
        if let Some(waker) = self.upload_waker.take() {
            waker.wake();
        }
    }

    fn download_data(&self, bytes: usize) {
        self.client_is_next(true);
        if self.is_event_stream.get() {
            self.first_event_is_here();
        }
        self.count_download(bytes);
    }

    fn kept_alive(&self, bytes: usize) {
        self.client_is_next(true);
        self.count_download(bytes);
    }

    fn download_waits(&self) {
        self.client_is_next(false);
    }

    fn filter_download_trailers(&self, trailers: &mut HeaderMap) -> TrailerForm {
        self.client_is_next(true);
        self.filter_trailers(Side::Response, trailers);
        match self.version {
            _ if !self.passes_trailers() => TrailerForm::Omitted,
            version if version >= Version::HTTP_2 => TrailerForm::Frame,
            _ => TrailerForm::Lines,
        }
    }

    fn download_ended(&self) {
        self.response_complete();
    }

    fn download_failed(&self, failure: Failure) {
        self.fail(match failure {
            Failure::RequestTimeout => self.out_of_time(),
            failure => failure,
        });
    }

    fn download_gone(&self) {
        self.connection.response_gone();
    }

    fn wants_rest(&self) -> bool {
        Exchange::wants_rest(self)
    }

    fn read_rest(self: Rc<Self>, rest: Body) {
        super::drain(&self, std::future::ready(Some(rest)));
    }

    fn poll_time_limit(&self, context: &mut Context<'_>) -> Poll<()> {
        match self.time_limit.borrow_mut().as_mut() {
            Some(limit) => Pin::new(limit).poll(context),
            None => Poll::Pending,
        }
    }
}

impl Exchange {
    /// Whether trailers of the response go on to the client. HTTP/1.0 has no chunks to put them behind.
    pub(crate) fn passes_trailers(&self) -> bool {
        self.takes_trailers.get() && self.version >= Version::HTTP_11
    }

    /// Removes trailers that must not be passed on.
    fn filter_trailers(&self, side: Side, trailers: &mut HeaderMap) {
        match self.run.get() {
            Some(run) => run.filter_trailers(side, trailers),
            None => trailers::filter(trailers, &[]),
        }
    }

    fn client_is_next(&self, is: bool) {
        if let Some(stream) = &self.stream {
            stream.client_is_next(is);
        }
    }

    fn count_upload(&self, bytes: usize) {
        self.uploaded.set(self.uploaded.get() + bytes as u64);
    }

    fn count_download(&self, bytes: usize) {
        self.downloaded.set(self.downloaded.get() + bytes as u64);
    }
}

impl TunnelObserver for Exchange {
    fn tunnel_uploaded(&self, bytes: usize) {
        self.count_upload(bytes);
    }

    fn tunnel_downloaded(&self, bytes: usize) {
        self.count_download(bytes);
    }

    fn tunnel_ended(&self) {
        self.response_complete();
    }

    fn tunnel_cut_off(&self, cut: Cut) {
        self.answer_complete.set(false);
        self.fail(Failure::Cut(cut));
    }
}
