//! Named stores: what survives, what is shared, and what becomes of requests while a store is away. On a real
//! Redis and a real Valkey, if the machine has them; without one these tests say so and pass, but in CI they fail.

mod admin;
mod clocks;
mod consumers;
mod faults;
mod file;
mod flood;
pub(crate) mod gateways;
mod keys;
mod keys_shared;
mod killed;
mod lease;
mod outstanding;
mod quotas;
mod recipes;
mod relay;
pub(crate) mod server;
mod shared;
mod slow;
mod streams;
mod topologies;
mod values;
