//! `gateway check`: everything that `run` would refuse, at once.

use std::path::Path;

use gateway::Gateway;

use super::prepare::prepare;
use super::{LogFormat, Refused, print, report};

/// Checks a file. Addresses are those of a gateway that runs already, as a rule, and tried only if that
/// is asked for; they are given back.
pub(super) fn check(file: &Path, addresses: bool, format: LogFormat) -> Result<(), Refused> {
    let mut prepared = match prepare(file) {
        Ok(prepared) => prepared,
        Err(refusal) => return refuse(&refusal.everything(addresses), format),
    };
    let found = Gateway::check(&prepared.config, &[], addresses);
    if !found.is_empty() {
        return refuse(&prepared.refused(&found), format);
    }
    prepared.warned(&found.warnings);
    report(&prepared.findings, format);
    let (config, warnings) = (&prepared.config, prepared.findings.iter().count());
    let count = |number: usize, one: &str| match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    };
    let counts = [
        count(config.listeners.len(), "listener"),
        count(config.routes.len(), "route"),
        count(config.upstreams.len(), "upstream"),
        count(config.plugins.len(), "plugin"),
        count(warnings, "warning"),
    ];
    print(&format!("{} is fine: {}\n", file.display(), counts.join(", ")));
    Ok(())
}

fn refuse(diagnostics: &gateway::config::Diagnostics, format: LogFormat) -> Result<(), Refused> {
    report(diagnostics, format);
    Err(Refused)
}
