//! Experiments for those who run the gateway: `GET /experiments`, `GET /experiments/{name}` and `gateway experiments`.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use gateway_tests::client::request;
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Running, Setup, Upstream, binary, within};
use http::Response;
use serde_json::{Value, json};

use super::document::faults;

mod alike;

const TEXT: &str = r#"
[usage]
store = "${env:STORE}"

[admin]
address = "127.0.0.1:0"

[upstreams.old]
targets = ["http://${env:OLD}"]

[upstreams.new]
targets = ["http://${env:NEW}"]

[plugins.trials]
component = "experiments"
forward_to = ["new"]
limits = { deadline = "10s" }

[plugins.trials.config]
unit = ["header:x-unit"]
holdout = { share = 20 }
exposures = {}

[[plugins.trials.config.experiments]]
name = "version"
share = 50
from = "2026-01-01T00:00:00Z"
to = "2500-01-01T00:00:00Z"
guardrail = { control = "old", errors = 90 }
variants = [
  { name = "old", weight = 1 },
  { name = "new", weight = 1, upstream = "new" },
]

[[plugins.trials.config.experiments]]
name = "later"
from = "2500-01-01T00:00:00Z"
variants = [{ name = "a", weight = 1 }, { name = "b", weight = 3 }]

[plugins.uses]
component = "./uses.wasm"
grants = ["usage"]

[[routes]]
name = "shop"
paths = ["/{*rest}"]
plugins = ["trials", "uses"]
upstream = "old"
"#;

async fn asked(gateway: &Running, template: &str, target: &str) -> Value {
    let answer = Http1::admin(gateway.admin.unwrap(), target).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let document = Http1::admin(gateway.admin.unwrap(), "/openapi.json").await;
    let document: Value = serde_json::from_str(document.text()).unwrap();
    let shown: Value = serde_json::from_str(answer.text()).unwrap();
    let faults = faults(&document, template, "get", 200, &shown);
    assert!(faults.is_empty(), "{target}: {faults:#?}\n{shown:#}");
    shown
}

async fn command(folder: &Path, arguments: &[&str]) -> (Output, String) {
    let mut command = Command::new(binary());
    command.arg("experiments").args(arguments).current_dir(folder);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, shown)
}

fn is_within(of: &Value) -> bool {
    let [value, low, high] = ["value", "low", "high"].map(|key| of[key].as_f64().unwrap());
    low <= value && value <= high && low < high
}

