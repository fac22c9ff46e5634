//! Listeners, workers and connections.
//!
//! Owns the sockets and the threads: everything between a client's first byte and a parsed
//! request, and the way back. Must not know of routes or upstreams; a request goes to the
//! [`Application`](crate::exchange::Application).

mod accepting;
mod chunks;
mod connection;
mod downstream;
mod drain;
mod drive;
mod http1;
mod http2;
mod inbound;
mod inserts;
mod leftover;
mod lingering_close;
mod memory;
mod monitored_io;
mod sniff;
pub(crate) mod socket;
mod stream;
mod transport;
mod tunnel;
pub(crate) mod worker;

pub use self::memory::give_back_memory_with;
pub(crate) use self::transport::{Broken, Transport};
