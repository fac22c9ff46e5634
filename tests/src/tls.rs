//! Certificates that are made for a test, and clients that trust them.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A self-signed certificate for these names.
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn certificate(names: &[&str]) -> Arc<CertifiedKey> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("valid names");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).expect("a usable key");
    Arc::new(CertifiedKey::new(vec![made.cert.der().clone()], key))
}

/// Connects as a client that trusts exactly these certificates.
///
/// # Panics
/// If the handshake fails.
pub async fn connect(
    address: SocketAddr,
    name: &str,
    trusted: &[&Arc<CertifiedKey>],
    alpn: &[&str],
) -> TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in trusted {
        roots.add(certificate.cert[0].clone()).expect("a certificate");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await.expect("somebody listens");
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a handshake")
}

/// What the server showed.
///
/// # Panics
/// If it showed nothing.
#[must_use]
pub fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone()
}

/// A self-signed certificate for these names and its key, as PEM.
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn pem(names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("valid names");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// The same from PEM.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn from_pem(certificate: &[u8], key: &[u8]) -> Arc<CertifiedKey> {
    use rustls::pki_types::pem::PemObject as _;
    let certificate = CertificateDer::from_pem_slice(certificate).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(key).expect("a key");
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).expect("a usable key");
    Arc::new(CertifiedKey::new(vec![certificate], key))
}
