//! State that all workers share: what the limiter, the key-value interface and the metrics keep.
//!
//! Owns the sharded maps and their bounds. Must not know Wasm; the host interfaces in
//! `plugin/host` translate.

pub(crate) mod key_value;
pub(crate) mod limits;

use std::sync::Arc;

use crate::telemetry::metrics::Metrics;

/// The state of the process. It survives a reload: a limit is not reset by a new configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// Token buckets.
    pub(crate) limits: Arc<limits::Limits>,
    /// Keys and values.
    pub(crate) key_values: Arc<key_value::Stores>,
    /// What is counted.
    pub(crate) metrics: Arc<Metrics>,
}
