//! What the gateway records of the end of requests without a call of the plugin.

use std::time::Duration;

use gateway_tests::client::request;
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Setup, Upstream, within};
use http::Response;

use super::{asked, is_within};

const TEXT: &str = r#"
[usage]
store = "${env:STORE}"

[admin]
address = "127.0.0.1:0"

[upstreams.service]
targets = ["http://${env:SERVICE}"]

[plugins.trials]
component = "experiments"
limits = { deadline = "10s" }

[plugins.trials.config]
unit = ["header:x-unit"]
holdout = { share = 20 }
exposures = {}

[[plugins.trials.config.experiments]]
name = "version"
header = "x-variant"
guardrail = { control = "old", errors = 90 }
variants = [{ name = "old", weight = 1 }, { name = "new", weight = 1 }]

[plugins.uses]
component = "./uses.wasm"
grants = ["usage"]

[[routes]]
name = "paid"
paths = ["/paid/{*rest}"]
plugins = ["trials", "uses"]
upstream = "service"

[[routes]]
name = "free"
paths = ["/{*rest}"]
plugins = ["trials"]
upstream = "service"
"#;

/// What is recorded without a call is as exact as what the plugin is called for.
#[tokio::test]
async fn requests_that_end_alike_are_counted_without_a_call_and_none_is_missed() {
    let service = Upstream::http1(|request: http::Request<_>| async move {
        let number: u32 = request.uri().path().rsplit('/').next().unwrap().parse().unwrap();
        let status = if number.is_multiple_of(7) { 503 } else { 200 };
        let variant = request.headers().get("x-variant").cloned();
        let name = variant.map_or_else(String::new, |it| it.to_str().unwrap().to_owned());
        Response::builder().status(status).body(full(name)).unwrap()
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("usage.db").to_str().unwrap().to_owned();
    let values: [(&str, &dyn std::fmt::Display); 2] =
        [("SERVICE", &service.address), ("STORE", &store)];
    let gateway = Setup::toml(TEXT, &values).start();
    let mut client = Http1::connect(gateway.address).await;
    // Requests, errors and requests on the route with usage, by variant: none, `old` and `new`.
    let mut sent = [[0_u64; 3]; 3];
    for number in 0..600 {
        let unit = format!("unit-{}", number % 40);
        let is_paid = number % 6 == 5;
        let path = if is_paid { format!("/paid/{number}") } else { format!("/{number}") };
        let answer = client.send(request("GET", &path, &[("x-unit", &unit)], "")).await;
        let place = ["", "old", "new"].iter().position(|it| *it == answer.text()).unwrap();
        let count = &mut sent[place];
        count[0] += 1;
        count[1] += u64::from(answer.status() == 503);
        count[2] += u64::from(is_paid);
    }
    let [held_out, old, new] = sent;
    assert!(held_out[0] > 30 && old[1] > 5 && new[2] > 5, "{sent:?}");
    let plugin = within(async {
        loop {
            let shown = asked(&gateway, "/experiments", "/experiments").await;
            let plugin = &shown["plugins"][0];
            let variants = &plugin["experiments"][0]["variants"];
            let all = [&variants[0], &variants[1], &plugin["holdout"]["held_out"]];
            let all = all.map(|it| it["requests_total"].as_u64().unwrap_or_default());
            if all.iter().sum::<u64>() >= 600 {
                return plugin.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    for (index, expected) in [old, new].into_iter().enumerate() {
        let variant = &plugin["experiments"][0]["variants"][index];
        let [requests, errors] =
            ["requests_total", "errors_total"].map(|it| variant[it].as_u64().unwrap());
        assert_eq!([requests, errors], expected[..2], "{variant:#}");
        assert!(is_within(&variant["duration_seconds"]["mean"]), "{variant:#}");
        let tokens = variant["usage"]["tokens"]["total"].as_f64();
        assert_eq!(tokens, Some(15.0 * expected[2] as f64), "{variant:#}");
    }
    let holdout = &plugin["holdout"]["held_out"];
    assert_eq!(holdout["requests_total"], held_out[0], "{holdout:#}");
    assert_eq!(holdout["errors_total"], held_out[1], "{holdout:#}");
    // Each request is a duration, too.
    let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    for (variant, count) in [("old", old[0]), ("new", new[0])] {
        for metric in ["duration_seconds", "duration_squared_seconds"] {
            let line = page.text().lines().find(|line| {
                line.starts_with(&format!("plugin_experiment_request_{metric}_count{{"))
                    && line.contains(&format!("variant=\"{variant}\""))
            });
            let shown = line.and_then(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
            assert_eq!(shown, Some(count), "{metric} {variant}: {line:?}");
        }
    }
    let calls = page.text().lines().find(|line| {
        line.starts_with("gateway_plugin_hook_duration_seconds_count{")
            && line.contains("plugin=\"trials\"")
            && line.contains("hook=\"on-complete\"")
    });
    let calls = calls.and_then(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).unwrap();
    // The first of each kind on each worker, with usage and without.
    assert!((10..90).contains(&calls), "{calls} calls of 600");
}
