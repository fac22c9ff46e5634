//! Greets by name: the smallest plugin that reads a configuration, a field, and answers itself.

use gateway_plugin_sdk::prelude::*;

/// The configuration of the plugin.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The request field that says who is there.
    pub header: HeaderName,
}

/// Greets by name: a request that says who is there goes on with `x-greeting`, any other is
/// refused with 400.
#[derive(Debug)]
pub struct Greet {
    header: HeaderName,
}

impl Plugin for Greet {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { header: config.header })
    }

    fn interest(&self) -> Interest {
        Interest::on_request().header(&self.header)
    }

    fn on_request(&self, request: &mut Request, _: &mut ()) -> Outcome {
        match request.header(&self.header) {
            Some(name) => {
                let greeting = format!("hello {name}");
                request.set_header("x-greeting", greeting);
                Outcome::Next
            }
            None => Outcome::respond(Response::bad_request("who are you?")),
        }
    }
}

register_plugin!(Greet);

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_plugin_sdk::testing::{self, Harness, Outcome};
    use serde_json::{Value, json};

    fn greet() -> Harness<Greet> {
        Harness::new(json!({ "header": "X-Name" })).expect("a valid configuration")
    }

    #[test]
    fn greets_who_says_a_name() {
        let greet = greet();
        let exchange = greet.request(testing::request().header("x-name", "Ada"));
        assert_eq!(exchange.outcome(), &Outcome::Next);
        assert_eq!(exchange.request().header("x-greeting"), Some("hello Ada"));
    }

    #[test]
    fn refuses_who_says_none() {
        let greet = greet();
        let exchange = greet.request(testing::request().attribute("request.id", "42"));
        let answer = exchange.answer().expect("an answer");
        assert_eq!(answer.status(), 400);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(
            answer.json::<Value>(),
            json!({
                "type": "about:blank",
                "title": "Bad Request",
                "message": "who are you?",
                "status": 400,
                "detail": "who are you?",
                "instance": "42",
            })
        );
    }

    #[test]
    fn says_where_its_configuration_is_wrong() {
        let error =
            Harness::<Greet>::new(json!({ "header": "two words" })).err().expect("an error");
        assert_eq!(error.issues()[0].pointer, "/header");
    }
}
