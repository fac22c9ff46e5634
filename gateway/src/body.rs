//! Message bodies that stream through the gateway.
//!
//! Owns the one concrete body type of the gateway and its monitors: byte counts, the size limit, the
//! idle timeout, and how the body ended. Must never delay a body: one frame is in here at a time.

mod buffered;
mod client;
mod collect;
mod keep_alive;
mod observer;
mod replay;
mod request_monitor;
mod response_monitor;

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use thiserror::Error;

pub(crate) use self::client::FromClient;
use self::client::{ClientBody, StreamBody};
pub(crate) use self::collect::{CollectError, collect};
pub(crate) use self::keep_alive::KeepAlive;
pub(crate) use self::observer::{Observer, TrailerFilter, TrailerForm};
pub(crate) use self::replay::Replay;
pub(crate) use self::request_monitor::RequestBodyMonitor;
pub(crate) use self::response_monitor::broken;
use self::response_monitor::{ResponseBodyMonitor, UpstreamBodyMonitor};
use crate::conn::Downstream;
use crate::error::ComponentError;
use crate::timer::Timers;
use crate::upstream::{self, Cause, Http2Body, Lease, Payload, ResponseBody};

/// The body of a request or a response.
pub struct Body {
    source: Source,
    watch: Watch,
}

/// Where the bytes come from.
enum Source {
    Empty,
    Full(Bytes),
    /// From a client over HTTP/1.
    Client(ClientBody),
    /// From a client over HTTP/2.
    Stream(StreamBody),
    /// From an upstream over HTTP/1.
    ///
    /// Boxed: what comes whole with its head, as most do, is none.
    Upstream(Box<ResponseBody>),
    /// From an upstream over HTTP/2.
    Http2(Http2Body),
    /// Through something in front of another body. Boxed, since only plugins that read bodies
    /// bring it about.
    Filtered(Filtered),
}

/// A body that is made of another one.
pub(crate) type Filtered = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError>>>;

/// Who monitors the body.
///
/// What is large is boxed: bodies are moved many times, and most are whole or empty from the start.
enum Watch {
    Nobody,
    Request(Box<RequestBodyMonitor>),
    /// A request's plugins, for its trailers.
    Trailers(Rc<dyn TrailerFilter>),
    /// The upstream alone: something is between it and the client.
    Upstream(Box<UpstreamBodyMonitor>),
    Response(ResponseBodyMonitor),
}

/// Why a body ended before its end.
#[derive(Debug, Error)]
pub enum BodyError {
    /// The connection it came over broke, or its framing did.
    #[error("the body broke off")]
    Broken(#[source] Cause),
    /// The gateway has stored it, and cannot read it again.
    #[error("the stored body cannot be read")]
    Stored(#[source] Cause),
    /// It is larger than the limit.
    #[error("the body is larger than {0} bytes")]
    TooLarge(u64),
    /// No byte came for the idle time.
    #[error("no byte arrived in time")]
    Stalled,
    /// The time for the whole exchange is over.
    #[error("the exchange took too long")]
    OutOfTime,
    /// A plugin waits for the whole of it, and it did not come in time.
    #[error(
        "it was not complete after {1:?}, and the plugin `{0}` waits for all of it \
         (`limits.buffer_time`)"
    )]
    Late(Arc<str>, Duration),
    /// A plugin failed at it, or cut it off. The log has said why already.
    #[error("the plugin `{0}` ended the body")]
    Plugin(Arc<str>),
    /// The component that makes it failed.
    #[error("the component `{component}` failed")]
    Component {
        /// Its name.
        component: Arc<str>,
        /// What happened.
        #[source]
        cause: Arc<ComponentError>,
    },
}

