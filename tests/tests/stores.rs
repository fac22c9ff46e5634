//! Named stores: what survives, what is shared, and what becomes of requests while a store is away. On a real
//! Redis and a real Valkey, if the machine has them; without one these tests say so and pass.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "stores/admin.rs"]
mod admin;
#[path = "stores/consumers.rs"]
mod consumers;
#[path = "stores/faults.rs"]
mod faults;
#[path = "stores/file.rs"]
mod file;
#[path = "stores/gateways.rs"]
mod gateways;
#[path = "stores/keys.rs"]
mod keys;
#[path = "stores/keys_shared.rs"]
mod keys_shared;
#[path = "stores/lease.rs"]
mod lease;
#[path = "stores/quotas.rs"]
mod quotas;
#[path = "stores/server.rs"]
mod server;
#[path = "stores/shared.rs"]
mod shared;
#[path = "stores/topologies.rs"]
mod topologies;
#[path = "stores/values.rs"]
mod values;
