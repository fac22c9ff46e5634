//! Adds to usage, for the tests of what becomes of it: 10 of `tokens` with each request, 5 more with each
//! response, and 1 of `ended` at the end. The request's `x-consumer` is the consumer that it sets, as
//! `auth` would. `x-flood` makes it add under as many names, `x-name` under that name, and `x-amount` says
//! how much; with `x-panic` it fails after it has added.

use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::usage;

/// The plugin, configured.
pub struct Uses;

impl Plugin for Uses {
    type Config = NoConfig;
    type Context = ();

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn interest(&self) -> Interest {
        let interest = Interest::on_request().and_on_response().and_on_complete();
        ["x-consumer", "x-flood", "x-name", "x-amount", "x-panic"]
            .into_iter()
            .fold(interest, |interest, name| interest.header(name))
    }

    fn on_request(&self, request: &mut Request, _: &mut ()) -> Outcome {
        if let Some(consumer) = request.header("x-consumer").map(str::to_owned) {
            let consumer = consumer.replace("%00", "\0");
            assert!(request.set_attribute("consumer.id", &consumer).is_ok());
        }
        usage::add("tokens", 10);
        let amount = request.header("x-amount").and_then(|it| it.parse().ok()).unwrap_or(1);
        let flood = request.header("x-flood").and_then(|it| it.parse::<u32>().ok()).unwrap_or(0);
        let base = request.header("x-name").map(str::to_owned);
        for number in 0..flood {
            usage::add(&format!("{}{number}", base.as_deref().unwrap_or("flood_")), amount);
        }
        if let Some(name) = base.filter(|_| flood == 0) {
            usage::add_all(&[("tokens", 0), (&name, amount)]);
        }
        assert!(request.header("x-panic").is_none(), "as asked");
        Outcome::Next
    }

    fn on_response(&self, _: &mut ResponseHead, _: &mut ()) -> Outcome {
        usage::add("tokens", 5);
        Outcome::Next
    }

    fn on_complete(&self, _: &Summary, _: &()) {
        usage::add("ended", 1);
    }
}

register_plugin!(Uses);
