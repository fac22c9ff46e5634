//! `gateway:plugin/digest`: message digests at native speed.

use aws_lc_rs::digest::{SHA256, digest};
use wasmtime::component::WasmList;

use super::Context;
use super::functions::Functions;

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.same_each_time("sha256", |store: Context<'_>, (data,): (WasmList<u8>,)| {
        Ok((sha256(data.as_le_slice(&store)),))
    })
}

fn sha256(data: &[u8]) -> (u64, u64, u64, u64) {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(digest(&SHA256, data).as_ref().chunks_exact(8)) {
        *word = bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    }
    (words[0], words[1], words[2], words[3])
}
