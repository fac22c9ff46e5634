//! What a hook costs by its shape, and what it costs to take an instance: `cargo bench --bench
//! hooks`. Builds the plugin that it calls, so that it needs the target `wasm32-wasip2`.
//!
//! Rows with `plugins = 0` and without shape are what the measure itself costs; take them off.

#[path = "../src/allocator.rs"]
mod allocator;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use gateway::bench::Hooks;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

fn main() {
    component();
    divan::main();
}

/// The plugin, built once.
fn component() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let benches = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches");
        let built = Command::new(env!("CARGO"))
            .current_dir(&benches)
            .args(["build", "--locked", "--quiet", "--profile", "guest", "--package", "shapes"])
            .args(["--target", "wasm32-wasip2", "--target-dir", "target"])
            .status();
        assert!(built.is_ok_and(|status| status.success()), "the plugin `shapes` does not build");
        benches.join("target/wasm32-wasip2/guest/shapes.wasm")
    })
}

fn hooks(shape: &str, plugins: usize) -> Hooks {
    let hooks = Hooks::of(component(), &format!("{{ shape = \"{shape}\" }}"), plugins);
    // The first request makes the instances.
    hooks.request(&Bytes::new(), 1);
    hooks
}

/// One field read, one set.
#[divan::bench(args = [0, 1, 2, 4])]
fn head(bencher: Bencher<'_, '_>, plugins: usize) {
    let hooks = hooks("head", plugins);
    bencher.bench_local(|| hooks.request(&Bytes::new(), 1));
}

/// The same, and three host calls.
#[divan::bench(args = [1, 2, 4])]
fn three_host_calls(bencher: Bencher<'_, '_>, plugins: usize) {
    let hooks = hooks("calls", plugins);
    bencher.bench_local(|| hooks.request(&Bytes::new(), 1));
}

/// 64 pieces of 16 KiB, each taken in and replaced by a copy.
#[divan::bench(args = [0, 1])]
fn chunks_of_16_kib(bencher: Bencher<'_, '_>, plugins: usize) {
    const PIECES: usize = 64;
    let hooks = hooks("chunks", plugins);
    let piece = Bytes::from(vec![b'a'; 16 << 10]);
    bencher
        .counter(BytesCount::new(PIECES * piece.len()))
        .bench_local(|| hooks.request(&piece, PIECES));
}

/// A body of 16 KiB, taken in and replaced by a copy as a whole.
#[divan::bench(args = [0, 1])]
fn body_of_16_kib(bencher: Bencher<'_, '_>, plugins: usize) {
    let hooks = hooks("body", plugins);
    let body = Bytes::from(vec![b'a'; 16 << 10]);
    bencher.counter(BytesCount::new(body.len())).bench_local(|| hooks.request(&body, 1));
}

/// An instance out of the pool and back.
#[divan::bench]
fn checkout(bencher: Bencher<'_, '_>) {
    let hooks = hooks("head", 1);
    bencher.bench_local(|| hooks.checkout());
}
