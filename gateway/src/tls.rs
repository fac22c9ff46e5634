//! TLS of listeners, and of the connections that the gateway opens for itself: to stores and collectors.
//!
//! Owns the choice of a certificate by server name, ALPN, and what a handshake tells of a client.
//! Certificates come checked from the configuration.

mod clients;
mod identity;
mod refused;
mod tickets;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, HandshakeKind, RootCertStore, ServerConfig, SupportedProtocolVersion};

use self::clients::ClientVerifier;
pub(crate) use self::clients::{RefusedClient, take_refused};
pub(crate) use self::identity::ClientCertificate;
pub(crate) use self::refused::HandshakeFailure;
pub(crate) use self::tickets::Tickets;
use crate::config::{ListenerTls, TlsVersion};

/// TLS of a listener, ready for handshakes.
#[derive(Debug, Clone)]
pub(crate) struct ServerTls {
    pub(crate) config: Arc<ServerConfig>,
    /// Who judges the certificates of clients, where they are asked for any.
    clients: Option<Arc<ClientVerifier>>,
}

impl ServerTls {
    /// For the listener of this name.
    ///
    /// # Errors
    /// Those of rustls.
    pub(crate) fn new(
        tls: &ListenerTls,
        listener: &str,
        tickets: &Tickets,
    ) -> Result<Self, rustls::Error> {
        let clients = tls.clients.as_ref().map(ClientVerifier::new).transpose()?.map(Arc::new);
        let mut config = server_config(tls, clients.clone(), &["h2", "http/1.1"])?;
        config.ticketer = tickets.of(listener, tls.clients.as_ref())?;
        Ok(Self { config: Arc::new(config), clients })
    }

    /// What a handshake told of the client, where it is asked for a certificate.
    ///
    /// # Errors
    /// When the certificate of a session that was resumed does not count any more.
    pub(crate) fn client(
        &self,
        connection: &rustls::ServerConnection,
    ) -> Result<Option<Box<ClientTls>>, rustls::Error> {
        let Some(verifier) = &self.clients else { return Ok(None) };
        if connection.handshake_kind() == Some(HandshakeKind::Resumed) {
            verifier.check_resumed(connection.peer_certificates())?;
        }
        let certificate = connection.peer_certificates().and_then(|chain| chain.first());
        Ok(Some(Box::new(ClientTls {
            server_name: connection.server_name().map(Into::into),
            certificate: certificate.map(|it| Arc::new(ClientCertificate::new(it))),
        })))
    }
}

/// What is known of the client of a connection whose listener asks for certificates.
#[derive(Debug)]
pub(crate) struct ClientTls {
    /// The name that it asked for, in lower case.
    server_name: Option<Box<str>>,
    /// What it showed.
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
}

impl ClientTls {
    /// Whether a request for this host may come over the connection: who connected was judged as
    /// somebody who asks for the host that the handshake named, if it named one.
    pub(crate) fn is_for(&self, host: &str) -> bool {
        let Some(name) = &self.server_name else { return true };
        let host = host.strip_suffix('.').unwrap_or(host);
        host.is_empty() || host.eq_ignore_ascii_case(name)
    }
}

/// How handshakes on the listener of the admin API go.
///
/// # Errors
/// Those of rustls.
pub(crate) fn admin_config(tls: &ListenerTls) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = server_config(tls, None, &["http/1.1"])?;
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(Arc::new(config))
}

fn server_config(
    tls: &ListenerTls,
    clients: Option<Arc<ClientVerifier>>,
    protocols: &[&str],
) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(tls.min_version))?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(clients),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Certificates::new(&tls.certificates)));
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}

/// From this version on.
pub(crate) fn versions(least: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static NEWEST: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];
    match least {
        TlsVersion::Tls12 => rustls::ALL_VERSIONS,
        TlsVersion::Tls13 => &NEWEST,
    }
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider())))
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
