//! The plugin as a component in a gateway, by the configuration in `gateway.toml`.
//!
//! The gateway is `gateway` on the `PATH`, or the file that the variable `GATEWAY` names.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

/// What the test puts something else in the place of.
const ADDRESS: &str = "127.0.0.1:8080";
const COMPONENT: &str = "./my-plugin.wasm";

#[test]
fn greets_who_says_a_name_and_refuses_who_says_none() {
    let gateway = Gateway::start();

    let answer = gateway.get("/hello", "x-name: Ada");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("\r\nx-greeting: hello Ada\r\n"), "{answer}");
    assert!(
        answer.ends_with("hello from behind the plugin\n"),
        "{answer}"
    );

    let answer = gateway.get("/hello", "x-other: Ada");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("who are you?"), "{answer}");
}

/// A gateway that runs until it is dropped.
struct Gateway {
    process: Child,
    address: String,
}

impl Gateway {
    /// Builds the component, and starts a gateway with it on a free port.
    fn start() -> Self {
        let config = configuration();
        let mut process = gateway(&["run", "--log-format", "json"])
            .arg(config)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the gateway starts");
        let log = BufReader::new(process.stderr.take().expect("a log"));
        // From here on the process ends with this value, whatever fails.
        let mut gateway = Self {
            process,
            address: String::new(),
        };
        gateway.address = address(log);
        gateway
    }

    /// Asks with one field besides `host`. Returns the whole answer.
    fn get(&self, path: &str, field: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("the gateway listens");
        let patience = Some(Duration::from_secs(10));
        stream.set_read_timeout(patience).expect("a timeout");
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\n{field}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _status = self.process.wait();
    }
}

/// The command, with arguments.
fn gateway(arguments: &[&str]) -> Command {
    let program = std::env::var_os("GATEWAY").unwrap_or_else(|| OsString::from("gateway"));
    let found = Command::new(&program).arg("--version").output();
    assert!(
        found.is_ok(),
        "{program:?} cannot be run: put `gateway` on the PATH, or let GATEWAY name its file"
    );
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Compiles the plugin to a component.
fn build(folder: &Path) -> PathBuf {
    let component = folder.join(COMPONENT);
    let status = gateway(&["plugin", "build", FOLDER, "--output"])
        .arg(&component)
        .status()
        .expect("the build starts");
    assert!(status.success(), "the component does not build");
    component
}

/// `gateway.toml` with the component that is built here, on a port that the system chooses.
fn configuration() -> &'static Path {
    static WRITTEN: OnceLock<PathBuf> = OnceLock::new();
    WRITTEN.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let component = build(folder);
        let component = component.to_str().expect("a path in UTF-8");
        let text = std::fs::read_to_string(Path::new(FOLDER).join("gateway.toml"));
        let mut text = text.expect("a configuration");
        for (old, new) in [(ADDRESS, "127.0.0.1:0"), (COMPONENT, component)] {
            assert!(text.contains(old), "gateway.toml has no {old}");
            text = text.replace(old, new);
        }
        let file = folder.join("gateway.toml");
        std::fs::write(&file, text).expect("a writable folder");
        file
    })
}

/// Reads the log up to the line that names the address.
fn address(mut log: impl BufRead + Send + 'static) -> String {
    let mut said = String::new();
    loop {
        let mut line = String::new();
        let length = log.read_line(&mut line).expect("a log");
        assert!(length > 0, "the gateway does not start:\n{said}");
        said.push_str(&line);
        let entry: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        if entry["message"] == "listening" {
            // What it logs from now on is shown with the test.
            std::thread::spawn(move || {
                for line in log.lines().map_while(Result::ok) {
                    eprintln!("{line}");
                }
            });
            return entry["address"].as_str().expect("an address").to_owned();
        }
    }
}