#[tokio::test]
async fn what_becomes_of_each_variant_is_told_with_how_sure_it_is() {
    let old = Upstream::http1(|_| async { Response::new(full("old")) }).await;
    // Half of the requests fail, and each takes longer.
    let new = Upstream::http1(|request: http::Request<_>| async move {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let status =
            if request.uri().path().ends_with(['0', '2', '4', '6', '8']) { 503 } else { 200 };
        Response::builder().status(status).body(full("new")).unwrap()
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("usage.db").to_str().unwrap().to_owned();
    let values: [(&str, &dyn std::fmt::Display); 3] =
        [("OLD", &old.address), ("NEW", &new.address), ("STORE", &store)];
    let gateway = Setup::toml(TEXT, &values).start();
    let mut client = Http1::connect(gateway.address).await;
    let (mut bad, mut sent) = (0, 0);
    for unit in 0..300 {
        let name = format!("unit-{unit}");
        let answer =
            client.send(request("GET", &format!("/{unit}"), &[("x-unit", &name)], "")).await;
        bad += usize::from(answer.status() == 503);
        sent += usize::from(answer.text() == "new");
    }
    assert!(sent > 30 && bad > 10, "{bad} of {sent}");
    // Requests are counted behind their last byte.
    let shown = within(async {
        loop {
            let shown = asked(&gateway, "/experiments", "/experiments").await;
            let plugin = &shown["plugins"][0];
            let counted = plugin["experiments"][0]["variants"][1]["requests_total"].as_u64();
            let held =
                ["others", "held_out"].map(|it| plugin["holdout"][it]["requests_total"].as_u64());
            if counted == Some(sent as u64) && held.iter().flatten().sum::<u64>() == 300 {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let plugin = &shown["plugins"][0];
    assert_eq!((&plugin["plugin"], &plugin["routes"]), (&json!("trials"), &json!(["shop"])));
    let (version, later) = (&plugin["experiments"][0], &plugin["experiments"][1]);
    assert_eq!((&version["state"], &version["share_now"]), (&json!("running"), &json!(50.0)));
    assert_eq!(
        (&later["state"], &later["variants"][1]["planned"]),
        (&json!("planned"), &json!(0.75))
    );
    let (control, variant) = (&version["variants"][0], &version["variants"][1]);
    assert_eq!((&variant["upstream"], &variant["errors_total"]), (&json!("new"), &json!(bad)));
    assert_eq!(
        (&control["errors_total"], &control["error_rate_difference"]),
        (&json!(0), &Value::Null)
    );
    for interval in [
        &variant["error_rate"],
        &variant["error_rate_difference"],
        &variant["duration_seconds"]["mean"],
        &variant["duration_seconds"]["difference"],
        &control["duration_seconds"]["mean"],
        &variant["units_share"],
    ] {
        assert!(is_within(interval), "{interval}");
    }
    assert!(variant["error_rate_difference"]["low"].as_f64().unwrap() > 0.1, "{variant:#}");
    // How long the others take depends on what else the machine does.
    let [mean, others] = [variant, control].map(|it| {
        let mean = it["duration_seconds"]["mean"]["value"].as_f64();
        mean.unwrap_or_else(|| panic!("{it}"))
    });
    assert!(mean >= 0.01, "each takes so long at least: {mean}");
    let difference = variant["duration_seconds"]["difference"]["value"].as_f64().unwrap();
    assert!((difference - (mean - others)).abs() < 1e-6, "{difference}: {mean}, {others}");
    // What another plugin adds with each request and response; the last of it is added when `trials` has been called.
    let used = &variant["usage"];
    assert_eq!(used["tokens"]["total"].as_f64(), Some(15.0 * sent as f64), "{used}");
    assert_eq!(used["tokens"]["mean"]["value"], 15.0);
    assert_eq!(used["tokens"]["difference"]["value"], 0.0);
    assert_eq!(used["ended"]["total"].as_f64(), Some(sent as f64), "{used}");
    let units = version["sample_ratio"]["units"].as_u64().unwrap();
    assert_eq!(units, control["units"].as_u64().unwrap() + variant["units"].as_u64().unwrap());
    assert!((80..160).contains(&units), "half of those who are not held out: {units}");
    assert!(version["sample_ratio"]["p_value"].as_f64().unwrap() > 0.001);
    let held_out = plugin["holdout"]["held_out"]["requests_total"].as_u64().unwrap();
    assert!((30..90).contains(&held_out), "{held_out}");

    let one = asked(&gateway, "/experiments/{name}", "/experiments/version").await;
    assert_eq!((&one["plugin"], &one["variants"]), (&json!("trials"), &version["variants"]));
    for (target, status) in [
        ("/experiments/none", 404),
        ("/experiments/version?plugin=x", 404),
        ("/experiments?x=1", 400),
    ] {
        let answer = Http1::admin(gateway.admin.unwrap(), target).await;
        assert_eq!(answer.status(), status, "{}", answer.text());
    }

    let admin = format!("http://{}", gateway.admin.unwrap());
    let (output, table) = command(folder.path(), &["--admin", &admin]).await;
    assert!(output.status.success(), "{output:?}");
    assert!(
        table.contains("version: running, 50 % of the audience, until 2500-01-01T00:00:00Z"),
        "{table}"
    );
    assert!(table.contains(" units: as planned, p = 0."), "{table}");
    let row = |name: &str| table.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
    assert!(row("new").contains("points (+") && row("old").ends_with("control"), "{table}");
    let (_, one) = command(folder.path(), &["version", "--admin", &admin, "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&one).unwrap()["name"], "version");
    // Of a file.
    let head = "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:1\"\n";
    let text = TEXT.replace("${env:OLD}", "127.0.0.1:1").replace("${env:NEW}", "127.0.0.1:1");
    let uses = "[plugins.uses]\ncomponent = \"./uses.wasm\"\ngrants = [\"usage\"]\n";
    assert!(text.contains(uses));
    let text = text.replace(uses, "").replace(", \"uses\"]", "]");
    let text = text.replace("${env:STORE}", "usage.db");
    std::fs::write(folder.path().join("gateway.toml"), format!("{head}{text}")).unwrap();
    let (output, table) = command(folder.path(), &["later"]).await;
    assert!(output.status.success(), "{output:?}");
    assert!(table.contains("later: planned, from 2500-01-01T00:00:00Z\n"), "{table}");
    assert!(table.contains("  b           75 %"), "{table}");
    // A variant's upstream that the plugin may not forward to is refused in its place.
    let wrong = text.replace("forward_to = [\"new\"]", "forward_to = [\"old\"]");
    std::fs::write(folder.path().join("gateway.toml"), format!("{head}{wrong}")).unwrap();
    let mut check = Command::new(binary());
    check.arg("check").current_dir(folder.path());
    let checked = tokio::task::spawn_blocking(move || check.output().unwrap()).await.unwrap();
    let told = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(checked.status.code(), Some(1), "{told}");
    assert!(told.contains("the upstream is not in `forward_to` of the plugin: \"new\""), "{told}");
    std::fs::write(folder.path().join("gateway.toml"), format!("{head}{text}")).unwrap();
    let (output, _) = command(folder.path(), &["none"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}
