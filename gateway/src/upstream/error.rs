//! What can go wrong between a request that is ready and the head of its response.
//!
//! Owns the errors and how they are shown to a client. Each says which target it is about and keeps
//! its cause, so that one log line is enough to act on.

use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::{http1, http2};
use crate::health::NoPlace;

/// The cause of an error, of any type.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why an upstream gave no response.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection was made; nothing was sent.
    #[error("cannot connect to {target}: {cause}")]
    Connect {
        /// The last target that was tried, as `host:port`.
        target: Arc<str>,
        /// What was in the way.
        #[source]
        cause: ConnectError,
    },
    /// Each target has as many connections as it may have, and none became free.
    #[error("no connection to {target}: {source}")]
    NoConnection {
        /// The target that was waited for, as `host:port`.
        target: Arc<str>,
        /// Which bound is reached.
        #[source]
        source: NoPlace,
    },
    /// The request was sent and no response began in time.
    #[error("{target} sent no response within {timeout:?} after the request (`first_byte`)")]
    FirstByteTimeout {
        /// The target, as `host:port`.
        target: Arc<str>,
        /// The configured bound.
        timeout: Duration,
    },
    /// An attempt took longer than the route gives it.
    #[error("{target} sent no response within {timeout:?} (`retries.attempt_timeout`)")]
    AttemptTimeout {
        /// The target, as `host:port`.
        target: Arc<str>,
        /// The configured bound.
        timeout: Duration,
    },
    /// The connection ended in an orderly way before the response head was complete.
    #[error("{target} closed the connection before its response was complete")]
    ClosedBeforeResponse {
        /// The target, as `host:port`.
        target: Arc<str>,
        /// What the connection reported.
        #[source]
        cause: Cause,
    },
    /// The connection broke before the response head was complete.
    #[error("the connection to {target} broke before its response: {cause}")]
    Reset {
        /// The target, as `host:port`.
        target: Arc<str>,
        /// What the connection reported.
        #[source]
        cause: Cause,
    },
    /// What came is no HTTP response, or one that would be ambiguous if it were passed on.
    #[error("{target} sent a malformed response: {reason}")]
    MalformedResponse {
        /// The target, as `host:port`.
        target: Arc<str>,
        /// What is wrong with it.
        reason: Cow<'static, str>,
        /// What the parser reported, if it was the parser that refused it.
        #[source]
        cause: Option<Cause>,
    },
    /// Its head is larger than the upstream's `limits` allow.
    #[error("{target} sent a response head with {excess}")]
    ResponseTooLarge {
        /// The target, as `host:port`.
        target: Arc<str>,
        /// Which limit it is over.
        excess: Excess,
    },
    /// The upstream speaks HTTP/2 in clear, which has no change of protocol (RFC 9113 section 8.6), and the
    /// target does not announce what there is for WebSocket in its place (RFC 8441), or it is another protocol.
    #[error(
        "{target} cannot be asked for this protocol: the upstream's `protocol` is \"http2\", in clear, over \
         which there is only WebSocket, where the target announces it (SETTINGS_ENABLE_CONNECT_PROTOCOL)"
    )]
    NoUpgrade {
        /// The target, as `host:port`.
        target: Arc<str>,
    },
    /// The body of the request itself failed while it was sent: the client's fault, or a limit's,
    /// never the upstream's. The cause is the body's own error, to be downcast.
    #[error("the request's body failed on its way to {target}: {cause}")]
    RequestBody {
        /// The target, as `host:port`.
        target: Arc<str>,
        /// The error of the body.
        #[source]
        cause: Cause,
    },
    /// The request cannot be said in the target's protocol, or the target broke the protocol
    /// (HTTP/2: reset of the stream, GOAWAY, a connection error).
    #[error("the exchange with {target} failed: {reason}")]
    Protocol {
        /// The target, as `host:port`.
        target: Arc<str>,
        /// What is wrong.
        reason: Cow<'static, str>,
        /// What the connection reported, if it was the connection.
        #[source]
        cause: Option<Cause>,
    },
}

impl UpstreamError {
    /// Whether there is no response by the fault of the target that was connected to.
    pub(super) fn is_by_target(&self) -> bool {
        matches!(
            self,
            Self::FirstByteTimeout { .. }
                | Self::AttemptTimeout { .. }
                | Self::ClosedBeforeResponse { .. }
                | Self::Reset { .. }
                | Self::MalformedResponse { .. }
        )
    }

