//! `gateway usage`: who used how much.
//!
//! Owns the form of the answer. The store is read as it is, whether a gateway runs or not.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use gateway::usage::Query;

use super::prepare::prepare;
use super::{LogFormat, Refused, print, report};

/// How long the store may take.
const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Debug, Args)]
pub(super) struct Question {
    /// What to group by, separated by commas: minute, hour, day or month, route, consumer, status, upstream.
    #[arg(long, default_value = "consumer")]
    by: String,
    /// From this time on, in UTC: 2026-11-01 or 2026-11-01T10:30. Default: all that is kept.
    #[arg(long)]
    from: Option<String>,
    /// Before this time, in UTC. Default: until now.
    #[arg(long)]
    to: Option<String>,
    /// Print CSV.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// The configuration; its `[usage]` says where usage is stored.
    #[arg(long, value_name = "FILE", default_value = "gateway.toml")]
    config: PathBuf,
}

/// Answers a question.
pub(super) fn usage(question: &Question, format: LogFormat) -> Result<(), Refused> {
    let said = |error: &dyn std::fmt::Display| {
        tracing::error!("{error}");
        Refused
    };
    let query = Query::parse(&question.by, question.from.as_deref(), question.to.as_deref());
    let query = query.map_err(|error| said(&error))?;
    let prepared = prepare(&question.config).map_err(|refusal| {
        report(&refusal.text(), format);
        Refused
    })?;
    let Some(usage) = &prepared.config.usage else {
        let file = question.config.display();
        let error = format!("{file} has no `[usage]`: add it with `store = \"usage.db\"`");
        return Err(said(&error));
    };
    let answer = query.read(usage, PATIENCE).map_err(|error| said(&error))?;
    print(&match (question.csv, question.json) {
        (true, _) => answer.csv(),
        (_, true) => format!("{:#}\n", answer.json()),
        _ if answer.is_empty() => "nothing was recorded in this time\n".to_owned(),
        _ => answer.table(),
    });
    Ok(())
}
