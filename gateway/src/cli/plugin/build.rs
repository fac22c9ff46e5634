//! `gateway plugin build`: a component out of a crate.
//!
//! Owns what comes after the compiler: nothing takes the place of a component but a plugin that
//! this gateway would load, and it does so at once, since a gateway may be watching the file.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use gateway::Inspection;
use gateway::config::Component;

use super::cargo::{Crate, Purpose};
use super::{Wrong, bytes};
use crate::cli::print;

#[derive(Debug, Args)]
pub(in crate::cli) struct Build {
    /// The folder of the crate, or a core module that another tool has compiled for WASI preview 1.
    #[arg(default_value = ".", value_name = "DIR|FILE")]
    folder: PathBuf,
    /// The file to write. Default: `NAME.wasm` in the folder of the crate.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Keep the names of functions, for backtraces that can be read. The component grows by them.
    #[arg(long)]
    debug_names: bool,
}

/// Compiles the crate, checks what came out and puts it in its place.
pub(super) fn build(build: &Build) -> Result<(), Vec<Wrong>> {
    if build.folder.is_file() {
        return adapt(build);
    }
    let crate_ = Crate::find(&build.folder).map_err(|wrong| vec![wrong])?;
    let purpose = if build.debug_names { Purpose::ShipNames } else { Purpose::Ship };
    let built = crate_.build(purpose).map_err(|wrong| vec![wrong])?;
    let found = gateway::inspect(&Component::File(built.clone()));
    let found =
        found.map_err(|refusals| refusals.into_iter().map(Wrong::from).collect::<Vec<_>>())?;
    let file = match &build.output {
        Some(file) => file.clone(),
        None => build.folder.join(format!("{}.wasm", crate_.name)),
    };
    let component = fs::read(&built).map_err(|error| {
        vec![Wrong::new(format!("`{}` cannot be read: {error}", built.display()))]
    })?;
    finish(build, &found, &component, &file)
}

/// Makes a component of a core module. Without `--output` it takes the module's place, since a
/// gateway can do with either.
fn adapt(build: &Build) -> Result<(), Vec<Wrong>> {
    let module = &build.folder;
    let component = gateway::open(module).map_err(|refusal| vec![refusal.into()])?;
    let found = gateway::inspect(&Component::File(module.clone()));
    let found =
        found.map_err(|refusals| refusals.into_iter().map(Wrong::from).collect::<Vec<_>>())?;
    finish(build, &found, &component, build.output.as_ref().unwrap_or(module))
}

fn finish(
    build: &Build,
    found: &Inspection,
    component: &[u8],
    file: &Path,
) -> Result<(), Vec<Wrong>> {
    put(component, file).map_err(|error| {
        vec![Wrong::new(format!("`{}` cannot be written: {error}", file.display()))]
    })?;
    let file = file.strip_prefix(".").unwrap_or(file);
    let (name, version, size) = (&found.name, &found.version, found.size);
    let names = match size.names {
        names if build.debug_names => format!(", {} of it names", bytes(names)),
        _ => String::new(),
    };
    let total = bytes(size.total);
    print(&format!("{}: plugin {name} {version}, {total}{names}\n", file.display()));
    Ok(())
}

/// Writes a file so that nobody sees a part of it.
pub(in crate::cli) fn put(component: &[u8], to: &Path) -> std::io::Result<()> {
    let mut begun = to.as_os_str().to_owned();
    begun.push(format!(".{}", std::process::id()));
    let begun = PathBuf::from(begun);
    fs::write(&begun, component).and_then(|()| fs::rename(&begun, to)).inspect_err(|_| {
        let _nothing_was_written = fs::remove_file(&begun);
    })
}
