//! Prints the value of `x-print` to standard output as `out: VALUE` and to standard error as `err:
//! VALUE`, for the tests that both end up in the log, under the plugin's name and the request's id.
//! A value of `no-newline` is printed without the end of the line.

use gateway_plugin_sdk::prelude::*;

/// The plugin.
pub struct Prints;

impl Plugin for Prints {
    type Config = NoConfig;
    type Context = ();

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn interest(&self) -> Interest {
        Interest::on_request().header("x-print")
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        match request.header("x-print") {
            None => {}
            Some("no-newline") => {
                print!("out: no-newline");
                eprint!("err: no-newline");
            }
            Some(text) => {
                println!("out: {text}");
                eprintln!("err: {text}");
            }
        }
        Outcome::Next
    }
}

register_plugin!(Prints);
