//! What a bad plugin costs others, under load. A count or a time here is that of a run in passing;
//! with `GATEWAY_TEST_LONG=1` it is that of a proof, and takes minutes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deadline;
mod neighbours;
mod open_loop;
mod panics;
#[path = "../load/process.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod process;
mod share;
mod swap;

use tokio::sync::{Mutex, MutexGuard};

/// One test at a time: each measures, and would disturb another.
async fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

/// The one value in passing, the other in a proof.
fn scaled<T>(in_passing: T, proof: T) -> T {
    if std::env::var_os("GATEWAY_TEST_LONG").is_some() { proof } else { in_passing }
}

/// A guest as a configuration names it.
fn guest(name: &str) -> String {
    gateway_tests::guests::path(name).display().to_string()
}

/// The middle one.
fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort();
    values[values.len() / 2]
}
