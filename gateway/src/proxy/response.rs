//! A response on its way to the client.

pub(super) mod hop_by_hop;
pub(super) mod interim;
pub(super) mod server_timing;
pub(super) mod upgrade;
