//! Machine code of first-party components that was compiled on this machine.
//!
//! The engine's own cache knows a component by all of its bytes, and its machine code is copied out of it. Of
//! first-party components the digest is known when the gateway is built: what was compiled is found without unpacking
//! one, and its file is mapped, so that only what is used of it takes memory. Owns where it is, within the folder of the
//! engine's cache, and what is deleted there. Must not be used for components that do not come with the binary.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::hash::{Hash as _, Hasher as _};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::first_party::FirstParty;
use crate::plugin::engine::Backtraces;

/// Where the engine's cache counts it among its own, as it does with files without an extension at this depth.
const PLACE: &str = "modules/first-party";
/// When it is written down that a file is in use.
const REFRESH: Duration = Duration::from_secs(24 * 3600);
/// What nobody has used for so long is deleted: after an upgrade nobody asks for it.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 3600);

/// What was compiled, by this process or another.
pub(super) struct Kept {
    folder: Option<PathBuf>,
    backtraces: Backtraces,
}

impl Kept {
    /// In the folder of the engine's cache, if it has one.
    pub(super) fn new(cache: Option<&Path>, backtraces: Backtraces) -> Self {
        Self { folder: cache.map(|cache| cache.join(PLACE)), backtraces }
    }

    /// The component as it was compiled before; or compiled out of what `bytes` makes, and kept.
    ///
    /// # Errors
    /// When it does not compile.
    pub(super) fn component(
        &self,
        engine: &Engine,
        plugin: &FirstParty,
        resettable: bool,
        bytes: impl FnOnce() -> Vec<u8>,
    ) -> wasmtime::Result<Component> {
        let Some(folder) = &self.folder else { return Component::new(engine, bytes()) };
        let file = folder.join(self.file(engine, plugin, resettable));
        if let Some(component) = find(engine, &file) {
            return Ok(component);
        }
        let code = engine.precompile_component(&bytes())?;
        if let Err(error) = keep(&file, &code) {
            tracing::warn!(
                "what was compiled of `{}` is not kept, so that the next start compiles it again: {} cannot be \
                 written: {error}",
                plugin.name,
                file.display()
            );
            return read(engine, &code);
        }
        sweep(folder);
        mapped(engine, &file).or_else(|_| read(engine, &code))
    }

    /// Named by what it is made of, by what, and how.
    fn file(&self, engine: &Engine, plugin: &FirstParty, resettable: bool) -> String {
        let mut file = format!("{}-", plugin.name);
        for byte in &plugin.sum[..16] {
            let _always_fits = write!(file, "{byte:02x}");
        }
        let mut hasher = siphasher::sip::SipHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let lines = if self.backtraces == Backtraces::Lines { "-lines" } else { "" };
        let fresh = if resettable { "-fresh" } else { "" };
        format!("{file}-{:016x}{lines}{fresh}", hasher.finish())
    }
}

fn find(engine: &Engine, file: &Path) -> Option<Component> {
    match mapped(engine, file) {
        Ok(component) => {
            refresh(file);
            Some(component)
        }
        Err(error) => {
            if file.exists() {
                tracing::debug!("{} is compiled again: {error:#}", file.display());
            }
            None
        }
    }
}

#[expect(unsafe_code, reason = "what is executed cannot be checked")]
fn mapped(engine: &Engine, file: &Path) -> wasmtime::Result<Component> {
    // SAFETY: `keep` wrote it whole before it had this name. Whoever can write to the folder of the cache is trusted
    // with running code: the engine takes what it finds in it as it is, too.
    unsafe { Component::deserialize_file(engine, file) }
}

#[expect(unsafe_code, reason = "what is executed cannot be checked")]
fn read(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: this engine made it just now.
    unsafe { Component::deserialize(engine, code) }
}

