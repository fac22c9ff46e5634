//! `gateway check`: everything that `run` would refuse, at once.

use std::path::Path;

use gateway::Gateway;

use super::prepare::prepare;
use super::{LogFormat, Refused, print, report};

/// Checks a file. Addresses are tried too, and given back.
pub(super) fn check(file: &Path, format: LogFormat) -> Result<(), Refused> {
    let mut prepared = match prepare(file) {
        Ok(prepared) => prepared,
        Err(diagnostics) => return refuse(&diagnostics, format),
    };
    match Gateway::bind(prepared.config.clone()) {
        Ok(gateway) => {
            prepared.warned(gateway.warnings());
            report(&prepared.findings, format);
            let (config, count) = (&prepared.config, prepared.findings.iter().count());
            print(&format!(
                "{} is fine: {} listeners, {} routes, {} upstreams, {} plugins, {count} warnings\n",
                file.display(),
                config.listeners.len(),
                config.routes.len(),
                config.upstreams.len(),
                config.plugins.len(),
            ));
            Ok(())
        }
        Err(errors) => refuse(&prepared.refused(&errors), format),
    }
}

fn refuse(diagnostics: &gateway::config::Diagnostics, format: LogFormat) -> Result<(), Refused> {
    report(diagnostics, format);
    Err(Refused)
}