    /// Whether the target has processed nothing of the request for certain.
    pub(super) fn is_unprocessed(&self) -> bool {
        let cause = match self {
            Self::Connect { .. } => return true,
            Self::ClosedBeforeResponse { cause, .. } | Self::Reset { cause, .. } => Some(cause),
            Self::Protocol { cause, .. } => cause.as_ref(),
            Self::FirstByteTimeout { .. }
            | Self::AttemptTimeout { .. }
            | Self::MalformedResponse { .. }
            | Self::ResponseTooLarge { .. }
            | Self::NoConnection { .. }
            | Self::NoUpgrade { .. }
            | Self::RequestBody { .. } => None,
        };
        let cause = cause.and_then(|cause| cause.downcast_ref::<h2::Error>());
        cause.is_some_and(http2::was_not_processed)
    }

    /// What a client is answered: 504 when time ran out, otherwise 502.
    ///
    /// For [`UpstreamError::RequestBody`] it is 400, which the caller replaces by what the body's
    /// own error means (RFC 9110 sections 15.5.9 and 15.5.14).
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Connect {
                cause: ConnectError::Timeout(_) | ConnectError::AttemptTimeout(_),
                ..
            }
            | Self::FirstByteTimeout { .. }
            | Self::AttemptTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::RequestBody { .. } => StatusCode::BAD_REQUEST,
            Self::NoUpgrade { .. } => StatusCode::NOT_IMPLEMENTED,
            Self::NoConnection { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Connect { .. }
            | Self::ClosedBeforeResponse { .. }
            | Self::Reset { .. }
            | Self::MalformedResponse { .. }
            | Self::ResponseTooLarge { .. }
            | Self::Protocol { .. } => StatusCode::BAD_GATEWAY,
        }
    }

    /// The target that it is about, as `host:port`.
    #[must_use]
    pub fn target(&self) -> &str {
        match self {
            Self::Connect { target, .. }
            | Self::NoConnection { target, .. }
            | Self::FirstByteTimeout { target, .. }
            | Self::AttemptTimeout { target, .. }
            | Self::ClosedBeforeResponse { target, .. }
            | Self::Reset { target, .. }
            | Self::MalformedResponse { target, .. }
            | Self::ResponseTooLarge { target, .. }
            | Self::NoUpgrade { target }
            | Self::RequestBody { target, .. }
            | Self::Protocol { target, .. } => target,
        }
    }

    /// Sorts what a connection reports for a request that was sent over HTTP/1.1.
    pub(super) fn from_http1(target: Arc<str>, error: http1::Error) -> Self {
        match error {
            http1::Error::Closed => Self::ClosedBeforeResponse { target, cause: error.into() },
            http1::Error::Io(_) => Self::Reset { target, cause: error.into() },
            http1::Error::Malformed(_) | http1::Error::Body(_) => {
                let reason = Cow::Owned(error.to_string());
                Self::MalformedResponse { target, reason, cause: Some(error.into()) }
            }
            http1::Error::TooLarge(excess) => Self::ResponseTooLarge { target, excess },
            http1::Error::RequestBody => Self::RequestBody { target, cause: error.into() },
        }
    }

    /// The connection ended before a byte of a response, and the request had this head.
    pub(super) fn behind(self, head: LongHead) -> Self {
        let with = |cause: Cause| Cause::from(EndedBehind { cause, head });
        match self {
            Self::ClosedBeforeResponse { target, cause } => {
                Self::ClosedBeforeResponse { target, cause: with(cause) }
            }
            Self::Reset { target, cause } => Self::Reset { target, cause: with(cause) },
            other => other,
        }
    }

    /// What came instead of a response belongs to an earlier one on the same connection.
    pub(super) fn of_earlier_response(self) -> Self {
        match self {
            Self::MalformedResponse { target, reason, cause } => {
                let reason = format!(
                    "{reason}, so that it belongs to an earlier response on the same connection; the request may \
                     have been processed"
                );
                Self::MalformedResponse { target, reason: Cow::Owned(reason), cause }
            }
            other => other,
        }
    }

    /// Sorts what a connection reports for a request that was sent over HTTP/2.
    pub(super) fn from_http2(target: Arc<str>, error: h2::Error) -> Self {
        if error.is_io() {
            Self::Reset { target, cause: error.into() }
        } else if error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR) {
            Self::ClosedBeforeResponse { target, cause: error.into() }
        } else {
            let reason = Cow::Owned(error.to_string());
            Self::Protocol { target, reason, cause: Some(error.into()) }
        }
    }
}

