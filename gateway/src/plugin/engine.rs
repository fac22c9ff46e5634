//! The Wasm engine: one for the process.
//!
//! Owns the settings of wasmtime, the compilation cache and the epoch that interrupts a hook past
//! its deadline. Must not know what a plugin is.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wasmtime::{
    Cache, CacheConfig, Config, Enabled, Engine, InstanceAllocationStrategy,
    PoolingAllocationConfig, WasmBacktraceDetails,
};

use crate::share::{Clock, TICK};

/// The most linear memory that a plugin can be granted: what a 32-bit guest can address.
const MAX_MEMORY: usize = 4 << 30;

/// Live instances in the process, at most. Each takes four memory mappings, and Linux grants a
/// process 65,530 of them; and each reserves 4 GiB of addresses, of which a process has 128 TiB.
const MAX_INSTANCES: u32 = 4_000;

/// What one worker with few plugins can just do with.
const MIN_INSTANCES: u32 = 4;

/// Functions of a backtrace that are recorded at least, if there are so many. Those that are shown are
/// fewer: a long backtrace shows an endless recursion.
pub(super) const MIN_FRAMES: usize = 32;

/// What the backtrace of a trap contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backtraces {
    /// The names of functions, if the component has them.
    Names,
    /// Files and lines too, if the component has debug information. That is read again for each
    /// frame of each trap, on the thread that serves: a plugin that fails often, with debug
    /// information as large as it likes, would take time from its neighbours.
    Lines,
}

/// Makes the engine and starts its clock, which ends when the last engine handle is dropped. Where
/// addresses are short (`ulimit -v`, small address spaces, several engines in one process), it
/// makes do with fewer instances.
///
/// # Errors
///
/// When the machine cannot reserve the address space, or the cache folder cannot be made.
pub(crate) fn engine(
    cache: Option<&Path>,
    backtraces: Backtraces,
) -> wasmtime::Result<(Engine, Clock, Option<PathBuf>)> {
    let cache = compilations(cache)?;
    let folder = cache.as_ref().map(|cache| cache.directory().clone());
    let mut instances = MAX_INSTANCES;
    let engine = loop {
        match Engine::new(&config(cache.clone(), instances, backtraces)) {
            Ok(engine) => break engine,
            Err(error) if instances / 2 < MIN_INSTANCES => return Err(error),
            Err(_) => instances /= 2,
        }
    };
    if instances < MAX_INSTANCES {
        tracing::warn!(
            "addresses are short: {instances} plugin instances can live at a time, and not \
             {MAX_INSTANCES}; look at `ulimit -v`"
        );
    }
    let clock = start_clock(&engine);
    Ok((engine, clock, folder))
}

/// An engine that compiles as [`engine`] does, into the same cache, and runs nothing; `beside`: on one
/// thread, since another process serves meanwhile.
///
/// # Errors
///
/// When the cache folder cannot be made.
pub(super) fn compiler(
    cache: Option<&Path>,
    backtraces: Backtraces,
    beside: bool,
) -> wasmtime::Result<Engine> {
    let cache = cache.map(|cache| compilations(Some(cache))).transpose()?.flatten();
    let mut config = config(cache, MIN_INSTANCES, backtraces);
    config.parallel_compilation(!beside);
    Engine::new(&config)
}

/// An engine that compiles as [`engine`] does, for any machine whose processor has these features, and runs
/// nothing.
///
/// # Errors
///
/// When a feature is unknown.
pub(super) fn portable(features: &[&str]) -> wasmtime::Result<Engine> {
    let mut config = config(None, MIN_INSTANCES, Backtraces::Names);
    // To name the target is what keeps features of this machine out.
    config.target(&format!("{}-unknown-linux-gnu", std::env::consts::ARCH))?;
    for feature in features {
        enable(&mut config, feature);
    }
    Engine::new(&config)
}

#[expect(unsafe_code, reason = "a flag may change what guests can do")]
fn enable(config: &mut Config, feature: &str) {
    // SAFETY: an instruction set is none of those flags; a machine without it refuses the code.
    unsafe { config.cranelift_flag_enable(feature) };
}

pub(super) fn config(cache: Option<Cache>, instances: u32, backtraces: Backtraces) -> Config {
    let mut config = Config::new();
    // Each of these was measured: concurrency support alone triples the cost of a call.
    config.concurrency_support(false);
    config.epoch_interruption(true);
    config.wasm_backtrace_details(match backtraces {
        Backtraces::Names => WasmBacktraceDetails::Disable,
        Backtraces::Lines => WasmBacktraceDetails::Enable,
    });
    // Where each frame is looked up in debug information, fewer of them.
    let frames = match backtraces {
        Backtraces::Names => 4 * MIN_FRAMES,
        Backtraces::Lines => MIN_FRAMES,
    };
    config.wasm_backtrace_max_frames(NonZeroUsize::new(frames));
    config.max_wasm_stack(512 << 10);
    config.async_stack_size(1 << 20);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(instances)));
    config.memory_init_cow(true);
    config.cache(cache);
    config
}

/// Where compiled components are kept. A folder that the configuration names must do; without
/// the user's cache folder, each start compiles again.
fn compilations(folder: Option<&Path>) -> wasmtime::Result<Option<Cache>> {
    let mut settings = CacheConfig::new();
    if let Some(folder) = folder {
        settings.with_directory(folder);
        return Cache::new(settings).map(Some);
    }
    Ok(Cache::new(settings)
        .inspect_err(|error| {
            tracing::warn!("compiled plugins are not kept, so that each start compiles: {error:#}");
        })
        .ok())
}

fn pool(instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances);
    pool.total_core_instances(instances * 4);
    pool.total_memories(instances);
    pool.total_tables(instances * 2);
    pool.total_stacks(instances);
    pool.max_memories_per_component(1);
    pool.max_tables_per_component(8);
    pool.max_core_instances_per_component(16);
    pool.max_memory_size(MAX_MEMORY);
    // A larger resident part is a memset at every reset, which costs more than the page faults.
    pool.linear_memory_keep_resident(64 << 10);
    pool.table_keep_resident(4 << 10);
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes);
    }
    pool
}

/// Moves the epoch on with each tick, and ends with the last engine handle.
fn start_clock(engine: &Engine) -> Clock {
    let weak = engine.weak();
    Clock::start(move |ticks| {
        let Some(engine) = weak.upgrade() else { return false };
        // As many as there should have been: a rest is many ticks long.
        (0..ticks).for_each(|_| engine.increment_epoch());
        true
    })
}

/// The number of ticks after which a hook that may compute for `limit` is interrupted.
pub(crate) fn ticks(limit: Duration) -> u64 {
    let ticks = limit.as_nanos().div_ceil(TICK.as_nanos());
    // The current tick has begun already, so one more is needed for the whole time.
    u64::try_from(ticks).unwrap_or(u64::MAX / 2).saturating_add(1)
}
