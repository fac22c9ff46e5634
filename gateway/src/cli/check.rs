//! `gateway check`: everything that `run` would refuse, and that plugins would refuse of files of documents, at once.

use std::path::Path;

use gateway::Gateway;
use gateway::config::Diagnostics;

use super::prepare::prepare;
use super::{LogFormat, Refused, print, report};

/// What is tried besides, if that is asked for.
pub(super) struct Also {
    /// Addresses of listeners: those of a gateway that runs already, as a rule. They are given back.
    pub(super) addresses: bool,
    /// Targets of upstreams, which may not be reached from everywhere.
    pub(super) targets: bool,
}

/// Checks a file.
pub(super) fn check(file: &Path, also: Also, format: LogFormat) -> Result<(), Refused> {
    let Also { addresses, targets } = also;
    let mut prepared = match prepare(file) {
        Ok(prepared) => prepared,
        Err(refusal) => {
            let (findings, documents) = refusal.everything(addresses);
            return refuse(&findings, &documents, format);
        }
    };
    let mut found = Gateway::check(&prepared.config, &[], addresses);
    let documents = std::mem::take(&mut found.documents);
    if !found.is_empty() {
        return refuse(&prepared.refused(&found), &documents, format);
    }
    prepared.warned(&found.warnings);
    if targets {
        prepared.tried(&gateway::try_targets(&prepared.config));
    }
    if documents.iter().any(Diagnostics::has_errors) {
        return refuse(&prepared.findings, &documents, format);
    }
    let all = || [&prepared.findings].into_iter().chain(&documents);
    all().for_each(|findings| report(findings, format));
    let (config, warnings) = (&prepared.config, all().map(|it| it.iter().count()).sum::<usize>());
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

fn refuse(
    findings: &Diagnostics,
    documents: &[Diagnostics],
    format: LogFormat,
) -> Result<(), Refused> {
    report(findings, format);
    documents.iter().for_each(|findings| report(findings, format));
    Err(Refused)
}
