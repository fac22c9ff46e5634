//! Waits again and again without end when the request has `x-wait`, for the test that what a hook
//! computes between two waits is added up. Otherwise it lets the request through. Needs the grant
//! `password`.

use gateway_plugin_sdk::password;
use gateway_plugin_sdk::prelude::*;

/// The plugin.
pub struct Waits;

impl Plugin for Waits {
    type Config = NoConfig;
    type Context = ();

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn interest(&self) -> Interest {
        Interest::on_request().header("x-wait")
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        // What is no hash is refused at once: nearly nothing but the waiting is left.
        while request.header("x-wait").is_some() && password::verify("no hash", "a").is_err() {}
        Outcome::Next
    }
}

register_plugin!(Waits);
