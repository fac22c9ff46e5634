//! TLS towards upstreams.
//!
//! Owns trust and ALPN. The system's roots are read once for the whole process; everything else
//! belongs to one upstream of one worker.

mod messages;
mod own;

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

pub(super) use self::messages::told;
use self::own::OwnVerifier;
use super::error::SetupError;
use crate::config;

const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// How one upstream's targets are spoken to over TLS.
#[derive(Clone)]
pub(super) struct Tls {
    /// Offers what the upstream's protocol allows.
    pub(super) by_protocol: TlsConnector,
    /// Offers HTTP/1.1 alone, for requests that only it can carry.
    pub(super) http1: TlsConnector,
}

impl Tls {
    pub(super) fn new(upstream: &config::Upstream) -> Result<Self, SetupError> {
        let verifier: Arc<dyn ServerCertVerifier> = match &upstream.tls.ca {
            None => system_verifier()?,
            Some(ca) => Arc::new(OwnVerifier::new(own_verifier(upstream, ca)?, ca)),
        };
        let failed = |cause| SetupError::Tls { upstream: upstream.name.clone(), cause };
        let offered: &[&[u8]] = match upstream.protocol {
            config::UpstreamProtocol::Auto => &[H2, HTTP1],
            config::UpstreamProtocol::Http1 => &[HTTP1],
            config::UpstreamProtocol::Http2 => &[H2],
        };
        let by_protocol = client(&upstream.tls, Arc::clone(&verifier), offered).map_err(failed)?;
        let http1 = client(&upstream.tls, verifier, &[HTTP1]).map_err(failed)?;
        Ok(Self { by_protocol, http1 })
    }
}

/// Whether the peer chose HTTP/2.
pub(super) fn chose_http2(connection: &rustls::ClientConnection) -> bool {
    connection.alpn_protocol() == Some(H2)
}

/// The name that is sent as SNI and that the certificate must be for.
pub(super) fn server_name(
    upstream: &config::Upstream,
    target: &config::Target,
) -> Result<ServerName<'static>, SetupError> {
    let name = upstream
        .tls
        .server_name
        .as_ref()
        .map_or_else(|| target.server_name(), String::as_str)
        .to_owned();
    ServerName::try_from(name.clone())
        .map_err(|_| SetupError::ServerName { upstream: upstream.name.clone(), name: name.clone() })
}

fn client(
    tls: &config::UpstreamTls,
    verifier: Arc<dyn ServerCertVerifier>,
    alpn: &[&[u8]],
) -> Result<TlsConnector, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(crate::tls::versions(tls.min_version))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &tls.identity {
        Some(identity) => {
            let shown = SingleCertAndKey::from(Arc::clone(&identity.0));
            builder.with_client_cert_resolver(Arc::new(shown))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    static PROVIDER: OnceLock<Arc<rustls::crypto::CryptoProvider>> = OnceLock::new();
    let provider = PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    Arc::clone(provider)
}

fn own_verifier(
    upstream: &config::Upstream,
    ca: &[rustls::pki_types::CertificateDer<'static>],
) -> Result<Arc<WebPkiServerVerifier>, SetupError> {
    let failed = |cause| SetupError::Tls { upstream: upstream.name.clone(), cause };
    let mut roots = RootCertStore::empty();
    for certificate in ca {
        roots.add(certificate.clone()).map_err(failed)?;
    }
    verifier(roots).map_err(|reason| failed(rustls::Error::General(reason)))
}

fn system_verifier() -> Result<Arc<WebPkiServerVerifier>, SetupError> {
    static SYSTEM: OnceLock<Result<Arc<WebPkiServerVerifier>, String>> = OnceLock::new();
    SYSTEM.get_or_init(load_system_roots).clone().map_err(SetupError::NoSystemRoots)
}

fn load_system_roots() -> Result<Arc<WebPkiServerVerifier>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Systems carry a few roots that no strict parser takes; the others are no worse for it.
    let (added, _ignored) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let reasons: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        return Err(match reasons.is_empty() {
            true => "there are none".to_owned(),
            false => reasons.join("; "),
        });
    }
    verifier(roots)
}

fn verifier(roots: RootCertStore) -> Result<Arc<WebPkiServerVerifier>, String> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| error.to_string())
}
