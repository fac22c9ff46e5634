//! The README: its commands are run with real curl against the gateways that it starts, and must
//! print what it says.
//!
//! Ids, dates and waiting times differ from run to run and are masked on both sides; ports are
//! replaced by free ones in the configuration and in the commands.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use super::example::file::{Example, free_address, root};
use gateway_tests::Running;

/// The ports of the gateways that the README starts: of the first listener and of the second.
const PORTS: [u16; 2] = [8080, 8081];

/// Within this time no token flows into the bucket of the quickstart that would change an answer.
const BEFORE_THE_NEXT_TOKEN: Duration = Duration::from_secs(5);

/// A command of the README and what it says that it prints.
#[derive(Debug)]
struct Step {
    command: String,
    printed: String,
}

#[test]
fn every_command_prints_what_the_readme_says() {
    require_curl();
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let steps = steps(&text);
    let runs = runs(&steps);
    let files: Vec<_> = runs.iter().map(|(file, _)| file.as_str()).collect();
    assert_eq!(files, ["quickstart.toml", "greet.toml"]);
    for (file, steps) in &runs {
        assert!(steps.len() >= 2, "{file}: {steps:?}");
        // A machine that is very busy gets another try, with a gateway that has counted nothing.
        let wrong = (0..3).find_map(|_| {
            let began = Instant::now();
            let wrong = play(file, steps);
            (wrong.is_none() || began.elapsed() < BEFORE_THE_NEXT_TOKEN).then_some(wrong)
        });
        match wrong {
            Some(None) => {}
            Some(Some(wrong)) => panic!("{wrong}"),
            None => panic!("{file}: the commands take too long on this machine"),
        }
    }
}

fn require_curl() {
    let found = Command::new("curl").arg("--version").output();
    let found = found.is_ok_and(|output| output.status.success());
    assert!(found, "this test needs curl, as the README does: `apt-get install curl`");
}

/// The commands in the `console` blocks, first to last.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if inside && let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), printed: String::new() });
        } else if inside {
            let step = steps.last_mut().expect("a console block begins with a command");
            step.printed.push_str(line);
            step.printed.push('\n');
        }
    }
    steps
}

/// What is asked of each gateway that is started. What cargo does is not for this test.
fn runs(steps: &[Step]) -> Vec<(String, Vec<&Step>)> {
    let mut runs: Vec<(String, Vec<&Step>)> = Vec::new();
    for step in steps {
        if let Some((_, file)) = step.command.split_once("run examples/") {
            runs.push((file.to_owned(), Vec::new()));
        } else if !step.command.starts_with("cargo ") {
            runs.last_mut().expect("a gateway runs before it is asked").1.push(step);
        }
    }
    runs
}

/// Starts a gateway and runs the commands. Says what was printed instead of what should have been.
fn play(file: &str, steps: &[&Step]) -> Option<String> {
    let (_gateway, addresses) = start(file);
    steps.iter().find_map(|step| {
        let mut command = step.command.clone();
        for (port, address) in PORTS.iter().zip(addresses) {
            command = command.replace(&format!("127.0.0.1:{port}"), &address.to_string());
        }
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        let (expected, printed) =
            (mask(&step.printed), mask(&String::from_utf8_lossy(&output.stdout)));
        (expected != printed).then(|| {
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            format!("$ {command}\nexpected:\n{expected}\nprinted:\n{printed}\n{errors}")
        })
    })
}

fn start(file: &str) -> (Running, [SocketAddr; 2]) {
    let addresses = PORTS.map(|_| free_address());
    let example = Example::read(file);
    let example = if file == "greet.toml" { example.with_greet() } else { example };
    let example = PORTS.iter().zip(addresses).fold(example, |it, (port, at)| it.at(*port, at));
    (example.start(), addresses)
}

/// Replaces what is different each time, and white space at the ends of lines.
fn mask(text: &str) -> String {
    let lines = text.trim_end().lines().map(|line| {
        let line = line.trim_end();
        if line.starts_with("date: ") {
            return "date: DATE".to_owned();
        }
        let mut line = without_ids(line);
        // How long until there is quota again depends on how fast the commands followed each other.
        for before in ["retry-after: ", ";t=", "there is again in "] {
            line = without_number(&line, before);
        }
        line
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Replaces 32 hexadecimal digits that stand by themselves.
fn without_ids(line: &str) -> String {
    let pieces = line.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    let pieces = pieces.map(|piece| {
        let word = piece.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_id = word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id { piece.replace(word, "ID") } else { piece.to_owned() }
    });
    pieces.collect()
}

fn without_number(line: &str, before: &str) -> String {
    let mut pieces = line.split(before);
    let mut masked = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let rest = piece.trim_start_matches(|c: char| c.is_ascii_digit());
        masked.push_str(&format!("{before}N{rest}"));
    }
    masked
}

#[test]
fn what_differs_each_time_is_masked_and_nothing_else_is() {
    let line = "x-request-id: 43669f713bc0e3061cfb31f9e3915ce8";
    assert_eq!(mask(line), "x-request-id: ID");
    assert_eq!(mask("ratelimit: \"per-minute\";r=9;t=6"), "ratelimit: \"per-minute\";r=9;t=N");
    assert_eq!(mask("content-length: 145\r\n"), "content-length: 145");
    assert_eq!(mask("retry-after: 12"), "retry-after: N");
    let twice = r#"{"detail":"there is again in 6 s.","message":"there is again in 5 s."}"#;
    let masked = r#"{"detail":"there is again in N s.","message":"there is again in N s."}"#;
    assert_eq!(mask(twice), masked);
}

#[test]
fn the_plugin_that_is_shown_is_the_one_that_runs() {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let shown = text.split_once("```rust\n").unwrap().1.split_once("```").unwrap().0;
    let plugin = root().join("examples/plugins/greet/src/lib.rs");
    assert!(std::fs::read_to_string(plugin).unwrap().contains(shown), "they differ:\n{shown}");
}
