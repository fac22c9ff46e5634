//! Refuses its configuration at places that the test can find again in the file: `limit` over 10 is
//! refused at `/limit`, and each entry of `names` that is empty at `/names/INDEX`, all at once. A
//! missing `limit`, a `limit` that is no number and an unknown key are refused while it is read.
//! With `limit` of at most 10 it accepts, and does nothing.

use gateway_plugin_sdk::prelude::*;

/// The plugin.
pub struct RefusesConfig;

/// What it is configured with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// At most 10.
    limit: u64,
    /// None may be empty.
    #[serde(default)]
    names: Vec<String>,
}

impl Plugin for RefusesConfig {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        if config.limit > 10 {
            errors.push(ConfigError::at("/limit", "the limit is at most 10"));
        }
        for (index, name) in config.names.iter().enumerate() {
            if name.is_empty() {
                errors.push(ConfigError::at(format!("/names/{index}"), "a name is empty"));
            }
        }
        ConfigError::collect(errors).map(|()| Self)
    }

    fn interest(&self) -> Interest {
        Interest::new()
    }
}

register_plugin!(RefusesConfig);
