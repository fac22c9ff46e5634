//! The body of a response.
//!
//! Owns the reading of it from the connection, which is done with it as soon as its last byte was
//! read. A body that was not read to its end takes its connection with it.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::chunked::{Chunked, Found};
use super::parse::Framing;
use super::{BodyError, ConnectionState, Http1Connection};

/// See the module.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    /// `None` when the end has come.
    connection: Option<Rc<Http1Connection>>,
    decoder: Decoder,
    /// What came with the head.
    first: Option<Frame<Bytes>>,
}

/// A body, as far as it has come with its head.
#[derive(Debug)]
pub(super) enum Begun {
    /// All of it: the connection is done with it.
    Buffered(Bytes),
    Streams(ResponseBody),
}

impl ResponseBody {
    /// Takes what is there of the body behind a head.
    pub(super) fn begin(
        connection: &Rc<Http1Connection>,
        state: &mut ConnectionState,
        framing: Framing,
    ) -> Result<Begun, BodyError> {
        let mut decoder = Decoder::new(framing);
        let (connection, first) = match decoder.decode(&mut state.input)? {
            Found::Unfinished => (Some(Rc::clone(connection)), None),
            Found::Data(data) if !decoder.take_end(&mut state.input) => {
                (Some(Rc::clone(connection)), Some(Frame::data(data)))
            }
            Found::Data(data) => {
                state.response_ended();
                return Ok(Begun::Buffered(data));
            }
            Found::End(trailers) => {
                state.response_ended();
                if trailers.is_empty() {
                    return Ok(Begun::Buffered(Bytes::new()));
                }
                (None, Some(Frame::trailers(trailers)))
            }
        };
        Ok(Begun::Streams(Self { connection, decoder, first }))
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Next, BodyError>> {
        let Some(connection) = &self.connection else {
            return Poll::Ready(Ok(Next::End(None)));
        };
        let state = &mut *connection.state();
        loop {
            if state.is_broken {
                return Poll::Ready(Err(BodyError::RequestBroke));
            }
            match self.decoder.decode(&mut state.input)? {
                Found::Data(data) => {
                    let ends = self.decoder.take_end(&mut state.input);
                    if ends {
                        state.response_ended();
                    }
                    return Poll::Ready(Ok(if ends { Next::Last(data) } else { Next::Data(data) }));
                }
                Found::End(trailers) => {
                    state.response_ended();
                    let trailers = (!trailers.is_empty()).then_some(trailers);
                    return Poll::Ready(Ok(Next::End(trailers)));
                }
                Found::Unfinished => {}
            }
            let filled = state.poll_fill(context, self.decoder.expected());
            if filled.is_pending() && state.upload.is_some() {
                state.reader = Some(context.waker().clone());
            }
            if ready!(filled)? == 0 {
                state.is_reusable = false;
                if !matches!(self.decoder, Decoder::UntilClose) {
                    return Poll::Ready(Err(BodyError::Closed));
                }
                state.response_ended();
                return Poll::Ready(Ok(Next::End(None)));
            }
        }
    }
}

enum Next {
    Data(Bytes),
    Last(Bytes),
    End(Option<HeaderMap>),
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = super::super::Cause;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        let next = ready!(this.poll_next(context));
        if !matches!(next, Ok(Next::Data(_))) {
            this.connection = None;
        }
        Poll::Ready(match next {
            Ok(Next::Data(data) | Next::Last(data)) => Some(Ok(Frame::data(data))),
            Ok(Next::End(trailers)) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => Some(Err(error.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.connection.is_none() && self.first.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.decoder {
            Decoder::Length(left) => {
                let first = self.first.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len);
                SizeHint::with_exact(left + first as u64)
            }
            Decoder::Chunked(_) | Decoder::UntilClose => SizeHint::default(),
        }
    }
}

impl ConnectionState {
    fn response_ended(&mut self) {
        self.is_reading = false;
        self.reader = None;
    }
}

/// Finds the parts of a body, and its end.
#[derive(Debug)]
pub(super) enum Decoder {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

impl Decoder {
    pub(super) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunked::new()),
            Framing::UntilClose | Framing::Switch => Self::UntilClose,
        }
    }

    pub(super) fn decode(&mut self, input: &mut Bytes) -> Result<Found, BodyError> {
        match self {
            Self::Length(0) => Ok(Found::End(HeaderMap::new())),
            Self::Chunked(chunked) => chunked.decode(input),
            Self::Length(_) | Self::UntilClose if input.is_empty() => Ok(Found::Unfinished),
            Self::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= length as u64;
                Ok(Found::Data(input.split_to(length)))
            }
            Self::UntilClose => Ok(Found::Data(std::mem::take(input))),
        }
    }

    /// Whether the data that was just found was the last.
    pub(super) fn take_end(&mut self, input: &mut Bytes) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.take_usual_end(input),
            Self::UntilClose => false,
        }
    }

    fn expected(&self) -> u64 {
        match self {
            Self::Length(left) => *left,
            Self::Chunked(chunked) => chunked.expected(),
            Self::UntilClose => 0,
        }
    }
}
