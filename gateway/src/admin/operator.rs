//! Who makes the changes that the admin API is asked for.
//!
//! Owns the words between the API and the program around the gateway, which alone knows where its
//! configuration and its log come from.

use std::fmt;

use serde_json::Value;
use tokio::sync::oneshot;

/// The program around a gateway.
pub trait Operator: fmt::Debug + Send + Sync {
    /// Begins to read the configuration again, and to put it in force; with `dry_run` only to find out
    /// whether it could be. Returns where the outcome comes, at once.
    ///
    /// # Errors
    /// [`Busy`], while an earlier one goes on.
    fn reload(&self, dry_run: bool) -> Result<oneshot::Receiver<Reloaded>, Busy>;

    /// The filter of the log, in the syntax of `tracing_subscriber`'s `EnvFilter`.
    fn log_filter(&self) -> String;

    /// Takes another filter from now on.
    ///
    /// # Errors
    /// What is wrong with it, in words for people.
    fn set_log_filter(&self, filter: &str) -> Result<(), String>;
}

/// What came of reading the configuration again.
#[derive(Debug, Clone, PartialEq)]
pub struct Reloaded {
    /// Why it is not in force, or could not be; nothing if it is, or could be.
    pub refused: Option<String>,
    /// All that was found: objects as of [`Diagnostics::to_json`](crate::config::Diagnostics::to_json).
    pub findings: Vec<Value>,
}

/// An earlier reload goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an earlier reload goes on")]
pub struct Busy;
