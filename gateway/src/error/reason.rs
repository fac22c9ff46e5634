//! Why an exchange failed, in one word: for metrics, where texts would be series without end.
//!
//! Owns the closed list of reasons. Those that are timeouts end in `-timeout`.

use super::{ComponentError, Cut, ErrorSource, Failure};
use crate::health::NoPlace;
use crate::upstream::{ConnectError, UpstreamError};

/// See the module; the words are [`Reason::as_str`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is its word")]
pub enum Reason {
    Malformed,
    NoRoute,
    Misdirected,
    Method,
    HeaderTimeout,
    BodyTimeout,
    BodyRate,
    BufferTimeout,
    BodySize,
    LengthRequired,
    TargetSize,
    HeaderSize,
    Version,
    ConnectMethod,
    TransferCoding,
    ClientLeft,
    DeadlineTimeout,
    RequestBody,
    Connect,
    ConnectTimeout,
    FirstByteTimeout,
    AttemptTimeout,
    Closed,
    Reset,
    MalformedResponse,
    ResponseHeaderSize,
    ResponseSize,
    NoUpgrade,
    ProtocolError,
    UpstreamFull,
    UpstreamQueueTimeout,
    BrokenResponse,
    UpstreamIdleTimeout,
    RequestTimeout,
    Component,
    ComponentBusy,
    Plugin,
    PluginBusy,
    Internal,
    NoRoom,
    ClientIdleTimeout,
    TunnelIdleTimeout,
    Drain,
}

/// By the place in [`Reason`].
const WORDS: [(&str, ErrorSource); Reason::COUNT] = [
    ("malformed", ErrorSource::Client),
    ("no-route", ErrorSource::Client),
    ("misdirected", ErrorSource::Client),
    ("method", ErrorSource::Client),
    ("header-timeout", ErrorSource::Client),
    ("body-timeout", ErrorSource::Client),
    ("body-rate", ErrorSource::Client),
    ("buffer-timeout", ErrorSource::Client),
    ("body-size", ErrorSource::Client),
    ("length-required", ErrorSource::Client),
    ("target-size", ErrorSource::Client),
    ("header-size", ErrorSource::Client),
    ("version", ErrorSource::Client),
    ("connect-method", ErrorSource::Client),
    ("transfer-coding", ErrorSource::Client),
    ("client-left", ErrorSource::Client),
    ("deadline-timeout", ErrorSource::Client),
    ("request-body", ErrorSource::Client),
    ("connect", ErrorSource::Upstream),
    ("connect-timeout", ErrorSource::Upstream),
    ("first-byte-timeout", ErrorSource::Upstream),
    ("attempt-timeout", ErrorSource::Upstream),
    ("closed", ErrorSource::Upstream),
    ("reset", ErrorSource::Upstream),
    ("malformed-response", ErrorSource::Upstream),
    ("response-header-size", ErrorSource::Upstream),
    ("response-size", ErrorSource::Upstream),
    ("no-upgrade", ErrorSource::Upstream),
    ("protocol-error", ErrorSource::Upstream),
    ("upstream-full", ErrorSource::Upstream),
    ("upstream-queue-timeout", ErrorSource::Upstream),
    ("broken-response", ErrorSource::Upstream),
    ("upstream-idle-timeout", ErrorSource::Upstream),
    ("request-timeout", ErrorSource::Upstream),
    ("component", ErrorSource::Upstream),
    ("component-busy", ErrorSource::Upstream),
    ("plugin", ErrorSource::Plugin),
    ("plugin-busy", ErrorSource::Plugin),
    ("internal", ErrorSource::Gateway),
    ("no-room", ErrorSource::Gateway),
    ("client-idle-timeout", ErrorSource::Gateway),
    ("tunnel-idle-timeout", ErrorSource::Gateway),
    ("drain", ErrorSource::Gateway),
];

impl Reason {
    /// How many there are.
    pub const COUNT: usize = Self::Drain as usize + 1;

    /// Word and fault of each, by its place.
    pub fn all() -> impl Iterator<Item = (&'static str, ErrorSource)> {
        WORDS.into_iter()
    }

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        WORDS[self as usize].0
    }
}

