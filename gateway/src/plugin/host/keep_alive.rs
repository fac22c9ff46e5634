//! `gateway:plugin/keep-alive`: what a client is sent while its response is silent.
//!
//! Owns what a hook may ask for. It counts when the hook has returned; the body that is sent writes it.

use std::time::Duration;

use super::functions::Functions;
use super::{Context, HostState};
use crate::body::KeepAlive;
use crate::plugin::bindings::KeepAliveError;
use crate::plugin::instance::{Hook, OnResponse};

/// The longest text.
const MAX_TEXT: usize = 1 << 10;
/// The most ends, and the longest: so many bytes of what was sent are known.
const MAX_ENDS: usize = 8;
const MAX_END: usize = KeepAlive::KNOWN;
/// The shortest and the longest silence, in nanoseconds.
const MIN_TIME: u64 = 100_000_000;
const MAX_TIME: u64 = 3_600_000_000_000;

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    type Wanted = (Vec<u8>, u64, Vec<Vec<u8>>);
    linker.func_wrap("send", |mut store: Context<'_>, (text, every, ends): Wanted| {
        Ok((store.data_mut().keep_alive(text, every, ends),))
    })
}

impl HostState {
    fn keep_alive(
        &mut self,
        text: Vec<u8>,
        every: u64,
        ends: Vec<Vec<u8>>,
    ) -> Result<(), KeepAliveError> {
        if self.hook != OnResponse::INDEX {
            return Err(KeepAliveError::NotHere);
        }
        let is_right = (1..=MAX_TEXT).contains(&text.len())
            && (MIN_TIME..=MAX_TIME).contains(&every)
            && (1..=MAX_ENDS).contains(&ends.len())
            && ends.iter().all(|end| (1..=MAX_END).contains(&end.len()));
        if !is_right {
            return Err(KeepAliveError::Invalid);
        }
        let every = Duration::from_nanos(every);
        let keep_alive = KeepAlive { text: text.into(), every, ends };
        self.slots.get_or_insert_default().keep_alive = Some(Box::new(keep_alive));
        Ok(())
    }
}
