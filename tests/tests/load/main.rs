//! Much at once, and for long: what a gateway must bear without growing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bodies;
mod busy;
mod kept;
mod leaks;
#[allow(dead_code, reason = "each test program uses a part of it")]
mod process;
mod streams;

/// The key that the configurations below know, and its digest.
const KEY: &str = "secret";
const DIGEST: &str = "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

/// Mebibytes, in bytes.
const MIB: u64 = 1 << 20;

/// The plugins `keys`, `limit` and `shape`: who calls, how often, and a field each way.
///
/// How long a hook takes is not what these tests ask, and machines that run them are slow.
fn plugins(limit: u64) -> String {
    format!(
        r#"
        [plugins.keys]
        component = "auth"
        limits = {{ deadline = "10s" }}
        [[plugins.keys.config.api_key.keys]]
        id = "one"
        digest = "{DIGEST}"
        consumer = "ada"

        [plugins.limit]
        component = "rate-limit"
        limits = {{ deadline = "10s" }}
        [[plugins.limit.config.policies]]
        name = "all"
        limit = {limit}
        window = "366d"
        key = ["consumer.id"]

        [plugins.shape]
        component = "transform"
        limits = {{ deadline = "10s" }}
        [plugins.shape.config.request.headers.set]
        x-consumer = "${{consumer.id}}"
        [plugins.shape.config.response.headers.set]
        x-served-for = "${{consumer.id}}"
        "#
    )
}
