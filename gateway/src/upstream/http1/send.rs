//! A request over a connection, up to the head of its response.
//!
//! Owns that both directions move at the same time: a target may answer before it has read the
//! whole request, and the rest of it is then sent behind the response's back.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::TRANSFER_ENCODING;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::ext::ReasonPhrase;

use super::super::added::Added;
use super::super::exchange::{Along, Interim, MAX_INTERIMS};
use super::super::payload::Payload;
use super::super::progress::{Progress, Watch};
use super::parse::{self, Framing, Head};
use super::response::{Begun, ResponseBody};
use super::upload::{Failed, Upload};
use super::{ConnectionState, Error, Http1Connection, Switched, encode};

/// What became of a request.
pub(in super::super) struct Sent {
    pub(in super::super) result: Result<Response<Payload>, Error>,
    /// Whether any byte of a response came.
    pub(in super::super) was_heard: bool,
    /// What came is none from its first byte on, or came before the request had arrived: on a connection that has served
    /// before, it was sent with the response before.
    pub(in super::super) is_foreign: bool,
    /// Whether the target has ended the connection, in place of a response.
    pub(in super::super) has_ended: bool,
}

/// Sends a request over a connection that is ready, and waits for the head of its response. The
/// request keeps its fields until there is a response. Dropped before its end, the connection
/// must be dropped too.
pub(in super::super) async fn send<B>(
    connection: &Rc<Http1Connection>,
    request: &mut Request<B>,
    along: Along<'_>,
    watch: Option<&Watch<B>>,
) -> Sent
where
    B: Body<Data = Bytes> + Default + Unpin + 'static,
{
    let mut upload = Some(Upload::new(request, along.added, watch));
    connection.state().is_reading = true;
    let mut wait = Wait {
        was_heard: false,
        is_foreign: false,
        has_ended: false,
        unsent: None,
        interims: 0,
        continues: false,
        interim: along.interim,
    };
    let result = poll_fn(|context| {
        loop {
            if let Some(sending) = &mut upload
                && let Poll::Ready(sent) =
                    sending.poll(connection, request.body_mut(), watch, context)
            {
                upload = None;
                match sent {
                    Ok(()) => {}
                    Err(Failed::Body) => return Poll::Ready(Err(Error::RequestBody)),
                    // What the target said before it stopped listening may be there.
                    Err(Failed::Io(error)) => {
                        connection.state().is_reusable = false;
                        wait.unsent = Some(error);
                    }
                }
            }
            let polled = wait.poll_head(&mut connection.state(), request, context);
            match &mut upload {
                Some(sending) if polled.is_pending() && wait.continues && sending.is_held() => {
                    sending.go_on();
                }
                _ => return polled,
            }
        }
    })
    .await;
    let (was_heard, is_foreign, has_ended) = (wait.was_heard, wait.is_foreign, wait.has_ended);
    let result = result.and_then(|head| {
        let refused = |upload: &Upload| upload.is_held() && !head.status.is_success();
        if upload.as_ref().is_some_and(refused) {
            // The target answers in place of asking for the body. It waits for one anyway.
            connection.state().is_reusable = false;
        } else if let Some(mut upload) = upload {
            upload.go_on();
            carry_on(connection, upload, std::mem::take(request.body_mut()), watch.cloned());
        }
        respond(connection, head, std::mem::take(request.headers_mut()))
    });
    Sent { result, was_heard, is_foreign, has_ended }
}

/// The head of a request as it is written, but for the length of its body.
pub(in super::super) fn head_of<B>(request: &Request<B>, added: Option<&dyn Added>) -> Vec<u8> {
    let mut head = Vec::new();
    encode::head(&mut head, request, added, encode::Framing::None);
    head
}

struct Wait<'a> {
    was_heard: bool,
    is_foreign: bool,
    has_ended: bool,
    /// Why the request could not be written.
    unsent: Option<std::io::Error>,
    /// Interim responses so far.
    interims: usize,
    /// Whether one was a 100.
    continues: bool,
    interim: Interim<'a>,
}

