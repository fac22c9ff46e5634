//! Takes as long to configure as it is told, and remembers what it should not, for the tests that
//! nobody else waits for it meanwhile, and that its own instance for each hook knows nothing of
//! another request. Writes into the request and the response how many requests this instance saw
//! (`x-calls`) and what was asked of the one before (`x-remembered`). With `x-do: trap` it panics, and
//! with `x-do: grow` it keeps 256 KiB for good.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use gateway_plugin_sdk::clock;
use gateway_plugin_sdk::prelude::*;

/// The plugin, configured.
pub struct SlowStart {
    calls: Cell<u32>,
    remembered: RefCell<String>,
}

/// What it is configured with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// For how long `configure` computes.
    #[serde(default)]
    milliseconds: u64,
}

impl Plugin for SlowStart {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        if config.milliseconds > 0 {
            let end = clock::monotonic() + Duration::from_millis(config.milliseconds);
            while clock::monotonic() < end {}
        }
        Ok(Self { calls: Cell::new(0), remembered: RefCell::default() })
    }

    fn interest(&self) -> Interest {
        Interest::on_request().header("x-do").and_on_complete()
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        self.calls.set(self.calls.get() + 1);
        request.set_header("x-calls", self.calls.get().to_string());
        request.set_response_header("x-calls", self.calls.get().to_string());
        request.set_response_header("x-remembered", self.remembered.borrow().clone());
        let wanted = request.header("x-do").unwrap_or_default().to_owned();
        match &*wanted {
            "trap" => panic!("it was told to trap"),
            "grow" => std::mem::forget(vec![1_u8; 256 << 10]),
            _ => {}
        }
        self.remembered.replace(wanted);
        Outcome::Next
    }

    fn on_complete(&self, _: &Summary, (): &()) {
        self.calls.set(self.calls.get() + 1);
    }
}

register_plugin!(SlowStart);
