//! Calls itself until the stack ends when the request has `x-recurse`, for the tests that a stack
//! overflow in a guest costs one request and not the gateway. Otherwise it lets the request through
//! with `x-recurses: survived` added.

use std::hint::black_box;

use gateway_plugin_sdk::prelude::*;

/// The plugin.
pub struct Recurses;

impl Plugin for Recurses {
    type Config = NoConfig;
    type Context = ();

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn interest(&self) -> Interest {
        Interest::on_request().header("x-recurse")
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        if request.header("x-recurse").is_some() {
            let depth = descend(0);
            request.set_header("x-depth", depth.to_string());
        }
        request.set_header("x-recurses", "survived");
        Outcome::Next
    }
}

/// Neither a loop nor free of locals in the compiler's eyes, so that each call takes its stack.
#[expect(unconditional_recursion, reason = "the end of the stack is what the test is about")]
#[inline(never)]
fn descend(depth: u64) -> u64 {
    let frame = black_box([depth; 32]);
    let below = descend(black_box(depth + 1));
    below.wrapping_add(black_box(frame)[(below % 32) as usize])
}

register_plugin!(Recurses);
