//! Gateways with access logs, and what is in their files.

use std::path::Path;
use std::time::Duration;

use gateway_tests::client::{get, request};
use gateway_tests::{Http1, Running, Setup, within};
use serde_json::Value;

/// A route that answers at once.
pub(crate) const ROUTE: &str = r#"
[[routes]]
name = "all"
paths = ["/{*rest}"]
respond = { body = "12345", headers = { x-answer = "yes", set-cookie = "s=SECRET" } }
"#;

/// A gateway whose listener writes to the log `x` of this table. `FOLDER` in it is that folder.
pub(crate) fn setup(table: &str, folder: &Path) -> Setup {
    setup_of("x", table, folder)
}

/// The same with its own name, by which the log of the process speaks of it.
pub(crate) fn setup_of(name: &str, table: &str, folder: &Path) -> Setup {
    let folder = folder.to_str().unwrap();
    let table = table.replace("FOLDER", folder);
    Setup::toml(&format!("access_log = {name:?}\n[access_logs.{name}]\n{table}\n{ROUTE}"), &[])
}

/// The same configuration, as its own file.
pub(crate) fn config(table: &str, folder: &Path) -> gateway::config::Config {
    setup(table, folder).config
}

/// The whole lines of a file; none if it is not there.
pub(crate) fn lines(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "{file:?} ends in a part of a line");
    text.lines().map(str::to_owned).collect()
}

/// Waits until a file has as many lines.
pub(crate) async fn until_lines(file: &Path, count: usize) -> Vec<String> {
    within(async {
        loop {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            if text.ends_with('\n') && text.lines().count() >= count {
                return lines(file);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

/// The one line of a request that was just sent, as JSON.
pub(crate) async fn json(file: &Path) -> Value {
    let lines = until_lines(file, 1).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    serde_json::from_str(&lines[0]).unwrap()
}

/// Sends as many requests over one connection, numbered from `from`.
pub(crate) async fn ask(gateway: &Running, from: usize, count: usize) {
    let mut connection = Http1::connect(gateway.address).await;
    for number in from..from + count {
        let answer = connection.send(get(&format!("/{number}"))).await;
        assert_eq!(answer.status(), 200);
    }
}

/// Sends one with these fields.
pub(crate) async fn ask_with(gateway: &Running, path: &str, fields: &[(&str, &str)]) {
    let answer = Http1::connect(gateway.address).await.send(request("GET", path, fields, "")).await;
    assert_eq!(answer.status(), 200);
}
