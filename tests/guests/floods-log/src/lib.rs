//! Writes many log lines when the request has `x-flood: N`: N lines `flood line I` at `info`, for
//! the test that a hook is held to 100 and the rest is counted. With `x-flood: long` it writes one
//! line of 64 KiB of `y`, for the test that a long line is cut; with `x-flood: lines` one message
//! that holds line breaks and control characters, for the test that nobody forges lines of the log; and with
//! `x-flood: refuse` it says why and answers 403, for the test that the flight recorder has what it said.

use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

/// The plugin.
pub struct FloodsLog;

impl Plugin for FloodsLog {
    type Config = NoConfig;
    type Context = ();

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn interest(&self) -> Interest {
        Interest::on_request().header("x-flood")
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        match request.header("x-flood") {
            None => {}
            Some("long") => log::info!("{}", "y".repeat(64 << 10)),
            Some("lines") => log::info!("first\nsecond\r\n\u{1b}[31mthird\u{7}"),
            Some("refuse") => {
                log::warn!("the list is closed");
                log::info!("refused: not on the list");
                return Outcome::respond(Response::new(403));
            }
            Some(count) => {
                for line in 0..count.parse::<u32>().unwrap_or(1_000) {
                    log::info!("flood line {line}");
                }
            }
        }
        Outcome::Next
    }
}

register_plugin!(FloodsLog);
