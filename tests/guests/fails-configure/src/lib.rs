//! Panics in `configure`, always, for the tests that `check` and a reload refuse such a plugin with
//! its message instead of falling with it.

use gateway_plugin_sdk::prelude::*;

/// The plugin.
pub struct FailsConfigure;

impl Plugin for FailsConfigure {
    type Config = NoConfig;
    type Context = ();

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        panic!("the guest panicked in configure on purpose")
    }

    fn interest(&self) -> Interest {
        Interest::new()
    }
}

register_plugin!(FailsConfigure);
