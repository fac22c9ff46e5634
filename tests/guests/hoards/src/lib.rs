//! Keeps as many keys as the request's `x-hoard` says, for the test that a store without room costs
//! nobody but the plugin that filled it. It shows how many it could keep as `x-hoarded` to the
//! upstream. Otherwise it lets the request through. Needs the grant `key-value`.

use gateway_plugin_sdk::key_value;
use gateway_plugin_sdk::prelude::*;

/// The plugin.
pub struct Hoards;

impl Plugin for Hoards {
    type Config = NoConfig;
    type Context = ();

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn interest(&self) -> Interest {
        Interest::on_request().header("x-hoard")
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        let Some(wanted) = request.header("x-hoard").and_then(|text| text.parse::<u32>().ok())
        else {
            return Outcome::Next;
        };
        let kept = (0..wanted).filter(|key| key_value::set(&key.to_string(), b"", None).is_ok());
        let kept = kept.count().to_string();
        request.set_header("x-hoarded", kept);
        Outcome::Next
    }
}

register_plugin!(Hoards);