impl Body {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self { source: Source::Empty, watch: Watch::Nobody }
    }

    /// These bytes.
    #[must_use]
    pub fn full(bytes: Bytes) -> Self {
        let source = if bytes.is_empty() { Source::Empty } else { Source::Full(bytes) };
        Self { source, watch: Watch::Nobody }
    }

    /// What a client sends; its connection learns what becomes of it.
    pub(crate) fn from_client(body: FromClient, connection: &Rc<dyn Downstream>) -> Self {
        let source = match body {
            FromClient::Http1(incoming) if incoming.is_end_stream() => Source::Empty,
            FromClient::Http1(incoming) => Source::Client(ClientBody::new(incoming, connection)),
            FromClient::Connect(_) => Source::Empty,
            FromClient::Http2(received, _) if received.is_end_stream() => Source::Empty,
            FromClient::Http2(received, slot) => Source::Stream(StreamBody::new(received, slot)),
        };
        Self { source, watch: Watch::Nobody }
    }

    /// What an upstream answers.
    pub(crate) fn answered(payload: Payload) -> Self {
        let source = match payload {
            Payload::Buffered(bytes) => return Self::full(bytes),
            Payload::Http1(body) => Source::Upstream(Box::new(body)),
            Payload::Http2(body) => Source::Http2(body),
            Payload::Switched(_) => Source::Empty,
        };
        Self { source, watch: Watch::Nobody }
    }

    /// Watches a request body on its way to the upstream.
    pub(crate) fn monitor_request(&mut self, upload: RequestBodyMonitor) {
        self.watch = Watch::Request(Box::new(upload));
    }

    /// Whether trailers may follow on it. Those of HTTP/2 may be behind any body.
    pub(crate) fn may_have_trailers(&self, is_http2: bool) -> bool {
        match &self.source {
            Source::Empty | Source::Full(_) => false,
            Source::Http2(_) | Source::Stream(_) | Source::Client(_) => {
                let is_sized = self.source.size_hint().exact().is_some();
                !self.source.is_end_stream() && (is_http2 || !is_sized)
            }
            Source::Upstream(body) => http_body::Body::size_hint(&**body).exact().is_none(),
            Source::Filtered(_) => true,
        }
    }

    /// Keeps trailers from bringing what the plugins of a request wrote into its head.
    pub(crate) fn guard_trailers(&mut self, filter: Rc<dyn TrailerFilter>) {
        if matches!(self.watch, Watch::Nobody) && matches!(self.source, Source::Filtered(_)) {
            self.watch = Watch::Trailers(filter);
        }
    }

    /// These bytes and trailers.
    pub(crate) fn buffered(bytes: Bytes, trailers: Option<HeaderMap>) -> Self {
        match trailers {
            None => Self::full(bytes),
            Some(trailers) => Self::filtered(buffered::with_trailers(bytes, trailers)),
        }
    }

    /// All of it, if it is there already.
    pub(crate) fn whole(&self) -> Option<Bytes> {
        match &self.source {
            Source::Empty => Some(Bytes::new()),
            Source::Full(bytes) => Some(bytes.clone()),
            source if http_body::Body::is_end_stream(source) => Some(Bytes::new()),
            _ => None,
        }
    }

    /// What was read of a body already, and the rest of it.
    pub(crate) fn resumed(read: Bytes, rest: Self) -> Self {
        Self::filtered(buffered::resumed(read, rest))
    }

    /// Whether it goes on for nobody knows how long.
    pub(crate) fn is_open_ended(&self) -> bool {
        !http_body::Body::is_end_stream(&self.source) && self.source.size_hint().exact().is_none()
    }

    /// Whether reading it does more than reading it: plugins see what passes.
    pub(crate) fn is_filtered(&self) -> bool {
        matches!(self.source, Source::Filtered(_))
    }

    /// A body that is made of another one.
    pub(crate) fn filtered(filtered: Filtered) -> Self {
        Self { source: Source::Filtered(filtered), watch: Watch::Nobody }
    }

    /// Watches the upstream's silence, which may last for `idle`, and returns its connection at the end.
    pub(crate) fn monitor_upstream(&mut self, lease: Lease, timers: &Timers, idle: Duration) {
        if http_body::Body::is_end_stream(&self.source) {
            drop(lease);
        } else {
            let origin = UpstreamBodyMonitor::new(lease, timers.clone(), idle);
            self.watch = Watch::Upstream(Box::new(origin));
        }
    }

    /// Watches a response body on its way to the client; the observer also learns when it is dropped. The client may be sent
    /// something while it is silent.
    pub(crate) fn monitor_response(
        &mut self,
        observer: Rc<dyn Observer>,
        keep_alive: Option<Box<KeepAlive>>,
    ) {
        let ended = http_body::Body::is_end_stream(&self.source);
        let origin = match std::mem::replace(&mut self.watch, Watch::Nobody) {
            Watch::Upstream(origin) => Some(origin),
            Watch::Nobody | Watch::Request(_) | Watch::Trailers(_) | Watch::Response(_) => None,
        };
        let monitor = ResponseBodyMonitor::new(observer, origin, keep_alive, ended);
        self.watch = Watch::Response(monitor);
    }
}

