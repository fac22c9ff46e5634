//! Tokens and keys that other people's tools made, and the table of the README that says what becomes of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use auth::Auth;
use gateway_plugin_sdk::testing::Harness;
use serde_json::{Value, json};

use crate::issuer::claims;
use crate::jwt::bearing;

/// What becomes of what a tool made: nothing, or why it is refused.
fn judged(made: &Value) -> Result<(), String> {
    let algorithm = made.get("algorithm").unwrap_or(&made["case"]);
    let mut issuer = json!({
        "issuer": "https://issuer.example", "audiences": ["api"], "algorithms": [algorithm],
    });
    let key = ["pem", "jwk", "secret"].into_iter().find(|kind| made.get(kind).is_some());
    match key {
        Some(kind) => issuer["keys"] = json!([{ "algorithm": algorithm, kind: made[kind] }]),
        None => issuer["document"] = "keys".into(),
    }
    let prepared = Harness::<Auth>::prepare().document("keys", made["set"].to_string());
    let plugin = prepared.configure(json!({ "jwt": { "issuers": [issuer] } }));
    let plugin = plugin.map_err(|error| {
        let text = error.to_string();
        let message = text.split_once(": ").map_or(&*text, |(_, message)| message);
        format!("the key {}", message.lines().next().unwrap_or_default())
    })?;
    let exchange = plugin.request(bearing(made["token"].as_str().unwrap()));
    let refused = exchange
        .log()
        .into_iter()
        .find_map(|line| Some(line.message.strip_prefix("refused: ")?.to_owned()));
    match (exchange.answer(), refused) {
        (None, None) => Ok(()),
        (Some(answer), Some(reason)) => {
            assert_eq!(answer.status(), 401);
            Err(reason)
        }
        other => panic!("{other:?}"),
    }
}

fn made() -> Vec<Value> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/tools");
    let variable = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is set"));
    let claims = claims().to_string();
    let python = Command::new(variable("TOKEN_TOOLS_PYTHON"))
        .arg(folder.join("make.py"))
        .arg(&claims)
        .output();
    let node = Command::new("node")
        .arg(folder.join("make.mjs"))
        .args([&claims, &variable("TOKEN_TOOLS_NODE")])
        .output();
    let mut lines = Vec::new();
    for output in [python, node] {
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        lines.extend(text.lines().map(|line| serde_json::from_str(line).unwrap()));
    }
    lines
}

#[test]
#[ignore = "needs the tools: see `tokens` in .ci/run"]
fn the_readme_says_what_becomes_of_what_other_tools_make() {
    /// The algorithms of a tool: those that are accepted, and those that it does not make.
    #[derive(Default)]
    struct Algorithms(Vec<String>, Vec<String>);
    let mut algorithms = BTreeMap::<String, Algorithms>::new();
    let mut cases = Vec::new();
    for made in made() {
        let (tool, case) = (made["tool"].as_str().unwrap(), made["case"].as_str().unwrap());
        let is_algorithm = made.get("algorithm").is_none();
        let of_tool = algorithms.entry(tool.to_owned()).or_default();
        if made.get("unmade").is_some() {
            assert!(is_algorithm, "{made}");
            of_tool.1.push(case.to_owned());
            continue;
        }
        match judged(&made) {
            Ok(()) if is_algorithm => of_tool.0.push(case.to_owned()),
            Err(reason) if is_algorithm => panic!("{tool} {case}: {reason}"),
            Ok(()) => cases.push(format!("| {tool} | {case} | accepted |\n")),
            Err(reason) => cases.push(format!("| {tool} | {case} | refused: {reason} |\n")),
        }
    }
    let mut table = "| made by | accepted | not made by it |\n|---|---|---|\n".to_owned();
    for (tool, Algorithms(accepted, unmade)) in algorithms {
        let unmade = if unmade.is_empty() { "none".to_owned() } else { unmade.join(" ") };
        table += &format!("| {tool} | {} | {unmade} |\n", accepted.join(" "));
    }
    table += "\n| made by | what | judged |\n|---|---|---|\n";
    table += &cases.concat();
    let readme = include_str!("../../README.md");
    assert!(readme.contains(&table), "the README should say:\n\n{table}");
}
