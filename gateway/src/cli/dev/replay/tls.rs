//! TLS to the gateway's own listener.
//!
//! Owns that its certificate is not checked: it is this process that answers, at an address that it
//! holds, and certificates for development are seldom signed by anybody. Must not be used for
//! anything else.

use std::sync::Arc;

use gateway::trace;
use http::Version;
use http::header::HOST;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Failed;

/// Speaks TLS as the request's client did: to the host that it named, in its version of HTTP.
pub(super) async fn connect(
    request: &trace::Request,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Failed> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config?.dangerous().with_custom_certificate_verifier(Arc::new(OurOwn));
    let mut config = config.with_no_client_auth();
    let is_http2 = request.version == Version::HTTP_2;
    config.alpn_protocols = vec![if is_http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    let authority = request.uri.authority().cloned();
    let host = request.headers.get(HOST).and_then(|host| host.to_str().ok()?.parse().ok());
    let authority = authority.or(host).ok_or("the request names no host")?;
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host)?;
    Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
}

/// Takes any certificate.
#[derive(Debug)]
struct OurOwn;

impl ServerCertVerifier for OurOwn {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
