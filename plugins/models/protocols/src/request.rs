//! What policy needs of a request, and changes of its body that keep the rest as it was.

mod count;
mod edit;
pub mod form;
mod history;
mod prefix;
mod read;
mod text;

pub use edit::Edits;
pub use prefix::CHUNK;
pub use read::{Fault, Present, Request, prefix, read};
pub use text::{IMAGE_TOKENS, Size};

#[cfg(test)]
mod tests;
