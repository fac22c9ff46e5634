//! Fields that the sender of a request adds to each.
//!
//! Owns how they get past the request's map of fields: over HTTP/1.1 they are written behind the others
//! as they are, since a map costs a hash and a place for each. Knows no names and no values.

use http::{HeaderMap, HeaderName};

/// See the module.
pub(crate) trait Added {
    /// Writes the fields as lines of HTTP/1.1, each with its end.
    fn write(&self, out: &mut Vec<u8>);

    /// Puts the fields into the map, once: afterwards [`write`](Self::write) writes nothing.
    fn insert(&self, headers: &mut HeaderMap);
}

/// Writes one field as a line.
pub(crate) fn write_line(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    let name = name.as_str().as_bytes();
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes fields as lines.
pub(crate) fn write_fields(out: &mut Vec<u8>, fields: &HeaderMap) {
    for (name, value) in fields {
        write_line(out, name, value.as_bytes());
    }
}
