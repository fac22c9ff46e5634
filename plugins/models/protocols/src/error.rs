//! Errors: what a provider's error means, and refusals in the shape of the caller's protocol.

mod class;
mod read;
mod render;
mod retry;

pub use class::Class;
pub use read::{Failure, of_response, of_stream, of_text};
pub(crate) use render::numbered_event;
pub use render::{Refusal, aws_type, body, event};

#[cfg(test)]
mod tests;
