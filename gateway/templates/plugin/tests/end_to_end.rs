//! The plugin natively, and as the component in a gateway: one test for both.
//!
//! The gateway is `gateway` on the `PATH`, or the file that the variable `GATEWAY` names.

use gateway_plugin_sdk::testing::{self, Host, HostExchange};
use serde_json::json;

use my_plugin::MyPlugin;

gateway_plugin_sdk::test_both!(MyPlugin: greets_who_says_a_name_and_refuses_who_says_none);

fn greets_who_says_a_name_and_refuses_who_says_none<H: Host>() {
    let plugin = H::new(json!({ "header": "x-name" })).unwrap();

    let mut exchange = plugin.request(testing::request().header("x-name", "Ada"));
    let answer = exchange.response(testing::response().status(200));
    assert_eq!(answer.header("x-greeting"), Some("hello Ada"));

    let exchange = plugin.request(testing::request().header("x-other", "Ada"));
    let answer = exchange.answer().unwrap();
    assert_eq!(answer.status(), 400);
    assert!(answer.text().contains("who are you?"), "{answer:?}");
}
