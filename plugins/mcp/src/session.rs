//! Sessions of the revisions before 2026-07-28, kept at one target.
//!
//! Owns the ids that clients see: a key by which the upstream hashes, then the server's own id. The key is drawn here, so
//! that a session stays where it began; it is no secret, and says nothing of the target.

use gateway_plugin_sdk::random;

use crate::pins::hex;

/// The attribute that an upstream hashes by.
pub(crate) const AFFINITY: &str = "mcp.affinity";

/// Bytes of a key, as they are written.
const KEY: usize = 16;

/// A new key.
pub(crate) fn draw() -> String {
    hex(&random::number().to_be_bytes())
}

/// Key and id of the server in an id that a client sent.
pub(crate) fn split(id: &str) -> Option<(&str, &str)> {
    let (key, id) = id.split_once('.')?;
    let is_key = key.len() == KEY && key.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_key.then_some((key, id))
}

/// The id for the client.
pub(crate) fn join(key: &str, id: &str) -> String {
    format!("{key}.{id}")
}
