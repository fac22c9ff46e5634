//! Collects what is wrong in a configuration, each with its place.
//!
//! Owns the building of JSON Pointers (RFC 6901). It judges nothing itself.

use std::fmt::{Display, Write as _};

use gateway_plugin_sdk::prelude::*;

/// What was found wrong so far.
#[derive(Debug, Default)]
pub struct Problems(Vec<(String, String)>);

impl Problems {
    /// Notes that something is wrong at a place.
    pub fn add(&mut self, at: &Pointer, message: impl Into<String>) {
        self.0.push((at.0.clone(), message.into()));
    }

    /// Notes what was found elsewhere.
    pub fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The error that names them all, if there are any.
    pub fn finish(self) -> Result<(), ConfigError> {
        let errors = self.0.into_iter().map(|(at, message)| ConfigError::at(at, message));
        match errors.reduce(ConfigError::join) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// A place in the configuration.
#[derive(Debug, Clone, Default)]
pub struct Pointer(String);

impl Pointer {
    /// The place of a member in the table at this place.
    pub fn key(&self, key: &str) -> Self {
        self.token(key.replace('~', "~0").replace('/', "~1"))
    }

    /// The place of an item in the list at this place.
    pub fn index(&self, index: usize) -> Self {
        self.token(index)
    }

    fn token(&self, token: impl Display) -> Self {
        let mut text = self.0.clone();
        write!(text, "/{token}").expect("a string takes all that is written to it");
        Self(text)
    }
}
