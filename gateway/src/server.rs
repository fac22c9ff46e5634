//! Listeners, workers and connections.
//!
//! Owns the sockets and the threads: everything between a client's first byte and a parsed
//! request, and the way back. Must not know of routes or upstreams; a request goes to
//! [`crate::proxy`].

pub(crate) mod connection;
mod drain;
mod drive;
mod guard;
mod http1;
mod http2;
mod linger;
mod memory;
mod sniff;
pub(crate) mod socket;
pub(crate) mod stream;
pub(crate) mod tls;
mod transport;
mod tunnel;
pub(crate) mod worker;

pub use self::memory::give_back_memory_with;
pub(crate) use self::transport::Transport;
pub(crate) use self::tunnel::Tunnel;
