//! gRPC-Web of clients, translated to gRPC for an upstream and back.
//!
//! Owns the notation of both (PROTOCOL-WEB.md of gRPC): media types, base64, and trailers as the last frame of
//! a body. Messages pass through as they are. Must not decide what a call means.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, request, response};
use http_body::{Body as _, Frame, SizeHint};

use crate::body::{Body, BodyError, Observer as _};
use crate::error::{Failure, Malformed};
use crate::exchange::Exchange;
use crate::proxy::request::hop_by_hop::Hop;
use crate::respond::Caller;
use crate::trailers;

const GRPC: &str = "application/grpc";
const WEB: &str = "application/grpc-web";
const WEB_TEXT: &str = "application/grpc-web-text";

/// The first byte of a frame that has trailers.
const TRAILERS: u8 = 0x80;

/// A call that was translated.
pub(super) struct Web {
    /// The response is read as base64.
    is_text: bool,
}

/// Makes a call of gRPC of one of gRPC-Web; `None` if it is none.
pub(super) fn translate(
    exchange: &Rc<Exchange>,
    head: &mut request::Parts,
    body: &mut Body,
    hop: &mut Hop,
) -> Option<Web> {
    let kind = head.headers.get(CONTENT_TYPE)?;
    let (is_text, front) = match Caller::of_media_type(kind) {
        Caller::GrpcWeb => (false, WEB),
        Caller::GrpcWebText => (true, WEB_TEXT),
        _ => return None,
    };
    let kind = renamed(kind, front, GRPC)?;
    head.headers.insert(CONTENT_TYPE, kind);
    let wanted = head.headers.get(ACCEPT).map(Caller::of_media_type);
    if matches!(wanted, Some(Caller::GrpcWeb | Caller::GrpcWebText)) {
        head.headers.remove(ACCEPT);
    }
    // The upstream is told that trailers are understood, and they are: here.
    hop.takes_trailers = true;
    if is_text {
        head.headers.remove(CONTENT_LENGTH);
        if !body.is_end_stream() {
            let inner = std::mem::take(body);
            let decoded = Decoded { inner, rest: Vec::new(), exchange: Rc::clone(exchange) };
            *body = Body::filtered(Box::pin(decoded));
        }
    }
    let is_text = match wanted {
        Some(Caller::GrpcWeb) => false,
        Some(Caller::GrpcWebText) => true,
        _ => is_text,
    };
    Some(Web { is_text })
}

impl Web {
    /// Makes a response of gRPC-Web of one of gRPC. Another one passes on as it is.
    pub(super) fn translate(&self, head: &mut response::Parts, body: Body) -> Body {
        let Some(kind) = head.headers.get(CONTENT_TYPE) else { return body };
        if Caller::of_media_type(kind) != Caller::Grpc {
            return body;
        }
        let web = if self.is_text { WEB_TEXT } else { WEB };
        let Some(kind) = renamed(kind, GRPC, web) else { return body };
        head.headers.insert(CONTENT_TYPE, kind);
        head.headers.remove(CONTENT_LENGTH);
        if body.is_end_stream() {
            // Trailers alone: their clients read the status from the head too.
            return body;
        }
        Body::filtered(Box::pin(Framed { inner: body, is_text: self.is_text, has_ended: false }))
    }
}

/// A media type with another front, and what is behind it.
fn renamed(kind: &HeaderValue, from: &str, to: &str) -> Option<HeaderValue> {
    let rest = kind.as_bytes().get(from.len()..)?;
    HeaderValue::from_bytes(&[to.as_bytes(), rest].concat()).ok()
}

/// The body of a request, out of base64: one text, or several, each with its own padding.
struct Decoded {
    inner: Body,
    /// Characters that wait for others.
    rest: Vec<u8>,
    exchange: Rc<Exchange>,
}

impl Decoded {
    fn decode(&mut self, data: &[u8]) -> Option<Bytes> {
        self.rest.extend(data.iter().filter(|byte| !byte.is_ascii_whitespace()));
        let whole = self.rest.len() / 4 * 4;
        let mut decoded = Vec::with_capacity(whole / 4 * 3);
        for text in
            self.rest[..whole].chunks(4).collect::<Vec<_>>().chunk_by(|one, _| one[3] != b'=')
        {
            STANDARD.decode_vec(text.concat(), &mut decoded).ok()?;
        }
        self.rest.drain(..whole);
        Some(decoded.into())
    }

    fn fails(&self) -> BodyError {
        self.exchange.upload_failed(Failure::Malformed(Malformed::Base64));
        BodyError::Broken("the body of gRPC-Web is not base64".into())
    }
}

impl http_body::Body for Decoded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) else {
                return Poll::Pending;
            };
            let data = match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    // There are none in gRPC-Web.
                    Err(_trailers) => continue,
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if this.rest.is_empty() => return Poll::Ready(None),
                None => return Poll::Ready(Some(Err(this.fails()))),
            };
            match this.decode(&data) {
                Some(decoded) if decoded.is_empty() => {}
                Some(decoded) => return Poll::Ready(Some(Ok(Frame::data(decoded)))),
                None => return Poll::Ready(Some(Err(this.fails()))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }
}

/// The body of a response, with its trailers as the last frame in it.
struct Framed {
    inner: Body,
    is_text: bool,
    has_ended: bool,
}

impl Framed {
    fn text(&self, bytes: Bytes) -> Frame<Bytes> {
        // Each piece is a text with its padding, so that none waits for the next.
        Frame::data(if self.is_text { STANDARD.encode(bytes).into() } else { bytes })
    }
}

impl http_body::Body for Framed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if this.has_ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) else {
            return Poll::Pending;
        };
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| match frame.into_data() {
                Ok(data) => this.text(data),
                Err(frame) => {
                    this.has_ended = true;
                    this.text(in_body(frame.into_trailers().unwrap_or_default()))
                }
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Trailers as a frame of a body.
fn in_body(mut trailers: HeaderMap) -> Bytes {
    trailers::filter(&mut trailers, &[]);
    let mut text = BytesMut::new();
    for (name, value) in &trailers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            text.extend_from_slice(part);
        }
    }
    let mut frame = BytesMut::with_capacity(5 + text.len());
    frame.put_u8(TRAILERS);
    frame.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    frame.unsplit(text);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_keeps_what_is_behind_its_front() {
        let web = HeaderValue::from_static("application/grpc-web-text+proto;a=b");
        assert_eq!(renamed(&web, WEB_TEXT, GRPC).expect("a type"), "application/grpc+proto;a=b");
    }

    #[test]
    fn trailers_are_a_frame() {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        trailers.append("x-note-bin", HeaderValue::from_static("AA=="));
        trailers.append("set-cookie", HeaderValue::from_static("a=b"));
        let text = b"\x80\0\0\0\x26grpc-status: 0\r\nx-note-bin: AA==\r\n";
        let frame = in_body(trailers);
        assert_eq!((frame[4] as usize, &frame[5..]), (frame.len() - 5, &text[5..]));
    }
}
