//! Events that leave the gateway in the background, in batches: exposures, audit records, whatever others count or keep.
//! Granted one by one: the configured plugin lists sinks of `[events.NAME]` under `events`.
//!
//! No hook waits for the receiver. What was taken is delivered at least once, or counted as dropped.
//!
//! ```
//! use gateway_plugin_sdk::events;
//! use gateway_plugin_sdk::prelude::*;
//! use gateway_plugin_sdk::testing::{self, Harness};
//!
//! struct Audit;
//!
//! impl Plugin for Audit {
//!     type Config = NoConfig;
//!     type Context = ();
//!
//!     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
//!         match events::is_granted("audit") {
//!             true => Ok(Self),
//!             false => Err(ConfigError::new("it needs `events = [\"audit\"]` beside `component`")),
//!         }
//!     }
//!
//!     fn interest(&self) -> Interest {
//!         Interest::on_request().method()
//!     }
//!
//!     fn on_request(&self, request: &mut Request, _: &mut ()) -> Outcome {
//!         // What there is no room for is counted by the gateway.
//!         let _full = events::emit("audit", format!("{{\"method\":\"{}\"}}", request.method()));
//!         Outcome::Next
//!     }
//! }
//!
//! assert!(Harness::<Audit>::new(NoConfig {}).is_err());
//! let harness = Harness::<Audit>::prepare().sink("audit").configure(NoConfig {}).unwrap();
//! harness.request(testing::request().method("PUT"));
//! assert_eq!(harness.events("audit"), [r#"{"method":"PUT"}"#]);
//! ```

use std::fmt;

use crate::host;

/// Why an event was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmitError {
    /// The plugin was not granted a sink of this name.
    NotGranted,
    /// Not in `configure`.
    NotHere,
    /// It is no JSON value, or longer than 64 KiB.
    Invalid,
    /// As much waits as may. It was counted as dropped.
    Full,
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotGranted => "the plugin was not granted this sink of events",
            Self::NotHere => "no event can be emitted in `configure`",
            Self::Invalid => "an event is a JSON value of at most 64 KiB",
            Self::Full => "as many events wait as may",
        })
    }
}

impl std::error::Error for EmitError {}

/// Whether the plugin was granted a sink of this name. In `configure` too.
#[must_use]
pub fn is_granted(sink: &str) -> bool {
    host::is_sink_granted(sink)
}

/// Has the gateway send an event, a JSON value, to the sink of this name.
///
/// # Errors
/// [`EmitError`]: nothing was taken.
pub fn emit(sink: &str, event: impl AsRef<[u8]>) -> Result<(), EmitError> {
    host::emit(sink, event.as_ref())
}
