//! Usage of the gateway as a program: its command, and what a kill loses.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use gateway_tests::optional::missing;
use gateway_tests::{Http1, binary};
use tempfile::tempdir;

const CONFIG: &str = r#"
[gateway]
workers = 2
[usage]
store = "usage.db"
flush = "1s"
[[listeners]]
name = "public"
address = "127.0.0.1:0"
[[routes]]
name = "all"
paths = ["/{*rest}"]
respond = { body = "fine" }
"#;

/// A gateway that is killed when it is dropped, without a word.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Runs a configuration, and finds out its address.
fn run(folder: &Path) -> (Process, SocketAddr) {
    let mut command = Command::new(binary());
    command.current_dir(folder).args(["run", "--log-format", "json"]);
    started(command)
}

fn started(mut command: Command) -> (Process, SocketAddr) {
    let mut process = Process(command.stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(process.0.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next() {
        let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        if line["listener"] == "public" {
            // The one who writes to a pipe that nobody reads waits.
            std::thread::spawn(move || lines.for_each(drop));
            return (process, line["address"].as_str().unwrap().parse().unwrap());
        }
    }
    panic!("it does not listen");
}

fn usage(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(binary()).current_dir(folder).arg("usage").args(arguments).output().unwrap()
}

fn requests(folder: &Path) -> i64 {
    recorded(&usage(folder, &["--by", "route", "--json"]))
}

/// The requests of the only route in an answer.
fn recorded(output: &Output) -> i64 {
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    json["rows"][0]["requests"].as_i64().unwrap_or(0)
}

#[tokio::test]
async fn a_kill_loses_at_most_the_interval_and_the_command_reads_beside_the_gateway() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("gateway.toml"), CONFIG).unwrap();
    let before = usage(folder, &[]);
    assert_eq!(before.status.code(), Some(1));
    let said = String::from_utf8_lossy(&before.stderr);
    assert!(said.contains("nothing was recorded yet"), "{said}");
    let (process, address) = run(folder);
    let mut client = Http1::connect(address).await;
    for _ in 0..50 {
        assert_eq!(client.send(gateway_tests::client::get("/a")).await.status(), 200);
    }
    let until = Instant::now() + Duration::from_secs(15);
    while requests(folder) < 50 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // What is there is there for good; what comes after it may be lost, and nothing else.
    for _ in 0..20 {
        assert_eq!(client.send(gateway_tests::client::get("/a")).await.status(), 200);
    }
    drop(process);
    assert!((50..=70).contains(&requests(folder)), "{}", requests(folder));

    let table = usage(folder, &["--by", "day,route,status"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    let mut lines = table.lines();
    let head = lines.next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(head, "day route status requests request_bytes response_bytes duration_ms");
    let row: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!((row[1], row[2], row.len()), ("all", "2xx", 7), "{table}");
    let csv = usage(folder, &["--by", "route", "--csv", "--config", "gateway.toml"]);
    assert!(String::from_utf8_lossy(&csv.stdout).starts_with("route,requests,"), "{csv:?}");
    let none = usage(folder, &["--to", "2020-01-01"]);
    assert_eq!(String::from_utf8_lossy(&none.stdout), "nothing was recorded in this time\n");
    for wrong in [&["--by", "consumers"][..], &["--from", "x"], &["--config", "none.toml"]] {
        assert_eq!(usage(folder, wrong).status.code(), Some(1), "{wrong:?}");
    }
    assert_eq!(usage(folder, &["--csv", "--json"]).status.code(), Some(2));
}

/// A disk of 256 KiB that only the gateway sees, in its own mount namespace. `None` where the system does not
/// let us make one.
fn run_on_a_small_disk(folder: &Path) -> Option<(Process, SocketAddr)> {
    std::fs::create_dir(folder.join("disk")).unwrap();
    let mount = "mount -t tmpfs -o size=256k none disk";
    let may = Command::new("unshare").current_dir(folder).args(["-m", "sh", "-c", mount]).status();
    if !may.is_ok_and(|status| status.success()) {
        missing("mount namespace");
        return None;
    }
    let run = format!("{mount} && exec {} run --log-format json", binary().display());
    let mut command = Command::new("unshare");
    command.current_dir(folder).args(["-m", "sh", "-c", &run]);
    Some(started(command))
}

#[tokio::test]
async fn a_full_disk_costs_nothing_but_time() {
    let folder = tempdir().unwrap();
    let text = CONFIG.replace("\"usage.db\"", "\"disk/usage.db\"").replace("\"1s\"", "\"100ms\"");
    std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
    let Some((process, address)) = run_on_a_small_disk(folder.path()) else { return };
    // What the gateway sees instead of the folder.
    let disk = format!("/proc/{}/root{}/disk", process.0.id(), folder.path().display());
    let program = binary().display();
    let read = format!("cd {} && exec {program} usage --by route --json", folder.path().display());
    let read = || {
        let id = process.0.id().to_string();
        let output = Command::new("nsenter").args(["-t", &id, "-m", "sh", "-c", &read]).output();
        recorded(&output.unwrap())
    };
    let until = async |wanted: i64| {
        let until = Instant::now() + Duration::from_secs(30);
        while read() != wanted && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(read(), wanted);
    };
    let mut client = Http1::connect(address).await;
    let mut ask = async || {
        for _ in 0..10 {
            assert_eq!(client.send(gateway_tests::client::get("/a")).await.status(), 200);
        }
    };
    ask().await;
    until(10).await;
    // Nothing can be written any more: as much as there is room for, and then a byte.
    let filler = format!("{disk}/filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 512]).is_ok() {}
    for _ in 0..3 {
        ask().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(read(), 10, "nothing could be written");
    std::fs::remove_file(&filler).unwrap();
    drop(file);
    ask().await;
    until(50).await;
}

#[test]
fn a_store_that_cannot_be_had_is_shown_in_the_file() {
    let folder = tempdir().unwrap();
    let text = CONFIG.replace("store = \"usage.db\"", "store = \"none/usage.db\"");
    std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
    let output = Command::new(binary()).current_dir(folder.path()).arg("check").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("gateway.toml:5:9") && said.contains("there is no folder"), "{said}");
}
