//! Compiling in its own process.
//!
//! What a component costs to compile is decided by who wrote it: an interpreter of 12 MB takes half a
//! gigabyte, and far less code can take far more. A process can be ended when it takes too much, gives
//! everything back when it ends, and has a lower priority than those that serve. What it compiled is
//! in the engine's cache, where the process that serves finds it. Owns when that is done, by whom, and
//! within which bounds. Must not know what a component is good for.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use rustix::process::{Resource, Rlimit, Signal};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::refusal::{LoadError, refused};
use crate::config::Process;
use crate::plugin::engine::{self, Backtraces};
use crate::plugin::trap::mebibytes;

/// Components that are smaller are compiled without a log line, and at no lower priority by a
/// process that does not serve yet.
const LARGE: usize = 1 << 20;
/// The priority of the process (`nice`): it gives way to those that serve.
const NICENESS: i32 = 10;
/// How often it is checked, at first and at most: most components take a few milliseconds.
const LOOKS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(20)];
/// A process that gets no processor is abandoned after so many times the time that it may compute for.
const PATIENCE: u32 = 10;
/// What is read of what it says is wrong with a component.
const MAX_REASON: u64 = 8 << 10;

/// The text in front of what is wrong with a component.
const SAYS: &str = "gateway compile: ";

static COMPILER: OnceLock<fn() -> Command> = OnceLock::new();

/// Lets components be compiled by such a command, to which arguments for [`Compilation`] are added:
/// `names` or `lines`, `alone` or `beside`, the seconds that it may compute for, and the folder of the
/// cache, if there is one. The component is written to its standard input; errors are written to
/// standard error, behind `gateway compile: `, with the exit code 1. Default: they are compiled
/// by the process itself, without bounds. The first call of a process counts.
pub fn compile_with(compiler: fn() -> Command) {
    let _is_known = COMPILER.set(compiler);
}

/// What the process that compiles is asked for.
#[derive(Debug, Clone)]
pub struct Compilation {
    /// Whether backtraces are to have files and lines.
    pub has_lines: bool,
    /// Whether another process serves meanwhile, so that one thread must do.
    pub beside: bool,
    /// Seconds that it may compute for.
    pub seconds: u64,
    /// Where what is compiled is kept. Without it, it is only found out what compiling takes.
    pub cache: Option<PathBuf>,
}

/// Compiles the component on standard input.
///
/// # Errors
/// When it is not valid, or the cache cannot be used.
pub fn compile(compilation: &Compilation) -> Result<(), String> {
    // Who asked looks at both, and may end before this does.
    let _ends_with_it = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let seconds = Some(compilation.seconds.saturating_add(1));
    let _bounded =
        rustix::process::setrlimit(Resource::Cpu, Rlimit { current: seconds, maximum: seconds });
    let backtraces = if compilation.has_lines { Backtraces::Lines } else { Backtraces::Names };
    let engine = engine::compiler(compilation.cache.as_deref(), backtraces, compilation.beside);
    let engine = engine.map_err(|error| format!("{error:#}"))?;
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if compilation.beside || bytes.len() >= LARGE {
        // Before any other thread is there: each has its own priority.
        let _as_it_was = rustix::process::setpriority_process(None, NICENESS);
    }
    Component::new(&engine, bytes).map(drop).map_err(|error| format!("{error:#}"))
}

/// What compiling may take.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// `gateway.compile_memory`
    memory: usize,
    /// `gateway.compile_time`
    time: Duration,
    /// Whether this process serves meanwhile.
    beside: bool,
}

/// What has been compiled by processes of their own.
pub(super) struct Aside {
    cache: Option<PathBuf>,
    backtraces: Backtraces,
    bounds: Mutex<Bounds>,
}

impl Aside {
    /// With the folder of the engine's cache, if it has one.
    pub(super) fn new(cache: Option<PathBuf>, backtraces: Backtraces) -> Self {
        // The defaults of the configuration, which `bound` replaces.
        let bounds = Bounds { memory: 1 << 30, time: Duration::from_secs(60), beside: false };
        Self { cache, backtraces, bounds: Mutex::new(bounds) }
    }

