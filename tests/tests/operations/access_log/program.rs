//! The program: standard output, signals, the end, and what it says of a wrong file.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use gateway_tests::client::get;
use gateway_tests::{Http1, PATIENCE, binary, within};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use super::support::{ROUTE, lines, until_lines};

/// A gateway as a program, until it is dropped.
struct Program {
    child: Child,
    address: SocketAddr,
    log: mpsc::Receiver<Value>,
}

fn file(folder: &TempDir, process: &str, tables: &str) -> PathBuf {
    let file = folder.path().join("gateway.toml");
    let text = format!(
        "[gateway]\nworkers = 1\n{process}\n{tables}\n\
         [[listeners]]\nname = \"public\"\naddress = \"127.0.0.1:0\"\n{ROUTE}"
    );
    std::fs::write(&file, text).unwrap();
    file
}

impl Program {
    fn start(file: &Path) -> Self {
        let mut child = Command::new(binary())
            .args(["--log-format", "json", "run"])
            .arg(file)
            .env_remove("GATEWAY_LOG")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _nobody_asks = sender.send(serde_json::from_str::<Value>(&line).unwrap());
            }
        });
        let mut this = Self { child, address: "127.0.0.1:0".parse().unwrap(), log };
        let listening = this.said("listening");
        this.address = listening["address"].as_str().unwrap().parse().unwrap();
        this
    }

    /// Waits for a line of the log of the process that begins so.
    fn said(&self, words: &str) -> Value {
        loop {
            let line =
                self.log.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("nothing of {words}"));
            if line["message"].as_str().unwrap().starts_with(words) {
                return line;
            }
        }
    }

    fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        let status = kill.args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    async fn ask(&self, count: usize) {
        let mut connection = Http1::connect(self.address).await;
        for number in 0..count {
            assert_eq!(connection.send(get(&format!("/{number}"))).await.status(), 200);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

const STDOUT: &str = "[access_logs.x]\nformat = \"{path} {status}\"\n";

#[tokio::test]
async fn lines_go_to_standard_output_and_the_end_writes_what_waits() {
    let folder = tempdir().unwrap();
    let mut program = Program::start(&file(&folder, "access_log = \"x\"", STDOUT));
    program.ask(500).await;
    program.signal("-TERM");
    let mut written = String::new();
    program.child.stdout.take().unwrap().read_to_string(&mut written).unwrap();
    let expected: String = (0..500).map(|number| format!("/{number} 200\n")).collect();
    assert_eq!(written, expected);
    assert!(program.child.wait().unwrap().success());
}

#[tokio::test]
async fn who_does_not_read_standard_output_holds_nobody_up() {
    let folder = tempdir().unwrap();
    let long = "a".repeat(4_000);
    let table = format!("[access_logs.x]\nformat = \"{{path}} {long}\"\n");
    let mut program = Program::start(&file(&folder, "access_log = \"x\"", &table));
    // More than a pipe and the gateway hold together.
    program.ask(4_000).await;
    let told = program.said("lines of the access log were dropped");
    assert_eq!(told["log"], "x");
    assert!(told["dropped"].as_u64().unwrap() > 0);
    // Who reads again gets whole lines, and the newest are among them.
    let stdout = program.child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let lines: Vec<_> = BufReader::new(stdout).lines().map(Result::unwrap).collect();
        lines
    });
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    program.ask(10).await;
    program.signal("-TERM");
    let lines = reader.join().unwrap();
    assert!(lines.len() > 1_000 && lines.len() < 4_010, "{}", lines.len());
    assert!(lines.iter().all(|line| line.starts_with('/') && line.ends_with(&long)));
    assert!(lines.last().unwrap().starts_with("/9 "));
}

#[tokio::test]
async fn a_stuck_reader_does_not_keep_the_program_from_ending() {
    let folder = tempdir().unwrap();
    let long = "a".repeat(4_000);
    let table = format!("[access_logs.x]\nformat = \"{{path}} {long}\"\n");
    let mut program = Program::start(&file(&folder, "access_log = \"x\"", &table));
    program.ask(200).await;
    program.signal("-TERM");
    let ended = async {
        while program.child.try_wait().unwrap().is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    within(ended).await;
}

#[tokio::test]
async fn a_file_that_was_moved_is_opened_anew_on_sighup_and_on_sigusr1() {
    let folder = tempdir().unwrap();
    let log = folder.path().join("log");
    let table = "[access_logs.x]\nfile = \"log\"\nformat = \"{path}\"\n";
    let file = file(&folder, "access_log = \"x\"", table);
    let program = Program::start(&file);
    for (round, signal) in ["-HUP", "-USR1", "-HUP"].into_iter().enumerate() {
        program.ask(3).await;
        until_lines(&log, 3).await;
        let moved = folder.path().join(format!("moved-{round}"));
        std::fs::rename(&log, &moved).unwrap();
        program.ask(2).await;
        until_lines(&moved, 5).await;
        if round == 2 {
            // A file that is refused leaves the logs what they are, and opens them again anyway.
            std::fs::write(&file, "[[listeners]]\n").unwrap();
        }
        program.signal(signal);
        program.said(match round {
            0 => "the new configuration is in force",
            1 => "SIGUSR1: the files of access logs are opened again",
            _ => "the configuration in force stays",
        });
        within(async {
            while !log.exists() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await;
    }
    program.ask(1).await;
    assert_eq!(until_lines(&log, 1).await, ["/0"]);
    assert_eq!(lines(&folder.path().join("moved-0")).len(), 5);
}

#[test]
fn what_is_wrong_with_a_log_is_said_with_its_place() {
    let folder = tempdir().unwrap();
    let tables = "[access_logs.x]\nformat = \"{client} {statsu}\"\n\
                  [access_logs.y]\nfile = \"none/log\"\n\
                  [access_logs.z.fields]\na = \"request.heade.x\"\n";
    let file = file(&folder, "access_log = \"erors\"", tables);
    let output = Command::new(binary()).arg("check").arg(&file).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "there is no access log `erors`",
        "did you mean `errors`?",
        "there is no field `statsu`",
        "did you mean `status`?",
        "gateway.toml:5:21",
        "the folder of `none/log` does not exist",
        "there is no field `request.heade.x`",
    ] {
        assert!(said.contains(part), "no {part} in {said}");
    }
    // What only shows when it is opened.
    let file =
        self::file(&folder, "access_log = \"x\"", "[access_logs.x]\nfile = \"/dev/null/log\"\n");
    let output = Command::new(binary()).arg("run").arg(&file).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("gateway.toml:5:"), "{said}");
}
