//! The gateway's process, and what it logs.

use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde_json::Value;

use crate::log::Level;
use crate::testing::host::LogLine;

/// The name of the plugin in the configuration of a test, and so in its log.
pub(super) const PLUGIN: &str = "tested";

/// A gateway that runs until it is dropped.
pub(super) struct Process {
    child: Child,
    pub(super) address: SocketAddr,
    log: Arc<Mutex<Vec<LogLine>>>,
    /// Where its configuration is.
    _folder: Folder,
}

/// A folder of its own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gateway-test-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left_behind = std::fs::remove_dir_all(&self.0);
    }
}

impl Process {
    /// Runs `program` with this configuration.
    ///
    /// # Errors
    /// What the gateway says is wrong with it.
    pub(super) fn start(
        program: &OsStr,
        config: &str,
        secrets: &[(String, String)],
        documents: &[(String, Vec<u8>)],
    ) -> Result<Self, String> {
        let folder = Folder::new().map_err(|error| format!("no folder for a gateway: {error}"))?;
        let file = folder.0.join("gateway.toml");
        let written = std::fs::write(&file, config);
        written.map_err(|error| format!("{}: {error}", file.display()))?;
        for (index, (name, content)) in documents.iter().enumerate() {
            let written = std::fs::write(folder.0.join(document_file(index)), content);
            written.map_err(|error| format!("the document {name}: {error}"))?;
        }
        let mut command = Command::new(program);
        command.arg("run").arg(&file).args(["--log-format", "json"]);
        for (index, (_, value)) in secrets.iter().enumerate() {
            command.env(secret_variable(index), value);
        }
        command.env("GATEWAY_LOG", "info,plugin=trace").stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| missing(program, &error))?;
        let log = BufReader::new(child.stderr.take().ok_or("there is no log")?);
        // From here on the process ends with this value, whatever fails.
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut process = Self { child, address, log: Arc::default(), _folder: folder };
        process.address = process.follow(log)?;
        Ok(process)
    }

    /// What the plugin logged.
    pub(super) fn log(&self) -> Vec<LogLine> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the log up to the line with the address, and keeps reading what follows.
    fn follow(&self, mut log: impl BufRead + Send + 'static) -> Result<SocketAddr, String> {
        let mut refusals = Vec::new();
        loop {
            let mut line = String::new();
            let length = log.read_line(&mut line).map_err(|error| error.to_string())?;
            if length == 0 {
                return Err(refusals.join("\n"));
            }
            let entry: Value = serde_json::from_str(&line).unwrap_or_default();
            if entry["message"] == "listening" {
                let address = entry["address"].as_str().and_then(|text| text.parse().ok());
                let kept = Arc::clone(&self.log);
                std::thread::spawn(move || {
                    log.lines().map_while(Result::ok).for_each(|line| keep(&kept, &line))
                });
                return address.ok_or_else(|| format!("no address in {line}"));
            }
            match refusal(&entry) {
                Some(refusal) => refusals.push(refusal),
                None => keep(&self.log, line.trim_end()),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Compiles the crate whose tests run to a component, once.
///
/// # Errors
/// Why it does not build.
pub(super) fn build(program: &OsStr) -> Result<&'static Path, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let missing_crate = "CARGO_MANIFEST_DIR is not set: tests run under cargo, or say which component they are for";
        let folder = std::env::var_os("CARGO_MANIFEST_DIR").ok_or(missing_crate)?;
        // One file for each crate, which the next run of its tests replaces, and not the one in the
        // crate's own folder: a gateway that serves may watch that.
        let mut hasher = DefaultHasher::new();
        folder.hash(&mut hasher);
        let file = format!("gateway-tested-{:016x}.wasm", hasher.finish());
        let file = std::env::temp_dir().join(file);
        // Past the test's capture: the first time this takes a minute, in which nothing else is said.
        let folder_shown = Path::new(&folder).display();
        let _unheard = writeln!(io::stderr(), "compiling {folder_shown} to a component");
        let mut command = Command::new(program);
        command.args(["plugin", "build"]).arg(folder).arg("--output").arg(&file);
        let output = command.output().map_err(|error| missing(program, &error))?;
        if output.status.success() {
            return Ok(file);
        }
        Err(format!("the component does not build:\n{}", String::from_utf8_lossy(&output.stderr)))
    });
    built.as_deref().map_err(Clone::clone)
}

/// The variable that holds a secret: it must not be in the file.
pub(super) fn secret_variable(index: usize) -> String {
    format!("TESTED_SECRET_{index}")
}

/// The file of a document, beside the configuration.
pub(super) fn document_file(index: usize) -> String {
    format!("document-{index}")
}

/// The gateway's binary, unless the test names one.
pub(super) fn program() -> OsString {
    std::env::var_os("GATEWAY").unwrap_or_else(|| OsString::from("gateway"))
}

fn missing(program: &OsStr, error: &io::Error) -> String {
    format!(
        "{} cannot be run ({error}): put `gateway` on the PATH, or let the variable GATEWAY name its file",
        program.display()
    )
}

/// What a line says that is an error of the configuration.
fn refusal(entry: &Value) -> Option<String> {
    let is_error = entry["severity"] == "error" || entry["level"] == "ERROR";
    let mut text = entry["message"].as_str().filter(|_| is_error)?.to_owned();
    for part in ["label", "notes", "help", "error"] {
        let lines = match &entry[part] {
            Value::Array(lines) => lines.as_slice(),
            one => std::slice::from_ref(one),
        };
        for line in lines.iter().filter_map(Value::as_str) {
            text = format!("{text}\n  {line}");
        }
    }
    Some(text)
}

/// Keeps what the plugin logged, and shows everything with the test.
fn keep(log: &Mutex<Vec<LogLine>>, line: &str) {
    eprintln!("{line}");
    let entry: Value = serde_json::from_str(line).unwrap_or_default();
    if entry["target"] != "plugin" || entry["plugin"] != PLUGIN {
        return;
    }
    let level = match entry["level"].as_str() {
        Some("TRACE") => Level::Trace,
        Some("DEBUG") => Level::Debug,
        Some("INFO") => Level::Info,
        Some("WARN") => Level::Warn,
        _ => Level::Error,
    };
    let message = entry["message"].as_str().unwrap_or_default().to_owned();
    log.lock().unwrap_or_else(PoisonError::into_inner).push(LogLine { level, message });
}
