//! Counts in an instance how often its `on_request` was called, writes the number into the request
//! and the response (`x-turn`) and into the attribute `turn`, and allows that to be done again without
//! it, for the tests that the gateway does so, and when it must not. Before that it does what the
//! request's `x-do` names; `x-key` is declared too. Configured with `allow`, in milliseconds, and
//! with fields that are in every request and response.

use std::cell::Cell;
use std::time::Duration;

use gateway_plugin_sdk::limiter::Charge;
use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::{attributes, clock, digest, key_value, limiter, log, metrics, random};

/// The plugin, configured.
pub struct Remembers {
    config: Config,
    turns: Cell<u32>,
}

/// What it is configured with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// For how long a change may be made again, in milliseconds.
    #[serde(default)]
    allow: Option<u64>,
    /// Written into every request and every response, as `x-every`. The request also gets
    /// `x-more` once more, and loses `x-less`.
    #[serde(default)]
    every: Option<String>,
    /// Whether it wants no hook.
    #[serde(default)]
    idle: bool,
}

impl Plugin for Remembers {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { config, turns: Cell::new(0) })
    }

    fn interest(&self) -> Interest {
        let mut interest = Interest::new();
        if let Some(every) = &self.config.every {
            interest = interest
                .always_set_header("x-every", every.as_str())
                .always_add_header("x-more", "one")
                .always_remove_header("x-less")
                .always_set_response_header("x-every", every.as_str())
                .always_add_response_header("x-more", "one")
                .always_remove_response_header("x-less");
        }
        if self.config.idle {
            return interest;
        }
        interest.and_on_request().header("x-do").header("x-key").header("x-every")
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        let what = request.header("x-do").unwrap_or_default().to_owned();
        if what == "refuse" {
            return Outcome::respond(Response::new(403));
        }
        do_it(&what, request);
        self.turns.set(self.turns.get() + 1);
        let turn = self.turns.get().to_string();
        if let Some(seen) = request.header("x-every").map(str::to_owned) {
            request.set_header("x-seen", seen);
        }
        request.set_header("x-turn", turn.as_str());
        request.set_response_header("x-turn", turn.as_str());
        if request.set_attribute("turn", &turn).is_err() {
            log::error!("no room for an attribute");
        }
        if let Some(time) = self.config.allow {
            request.reuse_for(Duration::from_millis(time));
        }
        Outcome::Next
    }
}

fn do_it(what: &str, request: &mut Request) {
    match what {
        "read a field" => assert_eq!(request.header("x-other"), None),
        "read the path" => assert_eq!(request.path(), "/turns/a"),
        "read an attribute" => assert_eq!(request.attribute("client.address"), Some("127.0.0.1")),
        "set an attribute" => assert_eq!(attributes::set("mine", "a"), Ok(())),
        "take" => {
            let charge = Charge::new("key", 1_000, Duration::from_secs(1));
            assert!(limiter::take(&[charge]).is_ok(), "the limiter takes it");
        }
        "store" => drop(key_value::get("key")),
        "log" => log::info!("a line"),
        "print" => println!("a line"),
        "ask the log" => drop(log::enabled(log::Level::Trace)),
        "hash" => drop(std::hash::RandomState::new()),
        "read the environment" => drop(std::env::var("HOME")),
        "ask the system's clock" => drop(std::time::SystemTime::now()),
        "draw" => assert!(random::bytes(3).len() == 3, "as many as asked for"),
        "count" => metrics::counter("turns").increment(),
        "ask the time" => assert!(!clock::now().is_zero(), "it is later than 1970"),
        "digest" => assert_eq!(digest::sha256(b"a")[0], 0xca),
        _ => {}
    }
}

register_plugin!(Remembers);
