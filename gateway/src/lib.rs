//! A programmable API gateway: each request runs through a chain of sandboxed WebAssembly plugins.
//!
//! A request takes one straight line, and `proxy.rs` shows it on one screen:
//!
//! 1. `server` accepts the connection on one worker's own queue, ends TLS, and lets hyper parse
//!    the head. From here on nothing is shared with another worker but limits and key-values.
//! 2. `proxy` names the request, refuses heads that two servers could read differently, and brings
//!    host and path into the one form that is matched and forwarded.
//! 3. [`route`] finds the route, with its captures.
//! 4. `chain` runs the route's plugins over the request, first to last. Each may change the head,
//!    ask for the body, choose the upstream, or answer at once. `plugin` alone knows
//!    Wasm, and `component` in the next step.
//! 5. [`upstream`] chooses a target and a pooled connection, sends the request, and waits for the
//!    head of the response. Or `component` has a Wasm service answer in its place.
//! 6. `chain` runs the plugins over the response, last to first.
//! 7. [`body`] streams both bodies through, untouched unless a plugin asked for one, and reports how
//!    they ended to `exchange`, which hands itself to those that registered for its end: the access log,
//!    metrics, plugins.
//!
//! Every failure becomes an [`error::Failure`] that knows its source, and
//! [`respond`] makes a problem document of it.
//!
//! [`config`] turns a file into a checked [`config::Config`]; [`Gateway::bind`] loads its plugins
//! and takes its addresses; [`Gateway::run`] serves until it is asked to stop, and a [`Handle`]
//! reloads it meanwhile. [`inspect`] says what a component is and needs before any file configures it,
//! and a [`trace`] what became of an exchange, for who develops plugins.

mod access_log;
mod admin;
#[doc(hidden)]
pub mod bench;
pub mod body;
mod chain;
mod checks;
mod component;
pub mod config;
mod conn;
mod connection_slots;
mod documents;
pub mod error;
mod events;
mod exchange;
pub mod experiments;
pub mod explain;
pub mod first_party;
mod gateway;
mod heads;
mod health;
mod held_files;
mod http2;
pub mod json;
mod memory_file;
mod memory_quota;
pub mod models;
mod names;
mod outbound;
mod path;
mod plugin;
mod proxy;
mod recorder;
pub mod respond;
pub mod route;
mod server;
mod share;
mod snapshot;
mod spans;
mod state;
mod tcp;
mod telemetry;
pub mod timer;
mod tls;
pub mod trace;
mod trailers;
pub mod upstream;
pub mod usage;

pub use admin::{Busy, Operator, Reloaded};
pub use checks::{Unreached, try_targets};
pub use error::ComponentError;
pub use gateway::{
    BindError, BindErrors, Gateway, Handle, PluginWarning, ReloadError, RunError, SpanTarget,
};
pub use plugin::{
    Compilation, INTERFACE_VERSION, Inspection, Omission, PluginImport, Refusal, Requirement, Size,
    compile, compile_time, compile_with, inspect, open, precompile, requirements, schema,
};
pub use server::give_back_memory_with;
