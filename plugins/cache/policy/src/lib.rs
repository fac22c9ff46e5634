//! The rules of HTTP caching for a shared cache (RFC 9111), and what was added to them since.
//!
//! `directives` reads `Cache-Control` and the fields that stand in its place (RFC 9213), `date` the dates,
//! `structured` and `variation` the small notations. `store` decides about a response whether it is kept and what is
//! remembered of it ([`Stored`]). `select` says what of all that is stored answers a request, and how; `conditional`
//! has the validators of both sides, `freshen` what a `304` changes, and `status` writes `Cache-Status`.
//!
//! Nothing here knows a gateway, a store or a clock: time comes in as milliseconds since 1970.

pub mod authority;
pub mod conditional;
pub mod date;
pub mod directives;
pub mod fields;
pub mod freshen;
pub mod freshness;
pub mod select;
pub mod status;
pub mod store;
pub mod structured;
pub mod variation;
pub mod vary;

#[cfg(test)]
mod isolation;

pub use directives::{RequestDirectives, ResponseDirectives};
pub use fields::Fields;
pub use select::{Decision, Request, select};
pub use store::{NotStored, Rules, Stored, store};

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = u64;

/// The most seconds that are counted: more is as good as for ever (RFC 9111 section 1.2.2).
pub const MOST_SECONDS: u64 = 1 << 31;
