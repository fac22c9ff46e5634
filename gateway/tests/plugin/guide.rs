//! The guide to a first plugin: its commands are run from an empty folder, its files are written,
//! and what it shows must come out.
//!
//! Ids, dates and sizes differ from run to run and are masked on both sides; the port is replaced
//! by a free one.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::folder::{Folder, repository, text};

/// The address in the guide.
const ADDRESS: &str = "127.0.0.1:8080";

/// A gateway compiles a component in this time, or something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a reader does or sees.
#[derive(Debug)]
enum Step {
    /// Types a command, and sees this.
    Type { command: String, printed: String },
    /// Writes a file, or a part of it, as the line before says.
    Write { line: String, content: String },
    /// Sees this in the gateway's log.
    Read(String),
}

#[test]
fn every_command_of_the_guide_prints_what_it_says() {
    let found = Command::new("curl").arg("--version").output();
    assert!(found.is_ok(), "this test needs curl, as the guide does: `apt-get install curl`");
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let guide = std::fs::read_to_string(repository().join("docs/plugins/first-plugin.md")).unwrap();
    let steps = steps(&guide.replace(ADDRESS, &address.to_string()));
    let count = |is: fn(&Step) -> bool| steps.iter().filter(|step| is(step)).count();
    assert!(count(|step| matches!(step, Step::Type { .. })) >= 10, "{steps:?}");
    assert_eq!(count(|step| matches!(step, Step::Write { .. })), 3, "{steps:?}");
    assert_eq!(count(|step| matches!(step, Step::Read(_))), 2, "{steps:?}");

    let mut reader = Reader { folder: Folder::new(), gateway: None, address };
    for step in &steps {
        reader.take(step);
    }
}

/// The blocks of the guide, first to last.
fn steps(guide: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut before = "";
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else {
            before = if line.is_empty() { before } else { line };
            continue;
        };
        let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        let content: String = block.iter().map(|line| format!("{line}\n")).collect();
        match kind {
            "console" => steps.extend(commands(&block)),
            "text" => steps.push(Step::Read(content)),
            "rust" | "toml" => steps.push(Step::Write { line: before.to_owned(), content }),
            other => panic!("the guide has a block of {other:?}"),
        }
    }
    steps
}

fn commands(block: &[&str]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => {
                steps.push(Step::Type { command: command.to_owned(), printed: String::new() });
            }
            (None, Some(Step::Type { printed, .. })) => {
                printed.push_str(line);
                printed.push('\n');
            }
            (None, _) => panic!("a console block begins with a command, not {line}"),
        }
    }
    steps
}

/// Somebody who does what the guide says.
struct Reader {
    folder: Folder,
    gateway: Option<Child>,
    address: SocketAddr,
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(gateway) = &mut self.gateway {
            gateway.kill().unwrap();
            gateway.wait().unwrap();
        }
    }
}

impl Reader {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Write { line, content } => self.write(line, content),
            Step::Read(shown) => self.wait_for(shown),
            Step::Type { command, printed } => match command.as_str() {
                "gateway run" => self.start(),
                command => match command.strip_prefix("cd ") {
                    Some(name) => self.enter(name),
                    None => self.type_(command, printed),
                },
            },
        }
    }

    /// Goes into the crate, and gives it the free port and the versions that are known.
    fn enter(&mut self, name: &str) {
        self.folder = self.folder.enter(name).ready_to_build();
        let file = self.folder.path().join("gateway.toml");
        let written = std::fs::read_to_string(&file).unwrap();
        assert!(written.contains(ADDRESS), "gateway.toml has no {ADDRESS}");
        std::fs::write(&file, written.replace(ADDRESS, &self.address.to_string())).unwrap();
    }

    /// Types a command. What a gateway answers may come late, since it takes over what is new in
    /// its own moment.
    fn type_(&self, command: &str, printed: &str) {
        let began = Instant::now();
        loop {
            let output = self.folder.run("sh", &["-c", command]);
            let (said, errors) = (text(&output.stdout), text(&output.stderr));
            let is_right = printed.is_empty() || mask(&said) == mask(printed);
            if output.status.success() && is_right {
                return;
            }
            let may_come = command.starts_with("curl ") && began.elapsed() < PATIENCE;
            assert!(may_come, "$ {command}\nexpected:\n{printed}\nprinted:\n{said}\n{errors}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn start(&mut self) {
        let log = File::create(self.log()).unwrap();
        let gateway = self.folder.command("gateway", &["run"]).stderr(log).spawn().unwrap();
        self.gateway = Some(gateway);
        let began = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let said = std::fs::read_to_string(self.log()).unwrap();
            assert!(began.elapsed() < PATIENCE, "the gateway does not listen:\n{said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("gateway.log")
    }

    fn wait_for(&self, shown: &str) {
        let began = Instant::now();
        loop {
            let said = std::fs::read_to_string(self.log()).unwrap();
            if mask(&said).contains(&mask(shown)) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "the log has no\n{shown}\nbut\n{said}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Writes a file, of which the guide says `FILE` or `FILE, in place of` a part.
    fn write(&self, line: &str, content: &str) {
        let mut quoted = line.split('`');
        let (name, rest) = (quoted.nth(1).unwrap(), quoted.next().unwrap());
        let file = self.folder.path().join(name);
        let before = std::fs::read_to_string(&file).unwrap();
        let after = match rest {
            ":" => content.to_owned(),
            ", in place of its " => {
                let key = quoted.next().unwrap();
                replace(
                    &before,
                    &format!("\n{key} = "),
                    "\n\n",
                    &format!("\n{}", content.trim_end()),
                )
            }
            _ => panic!("the guide says {line}"),
        };
        std::fs::write(file, after).unwrap();
    }
}

/// Puts a text instead of another, which begins so and goes up to this.
fn replace(text: &str, begin: &str, end: &str, new: &str) -> String {
    let start = text.find(begin).unwrap_or_else(|| panic!("there is no {begin:?} in\n{text}"));
    let length = text[start..].find(end).unwrap_or_else(|| panic!("there is no {end:?}"));
    format!("{}{new}{}", &text[..start], &text[start + length..])
}

/// Replaces what is different each time, and white space at the ends of lines.
fn mask(text: &str) -> String {
    let lines = text.trim_end().lines().map(|line| {
        let line = line.trim_end();
        if line.starts_with("date: ") {
            return "date: DATE".to_owned();
        }
        let line = line.split_once("Z  INFO ").map_or(line, |(_time, entry)| entry);
        let pieces = line.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '.');
        let pieces = pieces.map(|piece| {
            let word = piece.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            let is_id = word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            let is_size = piece.ends_with(' ') && word.contains('.') && word.parse::<f64>().is_ok();
            if is_id || is_size { piece.replace(word, "MASKED") } else { piece.to_owned() }
        });
        pieces.collect::<String>()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_differs_each_time_is_masked_and_nothing_else_is() {
    assert_eq!(mask("x-request-id: 43669f713bc0e3061cfb31f9e3915ce8"), "x-request-id: MASKED");
    assert_eq!(mask("x.wasm: plugin x 0.1.0, 283.4 KiB"), "x.wasm: plugin x 0.1.0, MASKED KiB");
    assert_eq!(mask("2026-11-22T13:24:51.483620Z  INFO plugin: no"), "plugin: no");
    assert_eq!(mask("content-length: 29\r\n"), "content-length: 29");
}
