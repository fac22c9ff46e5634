//! JSON as text: a reader that gives values as slices of what was written, and a writer.
//!
//! Nothing is converted on the way, so numbers of any length, the order of members and white
//! space survive. [`Raw::parse`] checks the whole grammar once; what is read from its result
//! can then be taken as well-formed. Must not know any protocol.

mod grammar;
mod read;
mod write;

pub use read::{Elements, Fault, Members, Raw};
pub use write::Writer;

pub(crate) use grammar::{DEPTH, line_end, scan, space, string, text, value};

#[cfg(test)]
mod tests;
