//! As much of WASI 0.2 as a plugin's standard library needs to start, and no more.
//!
//! Owns clocks, random numbers, and standard output and error, which go to the log. There are no
//! files, no environment, no arguments and no sockets to see. A function that is not here can be
//! imported, since standard libraries import more than they call, but a call of it traps with a
//! message that names it. Nothing here waits, so that a plugin that imports WASI stays synchronous.

use std::time::Duration;

use wasmtime::component::types::{ComponentInstance, ComponentItem};
use wasmtime::component::{ComponentType, Lift, Linker, Lower, Resource, ResourceType, WasmList};
use wasmtime::{Engine, Error};

use super::functions::Functions;
use super::log::Stream;
use super::{Context, HostState, clock, random};
use crate::plugin::trap::Exited;

/// Bytes that a stream takes at once: as many as a line may have.
const WRITABLE: u64 = 8 << 10;

/// Marks the types of resources; the representation is all that there is of one.
mod resource {
    pub(super) struct Pollable;
    pub(super) struct IoError;
    pub(super) struct InputStream;
    pub(super) struct OutputStream;
    pub(super) struct TerminalInput;
    pub(super) struct TerminalOutput;
    pub(super) struct Descriptor;
    /// Any other: no function gives one out.
    pub(super) struct Absent;
}
use resource::*;

/// Representations of a [`Pollable`].
const READY: u32 = 0;
const TIMER: u32 = 1;

/// `wasi:io/streams.stream-error`
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

/// `wasi:clocks/wall-clock.datetime`
#[derive(ComponentType, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

/// Links what a component imports of one WASI interface, such as `wasi:io/streams@0.2.6`.
pub(in crate::plugin) fn link(
    linker: &mut Linker<HostState>,
    name: &str,
    wanted: &ComponentInstance,
    engine: &Engine,
) -> wasmtime::Result<()> {
    let mut instance = linker.instance(name)?;
    let mut instance = Functions::new(&mut instance);
    let interface = name.split('@').next().unwrap_or(name);
    for (item, wanted) in wanted.exports(engine) {
        match wanted.ty {
            ComponentItem::Resource(_) => link_resource(&mut instance, item)?,
            ComponentItem::ComponentFunc(_) => link_function(&mut instance, interface, item)?,
            _ => {}
        }
    }
    Ok(())
}

fn link_resource(linker: &mut Functions<'_, '_>, name: &str) -> wasmtime::Result<()> {
    let marker = match name {
        "pollable" => ResourceType::host::<Pollable>(),
        "error" => ResourceType::host::<IoError>(),
        "input-stream" => ResourceType::host::<InputStream>(),
        "output-stream" => ResourceType::host::<OutputStream>(),
        "terminal-input" => ResourceType::host::<TerminalInput>(),
        "terminal-output" => ResourceType::host::<TerminalOutput>(),
        "descriptor" => ResourceType::host::<Descriptor>(),
        _ => ResourceType::host::<Absent>(),
    };
    linker.resource(name, marker, |store, _| {
        store.data().changes_handles();
        Ok(())
    })
}

fn link_function(
    linker: &mut Functions<'_, '_>,
    interface: &str,
    name: &str,
) -> wasmtime::Result<()> {
    match interface {
        "wasi:io/streams" => link_streams(linker, interface, name),
        "wasi:io/poll" => link_poll(linker, interface, name),
        "wasi:clocks/monotonic-clock" | "wasi:clocks/wall-clock" => {
            link_clocks(linker, interface, name)
        }
        "wasi:random/random" | "wasi:random/insecure" | "wasi:random/insecure-seed" => {
            // Hash maps of a guest take their seed from here, once for the life of an instance.
            link_random(&mut linker.lasting(), interface, name)
        }
        // Libraries of C read the environment once, too.
        "wasi:cli/environment" => link_surroundings(&mut linker.lasting(), interface, name),
        _ => link_surroundings(linker, interface, name),
    }
}

