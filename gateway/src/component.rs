//! Components that answer: `wasi:http` services that replace an upstream.
//!
//! Owns the loading of such a component, the one instance that each request gets, the call of its
//! handler with its limits, and the response that comes of it. A sandbox like a plugin's, with more
//! of WASI: a component may wait, what it writes goes to the log, and it may send requests to the
//! upstreams that it was granted. It is given no files, no sockets and no other network. Together with
//! `plugin`, whose engine it shares, the only room that names wasmtime. Must not know routes: the proxy
//! hands it a request that is ready.
//!
//! No task runs a component: its guest runs when the response is polled, so that a client
//! that is slow to take a response holds back the guest that makes it.

mod answer;
mod body;
mod guest;
mod load;
mod meter;
mod outgoing;
mod output;
mod running;

pub(crate) use self::answer::{Call, Instances};
pub(crate) use self::load::{Component, Refusal, load};
pub(crate) use self::outgoing::{Call as OutgoingCall, Caller, Unanswered};
