//! Certificates that are made for a test, and clients that trust them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use rustls::ClientConfig;
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName,
};
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

/// An authority that issues certificates and revokes them.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as files hold them.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate as PEM.
    pub certificate: String,
    /// Its key as PEM.
    pub key: String,
}

impl Issued {
    /// For a server or a client of rustls.
    #[must_use]
    pub fn certified(&self) -> Arc<CertifiedKey> {
        from_pem(self.certificate.as_bytes(), self.key.as_bytes())
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// One of this name.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Its own certificate.
    #[must_use]
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// The same as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Issues a certificate with this common name, this serial number and these names: URIs where they
    /// have a scheme, e-mail addresses where they have an `@`, and otherwise hosts.
    ///
    /// # Panics
    /// If the names are none.
    #[must_use]
    pub fn issue(&self, common: &str, serial: u64, names: &[&str]) -> Issued {
        self.issue_until(common, serial, names, 2040)
    }

    /// The same, valid until the first day of a year.
    ///
    /// # Panics
    /// If the names are none.
    #[must_use]
    pub fn issue_until(&self, common: &str, serial: u64, names: &[&str], year: i32) -> Issued {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationName, "Acme");
        params.distinguished_name.push(DnType::CommonName, common);
        params.serial_number = Some(SerialNumber::from(serial));
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        params.subject_alt_names = names.iter().map(|name| alternative(name)).collect();
        let key = KeyPair::generate().expect("a key");
        let made = params.signed_by(&key, &self.0).expect("a certificate");
        Issued { certificate: made.pem(), key: key.serialize_pem() }
    }

    /// The list of what it revoked.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn revoked(&self, serials: &[u64]) -> CertificateRevocationListDer<'static> {
        let day = rcgen::date_time_ymd;
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: day(2001, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: day(2001, 1, 1),
            next_update: day(2040, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).expect("a list").der().clone()
    }
}

fn alternative(name: &str) -> SanType {
    let text = name.try_into().expect("a name");
    if name.contains("://") {
        SanType::URI(text)
    } else if name.contains('@') {
        SanType::Rfc822Name(text)
    } else {
        SanType::DnsName(text)
    }
}

/// A client that trusts these servers, shows a certificate if it has one, and resumes its sessions.
///
/// # Panics
/// If they are none.
#[must_use]
pub fn client(trusted: &[&Arc<CertifiedKey>], shown: Option<&Issued>) -> ClientConfig {
    client_for(trusted, shown, rustls::ALL_VERSIONS)
}

/// The same for these versions of TLS.
///
/// # Panics
/// If they are none.
#[must_use]
pub fn client_for(
    trusted: &[&Arc<CertifiedKey>],
    shown: Option<&Issued>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in trusted {
        roots.add(certificate.cert[0].clone()).expect("a certificate");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots);
    match shown {
        Some(shown) => builder.with_client_cert_resolver(Arc::new(
            rustls::sign::SingleCertAndKey::from(shown.certified()),
        )),
        None => builder.with_no_client_auth(),
    }
}

/// Connects, if the handshake succeeds as far as the client can see: with TLS 1.3 it learns afterwards
/// that its certificate is refused.
///
/// # Errors
/// Those of the handshake.
///
/// # Panics
/// If nobody listens.
pub async fn try_connect(
    address: SocketAddr,
    name: &str,
    config: &ClientConfig,
    alpn: &[&str],
) -> io::Result<TlsStream<TcpStream>> {
    let mut config = config.clone();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await.expect("somebody listens");
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}
