//! No sequence of requests lets one tenant get what was answered to another.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use arbtest::arbitrary::{Result, Unstructured};
use gateway_plugin_sdk::testing::{self, Harness};
use predictions::Predictions;
use serde_json::json;

/// Names that look alike, and like parts of each other.
const NAMES: [&str; 6] = ["", "a", "b", "a b", "group a", "everyone"];

/// Texts that a careless key takes for the same.
const TEXTS: [&str; 6] = ["\"x\"", "\"X\"", "\"x \"", "1", "\"1\"", "[\"x\"]"];

fn property(random: &mut Unstructured<'_>) -> Result<()> {
    let shares = *random.choose(&["consumer", "consumer", "group"])?;
    let config = json!({ "shared_with": shares, "only_deterministic": false, "any_json": true });
    let harness = Harness::<Predictions>::new(config).unwrap();
    harness.set_time(Duration::from_secs(1_790_000_000));
    for _ in 0..random.int_in_range(2..=10)? {
        let [id, group, key] =
            [random.choose(&NAMES)?, random.choose(&NAMES)?, random.choose(&NAMES)?];
        let path = *random.choose(&["/v1/chat/completions", "/v1/messages", "/infer"])?;
        let query = *random.choose(&["", "a=1", "key=1", "key=2"])?;
        let variants = *random.choose(&["", "e:a ", "e:b "])?;
        let text = *random.choose(&TEXTS)?;
        let field = *random.choose(&["authorization", "x-api-key"])?;
        let spaces = *random.choose(&["", " "])?;
        let body = format!("{{{spaces}\"model\":\"m\",\"n\":1,\"messages\":{text}{spaces}}}");
        let mut request = testing::request()
            .method("POST")
            .path(path)
            .header("content-type", "application/json")
            .attribute("request.has-body", "true")
            .attribute("consumer.id", *id)
            .attribute("consumer.group", *group)
            .attribute("experiment-variants", variants)
            .body(body);
        if !query.is_empty() {
            request = request.query(query);
        }
        if !key.is_empty() {
            request = request.header(field, *key);
        }
        // Who it is, by a reading that is simpler than the key.
        let who = match (shares, *group, *id) {
            ("group", group, _) if !group.is_empty() => format!("group:{group}"),
            (_, _, id) if !id.is_empty() => format!("id:{id}"),
            _ if key.is_empty() => {
                format!("nobody:{}", query.strip_prefix("key=").unwrap_or_default())
            }
            _ => format!("key:{field}:{key}:{}", query.strip_prefix("key=").unwrap_or_default()),
        };
        let own =
            json!([who, path, variants, query.strip_prefix("key=").map_or(query, |_| ""), text]);
        let mut exchange = harness.request(request);
        if let Some(answer) = exchange.answer() {
            let given: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
            assert_eq!(given["own"], own);
            continue;
        }
        let answer = json!({ "own": own, "choices": [{ "finish_reason": "stop" }], "stop_reason": "end_turn" });
        let answer = answer.to_string();
        let response = testing::response()
            .header("content-type", "application/json")
            .header("content-length", answer.len().to_string());
        exchange.response(response.body(answer));
    }
    Ok(())
}

#[test]
fn no_tenant_gets_the_answer_of_another_fuzz() {
    let said = std::env::var("ARBTEST_BUDGET_MS").ok();
    let budget = said.and_then(|text| text.parse().ok()).unwrap_or(1000);
    arbtest::arbtest(property).budget_ms(budget).size_min(256);
}
