//! Shows in the response field `x-secret` how long the secret `token` was when the plugin was
//! configured and whether it is the request's `x-guess`, for the tests of secrets. The request's
//! `x-other` is another secret to ask for, which shows as `x-other: there` or `none`; with
//! `x-tell`, it writes the secret into the log. Configured with `refuse`, it refuses its
//! configuration in words that hold the secret.

use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::{log, secrets};

/// The plugin, configured.
pub struct Keeper {
    token: String,
}

/// What it is configured with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whether to refuse.
    #[serde(default)]
    refuse: bool,
}

impl Plugin for Keeper {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let token = secrets::get("token").ok_or_else(|| ConfigError::new("there is no `token`"))?;
        if config.refuse {
            return Err(ConfigError::at("/refuse", format!("`{token}` is too simple")));
        }
        Ok(Self { token })
    }

    fn interest(&self) -> Interest {
        Interest::on_request().header("x-guess").header("x-other").header("x-tell")
    }

    fn on_request(&self, request: &mut Request, _: &mut ()) -> Outcome {
        let is_right = request.header("x-guess") == Some(self.token.as_str());
        let shown = format!("{} {is_right}", self.token.len());
        let other = request.header("x-other").map(|name| match secrets::get(name) {
            Some(_) => "there",
            None => "none",
        });
        if request.header("x-tell").is_some() {
            log::write(log::Level::Info, &format!("the token is {}", self.token));
        }
        request.set_response_header("x-secret", shown);
        request.set_response_header("x-other", other.unwrap_or("none"));
        Outcome::Next
    }
}

register_plugin!(Keeper);
