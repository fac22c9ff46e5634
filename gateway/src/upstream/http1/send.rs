//! A request over a connection, up to the head of its response.
//!
//! Owns that both directions move at the same time: a target may answer before it has read the
//! whole request, and the rest of it is then sent behind the response's back.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;

use super::super::payload::Payload;
use super::super::progress::Watch;
use super::parse::{self, Framing, Head};
use super::response::{Begun, ResponseBody};
use super::upload::{Failed, Upload};
use super::{Connection, Error, State, Switched};

/// What became of a request.
pub(in super::super) struct Sent {
    pub(in super::super) result: Result<Response<Payload>, Error>,
    /// Whether any byte of a response came.
    pub(in super::super) was_heard: bool,
}

/// Sends a request over a connection that is ready, and waits for the head of its response. The
/// request keeps its fields until there is a response. Dropped before its end, the connection
/// must be dropped too.
pub(in super::super) async fn send<B>(
    connection: &Rc<Connection>,
    request: &mut Request<B>,
    watch: Option<&Watch<B>>,
) -> Sent
where
    B: Body<Data = Bytes> + Default + Unpin + 'static,
{
    let mut upload = Some(Upload::new(request));
    connection.state().is_reading = true;
    let mut wait = Wait { was_heard: false, unsent: None };
    let result = poll_fn(|context| {
        if let Some(sending) = &mut upload
            && let Poll::Ready(sent) = sending.poll(connection, request.body_mut(), watch, context)
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
        wait.poll_head(&mut connection.state(), request, context)
    })
    .await;
    let was_heard = wait.was_heard;
    let result = result.and_then(|head| {
        if let Some(upload) = upload {
            carry_on(connection, upload, std::mem::take(request.body_mut()), watch.cloned());
        }
        respond(connection, head)
    });
    Sent { result, was_heard }
}

struct Wait {
    was_heard: bool,
    /// Why the request could not be written.
    unsent: Option<std::io::Error>,
}

impl Wait {
    /// Reads until a head is there that is more than interim (RFC 9110 section 15.2). From its
    /// first byte on, the request's fields are not needed any more, and their map serves again.
    fn poll_head<B>(
        &mut self,
        state: &mut State,
        request: &mut Request<B>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Head, Error>> {
        loop {
            while !state.input.is_empty() {
                let mut fields = std::mem::take(request.headers_mut());
                fields.clear();
                match parse::head(&mut state.input, request.method(), fields)? {
                    Ok(head) if head.is_interim() => {}
                    Ok(head) => return Poll::Ready(Ok(head)),
                    Err(fields) => {
                        *request.headers_mut() = fields;
                        break;
                    }
                }
            }
            match ready!(state.poll_fill(context, 0)) {
                Ok(0) => {
                    return Poll::Ready(Err(self.unsent.take().map_or(Error::Closed, Error::Io)));
                }
                Ok(_) => self.was_heard = true,
                Err(error) => return Poll::Ready(Err(Error::Io(error))),
            }
        }
    }
}

fn respond(connection: &Rc<Connection>, head: Head) -> Result<Response<Payload>, Error> {
    let mut state = connection.state();
    state.is_reusable &= head.keeps_alive && head.framing != Framing::UntilClose;
    let payload = if head.framing == Framing::Switch {
        state.is_reusable = false;
        Payload::Switched(Switched::new(connection))
    } else {
        let begun = ResponseBody::begin(connection, &mut state, head.framing);
        match begun.map_err(|error| Error::Body(Box::new(error)))? {
            Begun::Whole(bytes) => Payload::Whole(bytes),
            Begun::Streams(body) => Payload::Http1(body),
        }
    };
    let mut response = Response::new(payload);
    *response.status_mut() = head.status;
    *response.version_mut() = head.version;
    *response.headers_mut() = head.headers;
    Ok(response)
}

/// Sends what is left of the request in a task of its own.
fn carry_on<B>(
    connection: &Rc<Connection>,
    mut upload: Upload,
    mut body: B,
    watch: Option<Watch<B>>,
) where
    B: Body<Data = Bytes> + Unpin + 'static,
{
    let mine = Rc::clone(connection);
    let task = tokio::task::spawn_local(async move {
        let sent = poll_fn(|context| upload.poll(&mine, &mut body, watch.as_ref(), context)).await;
        mine.upload_ended(&sent);
    });
    connection.state().upload = Some(task.abort_handle());
}
