//! HTTP/2 to a target, on the framing of the `h2` crate.
//!
//! Owns the beginning of a connection and the PINGs on it, one request over it up to the head of its
//! response, and the body or the tunnel behind that. Chooses nothing and tries nothing again; it does report what the
//! target has not processed.

mod body;
mod connection;
mod send;
mod tunnel;

pub(crate) use self::body::Http2Body;
pub(super) use self::connection::{Connection, Settings, Stream};
pub(super) use self::send::{Error, Way, send, was_not_processed};
pub(super) use self::tunnel::connect;
