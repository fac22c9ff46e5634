//! Builds the plugins of a configuration, again after each change.
//!
//! Owns which crate is to be built after a change, the cargo that does so, and the components that
//! come out. They replace those that the configuration names, whose files do not change: components
//! built here are for debugging, not for release. Must not serve.

use std::collections::BTreeMap;
use std::fs;
use std::io::IsTerminal as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process_group};

use super::crates::{self, Origin};
use super::terminal::{Terminal, colours_are_wanted};
use crate::cli::LogFormat;
use crate::cli::plugin::build::put;
use crate::cli::plugin::cargo::{Crate, Purpose, not_started, require_target};
use crate::cli::plugin::{Wrong, bytes};

/// See the module.
pub(super) struct PluginBuilder {
    file: PathBuf,
    sites: Vec<Site>,
    /// Whether the crates are to be looked for again whatever has changed.
    is_unsure: bool,
    /// The files that the configuration was loaded from, as far as they are not made here.
    loaded: Vec<PathBuf>,
    running: Running,
    terminal: Terminal,
    format: LogFormat,
}

/// A crate that is worked on.
struct Site {
    origin: Origin,
    /// The last component that came out.
    stand_in: Option<PathBuf>,
    sources: Vec<PathBuf>,
    /// Whether it is to be built whatever has changed.
    is_stale: bool,
}

/// What a change came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BuildOutcome {
    /// Whether a component is another now.
    pub(super) is_new: bool,
    /// Whether a crate did not build.
    pub(super) has_failed: bool,
}

/// The cargo that runs, if one does, as the leader of a group of processes.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<Mutex<CargoState>>);

#[derive(Default)]
struct CargoState {
    group: Option<Pid>,
    is_over: bool,
}

impl Running {
    /// Ends cargo and all that it started, and lets none begin any more.
    pub(super) fn end(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_over = true;
        if let Some(group) = state.group {
            let _ended_already = kill_process_group(group, Signal::TERM);
        }
    }

    fn begin(&self, command: &mut std::process::Command) -> Result<Child, Wrong> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_over {
            return Err(Wrong::new("the end came first"));
        }
        let child = command.process_group(0).spawn().map_err(|error| not_started(&error))?;
        state.group = Some(Pid::from_child(&child));
        Ok(child)
    }

    fn ended(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).group = None;
    }

    /// Whether it was asked to stop.
    pub(super) fn is_over(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_over
    }
}

impl PluginBuilder {
    pub(super) fn new(file: &Path, terminal: &Terminal, format: LogFormat) -> Self {
        Self {
            file: file.to_owned(),
            sites: Vec::new(),
            is_unsure: true,
            loaded: vec![file.to_owned()],
            running: Running::default(),
            terminal: terminal.clone(),
            format,
        }
    }

    /// What can be ended from another thread.
    pub(super) fn running(&self) -> Running {
        self.running.clone()
    }

    /// The crates that are worked on.
    pub(super) fn crates(&self) -> impl Iterator<Item = &Crate> {
        self.sites.iter().map(|site| &site.origin.crate_)
    }

    /// The components to serve instead of those that the configuration names.
    pub(super) fn stand_ins(&self) -> BTreeMap<PathBuf, PathBuf> {
        let made = |site: &Site| Some((site.origin.component.clone(), site.stand_in.clone()?));
        self.sites.iter().filter_map(made).collect()
    }

    /// Whether each crate has been built once.
    pub(super) fn is_complete(&self) -> bool {
        !self.is_unsure && self.sites.iter().all(|site| site.stand_in.is_some())
    }

    /// The files whose changes matter.
    pub(super) fn watched(&self) -> Vec<PathBuf> {
        let sources = self.sites.iter().flat_map(|site| site.sources.iter().cloned());
        self.loaded.iter().cloned().chain(sources).collect()
    }

    /// Looks for the crates before anything is built.
    pub(super) fn opened(mut self) -> Self {
        self.look_for_crates();
        self
    }

    /// Notes the files that a configuration was loaded from.
    pub(super) fn loads(&mut self, files: Vec<PathBuf>) {
        let made: Vec<_> = self.stand_ins().into_values().collect();
        self.loaded = files.into_iter().filter(|file| !made.contains(file)).collect();
    }

    /// Whether the configuration was loaded from this file.
    pub(super) fn is_loaded(&self, file: &PathBuf) -> bool {
        self.loaded.contains(file)
    }

