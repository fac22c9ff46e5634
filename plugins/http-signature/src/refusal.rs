//! Why a request is refused, and the answer to it.
//!
//! Owns status codes and challenges (RFC 9110 section 11.6.1, RFC 9421 section 5.1). An answer never says what was
//! wrong with a signature: the reason is for the log.

use std::borrow::Cow;
use std::fmt;

use gateway_plugin_sdk::prelude::*;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no signature.
    Missing,
    /// It is wrong.
    Invalid(Cow<'static, str>),
    /// It was used before.
    Replayed,
    /// Nobody can note that it was used.
    NoRoom,
    /// Nobody can say whether it was used before.
    NoStore,
    /// Something is wrong here and not with the request.
    Failed(&'static str),
}

impl From<&'static str> for Refusal {
    fn from(reason: &'static str) -> Self {
        Self::Invalid(Cow::Borrowed(reason))
    }
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self::Invalid(Cow::Owned(reason))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Missing => "there is no signature",
            Self::Invalid(reason) => reason,
            Self::Replayed => "the signature was used before",
            Self::NoRoom => {
                "there is no room to note that the signature was used: raise `limits.key_value`"
            }
            Self::NoStore => {
                "the store of `key_value` is out of reach: it knows what was used before"
            }
            Self::Failed(reason) => reason,
        })
    }
}

/// What a request without a good signature is told, ready to send.
#[derive(Debug)]
pub(crate) struct Challenge {
    /// `WWW-Authenticate`
    pub(crate) challenge: String,
    /// `Accept-Signature`, for requests without a body and for those with one.
    pub(crate) accept: Option<[String; 2]>,
}

impl Challenge {
    /// The answer to a refused request.
    pub(crate) fn answer(&self, refusal: &Refusal, has_body: bool) -> Response {
        match refusal {
            Refusal::Missing | Refusal::Invalid(_) | Refusal::Replayed => {
                let answer = Response::unauthorized("A valid signature is needed.")
                    .add_header("www-authenticate", self.challenge.as_str());
                match &self.accept {
                    Some(accept) => {
                        let accept = accept[usize::from(has_body)].as_str();
                        answer.add_header("accept-signature", accept)
                    }
                    None => answer,
                }
            }
            Refusal::NoRoom | Refusal::NoStore => {
                let detail = "The signature cannot be checked at the moment.";
                Response::service_unavailable(detail).header("retry-after", "1")
            }
            Refusal::Failed(_) => {
                let detail = "The signature cannot be checked.";
                Response::problem(500, "Internal Server Error", detail)
            }
        }
    }
}

/// Whether a text can be a realm.
pub(crate) fn is_realm(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// A quoted string (RFC 9110 section 5.6.4).
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
