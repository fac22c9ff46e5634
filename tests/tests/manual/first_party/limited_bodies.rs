//! `rate-limit` by cookies and by values of bodies, as its README shows it.

use gateway_tests::client::request;
use gateway_tests::{Http1, Setup, Upstream};
use serde_json::json;

/// The recipe of the README, with small limits, and a field that says who asks.
fn recipe() -> String {
    let readme = include_str!("../../../../plugins/rate-limit/README.md");
    let (_, section) = readme.split_once("\n### Values in bodies\n").unwrap();
    let (_, block) = section.split_once("```toml\n").unwrap();
    let block = block.split_once("```").unwrap().0;
    let block = block.replace("limit = 100", "limit = 2").replace("limit = 20", "limit = 3");
    block.replace("consumer.id", "header:x-consumer")
}

#[tokio::test]
async fn a_rate_limit_goes_by_what_a_body_and_a_cookie_say_before_an_upstream_sees_it() {
    let text = format!("{}{}", recipe(), super::route_through("\"models\""));
    let upstream = Upstream::echo().await;
    let gateway = Setup::toml(&text, &[("ORDERS", &upstream.address)]).start();
    let mut client = Http1::connect(gateway.address).await;
    let json_type = ("content-type", "application/json");
    let post = |consumer: &str, cookie: &str, body: &str| {
        let fields = [json_type, ("x-consumer", consumer), ("cookie", cookie)];
        request("POST", "/orders", &fields, body.to_owned())
    };
    let long = format!("{{\"model\":\"{}\"}}", "x".repeat(300_000));
    let refused = client.send(post("ada", "sid=1", "{\"prompt\":1}")).await;
    assert_eq!((refused.status(), upstream.requests().len()), (400, 0));
    assert!(refused.problem()["detail"].as_str().unwrap().contains("/model"));
    // The rest of such a body is not read: the connection ends with the answer.
    let refused = Http1::connect(gateway.address).await.send(post("ada", "sid=1", &long)).await;
    assert_eq!((refused.status(), upstream.requests().len()), (413, 0));

    for (consumer, cookie, body, status) in [
        ("ada", "sid=1", "{\"model\":\"small\"}", 200),
        ("ada", "sid=2", "{\"n\":[{}],\"model\":\"small\"}", 200),
        ("ada", "sid=3", "{\"model\":\"small\"}", 429),
        ("ada", "sid=1", "{\"model\":\"large\"}", 200),
        ("bob", "sid=1", "{\"model\":\"small\"}", 200),
        ("bob", "sid=1", "{\"model\":\"other\"}", 429),
    ] {
        let before = upstream.requests().len();
        let answer = client.send(post(consumer, cookie, body)).await;
        assert_eq!(answer.status(), status, "{consumer} {cookie} {body}");
        let passed = upstream.requests().len() - before;
        assert_eq!(passed, usize::from(status == 200), "{consumer} {cookie} {body}");
        if status == 429 {
            let policy = if cookie == "sid=3" { "model" } else { "session" };
            assert_eq!(answer.problem()["violated-policies"], json!([policy]));
        } else {
            assert_eq!(answer.text(), body);
            assert!(answer.header("ratelimit").is_some());
        }
    }
}
