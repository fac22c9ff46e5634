//! Promises never to wait and waits anyway, when the request's `x-break` asks for it. Without
//! it lets the request through with `x-breaks-promise: survived`. Needs the grant `password`.

use gateway_plugin_sdk::password;
use gateway_plugin_sdk::prelude::*;

/// The plugin.
pub struct BreaksPromise;

impl Plugin for BreaksPromise {
    type Config = NoConfig;
    type Context = ();

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn interest(&self) -> Interest {
        Interest::on_request().header("x-break").never_waits()
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        if request.header("x-break").is_some() && password::verify("hash", "password").is_ok() {
            return Outcome::respond(Response::new(200));
        }
        request.set_header("x-breaks-promise", "survived");
        Outcome::Next
    }
}

register_plugin!(BreaksPromise);
