//! Components, compiled.
//!
//! Owns which of them a reload finds again: those whose bytes did not change. A component takes
//! the memory of its machine code, so that those of which no configuration in force speaks are
//! forgotten. What was compiled in the past, by this process or another, is on disk: in the engine's
//! cache, or where `kept` has it. Also owns the sizes beyond which nothing is compiled. Must not judge what a component is
//! good for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::compiler_process::Aside;
use super::kept::Kept;
use super::kind::check_kind;
use super::precompiled;
use super::refusal::{LoadError, refused};
use super::resettable::resettable;
use crate::config;
use crate::first_party::FirstParty;
use crate::plugin::adapt::adapted;
use crate::plugin::sections;

/// The components of one process.
pub(super) struct Compiled {
    built_in: &'static [FirstParty],
    kept: Kept,
    known: Mutex<Known>,
    aside: Aside,
}

#[derive(Default)]
struct Known {
    /// By name, and by whether they are made resettable.
    built_in: HashMap<(String, bool), Component>,
    /// With the digest of what the file held.
    files: HashMap<(PathBuf, bool), ([u8; 32], Component)>,
}

impl Compiled {
    /// None yet, of these and of files.
    pub(super) fn new(built_in: &'static [FirstParty], kept: Kept, aside: Aside) -> Self {
        Self { built_in, kept, known: Mutex::default(), aside }
    }

    /// Sets what compiling may take from now on; `beside`: while this process serves.
    pub(super) fn bound(&self, process: &config::Process, beside: bool) {
        self.aside.bound(process, beside);
    }

    /// The component; a file is always read again, since a reload may have brought another. With
    /// `resettable`: so that its instances can be put back into an earlier state, if they can.
    pub(super) fn component(
        &self,
        engine: &Engine,
        component: &config::Component,
        resettable: bool,
    ) -> Result<Component, LoadError> {
        match component {
            config::Component::BuiltIn(name) => self.built_in(engine, name, resettable),
            config::Component::File(path) => self.file(engine, path, resettable),
        }
    }

    /// Forgets files that none of these plugins is made of.
    pub(super) fn keep_only(&self, plugins: &[config::Plugin]) {
        let is_used = |path: &PathBuf| {
            plugins.iter().any(|plugin| match &plugin.component {
                config::Component::File(used) => used == path,
                config::Component::BuiltIn(_) => false,
            })
        };
        self.known().files.retain(|(path, _), _| is_used(path));
    }

    fn built_in(
        &self,
        engine: &Engine,
        name: &str,
        resettable: bool,
    ) -> Result<Component, LoadError> {
        let key = (name.to_owned(), resettable);
        if let Some(component) = self.known().built_in.get(&key) {
            return Ok(component.clone());
        }
        let plugin = self.built_in.iter().find(|known| known.name == name);
        let plugin = plugin
            .ok_or_else(|| refused(format!("there is no first-party plugin `{name}`"), None))?;
        // Of what most configurations use.
        if !resettable && let Some(component) = precompiled::find(engine, plugin) {
            self.known().built_in.insert(key, component.clone());
            return Ok(component);
        }
        let bytes = || {
            let component = plugin.component();
            if resettable { made_resettable(name, &component).into_owned() } else { component }
        };
        let component = self.kept.component(engine, plugin, resettable, bytes);
        let component = component
            .map_err(|error| refused(format!("`{name}` does not compile: {error:#}"), None))?;
        self.known().built_in.insert(key, component.clone());
        Ok(component)
    }

    fn file(&self, engine: &Engine, path: &Path, resettable: bool) -> Result<Component, LoadError> {
        let bytes = read(path)?;
        let sum = digest(&SHA256, &bytes);
        let key = (path.to_owned(), resettable);
        if let Some((known, component)) = self.known().files.get(&key)
            && known == sum.as_ref()
        {
            return Ok(component.clone());
        }
        let component = self.compile(engine, path, &bytes, resettable)?;
        if let Ok(sum) = sum.as_ref().try_into() {
            self.known().files.insert(key, (sum, component.clone()));
        }
        Ok(component)
    }

    /// The component in a file, whether or not it is known.
    pub(super) fn anew(&self, engine: &Engine, path: &Path) -> Result<Component, LoadError> {
        self.compile(engine, path, &read(path)?, false)
    }

