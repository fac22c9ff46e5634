//! The HTTP client of OTLP over HTTP.
//!
//! Owns the connection to the collector: one for each batch, with the gateway's own TLS. Must not retry.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::tls;

/// Bytes of a collector's answer, at most.
const MAX_ANSWER: usize = 1 << 20;

/// See the module.
pub(super) struct Client {
    tls: TlsConnector,
    timeout: Duration,
}

impl Client {
    /// Trusts these authorities; without, the system's.
    ///
    /// # Errors
    /// Those of rustls.
    pub(super) fn new(
        ca: Option<&[CertificateDer<'static>]>,
        timeout: Duration,
    ) -> Result<Self, rustls::Error> {
        let config = tls::client_config(ca)?;
        Ok(Self { tls: TlsConnector::from(config), timeout })
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (mut parts, body) = request.into_parts();
        let authority = parts.uri.authority().cloned().ok_or("the URL has no host")?;
        let is_tls = parts.uri.scheme_str() == Some("https");
        parts.headers.insert(HOST, HeaderValue::from_str(authority.as_str())?);
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        parts.uri = path.parse::<Uri>()?;
        let request = Request::from_parts(parts, Full::new(body));
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await?;
        if is_tls {
            let name = ServerName::try_from(host.to_owned())?;
            exchange(self.tls.connect(name, stream).await?, request).await
        } else {
            exchange(stream, request).await
        }
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
        Ok(Response::from_parts(parts, body))
    };
    tokio::pin!(answer, connection);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // It ends when the response is whole, or broke off: the answer says which.
        _ = &mut connection => answer.await,
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        tokio::time::timeout(self.timeout, self.send(request)).await?
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}