impl Body {
    /// What is left of a response that nobody takes, if somebody wants it read.
    fn give_rest(&mut self) {
        let Watch::Response(monitor) = &mut self.watch else { return };
        if http_body::Body::is_end_stream(&self.source) {
            return;
        }
        let Some((observer, origin)) = monitor.rest() else { return };
        let source = std::mem::replace(&mut self.source, Source::Empty);
        let watch = origin.map_or(Watch::Nobody, Watch::Upstream);
        observer.read_rest(Self { source, watch });
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.give_rest();
        let is_response = matches!(self.watch, Watch::Response(_) | Watch::Upstream(_));
        if is_response
            && let Source::Http2(body) = &self.source
            && body.is_whole()
            && let Source::Http2(body) = std::mem::replace(&mut self.source, Source::Empty)
        {
            upstream::keep(body);
        }
    }
}

impl upstream::Resume for Body {
    fn resumed(read: Bytes, rest: Self) -> Self {
        Self::resumed(read, rest)
    }
}

impl Default for Body {
    /// No body.
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("size", &http_body::Body::size_hint(&self.source))
            .finish_non_exhaustive()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Watch::Response(download) = &mut this.watch
            && let Some(held) = download.take_held()
        {
            return download.let_go(*held, context);
        }
        let polled = Pin::new(&mut this.source).poll_frame(context);
        match &mut this.watch {
            Watch::Nobody => polled,
            Watch::Trailers(filter) => filtered(polled, &**filter),
            Watch::Request(upload) => {
                upload.observe(polled, http_body::Body::is_end_stream(&this.source), context)
            }
            Watch::Upstream(origin) => {
                origin.observe(polled, http_body::Body::is_end_stream(&this.source), context)
            }
            Watch::Response(download) => {
                if let Source::Http2(body) = &this.source
                    && body.is_whole()
                {
                    download.is_whole();
                }
                download.observe(polled, http_body::Body::is_end_stream(&this.source), context)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.source.size_hint()
    }
}

/// Takes out of trailers what plugins wrote into the head, some of them perhaps after this body, with
/// its trailers, was read for another.
fn filtered(
    polled: Poll<Option<Result<Frame<Bytes>, BodyError>>>,
    filter: &dyn TrailerFilter,
) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
    let Poll::Ready(Some(Ok(mut frame))) = polled else { return polled };
    let Some(trailers) = frame.trailers_mut() else { return Poll::Ready(Some(Ok(frame))) };
    filter.filter(trailers);
    let is_empty = trailers.is_empty();
    Poll::Ready((!is_empty).then_some(Ok(frame)))
}

impl http_body::Body for Source {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            source @ Self::Full(_) => {
                let Self::Full(bytes) = std::mem::replace(source, Self::Empty) else {
                    return Poll::Ready(None);
                };
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Client(body) => body.poll_frame(context),
            Self::Stream(body) => body.poll_frame(context),
            Self::Upstream(body) => Pin::new(body).poll_frame(context).map_err(BodyError::Broken),
            Self::Http2(body) => {
                let polled = Pin::new(body).poll_frame(context);
                polled.map_err(|error| BodyError::Broken(error.into()))
            }
            Self::Filtered(filtered) => filtered.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) => false,
            Self::Client(body) => body.is_end_stream(),
            Self::Stream(body) => body.is_end_stream(),
            Self::Upstream(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
            Self::Filtered(filtered) => filtered.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Client(body) => body.size_hint(),
            Self::Stream(body) => body.size_hint(),
            Self::Upstream(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
            Self::Filtered(filtered) => filtered.size_hint(),
        }
    }
}