    fn compile(
        &self,
        engine: &Engine,
        path: &Path,
        bytes: &[u8],
        resettable: bool,
    ) -> Result<Component, LoadError> {
        let mut component = as_component(path, bytes)?;
        check_size(path, &component)?;
        if resettable {
            component =
                made_resettable(&path.display().to_string(), &component).into_owned().into();
        }
        self.aside.prepare(engine, &path.display().to_string(), &component)?;
        Component::new(engine, &*component)
            .map_err(|error| refused(format!("`{}` is not valid: {error:#}", path.display()), None))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The component so that its instances can be put back into an earlier state, if they can.
fn made_resettable<'a>(what: &str, component: &'a [u8]) -> Cow<'a, [u8]> {
    match resettable(component) {
        Ok(made) => Cow::Owned(made),
        Err(why) => {
            tracing::debug!("each hook of `{what}` needs an instance that is made again: {why}");
            Cow::Borrowed(component)
        }
    }
}

/// The component in a file: as it is, or made of a core module that can be one.
pub(crate) fn component_bytes(path: &Path) -> Result<Vec<u8>, LoadError> {
    Ok(as_component(path, &read(path)?)?.into_owned())
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let unreadable = |error| refused(format!("`{}` cannot be read: {error}", path.display()), None);
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_SIZE {
        return Err(too_large(path, "has", size, MAX_SIZE, "bytes"));
    }
    std::fs::read(path).map_err(unreadable)
}

/// The largest component, in bytes: several times an interpreter with its standard library.
const MAX_SIZE: u64 = 64 << 20;
/// The most functions, the largest function in bytes, and the most types. A compiler takes more than
/// twice as long for a function of twice the size.
const MAX_FUNCTIONS: usize = 200_000;
const MAX_FUNCTION: usize = 2 << 20;
const MAX_TYPES: usize = 100_000;

/// Refuses what nobody writes and what would take long to compile. What is within these bounds can
/// still be too costly, which shows while it is compiled.
fn check_size(path: &Path, component: &[u8]) -> Result<(), LoadError> {
    let shape = sections::shape(component);
    let refused = |what, found: usize, most: usize, unit| {
        Err(too_large(path, what, found as u64, most as u64, unit))
    };
    match shape {
        _ if shape.functions > MAX_FUNCTIONS => {
            refused("has", shape.functions, MAX_FUNCTIONS, "functions")
        }
        _ if shape.largest_function > MAX_FUNCTION => {
            refused("has a function of", shape.largest_function, MAX_FUNCTION, "bytes")
        }
        _ if shape.types > MAX_TYPES => refused("has", shape.types, MAX_TYPES, "types"),
        _ => Ok(()),
    }
}

fn too_large(path: &Path, what: &str, found: u64, most: u64, unit: &str) -> LoadError {
    let message = format!(
        "`{}` is too large to compile: it {what} {found} {unit}, and at most {most} are compiled",
        path.display()
    );
    refused(message, Some("no setting changes this: split it into several plugins".into()))
}

fn as_component<'a>(path: &Path, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, LoadError> {
    let component = adapted(bytes).map_err(|error| {
        let shown = path.display();
        let message =
            format!("`{shown}` is a core module that cannot be made a component: {error}");
        refused(message, Some("build it by `gateway plugin build`, for wasm32-wasip2".into()))
    })?;
    check_kind(path, &component)?;
    Ok(component)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Component as Named;
    use crate::plugin::engine::Backtraces;

    /// A component of one module, which has a function that does nothing.
    const EMPTY_FUNCTION: &[u8] = b"\0asm\x0d\0\x01\0\x01\x18\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\
        \x03\x02\x01\0\x0a\x04\x01\x02\0\x0b";

    /// Where the machine code of a component stands: another component has another place.
    fn code(compiled: &Compiled, engine: &Engine, path: &Path) -> usize {
        let component = compiled.component(engine, &Named::File(path.to_owned()), false);
        component.expect("it is valid").image_range().start.addr()
    }

    #[test]
    fn a_file_is_compiled_again_when_its_bytes_change_and_only_then() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.wasm");
        let backtraces = Backtraces::Names;
        let kept = Kept::new(None, backtraces);
        let compiled = Compiled::new(&[], kept, Aside::new(None, backtraces));
        let engine = Engine::default();
        let write = |version: u8| {
            let mut bytes = EMPTY_FUNCTION.to_vec();
            // A section without meaning.
            bytes.extend([0, 2, 1, version]);
            std::fs::write(&path, bytes).expect("it is written");
        };
        write(b'a');
        let first = code(&compiled, &engine, &path);
        write(b'a');
        assert_eq!(code(&compiled, &engine, &path), first);
        write(b'b');
        assert_ne!(code(&compiled, &engine, &path), first);
        compiled.keep_only(&[]);
        assert!(compiled.known().files.is_empty());
    }
}
