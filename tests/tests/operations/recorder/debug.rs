//! What `Server-Timing` reports to a caller who holds the debug secret, and to nobody else.

use gateway_tests::client::{request, request2};
use gateway_tests::{Http1, Http2};
use serde_json::json;

use super::support::{SECRET, admin, record, service, setup};

#[tokio::test]
async fn the_secret_has_a_request_recorded_and_reported_and_goes_no_further() {
    let service = service().await;
    let gateway = setup("sample = 0", &service.address).start();
    let mut client = Http1::connect(gateway.address).await;
    let fields = [("gateway-debug", SECRET), ("x-spin", "1000")];
    let answer = client.send(request("GET", "/spun", &fields, "")).await;
    let timing = answer.header("server-timing").unwrap();
    assert!(timing.starts_with("route;desc=\"spun /spun\", hook;dur="), "{timing}");
    for part in [
        ";desc=\"tag on-request\", ",
        ";desc=\"spins on-request\", ",
        &format!(";desc=\"{}\", upstream;dur=", service.address),
        ";desc=\"service\", total;dur=",
        ";desc=\"tag on-response\"",
    ] {
        assert!(timing.contains(part), "{part} in {timing}");
    }
    let duration = |name: &str| {
        let rest = timing.split(&format!("{name};dur=")).nth(1).unwrap();
        rest.split([';', ',']).next().unwrap().parse::<f64>().unwrap()
    };
    assert!(duration("total") >= duration("upstream") && duration("upstream") > 0.0, "{timing}");
    assert_eq!(record(&gateway, answer.id()).await["kept"], "debug");
    assert!(!service.request().headers.contains_key("gateway-debug"));
}

#[tokio::test]
async fn a_wrong_secret_is_as_none_and_goes_no_further_either() {
    let service = service().await;
    let gateway = setup("sample = 0", &service.address).start();
    let mut client = Http1::connect(gateway.address).await;
    let wrong = &SECRET[..SECRET.len() - 1];
    let answer = client.send(request("GET", "/api/1", &[("Gateway-Debug", wrong)], "")).await;
    assert_eq!((answer.status(), answer.header("server-timing")), (200, None));
    assert!(!service.request().headers.contains_key("gateway-debug"));
    let failed = client.send(request("GET", "/api/503", &[], "")).await;
    record(&gateway, failed.id()).await;
    assert_eq!(admin(&gateway, &format!("/requests/{}", answer.id())).await.status(), 404);
}

#[tokio::test]
async fn a_refusal_is_reported_too_and_over_http2() {
    let service = service().await;
    let gateway = setup("sample = 0", &service.address).start();
    let mut client = Http2::connect(gateway.address).await;
    let debug = [("gateway-debug", SECRET)];
    let refused = client.send(request2("GET", "/keyed/x", &debug, "")).await;
    assert_eq!(refused.status(), 401);
    let timing = refused.header("server-timing").unwrap();
    // The first call of all had to wait for an instance.
    let parts = [";desc=\"keys on-request\", ", "instance;dur=", ";desc=\"keys\", total;dur="];
    assert!(parts.iter().all(|part| timing.contains(part)), "{timing}");
    assert!(!timing.contains("queue"), "and for no turn: {timing}");
    assert_eq!(record(&gateway, refused.id()).await["answered_by"], json!("plugin keys"));
    let sent = client.send(request2("GET", "/api/1", &debug, "")).await;
    assert!(sent.header("server-timing").unwrap().contains("upstream;dur="), "{sent:?}");
    assert!(!service.request().headers.contains_key("gateway-debug"));
    let gone = client.send(request2("GET", "/gone", &debug, "")).await;
    let timing = gone.header("server-timing").unwrap();
    assert!(timing.contains("attempt;desc=\"127.0.0.1:1 refused\""), "{timing}");
}
