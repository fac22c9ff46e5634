//! `gateway run`: serves until a signal ends it.
//!
//! Owns signals and reloads. A file that is not fine leaves the configuration in force, and the
//! log says so.

use std::path::{Path, PathBuf};

use gateway::config::Diagnostics;
use gateway::{Gateway, Handle, ReloadError, Reloaded};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;

use super::operator::{Asked, Operations};
use super::prepare::{Prepared, prepare};
use super::watch::Watch;
use super::{LogFormat, Refused, report, service_manager};

/// Serves a file.
pub(super) fn serve(file: &Path, format: LogFormat) -> Result<(), Refused> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| say("the control thread cannot start", &error))?;
    // Loading plugins takes a while, and such a signal would end the process meanwhile.
    let (hangup, others) = heard_from_the_start(&runtime)?;
    let mut prepared = prepare(file).map_err(|refusal| {
        report(&refusal.everything(true).0, format);
        Refused
    })?;
    let watch = Watch::new(prepared.files.clone());
    // Before plugins are loaded, which takes other parts.
    crate::program_pages::forget();
    let gateway = match Gateway::bind(prepared.config.clone()) {
        Ok(gateway) => gateway,
        Err(errors) => {
            report(&prepared.refused(&errors), format);
            return Err(Refused);
        }
    };
    crate::small_pages::serves();
    crate::program_pages::forget();
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
        tracing::info!(%address, "the admin API is served");
    }
    let (operator, asked) = Operations::begin();
    let gateway = gateway.operated_by(operator);
    let served = runtime.block_on(async {
        let handle = gateway.handle();
        for other in others {
            drop(tokio::spawn(other.answer(handle.clone())));
        }
        control(gateway, file, watch, Wishes { hangup, asked }, format).await
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
    let opened = "the files of access logs are opened again";
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
    wishes: Wishes,
    format: LogFormat,
) -> Result<(), Refused> {
    let handle = gateway.handle();
    let routes = gateway.config().routes.len();
    let mut end = signal(SignalKind::terminate()).map_err(|error| say("SIGTERM", &error))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| say("SIGINT", &error))?;
    let mut quit = signal(SignalKind::quit()).map_err(|error| say("SIGQUIT", &error))?;
    let shutdown = async {
        // The gateway begins to wait for its end when all workers have begun.
        service_manager::ready(routes);
        crate::program_pages::forget_soon();
        tokio::select! {
            _ = end.recv() => {}
            _ = interrupt.recv() => {}
            _ = quit.recv() => {}
            () = reloads(&handle, file, watch, wishes, format) => {}
        }
        tracing::info!("shutting down: open exchanges may finish");
        service_manager::stopping();
        let handle = handle.clone();
        // Heard while the gateway drains, and dropped with the runtime.
        drop(tokio::spawn(async move {
            tokio::select! {
                _ = end.recv() => {}
                _ = interrupt.recv() => {}
                _ = quit.recv() => {}
            }
            tracing::warn!("a second signal: open exchanges are cut");
            handle.end_now();
        }));
    };
    gateway.run(shutdown).await.map_err(|error| say("a worker ended", &error))
}

/// Who asks for a reload, besides files that change.
struct Wishes {
    hangup: Signal,
    /// By the admin API.
    asked: UnboundedReceiver<Asked>,
}

/// Reloads for ever: on SIGHUP, when a watched file changes, and when the admin API asks for it.
async fn reloads(
    handle: &Handle,
    file: &Path,
    mut watch: Watch,
    mut wishes: Wishes,
    format: LogFormat,
) {
    loop {
        let asked = tokio::select! {
            _ = wishes.hangup.recv() => {
                tracing::info!("SIGHUP: reloading");
                // Whatever becomes of the file: logs may have been moved.
                handle.reopen_logs();
                None
            }
            Some(asked) = wishes.asked.recv() => {
                tracing::info!(dry_run = asked.dry_run, "the admin API asks for a reload");
                Some(asked)
            }
            changed = watch.changed() => {
                for path in changed {
                    tracing::info!(file = %path.display(), "changed: reloading");
                }
                None
            }
        };
        let (reloading, file) = (handle.clone(), file.to_owned());
        let dry_run = asked.as_ref().is_some_and(|asked| asked.dry_run);
        let reload = move || {
            if dry_run { try_out(&reloading, &file) } else { reload(&reloading, &file, format) }
        };
        // Compiling plugins takes a while, and signals must go on being heard.
        let outcome = match tokio::task::spawn_blocking(reload).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::error!("the configuration in force stays: internal error: {error}");
                service_manager::stayed("internal error");
                continue;
            }
        };
        match (outcome.reloaded.refused.is_none(), dry_run) {
            (true, false) => watch.follow(outcome.files),
            // Those of the configuration in force count too, until another is.
            (false, false) => watch.also(outcome.files),
            (_, true) => {}
        }
        asked.into_iter().for_each(|asked| asked.answer(outcome.reloaded.clone()));
    }
}

