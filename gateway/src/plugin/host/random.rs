//! `gateway:plugin/random`: random numbers fit for cryptography.

use super::functions::Functions;
use super::{Context, HostState};

const MAX_BYTES: u32 = 64 << 10;

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap("bytes", |store: Context<'_>, (count,): (u32,)| {
        Ok((bytes(store.data(), count.into())?,))
    })?;
    linker.func_wrap("number", |store: Context<'_>, (): ()| Ok((number(store.data())?,)))
}

/// This many random bytes.
pub(super) fn bytes(data: &HostState, count: u64) -> wasmtime::Result<Vec<u8>> {
    data.is_unique.set(true);
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    if count > MAX_BYTES {
        return Err(wasmtime::Error::msg(format!(
            "{count} random bytes at once, over {MAX_BYTES}"
        )));
    }
    let mut bytes = vec![0; count as usize];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// 64 random bits.
pub(super) fn number(data: &HostState) -> wasmtime::Result<u64> {
    data.is_unique.set(true);
    seed()
}

/// 64 random bits that nothing but the order of a hash table follows from.
pub(super) fn seed() -> wasmtime::Result<u64> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// From the system: the generator of the TLS library takes 30 ms of computing to begin with, which
/// every start with a plugin that wants one number would wait for.
fn fill(bytes: &mut [u8]) -> wasmtime::Result<()> {
    getrandom::fill(bytes).map_err(|_| wasmtime::Error::msg("the system's random source failed"))
}
