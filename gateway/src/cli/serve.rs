//! `gateway run`: serves until a signal ends it.
//!
//! Owns signals and reloads. A file that is not fine leaves the configuration in force, and the
//! log says so.

use std::path::{Path, PathBuf};

use gateway::config::{Component, Config};
use gateway::{Gateway, Handle, ReloadError};
use tokio::signal::unix::{SignalKind, signal};

use super::prepare::{Prepared, prepare};
use super::watch::Watch;
use super::{LogFormat, Refused, report};

/// Serves a file.
pub(super) fn serve(file: &Path, format: LogFormat) -> Result<(), Refused> {
    let mut prepared = prepare(file).map_err(|diagnostics| {
        report(&diagnostics, format);
        Refused
    })?;
    let watch = Watch::new(watched(file, &prepared.config));
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
        tracing::info!(listener = name, %address, "listening");
    }
    if let Some(address) = gateway.admin_address() {
        tracing::info!(%address, "`/metrics` and `/healthz` are served");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| say("the control thread cannot start", &error))?;
    runtime.block_on(control(gateway, file, watch, format))
}

async fn control(
    gateway: Gateway,
    file: &Path,
    watch: Watch,
    format: LogFormat,
) -> Result<(), Refused> {
    let handle = gateway.handle();
    let mut end = signal(SignalKind::terminate()).map_err(|error| say("SIGTERM", &error))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| say("SIGINT", &error))?;
    let hangup = signal(SignalKind::hangup()).map_err(|error| say("SIGHUP", &error))?;
    let shutdown = async {
        tokio::select! {
            _ = end.recv() => {}
            _ = interrupt.recv() => {}
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
    mut hangup: tokio::signal::unix::Signal,
    format: LogFormat,
) {
    loop {
        tokio::select! {
            _ = hangup.recv() => tracing::info!("SIGHUP: reloading"),
            changed = watch.changed() => {
                for path in changed {
                    tracing::info!(file = %path.display(), "changed: reloading");
                }
            }
        }
        let (reloading, file) = (handle.clone(), file.to_owned());
        // Compiling plugins takes a while, and signals must go on being heard.
        let reloaded = tokio::task::spawn_blocking(move || reload(&reloading, &file, format)).await;
        if let Ok(Some(files)) = reloaded {
            watch.follow(files);
        }
    }
}

/// Puts the file in force, or says why not. Returns what to watch from now on.
fn reload(handle: &Handle, file: &Path, format: LogFormat) -> Option<Vec<PathBuf>> {
    match prepare(file) {
        Ok(prepared) => {
            let files = watched(file, &prepared.config);
            let routes = prepared.config.routes.len();
            if put_in_force(handle, prepared, format) {
                tracing::info!(routes, "the new configuration is in force");
            }
            Some(files)
        }
        Err(diagnostics) => {
            report(&diagnostics, format);
            tracing::error!("the configuration in force stays: the new one is refused");
            handle.refused();
            None
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

/// The files that a configuration is made of.
pub(super) fn watched(file: &Path, config: &Config) -> Vec<PathBuf> {
    let services = config.components.iter().map(|component| component.file.clone());
    let plugins = config.plugins.iter().filter_map(|plugin| match &plugin.component {
        Component::File(path) => Some(path.clone()),
        Component::BuiltIn(_) => None,
    });
    std::iter::once(file.to_owned()).chain(plugins).chain(services).collect()
}

fn say(what: &str, error: &dyn std::fmt::Display) -> Refused {
    tracing::error!("{what}: {error}");
    Refused
}
