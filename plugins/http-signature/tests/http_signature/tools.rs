//! Requests that other people's tools signed, and the table of the README that says what becomes of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use gateway_plugin_sdk::testing::request;
use serde_json::Value;

use crate::{NOW, assert_admitted, assert_refused, plugin};

fn made() -> Vec<Value> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/tools");
    let variable = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is set"));
    let now = NOW.to_string();
    let python = Command::new(variable("SIGNATURE_TOOLS_PYTHON"))
        .arg(folder.join("make.py"))
        .arg(&now)
        .output();
    let node = Command::new("node")
        .arg(folder.join("make.mjs"))
        .args([&now, &variable("SIGNATURE_TOOLS_NODE")])
        .output();
    let mut lines = Vec::new();
    for output in [python, node] {
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        lines.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    lines
}

#[test]
#[ignore = "needs the tools: see `tokens` in .ci/run"]
fn the_readme_says_whose_signatures_are_accepted() {
    /// What is accepted of a tool, and what is not, with the reason.
    #[derive(Default)]
    struct Judged(Vec<String>, Vec<String>);
    let mut judged = BTreeMap::<String, Judged>::new();
    for made in made() {
        let sent = &made["request"];
        let text = |name: &str| sent[name].as_str().unwrap();
        let with_body = |body: String| {
            let mut built = request()
                .method(text("method"))
                .path(text("path"))
                .query(text("query"))
                .attribute("request.scheme", "https");
            for field in sent["fields"].as_array().unwrap() {
                built = built.header(field[0].as_str().unwrap(), field[1].as_str().unwrap());
            }
            built.body(body)
        };
        let (tool, case) = (made["tool"].as_str().unwrap(), made["case"].as_str().unwrap());
        let plugin = plugin(made["config"].clone());
        let exchange = plugin.request(with_body(text("body").to_owned()));
        let of_tool = judged.entry(tool.to_owned()).or_default();
        if exchange.answer().is_some() {
            let reason = exchange.log().pop().unwrap().message;
            of_tool.1.push(format!("{case} ({})", reason.trim_start_matches("refused: ")));
            continue;
        }
        assert_admitted(&exchange, "k");
        assert_refused(&plugin.request(with_body(text("body").to_owned())), "was used before");
        let changed = plugin.request(with_body(format!("{} ", text("body"))));
        assert_eq!(changed.answer().map(|answer| answer.status()), Some(401), "{tool} {case}");
        of_tool.0.push(case.to_owned());
    }
    let mut table = "| made by | accepted | refused |\n|---|---|---|\n".to_owned();
    for (tool, Judged(accepted, refused)) in judged {
        let refused = if refused.is_empty() { "none".to_owned() } else { refused.join("; ") };
        table += &format!("| {tool} | {} | {refused} |\n", accepted.join("; "));
    }
    let readme = include_str!("../../README.md");
    assert!(readme.contains(&table), "the README should say:\n\n{table}");
}