/// What came of a reload.
struct ReloadOutcome {
    reloaded: Reloaded,
    /// What to watch from now on: instead of what was watched, or, if it is refused, besides.
    files: Vec<PathBuf>,
}

impl ReloadOutcome {
    fn new(refused: Option<String>, findings: &Diagnostics, files: Vec<PathBuf>) -> Self {
        Self { reloaded: Reloaded { refused, findings: findings.to_json() }, files }
    }
}

/// What is said of a file that is refused; the findings say why.
const REFUSED: &str = "the new one is refused";

/// Puts the file in force, or says why not.
fn reload(handle: &Handle, file: &Path, format: LogFormat) -> ReloadOutcome {
    service_manager::reloading();
    match prepare(file) {
        Ok(prepared) => {
            let files = prepared.files.clone();
            let routes = prepared.config.routes.len();
            let (refused, findings) = take(handle, prepared);
            report(&findings, format);
            match &refused {
                None => {
                    tracing::info!(routes, "the new configuration is in force");
                    service_manager::ready(routes);
                }
                Some(why) => {
                    tracing::error!("the configuration in force stays: {why}");
                    service_manager::stayed(why);
                    renew(handle);
                }
            }
            ReloadOutcome::new(refused, &findings, files)
        }
        Err(refusal) => {
            let files = refusal.files();
            let findings = refusal.everything(false).0;
            report(&findings, format);
            tracing::error!("the configuration in force stays: {REFUSED}");
            service_manager::stayed(REFUSED);
            handle.refused();
            renew(handle);
            ReloadOutcome::new(Some(REFUSED.to_owned()), &findings, files)
        }
    }
}

/// A file that is refused keeps no certificate from being renewed.
fn renew(handle: &Handle) {
    match handle.renew(&|name| std::env::var_os(name)) {
        Ok((is_new, kept)) => {
            for (owner, why) in kept {
                tracing::error!(%owner, "the last good certificates stay: {why}");
            }
            if is_new {
                tracing::info!(
                    "renewed certificates are in force; the rest of the configuration stays"
                );
            }
        }
        Err(error) => tracing::error!("renewed certificates cannot be taken: {error}"),
    }
}

/// Finds out what [`reload`] would report, and changes nothing.
fn try_out(handle: &Handle, file: &Path) -> ReloadOutcome {
    let refused = Some(REFUSED.to_owned());
    match prepare(file) {
        Ok(mut prepared) => {
            prepared.is_taken_by(handle);
            let mut found = Gateway::check(&prepared.config, &[], false);
            found.errors.retain(|error| !handle.does_without(&prepared.config, error));
            found.errors.extend(handle.takes(&prepared.config));
            if !found.is_empty() {
                return ReloadOutcome::new(refused, &prepared.refused(&found), Vec::new());
            }
            prepared.warned(&found.warnings);
            ReloadOutcome::new(None, &prepared.findings, Vec::new())
        }
        Err(refusal) => ReloadOutcome::new(refused, &refusal.everything(false).0, Vec::new()),
    }
}

/// Has a gateway take a configuration. Returns why it is refused, if it is, and all findings.
fn take(handle: &Handle, mut prepared: Prepared) -> (Option<String>, Diagnostics) {
    prepared.is_taken_by(handle);
    match handle.reload(prepared.config.clone()) {
        Ok(warnings) => {
            crate::program_pages::forget_soon();
            prepared.warned(&warnings);
            (None, prepared.findings)
        }
        Err(ReloadError::Refused(errors)) => (Some(REFUSED.to_owned()), prepared.refused(&errors)),
        Err(error) => (Some(error.to_string()), prepared.findings),
    }
}

/// Puts a configuration in force, or says why not. Returns whether it is.
pub(super) fn put_in_force(handle: &Handle, prepared: Prepared, format: LogFormat) -> bool {
    let (refused, findings) = take(handle, prepared);
    report(&findings, format);
    if let Some(why) = &refused {
        tracing::error!("the configuration in force stays: {why}");
    }
    refused.is_none()
}

fn say(what: &str, error: &dyn std::fmt::Display) -> Refused {
    tracing::error!("{what}: {error}");
    Refused
}
