//! How calls fail, as one closed set of words: the attribute `model.error`, and the label `error_type` of metrics.
//!
//! Owns the words, and which of them a call ends with. Must not decide what follows a failure: `fail_over` does.

use std::time::Duration;

use gateway_model_protocols::error::{Class, Failure};
use gateway_model_protocols::saved;
use gateway_plugin_sdk::{Ending, Summary};

use crate::state::Call;

/// The attribute that has the word.
pub(crate) const ATTRIBUTE: &str = "model.error";

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorType {
    /// As the provider says.
    RateLimited,
    Overloaded,
    ContextTooLong,
    ContentFiltered,
    Invalid,
    Auth,
    NotFound,
    Server,
    /// No connection was to be had, or what came over it was no response.
    Unreachable,
    /// No head came in time.
    Timeout,
    /// No content came within `first_token`.
    FirstToken,
    /// It broke off, or ended before its answer did.
    Cut,
    /// It is not what the API answers.
    Garbled,
    /// The client left.
    Cancelled,
    /// The gateway, or another plugin of it.
    Gateway,
}
saved!(
    enum ErrorType {
        RateLimited,
        Overloaded,
        ContextTooLong,
        ContentFiltered,
        Invalid,
        Auth,
        NotFound,
        Server,
        Unreachable,
        Timeout,
        FirstToken,
        Cut,
        Garbled,
        Cancelled,
        Gateway,
    }
);

impl From<Class> for ErrorType {
    fn from(class: Class) -> Self {
        match class {
            Class::RateLimited => Self::RateLimited,
            Class::Overloaded => Self::Overloaded,
            Class::ContextTooLong => Self::ContextTooLong,
            Class::ContentFiltered => Self::ContentFiltered,
            Class::Invalid => Self::Invalid,
            Class::Auth => Self::Auth,
            Class::NotFound => Self::NotFound,
            Class::Server => Self::Server,
        }
    }
}

impl ErrorType {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RateLimited => Class::RateLimited.name(),
            Self::Overloaded => Class::Overloaded.name(),
            Self::ContextTooLong => Class::ContextTooLong.name(),
            Self::ContentFiltered => Class::ContentFiltered.name(),
            Self::Invalid => Class::Invalid.name(),
            Self::Auth => Class::Auth.name(),
            Self::NotFound => Class::NotFound.name(),
            Self::Server => Class::Server.name(),
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::FirstToken => "first_token",
            Self::Cut => "cut",
            Self::Garbled => "garbled",
            Self::Cancelled => "cancelled",
            Self::Gateway => "gateway",
        }
    }
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    /// What policy tells apart.
    pub(crate) class: Class,
    pub(crate) error: ErrorType,
    /// How long the provider said that it wants to be left alone.
    pub(crate) wait: Option<Duration>,
}

impl Failed {
    /// What the provider said.
    pub(crate) fn of(failure: &Failure) -> Self {
        let wait = failure.retry_after_ms.map(Duration::from_millis);
        Self { class: failure.class, error: failure.class.into(), wait }
    }

    /// The provider failed, in a way that it did not say.
    pub(crate) fn server(error: ErrorType) -> Self {
        Self { class: Class::Server, error, wait: None }
    }
}

/// A failure that is seen here, and that the provider did not say.
pub(crate) fn failure(status: u16, message: &str) -> Failure {
    Failure {
        class: Class::Server,
        status,
        kind: String::new(),
        code: String::new(),
        message: message.to_owned(),
        retry_after_ms: None,
    }
}

/// Why a call failed that is over; `None` if it did not.
pub(crate) fn of_call(call: &Call, summary: &Summary) -> Option<ErrorType> {
    if call.error.is_some() {
        return call.error;
    }
    match summary.ending {
        Ending::Complete if summary.status < 400 => None,
        // Somebody in front of this plugin answered in its place.
        Ending::Complete => Some(Class::of_status(summary.status).into()),
        // Some leave when they have read the end of the answer.
        Ending::ClientLeft if call.is_complete => None,
        Ending::ClientLeft => Some(ErrorType::Cancelled),
        Ending::UpstreamFailed => Some(ErrorType::Cut),
        Ending::PluginFailed | Ending::GatewayFailed => Some(ErrorType::Gateway),
    }
}
