//! The loop of a development run.
//!
//! Owns the order: a change is detected, the crate is built, the plugin is replaced in the running
//! gateway. If building or loading fails, the old plugin stays. Must not show a request.

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gateway::trace::Tracer;
use gateway::{BindError, Gateway, Handle};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::plugin_builder::PluginBuilder;
use super::replay::{Listener, Replays, replay};
use super::terminal::Terminal;
use super::trace_view::TraceView;
use crate::cli::prepare::{Prepared, Refusal, prepare_with};
use crate::cli::serve::put_in_force;
use crate::cli::watch::Watch;
use crate::cli::{LogFormat, Refused, report};

/// How often files are checked: somebody waits.
const PERIOD: Duration = Duration::from_millis(200);
/// How long open exchanges may continue at the end.
const GRACE: Duration = Duration::from_secs(1);

/// What can be typed while it serves.
const HELP: &str = "\
r + Enter: send the last request again, and show everything about it
d + Enter: show everything about the last request
q + Enter, or Ctrl-C: end";

/// What all steps of the loop need.
pub(super) struct DevLoop {
    pub(super) file: PathBuf,
    pub(super) terminal: Terminal,
    pub(super) trace_view: TraceView,
    pub(super) replays: Replays,
    pub(super) format: LogFormat,
}

/// What came of an attempt to begin.
enum StartResult {
    Serves(Box<Gateway>),
    /// Something is wrong that a change of a file can fix.
    Waits,
    /// Something is wrong that no file can fix, such as an address that another process has.
    Ends,
}

impl DevLoop {
    /// Serves until it is asked to stop.
    pub(super) async fn work(self, builder: PluginBuilder, tracer: Tracer) -> Result<(), Refused> {
        let mut end = End::new()?;
        let running = builder.running();
        let tracer = Arc::new(tracer);
        // What is saved during the first build, which may be long, is seen behind it.
        let mut builder = apart(move || builder.opened()).await?;
        let mut watch = Watch::new(builder.watched()).every(PERIOD);
        let mut changed = Vec::new();
        let gateway = loop {
            let beginning = self.begin(builder, changed, Arc::clone(&tracer));
            let (back, beginning) = tokio::select! {
                it = beginning => it?,
                () = end.comes() => {
                    running.end();
                    return Ok(());
                }
            };
            builder = back;
            match beginning {
                StartResult::Ends => return Err(Refused),
                StartResult::Serves(gateway) => {
                    watch.follow(builder.watched());
                    break gateway;
                }
                StartResult::Waits => watch.follow(builder.watched()),
            }
            self.terminal.say("nothing is served yet: waiting for a change");
            changed = tokio::select! {
                changed = watch.changed() => changed,
                () = end.comes() => return Ok(()),
            };
        };
        self.greet(&gateway, &builder);
        let listeners = listeners(&gateway);
        let handle = gateway.handle();
        let shutdown = async {
            tokio::select! {
                () = end.comes() => {}
                () = self.take_up_changes(builder, watch, &handle) => {}
                () = self.run_commands(&listeners) => {}
            }
            running.end();
        };
        gateway.run(shutdown).await.map_err(|error| {
            tracing::error!("a worker ended: {error}");
            Refused
        })
    }

    /// Builds everything and takes the addresses.
    async fn begin(
        &self,
        mut builder: PluginBuilder,
        changed: Vec<PathBuf>,
        tracer: Arc<Tracer>,
    ) -> Result<(PluginBuilder, StartResult), Refused> {
        let (file, terminal, format) = (self.file.clone(), self.terminal.clone(), self.format);
        apart(move || {
            builder.take_up(&changed);
            if !builder.is_complete() {
                return (builder, StartResult::Waits);
            }
            let mut prepared = match prepare(&file, builder.stand_ins()) {
                Ok(prepared) => prepared,
                Err(refusal) => {
                    report(&refusal.everything(false).0, format);
                    return (builder, StartResult::Waits);
                }
            };
            builder.loads(prepared.files.clone());
            let config = prepared.config.clone();
            let bound =
                terminal.working("loading plugins", || Gateway::bind_traced(config, tracer));
            let beginning = match bound {
                Ok(gateway) => {
                    prepared.warned(gateway.warnings());
                    report(&prepared.findings, format);
                    StartResult::Serves(Box::new(gateway))
                }
                Err(errors) => {
                    let is_taken = |error: &BindError| matches!(error, BindError::Listen { .. });
                    let ends = errors.iter().any(is_taken);
                    report(&prepared.refused(&errors), format);
                    if ends { StartResult::Ends } else { StartResult::Waits }
                }
            };
            (builder, beginning)
        })
        .await
    }

