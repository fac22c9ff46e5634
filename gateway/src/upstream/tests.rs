//! Over real sockets: hyper's servers where a server behaves, raw ones where it does not.

mod both_ways;
mod bounded;
mod closes;
mod failures;
mod http1;
mod http2;
pub(crate) mod support;
mod tls;
mod unasked;
