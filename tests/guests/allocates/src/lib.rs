//! Takes memory without end when the request has `x-allocate`, for the tests that the memory limit
//! holds, costs one request, and that the memory is given back. With `x-allocate: N` it takes and
//! keeps N MiB and goes on with `x-allocated: N` added, for the test that a swollen instance is
//! recycled. Otherwise it lets the request through.

use std::hint::black_box;

use gateway_plugin_sdk::prelude::*;

/// The plugin.
pub struct Allocates;

impl Plugin for Allocates {
    type Config = NoConfig;
    type Context = ();

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn interest(&self) -> Interest {
        Interest::on_request().header("x-allocate")
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        let most = match request.header("x-allocate") {
            None => return Outcome::Next,
            Some(text) => text.parse::<usize>().unwrap_or(usize::MAX),
        };
        for _ in 0..most {
            // Written to, so that the pages are really there; forgotten, so that they stay.
            std::mem::forget(black_box(vec![0xa5_u8; MEBIBYTE]));
        }
        request.set_header("x-allocated", most.to_string());
        Outcome::Next
    }
}

const MEBIBYTE: usize = 1 << 20;

register_plugin!(Allocates);
