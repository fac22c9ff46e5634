//! TLS towards PostgreSQL, by the gateway's own rustls.
//!
//! Owns trust: the certificate must be for the host of the URL, by the system's roots or by `ca`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::CertificateError;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::{TlsConnector, client};

use crate::config::PostgresStore;
use crate::tls;
use crate::usage::store::StoreError;

/// How connections are made secure.
#[derive(Clone)]
pub(super) struct Tls(TlsConnector);

impl Tls {
    pub(super) fn new(store: &PostgresStore) -> Result<Self, StoreError> {
        let failed = |error: rustls::Error| StoreError::Other(format!("PostgreSQL: TLS: {error}"));
        let config = tls::client_config(store.ca.as_deref()).map_err(failed)?;
        Ok(Self(TlsConnector::from(config)))
    }
}

impl MakeTlsConnect<tokio_postgres::Socket> for Tls {
    type Stream = Secured;
    type TlsConnect = Handshake;
    type Error = rustls::pki_types::InvalidDnsNameError;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, Self::Error> {
        Ok(Handshake { connector: self.0.clone(), name: ServerName::try_from(host.to_owned())? })
    }
}

/// The same error with what to do about it, where the certificate is not trusted.
fn told(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(cause)) = cause else { return error };
    let words = match cause {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "nobody who is trusted issued the server's certificate; `ca` names the certificate of its \
             issuer, or its own"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate is for another host than that of the URL"
        }
        _ => "the server's certificate is not accepted",
    };
    io::Error::new(error.kind(), format!("{words} ({cause})"))
}

/// A handshake that has not begun.
pub(super) struct Handshake {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl TlsConnect<tokio_postgres::Socket> for Handshake {
    type Stream = Secured;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Secured>> + Send>>;

    fn connect(self, socket: tokio_postgres::Socket) -> Self::Future {
        Box::pin(async move {
            let stream = self.connector.connect(self.name, socket).await.map_err(told)?;
            Ok(Secured(Box::new(stream)))
        })
    }
}

/// A connection over TLS.
pub(super) struct Secured(Box<client::TlsStream<tokio_postgres::Socket>>);

impl TlsStream for Secured {
    /// Without it the password is proved by SCRAM alone, over a certificate that was verified.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
