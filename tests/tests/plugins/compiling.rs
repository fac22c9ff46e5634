//! What a component that is costly to compile costs the gateway.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use gateway_tests::{Http1, binary, guests};
use tempfile::TempDir;

/// A number as WebAssembly has it (LEB128), for small ones with and without sign.
fn number(mut value: usize, signed: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 && !(signed && byte & 0x40 != 0) {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], &number(content.len(), false)[..], content].concat()
}

/// A component of 90 KB that does nothing and takes seconds, and some hundred megabytes, to compile.
fn costly() -> Vec<u8> {
    costly_by(1_000)
}

/// One function with many variables, all of which live across many branches: for twice as many branches
/// it takes four times as long.
fn costly_by(branches: usize) -> Vec<u8> {
    const VARIABLES: usize = 1_000;
    let get = |index: usize| [&[0x20], &number(index, false)[..]].concat();
    let set = |index: usize| [&[0x21], &number(index, false)[..]].concat();
    let mut body = [&[1], &number(VARIABLES, false)[..], &[0x7f]].concat();
    for branch in 0..branches {
        // if (argument & bit) { a = b + c, eight times }
        body.extend([get(0), vec![0x41], number(1 << (branch % 30), true)].concat());
        body.extend([0x71, 0x04, 0x40]);
        for turn in 0..8 {
            let pick = |step: usize, turns: usize| (branch * step + turn * turns) % VARIABLES + 1;
            body.extend([get(pick(13, 29)), get(pick(7, 41)), vec![0x6a]].concat());
            body.extend(set(pick(31, 17)));
        }
        body.push(0x0b);
    }
    body.extend(get(0));
    for index in 1..=VARIABLES {
        body.extend([get(index), vec![0x6a]].concat());
    }
    body.push(0x0b);
    let code = [&[1], &number(body.len(), false)[..], &body].concat();
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, b"\x01\x60\x01\x7f\x01\x7f"),
        section(3, b"\x01\0"),
        section(10, &code),
    ];
    [b"\0asm\x0d\0\x01\0".to_vec(), section(1, &module.concat())].concat()
}

/// A folder with a configuration of one plugin, `plugin.wasm`.
fn folder(settings: &str, component: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        r#"[gateway]
workers = 1
cache_dir = "cache"
{settings}
[[listeners]]
name = "public"
address = "127.0.0.1:0"
[plugins.stranger]
component = "./plugin.wasm"
[[routes]]
name = "all"
paths = ["/{{*rest}}"]
plugins = ["stranger"]
respond = {{ body = "served" }}
"#
    );
    std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
    std::fs::write(folder.path().join("plugin.wasm"), component).unwrap();
    folder
}

fn check(folder: &Path) -> (bool, String) {
    let mut command = Command::new(binary());
    let output = command.arg("check").arg(folder.join("gateway.toml")).output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

fn honest() -> Vec<u8> {
    std::fs::read(guests::path("edits")).unwrap()
}

#[test]
fn says_which_setting_a_component_is_too_costly_for() {
    for (settings, said) in [
        ("compile_time = \"1s\"", "it takes longer than 1s (`gateway.compile_time`)"),
        (
            "compile_memory = \"64MiB\"\ncompile_time = \"10m\"",
            "it takes more than 64.0 MiB of memory (`gateway.compile_memory`)",
        ),
    ] {
        let (is_fine, stderr) = check(folder(settings, &costly_by(3_000)).path());
        assert!(!is_fine && stderr.contains("is too costly to compile"), "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
        assert!(
            stderr.contains("component = \"./plugin.wasm\"") && stderr.contains("^^^"),
            "{stderr}"
        );
    }
}

#[test]
fn what_does_not_compile_is_said_as_before() {
    let mut broken = costly();
    // A local that there is not: of the last `local.get`.
    let length = broken.len();
    broken[length - 3] = 0x7f;
    let (is_fine, stderr) = check(folder("", &broken).path());
    assert!(!is_fine && stderr.contains("is not valid"), "{stderr}");
}

#[test]
fn what_was_compiled_is_found_again() {
    let folder = folder("", &honest());
    for _ in 0..2 {
        let (is_fine, stderr) = check(folder.path());
        assert!(is_fine, "{stderr}");
    }
    let cached = folder.path().join("cache");
    assert!(std::fs::read_dir(&cached).unwrap().next().is_some(), "{}", cached.display());
}

/// A gateway that runs until it is dropped, and its log.
struct Process(Child, Receiver<String>);

impl Process {
    fn start(folder: &Path) -> (Self, SocketAddr) {
        let mut child = Command::new(binary())
            .arg("run")
            .arg(folder.join("gateway.toml"))
            .env_remove("GATEWAY_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _nobody_asks_any_more = tell.send(line);
            }
        });
        let this = Self(child, told);
        let line = this.line("127.0.0.1:");
        let address = line.split("127.0.0.1:").nth(1).unwrap();
        let port: String = address.chars().take_while(char::is_ascii_digit).collect();
        let address = format!("127.0.0.1:{port}").parse().unwrap();
        (this, address)
    }

    /// The next line of the log with this.
    fn line(&self, with: &str) -> String {
        loop {
            let line = self.1.recv_timeout(Duration::from_secs(60)).unwrap();
            if line.contains(with) {
                return line;
            }
        }
    }

    /// The most memory that was resident, in MiB.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _has_ended = self.0.kill();
        let _is_forgotten = self.0.wait();
    }
}

#[tokio::test]
async fn a_costly_component_that_is_swapped_in_is_refused_and_the_old_one_serves_on() {
    let folder = folder("compile_time = \"2s\"", &honest());
    let (gateway, address) = Process::start(folder.path());
    assert_eq!(Http1::get(address, "/").await.text(), "served");
    let before = gateway.peak();
    std::fs::write(folder.path().join("plugin.wasm"), costly_by(3_000)).unwrap();
    let id = gateway.0.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    let refused = tokio::task::spawn_blocking(move || {
        let line = gateway.line("gateway.compile_time");
        (gateway, line)
    });
    let mut served = 0;
    while !refused.is_finished() {
        assert_eq!(Http1::get(address, "/").await.text(), "served");
        served += 1;
        // What compiles gives way to the one who else computes.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (gateway, _) = refused.await.unwrap();
    assert!(served > 20, "{served}");
    let grown = gateway.peak() - before;
    assert!(grown < 60, "{grown} MiB more in the process that serves");
    // And what can be compiled is taken again.
    std::fs::write(folder.path().join("plugin.wasm"), [&honest()[..], b"\0\x02\x01a"].concat())
        .unwrap();
    assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    gateway.line("the new configuration is in force");
    assert_eq!(Http1::get(address, "/").await.text(), "served");
}
