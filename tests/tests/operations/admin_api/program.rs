//! `gateway run` as a process, with its file and its admin API.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gateway_tests::client::{request, to};
use gateway_tests::{Answer, Http1, binary, within};
use serde_json::Value;
use tempfile::TempDir;

/// The token that `who.rs` and the texts here have a digest of.
pub(crate) const TOKEN: &str = "quickstart-key";

pub(crate) struct Program {
    pub(crate) folder: TempDir,
    pub(crate) admin: SocketAddr,
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Program {
    /// Runs a file, with what else is made ready.
    pub(crate) async fn start(text: &str, ready: impl FnOnce(&Path, &mut Command)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        // Compiled components of all tests are kept in one place.
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
        let text = text.replace(
            "cache_dir = \"../cache\"",
            &format!("cache_dir = {:?}", cache.to_str().unwrap()),
        );
        std::fs::write(&file, &text).unwrap();
        let mut command = Command::new(binary());
        command.args(["--log-format", "json", "run"]).arg(&file).current_dir(folder.path());
        ready(folder.path(), &mut command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (log, lines) = (Arc::<Mutex<String>>::default(), child.stderr.take().unwrap());
        let (found, address) = tokio::sync::oneshot::channel();
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            let mut found = Some(found);
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                let mut log = written.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
                drop(log);
                let read: Value = serde_json::from_str(&line).unwrap_or_default();
                if read["message"] == "the admin API is served" {
                    let address = read["address"].as_str().unwrap().parse().unwrap();
                    found.take().map(|found| found.send(address));
                }
            }
        });
        let within_a_minute = tokio::time::timeout(Duration::from_secs(120), address).await;
        let admin = within_a_minute.expect("it starts");
        let admin = admin.unwrap_or_else(|_| panic!("{}", log.lock().unwrap()));
        Self { folder, admin, child, log }
    }

    /// Sends it a signal, such as `-HUP`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("gateway.toml")
    }

    /// Writes the file again, in one step. What watches files sees it within a second.
    pub(crate) fn write(&self, text: &str) {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
        let text = text.replace(
            "cache_dir = \"../cache\"",
            &format!("cache_dir = {:?}", cache.to_str().unwrap()),
        );
        let new = self.folder.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, "").await
    }

    pub(crate) async fn send(&self, method: &str, target: &str, body: &'static str) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        let request = request(method, target, &[("authorization", &bearer)], body);
        let mut client = within(Http1::connect(self.admin)).await;
        client.send_within(to(self.admin, request), Duration::from_secs(60)).await
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The lines of the log that are of this target.
    pub(crate) fn lines(&self, target: &str) -> Vec<Value> {
        let log = self.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str(line).ok());
        lines.filter(|line: &Value| line["target"] == target).collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}
