//! Keep-alives: a text that the client is sent while its response is silent, such as a comment in a stream of events, so that
//! nothing on the way takes it for dead.
//!
//! ```
//! use std::time::Duration;
//!
//! use gateway_plugin_sdk::keep_alive;
//! use gateway_plugin_sdk::prelude::*;
//! use gateway_plugin_sdk::testing::{self, Harness};
//!
//! struct Comments;
//!
//! impl Plugin for Comments {
//!     type Config = NoConfig;
//!     type Context = ();
//!
//!     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
//!         Ok(Self)
//!     }
//!
//!     fn interest(&self) -> Interest {
//!         Interest::on_response().response_header("content-type")
//!     }
//!
//!     fn on_response(&self, response: &mut ResponseHead, _: &mut ()) -> Outcome {
//!         if response.header("content-type") == Some("text/event-stream") {
//!             let ends: [&[u8]; 2] = [b"\n\n", b"\n\r\n"];
//!             let _asked = keep_alive::send(b": keep-alive\n\n", Duration::from_secs(15), &ends);
//!         }
//!         Outcome::Next
//!     }
//! }
//!
//! let harness = Harness::<Comments>::new(NoConfig {}).unwrap();
//! let mut exchange = harness.request(testing::request());
//! exchange.response(testing::response().header("content-type", "text/event-stream").body("data: 1\n\n"));
//! assert_eq!(exchange.kept_alive().unwrap().0, b": keep-alive\n\n");
//! ```
//!
//! # What happens
//!
//! The gateway sends the text where nothing of the body was sent for so long, and only between two events: where nothing was
//! sent yet, or where what was sent ends with one of the ends. It is not part of the body: no plugin sees it, no cache stores
//! it, and the timeouts of the upstream go on. A response of a known length, or an encoded one, has none.

use std::time::Duration;

use crate::host;

/// Why no text is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeepAliveError {
    /// A text or ends that are empty, too many or too long, or a time that is too short or too long.
    #[error(
        "a text has at most 1 KiB, there are 1 to 8 ends of at most 16 bytes, and the time is from 100 ms to an hour"
    )]
    Invalid,
    /// Not in this hook.
    #[error("this hook cannot ask for that")]
    NotHere,
}

/// In `on_response`: has the client sent this text each time that the body was silent for so long, where what was sent of it
/// ends with one of `ends`, or nothing was. Of several plugins the last that asks has it.
///
/// # Errors
/// In another hook, or for what there may not be.
pub fn send(text: &[u8], every: Duration, ends: &[&[u8]]) -> Result<(), KeepAliveError> {
    host::keep_alive(text, every, ends)
}