    fn greet(&self, gateway: &Gateway, builder: &PluginBuilder) {
        let config = gateway.config();
        for (name, address) in gateway.local_addresses() {
            let is_tls = config.listeners.iter().any(|it| it.name == *name && it.tls.is_some());
            let scheme = if is_tls { "https" } else { "http" };
            self.terminal.say(&format!("serving {scheme}://{address} ({name})"));
        }
        let crates: Vec<_> = builder.crates().map(|it| it.name.as_str()).collect();
        let of = if crates.is_empty() {
            String::new()
        } else {
            format!(" and the sources of {}", crates.join(", "))
        };
        self.terminal.say(&format!("watching {}{of}", self.file.display()));
        self.terminal
            .say("r + Enter sends the last request again, h + Enter says what else there is");
    }

    /// Takes up changes for ever.
    async fn take_up_changes(&self, mut builder: PluginBuilder, mut watch: Watch, handle: &Handle) {
        loop {
            let changed = watch.changed().await;
            let taken = self.take_up(builder, changed, handle.clone());
            match taken.await {
                Ok(back) => {
                    watch.follow(back.watched());
                    builder = back;
                }
                Err(Refused) => return,
            }
        }
    }

    async fn take_up(
        &self,
        mut builder: PluginBuilder,
        changed: Vec<PathBuf>,
        handle: Handle,
    ) -> Result<PluginBuilder, Refused> {
        let (file, terminal, format) = (self.file.clone(), self.terminal.clone(), self.format);
        apart(move || {
            let outcome = builder.take_up(&changed);
            let is_due = outcome.is_new || changed.iter().any(|path| builder.is_loaded(path));
            if builder.running().is_over() {
                return builder;
            }
            if outcome.has_failed {
                terminal.say("the plugins in force stay");
            }
            if !is_due || !builder.is_complete() {
                return builder;
            }
            match prepare(&file, builder.stand_ins()) {
                Ok(prepared) => {
                    builder.loads(prepared.files.clone());
                    let load = || put_in_force(&handle, prepared, format);
                    if terminal.working("loading plugins", load) {
                        terminal.say("the change is in force");
                    }
                }
                Err(refusal) => {
                    report(&refusal.everything(false).0, format);
                    terminal.say("the configuration in force stays");
                }
            }
            builder
        })
        .await
    }

    /// Runs typed commands until it is asked to stop; without input, for ever.
    async fn run_commands(&self, listeners: &BTreeMap<String, Listener>) {
        let mut typed = typed();
        while let Some(line) = typed.recv().await {
            match line.trim() {
                "" => {}
                "r" => self.send_again(listeners),
                "d" => self.trace_view.show_last(),
                "q" => return,
                "h" | "?" => self.terminal.say(HELP),
                other => self.terminal.say(&format!("`{other}` is nothing to type here\n{HELP}")),
            }
        }
        std::future::pending().await
    }

    fn send_again(&self, listeners: &BTreeMap<String, Listener>) {
        let Some((trace, about)) = self.trace_view.last_sent() else {
            return self.terminal.say("there was no request yet");
        };
        let Some(listener) = listeners.get(&trace.listener).copied() else { return };
        self.terminal.say(&about);
        let (terminal, replays) = (self.terminal.clone(), self.replays.clone());
        tokio::task::spawn_local(async move {
            if let Err(why) = replay(&trace.request, listener, &replays).await {
                terminal.say(&why);
            }
        });
    }
}

/// Reads the configuration, with the components that were built here. Nobody waits long for the end
/// of what is developed.
fn prepare(file: &Path, stand_ins: BTreeMap<PathBuf, PathBuf>) -> Result<Prepared, Refusal> {
    let mut prepared = prepare_with(file, stand_ins)?;
    if let Some(config) = Arc::get_mut(&mut prepared.config) {
        let grace = &mut config.process.shutdown_grace;
        *grace = GRACE.min(*grace);
    }
    Ok(prepared)
}

/// Does what blocks on its own thread.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refused> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!("internal error: {error}");
        Refused
    })
}

/// The lines that are typed, or that come through a pipe.
fn typed() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn listeners(gateway: &Gateway) -> BTreeMap<String, Listener> {
    let config = gateway.config();
    let listener = |(name, address): (&String, &SocketAddr)| {
        let is_tls = config.listeners.iter().any(|it| it.name == *name && it.tls.is_some());
        (name.clone(), Listener { address: *address, is_tls })
    };
    gateway.local_addresses().iter().map(listener).collect()
}

/// The signals that end it.
struct End {
    signals: [Signal; 3],
}

impl End {
    fn new() -> Result<Self, Refused> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                tracing::error!("cannot listen for signals: {error}");
                Refused
            })
        };
        // The terminal is gone: nobody is there to develop.
        let hangup = listen(SignalKind::hangup())?;
        let signals = [listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, hangup];
        Ok(Self { signals })
    }

    async fn comes(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
