//! Sleeps for a minute when the request has `x-sleep`, which needs waiting, which plugins may not:
//! for the test that it is stopped at once or by its deadline, and that neither the worker nor the
//! other requests wait for it. Otherwise it lets the request through with `x-sleeps: survived`
//! added.

use std::time::Duration;

use gateway_plugin_sdk::prelude::*;

/// The plugin.
pub struct Sleeps;

impl Plugin for Sleeps {
    type Config = NoConfig;
    type Context = ();

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn interest(&self) -> Interest {
        Interest::on_request().header("x-sleep")
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        if request.header("x-sleep").is_some() {
            std::thread::sleep(Duration::from_secs(60));
        }
        request.set_header("x-sleeps", "survived");
        Outcome::Next
    }
}

register_plugin!(Sleeps);