    /// Sets what compiling may take from now on; `beside`: while this process serves.
    pub(super) fn bound(&self, process: &Process, beside: bool) {
        let (memory, time) = (process.compile_memory, process.compile_time);
        *self.bounds.lock().unwrap_or_else(PoisonError::into_inner) =
            Bounds { memory, time, beside };
    }

    /// Sees to it that a component is in the cache, or at least that it takes no more than it may to
    /// compile it.
    pub(super) fn prepare(
        &self,
        engine: &Engine,
        what: &str,
        bytes: &[u8],
    ) -> Result<(), LoadError> {
        let Some(compiler) = COMPILER.get() else { return Ok(()) };
        let lines = if self.backtraces == Backtraces::Lines { "lines" } else { "names" };
        let done = self.cache.as_deref().map(|cache| mark(cache, engine, bytes, lines));
        if done.as_ref().is_some_and(|done| done.exists()) {
            return Ok(());
        }
        if bytes.len() >= LARGE {
            tracing::info!(
                component = what,
                "compiling it for this machine, in its own process; this is kept for the next \
                 start"
            );
        }
        let bounds = *self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        let mut command = compiler();
        command.args([lines, if bounds.beside { "beside" } else { "alone" }]);
        command.arg(bounds.time.as_secs().saturating_add(1).to_string());
        command.args(&self.cache);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                tracing::warn!(
                    "`{what}` is compiled by this process, so that `gateway.compile_memory` and \
                     `gateway.compile_time` do not hold: no other process can be started: {error}"
                );
                return Ok(());
            }
        };
        match Compiler(child).run(bytes, bounds) {
            CompileOutcome::Done => {
                if let Some(done) = done {
                    // Without the mark the next start asks once more, which costs little.
                    let _marked = done.parent().map(std::fs::create_dir_all);
                    let _marked = std::fs::write(&done, "");
                }
                Ok(())
            }
            CompileOutcome::NoCompiler(why) => {
                // As under valgrind, where a process cannot start itself once more.
                tracing::warn!(
                    "`{what}` is compiled by this process, so that `gateway.compile_memory` and \
                     `gateway.compile_time` do not hold: the other process says: {why}"
                );
                Ok(())
            }
            CompileOutcome::Refused(why) => {
                Err(refused(format!("`{what}` is not valid: {why}"), None))
            }
            CompileOutcome::TooMuchMemory => Err(too_costly(
                what,
                &format!(
                    "takes more than {} of memory (`gateway.compile_memory`)",
                    mebibytes(bounds.memory)
                ),
                "compile_memory",
            )),
            CompileOutcome::TooLong => Err(too_costly(
                what,
                &format!("takes longer than {:?} (`gateway.compile_time`)", bounds.time),
                "compile_time",
            )),
            CompileOutcome::Killed => Err(refused(
                format!(
                    "`{what}` could not be compiled: the process that compiles it was killed, as the \
                     system does when memory runs out"
                ),
                Some(
                    "run `gateway check` where there is more memory, with the same \
                     `gateway.cache_dir`, or take that folder along"
                        .into(),
                ),
            )),
        }
    }
}

fn too_costly(what: &str, takes: &str, setting: &str) -> LoadError {
    let help = format!(
        "split its largest functions, or build it with fewer of them; for a component that is trusted, \
         raise `{setting}` in `[gateway]`"
    );
    refused(format!("`{what}` is too costly to compile: it {takes}"), Some(help))
}

/// How compiling ended.
#[derive(Debug)]
enum CompileOutcome {
    Done,
    /// With what is wrong with the component.
    Refused(String),
    /// What was started is something else, which says this.
    NoCompiler(String),
    TooMuchMemory,
    TooLong,
    /// By a signal of somebody else.
    Killed,
}

