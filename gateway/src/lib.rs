//! A programmable API gateway.

pub mod body;
mod chain;
pub mod config;
pub mod error;
mod exchange;
pub mod first_party;
mod gateway;
mod heads;
mod plugin;
mod proxy;
pub mod respond;
pub mod route;
mod server;
mod snapshot;
mod state;
mod telemetry;
pub mod timer;
pub mod upstream;

pub use gateway::{BindError, Gateway, Handle, Place, ReloadError, RunError};
