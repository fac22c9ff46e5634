//! First-party components that were compiled when the gateway was packed.
//!
//! To compile a plugin takes a second of a processor, and a first start on a machine would do it for each that it
//! uses. Packages have the machine code in a folder, for processors as most machines have them. Where it does
//! not fit, the component is compiled as any other. Owns the folder, the names in it, for which processors
//! it is, and which files are trusted. Must not be used for components that do not come with the binary.

use std::fmt::Write as _;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::first_party::{self, FIRST_PARTY, FirstParty};
use crate::plugin::engine;

/// What the processor has to have: x86-64-v3, as servers have had it since 2013; of others what all have.
#[cfg(target_arch = "x86_64")]
const FEATURES: &[&str] = &[
    "has_sse3",
    "has_ssse3",
    "has_cmpxchg16b",
    "has_sse41",
    "has_sse42",
    "has_popcnt",
    "has_avx",
    "has_avx2",
    "has_bmi1",
    "has_bmi2",
    "has_fma",
    "has_lzcnt",
];
#[cfg(not(target_arch = "x86_64"))]
const FEATURES: &[&str] = &[];

/// Where the folder is, as seen from that of the program: of a package, and of an archive.
const PLACES: [&str; 2] = ["../lib/gateway", "lib"];

/// Others than the owner may write.
const OTHERS_WRITE: u32 = 0o022;

/// Compiles first-party components into a folder: those of these names, or all. The same gateway makes the same
/// bytes on any machine. Returns how many.
///
/// # Errors
/// When there is none of a name, or the folder cannot be written to.
pub fn precompile(folder: &Path, names: &[String]) -> Result<usize, String> {
    let unknown = |name: &&String| first_party::find(name).is_none();
    if let Some(name) = names.iter().find(unknown) {
        return Err(format!("there is no first-party plugin `{name}`"));
    }
    let failed = |error: wasmtime::Error| format!("{error:#}");
    let engine = engine::portable(FEATURES).map_err(failed)?;
    let unwritable = |error| format!("{} cannot be written to: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(unwritable)?;
    let wanted = FIRST_PARTY
        .iter()
        .filter(|it| names.is_empty() || names.iter().any(|wanted| wanted == it.name));
    let mut count = 0;
    for plugin in wanted {
        let code = engine.precompile_component(&plugin.component()).map_err(failed)?;
        std::fs::write(folder.join(file(plugin)), code).map_err(unwritable)?;
        count += 1;
    }
    Ok(count)
}

/// The component, if it is there and fits this machine and engine.
pub(super) fn find(engine: &Engine, plugin: &FirstParty) -> Option<Component> {
    let path = folder()?.join(file(plugin));
    match std::fs::metadata(&path) {
        Ok(metadata) if is_trusted(&metadata) => {}
        Ok(metadata) => {
            tracing::warn!(
                "{} is not used, since others than the owner of the program may write to it: {}",
                path.display(),
                advice(&metadata)
            );
            return None;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!("{} cannot be read: {error}", path.display());
            return None;
        }
    }
    match mapped(engine, &path) {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::debug!("{} does not fit here: {error:#}", path.display());
            None
        }
    }
}

#[expect(unsafe_code, reason = "what is executed cannot be checked")]
fn mapped(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: `precompile` wrote it, as far as whoever can write the program itself is trusted: see
    // `is_trusted`. Packages replace it by a rename, so that it does not change where it is mapped.
    unsafe { Component::deserialize_file(engine, path) }
}

/// Named by what it is made of, so that no other version of the gateway takes it.
fn file(plugin: &FirstParty) -> String {
    let mut file = format!("{}-", plugin.name);
    for byte in &plugin.sum[..16] {
        let _always_fits = write!(file, "{byte:02x}");
    }
    file + ".cwasm"
}

/// The folder beside this program, if it has one.
fn folder() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let program = std::env::current_exe().ok()?;
        let beside = program.parent()?;
        let mut places = PLACES.iter().map(|place| beside.join(place));
        places.find(|place| is_usable(place))
    };
    FOLDER.get_or_init(find).as_deref()
}

/// Whether compiled plugins may come from here. Says why not, once, since each start then compiles what is there already.
fn is_usable(place: &Path) -> bool {
    let Ok(metadata) = std::fs::metadata(place) else { return false };
    if !metadata.is_dir() {
        return false;
    }
    let is_trusted = is_trusted(&metadata);
    // Another folder may have this name.
    if !is_trusted && holds_code(place) {
        tracing::warn!(
            "the compiled plugins in {} are not used, since others than the owner of the program may write to it: {}",
            place.display(),
            advice(&metadata)
        );
    }
    is_trusted
}

fn holds_code(folder: &Path) -> bool {
    let is_code =
        |entry: std::fs::DirEntry| entry.path().extension().is_some_and(|it| it == "cwasm");
    std::fs::read_dir(folder).is_ok_and(|entries| entries.flatten().any(is_code))
}

/// What makes it trusted.
fn advice(metadata: &Metadata) -> &'static str {
    match metadata.mode() & OTHERS_WRITE {
        0 => "give it to root or to the owner of the program (`chown`)",
        _ => "take the right from them (`chmod go-w`), if nobody else wrote there",
    }
}

/// Whether only those can have written it who can write the program too: its owner, or root.
fn is_trusted(metadata: &Metadata) -> bool {
    let program = std::fs::metadata("/proc/self/exe");
    let owner = metadata.uid();
    let is_owners = owner == 0 || program.is_ok_and(|program| program.uid() == owner);
    is_owners && metadata.mode() & OTHERS_WRITE == 0
}
