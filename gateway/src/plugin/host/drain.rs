//! `gateway:plugin/drain`: a response that is read to its end though its client has left.
//!
//! Owns what a hook may ask for. It counts when the hook has returned.

use std::time::Duration;

use super::functions::Functions;
use super::{Context, HostState};
use crate::plugin::bindings::DrainError;
use crate::plugin::instance::{Hook, OnRequest, OnRequestBody, OnResponse, OnResponseBody};

/// Bytes that are read of one response, at most.
const MAX_BYTES: u64 = 1 << 30;
/// The longest time for which one is read, in nanoseconds.
const MAX_TIME: u64 = 600_000_000_000;
/// The hooks that can ask for it, besides that for chunks while the response is held back.
const ASKS: [usize; 4] =
    [OnRequest::INDEX, OnRequestBody::INDEX, OnResponse::INDEX, OnResponseBody::INDEX];

/// How far a response is read; not at all where one is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drain {
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
}

impl Drain {
    /// Whether nothing is read.
    pub(crate) fn is_none(self) -> bool {
        self.bytes == 0 || self.time.is_zero()
    }

    /// As far as either of them.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { bytes: self.bytes.max(other.bytes), time: self.time.max(other.time) }
    }
}

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap("response", |mut store: Context<'_>, (bytes, time): (u64, u64)| {
        Ok((store.data_mut().drain_response(bytes, time),))
    })
}

impl HostState {
    fn drain_response(&mut self, bytes: u64, time: u64) -> Result<(), DrainError> {
        if !ASKS.contains(&self.hook) && !self.is_held() {
            return Err(DrainError::NotHere);
        }
        if bytes > MAX_BYTES || time > MAX_TIME {
            return Err(DrainError::Invalid);
        }
        let drain = Drain { bytes, time: Duration::from_nanos(time) };
        self.slots.get_or_insert_default().drain = Some(drain);
        Ok(())
    }
}
