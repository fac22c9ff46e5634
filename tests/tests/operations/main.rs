//! What operators see and keep: logs, metrics, traces, usage, the admin API, documents and stores.
//!
//! One program, since to link one takes longer than most of its modules run.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access_log;
mod admin_api;
mod cache_disk;
mod cache_shared;
mod command_line;
mod documents;
mod events;
mod model_settings;
mod monitoring;
mod outages;
mod plugin_settings;
mod precompiled;
mod recorder;
mod renewal;
mod service_manager;
mod stores;
mod targets_tried;
mod traces;
mod usage;
