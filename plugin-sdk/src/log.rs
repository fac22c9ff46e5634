//! The gateway's log. A line carries the plugin's name and the request id by itself. Always
//! granted.
//!
//! The macros format only what is kept:
//!
//! ```
//! use gateway_plugin_sdk::log;
//!
//! let key = "ada";
//! log::debug!("no such key: {key}");
//! log::warn!("the list of keys is empty");
//! ```
//!
//! What is over 8 KiB is cut off; after 100 lines in one hook the rest is counted and dropped.

use std::fmt;

use crate::host;

pub use crate::{
    __log_debug as debug, __log_error as error, __log_info as info, __log_trace as trace,
    __log_warn as warn,
};

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Fine detail.
    Trace,
    /// Detail for finding a fault.
    Debug,
    /// Worth knowing.
    Info,
    /// Somebody should look at this.
    Warn,
    /// Something failed.
    Error,
}

/// Whether lines of this level are kept.
pub fn enabled(level: Level) -> bool {
    host::log_enabled(level)
}

/// Writes a line.
pub fn write(level: Level, message: &str) {
    host::log_write(level, message);
}

/// Writes a line if its level is kept, and formats it only then.
pub fn line(level: Level, message: fmt::Arguments<'_>) {
    if enabled(level) {
        match message.as_str() {
            Some(message) => write(level, message),
            None => write(level, &message.to_string()),
        }
    }
}

/// Writes a line of level trace, as `format!` takes it.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_trace {
    ($($message:tt)+) => {
        $crate::log::line($crate::log::Level::Trace, ::core::format_args!($($message)+))
    };
}

/// Writes a line of level debug, as `format!` takes it.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_debug {
    ($($message:tt)+) => {
        $crate::log::line($crate::log::Level::Debug, ::core::format_args!($($message)+))
    };
}

/// Writes a line of level info, as `format!` takes it.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_info {
    ($($message:tt)+) => {
        $crate::log::line($crate::log::Level::Info, ::core::format_args!($($message)+))
    };
}

/// Writes a line of level warn, as `format!` takes it.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_warn {
    ($($message:tt)+) => {
        $crate::log::line($crate::log::Level::Warn, ::core::format_args!($($message)+))
    };
}

/// Writes a line of level error, as `format!` takes it.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_error {
    ($($message:tt)+) => {
        $crate::log::line($crate::log::Level::Error, ::core::format_args!($($message)+))
    };
}
