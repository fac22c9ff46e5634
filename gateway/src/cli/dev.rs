//! `gateway dev`: serves while plugins are developed.
//!
//! Owns the arguments, and what lives for the whole command: the terminal, the log, the control thread.
//! It serves with the same code as `run`. Must not be used in production: it shows what it receives.

mod crates;
mod dev_loop;
mod lines;
mod plugin_builder;
mod replay;
mod show;
mod terminal;
mod trace_view;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use self::dev_loop::DevLoop;
use self::lines::Lines;
use self::plugin_builder::PluginBuilder;
use self::replay::Replays;
use self::show::Show;
use self::terminal::Terminal;
use self::trace_view::TraceView;
use super::{LogFormat, Refused};

/// What the command is given; `cli.rs` says what it does.
#[derive(Debug, Args)]
pub(super) struct Dev {
    /// The configuration.
    #[arg(default_value = "gateway.toml")]
    file: PathBuf,
    /// Show everything about each request, instead of one line.
    #[arg(long)]
    full: bool,
    /// Show keys, cookies and other secrets in full, instead of only their beginning.
    #[arg(long)]
    show_secrets: bool,
}

/// Serves until it is asked to stop.
pub(super) fn dev(dev: &Dev, format: LogFormat) -> Result<(), Refused> {
    let terminal = Terminal::new(format);
    let lines = Lines::start(&terminal);
    let folder = std::env::current_dir().unwrap_or_default().display().to_string();
    let show = Show { terminal: terminal.clone(), shows_secrets: dev.show_secrets, folder };
    let replays = Replays::default();
    let (trace_view, tracer) = TraceView::new(show, lines, replays.clone(), dev.full);
    let builder = PluginBuilder::new(&dev.file, &terminal, format);
    let running = builder.running();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        tracing::error!("the control thread cannot start: {error}");
        Refused
    })?;
    let dev_loop = DevLoop { file: dev.file.clone(), terminal, trace_view, replays, format };
    let local = tokio::task::LocalSet::new();
    let done = local.block_on(&runtime, dev_loop.work(builder, tracer));
    running.end();
    // A thread may be waiting for a cargo that has just been asked to stop.
    runtime.shutdown_timeout(Duration::from_secs(5));
    done
}
