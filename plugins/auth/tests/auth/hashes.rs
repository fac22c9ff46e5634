//! Password hashes that other people's tools made, and the table of the README that says what becomes of them.

use std::path::PathBuf;
use std::process::Command;

use auth::Auth;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_plugin_sdk::testing::{Harness, request};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse: Größe";

/// What becomes of a hash: it admits who has the password and nobody else, or is refused for a reason.
fn judged(hash: &str) -> Result<(), String> {
    let config = json!({ "basic": { "htpasswd": format!("ada:{hash}") } });
    let plugin = Harness::<Auth>::new(config).map_err(|error| {
        let message = &error.issues()[0].message;
        let (_, what) = message.split_once("the hash of the user `ada` ").unwrap();
        what.split_once("; `htpasswd").unwrap().0.to_owned()
    })?;
    for (password, is_right) in [(PASSWORD, true), ("correct horse: Grosse", false)] {
        let credential = STANDARD.encode(format!("ada:{password}"));
        let exchange =
            plugin.request(request().header("authorization", format!("Basic {credential}")));
        assert_eq!(exchange.answer().is_none(), is_right, "{hash}: {:?}", exchange.log());
    }
    Ok(())
}

/// The lines that a program prints.
fn printed(command: &mut Command) -> Vec<Value> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// By Apache's own tool: each of its algorithms, as a line of a file.
fn htpasswd() -> Vec<Value> {
    let made = |flags: &str| {
        let output = Command::new("htpasswd").args([flags, "ada", PASSWORD]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let hash = text.trim().strip_prefix("ada:").unwrap();
        json!({ "tool": "htpasswd 2.4", "case": format!("`{flags}`"), "hash": hash })
    };
    ["-nbB", "-nb", "-nb2", "-nb5", "-nbs"].map(made).into()
}

#[test]
#[ignore = "needs the tools: see `tokens` in .ci/run"]
fn the_readme_says_what_becomes_of_hashes_that_other_tools_make() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/tools");
    let variable = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is set"));
    let script = |program: &str, name: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        printed(command.arg(folder.join(name)).arg(PASSWORD).args(arguments))
    };
    let all = [
        htpasswd(),
        script("php", "hashes.php", &[]),
        script(&variable("TOKEN_TOOLS_PYTHON"), "hashes.py", &[]),
        script("node", "hashes.mjs", &[&variable("TOKEN_TOOLS_NODE")]),
    ];
    let rows = all.iter().flatten().map(|made| {
        let text = |name: &str| made[name].as_str().unwrap();
        let judged = match judged(text("hash")) {
            Ok(()) => "accepted".to_owned(),
            Err(reason) => {
                format!("refused: it {}", reason.replace(", which the gateway does not verify", ""))
            }
        };
        format!("| {} | {} | {judged} |\n", text("tool"), text("case"))
    });
    let table = format!("| made by | how | judged |\n|---|---|---|\n{}", rows.collect::<String>());
    let readme = include_str!("../../README.md");
    assert!(readme.contains(&table), "the README should say:\n\n{table}");
}
