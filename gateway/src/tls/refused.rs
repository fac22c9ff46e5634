//! Why a handshake failed, in one word: for metrics.
//!
//! Owns the closed list of reasons, and words for the log where rustls' own are for programmers.

use std::io;

use rustls::{CertificateError, Error};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakeFailure {
    /// `timeouts.header` is over.
    Timeout,
    /// The client went away.
    Closed,
    /// The client refused, such as the certificate of the listener.
    Alert,
    /// There is no version or suite in common, or the bytes are no TLS.
    Protocol,
    NoCertificate,
    CertificateIssuer,
    CertificateDates,
    CertificateRevoked,
    /// No list says whether it was revoked.
    CertificateStatus,
    /// Anything else that is wrong with the certificate of the client.
    Certificate,
}

impl HandshakeFailure {
    pub(crate) const COUNT: usize = Self::Certificate as usize + 1;

    /// By the place in the list.
    pub(crate) const WORDS: [&str; Self::COUNT] = [
        "timeout",
        "closed",
        "alert",
        "protocol",
        "no-certificate",
        "certificate-issuer",
        "certificate-dates",
        "certificate-revoked",
        "certificate-status",
        "certificate",
    ];

    /// Whether the client is refused for its certificate, or for having none.
    pub(crate) fn is_about_certificate(self) -> bool {
        self as usize >= Self::NoCertificate as usize
    }

    /// A sentence, where there is more to say than rustls does.
    pub(crate) fn words(self) -> Option<&'static str> {
        Some(match self {
            Self::NoCertificate => "the client has shown no certificate",
            Self::CertificateIssuer => {
                "no authority in `client_certificates.ca` has issued it, or the client did not send the chain"
            }
            Self::CertificateDates => "it is not valid now",
            Self::CertificateRevoked => "it was revoked",
            Self::CertificateStatus => {
                "there is no list in `client_certificates.crl` of an authority in its chain"
            }
            Self::Timeout | Self::Closed | Self::Alert | Self::Protocol | Self::Certificate => {
                return None;
            }
        })
    }
}

impl From<&Error> for HandshakeFailure {
    fn from(error: &Error) -> Self {
        use CertificateError as Kind;
        match error {
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::InvalidCertificate(certificate) => match certificate {
                Kind::UnknownIssuer => Self::CertificateIssuer,
                Kind::Expired
                | Kind::ExpiredContext { .. }
                | Kind::NotValidYet
                | Kind::NotValidYetContext { .. } => Self::CertificateDates,
                Kind::Revoked => Self::CertificateRevoked,
                Kind::UnknownRevocationStatus
                | Kind::ExpiredRevocationList
                | Kind::ExpiredRevocationListContext { .. } => Self::CertificateStatus,
                _ => Self::Certificate,
            },
            Error::AlertReceived(_) => Self::Alert,
            _ => Self::Protocol,
        }
    }
}

impl From<&io::Error> for HandshakeFailure {
    fn from(error: &io::Error) -> Self {
        match error.get_ref().and_then(|cause| cause.downcast_ref::<Error>()) {
            Some(cause) => cause.into(),
            None if error.kind() == io::ErrorKind::TimedOut => Self::Timeout,
            None => Self::Closed,
        }
    }
}
