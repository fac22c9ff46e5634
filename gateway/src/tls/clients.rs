//! The certificates of clients.
//!
//! Owns who may issue them, and the note of one that is refused, for the log. The judgement is
//! webpki's: chain, dates, purpose, and lists of revoked certificates. A session that is resumed is
//! judged again: rustls takes its certificate as it was.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use super::identity::ClientCertificate;
use super::provider;
use crate::config::ClientCertificates;

/// See the module.
#[derive(Debug)]
pub(super) struct ClientVerifier(Arc<dyn ClientCertVerifier>);

/// The certificate of a client that was refused: what it says of itself.
#[derive(Debug)]
pub(crate) struct RefusedClient {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) fingerprint: String,
}

thread_local! {
    /// Of the handshake that this thread takes a step of.
    static REFUSED: RefCell<Option<RefusedClient>> = const { RefCell::new(None) };
}

/// What was refused in the step of a handshake that has just failed. rustls reports the failure in the
/// same step, before any other handshake of the thread goes on.
pub(crate) fn take_refused() -> Option<RefusedClient> {
    REFUSED.take()
}

impl ClientVerifier {
    /// # Errors
    /// Where there is no authority, or a list cannot be read.
    pub(super) fn new(clients: &ClientCertificates) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for authority in &clients.ca {
            roots.add(authority.clone())?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .with_crls(clients.crls.iter().cloned());
        let builder = if clients.required { builder } else { builder.allow_unauthenticated() };
        let built = builder.build().map_err(|error| Error::General(error.to_string()))?;
        Ok(Self(built))
    }

    /// Judges the certificate of a session that was resumed as if it was shown now.
    pub(super) fn check_resumed(
        &self,
        chain: Option<&[CertificateDer<'static>]>,
    ) -> Result<(), Error> {
        match chain.and_then(<[_]>::split_first) {
            Some((own, issuers)) => {
                self.verify_client_cert(own, issuers, UnixTime::now()).map(drop)
            }
            None if self.client_auth_mandatory() => Err(Error::NoCertificatesPresented),
            None => Ok(()),
        }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.0.verify_client_cert(end_entity, intermediates, now);
        if verified.is_err() {
            let told = ClientCertificate::new(end_entity);
            let [subject, issuer, fingerprint] = ["subject", "issuer", "fingerprint"]
                .map(|name| told.attribute(name).unwrap_or_default().into_owned());
            REFUSED.set(Some(RefusedClient { subject, issuer, fingerprint }));
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
