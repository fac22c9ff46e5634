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
[plugins.strict]
component = "validate"
limits = {{ memory = "4MiB" }}
[plugins.strict.config.request]
limit = 67108864
schema = {{ type = "array" }}
{}
[[routes]]
name = "strict"
paths = ["/strict"]
plugins = ["strict"]
upstream = "orders"
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
    let small = format!("[{}1]", "{\"a\":[]},".repeat(30_000));
    let answer = client.send(request("POST", "/strict", &json_type, small)).await;
    assert_eq!(answer.status(), 413, "{}", answer.text());
    assert!(answer.text().contains("more values than can be checked"), "{}", answer.text());
}

#[test]
fn a_document_that_its_aliases_make_large_is_refused_with_its_line() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let item = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", [item.as_str(); 9].join(", "));
    }
    let folder = tempfile::tempdir().unwrap();
    let text = "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n[[routes]]\nname = \"r\"\n\
                paths = [\"/\"]\nplugins = [\"api\"]\nrespond = { status = 200 }\n[plugins.api]\n\
                component = \"validate\"\nconfig.openapi.text = \"${file:api.yaml}\"\n";
    std::fs::write(folder.path().join("api.yaml"), bomb).unwrap();
    std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
    let checked = std::process::Command::new(gateway_tests::binary())
        .args(["check", "gateway.toml"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stderr).into_owned()
        + &String::from_utf8_lossy(&checked.stdout);
    assert!(!checked.status.success(), "{said}");
    assert!(said.contains("the YAML is wrong at line 5, column"), "{said}");
    assert!(said.contains("aliases and anchors repeat"), "{said}");
}
