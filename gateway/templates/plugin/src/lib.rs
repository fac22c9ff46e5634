//! Greets by name: a request that says who is there is answered with a greeting in the field
//! `x-greeting`, and one that does not is refused.

use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

/// The configuration of the plugin. Its JSON Schema, with these comments, is in the component.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The request field that says who is there.
    pub header: HeaderName,

    /// What is said before the name.
    #[serde(default = "default_greeting")]
    pub greeting: String,
}

fn default_greeting() -> String {
    "hello".to_owned()
}

/// The plugin, configured.
#[derive(Debug)]
pub struct MyPlugin {
    header: HeaderName,
    greeting: String,
}

impl Plugin for MyPlugin {
    type Config = Config;
    type Context = ();

    /// Called when the gateway starts and when its configuration changes. An error is shown at
    /// the place in the file that it points to.
    fn configure(config: Config) -> Result<Self, ConfigError> {
        let Config { header, greeting } = config;
        if greeting.is_empty() {
            return Err(ConfigError::at("/greeting", "a greeting needs a word"));
        }
        Ok(Self { header, greeting })
    }

    /// What the gateway calls the plugin for. What is not named here costs nothing.
    fn interest(&self) -> Interest {
        Interest::on_request().header(&self.header)
    }

    /// Called with the head of each request.
    fn on_request(&self, request: &mut Request, _: &mut ()) -> Outcome {
        let Some(name) = request.header(&self.header) else {
            log::info!("refused: there is no field {}", self.header);
            return Outcome::respond(Response::bad_request("who are you?"));
        };
        let greeting = format!("{} {name}", self.greeting);
        request.set_response_header("x-greeting", greeting);
        Outcome::Next
    }
}

register_plugin!(MyPlugin);

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_plugin_sdk::testing::{self, Harness};
    use serde_json::{Value, json};

    fn configured(config: Value) -> Result<Harness<MyPlugin>, ConfigError> {
        Harness::new(config)
    }

    #[test]
    fn greets_who_says_a_name() {
        let plugin = configured(json!({ "header": "x-name" })).unwrap();
        let mut exchange = plugin.request(testing::request().header("x-name", "Ada"));
        let answer = exchange.response(testing::response().status(200));
        assert_eq!(answer.header("x-greeting"), Some("hello Ada"));
    }

    #[test]
    fn refuses_who_says_none() {
        let plugin = configured(json!({ "header": "x-name" })).unwrap();
        let exchange = plugin.request(testing::request());
        assert_eq!(exchange.answer().unwrap().status(), 400);
    }

    #[test]
    fn says_where_its_configuration_is_wrong() {
        let config = json!({ "header": "x-name", "greeting": "" });
        let error = configured(config).err().unwrap();
        assert_eq!(error.issues()[0].pointer, "/greeting");
    }
}
