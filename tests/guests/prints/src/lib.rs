//! Prints the value of `x-print` to standard output as `out: VALUE` and to standard error as `err:
//! VALUE`, for the tests that both end up in the log, under the plugin's name and the request's id.
//! A value of `no-newline` is printed without the end of the line.
//!
//! `x-fail: abort TEXT` writes the text to standard error, with a new line for each `|` in it, and
//! ends in a trap, as the runtimes of other languages do; `x-fail: exit TEXT` ends by an exit, and
//! `x-fail: not TEXT` continues.

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
        Interest::on_request().header("x-print").header("x-fail")
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        if let Some((how, text)) = request.header("x-fail").and_then(|it| it.split_once(' ')) {
            eprint!("{}", text.replace('|', "\n"));
            match how {
                "exit" => std::process::exit(3),
                "abort" => std::process::abort(),
                _ => return Outcome::Next,
            }
        }
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
