//! `gateway compile`: what a gateway runs in its own process for each component.
//!
//! Owns the arguments, which `gateway::compile_with` adds. An internal command, hidden in the help.

use std::path::PathBuf;
use std::process::Command;

use clap::{Args, ValueEnum};

use super::Refused;

#[derive(Debug, Args)]
pub(super) struct Compile {
    backtraces: Backtraces,
    place: Place,
    seconds: u64,
    cache: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Backtraces {
    Names,
    Lines,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Place {
    Alone,
    Beside,
}

/// Compiles the component on standard input into the cache. What is wrong with it goes to standard
/// error, for the process that asked.
pub(super) fn compile(compile: Compile) -> Result<(), Refused> {
    let compilation = gateway::Compilation {
        has_lines: compile.backtraces == Backtraces::Lines,
        beside: compile.place == Place::Beside,
        seconds: compile.seconds,
        cache: compile.cache,
    };
    gateway::compile(&compilation).map_err(|why| {
        // As much as is read of it, so that writing it waits for nobody.
        eprintln!("gateway compile: {}", why.chars().take(2_000).collect::<String>());
        Refused
    })
}

/// This binary, also after another was put in its place.
pub(crate) fn compiler() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg("compile");
    command
}
