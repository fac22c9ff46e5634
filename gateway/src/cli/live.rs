//! Questions to a gateway that runs, by its admin API.
//!
//! Owns the way there: the address, TLS, and the token, which never goes over a network in clear. Must not
//! know what is asked.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use gateway::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use hyper::body::{Body as _, Incoming};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long an answer may take: a reload compiles plugins.
const PATIENCE: Duration = Duration::from_secs(200);
/// Bytes of an answer, at most.
const MOST: usize = 64 << 20;
/// Where a token comes from that no file holds.
const VARIABLE: &str = "GATEWAY_ADMIN_TOKEN";

/// Which gateway.
#[derive(Debug, Args)]
pub(super) struct Remote {
    /// The admin API of a running gateway, such as `http://127.0.0.1:9901`.
    #[arg(long, value_name = "URL")]
    pub(super) admin: Option<Uri>,
    /// A file with the token. Default: the variable `GATEWAY_ADMIN_TOKEN`, if it is set.
    #[arg(long, value_name = "FILE", requires = "admin")]
    token_file: Option<PathBuf>,
    /// A PEM file with the authorities to trust over TLS. Default: the system's.
    #[arg(long, value_name = "FILE", requires = "admin")]
    ca: Option<PathBuf>,
}

/// Where an address, a name and TLS come from.
struct Place<'u> {
    host: &'u str,
    port: u16,
    is_tls: bool,
}

impl Remote {
    /// Asks, and returns what is answered with 200.
    ///
    /// # Errors
    /// Why there is no such answer, in words for people; with the document, if a problem is answered.
    pub(super) fn ask(
        &self,
        admin: &Uri,
        method: Method,
        target: &str,
    ) -> Result<Value, (String, Option<Value>)> {
        self.tell(admin, method, target, None)
    }

    /// As [`ask`](Self::ask), with a body.
    ///
    /// # Errors
    /// The same.
    pub(super) fn tell(
        &self,
        admin: &Uri,
        method: Method,
        target: &str,
        body: Option<&Value>,
    ) -> Result<Value, (String, Option<Value>)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| (error.to_string(), None))?;
        let asked = async {
            let body = body.map(Value::to_string).unwrap_or_default();
            let exchange = self.exchange(admin, method, target, body);
            let asked = tokio::time::timeout(PATIENCE, exchange).await;
            asked.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
        };
        let (status, body) = runtime
            .block_on(asked)
            .map_err(|why| (format!("{admin} cannot be asked: {why}"), None))?;
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        match answer {
            Some(answer) if status == StatusCode::OK => Ok(answer),
            answer => {
                let detail = answer.as_ref().and_then(|answer| answer["detail"].as_str());
                let detail = detail.map_or_else(String::new, |detail| format!(": {detail}"));
                Err((format!("{admin} answers {}{detail}", status.as_u16()), answer))
            }
        }
    }

    async fn exchange(
        &self,
        admin: &Uri,
        method: Method,
        target: &str,
        body: String,
    ) -> Result<(StatusCode, Vec<u8>), String> {
        let place = place(admin)?;
        let token = self.token()?;
        if token.is_some() && !place.is_tls && !is_local(place.host) {
            return Err("the token would go over the network in clear: use `https://`".to_owned());
        }
        let authority = admin.authority().map_or(place.host, |authority| authority.as_str());
        let mut request = Request::new(Body::full(Bytes::from(body)));
        *request.method_mut() = method;
        *request.uri_mut() = target.parse().map_err(|error| format!("{error}"))?;
        let headers = request.headers_mut();
        headers.insert(HOST, authority.parse().map_err(|error| format!("{error}"))?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, token);
        }
        let stream = TcpStream::connect((place.host, place.port)).await;
        let stream = stream.map_err(|error| error.to_string())?;
        if !place.is_tls {
            return send(request, stream).await;
        }
        let name =
            ServerName::try_from(place.host.to_owned()).map_err(|error| error.to_string())?;
        let connector = TlsConnector::from(Arc::new(trust(self.ca.as_deref())?));
        let stream = connector.connect(name, stream).await.map_err(|error| error.to_string())?;
        send(request, stream).await
    }

    fn token(&self) -> Result<Option<HeaderValue>, String> {
        let token = match &self.token_file {
            Some(file) => {
                let read = std::fs::read_to_string(file);
                Some(read.map_err(|error| format!("`{}`: {error}", file.display()))?)
            }
            None => std::env::var(VARIABLE).ok(),
        };
        let Some(token) = token else { return Ok(None) };
        let value = HeaderValue::try_from(format!("Bearer {}", token.trim()));
        let mut value = value.map_err(|_| "the token is not one line of text".to_owned())?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

fn place(admin: &Uri) -> Result<Place<'_>, String> {
    let is_tls = match admin.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err("write it like `http://127.0.0.1:9901`".to_owned()),
    };
    let host = admin.host().unwrap_or_default().trim_matches(['[', ']']);
    Ok(Place { host, port: admin.port_u16().unwrap_or(if is_tls { 443 } else { 80 }), is_tls })
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|it: std::net::IpAddr| it.is_loopback())
}

fn trust(ca: Option<&Path>) -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    match ca {
        Some(file) => {
            let wrong = |error: &dyn std::fmt::Display| format!("`{}`: {error}", file.display());
            let certificates =
                CertificateDer::pem_file_iter(file).map_err(|error| wrong(&error))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| wrong(&error))?;
                roots.add(certificate).map_err(|error| wrong(&error))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

async fn send(
    request: Request<Body>,
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
) -> Result<(StatusCode, Vec<u8>), String> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        Ok((status, read(response.into_body()).await?))
    };
    tokio::pin!(answer, connection);
    let mut is_over = false;
    loop {
        tokio::select! {
            answer = &mut answer => return answer,
            ended = &mut connection, if !is_over => {
                is_over = true;
                ended.map_err(|error: hyper::Error| error.to_string())?;
            }
        }
    }
}

async fn read(mut body: Incoming) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut body = std::pin::Pin::new(&mut body);
    while let Some(frame) = std::future::poll_fn(|it| body.as_mut().poll_frame(it)).await {
        let frame = frame.map_err(|error| error.to_string())?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > MOST {
            return Err("the answer is too long".to_owned());
        }
    }
    Ok(bytes)
}
