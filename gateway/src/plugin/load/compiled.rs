//! Components, compiled.
//!
//! Owns which of them a reload finds again: those whose bytes did not change. A component takes
//! the memory of its machine code, so that those of which no configuration in force speaks are
//! forgotten. What was compiled in the past, by this process or another, is in the engine's cache
//! on disk. Must not judge what a component is good for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::kind::check_kind;
use super::refusal::{LoadError, refused};
use crate::config;
use crate::plugin::adapt::adapted;

/// The components of one process.
pub(super) struct Compiled {
    built_in: &'static [(&'static str, &'static [u8])],
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    built_in: HashMap<String, Component>,
    /// With the digest of what the file held.
    files: HashMap<PathBuf, ([u8; 32], Component)>,
}

impl Compiled {
    /// None yet, of these and of files.
    pub(super) fn new(built_in: &'static [(&'static str, &'static [u8])]) -> Self {
        Self { built_in, known: Mutex::default() }
    }

    /// The component; a file is always read anew, since a reload may have brought another.
    pub(super) fn component(
        &self,
        engine: &Engine,
        component: &config::Component,
    ) -> Result<Component, LoadError> {
        match component {
            config::Component::BuiltIn(name) => self.built_in(engine, name),
            config::Component::File(path) => self.file(engine, path),
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
        self.known().files.retain(|path, _| is_used(path));
    }

    fn built_in(&self, engine: &Engine, name: &str) -> Result<Component, LoadError> {
        if let Some(component) = self.known().built_in.get(name) {
            return Ok(component.clone());
        }
        let bytes = self.built_in.iter().find(|(known, _)| *known == name);
        let (_, bytes) = bytes
            .ok_or_else(|| refused(format!("there is no first-party plugin `{name}`"), None))?;
        let component = Component::new(engine, bytes)
            .map_err(|error| refused(format!("`{name}` does not compile: {error:#}"), None))?;
        self.known().built_in.insert(name.to_owned(), component.clone());
        Ok(component)
    }

    fn file(&self, engine: &Engine, path: &Path) -> Result<Component, LoadError> {
        let bytes = read(path)?;
        let sum = digest(&SHA256, &bytes);
        if let Some((known, component)) = self.known().files.get(path)
            && known == sum.as_ref()
        {
            return Ok(component.clone());
        }
        let component = Component::new(engine, &*as_component(path, &bytes)?).map_err(|error| {
            refused(format!("`{}` is not valid: {error:#}", path.display()), None)
        })?;
        if let Ok(sum) = sum.as_ref().try_into() {
            self.known().files.insert(path.to_owned(), (sum, component.clone()));
        }
        Ok(component)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The component in a file: as it is, or made of a core module that can be one.
pub(crate) fn component_bytes(path: &Path) -> Result<Vec<u8>, LoadError> {
    Ok(as_component(path, &read(path)?)?.into_owned())
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    std::fs::read(path)
        .map_err(|error| refused(format!("`{}` cannot be read: {error}", path.display()), None))
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

    /// A component of one module, which has a function that does nothing.
    const EMPTY_FUNCTION: &[u8] = b"\0asm\x0d\0\x01\0\x01\x18\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\
        \x03\x02\x01\0\x0a\x04\x01\x02\0\x0b";

    /// Where the machine code of a component stands: another component has another place.
    fn code(compiled: &Compiled, engine: &Engine, path: &Path) -> usize {
        let component = compiled.component(engine, &Named::File(path.to_owned()));
        component.expect("it is valid").image_range().start.addr()
    }

    #[test]
    fn a_file_is_compiled_again_when_its_bytes_change_and_only_then() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.wasm");
        let (engine, compiled) = (Engine::default(), Compiled::new(&[]));
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
