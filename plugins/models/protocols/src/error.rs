//! Errors: what a provider's error means, and refusals in the shape of the caller's protocol.

mod class;
mod read;
mod render;
mod retry;

pub use class::Class;
pub(crate) use read::of_end;
pub use read::{Failure, begins_as_error, of_answer, of_response, of_stream, of_text};
pub(crate) use render::numbered_event;
pub use render::{Refusal, aws_type, body, event};

#[cfg(test)]
mod tests;
