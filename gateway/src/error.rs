//! Everything that can go wrong with an exchange, and the source of each error.
//!
//! Owns the closed list of failures, with the status and the text for the client. Details of what
//! went wrong behind the gateway are for the log only: a `source` never reaches the client. Must
//! not know how an answer is written; that is [`crate::respond`].

mod component;
mod reason;

use std::error::Error as StdError;
use std::sync::Arc;

use http::{Method, StatusCode};
use thiserror::Error;

pub use self::component::ComponentError;
pub use self::reason::Reason;
use crate::health::NoPlace;
use crate::path::PathError;
use crate::upstream::{ConnectError, UpstreamError};

/// A cause from another library, for the log.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// The source of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorSource {
    /// The client sent something wrong, or nothing in time.
    Client,
    /// The service behind the gateway, or the component in its place.
    Upstream,
    /// A plugin trapped, ran out of time or broke its contract.
    Plugin,
    /// The gateway itself.
    Gateway,
}

impl ErrorSource {
    /// As the log names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Plugin => "plugin",
            Self::Gateway => "gateway",
        }
    }
}

/// Why an exchange failed. `Display` is for the log, [`Failure::detail`] for the client.
#[derive(Debug, Error)]
pub enum Failure {
    /// 400
    #[error("malformed request: {0}")]
    Malformed(#[from] Malformed),
    /// 404
    #[error("no route matches")]
    NotFound,
    /// 421: the host is not the one for which the TLS connection was made (RFC 9110 section 15.5.20).
    #[error("the host is not the one that the TLS handshake named")]
    Misdirected,
    /// 405, with the methods that would do.
    #[error("no route takes this method")]
    MethodNotAllowed {
        /// For `Allow`.
        allow: Vec<Method>,
    },
    /// 408: the head of a request began and did not end in time.
    #[error("the request head was not complete in time")]
    HeadTimeout,
    /// 408: no byte of the request body came for the idle time.
    #[error("the request body stalled")]
    UploadStalled,
    /// 408: the request body came more slowly than it may.
    #[error("the request body came more slowly than {least} bytes a second")]
    UploadTooSlow {
        /// Bytes a second.
        least: u64,
    },
    /// 408: the whole request body is waited for, and it did not come in time.
    #[error("the request body was not complete within {limit:?}")]
    UploadTooLong {
        /// `limits.buffer_time` of the plugin that waits, or `timeouts.request_body` of the upstream.
        limit: std::time::Duration,
    },
    /// 503: there is no room for a body that a plugin asked for.
    #[error("no room for a body that the plugin {plugin} asked for: {bound}")]
    NoRoom {
        /// Its name in the configuration.
        plugin: Arc<str>,
        /// Which bound is reached.
        bound: String,
    },
    /// 503: there is no room for a body whose length the upstream must be told.
    #[error(
        "no room for a body of which the upstream {upstream} is told the length: bodies that are held may take {bound} \
         bytes (`buffered_bodies` of `[gateway]`)"
    )]
    NoRoomToSend {
        /// Its name in the configuration.
        upstream: Arc<str>,
        /// Bytes.
        bound: usize,
    },
    /// The gateway ended the exchange before the client had taken all of the answer.
    #[error("{0}")]
    Cut(Cut),
    /// 411: the upstream must be told the length of the body, and this much was read without its end.
    #[error("a request body of more than {limit} bytes needs a content-length here")]
    LengthRequired {
        /// `buffer_request_bodies` of the upstream, in bytes.
        limit: u64,
    },
    /// 413
    #[error("the request body is larger than {limit} bytes")]
    BodyTooLarge {
        /// Bytes.
        limit: u64,
    },
    /// 502: the whole response that a plugin asked for is longer than it takes.
    #[error("the response is longer than the {limit} bytes that the plugin {plugin} takes")]
    AnswerTooLarge {
        /// Its name in the configuration.
        plugin: Arc<str>,
        /// Bytes.
        limit: u64,
    },
    /// 414
    #[error("the request target is too long")]
    TargetTooLong,
    /// 505
    #[error("HTTP/1.0, HTTP/1.1 and HTTP/2 are served, and no other version")]
    VersionRefused,
    /// 431
    #[error("the request head is too large")]
    HeadTooLarge,
    /// 501: `CONNECT`.
    #[error("CONNECT is served for WebSocket over HTTP/2 alone (RFC 8441)")]
    ConnectRefused,
    /// 501: a WebSocket was asked for over HTTP/2, where this ordinary response would agree to it.
    #[error("a WebSocket was asked for, and the answer is an ordinary response ({0})")]
    NotSwitched(StatusCode),
    /// 501: a transfer coding other than `chunked` (RFC 9112 section 6.1).
    #[error("unknown transfer coding")]
    TransferCoding,
    /// The client went away while its request was being read.
    #[error("the client left")]
    ClientLeft(#[source] Option<Cause>),
    /// 500: something in the gateway did not hold.
    #[error("internal error: {0}")]
    Internal(&'static str),
    /// 500: a plugin failed and its `on_error` is `closed`.
    #[error("plugin {plugin} failed")]
    PluginFailed {
        /// Its name in the configuration.
        plugin: String,
        /// What happened.
        #[source]
        source: Cause,
    },
    /// 503: too many calls of a plugin wait for their turn or for an instance, and its `on_error` is
    /// `closed`.
    #[error("plugin {plugin} is busy: {source}")]
    PluginBusy {
        /// Its name in the configuration.
        plugin: String,
        /// What happened.
        #[source]
        source: Cause,
    },
    /// 502 or 504: the upstream gave no response head.
    #[error("upstream: {0}")]
    Upstream(#[from] UpstreamError),
    /// 502, 503 or 504: the component that replaces an upstream gave no response, or
    /// only a part of one.
    #[error("component {component} failed")]
    Component {
        /// Its name in the configuration.
        component: Arc<str>,
        /// What happened.
        #[source]
        source: Arc<ComponentError>,
    },
    /// 503: the upstream has as many requests as it may have.
    #[error("no place at the upstream {upstream}: {source}")]
    UpstreamFull {
        /// Its name in the configuration.
        upstream: Arc<str>,
        /// Which bound is reached.
        #[source]
        source: NoPlace,
    },
    /// 502: the response broke off, or is one that cannot be passed on.
    #[error("the upstream's response is unusable")]
    UpstreamBroken(#[source] Cause),
    /// 502: the response stopped in its body for `timeouts.idle` of the upstream.
    #[error("the upstream's response is unusable")]
    UpstreamStalled(#[source] Cause),
    /// 504: the time for the whole exchange is over.
    #[error("the request took longer than it may")]
    RequestTimeout,
    /// 504: the client of a gRPC call waits no longer (`grpc-timeout`). Nobody behind the gateway failed.
    #[error("the client's deadline is over")]
    DeadlineOver,
}

/// Why the gateway ended an exchange that was on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Cut {
    /// `timeouts.idle` of the listener.
    #[error("the client took nothing of the response for the idle time of {0:?}, and was cut off")]
    Idle(std::time::Duration),
    /// The same, after a change of protocol.
    #[error(
        "neither side sent anything for the idle time of {0:?}, and the connection was cut off"
    )]
    Silent(std::time::Duration),
    /// `shutdown_grace`.
    #[error("the gateway or the listener ends, and cut the exchange off")]
    Drain,
}

/// What is wrong with a request head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Not HTTP, or a field that is not allowed to look like this.
    #[error("the request head does not follow RFC 9112")]
    Syntax,
    /// RFC 9112 section 6.1.
    #[error("both content-length and transfer-encoding are given")]
    TwoLengths,
    /// RFC 9112 section 3.2.
    #[error("the host field is missing")]
    HostMissing,
    /// RFC 9112 section 3.2.
    #[error("there is more than one host field")]
    HostRepeated,
    /// RFC 9110 section 7.2.
    #[error("the host is not valid")]
    HostInvalid,
    /// RFC 9113 section 8.2.1; HTTP/1.1 leaves such blanks out of the value.
    #[error("a field value begins or ends with white space")]
    FieldSpace,
    /// RFC 9110 section 7.6.2.
    #[error("max-forwards is not one whole number")]
    MaxForwards,
    /// RFC 9113 section 8.3.1.
    #[error("the host field differs from the authority")]
    HostDiffers,
    /// RFC 9110 section 4.2.4.
    #[error("the authority holds user information")]
    UserInfo,
    /// The target is of a form that this method does not have (RFC 9112 section 3.2).
    #[error("the request target does not fit the method")]
    TargetForm,
    /// RFC 9112 section 3.2: a fragment is no part of a target.
    #[error("the request target holds '#'")]
    Fragment,
    /// A path that two servers could read differently.
    #[error("{0}")]
    Path(#[from] PathError),
    /// A body that two servers could end in different places.
    #[error("the chunks of the request body do not follow RFC 9112")]
    Chunks,
    /// A body of gRPC-Web in its notation as text.
    #[error("the body of gRPC-Web is not base64")]
    Base64,
    /// Such names collide with hyphens in CGI-like environments.
    #[error("a field name holds an underscore")]
    Underscore,
}

impl Failure {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::ClientLeft(_) => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::HeadTimeout
            | Self::UploadStalled
            | Self::UploadTooSlow { .. }
            | Self::UploadTooLong { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::NoRoom { .. }
            | Self::NoRoomToSend { .. }
            | Self::UpstreamFull { .. }
            | Self::Cut(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::LengthRequired { .. } => StatusCode::LENGTH_REQUIRED,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::ConnectRefused | Self::TransferCoding | Self::NotSwitched(_) => {
                StatusCode::NOT_IMPLEMENTED
            }
            Self::VersionRefused => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Internal(_) | Self::PluginFailed { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::PluginBusy { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Upstream(error) => error.status(),
            Self::Component { source, .. } => source.status(),
            Self::UpstreamBroken(_) | Self::UpstreamStalled(_) | Self::AnswerTooLarge { .. } => {
                StatusCode::BAD_GATEWAY
            }
            Self::RequestTimeout | Self::DeadlineOver => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Who caused it.
    #[must_use]
    pub fn error_source(&self) -> ErrorSource {
        match self {
            Self::Malformed(_)
            | Self::NotFound
            | Self::Misdirected
            | Self::MethodNotAllowed { .. }
            | Self::HeadTimeout
            | Self::UploadStalled
            | Self::UploadTooSlow { .. }
            | Self::UploadTooLong { .. }
            | Self::BodyTooLarge { .. }
            | Self::LengthRequired { .. }
            | Self::TargetTooLong
            | Self::VersionRefused
            | Self::HeadTooLarge
            | Self::ConnectRefused
            | Self::TransferCoding
            | Self::DeadlineOver
            | Self::ClientLeft(_) => ErrorSource::Client,
            Self::Internal(_) | Self::NoRoom { .. } | Self::NoRoomToSend { .. } | Self::Cut(_) => {
                ErrorSource::Gateway
            }
            Self::PluginFailed { .. } | Self::PluginBusy { .. } => ErrorSource::Plugin,
            Self::Upstream(UpstreamError::RequestBody { .. }) => ErrorSource::Client,
            Self::Upstream(_)
            | Self::NotSwitched(_)
            | Self::UpstreamFull { .. }
            | Self::Component { .. }
            | Self::UpstreamBroken(_)
            | Self::UpstreamStalled(_)
            | Self::AnswerTooLarge { .. }
            | Self::RequestTimeout => ErrorSource::Upstream,
        }
    }

    /// The text for the client besides the status. Never a cause from behind the gateway.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::Malformed(what) => sentence(&what.to_string()),
            Self::Internal(_) => "Something failed in the gateway.".to_owned(),
            Self::PluginFailed { .. } => "A plugin on this route failed.".to_owned(),
            Self::AnswerTooLarge { limit, .. } => {
                format!(
                    "The upstream's answer is longer than {limit} bytes, the most that is read as a whole."
                )
            }
            Self::NoRoom { .. } | Self::NoRoomToSend { .. } => {
                "There is no room for the body at the moment: it would have to be held in memory."
                    .to_owned()
            }
            Self::PluginBusy { .. } => {
                "A plugin on this route has more requests than it can serve at the moment."
                    .to_owned()
            }
            Self::NotSwitched(_) => "There is no WebSocket at this resource.".to_owned(),
            Self::UpstreamFull { .. } | Self::Upstream(UpstreamError::NoConnection { .. }) => {
                "The upstream has more requests than it can serve at the moment.".to_owned()
            }
            Self::Upstream(error) => upstream_detail(error).to_owned(),
            Self::Component { source, .. } => source.detail().to_owned(),
            other => sentence(&other.to_string()),
        }
    }

    /// Whether the same request may well do in a moment, since only too many came at once.
    #[must_use]
    pub fn is_overload(&self) -> bool {
        match self {
            Self::NoRoom { .. }
            | Self::NoRoomToSend { .. }
            | Self::PluginBusy { .. }
            | Self::UpstreamFull { .. }
            | Self::Upstream(UpstreamError::NoConnection { .. }) => true,
            Self::Component { source, .. } => source.status() == StatusCode::SERVICE_UNAVAILABLE,
            _ => false,
        }
    }

    /// Whether the connection must not carry another request: what follows on it cannot be distinguished
    /// apart from the rest of this one.
    #[must_use]
    pub fn closes(&self) -> bool {
        match self {
            Self::Malformed(what) => {
                matches!(what, Malformed::Syntax | Malformed::TwoLengths | Malformed::Chunks)
            }
            Self::TransferCoding
            | Self::HeadTimeout
            | Self::UploadStalled
            | Self::UploadTooSlow { .. }
            | Self::UploadTooLong { .. }
            | Self::BodyTooLarge { .. }
            | Self::LengthRequired { .. }
            | Self::TargetTooLong
            | Self::VersionRefused
            | Self::HeadTooLarge
            | Self::ConnectRefused
            | Self::Cut(_)
            | Self::ClientLeft(_) => true,
            Self::NotFound
            | Self::Misdirected
            | Self::MethodNotAllowed { .. }
            | Self::Internal(_)
            | Self::PluginFailed { .. }
            | Self::NoRoom { .. }
            | Self::NoRoomToSend { .. }
            | Self::PluginBusy { .. }
            | Self::Upstream(_)
            | Self::NotSwitched(_)
            | Self::UpstreamFull { .. }
            | Self::Component { .. }
            | Self::UpstreamBroken(_)
            | Self::UpstreamStalled(_)
            | Self::AnswerTooLarge { .. }
            | Self::RequestTimeout
            | Self::DeadlineOver => false,
        }
    }

    /// The failure and everything below it, in one line for the log. A cause that the text above
    /// it reports already is not reported twice.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let told = error.to_string();
            // A plugin's trace is in its own record.
            let told = match self {
                Self::PluginFailed { .. } => told.lines().next().unwrap_or_default(),
                _ => &*told,
            };
            if !text.ends_with(told) {
                text.push_str(": ");
                text.push_str(told);
            }
            cause = error.source();
        }
        text
    }
}

/// No names, addresses or causes: those are the operator's.
fn upstream_detail(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::Connect {
            cause: ConnectError::Timeout(_) | ConnectError::AttemptTimeout(_),
            ..
        } => "The gateway could not connect to the upstream in time.",
        UpstreamError::Connect { .. } => "The gateway could not connect to the upstream.",
        UpstreamError::FirstByteTimeout { .. } | UpstreamError::AttemptTimeout { .. } => {
            "The upstream did not answer in time."
        }
        UpstreamError::ClosedBeforeResponse { .. } | UpstreamError::Reset { .. } => {
            "The upstream closed the connection before it answered."
        }
        UpstreamError::MalformedResponse { .. } => "The upstream's answer is not valid HTTP.",
        UpstreamError::ResponseTooLarge { .. } => {
            "The head of the upstream's answer is larger than the gateway takes."
        }
        UpstreamError::NoConnection { .. } => {
            "The upstream has more requests than it can serve at the moment."
        }
        UpstreamError::NoUpgrade { .. } => {
            "The upstream speaks HTTP/2, and does not say that it takes this protocol over it."
        }
        UpstreamError::RequestBody { .. } => "The request body broke off.",
        UpstreamError::Protocol { .. } => "The upstream broke the protocol.",
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).chain(['.']).collect()
}
