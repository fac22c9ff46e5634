//! `validate` with documents in YAML, and with bodies that the plugin's memory has no room for.

use gateway_tests::client::request;
use gateway_tests::{Http1, Setup, Upstream};

use super::route_through;

#[tokio::test]
async fn a_yaml_document_holds_and_a_report_lets_pass_what_cannot_be_read() {
    let text = format!(
        r#"
[plugins.api]
component = "validate"
[plugins.api.config]
unknown_keywords = "refuse"
[plugins.api.config.openapi]
text = """
openapi: 3.1.0
paths:
  /orders:
    post:
      requestBody:
        content:
          application/json:
            schema: {{type: object, required: [id], properties: {{id: {{type: integer, maximum: 9}}}}}}
"""
[plugins.report]
component = "validate"
limits = {{ memory = "4MiB" }}
[plugins.report.config.request]
mode = "report"
limit = 67108864
schema = {{ type = "array" }}
{}
[[routes]]
name = "reported"
paths = ["/reported"]
plugins = ["report"]
upstream = "orders"
"#,
        route_through("\"api\"")
    );
    let upstream = Upstream::echo().await;
    let gateway = Setup::toml(&text, &[("ORDERS", &upstream.address)]).start();
    let mut client = Http1::connect(gateway.address).await;
    let json_type = [("content-type", "application/json")];
    for (body, status, told) in [
        (r#"{"id":9}"#, 200, ""),
        (r#"{"id":10}"#, 400, "must be at most 9"),
        ("{}", 400, "must have the property id"),
    ] {
        let answer = client.send(request("POST", "/orders", &json_type, body)).await;
        assert_eq!(answer.status(), status, "{body}");
        assert!(answer.text().contains(told), "{}", answer.text());
    }
    // One that is wrong, one of many small values, and one that is longer than the memory itself.
    let small = format!("[{}1]", "{\"a\":[]},".repeat(60_000));
    let long = format!("[\"{}\"]", "x".repeat(6 << 20));
    for body in ["{}".to_owned(), small, long] {
        let answer = client.send(request("POST", "/reported", &json_type, body.clone())).await;
        assert_eq!(answer.status(), 200, "{} bytes", body.len());
        assert!(answer.body == body.as_bytes(), "{} of {} bytes", answer.body.len(), body.len());
    }
}