impl Wait<'_> {
    /// Tells of an interim response (RFC 9110 section 15.2).
    fn tell(&mut self, head: &Head, fields: HeaderMap) -> Result<(), Error> {
        self.interims += 1;
        if self.interims > MAX_INTERIMS {
            return Err(Error::Malformed("it has sent more than 64 interim responses"));
        }
        self.continues |= head.status == StatusCode::CONTINUE;
        if let Some(interim) = self.interim {
            interim(head.status, fields);
        }
        Ok(())
    }

    /// Reads until a head is there that is more than interim. From its first byte on, the request's
    /// fields are not needed any more, and those of the response take their place.
    fn poll_head<B>(
        &mut self,
        state: &mut ConnectionState,
        request: &mut Request<B>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Head, Error>> {
        loop {
            while !state.input.is_empty() {
                if self.interims == 0 && parse::is_foreign(&state.input) {
                    self.is_foreign = true;
                    return Poll::Ready(Err(Error::Malformed("it does not begin with `HTTP/`")));
                }
                if self.interims == 0 && state.is_unasked() {
                    self.is_foreign = true;
                    let why = "it came before the request had arrived";
                    return Poll::Ready(Err(Error::Malformed(why)));
                }
                let is_for_head = request.method() == Method::HEAD;
                let fields = request.headers_mut();
                fields.clear();
                match parse::head(&mut state.input, is_for_head, fields, state.limits)? {
                    Some(head) if head.is_interim() => self.tell(&head, std::mem::take(fields))?,
                    Some(head) => return Poll::Ready(Ok(head)),
                    None => break,
                }
            }
            match ready!(state.poll_fill(context, 0)) {
                Ok(0) => {
                    self.has_ended = true;
                    return Poll::Ready(Err(self.unsent.take().map_or(Error::Closed, Error::Io)));
                }
                Ok(_) => self.was_heard = true,
                Err(error) => {
                    // TLS says so of an end that was not announced.
                    self.has_ended = error.kind() == ErrorKind::UnexpectedEof;
                    return Poll::Ready(Err(Error::Io(error)));
                }
            }
        }
    }
}

fn respond(
    connection: &Rc<Http1Connection>,
    head: Head,
    fields: HeaderMap,
) -> Result<Response<Payload>, Error> {
    let mut state = connection.state();
    state.is_reusable &= head.keeps_alive && head.framing != Framing::UntilClose;
    state.was_doubtful |= state.is_doubtful;
    state.is_doubtful = head.is_bodiless;
    state.has_promised = head.promises_body;
    state.idle = head.idle.or(state.idle);
    if head.is_bodiless && fields.contains_key(TRANSFER_ENCODING) {
        // Should there be a body anyway, it has no end that can be waited for.
        state.is_reusable = false;
    }
    let payload = if head.framing == Framing::Switch {
        state.is_reusable = false;
        Payload::Switched(super::super::switched::Switched::Http1(Switched::new(connection)))
    } else {
        let begun = ResponseBody::begin(connection, &mut state, head.framing);
        match begun.map_err(|error| Error::Body(Box::new(error)))? {
            Begun::Buffered(bytes) => Payload::Buffered(bytes),
            Begun::Streams(body) => Payload::Http1(body),
        }
    };
    let mut response = Response::new(payload);
    *response.status_mut() = head.status;
    *response.version_mut() = head.version;
    if let Some(reason) = head.reason.and_then(|reason| ReasonPhrase::try_from(reason).ok()) {
        response.extensions_mut().insert(reason);
    }
    *response.headers_mut() = fields;
    Ok(response)
}

/// For how long a target may take nothing of a request that it has answered to the end. It has no need of the
/// rest then, and who sends it may wait for the end before anything else.
const TAKES_WITHIN: Duration = Duration::from_secs(5);

/// How long the target has yet to take something; zero is that it is done with the request.
fn time_left<E>(connection: &Http1Connection, progress: &Progress<E>) -> Duration {
    let waited = progress.waited_for_target().filter(|_| !connection.state().is_reading);
    TAKES_WITHIN.saturating_sub(waited.unwrap_or_default())
}

/// Sends what is left of the request in its own task.
fn carry_on<B>(
    connection: &Rc<Http1Connection>,
    mut upload: Upload,
    mut body: B,
    watch: Option<Watch<B>>,
) where
    B: Body<Data = Bytes> + Unpin + 'static,
{
    let mine = Rc::clone(connection);
    let task = tokio::task::spawn_local(async move {
        let mut deadline = watch.as_ref().map(|watch| watch.after(TAKES_WITHIN));
        let sent = poll_fn(|context| {
            mine.state().moves = true;
            let polled = upload.poll(&mine, &mut body, watch.as_ref(), context);
            let (Some(deadline), Some(watch)) = (&mut deadline, &watch) else {
                return polled;
            };
            while polled.is_pending() && Pin::new(&mut *deadline).poll(context).is_ready() {
                let left = time_left(&mine, watch);
                if left.is_zero() {
                    return Poll::Ready(Err(Failed::Io(ErrorKind::TimedOut.into())));
                }
                deadline.reset(left);
            }
            polled
        })
        .await;
        mine.upload_ended(&sent);
    });
    connection.state().upload = Some(task.abort_handle());
}
