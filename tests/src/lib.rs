//! The harness of the end-to-end tests: a gateway in this process, upstreams that follow a script,
//! and clients, some of them down to the byte.
//!
//! Everything listens on port 0 of 127.0.0.1 and ends when its value is dropped.

mod binary;
pub mod client;
mod closed_port;
pub mod frames;
pub mod guests;
pub mod log;
pub mod optional;
pub mod raw;
pub mod setup;
pub mod streams;
pub mod tls;
pub mod upstream;

use std::time::Duration;

pub use binary::binary;
pub use client::{Answer, Http1, Http2};
pub use closed_port::ClosedPort;
pub use raw::Raw;
pub use setup::{Running, Setup, forward, listener, route};
pub use upstream::Upstream;

/// No step of a test takes this long unless something hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for a step.
///
/// # Panics
/// When it hangs.
pub async fn within<T>(step: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, step).await.expect("a step hangs")
}

/// Asks again and again until the answer is yes.
///
/// # Panics
/// When it never is.
pub async fn until(mut is: impl FnMut() -> bool) {
    within(async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
