//! Certificates of upstreams that are in `ca` themselves.
//!
//! Owns one exception to what webpki says: a server whose very certificate the operator put into
//! `ca`, byte for byte, is taken even if that certificate is also an authority, as those of `openssl
//! req -x509` are, or if its issuer is not known. Its dates, its name and what it may be used for
//! still count. Everything else is webpki's to say.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config;

/// Trusts what an upstream's `ca` says.
#[derive(Debug)]
pub(super) struct OwnVerifier {
    webpki: Arc<WebPkiServerVerifier>,
    ca: Vec<CertificateDer<'static>>,
}

impl OwnVerifier {
    pub(super) fn new(webpki: Arc<WebPkiServerVerifier>, ca: &[CertificateDer<'static>]) -> Self {
        Self { webpki, ca: ca.to_vec() }
    }
}

impl ServerCertVerifier for OwnVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.webpki.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            Err(error) if self.ca.contains(end_entity) && is_about_issuer_or_name(&error) => {
                check(end_entity, server_name, now)
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// Whether webpki has nothing against a certificate but that it is an authority's, that nobody known
/// issued it, or that it is not for this name.
fn is_about_issuer_or_name(error: &Error) -> bool {
    let Error::InvalidCertificate(error) = error else { return false };
    match error {
        CertificateError::UnknownIssuer
        | CertificateError::NotValidForName
        | CertificateError::NotValidForNameContext { .. } => true,
        CertificateError::Other(OtherError(cause)) => {
            cause.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
        }
        _ => false,
    }
}

/// What counts for a certificate that is trusted for itself.
fn check(
    end_entity: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    let (_, parsed) = X509Certificate::from_der(end_entity)
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < parsed.validity().not_before.timestamp() {
        return Err(Error::InvalidCertificate(CertificateError::NotValidYet));
    }
    if now > parsed.validity().not_after.timestamp() {
        return Err(Error::InvalidCertificate(CertificateError::Expired));
    }
    // RFC 5280 section 4.2.1.12: where the extension is there, it says all that the key is for.
    if let Ok(Some(usage)) = parsed.extended_key_usage()
        && !(usage.value.server_auth || usage.value.any)
    {
        return Err(Error::InvalidCertificate(CertificateError::InvalidPurpose));
    }
    if config::is_for(end_entity, server_name) {
        return Ok(ServerCertVerified::assertion());
    }
    let name = server_name.to_str();
    Err(Error::General(format!(
        "the certificate is in `ca`, but is for {}, and not for `{name}`: set `tls.server_name`, or \
         make one that is for it (`openssl req -x509 ... -addext subjectAltName=...`)",
        config::names(end_entity)
    )))
}
