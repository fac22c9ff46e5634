//! The command line.
//!
//! Owns what the commands are and what they exit with: 0 fine, 1 refused, 2 usage. Each command
//! is a file below. Must not hold anything that a user of the library would miss.

mod admin;
mod cache;
mod check;
mod compile;
mod completions;
mod dev;
mod experiments;
mod explain;
mod keys;
mod limits;
mod live;
mod log;
mod man;
mod models;
mod operator;
mod plugin;
mod precompile;
mod prepare;
mod reload;
mod requests;
mod schema;
mod serve;
mod service_manager;
mod upstreams;
mod usage;
mod watch;

pub(crate) use compile::compiler;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use gateway::config::Diagnostics;

/// A programmable API gateway: every request runs through sandboxed WebAssembly plugins.
#[derive(Debug, Parser)]
#[command(name = "gateway", version, about)]
pub(crate) struct Arguments {
    /// The format of the log and of configuration errors.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, global = true)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

/// For people or for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// Lines of text.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve; reload on SIGHUP and when a file changes.
    Run {
        /// The configuration.
        #[arg(default_value = "gateway.toml")]
        file: PathBuf,
    },
    /// Serve while you develop plugins: build them when they change, and show each request.
    ///
    /// A plugin is built from the crate in the folder that its `source` names. Without `source`, it is
    /// built from the crate in the folder beside its component that has the same name, or else from the
    /// nearest crate above. A plugin without a crate is served as it is, and loaded again when it
    /// changes. The component that the configuration names is not changed.
    ///
    /// While it serves, r + Enter sends the last request again and shows everything about it. d + Enter
    /// shows everything about the last request. q + Enter or Ctrl-C stops.
    Dev(dev::Dev),
    /// Report everything that `run` would refuse, at once, and warnings.
    ///
    /// Addresses are not tried, since a running gateway already uses them: `gateway check && kill -HUP
    /// PID` reloads only a valid file. Targets are not tried either.
    Check {
        /// Try the addresses too, as for the first start on a machine.
        #[arg(long)]
        bind: bool,
        /// Try the targets of upstreams too: names, connections and health checks. What cannot be reached is
        /// a warning.
        #[arg(long)]
        connect: bool,
        /// The configuration.
        #[arg(default_value = "gateway.toml")]
        file: PathBuf,
    },
    /// Show which route a request takes and why, why the others do not, and its plugins: for a file, or for
    /// a running gateway (`--admin`).
    Explain(Box<explain::Question>),
    /// Make a running gateway read its file again, and report the result.
    Reload(reload::Question),
    /// Report which targets of upstreams take requests, or take one out by hand.
    Upstreams(upstreams::Question),
    /// Report what is left of a consumer's limits, or have them begin again.
    Limits(limits::Question),
    /// List the caches of a running gateway, or remove what they hold.
    #[command(subcommand)]
    Cache(cache::Command),
    /// List the models of a gateway, and test whether their deployments answer.
    #[command(subcommand)]
    Models(models::Command),
    /// Report experiments: who has which variant, and what becomes of it; of a file, or of a running gateway with its
    /// numbers (`--admin`).
    Experiments(experiments::Question),
    /// Add, list, change, rotate and revoke the API keys of a running gateway.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Create tokens for the admin API.
    #[command(subcommand)]
    Admin(admin::Command),
    /// Print the JSON Schema of the configuration, for editors, with those of plugins in it.
    Schema {
        /// A configuration; its plugins are described too.
        file: Option<PathBuf>,
    },
    /// Show what happened to single requests: failed, slow and refused ones, and samples of others.
    ///
    /// With an id: one request in full, as a waterfall. Asks the `[admin]` API of the running gateway.
    Requests(requests::Question),
    /// Report usage from the store that `[usage]` names.
    Usage(usage::Question),
    /// Create, build and inspect plugins.
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Print a script that completes commands, options and files on Tab.
    ///
    /// For one shell: `source <(gateway completions bash)`. Packages install it for all.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page (`man -l <(gateway man)`), or write those of all commands.
    Man(man::Pages),
    /// Compile the first-party plugins into a folder, so that a first start need not.
    ///
    /// For packages. The gateway looks for the folder at ../lib/gateway as seen from the folder of the program,
    /// then at lib. Files that others than the owner of the program or root may write are not used. What does
    /// not fit the processor (x86-64-v3) is compiled at the start.
    Precompile(precompile::Precompile),
    #[command(hide = true)]
    Compile(compile::Compile),
}

/// Runs a command to its end.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let format = arguments.log_format;
    // `dev` shows what a plugin logs where it shows the request, and starts its own log.
    let is_dev = matches!(arguments.command, Command::Dev(_));
    let _log = (!is_dev).then(|| log::start(format));
    let done = match arguments.command {
        Command::Run { file } => serve::serve(&file, format),
        Command::Dev(dev) => dev::dev(&dev, format),
        Command::Check { bind, connect, file } => {
            check::check(&file, check::Also { addresses: bind, targets: connect }, format)
        }
        Command::Explain(question) => explain::explain(&question, format),
        Command::Reload(question) => reload::reload(&question),
        Command::Limits(question) => limits::limits(&question),
        Command::Cache(command) => cache::run(&command),
        Command::Upstreams(question) => upstreams::upstreams(&question),
        Command::Models(command) => models::run(&command, format),
        Command::Experiments(question) => experiments::experiments(&question, format),
        Command::Keys(command) => keys::run(&command),
        Command::Admin(command) => admin::run(&command),
        Command::Schema { file } => schema::schema(file.as_deref(), format),
        Command::Requests(question) => requests::requests(&question, format),
        Command::Usage(question) => usage::usage(&question, format),
        Command::Plugin(command) => plugin::run(&command, format),
        Command::Completions { shell } => completions::completions(shell),
        Command::Precompile(asked) => precompile::precompile(&asked),
        Command::Man(pages) => man::man(&pages),
        Command::Compile(compile) => compile::compile(compile),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Refused) => ExitCode::FAILURE,
    }
}

/// The command was refused, and why has been said.
struct Refused;

/// Writes to standard output; a reader that has left is no failure of the command.
fn print(text: &str) {
    use std::io::Write as _;
    let _reader_left = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Writes what is wrong to standard error, for people or for machines.
fn report(diagnostics: &Diagnostics, format: LogFormat) {
    use std::io::{IsTerminal as _, Write as _};
    let mut stderr = std::io::stderr().lock();
    let text = match format {
        LogFormat::Text if diagnostics.is_empty() => return,
        LogFormat::Text => format!("{}\n", diagnostics.render(stderr.is_terminal()).trim_end()),
        LogFormat::Json => {
            diagnostics.to_json().iter().map(|line| format!("{line}\n")).collect::<String>()
        }
    };
    let _reader_left = stderr.write_all(text.as_bytes());
}
