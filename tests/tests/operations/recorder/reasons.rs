//! Why plugins refuse, for those who run the gateway and for nobody else.

use gateway_tests::Http1;
use gateway_tests::client::request;
use serde_json::{Value, json};

use super::support::{KEY, record, recording, says, service};

fn lines(record: &Value) -> Vec<(&str, &str, &str)> {
    let lines = record["log"].as_array().unwrap().iter();
    let text = |line: &'_ Value, key: &str| -> &'static str {
        line[key].as_str().unwrap().to_owned().leak()
    };
    lines.map(|line| (text(line, "plugin"), text(line, "level"), text(line, "text"))).collect()
}

#[tokio::test]
async fn a_first_party_plugin_says_why_in_the_record_and_not_in_the_answer() {
    let service = service().await;
    let gateway = recording(&service);
    let mut client = Http1::connect(gateway.address).await;
    for (fields, reason, line) in [
        // Too common for a line of the log.
        (vec![], "there is no credential", None),
        (
            vec![("x-api-key", "wrong")],
            "the API key is not known",
            Some("refused: the API key is not known"),
        ),
        (
            vec![KEY, ("authorization", "Bearer x")],
            "there is more than one credential",
            Some("refused: there is more than one credential"),
        ),
    ] {
        let answer = client.send(request("GET", "/keyed/a", &fields, "")).await;
        assert!((400..402).contains(&answer.status()));
        let told = format!("{:?}{}", answer.head.headers, answer.text());
        assert!(!told.contains(reason), "{told}");
        let seen = record(&gateway, answer.id()).await;
        assert_eq!(seen["hooks"][0]["reason"], reason, "{seen:#}");
        says(
            &seen,
            &format!("refused by the plugin `keys` in on-request with {}", answer.status()),
        );
        assert!(
            seen["explanation"].as_str().unwrap().ends_with(&format!(": {reason}")),
            "{seen:#}"
        );
        let expected: Vec<_> = line.iter().map(|line| ("keys", "info", *line)).collect();
        assert_eq!(lines(&seen), expected);
    }
    let admitted = client.send(request("GET", "/keyed/a", &[KEY], "")).await;
    let seen = record(&gateway, admitted.id()).await;
    assert!(
        seen["hooks"].as_array().unwrap().iter().all(|hook| hook["reason"].is_null()),
        "{seen:#}"
    );
}

#[tokio::test]
async fn a_policy_and_a_slot_that_refuse_are_named() {
    let service = service().await;
    let gateway = recording(&service);
    let mut client = Http1::connect(gateway.address).await;
    assert_eq!(client.send(request("GET", "/limited", &[], "")).await.status(), 200);
    let refused = client.send(request("GET", "/limited", &[], "")).await;
    assert_eq!(refused.status(), 429);
    let seen = record(&gateway, refused.id()).await;
    says(&seen, "No quota is left under per-day");

    let slow = tokio::spawn({
        let address = gateway.address;
        async move { Http1::get(address, "/narrow/slow").await.status() }
    });
    // Its time is over long before the other gives its slot back.
    let late = loop {
        let answer = Http1::get(gateway.address, "/narrow/x").await;
        if answer.status() == 429 {
            break answer;
        }
        assert!(!slow.is_finished(), "it never had to wait");
    };
    let seen = record(&gateway, late.id()).await;
    says(&seen, "while it waited for a slot with 429");
    says(&seen, "There is no slot under one");
    assert_eq!(slow.await.unwrap(), 200);
    // Who had a slot in time is not said to be refused.
    let served = Http1::get(gateway.address, "/narrow/x").await;
    let seen = record(&gateway, served.id()).await;
    assert!(
        seen["hooks"].as_array().unwrap().iter().all(|hook| hook["reason"].is_null()),
        "{seen:#}"
    );
}

#[tokio::test]
async fn a_plugin_of_others_is_explained_by_what_it_wrote_to_the_log() {
    let service = service().await;
    let gateway = recording(&service);
    let mut client = Http1::connect(gateway.address).await;
    let refused = client.send(request("GET", "/flooded", &[("x-flood", "refuse")], "")).await;
    assert_eq!((refused.status(), refused.text()), (403, ""));
    let seen = record(&gateway, refused.id()).await;
    says(&seen, "refused by the plugin `floods` in on-request with 403");
    assert_eq!(seen["hooks"][0]["reason"], "refused: not on the list");
    assert_eq!(
        lines(&seen),
        [("floods", "warn", "the list is closed"), ("floods", "info", "refused: not on the list")]
    );

    // As much as a record has room for, without the secrets and the control characters that the log has not either.
    let many = client.send(request("GET", "/flooded", &[("x-flood", "1000")], "")).await;
    let seen = record(&gateway, many.id()).await;
    assert_eq!(lines(&seen).len(), 8);
    assert_eq!(lines(&seen)[7].2, "flood line 99", "{seen:#}");
    assert_eq!(seen["log_omitted"], json!(92));
    let long = client.send(request("GET", "/flooded", &[("x-flood", "long")], "")).await;
    assert_eq!(lines(&record(&gateway, long.id()).await)[0].2, "y".repeat(512));
    let forged = client.send(request("GET", "/flooded", &[("x-flood", "lines")], "")).await;
    assert!(!lines(&record(&gateway, forged.id()).await)[0].2.contains(['\n', '\u{1b}']));

    let panicked = client.send(request("GET", "/panicking", &[("x-panic", "now")], "")).await;
    assert_eq!(panicked.status(), 500);
    let seen = record(&gateway, panicked.id()).await;
    let reason = seen["hooks"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("panicked") || reason.contains("told to"), "{seen:#}");
}
