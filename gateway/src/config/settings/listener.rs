//! `[[listeners]]`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::{AccessLog, PathRules, Span};

/// `[[listeners]]`: an address on which clients are served.
#[derive(Debug, Clone)]
pub struct Listener {
    /// `name`, unique.
    pub name: String,
    /// `address`, as `ip:port`.
    pub address: SocketAddr,
    /// Where `address` is in the file, for a port that is in use.
    pub address_span: Span,
    /// `tls`, one table or several (the certificate is chosen by SNI, the first is the default).
    pub tls: Option<ListenerTls>,
    /// `trusted_proxies`: peers who say who the client is. Default none.
    pub trusted_proxies: Vec<IpNet>,
    /// `forwarded_by`: the fields in which they say it; those of the other family are not read.
    pub forwarded_by: ForwardedFamily,
    /// `half_close`
    pub half_close: HalfClose,
    /// `path_parameters` and `encoded_slashes`
    pub paths: PathRules,
    /// `access_log`, instead of that of `[gateway]`.
    pub access_log: Option<AccessLog>,
    /// `limits`
    pub limits: ListenerLimits,
    /// `timeouts`
    pub timeouts: ListenerTimeouts,
}

/// TLS of a listener: its certificates, read and parsed, and what it asks of clients.
#[derive(Debug, Clone, Default)]
pub struct ListenerTls {
    /// In the order of the file; each chain fits its key.
    pub certificates: Vec<Arc<rustls::sign::CertifiedKey>>,
    /// `tls_min_version`
    pub min_version: TlsVersion,
    /// `client_certificates`. Default: clients are not asked for any.
    pub clients: Option<ClientCertificates>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// `"1.2"` (default): RFC 5246.
    #[default]
    Tls12,
    /// `"1.3"`: RFC 8446.
    Tls13,
}

/// `client_certificates` of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// `mode`: whether a client without a certificate is refused.
    pub required: bool,
    /// `ca`: who issues them; at least one.
    pub ca: Vec<rustls::pki_types::CertificateDer<'static>>,
    /// `crl`: lists of those that were revoked. Each parses.
    pub crls: Vec<rustls::pki_types::CertificateRevocationListDer<'static>>,
}

/// `half_close` of a listener: what becomes of a request over HTTP/1.1 whose client sends no more and has no whole
/// answer yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HalfClose {
    /// `"abort"` (default): the client has left, and its request is given up.
    #[default]
    Abort,
    /// `"answer"`: it waits for its answer (RFC 9112 section 9.6).
    Answer,
}

/// `forwarded_by` of a listener.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForwardedFamily {
    /// `"x-forwarded"` (default): `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`.
    #[default]
    XForwarded,
    /// `"forwarded"`: `Forwarded` (RFC 7239).
    Forwarded,
}

/// `limits` of a listener.
#[derive(Debug, Clone)]
pub struct ListenerLimits {
    /// `header_count`: fields in a request head, at most. Default 100, 1 to 1,000.
    pub header_count: usize,
    /// `header_size`: bytes of a request head, at most. Default 32 KiB, at least 8 KiB.
    pub header_size: usize,
    /// `body_size`: bytes of a request body, at most. Default: no limit (bodies stream).
    pub body_size: Option<u64>,
    /// `body_rate`: bytes a second at which a client must send a request body, at least, on average
    /// and after `timeouts.body_grace`. Default: 240 for bodies that give their length.
    pub body_rate: Option<u64>,
    /// `concurrent_streams`: open HTTP/2 streams a connection. Default 100.
    pub concurrent_streams: u32,
    /// `connections`: open at once, at most. Default: three quarters of the files that the process
    /// may have open.
    pub connections: Option<usize>,
    /// `connections_per_address`: open at once from one address, at most. Default: no limit.
    pub connections_per_address: Option<usize>,
}

/// `timeouts` of a listener.
#[derive(Debug, Clone)]
pub struct ListenerTimeouts {
    /// `header`: from the first byte of a request head to its last. Default 10 s.
    pub header: Duration,
    /// `idle`: between two bytes of a request or response body. Default 60 s.
    pub idle: Duration,
    /// `body_grace`: how long a client may take for a request body before `limits.body_rate` counts.
    /// Default 10 s.
    pub body_grace: Duration,
    /// `keep_alive`: how long a connection without a request stays open. Default 75 s.
    pub keep_alive: Duration,
    /// `request`: for the whole exchange. Default none, since it would end event streams.
    pub request: Option<Duration>,
}
