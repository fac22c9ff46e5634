//! Why requests fail, what limits decide, tries, and the connections on both sides.

use std::time::Duration;

use gateway_tests::client::{get2, request};
use gateway_tests::{Http1, Http2, Raw, Setup, within};

use super::{after, series, service, sum};

const TEXT: &str = r#"
[admin]
address = "127.0.0.1:0"

[upstreams.service]
targets = ["http://${env:UPSTREAM}"]
[upstreams.slow]
targets = ["http://${env:UPSTREAM}"]
timeouts = { first_byte = "50ms" }
[upstreams.half]
targets = ["http://127.0.0.1:1", "http://${env:UPSTREAM}"]

[plugins.keys]
component = "auth"
[plugins.keys.config]
group_claim = "plan"
api_key.keys = [
    { id = "a", digest = "sha256:130a82f68d3064ef477880b571abfcf0f1f4aac4f9cd161aea5e6b543d2ee2d8" },
    { id = "b", digest = "sha256:6163937e6547cc2853a333d323496f4d5608b3958a3bd3939752708bc9cb0feb", group = "gold", claims = { plan = "no" } },
    { id = "c", digest = "sha256:52ef5aae6e3c5bd69a39642cc7a5a32df6e153219bf36190a8604d9e6aa76492", claims = { plan = "silver" } },
]
[plugins.limit]
component = "rate-limit"
config.policies = [{ name = "few", limit = 2, window = "1h", key = ["consumer.id"] }]

[[routes]]
name = "api"
paths = ["/api/{*rest}"]
upstream = "service"
[[routes]]
name = "slow"
paths = ["/slow"]
upstream = "slow"
[[routes]]
name = "half"
paths = ["/half"]
upstream = "half"
[[routes]]
name = "small"
paths = ["/small"]
limits.body_size = "1KiB"
upstream = "service"
[[routes]]
name = "limited"
paths = ["/limited"]
plugins = ["keys", "limit"]
respond = { body = "fine" }
"#;

#[tokio::test]
async fn failures_are_counted_by_their_reason_and_timeouts_have_a_name() {
    let service = service().await;
    let gateway = Setup::toml(TEXT, &[("UPSTREAM", &service.address)]).start();
    assert_eq!(Http1::get(gateway.address, "/slow").await.status(), 504);
    assert_eq!(Http1::get(gateway.address, "/nowhere").await.status(), 404);
    let large = request("POST", "/small", &[], "x".repeat(2_000));
    assert_eq!(Http1::connect(gateway.address).await.send(large).await.status(), 413);
    Raw::ask(gateway.address, "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").await;
    // A head that is none is no request.
    Raw::ask(gateway.address, "what is this\r\n\r\n").await;
    let seen = after(&gateway, 4.0).await;
    let failed = |route: &str, fault: &str, reason: &str| {
        let labels = format!("route=\"{route}\",fault=\"{fault}\",reason=\"{reason}\"");
        seen.get(&format!("gateway_requests_failed_total{{{labels}}}")).copied()
    };
    assert_eq!(failed("slow", "upstream", "first-byte-timeout"), Some(1.0), "{seen:#?}");
    assert_eq!(failed("", "client", "no-route"), Some(1.0));
    assert_eq!(failed("small", "client", "body-size"), Some(1.0));
    assert_eq!(failed("", "client", "malformed"), Some(1.0));
    assert_eq!(sum(&seen, "gateway_requests_failed_total", &[]), 4.0, "and no other");
    within(async {
        while sum(&series(&gateway).await, "gateway_heads_refused_total", &[]) < 1.0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn another_target_is_a_retry_and_pools_say_what_is_idle() {
    let service = service().await;
    let gateway = Setup::toml(TEXT, &[("UPSTREAM", &service.address)]).workers(1).start();
    let mut client = Http1::connect(gateway.address).await;
    for _ in 0..4 {
        assert_eq!(client.send(request("GET", "/half", &[], "")).await.status(), 200);
    }
    let mut http2 = Http2::connect(gateway.address).await;
    assert_eq!(http2.send(get2("/api/a")).await.status(), 200);
    let seen = after(&gateway, 5.0).await;
    let half = "upstream=\"half\"";
    let retries = sum(&seen, "gateway_upstream_retries_total", &[half]);
    let refused = sum(&seen, "gateway_upstream_attempts_total", &[half, "result=\"refused\""]);
    assert!(retries > 0.0 && retries == refused, "{retries} {refused}");
    assert_eq!(sum(&seen, "gateway_upstream_retries_total", &["upstream=\"service\""]), 0.0);
    let state = |seen: &std::collections::HashMap<String, f64>, upstream: &str, state: &str| {
        let labels = [format!("upstream=\"{upstream}\""), format!("state=\"{state}\"")];
        sum(seen, "gateway_upstream_connections", &[&labels[0], &labels[1]])
    };
    assert_eq!((state(&seen, "half", "idle"), state(&seen, "half", "in_use")), (1.0, 0.0));
    let open = |protocol: &str| sum(&seen, "gateway_connections", &[protocol]);
    assert_eq!((open("\"http1\""), open("\"http2\""), open("\"unknown\"")), (1.0, 1.0, 0.0));
    assert_eq!(sum(&seen, "gateway_connections_accepted_total", &[]), 2.0);

    // While a request waits for its answer, its connection is in use.
    let address = gateway.address;
    let slow = tokio::spawn(async move { Http1::get(address, "/api/slow").await.status() });
    within(async {
        while state(&series(&gateway).await, "service", "in_use") != 1.0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(within(slow).await.unwrap(), 200);
    drop((client, http2));
    within(async {
        while sum(&series(&gateway).await, "gateway_connections", &[]) != 0.0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let seen = series(&gateway).await;
    assert_eq!((state(&seen, "service", "idle"), state(&seen, "service", "in_use")), (1.0, 0.0));
}

#[tokio::test]
async fn groups_of_consumers_and_decisions_of_limits_are_counted() {
    let service = service().await;
    let gateway = Setup::toml(TEXT, &[("UPSTREAM", &service.address)]).workers(2).start();
    for (key, expected) in [
        ("gold-key", 200),
        ("gold-key", 200),
        ("gold-key", 429),
        ("claim-key", 200),
        ("quickstart-key", 200),
        ("wrong", 401),
    ] {
        let asked = request("GET", "/limited", &[("x-api-key", key)], "");
        let answer = Http1::connect(gateway.address).await.send(asked).await;
        assert_eq!(answer.status(), expected, "{key}");
    }
    let seen = after(&gateway, 6.0).await;
    let of = |group: &str, status: &str| {
        let labels = format!("route=\"limited\",group=\"{group}\",status=\"{status}\"");
        seen.get(&format!("gateway_consumer_group_requests_total{{{labels}}}")).copied()
    };
    assert_eq!((of("gold", "2xx"), of("gold", "4xx")), (Some(2.0), Some(1.0)), "{seen:#?}");
    assert_eq!(of("silver", "2xx"), Some(1.0));
    assert_eq!(sum(&seen, "gateway_consumer_group_requests_total", &[]), 4.0, "and no other");
    assert_eq!(seen["gateway_consumer_groups_overflowed_total"], 0.0);
    let decided = |decision: &str| {
        let labels = format!("plugin=\"limit\",decision=\"{decision}\"");
        seen.get(&format!("gateway_plugin_limiter_decisions_total{{{labels}}}")).copied()
    };
    assert_eq!((decided("allowed"), decided("refused")), (Some(4.0), Some(1.0)));
}
