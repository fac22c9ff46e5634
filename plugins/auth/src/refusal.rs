//! Why a request is refused, and the answer to it.
//!
//! Owns status codes and challenges (RFC 9110 section 11.6.1, RFC 6750 section 3). An answer
//! has no more than the status and the challenges; the reason is for the log.

use std::fmt;

use gateway_plugin_sdk::prelude::*;

const FIELD: &str = "www-authenticate";

const FORBIDDEN: &str = "The credential does not allow this.";

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no credential.
    Missing,
    /// There are several credentials.
    Several,
    /// A bearer credential is not written as RFC 6750 section 2.1 says.
    MalformedBearer,
    /// The credential is wrong.
    Invalid {
        /// Whether it came as a bearer credential.
        bearer: bool,
        /// What is wrong.
        reason: &'static str,
    },
    /// The client showed no certificate that admits.
    Certificate(&'static str),
    /// The consumer lacks what is required.
    Insufficient {
        /// Whether the credential came as a bearer credential.
        bearer: bool,
    },
    /// No plugin before this one found a consumer.
    NoConsumer,
    /// Too many passwords are being verified.
    Busy,
    /// The keys of the issuer cannot be had.
    NoKeys(&'static str),
    /// Something is wrong here and not with the request.
    Failed(&'static str),
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Missing => "there is no credential",
            Self::Several => "there is more than one credential",
            Self::MalformedBearer => "the bearer credential is malformed",
            Self::Invalid { reason, .. }
            | Self::Certificate(reason)
            | Self::Failed(reason)
            | Self::NoKeys(reason) => reason,
            Self::Insufficient { .. } => "the consumer lacks a required scope or claim",
            Self::NoConsumer => "no plugin before this one has authenticated the consumer",
            Self::Busy => "too many passwords are being verified",
        })
    }
}

/// Which methods a request could be authenticated with.
#[derive(Debug, Default)]
pub(crate) struct Schemes {
    /// The fields and query parameters for API keys.
    pub(crate) api_key: Option<(Option<String>, Option<String>)>,
    /// Whether there is a bearer credential.
    pub(crate) bearer: bool,
    /// The address of the resource's metadata (RFC 9728 section 5.1).
    pub(crate) metadata: Option<String>,
    /// The realm for passwords.
    pub(crate) basic: Option<String>,
    /// The scopes that are required, separated by spaces.
    pub(crate) scope: Option<String>,
}

/// The challenges of the configured methods, ready to send.
#[derive(Debug)]
pub(crate) struct Challenges {
    api_key: Option<String>,
    bearer: Option<String>,
    basic: Option<String>,
    /// What `require` asks for (RFC 6750 section 3).
    scope: Option<String>,
}

impl Challenges {
    /// Challenges for these methods. The realms are valid.
    pub(crate) fn new(realm: &str, schemes: Schemes) -> Self {
        let realm = quoted(realm);
        let api_key = schemes.api_key.as_ref().map(|(header, query)| {
            let part = |name: &str, value: &Option<String>| {
                value.as_ref().map_or(String::new(), |value| format!(", {name}={}", quoted(value)))
            };
            format!("ApiKey realm={realm}{}{}", part("header", header), part("query", query))
        });
        let basic = schemes.basic.as_deref();
        Self {
            api_key,
            scope: schemes.scope,
            bearer: schemes.bearer.then(|| match schemes.metadata {
                Some(address) => format!("Bearer realm={realm}, resource_metadata=\"{address}\""),
                None => format!("Bearer realm={realm}"),
            }),
            // The charset is the only one that RFC 7617 section 2.1 defines.
            basic: basic.map(|realm| format!("Basic realm={}, charset=\"UTF-8\"", quoted(realm))),
        }
    }

    /// The answer to a refused request.
    pub(crate) fn answer(&self, refusal: Refusal) -> Response {
        match refusal {
            Refusal::Missing => self.unauthorized(None),
            Refusal::Invalid { bearer, .. } => self.unauthorized(bearer.then_some("invalid_token")),
            // Where there is nothing else to ask for, a challenge would have no scheme.
            Refusal::Certificate(_) if self.are_none() => {
                Response::forbidden("A client certificate that is known here is needed.")
            }
            Refusal::Certificate(_) => self.unauthorized(None),
            Refusal::Several | Refusal::MalformedBearer => {
                let detail = match refusal {
                    Refusal::Several => "The request carries more than one credential.",
                    _ => "The credential is malformed.",
                };
                self.with_bearer(Response::bad_request(detail), Some("invalid_request"))
            }
            Refusal::Insufficient { bearer } => {
                let answer = Response::forbidden(FORBIDDEN);
                match (&self.scope, bearer) {
                    (_, false) => answer,
                    (None, true) => self.with_bearer(answer, Some("insufficient_scope")),
                    (Some(scope), true) => {
                        let error = format!("insufficient_scope\", scope=\"{scope}");
                        self.with_bearer(answer, Some(&error))
                    }
                }
            }
            Refusal::NoConsumer => Response::forbidden(FORBIDDEN),
            Refusal::Busy | Refusal::NoKeys(_) => {
                let detail = "The credential cannot be checked at the moment.";
                Response::service_unavailable(detail).header("retry-after", "1")
            }
            Refusal::Failed(_) => {
                let detail = "The credential cannot be checked.";
                Response::problem(500, "Internal Server Error", detail)
            }
        }
    }

    fn are_none(&self) -> bool {
        self.bearer.is_none() && self.basic.is_none() && self.api_key.is_none()
    }

    fn unauthorized(&self, error: Option<&str>) -> Response {
        let answer = Response::unauthorized("A valid credential is needed.");
        let answer = self.with_bearer(answer, error);
        let others = [&self.basic, &self.api_key].into_iter().flatten();
        others.fold(answer, |answer, challenge| answer.add_header(FIELD, challenge.as_str()))
    }

    fn with_bearer(&self, answer: Response, error: Option<&str>) -> Response {
        match (&self.bearer, error) {
            (None, _) => answer,
            (Some(challenge), None) => answer.add_header(FIELD, challenge.as_str()),
            (Some(challenge), Some(error)) => {
                answer.add_header(FIELD, format!("{challenge}, error=\"{error}\""))
            }
        }
    }
}

/// Whether a text can be a realm.
pub(crate) fn is_realm(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// Whether a text can be an address in a challenge.
pub(crate) fn is_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_plain))
}

/// A quoted string (RFC 9110 section 5.6.4).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
