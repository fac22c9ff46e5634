//! `gateway run`: serves until a signal ends it.
//!
//! Owns signals and reloads. A file that is not fine leaves the configuration in force, and the
//! log says so.

use std::path::{Path, PathBuf};

use gateway::{Gateway, Handle, ReloadError};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::prepare::{Prepared, prepare};
use super::watch::Watch;
use super::{LogFormat, Refused, report};

/// Serves a file.
pub(super) fn serve(file: &Path, format: LogFormat) -> Result<(), Refused> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| say("the control thread cannot start", &error))?;
    // Loading plugins takes a while, and such a signal would end the process meanwhile.
    let (hangup, others) = heard_from_the_start(&runtime)?;
    let mut prepared = prepare(file).map_err(|refusal| {
        report(&refusal.everything(true), format);
        Refused
    })?;
    let watch = Watch::new(prepared.files.clone());
    let gateway = match Gateway::bind(prepared.config.clone()) {
        Ok(gateway) => gateway,
        Err(errors) => {
            report(&prepared.refused(&errors), format);
            return Err(Refused);
        }
    };
    prepared.warned(gateway.warnings());
    report(&prepared.findings, format);
    for (name, address) in gateway.local_addresses() {
        if gateway.config().takes_ipv4(*address) {
            tracing::info!(listener = name, %address, "listening, for IPv4 too");
        } else {
            tracing::info!(listener = name, %address, "listening");
        }
    }
    if let Some(address) = gateway.admin_address() {
        tracing::info!(%address, "`/metrics`, `/healthz`, `/usage` and `/requests` are served");
    }
    let served = runtime.block_on(async {
        let handle = gateway.handle();
        for other in others {
            drop(tokio::spawn(other.answer(handle.clone())));
        }
        control(gateway, file, watch, hangup, format).await
    });
    // A reload that still compiles plugins has nothing left to put in force.
    runtime.shutdown_background();
    served
}

/// A signal that means little to the gateway, and that would end it if nobody heard it.
struct Other {
    name: &'static str,
    /// What is done, or why nothing is.
    why: &'static str,
    /// Whether files of logs may have been moved.
    reopens: bool,
    signal: Signal,
}

impl Other {
    /// Says, each time, what is done.
    async fn answer(mut self, handle: Handle) {
        while self.signal.recv().await.is_some() {
            tracing::info!("{}: {}", self.name, self.why);
            if self.reopens {
                handle.reopen_logs();
            }
        }
    }
}

fn heard_from_the_start(runtime: &Runtime) -> Result<(Signal, Vec<Other>), Refused> {
    let _inside = runtime.enter();
    let listen = |kind, name| signal(kind).map_err(|error| say(name, &error));
    let hangup = listen(SignalKind::hangup(), "SIGHUP")?;
    let opened = "the files of access logs are opened anew";
    let nothing = "nothing is done; SIGHUP reloads, SIGTERM ends";
    let others = [
        (SignalKind::user_defined1(), "SIGUSR1", opened),
        (SignalKind::user_defined2(), "SIGUSR2", nothing),
        (SignalKind::alarm(), "SIGALRM", nothing),
    ];
    let others = others.into_iter().map(|(kind, name, why)| {
        Ok(Other { name, why, reopens: name == "SIGUSR1", signal: listen(kind, name)? })
    });
    Ok((hangup, others.collect::<Result<_, _>>()?))
}

async fn control(
    gateway: Gateway,
    file: &Path,
    watch: Watch,
    hangup: Signal,
    format: LogFormat,
) -> Result<(), Refused> {
    let handle = gateway.handle();
    let mut end = signal(SignalKind::terminate()).map_err(|error| say("SIGTERM", &error))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| say("SIGINT", &error))?;
    let mut quit = signal(SignalKind::quit()).map_err(|error| say("SIGQUIT", &error))?;
    let shutdown = async {
        tokio::select! {
            _ = end.recv() => {}
            _ = interrupt.recv() => {}
            _ = quit.recv() => {}
            () = reloads(&handle, file, watch, hangup, format) => {}
        }
        tracing::info!("shutting down: open exchanges may finish");
    };
    gateway.run(shutdown).await.map_err(|error| say("a worker ended", &error))
}

/// Reloads for ever, on SIGHUP and when a watched file changes.
async fn reloads(
    handle: &Handle,
    file: &Path,
    mut watch: Watch,
    mut hangup: Signal,
    format: LogFormat,
) {
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                tracing::info!("SIGHUP: reloading");
                // Whatever becomes of the file: logs may have been moved.
                handle.reopen_logs();
            }
            changed = watch.changed() => {
                for path in changed {
                    tracing::info!(file = %path.display(), "changed: reloading");
                }
            }
        }
        let (reloading, file) = (handle.clone(), file.to_owned());
        // Compiling plugins takes a while, and signals must go on being heard.
        let reloaded = tokio::task::spawn_blocking(move || reload(&reloading, &file, format)).await;
        match reloaded {
            Ok(Ok(files)) => watch.follow(files),
            // Those of the configuration in force count too, until another is.
            Ok(Err(files)) => watch.also(files),
            Err(error) => {
                tracing::error!("the configuration in force stays: internal error: {error}");
            }
        }
    }
}

/// Puts the file in force, or says why not. Returns what to watch from now on, instead of what was
/// watched or, as an error, besides.
fn reload(handle: &Handle, file: &Path, format: LogFormat) -> Result<Vec<PathBuf>, Vec<PathBuf>> {
    match prepare(file) {
        Ok(prepared) => {
            let files = prepared.files.clone();
            let routes = prepared.config.routes.len();
            if !put_in_force(handle, prepared, format) {
                return Err(files);
            }
            tracing::info!(routes, "the new configuration is in force");
            Ok(files)
        }
        Err(refusal) => {
            let files = refusal.files();
            report(&refusal.everything(false), format);
            tracing::error!("the configuration in force stays: the new one is refused");
            handle.refused();
            Err(files)
        }
    }
}

/// Puts a configuration in force, or says why not. Returns whether it is.
pub(super) fn put_in_force(handle: &Handle, mut prepared: Prepared, format: LogFormat) -> bool {
    match handle.reload(prepared.config.clone()) {
        Ok(warnings) => {
            prepared.warned(&warnings);
            report(&prepared.findings, format);
            true
        }
        Err(ReloadError::Refused(errors)) => {
            report(&prepared.refused(&errors), format);
            tracing::error!("the configuration in force stays: the new one is refused");
            false
        }
        Err(error) => {
            tracing::error!("the configuration in force stays: {error}");
            false
        }
    }
}

fn say(what: &str, error: &dyn std::fmt::Display) -> Refused {
    tracing::error!("{what}: {error}");
    Refused
}
