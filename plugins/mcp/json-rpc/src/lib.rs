//! Messages of JSON-RPC 2.0 as they pass a gateway: whole, in pieces, and in server-sent events.
//!
//! A library without policy and without a host. What a method means is for its users to know.

pub mod envelope;
pub mod events;
pub mod scan;

pub use envelope::{Envelope, Fault, Kind, folded_eq, only};
pub use events::{Events, Unreadable};
pub use scan::{Said, Scanner};
