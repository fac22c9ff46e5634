//! TLS of listeners, and of the connections that the gateway opens for itself: to stores and collectors.
//!
//! Owns the choice of a certificate by server name, and ALPN. Certificates come checked from the
//! configuration.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::config::ListenerTls;

/// How handshakes on a listener go.
///
/// # Errors
/// Those of rustls.
pub(crate) fn server_config(tls: &ListenerTls) -> Result<Arc<ServerConfig>, rustls::Error> {
    server_config_for(tls, &["h2", "http/1.1"])
}

/// The same with these protocols, best first.
///
/// # Errors
/// Those of rustls.
pub(crate) fn server_config_for(
    tls: &ListenerTls,
    protocols: &[&str],
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Certificates::new(&tls.certificates)));
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(Arc::new(config))
}

/// How the gateway's own connections go: trusting these authorities, or the system's without.
///
/// # Errors
/// Those of rustls.
pub(crate) fn client_config(
    ca: Option<&[CertificateDer<'static>]>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(ca) => roots.add_parsable_certificates(ca.iter().cloned()),
        None => {
            let system = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(system.certs)
        }
    };
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The certificates of a listener, by the names in them.
#[derive(Debug)]
struct Certificates {
    /// Lower case; `*.example.com` stands as it is.
    by_name: HashMap<String, Arc<CertifiedKey>>,
    default: Option<Arc<CertifiedKey>>,
}

impl Certificates {
    /// A name that is in several certificates belongs to the first.
    fn new(certificates: &[Arc<CertifiedKey>]) -> Self {
        let mut by_name = HashMap::new();
        for certificate in certificates {
            for name in names(certificate) {
                by_name.entry(name).or_insert_with(|| Arc::clone(certificate));
            }
        }
        Self { by_name, default: certificates.first().cloned() }
    }

    /// A wildcard means exactly one label (RFC 6125 section 6.4.3).
    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        self.by_name.get(name).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.by_name.get(&format!("*.{parent}"))
        })
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        name.and_then(|name| self.find(&name)).or(self.default.as_ref()).cloned()
    }
}

fn names(certificate: &CertifiedKey) -> Vec<String> {
    let Some(end_entity) = certificate.cert.first() else {
        return Vec::new();
    };
    match webpki::EndEntityCert::try_from(end_entity) {
        Ok(parsed) => parsed.valid_dns_names().map(str::to_ascii_lowercase).collect(),
        Err(_) => Vec::new(),
    }
}
