//! Counts requests in the key-value store and shows the sum in the response field `x-count`, for
//! the tests that all workers share the store, that configured plugins do not, that values outlive
//! a reload or do not, and that a plugin without the grant `key-value` does not load. The request's
//! `x-count-key` names the counter (default `requests`) and `x-count-by` the step (default 1).
//! Configured with `ttl`, in milliseconds, for counters that end. A store that is full or a key
//! that is too long shows as `x-count: ERROR`. `x-count-do` asks for something else with the same key:
//! `get`, `set VALUE`, `absent VALUE` or `delete`.

use std::time::Duration;

use gateway_plugin_sdk::key_value;
use gateway_plugin_sdk::prelude::*;

/// The plugin, configured.
pub struct Counter {
    ttl: Option<Duration>,
}

/// What it is configured with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long a counter lives, in milliseconds.
    #[serde(default)]
    ttl: Option<u64>,
}

impl Plugin for Counter {
    type Config = Config;
    type Context = String;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { ttl: config.ttl.map(Duration::from_millis) })
    }

    fn interest(&self) -> Interest {
        let interest = Interest::on_request().header("x-count-key").header("x-count-by");
        interest.header("x-count-do").and_on_response()
    }

    fn on_request(&self, request: &mut Request, count: &mut String) -> Outcome {
        let key = request.header("x-count-key").unwrap_or("requests");
        let by = request.header("x-count-by").and_then(|by| by.parse().ok()).unwrap_or(1);
        let asked = request.header("x-count-do").unwrap_or("increment");
        let (asked, value) = asked.split_once(' ').unwrap_or((asked, ""));
        let value = value.as_bytes();
        let done = match asked {
            "get" => key_value::try_get(key).map(|value| match value {
                Some(value) => String::from_utf8_lossy(&value).into_owned(),
                None => "none".to_owned(),
            }),
            "set" => key_value::set(key, value, self.ttl).map(|()| "set".to_owned()),
            "absent" => key_value::set_if_absent(key, value, self.ttl).map(|it| it.to_string()),
            "delete" => Ok(key_value::delete(key).to_string()),
            _ => key_value::increment(key, by, self.ttl).map(|sum| sum.to_string()),
        };
        *count = done.unwrap_or_else(|error| format!("{error:?}"));
        Outcome::Next
    }

    fn on_response(&self, response: &mut ResponseHead, count: &mut String) -> Outcome {
        response.set_header("x-count", count.as_str());
        Outcome::Next
    }
}

register_plugin!(Counter);
