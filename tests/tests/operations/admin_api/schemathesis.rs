//! The document as a stranger reads it: schemathesis makes requests of it, and finds what is answered
//! otherwise.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use gateway_tests::setup::written;
use gateway_tests::{Http1, within};
use serde_json::Value;

use super::program::Program;

/// Requests for each endpoint and phase; all of it takes about a minute.
const EXAMPLES: &str = "15";

/// What no schema says: a question about usage ends after it begins, a filter has a grammar, and a key does not
/// end in the past, and has an identifier of its own.
///
/// What is purged from a cache is said by one of several parameters.
///
/// A stream of events has no end, so nobody who reads answers whole can ask for it.
const SETTINGS: &str = r#"
[[operations]]
include-path = "/traffic/stream"
enabled = false

[[operations]]
include-path = "/usage"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-path-regex = "^/keys/"
parameters = { "path.set" = "partners" }
checks.positive_data_acceptance.enabled = false

[[operations]]
include-path-regex = "/purge$"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-path = "/log-level"
checks.positive_data_acceptance.enabled = false
"#;

/// The command of the version that the test is written for.
fn tool() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let folder = target.join("schemathesis");
    let tool = folder.join("bin/schemathesis");
    if !tool.exists() {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).status();
        assert!(made.is_ok_and(|it| it.success()), "python3 has venv");
        let install = Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check", "schemathesis==4.32.5"])
            .status();
        assert!(install.is_ok_and(|it| it.success()), "pip installs schemathesis");
    }
    tool
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants python3 and PyPI"]
async fn schemathesis_finds_nothing() {
    let tool = tool();
    let program = Program::start(
        &written(
            "[admin]\naddress = \"127.0.0.1:0\"\n[usage]\nstore = \"usage.db\"\n\
             [upstreams.service]\ntargets = [\"http://127.0.0.1:1\"]\n\
             [stores.kept]\nfile = \"state.db\"\n[keys.partners]\nstore = \"kept\"\n\
             [plugins.shape]\ncomponent = \"transform\"\nconfig.response.headers.set.a = \"b\"\n\
             [[routes]]\nname = \"r\"\npaths = [\"/\"]\nplugins = [\"shape\"]\nupstream = \"service\"\n",
        ),
        |_, _| (),
    )
    .await;
    // The store is there once something was used.
    let listeners: Value = serde_json::from_slice(&program.get("/listeners").await.body).unwrap();
    let address = listeners["listeners"][0]["address"].as_str().unwrap().parse().unwrap();
    Http1::get(address, "/").await;
    within(async {
        while program.get("/usage").await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    std::fs::write(program.folder.path().join("schemathesis.toml"), SETTINGS).unwrap();
    let url = format!("http://{}/openapi.json", program.admin);
    let output = Command::new(tool)
        .args([
            "run",
            &url,
            "--max-examples",
            EXAMPLES,
            "--seed",
            "7",
            "--workers",
            "1",
            "--no-color",
        ])
        .current_dir(program.folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