/// A process that compiles. Ends with this.
struct Compiler(Child);

impl Drop for Compiler {
    fn drop(&mut self) {
        let _has_ended = self.0.kill();
        let _is_forgotten = self.0.wait();
    }
}

impl Compiler {
    fn run(mut self, bytes: &[u8], bounds: Bounds) -> CompileOutcome {
        let input = self.0.stdin.take();
        std::thread::scope(|scope| {
            // It reads all of it before it compiles, unless it fails.
            scope.spawn(move || input.map(|mut input| input.write_all(bytes)));
            let outcome = self.wait(bounds);
            // A thread that still writes to it ends.
            drop(self);
            outcome
        })
    }

    fn wait(&mut self, bounds: Bounds) -> CompileOutcome {
        let began = Instant::now();
        let mut look = LOOKS[0];
        let mut time = Duration::ZERO;
        loop {
            match self.0.try_wait() {
                Ok(Some(status)) if status.success() => return CompileOutcome::Done,
                Ok(Some(status)) if status.code().is_some() => {
                    return self.refused(status.code() == Some(1));
                }
                // It bounds its own time as well.
                Ok(Some(_)) if time + Duration::from_secs(1) > bounds.time => {
                    return CompileOutcome::TooLong;
                }
                Ok(Some(_)) | Err(_) => return CompileOutcome::Killed,
                Ok(None) => {}
            }
            let memory;
            (memory, time) = taken(self.0.id());
            if memory > bounds.memory {
                return CompileOutcome::TooMuchMemory;
            }
            if time > bounds.time || began.elapsed() > bounds.time.saturating_mul(PATIENCE) {
                return CompileOutcome::TooLong;
            }
            std::thread::sleep(look);
            look = LOOKS[1].min(look + look / 8);
        }
    }

    /// `orderly`: it ended as one does that has said why. A panic of a compiler is no such end.
    fn refused(&mut self, orderly: bool) -> CompileOutcome {
        let mut why = String::new();
        if let Some(stderr) = self.0.stderr.take() {
            let _as_far_as_it_is_text = stderr.take(MAX_REASON).read_to_string(&mut why);
        }
        match why.trim().strip_prefix(SAYS) {
            None if orderly => CompileOutcome::NoCompiler(why.trim().to_owned()),
            said => CompileOutcome::Refused(said.unwrap_or(&why).trim().to_owned()),
        }
    }
}

/// The unit of processor times, in ticks a second: the same on all of Linux's processors (USER_HZ).
const TICKS: u64 = 100;

/// The private memory of a process, in bytes, and for how long it has computed
/// (proc_pid_status(5), proc_pid_stat(5)).
fn taken(process: u32) -> (usize, Duration) {
    let read =
        |file| std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
    let status = read("status");
    let kilobytes = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0_usize)
    };
    let memory = kilobytes("RssAnon:").saturating_add(kilobytes("VmSwap:")).saturating_mul(1 << 10);
    let stat = read("stat");
    // Behind the name, which may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let times = fields.split_ascii_whitespace().skip(11).take(2);
    let ticks: u64 = times.filter_map(|time| time.parse::<u64>().ok()).sum();
    (memory, Duration::from_millis(ticks.saturating_mul(1000 / TICKS)))
}

/// An empty file that says that the component is in the cache. It is where the cache counts it
/// among its own and deletes it when it is old.
fn mark(cache: &Path, engine: &Engine, bytes: &[u8], lines: &str) -> PathBuf {
    let sum = digest(&SHA256, bytes);
    let hex = sum.as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _always_fits = write!(hex, "{byte:02x}");
        hex
    });
    // Another engine does not find what this one compiled.
    let mut hasher = siphasher::sip::SipHasher::new();
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut hasher);
    let engine = std::hash::Hasher::finish(&hasher);
    let version = concat!("gateway-", env!("CARGO_PKG_VERSION"));
    cache.join("modules").join(version).join(format!("{hex}-{engine:016x}-{lines}"))
}
