//! `gateway precompile`: machine code of the first-party plugins, for packages.

use std::path::PathBuf;

use clap::Args;

use super::{Refused, print};

#[derive(Debug, Args)]
pub(super) struct Precompile {
    /// Where the files go.
    folder: PathBuf,
    /// The plugins. Default: all.
    plugins: Vec<String>,
}

/// Compiles them.
pub(super) fn precompile(asked: &Precompile) -> Result<(), Refused> {
    match gateway::precompile(&asked.folder, &asked.plugins) {
        Ok(count) => {
            let what = if count == 1 { "1 plugin is" } else { &*format!("{count} plugins are") };
            print(&format!("{what} compiled in {}\n", asked.folder.display()));
            Ok(())
        }
        Err(why) => {
            tracing::error!("the plugins cannot be compiled: {why}");
            Err(Refused)
        }
    }
}