fn link_streams(
    linker: &mut Functions<'_, '_>,
    interface: &str,
    name: &str,
) -> wasmtime::Result<()> {
    type Input = (Resource<InputStream>, u64);
    type Output = (Resource<OutputStream>,);
    type Write = (Resource<OutputStream>, WasmList<u8>);
    let nothing_to_read = |_: Context<'_>, _: Input| Ok((Err::<Vec<u8>, _>(StreamError::Closed),));
    let write = |mut store: Context<'_>, (stream, bytes): Write| {
        let bytes = bytes.as_le_slice(&store).to_vec();
        let stream = if stream.rep() == 0 { Stream::Output } else { Stream::Error };
        store.data_mut().write_stream(stream, &bytes);
        Ok((Ok::<_, StreamError>(()),))
    };
    let flush = |_: Context<'_>, _: Output| Ok((Ok::<_, StreamError>(()),));
    match name {
        "[method]input-stream.read" | "[method]input-stream.blocking-read" => {
            linker.func_wrap(name, nothing_to_read)
        }
        "[method]input-stream.subscribe" => linker
            .func_wrap(name, |store: Context<'_>, _: (Resource<InputStream>,)| {
                pollable(&store, READY)
            }),
        "[method]output-stream.check-write" => linker
            .func_wrap(name, |_: Context<'_>, _: Output| Ok((Ok::<_, StreamError>(WRITABLE),))),
        "[method]output-stream.write" | "[method]output-stream.blocking-write-and-flush" => {
            linker.func_wrap(name, write)
        }
        "[method]output-stream.flush" | "[method]output-stream.blocking-flush" => {
            linker.func_wrap(name, flush)
        }
        "[method]output-stream.subscribe" => {
            linker.func_wrap(name, |store: Context<'_>, _: Output| pollable(&store, READY))
        }
        _ => link_absent(linker, interface, name),
    }
}

fn link_poll(linker: &mut Functions<'_, '_>, interface: &str, name: &str) -> wasmtime::Result<()> {
    match name {
        "[method]pollable.ready" => linker
            .func_wrap(name, |_: Context<'_>, (which,): (Resource<Pollable>,)| {
                Ok((which.rep() == READY,))
            }),
        "[method]pollable.block" => linker.func_wrap(
            name,
            |_: Context<'_>, (which,): (Resource<Pollable>,)| {
                if which.rep() == READY { Ok(()) } else { Err(may_not_wait()) }
            },
        ),
        "poll" => linker.func_wrap(name, |_: Context<'_>, (all,): (Vec<Resource<Pollable>>,)| {
            let ready: Vec<u32> =
                (0..).zip(&all).filter(|(_, which)| which.rep() == READY).map(|(i, _)| i).collect();
            if ready.is_empty() { Err(may_not_wait()) } else { Ok((ready,)) }
        }),
        _ => link_absent(linker, interface, name),
    }
}

fn link_clocks(
    linker: &mut Functions<'_, '_>,
    interface: &str,
    name: &str,
) -> wasmtime::Result<()> {
    match (interface, name) {
        ("wasi:clocks/monotonic-clock", "now") => {
            linker.func_wrap(name, |store: Context<'_>, (): ()| {
                store.data().is_unique.set(true);
                Ok((clock::monotonic(),))
            })
        }
        ("wasi:clocks/monotonic-clock", "resolution") => {
            linker.func_wrap(name, |_: Context<'_>, (): ()| Ok((1_u64,)))
        }
        // What is over already is no waiting.
        (_, "subscribe-instant") => {
            linker.func_wrap(name, |store: Context<'_>, (when,): (u64,)| {
                pollable(&store, if when <= clock::monotonic() { READY } else { TIMER })
            })
        }
        (_, "subscribe-duration") => {
            linker.func_wrap(name, |store: Context<'_>, (time,): (u64,)| {
                pollable(&store, if time == 0 { READY } else { TIMER })
            })
        }
        (_, "now") => linker.func_wrap(name, |store: Context<'_>, (): ()| {
            store.data().is_unique.set(true);
            let now = Duration::from_nanos(clock::now());
            Ok((Datetime { seconds: now.as_secs(), nanoseconds: now.subsec_nanos() },))
        }),
        (_, "resolution") => linker.func_wrap(name, |_: Context<'_>, (): ()| {
            Ok((Datetime { seconds: 0, nanoseconds: 1 },))
        }),
        _ => link_absent(linker, interface, name),
    }
}

