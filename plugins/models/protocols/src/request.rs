//! What policy needs of a request, and changes of its body that keep the rest as it was.

mod edit;
pub mod form;
mod history;
mod read;
mod text;

pub use edit::Edits;
pub use read::{Fault, Request, read};
pub use text::{CHUNK, IMAGE_TOKENS, Size};

#[cfg(test)]
mod tests;