/// Writes it down for as long as nobody deletes it: a file of which a power cut left a part would be run.
fn keep(file: &Path, code: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // Of this process alone, and of this file.
    let unfinished = file.with_extension(format!("wip-{}", std::process::id()));
    let write = || {
        let mut opened = File::create(&unfinished)?;
        opened.write_all(code)?;
        opened.sync_all()?;
        fs::rename(&unfinished, file)
    };
    write().inspect_err(|_| {
        let _as_far_as_it_is_there = fs::remove_file(&unfinished);
    })
}

/// Writes down that a file is in use, if that was long ago.
fn refresh(file: &Path) {
    if age(file).is_some_and(|age| age > REFRESH) {
        // It may belong to somebody else, who refreshes it as well.
        let _refreshed = File::open(file).and_then(|it| it.set_modified(SystemTime::now()));
    }
}

/// Deletes what nobody has used for long. Where it is mapped it stays.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if age(&path).is_some_and(|age| age > UNUSED) {
            let _is_gone = fs::remove_file(path);
        }
    }
}

fn age(file: &Path) -> Option<Duration> {
    fs::metadata(file).and_then(|it| it.modified()).ok()?.elapsed().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::first_party;

    /// A component of one module without anything.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0\x01\x08\0asm\x01\0\0\0";

    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder.join(PLACE)).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    #[test]
    fn what_was_compiled_is_found_without_the_component() {
        let cache = tempfile::tempdir().expect("a folder");
        let engine = Engine::default();
        let kept = Kept::new(Some(cache.path()), Backtraces::Names);
        let plugin = first_party::find("cors").expect("it is there");
        let get = |resettable, bytes: fn() -> Vec<u8>| {
            kept.component(&engine, plugin, resettable, bytes).map(drop)
        };
        get(false, || EMPTY.to_vec()).expect("it compiles");
        get(false, || unreachable!("it is kept")).expect("it is there");
        assert_eq!(files(cache.path()).len(), 1);
        get(true, || EMPTY.to_vec()).expect("another is compiled");
        assert_eq!(files(cache.path()).len(), 2);
        // As a full disk leaves them, or another version.
        for file in files(cache.path()) {
            fs::write(file, "\x7fELF").expect("it is written");
        }
        get(false, || EMPTY.to_vec()).expect("it is compiled again");
        get(false, || unreachable!("it is kept")).expect("it is there");
    }

    #[test]
    fn what_nobody_uses_is_deleted_and_what_is_used_is_not() {
        let cache = tempfile::tempdir().expect("a folder");
        let engine = Engine::default();
        let kept = Kept::new(Some(cache.path()), Backtraces::Names);
        let get = |name| {
            let plugin = first_party::find(name).expect("it is there");
            kept.component(&engine, plugin, false, || EMPTY.to_vec()).expect("it compiles");
        };
        let make_old = |name: &str| {
            let file = files(cache.path()).into_iter().find(|it| {
                it.file_name().and_then(|it| it.to_str()).is_some_and(|it| it.starts_with(name))
            });
            let long_ago = SystemTime::now() - 2 * UNUSED;
            let file = File::open(file.expect("it is kept")).expect("it is there");
            file.set_modified(long_ago).expect("it is ours");
        };
        get("cors");
        get("ip");
        make_old("cors");
        make_old("ip");
        get("ip");
        get("auth");
        let left = files(cache.path());
        assert_eq!(left.len(), 2, "{left:?}");
        assert!(!left.iter().any(|it| it.to_string_lossy().contains("cors")), "{left:?}");
    }

    #[test]
    fn a_folder_that_takes_nothing_keeps_no_plugin_from_loading() {
        let folder = tempfile::tempdir().expect("a folder");
        // No folder can be made below a file.
        let cache = folder.path().join("file");
        fs::write(&cache, "").expect("it is written");
        let kept = Kept::new(Some(&cache), Backtraces::Names);
        let plugin = first_party::find("cors").expect("it is there");
        kept.component(&Engine::default(), plugin, false, || EMPTY.to_vec()).expect("it compiles");
    }
}
