//! Lets known tenants order: a request says in `x-tenant` whose it is, an order is a JSON object
//! with a quantity, and the response says who checked it.
//!
//! `examples/plugins-js/orders` and `examples/plugins-py/orders` are the same plugin in other
//! languages. What one of them does, all do.

use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;
use serde_json::{Map, Value};

/// The configuration of the plugin.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who may order.
    pub tenants: Vec<String>,
    /// The largest quantity.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1))]
    pub most: u64,
}

fn hundred() -> u64 {
    100
}

/// The plugin, configured.
#[derive(Debug)]
pub struct Orders {
    tenants: Vec<String>,
    most: u64,
}

/// What the hooks of one exchange pass to one another.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Tenant(String);

impl Plugin for Orders {
    type Config = Config;
    type Context = Tenant;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        if config.most == 0 {
            return Err(ConfigError::at("/most", "an integer from 1 is needed"));
        }
        Ok(Self { tenants: config.tenants, most: config.most })
    }

    fn interest(&self) -> Interest {
        Interest::on_request()
            .and_on_response()
            .header("x-tenant")
            .request_body(BodyMode::Buffered(65536))
    }

    fn on_request(&self, request: &mut Request, context: &mut Tenant) -> Outcome {
        let Some(field) = request.header_bytes("x-tenant") else {
            let answer = Response::unauthorized("x-tenant is missing");
            return Outcome::respond(answer.header("www-authenticate", "Tenant"));
        };
        let tenant = String::from_utf8_lossy(field).into_owned();
        if !self.tenants.contains(&tenant) {
            log::info!("refused: {tenant} is no tenant");
            return Outcome::respond(Response::forbidden("this tenant may not order"));
        }
        *context = Tenant(tenant);
        Outcome::Next
    }

    fn on_request_body(
        &self,
        _request: &mut Request,
        body: &mut Body,
        Tenant(tenant): &mut Tenant,
    ) -> Outcome {
        let Ok(order) = body.json::<Value>() else {
            return Outcome::respond(Response::bad_request("the body is not JSON"));
        };
        let Some(order) = self.checked(order, tenant) else {
            let detail = format!("quantity must be an integer from 1 to {}", self.most);
            return Outcome::respond(Response::problem(422, "Unprocessable Content", detail));
        };
        body.set(Value::Object(order).to_string());
        Outcome::Next
    }

    fn on_response(&self, response: &mut ResponseHead, Tenant(tenant): &mut Tenant) -> Outcome {
        response.remove_header("server");
        response.add_header("x-checked-by", format!("rust for {tenant}"));
        Outcome::Next
    }
}

impl Orders {
    /// The order with what it becomes here, if its quantity is right.
    fn checked(&self, order: Value, tenant: &str) -> Option<Map<String, Value>> {
        let Value::Object(mut order) = order else { return None };
        let quantity = order.get("quantity")?.as_u64()?;
        if quantity == 0 || quantity > self.most {
            return None;
        }
        order.insert("tenant".into(), tenant.into());
        let checked = order.entry("checked").or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(checked) = checked {
            checked.push("rust".into());
        }
        Some(order)
    }
}

register_plugin!(Orders);

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_plugin_sdk::testing::{self, Harness};
    use serde_json::json;

    fn orders() -> Harness<Orders> {
        Harness::new(json!({ "tenants": ["acme"], "most": 5 })).expect("a valid configuration")
    }

    fn status_of(body: &str) -> Option<u16> {
        let request = testing::request().header("x-tenant", "acme").body(body.to_owned());
        orders().request(request).answer().map(testing::Answer::status)
    }

    #[test]
    fn refuses_who_is_nobody_or_no_tenant() {
        let orders = orders();
        let exchange = orders.request(testing::request());
        assert_eq!(exchange.answer().expect("an answer").status(), 401);
        let exchange = orders.request(testing::request().header("x-tenant", "other"));
        assert_eq!(exchange.answer().expect("an answer").status(), 403);
    }

    #[test]
    fn refuses_what_is_no_order() {
        assert_eq!(status_of("{"), Some(400));
        for body in ["[]", "{}", r#"{"quantity":0}"#, r#"{"quantity":6}"#, r#"{"quantity":"5"}"#] {
            assert_eq!(status_of(body), Some(422), "{body}");
        }
        assert_eq!(status_of(r#"{"quantity":5}"#), None);
    }
}
