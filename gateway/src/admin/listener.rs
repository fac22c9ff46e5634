//! Connections to the admin API.
//!
//! Owns their number and their time, TLS, and the way of a request: who asks, which endpoint, its body, and
//! the answer without what is secret. Each connection serves one request.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

use super::call::{Answer, Call, Content, Refusal, Reply};
use super::router::{self, Access, Endpoint, Handler};
use super::{Admin, authorisation, mask};
use crate::body::Body;
use crate::conn::RequestIds;

/// Connections at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 32;
/// How long a connection may take to the end of the head of its request, with the TLS handshake.
const HEAD: Duration = Duration::from_secs(5);
/// How long to wait when the process has no descriptor left.
const BACK_OFF: Duration = Duration::from_millis(100);
/// How long open connections may go on once it is not served any more.
const FAREWELL: Duration = Duration::from_secs(5);
/// Bytes of the head of a request.
const MAX_HEAD: usize = 32 << 10;
/// Bytes of the body of a request.
const MAX_BODY: usize = 64 << 10;
/// For how long a question waits for those before it. A page of the dashboard asks several at a time.
const PATIENCE: Duration = Duration::from_secs(2);

impl Admin {
    /// Serves until the other end of `stop` is dropped.
    ///
    /// # Errors
    /// When the system gives no runtime.
    pub(crate) fn run(self, socket: StdListener, stop: oneshot::Receiver<()>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let served = LocalSet::new().block_on(&runtime, async {
            socket.set_nonblocking(true)?;
            let listener = TcpListener::from_std(socket)?;
            let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
            tokio::select! {
                () = self.accept(listener, &places) => {}
                () = self.look_on() => {}
                _ = stop => {}
            }
            // Who asked for the change that ends it learns what came of it.
            let all = places.acquire_many(MAX_CONNECTIONS as u32);
            let _in_vain = tokio::time::timeout(FAREWELL, all).await;
            Ok(())
        });
        // An answer that is still being made on a thread apart is of no use to anybody.
        runtime.shutdown_background();
        served
    }

    async fn accept(&self, listener: TcpListener, places: &Arc<Semaphore>) {
        let ids = Rc::new(RequestIds::new());
        loop {
            let Ok(place) = Arc::clone(places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let (admin, ids) = (self.clone(), Rc::clone(&ids));
                    tokio::task::spawn_local(async move {
                        let _place = place;
                        admin.serve(stream, peer, &ids).await;
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "the admin listener cannot accept a connection");
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr, ids: &RequestIds) {
        let until = Rc::new(Cell::new(Instant::now() + HEAD));
        let served = async {
            match &self.in_force().tls {
                None => self.over(stream, peer, ids, &until).await,
                Some(tls) => match TlsAcceptor::from(Arc::clone(tls)).accept(stream).await {
                    Ok(stream) => self.over(stream, peer, ids, &until).await,
                    Err(error) => {
                        tracing::debug!(%error, "a handshake with the admin listener failed")
                    }
                },
            }
        };
        tokio::select! {
            () = served => {}
            () = passed(&until) => tracing::debug!(%peer, "a connection to the admin listener took too long"),
        }
    }

    async fn over(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
        peer: SocketAddr,
        ids: &RequestIds,
        until: &Rc<Cell<Instant>>,
    ) {
        let service = service_fn(|request: Request<Incoming>| async move {
            let id = ids.next().to_str().unwrap_or_default().to_owned();
            Ok::<_, Infallible>(self.answer(request, peer, id, until).await)
        });
        let mut server = http1::Builder::new();
        server.keep_alive(false).max_buf_size(MAX_HEAD);
        if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
            tracing::debug!(%error, "a connection to the admin listener ended early");
        }
    }

    /// Answers a request, and takes out of the answer what is secret.
    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        id: String,
        until: &Rc<Cell<Instant>>,
    ) -> Response<Body> {
        let answer = self.asked(request, peer, &id, until).await;
        let source = &self.in_force().config.source;
        match answer {
            Ok(Reply { status, content: Content::Json(mut value) }) => {
                mask::hide(source, &mut value);
                Reply { status, content: Content::Json(value) }.response(&id, until)
            }
            Ok(reply) => reply.response(&id, until),
            Err(refusal) => {
                let mut document = refusal.document(&id);
                mask::hide(source, &mut document);
                refusal.response(&document, &id)
            }
        }
    }

    async fn asked(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        id: &str,
        until: &Cell<Instant>,
    ) -> Answer {
        let in_force = self.in_force();
        let Some(admin) = &in_force.config.admin else {
            // A reload does not take it away.
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "there is no `[admin]`"));
        };
        authorisation::origin(admin, request.uri(), request.headers())?;
        let found = router::find(request.method(), request.uri().path());
        let is_open = matches!(&found, Ok((endpoint, _)) if endpoint.access == Access::Open);
        let who = match authorisation::token(admin, request.headers()) {
            Ok(who) => who,
            Err(_) if is_open => "anybody",
            Err(refusal) => {
                self.0.places.failures.count(peer);
                return Err(refusal);
            }
        };
        let (endpoint, path) = found?;
        until.set(Instant::now() + endpoint.timeout);
        let (head, body) = request.into_parts();
        let call = Call {
            path,
            query: head.uri.query().unwrap_or_default().to_owned(),
            body: if head.method == Method::GET { Bytes::new() } else { read(body).await? },
            headers: head.headers,
            peer,
            id: id.to_owned(),
            who,
        };
        self.handle(endpoint, call).await
    }

    async fn handle(&self, endpoint: &'static Endpoint, call: Call) -> Answer {
        match endpoint.handler {
            Handler::Now(handler) => handler(self, &call),
            Handler::Waits(handler) => handler(self, &call).await,
            Handler::Apart(handler) => {
                let place = Arc::clone(&self.0.places.apart).acquire_owned();
                let Ok(Ok(place)) = tokio::time::timeout(PATIENCE, place).await else {
                    let why = "as many questions as may be are being answered";
                    return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why));
                };
                let admin = self.clone();
                let answer = tokio::task::spawn_blocking(move || {
                    let _place = place;
                    handler(&admin, &call)
                });
                answer.await.unwrap_or_else(|error| {
                    tracing::error!(%error, "an answer of the admin API could not be made");
                    let why = "the answer could not be made; the log says why";
                    Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, why))
                })
            }
        }
    }
}

/// Reads a body, as far as it may be.
async fn read(mut body: Incoming) -> Result<Bytes, Refusal> {
    let mut bytes = BytesMut::new();
    let mut body = std::pin::Pin::new(&mut body);
    while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await
    {
        let frame = frame.map_err(|_| Refusal::bad("the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > MAX_BODY {
            let why = format!("the body has more than {MAX_BODY} bytes");
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, why));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

/// Waits until the time has come, which may be put off meanwhile.
async fn passed(until: &Cell<Instant>) {
    while Instant::now() < until.get() {
        tokio::time::sleep_until(until.get().into()).await;
    }
}
