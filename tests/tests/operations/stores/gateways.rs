//! Gateways as processes, and requests to them.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gateway_tests::client::request;
use gateway_tests::{Http1, binary};
use serde_json::Value;
use tokio::task::JoinSet;

use super::server::{pause, signal};

const HEAD: &str = r#"
[gateway]
workers = 2
[admin]
address = "127.0.0.1:0"
[[listeners]]
name = "public"
address = "127.0.0.1:0"
[[routes]]
name = "free"
paths = ["/free"]
respond = { body = "fine" }
"#;

/// A process that is killed when it is dropped, without a word.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    lines: Arc<Mutex<Vec<Value>>>,
}

/// A plugin that limits, and the route `/NAME` that it is for.
pub(crate) fn limit(name: &str, limiter: &str, policies: &str) -> String {
    format!(
        "[plugins.{name}]\ncomponent = \"rate-limit\"\nlimiter = {limiter}\n\
         limits = {{ deadline = \"1s\" }}\n\
         [plugins.{name}.config]\npolicies = [{policies}]\n\
         [[routes]]\nname = \"{name}\"\npaths = [\"/{name}\"]\nplugins = [\"{name}\"]\n\
         respond = {{ body = \"fine\" }}\n"
    )
}

impl Gateway {
    /// Writes a configuration into a folder and runs it there.
    pub(crate) fn run(folder: &Path, text: &str) -> Self {
        Self::run_with(folder, text, &[])
    }

    /// As [`run`](Self::run), with more in its environment.
    pub(crate) fn run_with(folder: &Path, text: &str, environment: &[(&str, &str)]) -> Self {
        Self::run_whole(folder, text, environment, 2)
    }

    /// As [`run`](Self::run), with so many workers.
    pub(crate) fn run_on(folder: &Path, text: &str, workers: usize) -> Self {
        Self::run_whole(folder, text, &[], workers)
    }

    fn run_whole(folder: &Path, text: &str, environment: &[(&str, &str)], workers: usize) -> Self {
        // Compiled components of all tests are kept in one place.
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
        let more = format!("workers = {workers}\ncache_dir = {cache:?}");
        let head = HEAD.replace("workers = 2", &more);
        std::fs::write(folder.join("gateway.toml"), format!("{head}{text}")).unwrap();
        let mut child = Command::new(binary())
            .current_dir(folder)
            .env("PASSWORD", "secret")
            .envs(environment.iter().copied())
            .args(["run", "--log-format", "json"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (mut address, mut admin, mut before) = (None, None, Vec::new());
        while address.is_none() || admin.is_none() {
            let Some(line) = lines.next() else { panic!("it does not listen: {before:#?}") };
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap_or_default();
            let found = line["address"].as_str().and_then(|text| text.parse().ok());
            match line["listener"].as_str() {
                Some("public") => address = found,
                _ if line["message"].as_str().is_some_and(|it| it.contains("admin")) => {
                    admin = found
                }
                _ => {}
            }
            before.push(line);
        }
        let all = Arc::new(Mutex::new(before));
        let written = Arc::clone(&all);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                written.lock().unwrap().push(serde_json::from_str(&line).unwrap_or_default());
            }
        });
        Self { child, address: address.unwrap(), admin: admin.unwrap(), lines: all }
    }

    /// The number of the process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Those, with the store up.
    pub(crate) async fn run_up(folder: &Path, text: &str) -> Self {
        let gateway = Self::run(folder, text);
        gateway.until("gateway_store_up", |up| up == 1.0).await;
        gateway
    }

    /// Does nothing from here on: what clients send waits in its sockets.
    pub(crate) fn pause(&self) {
        pause(self.child.id());
    }

    pub(crate) fn go_on(&self) {
        signal(self.child.id(), "-CONT");
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn stop(mut self) {
        signal(self.child.id(), "-TERM");
        assert!(self.child.wait().unwrap().success());
    }

    /// It was told to stop, and does.
    pub(crate) fn stopped(mut self) {
        assert!(self.child.wait().unwrap().success());
    }

    /// The sum of a metric whose line begins so.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let page = Http1::admin(self.admin, "/metrics").await;
        let lines = page.text().lines().filter(|line| line.starts_with(name)).collect::<Vec<_>>();
        lines.iter().filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    pub(crate) async fn until(&self, name: &str, is: impl Fn(f64) -> bool) {
        let began = Instant::now();
        loop {
            let value = self.metric(name).await;
            if is(value) {
                return;
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{name} is {value}: {:#?}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn log(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter_map(|line| Some(line["message"].as_str()?.to_owned())).collect()
    }

    /// The lines of the log in which this field has this value.
    pub(crate) fn lines_with(&self, field: &str, value: &str) -> Vec<Value> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|line| line[field] == value).cloned().collect()
    }

    /// The lines of the log with these words.
    pub(crate) fn said(&self, words: &str) -> usize {
        self.log().iter().filter(|line| line.contains(words)).count()
    }

    /// It says these words, in so many lines and in no more: its log is read beside it, and may come later than what it
    /// answers.
    pub(crate) async fn says(&self, words: &str, lines: usize) {
        let began = Instant::now();
        while self.said(words) < lines {
            assert!(began.elapsed() < Duration::from_secs(30), "{words}: {:#?}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(self.said(words), lines, "{words}: {:#?}", self.log());
    }

    /// The status of one request, and how long it took.
    pub(crate) async fn ask(&self, path: &str, fields: &[(&str, &str)]) -> (u16, Duration) {
        let began = Instant::now();
        let mut client = Http1::connect(self.address).await;
        let status = client.send(request("GET", path, fields, "")).await.status();
        (status, began.elapsed())
    }

    /// The statuses of some requests, one after the other.
    pub(crate) async fn statuses(&self, path: &str, count: usize) -> Vec<u16> {
        let mut client = Http1::connect(self.address).await;
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(client.send(request("GET", path, &[], "")).await.status());
        }
        all
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Sends as many requests over as many connections, spread over gateways. How often each status came.
pub(crate) async fn flood(
    gateways: &[&Gateway],
    path: &'static str,
    connections: usize,
    each: usize,
) -> BTreeMap<u16, usize> {
    let mut tasks = JoinSet::new();
    for index in 0..connections {
        let address = gateways[index % gateways.len()].address;
        tasks.spawn(async move {
            let mut client = Http1::connect(address).await;
            let mut statuses = Vec::with_capacity(each);
            for _ in 0..each {
                let wait = Duration::from_secs(60);
                statuses
                    .push(client.send_within(request("GET", path, &[], ""), wait).await.status());
            }
            statuses
        });
    }
    let mut counts = BTreeMap::new();
    while let Some(statuses) = tasks.join_next().await {
        for status in statuses.unwrap() {
            *counts.entry(status).or_default() += 1;
        }
    }
    counts
}