fn link_random(
    linker: &mut Functions<'_, '_>,
    interface: &str,
    name: &str,
) -> wasmtime::Result<()> {
    match name {
        "get-random-bytes" | "get-insecure-random-bytes" => linker
            .func_wrap(name, |store: Context<'_>, (count,): (u64,)| {
                Ok((random::bytes(store.data(), count)?,))
            }),
        "get-random-u64" | "get-insecure-random-u64" => linker
            .func_wrap(name, |store: Context<'_>, (): ()| Ok((random::number(store.data())?,))),
        "insecure-seed" => linker
            .func_wrap(name, |_: Context<'_>, (): ()| Ok(((random::seed()?, random::seed()?),))),
        _ => link_absent(linker, interface, name),
    }
}

/// What a command would find around itself: here, nothing but the two streams to the log.
fn link_surroundings(
    linker: &mut Functions<'_, '_>,
    interface: &str,
    name: &str,
) -> wasmtime::Result<()> {
    match name {
        "get-environment" => {
            linker.func_wrap(name, |_: Context<'_>, (): ()| Ok((Vec::<(String, String)>::new(),)))
        }
        "get-arguments" => {
            linker.func_wrap(name, |_: Context<'_>, (): ()| Ok((Vec::<String>::new(),)))
        }
        "initial-cwd" => linker.func_wrap(name, |_: Context<'_>, (): ()| Ok((None::<String>,))),
        "get-stdin" => linker.func_wrap(name, |store: Context<'_>, (): ()| {
            store.data().changes_handles();
            Ok((Resource::<InputStream>::new_own(0),))
        }),
        "get-stdout" => linker.func_wrap(name, |store: Context<'_>, (): ()| {
            store.data().changes_handles();
            Ok((Resource::<OutputStream>::new_own(Stream::Output as u32),))
        }),
        "get-stderr" => linker.func_wrap(name, |store: Context<'_>, (): ()| {
            store.data().changes_handles();
            Ok((Resource::<OutputStream>::new_own(Stream::Error as u32),))
        }),
        "get-terminal-stdin" => {
            linker.func_wrap(name, |_: Context<'_>, (): ()| Ok((None::<Resource<TerminalInput>>,)))
        }
        "get-terminal-stdout" | "get-terminal-stderr" => {
            linker.func_wrap(name, |_: Context<'_>, (): ()| Ok((None::<Resource<TerminalOutput>>,)))
        }
        "get-directories" => linker.func_wrap(name, |_: Context<'_>, (): ()| {
            Ok((Vec::<(Resource<Descriptor>, String)>::new(),))
        }),
        "exit" => linker.func_wrap(name, |_: Context<'_>, _: (Result<(), ()>,)| {
            Err::<(), _>(Error::new(Exited))
        }),
        "exit-with-code" => {
            linker.func_wrap(name, |_: Context<'_>, _: (u8,)| Err::<(), _>(Error::new(Exited)))
        }
        _ => link_absent(linker, interface, name),
    }
}

fn link_absent(
    linker: &mut Functions<'_, '_>,
    interface: &str,
    name: &str,
) -> wasmtime::Result<()> {
    let message = format!("the plugin called `{interface}` `{name}`, which plugins do not have");
    linker.absent(name, message)
}

fn pollable(store: &Context<'_>, which: u32) -> wasmtime::Result<(Resource<Pollable>,)> {
    store.data().changes_handles();
    Ok((Resource::new_own(which),))
}

fn may_not_wait() -> Error {
    Error::msg("the plugin wanted to sleep: a hook computes and returns, it may not wait")
}
