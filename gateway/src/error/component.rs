//! Why a component gave no response.
//!
//! Owns the errors and how they are shown to a client.

use std::time::Duration;

use http::StatusCode;

/// Why a component gave no response, or only a part of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComponentError {
    /// The guest panicked or broke a rule of Wasm; the text is its own, with a backtrace.
    #[error("it trapped: {0}")]
    Trap(String),
    /// It computed for longer than `limits.deadline`; waiting does not count.
    #[error("it computed for longer than its deadline of {0:?}")]
    Deadline(Duration),
    /// It wanted more than `limits.memory`.
    #[error("{0}")]
    Memory(String),
    /// No new instance could be made.
    #[error("no instance could be made: {0}")]
    Instantiate(String),
    /// All of `limits.instances` were busy for too long.
    #[error("all of its {0} instances are busy")]
    Exhausted(usize),
    /// The process has as many instances, of all plugins and components, as the engine takes.
    #[error("no instance could be made: {0}")]
    NoPlace(String),
    /// As many requests as `limits.queue` allows wait for their turn already.
    #[error(
        "{0} requests wait for their turn already (`limits.queue`): it needs more of the worker's \
         time than its share"
    )]
    Busy(usize),
    /// It returned and had set no response.
    #[error("it returned without a response")]
    NoResponse,
    /// It said by an error code of `wasi:http` that it has no response.
    #[error("it answered with the error code {0}")]
    ErrorCode(String),
    /// What it answered cannot be passed on.
    #[error("its response is not valid: {0}")]
    Invalid(&'static str),
    /// No response began in time.
    #[error("it sent no response within {0:?} after the request (`first_byte`)")]
    FirstByteTimeout(Duration),
    /// The response stalled.
    #[error("it sent no byte of its response for {0:?} (`idle`)")]
    Stalled(Duration),
}

impl ComponentError {
    /// What a client is answered: 504 when time ran out while it waited, 503 when it is busy,
    /// otherwise 502.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::FirstByteTimeout(_) | Self::Stalled(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Exhausted(_) | Self::NoPlace(_) | Self::Busy(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Trap(_)
            | Self::Deadline(_)
            | Self::Memory(_)
            | Self::Instantiate(_)
            | Self::NoResponse
            | Self::ErrorCode(_)
            | Self::Invalid(_) => StatusCode::BAD_GATEWAY,
        }
    }

    /// The text for the client.
    #[must_use]
    pub fn detail(&self) -> &'static str {
        match self {
            Self::FirstByteTimeout(_) | Self::Stalled(_) => "The service did not answer in time.",
            Self::Exhausted(_) | Self::NoPlace(_) | Self::Busy(_) => "The service is busy.",
            Self::Trap(_)
            | Self::Deadline(_)
            | Self::Memory(_)
            | Self::Instantiate(_)
            | Self::NoResponse
            | Self::ErrorCode(_)
            | Self::Invalid(_) => "The service failed.",
        }
    }
}
