//! What the gateway does between a client and an upstream: both protocols on both sides, to the byte.
//!
//! One program, since to link one takes longer than most of its modules run.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bodies;
mod boundaries;
mod client_certificates;
mod clients;
mod connections;
mod examples;
mod faults;
mod forwarded;
mod fuzz;
mod grpc;
mod heads;
mod health;
mod hostile;
mod http1;
mod http2;
mod kept_connections;
mod known;
mod lifecycle;
mod limits;
mod mirrors;
mod names;
mod one_hop;
mod refusals;
mod retries;
mod smuggling;
mod splits;
mod streaming;
mod streams;
mod targets;
mod tls;
mod uploads;
mod websocket;
mod workers;
