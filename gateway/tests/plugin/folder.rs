//! A folder in which commands are typed.
//!
//! Owns what they find around them: `gateway` on the `PATH`, one target folder for all crates, so
//! that each dependency is compiled once, and no network. Crates take turns: cargo takes the copies
//! of the SDK in two crates for the same, and would put one instead of the other.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

/// A folder that is removed with the last value for it or for one inside.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
    _whole: Rc<TempDir>,
    _turn: Option<Rc<MutexGuard<'static, ()>>>,
}

/// The sources of the gateway.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

impl Folder {
    /// An empty one, outside of the repository.
    pub(crate) fn new() -> Self {
        let whole = TempDir::new().unwrap();
        Self { path: whole.path().to_owned(), _whole: Rc::new(whole), _turn: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A folder inside.
    pub(crate) fn enter(&self, name: &str) -> Self {
        let path = self.path.join(name);
        assert!(path.is_dir(), "there is no {}", path.display());
        Self { path, ..self.clone() }
    }

    /// What is in it, by name.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.path).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Lets the crate in it be built, with the versions of this repository, which are on this
    /// machine.
    pub(crate) fn ready_to_build(self) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = self.path.join("Cargo.lock");
        std::fs::copy(repository().join("Cargo.lock"), lock).unwrap();
        Self { _turn: Some(Rc::new(turn)), ..self }
    }

    /// A program with arguments, in this folder.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let gateway = Path::new(env!("CARGO_BIN_EXE_gateway"));
        let mut command = match program {
            "gateway" => Command::new(gateway),
            other => Command::new(other),
        };
        let path = std::env::var("PATH").unwrap();
        let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
        command
            .args(arguments)
            .current_dir(&self.path)
            .stdin(Stdio::null())
            .env("PATH", format!("{}:{path}", gateway.parent().unwrap().display()))
            .env("CARGO_TARGET_DIR", temporary.join("made"))
            .env("CARGO_NET_OFFLINE", "true")
            // Nobody debugs what is made here.
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            // Compiled components are kept between runs, but not among those of the user who runs them.
            .env("XDG_CACHE_HOME", temporary)
            .env_remove("GATEWAY")
            .env_remove("GATEWAY_LOG");
        command
    }

    /// Runs a program to its end.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(program, arguments).output().unwrap()
    }

    /// Runs the gateway's command to its end.
    pub(crate) fn gateway(&self, arguments: &[&str]) -> Output {
        self.run("gateway", arguments)
    }
}
