//! `gateway models`: which models there are, and whether their deployments answer.
//!
//! Owns the commands and the form of tables. What a plugin offers is read by `gateway::models`; `list` shows it, and
//! `test` asks each deployment.

mod ask;
mod list;
mod test;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::live::Remote;
use super::{LogFormat, Refused};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List models, their aliases and deployments: of a file, or of a running gateway with how they stand (`--admin`).
    List(List),
    /// Send each deployment a small request, and report its latency or why it does not answer.
    ///
    /// The request passes the plugin and the upstream as the file has them, in a gateway of its own that ends with the
    /// command: no listener of the file is opened, and limits, places and quotas are left alone. It costs what some 30
    /// tokens cost. Exits with 1 if a deployment does not answer.
    Test(Test),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// The configuration. Not with `--admin`.
    #[arg(long, value_name = "FILE", default_value = "gateway.toml", conflicts_with = "admin")]
    config: PathBuf,
    /// Print JSON: with `--admin` that of the admin API.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub(super) struct Test {
    /// Only this deployment, or those of this model or alias.
    name: Option<String>,
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "gateway.toml")]
    config: PathBuf,
    /// How many seconds a deployment has.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=600))]
    timeout: u16,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &Command, format: LogFormat) -> Result<(), Refused> {
    match command {
        Command::List(list) => list::list(list, format),
        Command::Test(test) => test::test(test, format),
    }
}

/// Rows in columns as wide as their longest cells; the last one is as wide as it wants. Columns of numbers stand right.
pub(super) fn columns(rows: &[Vec<String>], numbers: &[usize]) -> String {
    let count = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<_> = (0..count).map(|column| width(column).unwrap_or_default()).collect();
    let cell = |(column, text): (usize, &String)| match column {
        column if numbers.contains(&column) => format!("{text:>0$}", widths[column]),
        column if column + 1 == count => text.clone(),
        column => format!("{text:<0$}", widths[column]),
    };
    let line = |row: &Vec<String>| {
        let line = row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ");
        line.trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
