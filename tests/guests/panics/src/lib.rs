//! Panics when it is told to, for the tests that a panic costs one request and no more, that its
//! message reaches the log, and that the plugin serves the next request: `x-panic: response` on the
//! request panics in `on_response`, `x-panic: complete` in `on_complete`, and any other value in
//! `on_request`. A response that it let through carries `x-panics: survived`, and so does the
//! request that the upstream sees.

use gateway_plugin_sdk::prelude::*;

/// The plugin.
pub struct Panics;

/// In which hook to panic.
#[derive(Default, Serialize, Deserialize, PartialEq)]
pub enum When {
    /// In none any more.
    #[default]
    Never,
    /// In `on_response`.
    Response,
    /// In `on_complete`.
    Complete,
}

impl Plugin for Panics {
    type Config = NoConfig;
    type Context = When;

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn interest(&self) -> Interest {
        Interest::on_request().header("x-panic").and_on_response().and_on_complete()
    }

    fn on_request(&self, request: &mut Request, when: &mut When) -> Outcome {
        *when = match request.header("x-panic") {
            None => When::Never,
            Some("response") => When::Response,
            Some("complete") => When::Complete,
            Some(_) => fall(),
        };
        request.set_header("x-panics", "survived");
        Outcome::Next
    }

    fn on_response(&self, response: &mut ResponseHead, when: &mut When) -> Outcome {
        if *when == When::Response {
            fall();
        }
        response.set_header("x-panics", "survived");
        Outcome::Next
    }

    fn on_complete(&self, _: &Summary, when: &When) {
        if *when == When::Complete {
            fall();
        }
    }
}

fn fall() -> ! {
    panic!("the guest panicked on purpose")
}

register_plugin!(Panics);