    /// Does what these changes ask for. Errors have been reported then.
    pub(super) fn take_up(&mut self, changed: &[PathBuf]) -> BuildOutcome {
        let is_manifest = |path: &PathBuf| *path == self.file || path.ends_with("Cargo.toml");
        if (self.is_unsure || changed.iter().any(is_manifest)) && !self.look_for_crates() {
            return BuildOutcome { is_new: false, has_failed: true };
        }
        let mut outcome = BuildOutcome { is_new: false, has_failed: false };
        for index in 0..self.sites.len() {
            let site = &self.sites[index];
            if !site.is_stale && !changed.iter().any(|path| site.sources.contains(path)) {
                continue;
            }
            match self.build(index) {
                Ok(is_new) => outcome.is_new |= is_new,
                Err(_) if self.running.is_over() => outcome.has_failed = true,
                Err(wrong) => {
                    outcome.has_failed = true;
                    self.terminal.write("");
                    wrong.tell(self.format);
                }
            }
        }
        outcome
    }

    fn look_for_crates(&mut self) -> bool {
        let origins = match crates::find(&self.file) {
            Ok(origins) => origins,
            Err(wrong) => {
                wrong.tell(self.format);
                self.is_unsure = true;
                return false;
            }
        };
        let mut before = std::mem::take(&mut self.sites);
        self.sites = origins
            .into_iter()
            .map(|origin| {
                let same = |site: &Site| {
                    site.origin.component == origin.component
                        && site.origin.crate_.folder == origin.crate_.folder
                };
                match before.iter().position(same) {
                    Some(index) => Site { origin, ..before.swap_remove(index) },
                    None => {
                        let sources = crates::watched(&origin.crate_, None);
                        Site { origin, stand_in: None, sources, is_stale: true }
                    }
                }
            })
            .collect();
        self.is_unsure = false;
        true
    }

    /// Builds a crate. Returns whether another component came out than before.
    fn build(&mut self, index: usize) -> Result<bool, Wrong> {
        let crate_ = &self.sites[index].origin.crate_;
        let began = Instant::now();
        let compiled = self.terminal.working(&format!("building {}", crate_.name), || {
            compile(crate_, &self.running, &self.terminal)
        });
        let component = compiled.as_ref().ok().map(PathBuf::as_path);
        let sources = crates::watched(crate_, component);
        let kept = compiled.and_then(|component| keep(crate_, &component));
        let site = &mut self.sites[index];
        site.sources = sources;
        site.is_stale = kept.is_err();
        let (file, size, is_new) = kept?;
        let is_new = is_new || site.stand_in.is_none();
        site.stand_in = Some(file);
        let seconds = began.elapsed().as_secs_f64();
        let (name, size) = (&site.origin.crate_.name, bytes(size));
        let same = if is_new { "" } else { ", the same as before" };
        self.terminal.say(&format!("built {name} in {seconds:.1} s, {size}{same}"));
        Ok(is_new)
    }
}

/// Compiles a crate. What the compiler says is passed on as it is, in one piece.
fn compile(crate_: &Crate, running: &Running, terminal: &Terminal) -> Result<PathBuf, Wrong> {
    require_target(&crate_.folder)?;
    let mut command = crate_.command(Purpose::Develop);
    let has_colours = std::io::stderr().is_terminal() && colours_are_wanted();
    command.args(["--quiet", "--color", if has_colours { "always" } else { "never" }]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = running.begin(&mut command)?;
    let output = child.wait_with_output();
    running.ended();
    let Output { status, stdout, stderr } = output.map_err(|error| not_started(&error))?;
    if !running.is_over() {
        terminal.complain(&String::from_utf8_lossy(&stderr));
    }
    if !status.success() {
        return Err(Wrong::new(format!("{} did not build; the reason is above", crate_.name)));
    }
    crate_.component(&String::from_utf8_lossy(&stdout))
}

/// Keeps a component where the next build does not reach it. Returns where it is, its size, and
/// whether it is another than was there.
fn keep(crate_: &Crate, component: &Path) -> Result<(PathBuf, usize, bool), Wrong> {
    let folder = crate_.target.join("gateway-dev");
    let file = folder.join(format!("{}.wasm", crate_.name));
    let kept = fs::create_dir_all(&folder).and_then(|()| {
        let new = fs::read(component)?;
        let is_new = fs::read(&file).map_or(true, |old| old != new);
        if is_new {
            put(&new, &file)?;
        }
        Ok((file.clone(), new.len(), is_new))
    });
    kept.map_err(|error| Wrong::new(format!("`{}` cannot be written: {error}", file.display())))
}
