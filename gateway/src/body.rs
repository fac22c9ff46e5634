//! Message bodies as they pass through.
//!
//! Owns the one concrete body type of the gateway and what is watched while its bytes go by:
//! counts, the size limit, the idle timeout, and how it ended. Must never hold a body back: one
//! frame is in here at a time.

mod download;
mod upload;
mod whole;

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use thiserror::Error;

pub(crate) use self::download::{Download, Origin, broken};
pub(crate) use self::upload::Upload;
use crate::component::ComponentError;
use crate::exchange::Exchange;
use crate::upstream::{Cause, Payload, ResponseBody};

/// The body of a request or a response.
pub struct Body {
    source: Source,
    watch: Watch,
}

/// Where the bytes come from.
enum Source {
    Empty,
    Full(Bytes),
    Incoming(Incoming),
    /// Boxed: what comes whole with its head, as most do, is none.
    Upstream(Box<ResponseBody>),
    /// Through something in front of another body. Boxed, since only plugins that read bodies
    /// bring it about.
    Filtered(Filtered),
}

/// A body that is made of another one.
pub(crate) type Filtered = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError>>>;

/// Who looks on.
enum Watch {
    Nobody,
    Upload(Upload),
    /// The upstream alone: something stands between it and the client.
    Origin(Origin),
    Download(Download),
}

/// Why a body ended before its end.
#[derive(Debug, Error)]
pub enum BodyError {
    /// The connection it came over broke, or its framing did.
    #[error("the body broke off")]
    Broken(#[source] Cause),
    /// It is larger than the limit.
    #[error("the body is larger than {0} bytes")]
    TooLarge(u64),
    /// No byte came for the idle time.
    #[error("no byte came for too long")]
    Stalled,
    /// The time for the whole exchange is over.
    #[error("the exchange took too long")]
    OutOfTime,
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

    /// What comes over a connection.
    #[must_use]
    pub fn incoming(incoming: Incoming) -> Self {
        Self { source: Source::Incoming(incoming), watch: Watch::Nobody }
    }

    /// What an upstream answers.
    pub(crate) fn answered(payload: Payload) -> Self {
        let source = match payload {
            Payload::Whole(bytes) => return Self::full(bytes),
            Payload::Http1(body) => Source::Upstream(Box::new(body)),
            Payload::Http2(body) => Source::Incoming(body),
            Payload::Switched(_) => Source::Empty,
        };
        Self { source, watch: Watch::Nobody }
    }

    /// Watches a request body on its way to the upstream.
    pub(crate) fn watch_upload(&mut self, upload: Upload) {
        self.watch = Watch::Upload(upload);
    }

    /// These bytes and trailers.
    pub(crate) fn whole(bytes: Bytes, trailers: Option<HeaderMap>) -> Self {
        match trailers {
            None => Self::full(bytes),
            Some(trailers) => Self::filtered(whole::with_trailers(bytes, trailers)),
        }
    }

    /// What was read of a body already, and the rest of it.
    pub(crate) fn resumed(read: Bytes, rest: Self) -> Self {
        Self::filtered(whole::resumed(read, rest))
    }

    /// A body that is made of another one.
    pub(crate) fn filtered(filtered: Filtered) -> Self {
        Self { source: Source::Filtered(filtered), watch: Watch::Nobody }
    }

    /// Watches the upstream's silence, and returns its connection at the end.
    pub(crate) fn watch_origin(&mut self, mut origin: Origin) {
        if !http_body::Body::is_end_stream(&self.source) {
            self.watch = Watch::Origin(origin);
        } else {
            origin.release();
        }
    }

    /// Watches a response body on its way to the client; whatever becomes of it, the exchange
    /// learns of it when it is dropped.
    pub(crate) fn watch_download(&mut self, exchange: Rc<Exchange>) {
        let ended = http_body::Body::is_end_stream(&self.source);
        let origin = match std::mem::replace(&mut self.watch, Watch::Nobody) {
            Watch::Origin(origin) => Some(origin),
            Watch::Nobody | Watch::Upload(_) | Watch::Download(_) => None,
        };
        self.watch = Watch::Download(Download::new(exchange, origin, ended));
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
        if let Watch::Download(download) = &mut this.watch
            && let Some(error) = download.take_failure()
        {
            return Poll::Ready(Some(Err(error)));
        }
        let polled = Pin::new(&mut this.source).poll_frame(context);
        match &mut this.watch {
            Watch::Nobody => polled,
            Watch::Upload(upload) => {
                upload.observe(polled, http_body::Body::is_end_stream(&this.source), context)
            }
            Watch::Origin(origin) => {
                origin.observe(polled, http_body::Body::is_end_stream(&this.source), context)
            }
            Watch::Download(download) => {
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
            Self::Incoming(incoming) => {
                let polled = Pin::new(incoming).poll_frame(context);
                polled.map_err(|error| BodyError::Broken(error.into()))
            }
            Self::Upstream(body) => Pin::new(body).poll_frame(context).map_err(BodyError::Broken),
            Self::Filtered(filtered) => filtered.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) => false,
            Self::Incoming(incoming) => incoming.is_end_stream(),
            Self::Upstream(body) => body.is_end_stream(),
            Self::Filtered(filtered) => filtered.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Incoming(incoming) => incoming.size_hint(),
            Self::Upstream(body) => body.size_hint(),
            Self::Filtered(filtered) => filtered.size_hint(),
        }
    }
}
