//! `gateway completions`: what a shell asks when Tab is pressed.
//!
//! Owns nothing but the way to standard output: the script is made of the commands as they are declared.

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use super::{Arguments, Refused, print};

/// Prints the script for a shell.
#[expect(clippy::unnecessary_wraps, reason = "all commands answer so")]
pub(super) fn completions(shell: Shell) -> Result<(), Refused> {
    let mut command = shown();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "gateway", &mut script);
    print(&String::from_utf8_lossy(&script));
    Ok(())
}

/// The commands without those that are hidden, which scripts would offer.
fn shown() -> Command {
    let all = Arguments::command();
    let commands = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    Command::new("gateway")
        .version(env!("CARGO_PKG_VERSION"))
        .args(all.get_arguments().cloned())
        .subcommands(commands)
}
