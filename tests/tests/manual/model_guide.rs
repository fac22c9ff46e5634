//! `docs/models.md`: each command of it is run, against the gateway that it starts, and prints what is said there.
//!
//! Numbers differ from run to run and from machine to machine, and how far a cool-down has come: they are masked on both
//! sides. `...` stands for any text.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gateway_tests::binary;

use super::example::file::{Example, free_address, root};

/// The ports of the example.
const PORTS: [u16; 3] = [8080, 8081, 9090];

/// How the page calls the gateway.
const CARGO: &str = "cargo run --release -- ";

/// How long a command may take to print what it should: rows are written every five seconds, and a file that changed is read
/// again.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command, and what is printed; nothing where the page does not say it.
struct Step {
    command: String,
    printed: Vec<String>,
}

struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        let _has_ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

fn steps() -> Vec<Step> {
    let text = std::fs::read_to_string(root().join("docs/models.md")).unwrap();
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if inside && let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), printed: Vec::new() });
        } else if inside {
            steps.last_mut().expect("a block begins with a command").printed.push(line.to_owned());
        }
    }
    steps
}

/// A line without numbers, the space between columns, and what is left of a cool-down.
fn mask(line: &str) -> String {
    let mut masked = String::new();
    for c in line.trim().chars() {
        let c = if c.is_ascii_digit() { '#' } else { c };
        let is_again = masked.ends_with(c) && matches!(c, '#' | ' ');
        if !is_again {
            masked.push(c);
        }
    }
    let masked = masked.replace("#.#", "#").replace("# ms", "# s");
    masked.replace("cools down, # s left", "STATE").replace(" up", " STATE")
}

/// Whether a line has the texts between `...`, in this order.
fn is_line(wanted: &str, line: &str) -> bool {
    let Some((first, rest)) = wanted.split_once("...") else { return wanted == line };
    let Some(mut left) = line.strip_prefix(first) else { return false };
    let parts: Vec<_> = rest.split("...").collect();
    parts.iter().enumerate().all(|(index, part)| {
        let is_last = index + 1 == parts.len();
        let found = if is_last { left.ends_with(part).then_some(0) } else { left.find(part) };
        found.inspect(|at| left = if is_last { "" } else { &left[at + part.len()..] }).is_some()
    })
}

/// Whether these lines are printed; a line `...` stands for any number of them.
fn are_lines(wanted: &[String], lines: &[String]) -> bool {
    match (wanted.split_first(), lines.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((any, rest)), _) if any == "..." => {
            (0..=lines.len()).any(|at| are_lines(rest, &lines[at..]))
        }
        (Some((first, more)), Some((line, others))) => {
            is_line(first, line) && are_lines(more, others)
        }
        (Some(_), None) => false,
    }
}

#[test]
fn lines_are_compared_but_for_numbers() {
    let lines = |text: &str| text.lines().map(mask).collect::<Vec<_>>();
    assert!(are_lines(
        &lines("a  1.5 ms\n...\nd  up"),
        &lines("a 23 ms\nb\nc\nd cools down, 4 s left")
    ));
    assert!(are_lines(&lines("...said: day..."), &lines("{he said: day}")));
    assert!(!are_lines(&lines("...said: day..."), &lines("{he said: night}")));
    assert!(!are_lines(&lines("a\n...\nd"), &lines("a\nb")));
    assert!(!are_lines(&lines("a"), &lines("a\nb")));
}

#[test]
fn every_command_prints_what_the_page_says() {
    let folder = super::model_serving::Folder::new("guide");
    let addresses = PORTS.map(|_| free_address());
    let example = Example::read("models.toml").with_model_server();
    let example = PORTS.iter().zip(addresses).fold(example, |it, (port, at)| it.at(*port, at));
    let file = example.write(&folder.0);
    let here = |command: &str| {
        let quoted = |path: &std::path::Path| format!("'{}'", path.display());
        let command = command.replace(CARGO, &format!("{} ", quoted(binary())));
        let command = command.replace("examples/models.toml", &quoted(&file));
        PORTS.iter().zip(addresses).fold(command, |it, (port, at)| {
            it.replace(&format!("127.0.0.1:{port}"), &at.to_string())
        })
    };
    let (mut functions, mut gateway, mut count) = (String::new(), None, 0);
    for Step { command, printed } in steps() {
        // What a shell remembers.
        if command.starts_with("export ") || command.contains("() {") {
            functions.push_str(&[&*here(&command), "\n"].concat());
            continue;
        }
        // The component is built by this test.
        if command.ends_with(&format!("&& {CARGO}run examples/models.toml")) {
            let script =
                format!("{functions}exec '{}' run '{}'", binary().display(), file.display());
            let mut run = Command::new("sh");
            let run = run.args(["-c", &script]).stdout(Stdio::null()).stderr(Stdio::null());
            gateway = Some(Gateway(run.spawn().unwrap()));
            continue;
        }
        assert!(gateway.is_some(), "a gateway runs before {command}");
        let wanted: Vec<_> = printed.iter().map(|line| mask(line)).collect();
        let began = Instant::now();
        loop {
            let script = [&functions, &here(&command)].map(String::as_str).concat();
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let is_right = match wanted.is_empty() {
                true => output.status.success(),
                false => are_lines(&wanted, &said.lines().map(mask).collect::<Vec<_>>()),
            };
            if is_right {
                break;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "$ {command}\nexpected:\n{}\nprinted:\n{said}\n{}",
                printed.join("\n"),
                String::from_utf8_lossy(&output.stderr)
            );
            std::thread::sleep(Duration::from_millis(500));
        }
        count += 1;
    }
    assert!(count >= 10, "{count} commands");
}
