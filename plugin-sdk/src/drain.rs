//! Reading a response to its end though its client has left: for a plugin that has to see the end, such as the usage
//! that a provider of models says last.
//!
//! ```
//! use std::time::Duration;
//!
//! use gateway_plugin_sdk::drain;
//! use gateway_plugin_sdk::prelude::*;
//! use gateway_plugin_sdk::testing::{self, Harness};
//!
//! struct Drains;
//!
//! impl Plugin for Drains {
//!     type Config = NoConfig;
//!     type Context = ();
//!
//!     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
//!         Ok(Self)
//!     }
//!
//!     fn interest(&self) -> Interest {
//!         Interest::on_request()
//!     }
//!
//!     fn on_request(&self, _: &mut Request, _: &mut ()) -> Outcome {
//!         match drain::response(1 << 20, Duration::from_secs(30)) {
//!             Ok(()) => Outcome::Next,
//!             Err(_) => Outcome::respond(Response::new(500)),
//!         }
//!     }
//! }
//!
//! let harness = Harness::<Drains>::new(NoConfig {}).unwrap();
//! let exchange = harness.request(testing::request());
//! assert_eq!(exchange.drained(), Some((1 << 20, Duration::from_secs(30))));
//! ```
//!
//! # What happens
//!
//! Without it the gateway hangs up on the upstream when the client leaves. With it the hooks for the response run on, as
//! if the client were there, and `on_complete` when all is read, with [`Ending::ClientLeft`](crate::Ending::ClientLeft).
//! What the exchange holds, such as [`slots`](crate::slots), it holds until then. Another
//! [attempt](crate::attempts) is not made for a client that has left.
//!
//! The gateway reads 256 such responses at a time on a worker, and hangs up where there are more.

use std::time::Duration;

use crate::host;

/// Why the response is not drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DrainError {
    /// More than 1 GiB, or longer than ten minutes.
    #[error("a response is drained for at most 1 GiB and ten minutes")]
    Invalid,
    /// Not in this hook.
    #[error("this hook cannot ask for that")]
    NotHere,
}

/// Has the response read to its end if its client leaves once the request was sent: at most so many bytes of what the
/// client would have been sent, and for at most this time. In `on_request`, `on_request_body`, and the hooks that
/// can ask for another [attempt](crate::attempts). A later call is in place of one before; one with a zero has it not drained.
///
/// # Errors
/// If that is more than there may be, or another hook.
pub fn response(bytes: u64, time: Duration) -> Result<(), DrainError> {
    host::drain_response(bytes, time)
}
