//! Tries to reach another server when the request has `x-connect: ADDRESS`, and answers with what
//! came of it: `connected`, or the error. It imports `wasi:sockets`, so the test is that it does
//! not load, or else that the server of the test is never reached.

use std::net::TcpStream;

use gateway_plugin_sdk::prelude::*;

/// The plugin.
pub struct Connects;

impl Plugin for Connects {
    type Config = NoConfig;
    type Context = ();

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn interest(&self) -> Interest {
        Interest::on_request().header("x-connect")
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        let Some(address) = request.header("x-connect") else {
            return Outcome::Next;
        };
        let body = match TcpStream::connect(address) {
            Ok(_) => "connected".to_owned(),
            Err(error) => error.to_string(),
        };
        Outcome::respond(Response::new(200).body(body))
    }
}

register_plugin!(Connects);
