//! One HTTP/2 stream, as a task.
//!
//! Owns the idle timeout of a client that does not take its response: flow control stalls one
//! stream while the connection lives on, and a body that cannot be sent is not even polled.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use hyper::rt::Executor;

use super::connection::Connection;

/// What the stream's task and its response body tell each other.
#[derive(Debug)]
pub(crate) struct StreamSlot {
    connection: Rc<Connection>,
    client_is_next: Cell<bool>,
    /// Changes with each frame that was handed over.
    frames: Cell<u64>,
}

impl StreamSlot {
    pub(super) fn new(connection: Rc<Connection>) -> Self {
        Self { connection, client_is_next: Cell::new(false), frames: Cell::new(0) }
    }

    /// See [`crate::exchange::Exchange::client_is_next`].
    pub(crate) fn client_is_next(&self, is: bool) {
        self.client_is_next.set(is);
        self.frames.set(self.frames.get() + 1);
    }
}

/// Open as long as its task.
#[derive(Debug)]
struct OpenStream(Rc<StreamSlot>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.connection.stream_closed();
    }
}

/// Runs the streams of one connection on the worker's thread.
#[derive(Debug, Clone)]
pub(super) struct Streams(pub(super) Rc<Connection>);

impl<F: Future<Output = ()> + 'static> Executor<F> for Streams {
    fn execute(&self, future: F) {
        match self.0.take_new_stream() {
            Some(slot) => tokio::task::spawn_local(run(OpenStream(slot), future)),
            None => tokio::task::spawn_local(future),
        };
    }
}

/// Drops the future, which resets the stream, when the client takes nothing for too long.
async fn run<F: Future<Output = ()>>(stream: OpenStream, future: F) {
    let slot = &stream.0;
    let idle = slot.connection.timeouts().idle;
    let mut future = pin!(future);
    let mut deadline = slot.connection.worker.timers.after(idle);
    let mut seen = 0;
    poll_fn(|context| {
        if future.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        if !slot.client_is_next.get() {
            return Poll::Pending;
        }
        if seen != slot.frames.get() {
            seen = slot.frames.get();
            deadline.reset(idle);
        }
        Pin::new(&mut deadline).poll(context)
    })
    .await;
}
