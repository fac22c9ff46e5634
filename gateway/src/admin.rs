//! The gateway's own listener: metrics, health and usage, for those who run it.
//!
//! Owns `GET /metrics`, `GET /healthz` and `GET /usage`, on a thread of their own, so that no worker waits
//! for a scrape and no load keeps a scrape waiting. A question about usage, which the store may take long
//! to answer, has a further thread. Must not change anything.

mod requests;
mod usage;

use std::convert::Infallible;
use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::LocalSet;

use crate::body::Body;
use crate::recorder::Recorder;
use crate::telemetry::metrics::{self, Metrics};
use crate::usage::Usage;

/// Connections at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 32;
/// How long a connection may take in all. Each serves one request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait when the process has no descriptor left.
const BACK_OFF: Duration = Duration::from_millis(100);

/// What is told.
#[derive(Debug, Clone)]
pub(crate) struct Admin {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) usage: Arc<Usage>,
    /// What happened to single requests.
    pub(crate) recorder: Arc<Recorder>,
    /// Questions about usage that may be answered at a time.
    pub(crate) questions: Arc<Semaphore>,
    /// Whether the gateway takes no new connections.
    pub(crate) is_draining: Arc<AtomicBool>,
}

impl Admin {
    /// Serves until the other end of `stop` is dropped.
    ///
    /// # Errors
    /// When the system gives no runtime.
    pub(crate) fn run(self, socket: StdListener, stop: oneshot::Receiver<()>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, async {
            socket.set_nonblocking(true)?;
            let listener = TcpListener::from_std(socket)?;
            tokio::select! {
                () = self.accept(listener) => {}
                _ = stop => {}
            }
            Ok(())
        })
    }

    async fn accept(&self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let admin = self.clone();
                    tokio::task::spawn_local(async move {
                        let _place = place;
                        let _too_slow = tokio::time::timeout(PATIENCE, admin.serve(stream)).await;
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "the admin listener cannot accept a connection");
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
    }

    async fn serve(self, stream: TcpStream) {
        let service = service_fn(|request: Request<Incoming>| {
            let admin = &self;
            async move { Ok::<_, Infallible>(admin.answer(&request).await) }
        });
        let mut server = http1::Builder::new();
        let served = server.keep_alive(false).serve_connection(TokioIo::new(stream), service).await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection to the admin listener ended early");
        }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let method = request.method();
        let reads = method == Method::GET || method == Method::HEAD;
        let page = match request.uri().path() {
            "/usage" if reads => self.usage(request.uri().query().unwrap_or_default()).await,
            path if requests::is_of_requests(path) => {
                self.requests(path, request.uri().query().unwrap_or_default())
            }
            "/usage" => (StatusCode::OK, "text/plain", String::new()),
            "/metrics" if takes_open_metrics(request.headers()) => {
                let page = metrics::open_metrics(&self.metrics.text());
                (StatusCode::OK, metrics::OPEN_METRICS, page)
            }
            "/metrics" => (StatusCode::OK, metrics::CONTENT_TYPE, self.metrics.text()),
            "/healthz" if self.is_draining.load(Ordering::Relaxed) => {
                (StatusCode::SERVICE_UNAVAILABLE, "text/plain", "draining\n".to_owned())
            }
            "/healthz" => (StatusCode::OK, "text/plain", "ok\n".to_owned()),
            _ => {
                let found =
                    "there are `/metrics`, `/healthz`, `/usage` and `/requests`\n".to_owned();
                (StatusCode::NOT_FOUND, "text/plain", found)
            }
        };
        let (status, kind, text) = page;
        if status != StatusCode::NOT_FOUND && !reads {
            let mut response =
                response(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET\n".into());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        response(status, kind, text)
    }
}

/// Whether a scrape asks for OpenMetrics: Prometheus names it first, with the highest weight.
fn takes_open_metrics(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let mut ranges = lines.flat_map(|line| line.split(','));
    ranges.any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_it =
            parts.next().is_some_and(|it| it.eq_ignore_ascii_case("application/openmetrics-text"));
        is_it && parts.all(|part| !matches!(part, "q=0" | "q=0.0" | "version=0.0.1"))
    })
}

fn response(status: StatusCode, kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::full(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
