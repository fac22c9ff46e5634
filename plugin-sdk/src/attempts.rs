//! Another attempt: the request is sent again, changed if need be and to another upstream if need be, in
//! place of the response that came, of which nothing was passed on. Granted as `attempts`.
//!
//! ```
//! use gateway_plugin_sdk::attempts::{self, Attempt};
//! use gateway_plugin_sdk::prelude::*;
//! use gateway_plugin_sdk::testing::{self, Harness};
//!
//! /// Asks a second provider where the first one has no room.
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
//!         Interest::on_response()
//!     }
//!
//!     fn on_response(&self, response: &mut ResponseHead, _: &mut ()) -> Outcome {
//!         if response.status() >= 500 && attempts::sent() == 1 {
//!             let attempt = Attempt::new().upstream("second").set_header("x-attempt", "2");
//!             // Without one, the client gets the response that there is.
//!             let _asked = attempts::again(&attempt);
//!         }
//!         Outcome::Next
//!     }
//! }
//!
//! let harness = Harness::<FailOver>::new(NoConfig {}).unwrap();
//! let mut exchange = harness.request(testing::request());
//! exchange.try_response(testing::response().status(503));
//! assert_eq!(exchange.attempt().unwrap().to(), Some("second"));
//! // The response to it is the next one.
//! assert_eq!(exchange.response(testing::response()).status(), 200);
//! ```
//!
//! # Where
//!
//! `on_response` and `on_response_body` can ask for one, where the request was sent to an upstream, also if that gave
//! no response and the gateway answers for it. It is made when the hook has let the response pass; if it answers,
//! there is none. The response hooks of all plugins then see the next response, with the context that they kept.
//! The hooks for requests are not called again.

use std::time::Duration;

use crate::host;

/// What is different in the next attempt. What it does not name is as it was in the one before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attempt {
    pub(crate) upstream: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) query: Option<String>,
    pub(crate) remove: Vec<String>,
    pub(crate) set: Vec<(String, Vec<u8>)>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) wait: Duration,
}

/// Why there is no other attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttemptsError {
    /// Not in this hook, or the request was not sent to an upstream.
    #[error("there is no request here that could be sent again")]
    NotHere,
    /// The request was sent 8 times.
    #[error("the request was sent 8 times")]
    TooMany,
    /// The body was too large to be kept, and the attempt has none of its own.
    #[error("the request's body was not kept")]
    BodyGone,
    /// A wait of more than a minute, or a bound of more than ten.
    #[error("an attempt waits for at most a minute, and its response for at most ten")]
    Invalid,
}

impl Attempt {
    /// The same request once more.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// To this upstream: one that the configuration lists under `forward_to`.
    #[must_use]
    pub fn upstream(mut self, name: impl Into<String>) -> Self {
        self.upstream = Some(name.into());
        self
    }

    /// With this path, which begins with `/` and is percent-encoded. The route's own rewriting does not apply to it.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// With this query, without `?` and percent-encoded; the empty text removes it.
    #[must_use]
    pub fn query(mut self, query: impl Into<String>) -> Self {
        self.query = Some(query.into());
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

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// After this time, at most a minute.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The upstream that it is for, if it is another one.
    pub fn to(&self) -> Option<&str> {
        self.upstream.as_deref()
    }

    /// The value that a field is set to, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let set = self.set.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(name));
        std::str::from_utf8(&set?.1).ok()
    }

    /// The body, if it has one of its own.
    pub fn new_body(&self) -> Option<&[u8]> {
        self.body.as_deref()
    }
}

/// How often the request was sent: 1 for the first response, 0 where there is no other attempt.
pub fn sent() -> u32 {
    host::attempts_sent()
}

/// Whether the configured plugin may forward requests, and have attempts sent, to an upstream of this name: whether it
/// lists it under `forward_to`. For `configure`. In native tests it may to all.
pub fn may_forward(upstream: &str) -> bool {
    host::may_forward(upstream)
}

/// The request's body as `on_request_body` of this plugin saw it, whatever was made of it there and since; `None` if it saw
/// none, or in a hook that cannot ask for another attempt.
pub fn received_body() -> Option<Vec<u8>> {
    host::received_body()
}

/// Asks for another attempt, in place of one that this hook asked for before.
///
/// # Errors
/// If there is none. The response passes on then.
pub fn again(attempt: &Attempt) -> Result<(), AttemptsError> {
    host::ask_for_attempt(attempt)
}

/// Bounds the wait for the head of the response, from when the upstream has the request, at most ten minutes: as `timeouts.first_byte`
/// of an upstream does, which holds too. In `on_request`, `on_request_body`, and the hooks that can ask for another attempt;
/// it counts for each attempt from then on. A later call is in place of the one before, and zero is no bound. Where the time is over,
/// the gateway answers 504, which `on_response` sees.
///
/// # Errors
/// In another hook, or for a longer time.
pub fn first_byte(time: Duration) -> Result<(), AttemptsError> {
    host::bound_first_byte(time)
}
