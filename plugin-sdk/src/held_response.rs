//! A response of which nothing is passed on, its head included, until the plugin has seen enough of its body:
//! for upstreams that say `200` and then send an error as the first event of a stream.
//!
//! ```
//! use std::time::Duration;
//!
//! use gateway_plugin_sdk::attempts::{self, Attempt};
//! use gateway_plugin_sdk::held_response;
//! use gateway_plugin_sdk::prelude::*;
//! use gateway_plugin_sdk::testing::{self, Harness};
//!
//! /// Asks a second provider where the first event of a stream is an error.
//! struct FailOver;
//!
//! impl Plugin for FailOver {
//!     type Config = NoConfig;
//!     type Context = ();
//!
//!     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
//!         Ok(Self)
//!     }
//!
//!     fn interest(&self) -> Interest {
//!         Interest::on_response().header("content-type")
//!     }
//!
//!     fn on_response(&self, response: &mut ResponseHead, _: &mut ()) -> Outcome {
//!         if response.header("content-type") == Some("text/event-stream") {
//!             // Without that, the body streams past.
//!             let _held = held_response::hold(64 << 10, Duration::from_secs(20));
//!         }
//!         Outcome::Next
//!     }
//!
//!     fn on_response_chunk(&self, chunk: &mut Chunk, _: &mut ()) -> ChunkOutcome {
//!         if !held_response::is_held() {
//!             return ChunkOutcome::Next;
//!         }
//!         // A real one reads events, which chunks may cut in two, and keeps what it read in its context.
//!         if !chunk.data().starts_with(b"event: error") {
//!             held_response::release();
//!         } else if attempts::again(&Attempt::new().upstream("second")).is_err() {
//!             let answer = Response::problem(529, "Overloaded", "The provider is overloaded.");
//!             let _answered = held_response::respond(answer);
//!         }
//!         ChunkOutcome::Next
//!     }
//! }
//!
//! let harness = Harness::<FailOver>::new(NoConfig {}).unwrap();
//! let mut exchange = harness.request(testing::request());
//! let stream = || testing::response().header("content-type", "text/event-stream");
//! exchange.try_response(stream().chunks(["event: error\n\n", "never read"]));
//! assert_eq!(exchange.attempt().unwrap().to(), Some("second"));
//! // The response to it is the next one.
//! let answer = exchange.response(stream().chunks(["event: message\n\n", "more"]));
//! assert_eq!(answer.text(), "event: message\n\nmore");
//! assert_eq!(exchange.released_after(), Some(1));
//! ```
//!
//! # What becomes of it
//!
//! What `on_response_chunk` lets pass is kept in the gateway until a call decides, with the hook's return:
//! [`release`], [`respond`], or [`attempts::again`](crate::attempts::again). If nothing does, the response is let
//! go with the last chunk, at the latest when the bounds of [`hold`] are reached; with [`call_when_late`] the hook decides when its
//! time is over. Plugins before this one see its head
//! then. If the body breaks off meanwhile, there was no response: the gateway's answer is in its place, and
//! `on_response` sees that.

use std::time::Duration;

use crate::{Response, host};

/// Why a call did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeldResponseError {
    /// Not in this hook, or the response is not held back, or not any more.
    #[error("no response is held back here")]
    NotHere,
    /// A bound of zero, or one that is too large.
    #[error("a response is held back for 1 to 1,048,576 bytes, and for ten minutes at most")]
    Invalid,
}

/// What is changed in the head of a response that is held back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeadChange {
    pub(crate) status: Option<u16>,
    pub(crate) remove: Vec<String>,
    pub(crate) set: Vec<(String, Vec<u8>)>,
}

impl HeadChange {
    /// No change yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Another status code: 200 to 599.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// With this field, in place of all lines of its name.
    #[must_use]
    pub fn set_header(mut self, name: impl AsRef<str>, value: impl Into<Vec<u8>>) -> Self {
        self.set.push((name.as_ref().to_owned(), value.into()));
        self
    }

    /// Without this field. Fields are taken away before others are set.
    #[must_use]
    pub fn remove_header(mut self, name: impl AsRef<str>) -> Self {
        self.remove.push(name.as_ref().to_owned());
        self
    }
}

/// Holds the response back, in `on_response`: until so many bytes of its body were let pass, at most 1 MiB, and
/// at most for this time, at most ten minutes. The body comes to `on_response_chunk`, whatever was said of it before.
///
/// # Errors
/// If it is not held: in another hook, or with bounds that are none.
pub fn hold(bytes: u32, time: Duration) -> Result<(), HeldResponseError> {
    host::hold_response(bytes, time)
}

/// In `on_response`, for a response that is held back: when the time of [`hold`] is over it is not let go at once, but `on_response_chunk` is
/// called with a chunk that is empty and not the last, and decides. If it decides nothing the response is let go then.
///
/// # Errors
/// In another hook.
pub fn call_when_late() -> Result<(), HeldResponseError> {
    host::call_when_late()
}

/// In `on_response`, for a response that is held back: where its body breaks off once it was let go, `on_response_chunk` is called with a
/// chunk that is empty and not the last. What it passes on in its place ends the body; if that is nothing the body is cut off.
///
/// # Errors
/// In another hook.
pub fn call_when_broken() -> Result<(), HeldResponseError> {
    host::call_when_broken()
}

/// Whether the response is held back, in `on_response_chunk`. It is `false` too once it was let go.
pub fn is_held() -> bool {
    host::is_response_held()
}

/// Lets go: the head is passed on, then what was kept of the body, this chunk with it. It does nothing where no
/// response is held back.
pub fn release() {
    host::release_response();
}

/// Changes the head, and does not let go. It is in place of a change that this hook made before.
///
/// # Errors
/// If no response is held back.
pub fn change_head(change: &HeadChange) -> Result<(), HeldResponseError> {
    host::change_held_head(change)
}

/// Answers with this instead. The response is dropped.
///
/// # Errors
/// If no response is held back.
pub fn respond(response: Response) -> Result<(), HeldResponseError> {
    response.tell_reason();
    host::respond_instead(response.into_wire())
}
