//! Describes its configuration with a schema that leads out of itself, to an address that would
//! have to be fetched. The configuration itself may hold anything but `bad`, which it refuses.

use std::borrow::Cow;
use std::collections::BTreeMap;

use gateway_plugin_sdk::prelude::*;
use schemars::{Schema, SchemaGenerator, json_schema};

/// The plugin.
pub struct BrokenSchema;

/// What it is configured with.
#[derive(Deserialize)]
pub struct Config(BTreeMap<String, bool>);

impl JsonSchema for Config {
    fn schema_name() -> Cow<'static, str> {
        "Config".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "properties": { "a": { "$ref": "http://127.0.0.1:9/a" } } })
    }
}

impl Plugin for BrokenSchema {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        match config.0.contains_key("bad") {
            true => Err(ConfigError::at("/bad", "bad is refused")),
            false => Ok(Self),
        }
    }

    fn interest(&self) -> Interest {
        Interest::new()
    }
}

register_plugin!(BrokenSchema);
