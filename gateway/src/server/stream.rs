//! What is known of one HTTP/2 stream of a client.
//!
//! Owns what its task, the bodies of its exchange and the path exchange: interim responses, whose
//! move is next, what becomes of the body of the request, and the tunnel that it may turn into. Must not wait: its task does.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Response, StatusCode};

use super::connection::ClientConnection;
use super::leftover::{Leftover, Progress};
use crate::conn::{Stream, Tunnel};
use crate::http2::Received;

/// Interim responses to one request that may wait for a client to read.
const MOST_WAITING: u32 = 4;

/// See the module.
#[derive(Debug)]
pub(crate) struct StreamSlot {
    pub(super) connection: Rc<ClientConnection>,
    /// Where the response goes, until its head has gone there.
    reply: RefCell<Option<SendResponse<Bytes>>>,
    upload: RefCell<Upload>,
    /// The client waits for a 100 before it sends the body.
    expects: Cell<bool>,
    /// Interim responses so far.
    informed: Cell<u32>,
    client_is_next: Cell<bool>,
    /// Changes with each frame of the response that was handed over.
    downloaded: Cell<u64>,
    /// Changes with each frame of the request that was taken.
    uploaded: Cell<u64>,
    /// The stream's task, where it waits for the body of the request.
    waker: RefCell<Option<Waker>>,
    /// The client took nothing for the idle time.
    is_cut: Cell<bool>,
    /// The request is one for a tunnel. Boxed, since few are.
    connect: RefCell<Option<Box<Connect>>>,
}

/// A stream that is to be a tunnel.
#[derive(Debug)]
struct Connect {
    /// What the client sends.
    received: RecvStream,
    /// Where it goes, when that is agreed.
    tunnel: Option<Tunnel>,
}

/// The body of the request.
#[derive(Debug)]
enum Upload {
    /// There is none, it has ended, or nobody cares.
    Over,
    /// Somebody has it.
    Held,
    /// Nobody wants the rest of it.
    Left(Leftover<Received>),
}

impl Stream for StreamSlot {
    fn is_cut(&self) -> bool {
        self.is_cut.get()
    }

    fn client_is_next(&self, is: bool) {
        self.client_is_next.set(is);
        self.downloaded.set(self.downloaded.get() + 1);
    }

    fn send_interim(&self, status: StatusCode, fields: HeaderMap) {
        // While the client does not read, a few wait.
        let sent = self.informed.replace(self.informed.get() + 1);
        if self.connection.is_blocked() && sent >= MOST_WAITING {
            return;
        }
        if let Some(reply) = &mut *self.reply.borrow_mut() {
            let mut head = Response::new(());
            *head.status_mut() = status;
            *head.headers_mut() = fields;
            if let Err(error) = reply.send_informational(head) {
                tracing::debug!(%error, %status, "an interim response was not sent");
            }
        }
    }

    fn body_is_asked_for(&self) {
        if self.expects.take() {
            // However many there were, this one is waited for.
            self.informed.set(0);
            self.send_interim(StatusCode::CONTINUE, HeaderMap::new());
        }
    }

    fn body_moved(&self) {
        self.uploaded.set(self.uploaded.get() + 1);
    }

    fn body_ended(&self) {
        self.upload.replace(Upload::Over);
        self.wake();
    }

    fn body_abandoned(&self, body: Received) {
        let mut upload = self.upload.borrow_mut();
        // It may be that nobody cares any more, or that nothing is on its way.
        if matches!(*upload, Upload::Held) && !self.expects.get() {
            *upload = Upload::Left(Leftover::of_stream(body));
        } else {
            *upload = Upload::Over;
        }
        drop(upload);
        self.wake();
    }

    fn give_up_body(&self) {
        self.upload.replace(Upload::Over);
        self.wake();
    }

    fn waits_for_tunnel(&self) -> bool {
        self.connect.borrow().as_ref().is_some_and(|connect| connect.tunnel.is_none())
    }

    fn switch_to(&self, tunnel: Tunnel) {
        if let Some(connect) = &mut *self.connect.borrow_mut() {
            connect.tunnel = Some(tunnel);
        }
    }
}

impl StreamSlot {
    pub(super) fn new(
        connection: Rc<ClientConnection>,
        reply: SendResponse<Bytes>,
        has_body: bool,
        expects: bool,
    ) -> Self {
        Self {
            connection,
            reply: RefCell::new(Some(reply)),
            upload: RefCell::new(if has_body { Upload::Held } else { Upload::Over }),
            expects: Cell::new(expects),
            informed: Cell::new(0),
            client_is_next: Cell::new(false),
            downloaded: Cell::new(0),
            uploaded: Cell::new(0),
            waker: RefCell::new(None),
            is_cut: Cell::new(false),
            connect: RefCell::new(None),
        }
    }

    /// The request is one for a tunnel, and this is what its client sends.
    pub(super) fn asks_for_tunnel(&self, received: RecvStream) {
        self.connect.replace(Some(Box::new(Connect { received, tunnel: None })));
    }

    /// The tunnel that was agreed to, with what the client sends.
    pub(super) fn take_tunnel(&self) -> Option<(RecvStream, Tunnel)> {
        let connect = self.connect.borrow_mut().take_if(|connect| connect.tunnel.is_some())?;
        let Connect { received, tunnel } = *connect;
        Some((received, tunnel?))
    }

    /// The client takes nothing: the gateway gives the stream up.
    pub(super) fn cut(&self) {
        self.is_cut.set(true);
    }

    /// Whether the client has to take a frame, and the number of that frame.
    pub(super) fn awaits_client(&self) -> Option<u64> {
        self.client_is_next.get().then(|| self.downloaded.get())
    }

    /// How many frames of the request body were taken.
    pub(super) fn uploaded(&self) -> u64 {
        self.uploaded.get()
    }

    /// Reads what nobody wants of the request body. `true` if there is nothing left to wait for.
    pub(super) fn poll_leftover(&self, context: &mut Context<'_>) -> bool {
        let mut upload = self.upload.borrow_mut();
        match &mut *upload {
            Upload::Over => return true,
            Upload::Held => {
                self.wakes(context.waker());
                return false;
            }
            Upload::Left(leftover) => match leftover.poll(context) {
                Progress::Pending => return false,
                Progress::Over => {}
            },
        }
        *upload = Upload::Over;
        true
    }

    /// How much more is read of a request body that is not needed, if it is one.
    pub(super) fn leftover(&self) -> Option<u64> {
        match &*self.upload.borrow() {
            Upload::Left(leftover) => Some(leftover.room()),
            Upload::Over | Upload::Held => None,
        }
    }

    /// Ends when the client resets the stream, or the connection ends, before there is a response.
    pub(super) fn poll_reset(&self, context: &mut Context<'_>) -> Poll<()> {
        match &mut *self.reply.borrow_mut() {
            Some(reply) => reply.poll_reset(context).map(|reason| {
                tracing::trace!(?reason, "a client has reset a stream");
            }),
            None => Poll::Ready(()),
        }
    }

    /// Where the response goes. From now on there are no interim responses.
    pub(super) fn take_reply(&self) -> Option<SendResponse<Bytes>> {
        self.reply.take()
    }

    /// Lets go of all that belongs to the stream, which must not outlive its task.
    pub(super) fn close(&self) {
        self.reply.take();
        self.upload.replace(Upload::Over);
        self.waker.take();
        self.connect.take();
        self.connection.stream_closed();
    }

    fn wakes(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        match &*known {
            Some(known) if known.will_wake(waker) => {}
            _ => *known = Some(waker.clone()),
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
