//! The gateway as its own process, whose memory and descriptors are its own too.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use gateway_tests::{PATIENCE, binary};
use tempfile::TempDir;

/// What is in front of every configuration. What was compiled once is kept.
const PREAMBLE: &str = concat!(
    "[gateway]\nworkers = 1\ncache_dir = \"",
    env!("CARGO_TARGET_TMPDIR"),
    "/components\"\n[[listeners]]\nname = \"public\"\naddress = \"127.0.0.1:0\"\n",
    "limits = { concurrent_streams = 2000 }\n"
);

/// A gateway that runs until it is dropped.
pub(crate) struct Process {
    child: Child,
    /// Of its only listener.
    pub(crate) address: SocketAddr,
    folder: TempDir,
    log: Arc<Mutex<Log>>,
}

/// What the gateway wrote.
#[derive(Default)]
struct Log {
    /// The newest lines.
    tail: VecDeque<String>,
    /// How many lines there were of each message, without what is behind its first colon.
    count: HashMap<String, u64>,
}

impl Log {
    fn keep(&mut self, line: String) {
        // Cut out and not parsed: there may be thousands a second, which wait to be read.
        let message = line.split_once("\"message\":\"").map_or(&*line, |(_, message)| message);
        let kind = message.split([':', '"']).next().unwrap_or(message);
        match self.count.get_mut(kind) {
            Some(count) => *count += 1,
            None => drop(self.count.insert(kind.to_owned(), 1)),
        }
        if self.tail.len() == 100 {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }
}

impl Process {
    /// Runs the gateway with these upstreams, plugins and routes.
    pub(crate) fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, format!("{PREAMBLE}{config}")).unwrap();
        // Plugins are compiled here if they were not before, and not where memory is measured.
        let check = Command::new(binary()).arg("check").arg(&file).output().unwrap();
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
        let mut child = Command::new(binary())
            .args(["--log-format", "json", "run"])
            .arg(&file)
            .env_remove("GATEWAY_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let (tell, told) = mpsc::channel();
        let kept = Arc::new(Mutex::new(Log::default()));
        let keeper = Arc::clone(&kept);
        // Reads to the end, or the gateway would wait for its log to be read.
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                if let Some(address) = listening(&line) {
                    let _nobody_asks_any_more = tell.send(address);
                } else {
                    keeper.lock().unwrap_or_else(PoisonError::into_inner).keep(line);
                }
            }
        });
        let address = told.recv_timeout(PATIENCE).expect("the gateway listens");
        let this = Self { child, address, folder, log: kept };
        this.await_workers();
        this
    }

    /// The most memory that was resident since [`forget_peak`](Self::forget_peak), in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The memory that is resident, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The same without pages of the program and of other files, which come and go.
    pub(crate) fn memory(&self) -> u64 {
        self.status("RssAnon:") + self.status("RssShmem:")
    }

    /// Resets the peak to what is resident (proc_pid_clear_refs(5)).
    pub(crate) fn forget_peak(&self) {
        std::fs::write(self.proc("clear_refs"), "5").unwrap();
    }

    /// How many lines of the log begin with this, up to the first colon.
    pub(crate) fn said(&self, message: &str) -> u64 {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.count.get(message).copied().unwrap_or_default()
    }

    /// The newest lines of its log.
    pub(crate) fn tail(&self) -> Vec<String> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.tail.iter().cloned().collect()
    }

    /// How many lines its log has.
    pub(crate) fn lines(&self) -> u64 {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).count.values().sum()
    }

    /// For how long its worker has had a processor.
    pub(crate) fn worker_time(&self) -> Duration {
        let tasks = std::fs::read_dir(self.proc("task")).unwrap();
        let worker = tasks
            .map(|task| task.unwrap().path())
            .find(|task| std::fs::read_to_string(task.join("comm")).unwrap().trim() == "worker-0");
        // proc(5): nanoseconds on a processor, nanoseconds that it waited for one, and how often.
        let times = std::fs::read_to_string(worker.unwrap().join("schedstat")).unwrap();
        Duration::from_nanos(times.split(' ').next().unwrap().parse().unwrap())
    }

    /// Puts other upstreams, plugins and routes in force, and waits until they are.
    pub(crate) fn reload(&self, config: &str) {
        const DONE: &str = "the new configuration is in force";
        let before = self.said(DONE);
        let file = self.folder.path().join("gateway.toml");
        std::fs::write(&file, format!("{PREAMBLE}{config}")).unwrap();
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
        let began = std::time::Instant::now();
        while self.said(DONE) == before {
            assert!(began.elapsed() < PATIENCE, "no reload");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// How many files and sockets are open.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(self.proc("fd")).unwrap().count()
    }

    /// Lets all threads but the clock of the plugins run on this processor alone.
    pub(crate) fn pin(&self, processor: &str) {
        for task in std::fs::read_dir(self.proc("task")).unwrap() {
            let task = task.unwrap().path();
            if std::fs::read_to_string(task.join("comm")).unwrap().trim() == "plugin-clock" {
                continue;
            }
            let id = task.file_name().unwrap();
            let pinned = Command::new("taskset").args(["-p", "-c", processor]).arg(id).output();
            assert!(pinned.unwrap().status.success());
        }
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let kibibytes: u64 = line.trim().strip_suffix(" kB").unwrap().parse().unwrap();
        kibibytes << 10
    }

    fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.child.id())).join(name)
    }

    /// The socket is there before the workers are: one answer says that they are too.
    fn await_workers(&self) {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /%zz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _may_have_ended = self.child.kill();
        let _status = self.child.wait();
        if std::thread::panicking() {
            let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            log.tail.iter().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// The address, if a line of the log tells one.
fn listening(line: &str) -> Option<SocketAddr> {
    if !line.contains("listening") {
        return None;
    }
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let tells = line["message"] == "listening";
    tells.then(|| line["address"].as_str().unwrap().parse().unwrap())
}
