//! `gateway plugin`: from an empty folder to a component, and into one.
//!
//! Owns what its commands have in common: how a refusal is reported. Must not know what a plugin does.

pub(super) mod build;
pub(super) mod cargo;
mod inspect;
mod make;
mod schema;
mod sources;
mod wit;

use clap::Subcommand;
use serde_json::json;

use super::{LogFormat, Refused};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create the crate of a plugin with tests and a route; it builds and passes its tests at once.
    New(make::New),
    /// Compile the crate of a plugin to a component.
    Build(build::Build),
    /// Show what a component imports, needs and takes as its configuration.
    Inspect(inspect::Inspect),
    /// Write the plugin interface (WIT), for plugins in other languages.
    Wit(wit::Wit),
}

/// Runs a command to its end.
pub(super) fn run(command: &Command, format: LogFormat) -> Result<(), Refused> {
    let done = match command {
        Command::New(new) => make::make(new).map_err(|wrong| vec![wrong]),
        Command::Build(build) => build::build(build),
        Command::Inspect(inspect) => inspect::inspect(inspect),
        Command::Wit(wit) => wit::write(wit).map_err(|wrong| vec![wrong]),
    };
    done.map_err(|wrongs| {
        wrongs.iter().for_each(|wrong| wrong.tell(format));
        Refused
    })
}

/// Why a command was refused.
#[derive(Debug)]
pub(super) struct Wrong {
    message: String,
    help: Option<String>,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    /// Adds what would fix it.
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Writes it to standard error, for people or for machines.
    pub(super) fn tell(&self, format: LogFormat) {
        use std::io::Write as _;
        let text = match (format, &self.help) {
            (LogFormat::Text, None) => format!("error: {}\n", self.message),
            (LogFormat::Text, Some(help)) => format!("error: {}\nhelp: {help}\n", self.message),
            (LogFormat::Json, _) => {
                let Self { message, help } = self;
                format!("{}\n", json!({ "severity": "error", "message": message, "help": help }))
            }
        };
        let _reader_left = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

impl From<gateway::Refusal> for Wrong {
    fn from(refusal: gateway::Refusal) -> Self {
        Self { message: refusal.message, help: refusal.help }
    }
}

/// A number of bytes, for people.
pub(super) fn bytes(count: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let count_as_float = count as f64;
    match count {
        0..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{:.1} KiB", count_as_float / 1024.0),
        _ => format!("{:.1} MiB", count_as_float / 1_048_576.0),
    }
}
