//! Bodies as a plugin sees and changes them: whole, or chunk by chunk.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A whole body.
#[derive(Debug)]
pub struct Body {
    bytes: Vec<u8>,
    changed: bool,
}

impl Body {
    pub(crate) fn arrived(bytes: Vec<u8>) -> Self {
        Self { bytes, changed: false }
    }

    /// The bytes; none if the message has no body.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The body as text.
    ///
    /// # Errors
    /// If it is not UTF-8.
    pub fn text(&self) -> Result<&str, std::str::Utf8Error> {
        std::str::from_utf8(&self.bytes)
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// If it is not JSON, or not of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.bytes)
    }

    /// Replaces the body. `content-length` is adjusted by the gateway.
    pub fn set(&mut self, bytes: impl Into<Vec<u8>>) {
        self.bytes = bytes.into();
        self.changed = true;
    }

    /// Replaces the body by JSON. `content-type` stays as it is.
    ///
    /// # Errors
    /// If the value cannot be written as JSON.
    pub fn set_json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), serde_json::Error> {
        self.set(serde_json::to_vec(value)?);
        Ok(())
    }

    pub(crate) fn into_change(self) -> Option<Vec<u8>> {
        self.changed.then_some(self.bytes)
    }
}

/// A piece of a body.
#[derive(Debug)]
pub struct Chunk {
    data: Vec<u8>,
    last: bool,
    changed: bool,
}

impl Chunk {
    pub(crate) fn arrived(data: Vec<u8>, last: bool) -> Self {
        Self { data, last, changed: false }
    }

    /// The bytes; empty only if it is the last.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Whether the body ends with this chunk.
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// Passes on other bytes in its place, more or fewer.
    pub fn replace(&mut self, data: impl Into<Vec<u8>>) {
        self.data = data.into();
        self.changed = true;
    }

    /// Passes on no bytes in its place. The body continues, or ends, as before.
    pub fn clear(&mut self) {
        self.data.clear();
        self.changed = true;
    }

    pub(crate) fn into_change(self) -> Option<Vec<u8>> {
        self.changed.then_some(self.data)
    }
}
