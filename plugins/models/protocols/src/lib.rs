//! The wire formats of model APIs: cutting streams into events, reading usage and what policy
//! needs, byte-preserving edits, errors in each API's own shape, prices, translation.
//!
//! A library of facts without policy and without a host: it knows no gateway, no clock and no
//! network, and keeps the numbers and the order of what it passes on. State between two chunks
//! of a stream can be written to bytes ([`saved::Saved`]).

pub mod catalog;
mod date;
pub mod error;
pub mod framing;
mod ids;
pub mod json;
pub mod price;
mod protocol;
pub mod request;
pub mod saved;
pub mod sigv4;
pub mod translate;
pub mod usage;

pub use protocol::{Action, Call, Protocol, decode, encode};
pub use saved::Saved;
