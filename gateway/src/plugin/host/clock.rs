//! `gateway:plugin/clock`: time.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::Context;
use super::functions::Functions;

/// What `monotonic` counts from.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.same_each_time("now", |store: Context<'_>, (): ()| {
        store.data().is_unique.set(true);
        Ok((now(),))
    })?;
    linker.same_each_time("monotonic", |store: Context<'_>, (): ()| {
        store.data().is_unique.set(true);
        Ok((monotonic(),))
    })
}

/// Nanoseconds since the Unix epoch; a clock before it reads zero.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds since the process first asked.
pub(super) fn monotonic() -> u64 {
    u64::try_from(ORIGIN.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
