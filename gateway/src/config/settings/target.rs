//! Where the targets of upstreams are, and how they are spoken to.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Span, TlsVersion};

/// One server of an upstream: a URL, or `{ url, weight }`. The URL has no path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whether the URL's scheme is `https`.
    pub tls: bool,
    /// Host name or IP address (IPv6 without brackets).
    pub host: String,
    /// Port; 80 or 443 where the URL has none.
    pub port: u16,
    /// `host:port` as a `Host` field would say it (default port left out, IPv6 in brackets).
    pub authority: String,
    /// Share of the requests, 1 to 1,000. Default 1.
    pub weight: u32,
    /// Those with the lowest number have the requests, as far as they can take them. Default 0.
    pub priority: u8,
    /// Where it comes from.
    pub origin: Origin,
    /// Where the file has it.
    pub place: Place,
}

/// Where something stands in the file, which is no part of what it is: each is equal to each other.
#[derive(Debug, Clone, Default)]
pub struct Place(pub Span);

impl PartialEq for Place {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

/// Where a target comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origin {
    /// `url`
    #[default]
    Url,
    /// `srv`: its host is the name of records that name the targets.
    Srv,
    /// An address of a name.
    Address {
        /// It.
        address: IpAddr,
        /// The name with its port, as `Host` would say it.
        of: String,
    },
    /// A record of the type SRV.
    Service {
        /// The domain of the records.
        of: String,
    },
}

impl Target {
    /// Its address, where that is known without a look-up.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match &self.origin {
            Origin::Address { address, .. } => Some(*address),
            _ => self.host.parse().ok(),
        }
    }

    /// Whether its host is the name of records of the type SRV.
    pub(crate) fn is_srv(&self) -> bool {
        self.origin == Origin::Srv
    }

    /// Its host and port as a `Host` field says them.
    pub(crate) fn host_field(&self) -> &str {
        match &self.origin {
            Origin::Address { of, .. } => of,
            _ => &self.authority,
        }
    }

    /// The name in its certificate. What a record of the type SRV says is not to be trusted for it (RFC 6125 section
    /// 6.2.1): anybody on the way can say it.
    pub(crate) fn server_name(&self) -> &str {
        match &self.origin {
            Origin::Service { of } => of,
            Origin::Srv => {
                let labels = self.host.split_inclusive('.').take_while(|it| it.starts_with('_'));
                let domain = &self.host[labels.map(str::len).sum()..];
                if domain.is_empty() { &self.host } else { domain }
            }
            Origin::Url | Origin::Address { .. } => &self.host,
        }
    }
}

/// `dns` of an upstream: how the names of its targets become addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// `resolver`
    pub resolver: Resolver,
    /// `servers`: whom to ask; none: whom the system asks.
    pub servers: Vec<SocketAddr>,
    /// `addresses` is `all`: each address is a target.
    pub is_each: bool,
    /// `interval`: how often the system is asked. Default 30 s.
    pub interval: Duration,
    /// `min_ttl`: for how long an answer holds at least. Default 1 s.
    pub min_ttl: Duration,
    /// `max_ttl`: and at most. Default 5 min.
    pub max_ttl: Duration,
    /// `negative_ttl`: how long it takes at most until a name is asked for again that was not found. Default 5 s.
    pub negative_ttl: Duration,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            resolver: Resolver::System,
            servers: Vec::new(),
            is_each: false,
            interval: Duration::from_secs(30),
            min_ttl: Duration::from_secs(1),
            max_ttl: Duration::from_secs(300),
            negative_ttl: Duration::from_secs(5),
        }
    }
}

/// `dns.resolver`: who looks names up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolver {
    /// `"system"`: the system, with its hosts file and its cache.
    System,
    /// `"dns"`: the gateway, by DNS.
    Dns,
}

/// `protocol` of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// `"auto"` (default): ALPN over TLS, HTTP/1.1 in clear.
    Auto,
    /// `"http1"`
    Http1,
    /// `"http2"`: over TLS by ALPN, in clear by prior knowledge.
    Http2,
}

/// `tls` of an upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// `ca`: trust these instead of the system's roots (a PEM file, read).
    pub ca: Option<Vec<rustls::pki_types::CertificateDer<'static>>>,
    /// `server_name`: sent as SNI and verified, instead of the target's host.
    pub server_name: Option<String>,
    /// `certificate` and `key`: what is shown to a target that asks for a certificate.
    pub identity: Option<UpstreamIdentity>,
    /// `min_version`
    pub min_version: TlsVersion,
}

/// What the gateway shows to targets that ask for a certificate.
#[derive(Debug, Clone)]
pub struct UpstreamIdentity(pub Arc<rustls::sign::CertifiedKey>);

impl PartialEq for UpstreamIdentity {
    /// The key fits the certificate, so that it is the same where that is.
    fn eq(&self, other: &Self) -> bool {
        self.0.cert == other.0.cert
    }
}

impl Eq for UpstreamIdentity {}
