//! Computes without end when the request has `x-loop`, for the tests that the deadline stops it,
//! that other requests of the same worker go on meanwhile, and that the gateway can still be
//! stopped. Otherwise it lets the request through with `x-loops: survived` added.

use std::hint::black_box;

use gateway_plugin_sdk::prelude::*;

/// The plugin.
pub struct Loops;

impl Plugin for Loops {
    type Config = NoConfig;
    type Context = ();

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn interest(&self) -> Interest {
        Interest::on_request().header("x-loop")
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        if request.header("x-loop").is_some() {
            let mut turns = 0_u64;
            loop {
                turns = black_box(turns.wrapping_add(1));
            }
        }
        request.set_header("x-loops", "survived");
        Outcome::Next
    }
}

register_plugin!(Loops);