/// The head of a request that some servers find too long. Not all of them say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the head of the request has {fields} fields and {bytes} bytes, which may be more than the target takes"
)]
pub(super) struct LongHead {
    fields: usize,
    bytes: usize,
}

impl LongHead {
    /// Common bounds are 100 fields and 8 KiB, and there are smaller ones.
    const FIELDS: usize = 60;
    const BYTES: usize = 4 << 10;

    /// The head as it was written, if it is one.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let lines = memchr::memchr_iter(b'\n', head).count();
        // The first line is the request's, and the last is empty.
        let this = Self { fields: lines.saturating_sub(2), bytes: head.len() };
        (this.fields >= Self::FIELDS || this.bytes >= Self::BYTES).then_some(this)
    }
}

/// Why a connection ended, and what may be the reason.
#[derive(Debug, thiserror::Error)]
#[error("{cause}; {head}")]
struct EndedBehind {
    cause: Cause,
    head: LongHead,
}

/// Which of the upstream's `limits` a response head is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// `header_count`
    #[error("more than {0} fields (`limits.header_count` of the upstream)")]
    Count(usize),
    /// `header_size`
    #[error("more than {0} bytes (`limits.header_size` of the upstream)")]
    Size(usize),
}

/// Why no connection was made. Cheap to clone, for all requests that waited for the same one.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("the name {host} cannot be resolved: {cause}")]
    Dns {
        /// The name.
        host: Arc<str>,
        /// What the resolver reported.
        #[source]
        cause: Arc<io::Error>,
    },
    /// The address answers, and nobody listens there.
    #[error("the connection was refused")]
    Refused(#[source] Arc<io::Error>),
    /// The address cannot be reached.
    #[error("the address cannot be reached: {0}")]
    Unreachable(#[source] Arc<io::Error>),
    /// The TLS handshake failed.
    #[error("TLS: {0}")]
    Tls(#[source] Arc<io::Error>),
    /// The upstream's protocol is `"http2"` and the target does not offer it in its handshake.
    #[error(
        "the target did not agree to HTTP/2 (ALPN h2), which the upstream's `protocol` asks for"
    )]
    NoHttp2,
    /// The HTTP/2 connection could not be begun.
    #[error("HTTP/2: {0}")]
    Handshake(#[source] Arc<h2::Error>),
    /// It speaks HTTP/2 alone and does not announce extended CONNECT.
    #[error("it does not take extended CONNECT (RFC 8441)")]
    NoTunnel,
    /// The target has as many connections as it may have.
    #[error("it has as many connections as it may have (`connections.max`)")]
    Full,
    /// TCP and TLS took longer than they may.
    #[error("no connection within {0:?} (`connect`)")]
    Timeout(Duration),
    /// An attempt took longer than the route gives it, and there was no connection yet.
    #[error("no connection within {0:?} (`retries.attempt_timeout`)")]
    AttemptTimeout(Duration),
}

impl ConnectError {
    pub(super) fn from_tcp(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused(Arc::new(error)),
            _ => Self::Unreachable(Arc::new(error)),
        }
    }
}

/// Why an upstream cannot be set up. A checked configuration meets these only where the machine
/// differs from what was checked.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The system has no trusted root certificates, and the upstream names no `ca`.
    #[error("the system's root certificates cannot be read: {0}; set `tls.ca`")]
    NoSystemRoots(String),
    /// A certificate in `ca` is not usable as a trust anchor, or TLS cannot be configured.
    #[error("upstream {upstream}: TLS: {cause}")]
    Tls {
        /// The upstream's name.
        upstream: String,
        /// What rustls reported.
        #[source]
        cause: rustls::Error,
    },
    /// Neither a DNS name nor an IP address.
    #[error("upstream {upstream}: {name:?} is no host name that a certificate can be for")]
    ServerName {
        /// The upstream's name.
        upstream: String,
        /// `server_name`, or the target's host.
        name: String,
    },
    /// The target's authority is not allowed in a request.
    #[error("upstream {upstream}: {authority:?} is no authority")]
    Authority {
        /// The upstream's name.
        upstream: String,
        /// The target's authority.
        authority: String,
    },
}
