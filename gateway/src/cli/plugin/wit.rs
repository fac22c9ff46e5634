//! `gateway plugin wit`: the interface as files, for the tools of other languages.
//!
//! Owns that nothing of somebody else's is lost: a file that differs stays, unless requested otherwise,
//! and then none is written.

use std::fs;
use std::path::PathBuf;

use clap::Args;

use super::Wrong;
use super::sources::WIT;
use crate::cli::print;

#[derive(Debug, Args)]
pub(in crate::cli) struct Wit {
    /// The folder to write it to.
    #[arg(default_value = "wit")]
    folder: PathBuf,
    /// Overwrite files that differ.
    #[arg(long)]
    force: bool,
}

fn interface() -> String {
    format!("gateway:plugin {}", gateway::INTERFACE_VERSION)
}

/// Writes the files.
pub(super) fn write(wit: &Wit) -> Result<(), Wrong> {
    let folder = &wit.folder;
    let differs = |(name, text): &(&str, &str)| {
        let path = folder.join(name);
        path.symlink_metadata().is_ok() && fs::read(path).ok().as_deref() != Some(text.as_bytes())
    };
    let different: Vec<_> =
        WIT.iter().filter(|file| differs(file)).map(|(name, _)| *name).collect();
    if !different.is_empty() && !wit.force {
        let (folder, names) = (folder.display(), different.join(", "));
        let message = format!("`{folder}` has other files of these names: {names}");
        return Err(
            Wrong::new(message).help("`--force` overwrites them; so far nothing is written")
        );
    }
    fs::create_dir_all(folder)
        .and_then(|()| WIT.iter().try_for_each(|(name, text)| fs::write(folder.join(name), text)))
        .map_err(|error| {
            Wrong::new(format!("`{}` cannot be written: {error}", folder.display()))
        })?;
    print(&format!("{}: {} files of {}\n", folder.display(), WIT.len(), interface()));
    Ok(())
}
