//! Time. Always granted.

use std::time::Duration;

use crate::host;

/// The time of day, since 1970-01-01T00:00:00Z.
pub fn now() -> Duration {
    Duration::from_nanos(host::now())
}

/// The time since some moment in the past; never goes back.
pub fn monotonic() -> Duration {
    Duration::from_nanos(host::monotonic())
}
