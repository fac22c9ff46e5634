//! Requests to upstreams of the gateway's configuration, through their own pools of connections.
//! The configured plugin is granted them one by one, by `upstreams = ["NAME"]`.
//!
//! The hook waits for the response, and the gateway serves others meanwhile; the deadline of the
//! hook does not count the wait. Requests are for `on_request`, `on_request_body`, `on_response`,
//! `on_response_body` and `on_response_chunk`, at most 16 in one hook, and are abandoned if the client leaves.
//!
//! ```
//! use gateway_plugin_sdk::prelude::*;
//! use gateway_plugin_sdk::http_client;
//! use gateway_plugin_sdk::testing::{self, Harness};
//! use std::time::Duration;
//!
//! /// Lets the service `sessions` say who is there.
//! struct Sessions;
//!
//! impl Plugin for Sessions {
//!     type Config = NoConfig;
//!     type Context = ();
//!
//!     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
//!         Ok(Self)
//!     }
//!
//!     fn interest(&self) -> Interest {
//!         Interest::on_request().header("cookie")
//!     }
//!
//!     fn on_request(&self, request: &mut Request, _: &mut ()) -> Outcome {
//!         let Some(cookie) = request.header("cookie") else {
//!             return Outcome::respond(Response::unauthorized("who are you?"));
//!         };
//!         let asked = http_client::get("sessions", "/session")
//!             .header("cookie", cookie)
//!             .timeout(Duration::from_millis(500))
//!             .send();
//!         match asked {
//!             Ok(answer) if answer.status() == 200 => {
//!                 request.set_header("x-user", answer.text().unwrap_or_default());
//!                 Outcome::Next
//!             }
//!             Ok(_) => Outcome::respond(Response::forbidden("your session has ended")),
//!             Err(_) => Outcome::respond(Response::service_unavailable("try again later")),
//!         }
//!     }
//! }
//!
//! let harness = Harness::<Sessions>::prepare()
//!     .upstream("sessions", |call| match call.header("cookie") {
//!         Some("id=7") => Ok(testing::response().body("ada")),
//!         _ => Ok(testing::response().status(404)),
//!     })
//!     .configure(NoConfig {})
//!     .unwrap();
//! let exchange = harness.request(testing::request().header("cookie", "id=7"));
//! assert_eq!(exchange.request().header("x-user"), Some("ada"));
//! assert_eq!(harness.calls()[0].target(), "/session");
//!
//! let exchange = harness.request(testing::request().header("cookie", "id=8"));
//! assert_eq!(exchange.answer().unwrap().status(), 403);
//! ```

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Field;
use crate::host;

/// Whether the plugin was granted an upstream of this name: for `configure`, which can send nothing.
pub fn is_granted(upstream: &str) -> bool {
    host::is_upstream_granted(upstream)
}

/// A request in the making. It may take 5 s, and its response have a body of 1 MiB, until said
/// otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a request is sent by `send`"]
pub struct Request {
    pub(crate) upstream: String,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: Vec<Field>,
    pub(crate) body: Vec<u8>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) response_limit: Option<u64>,
}

/// A whole response, of any status code. Redirections are not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub(crate) status: u16,
    pub(crate) fields: Vec<Field>,
    pub(crate) body: Vec<u8>,
}

/// Why there is no response. What exactly went wrong behind the gateway is in its log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The plugin was not granted an upstream of this name.
    #[error("the plugin was not granted the upstream")]
    NotGranted,
    /// This hook cannot wait: see the module's documentation for those that can.
    #[error("this hook cannot wait for a response")]
    NotHere,
    /// The hook has made its 16 requests.
    #[error("the hook made too many requests")]
    TooMany,
    /// What was to be sent is no valid request; the text says why.
    #[error("the request is not valid: {0}")]
    Invalid(String),
    /// No target could be connected to.
    #[error("no target of the upstream could be connected to")]
    Connect,
    /// The time ran out.
    #[error("the response took too long")]
    Timeout,
    /// The body of the response is longer than was asked for.
    #[error("the body of the response is too long")]
    TooLarge,
    /// The connection broke, or what came over it was no HTTP.
    #[error("the upstream sent no valid response")]
    Protocol,
}

/// `GET` from an upstream. The target is path and query, percent-encoded.
pub fn get(upstream: impl Into<String>, target: impl Into<String>) -> Request {
    Request::new("GET", upstream, target)
}

/// `POST` to an upstream. The target is path and query, percent-encoded.
pub fn post(upstream: impl Into<String>, target: impl Into<String>) -> Request {
    Request::new("POST", upstream, target)
}

impl Request {
    /// A request without fields and body. The target is path and query, percent-encoded.
    pub fn new(
        method: impl Into<String>,
        upstream: impl Into<String>,
        target: impl Into<String>,
    ) -> Self {
        Self {
            upstream: upstream.into(),
            method: method.into(),
            target: target.into(),
            fields: Vec::new(),
            body: Vec::new(),
            timeout: None,
            response_limit: None,
        }
    }

    /// One more field line. The gateway adds `content-length`, and `host` (the target's own) and
    /// `x-request-id` (that of the exchange) unless they are set here.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.fields.push(Field { name: name.into(), value: value.into() });
        self
    }

    /// The body. Default none.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The body as JSON, with `content-type: application/json`.
    ///
    /// # Errors
    /// If the value cannot be written as JSON.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self, serde_json::Error> {
        let body = serde_json::to_vec(value)?;
        Ok(self.header("content-type", "application/json").body(body))
    }

    /// How long it may take until the response is whole, connecting included: 60 s at most.
    /// Default 5 s.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    /// How long the body of the response may be, in bytes: 16 MiB at most. Default 1 MiB. The
    /// plugin's memory must hold it.
    pub fn response_limit(mut self, bytes: u64) -> Self {
        self.response_limit = Some(bytes);
        self
    }

    /// Sends it and waits for the whole response.
    ///
    /// # Errors
    /// If there is none. A response with an error status is a response.
    pub fn send(self) -> Result<Response, HttpError> {
        host::send(self)
    }
}

impl Response {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the status code is 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first line of a field, if it is UTF-8; the name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))?.text()
    }

    /// All fields, in order.
    pub fn headers(&self) -> &[Field] {
        &self.fields
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body, to keep.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// The body, if it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// If it is not JSON, or not of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}