impl Failure {
    /// Why, in one word.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Malformed(_) => Reason::Malformed,
            Self::NotFound => Reason::NoRoute,
            Self::Misdirected => Reason::Misdirected,
            Self::MethodNotAllowed { .. } => Reason::Method,
            Self::HeadTimeout => Reason::HeaderTimeout,
            Self::UploadStalled => Reason::BodyTimeout,
            Self::UploadTooSlow { .. } => Reason::BodyRate,
            Self::UploadTooLong { .. } => Reason::BufferTimeout,
            Self::BodyTooLarge { .. } => Reason::BodySize,
            Self::LengthRequired { .. } => Reason::LengthRequired,
            Self::TargetTooLong => Reason::TargetSize,
            Self::HeadTooLarge => Reason::HeaderSize,
            Self::VersionRefused => Reason::Version,
            Self::ConnectRefused => Reason::ConnectMethod,
            Self::TransferCoding => Reason::TransferCoding,
            Self::ClientLeft(_) => Reason::ClientLeft,
            Self::Internal(_) => Reason::Internal,
            Self::NoRoom { .. } | Self::NoRoomToSend { .. } => Reason::NoRoom,
            Self::AnswerTooLarge { .. } => Reason::ResponseSize,
            Self::Cut(Cut::Idle(_)) => Reason::ClientIdleTimeout,
            Self::Cut(Cut::Silent(_)) => Reason::TunnelIdleTimeout,
            Self::Cut(Cut::Drain) => Reason::Drain,
            Self::PluginFailed { .. } => Reason::Plugin,
            Self::PluginBusy { .. } => Reason::PluginBusy,
            Self::Upstream(error) => of_upstream(error),
            Self::UpstreamFull { source, .. } => of_no_place(source),
            Self::Component { source, .. } => of_component(source),
            Self::UpstreamBroken(_) => Reason::BrokenResponse,
            Self::UpstreamStalled(_) => Reason::UpstreamIdleTimeout,
            Self::NotSwitched(_) => Reason::NoUpgrade,
            Self::RequestTimeout => Reason::RequestTimeout,
            Self::DeadlineOver => Reason::DeadlineTimeout,
        }
    }
}

fn of_no_place(source: &NoPlace) -> Reason {
    match source {
        NoPlace::Full { .. } | NoPlace::NoConnection { .. } => Reason::UpstreamFull,
        NoPlace::Late { .. } | NoPlace::LateConnection { .. } => Reason::UpstreamQueueTimeout,
    }
}

fn of_upstream(error: &UpstreamError) -> Reason {
    match error {
        UpstreamError::Connect {
            cause: ConnectError::Timeout(_) | ConnectError::AttemptTimeout(_),
            ..
        } => Reason::ConnectTimeout,
        UpstreamError::Connect { .. } => Reason::Connect,
        UpstreamError::NoConnection { source, .. } => of_no_place(source),
        UpstreamError::FirstByteTimeout { .. } => Reason::FirstByteTimeout,
        UpstreamError::AttemptTimeout { .. } => Reason::AttemptTimeout,
        UpstreamError::ClosedBeforeResponse { .. } => Reason::Closed,
        UpstreamError::Reset { .. } => Reason::Reset,
        UpstreamError::MalformedResponse { .. } => Reason::MalformedResponse,
        UpstreamError::ResponseTooLarge { .. } => Reason::ResponseHeaderSize,
        UpstreamError::NoUpgrade { .. } => Reason::NoUpgrade,
        UpstreamError::RequestBody { .. } => Reason::RequestBody,
        UpstreamError::Protocol { .. } => Reason::ProtocolError,
    }
}

fn of_component(error: &ComponentError) -> Reason {
    match error {
        ComponentError::FirstByteTimeout(_) => Reason::FirstByteTimeout,
        ComponentError::Stalled(_) => Reason::UpstreamIdleTimeout,
        ComponentError::Exhausted(_) | ComponentError::NoPlace(_) | ComponentError::Busy(_) => {
            Reason::ComponentBusy
        }
        _ => Reason::Component,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_reason_has_a_word_and_the_fault_of_its_failures() {
        let words: HashSet<_> = Reason::all().map(|(word, _)| word).collect();
        assert_eq!(words.len(), Reason::COUNT);
        let target = || Arc::from("a:1");
        let failures = [
            (Failure::NotFound, "no-route"),
            (Failure::UploadTooLong { limit: Duration::ZERO }, "buffer-timeout"),
            (Failure::Cut(Cut::Idle(Duration::ZERO)), "client-idle-timeout"),
            (Failure::Cut(Cut::Drain), "drain"),
            (Failure::PluginBusy { plugin: String::new(), source: "x".into() }, "plugin-busy"),
            (Failure::UpstreamStalled("x".into()), "upstream-idle-timeout"),
            (Failure::RequestTimeout, "request-timeout"),
            (Failure::DeadlineOver, "deadline-timeout"),
            (Failure::AnswerTooLarge { plugin: target(), limit: 1 }, "response-size"),
            (
                Failure::Upstream(UpstreamError::RequestBody {
                    target: target(),
                    cause: "".into(),
                }),
                "request-body",
            ),
            (
                Failure::Upstream(UpstreamError::Connect {
                    target: target(),
                    cause: ConnectError::Timeout(Duration::ZERO),
                }),
                "connect-timeout",
            ),
            (
                Failure::Component {
                    component: target(),
                    source: Arc::new(ComponentError::Busy(1)),
                },
                "component-busy",
            ),
        ];
        for (failure, word) in failures {
            let reason = failure.reason();
            assert_eq!(reason.as_str(), word);
            assert_eq!(WORDS[reason as usize].1, failure.error_source(), "{word}");
        }
    }
}
