//! Who learns what passes through the two bodies of an exchange.

use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll};

use http::HeaderMap;

use super::Body;
use crate::conn::Downstream;
use crate::error::Failure;
use crate::timer::Timers;

/// The owner of both bodies. A body calls it as its bytes pass; it must not read the body.
pub(crate) trait Observer: fmt::Debug {
    fn timers(&self) -> &Timers;

    /// The client's connection.
    fn downstream(&self) -> &dyn Downstream;

    /// Whether the head of the response was sent.
    fn is_answered(&self) -> bool;

    /// The request body is read for the first time, or again.
    fn upload_polled(&self);

    /// A piece of the request body came. Returns the bytes so far.
    fn upload_data(&self, data: &[u8]) -> u64;

    /// The bytes of the request body so far.
    fn upload_bytes(&self) -> u64;

    /// Removes trailers of the request that must not be passed on.
    fn filter_upload_trailers(&self, trailers: &mut HeaderMap);

    /// The whole request body has come.
    fn upload_ended(&self);

    /// The request body broke a rule or broke off.
    fn upload_failed(&self, failure: Failure);

    /// A piece of the response body goes to the client.
    fn download_data(&self, bytes: usize);

    /// What the client is sent while nothing comes goes to it.
    fn kept_alive(&self, bytes: usize);

    /// The upstream is waited for.
    fn download_waits(&self);

    /// Removes trailers of the response that must not be passed on. Returns how the others are sent.
    fn filter_download_trailers(&self, trailers: &mut HeaderMap) -> TrailerForm;

    /// The whole response body was handed over.
    fn download_ended(&self);

    /// The response body broke off.
    fn download_failed(&self, failure: Failure);

    /// The response body was dropped.
    fn download_gone(&self);

    /// Whether what the client does not take of the response body is to be read.
    fn wants_rest(&self) -> bool;

    /// The client takes no more: this is what it does not take.
    fn read_rest(self: Rc<Self>, rest: Body);

    /// Ready when the time for the whole exchange is over.
    fn poll_time_limit(&self, context: &mut Context<'_>) -> Poll<()>;
}

/// How a client gets trailers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrailerForm {
    /// Not at all: it did not say that it takes them (RFC 9110 section 6.5.1), or its version of HTTP has
    /// none.
    Omitted,
    /// As lines behind the last chunk.
    Lines,
    /// As a frame of HTTP/2.
    Frame,
}

/// Removes trailers of a request that would bring what plugins wrote into its head.
pub(crate) trait TrailerFilter {
    fn filter(&self, trailers: &mut HeaderMap);
}
