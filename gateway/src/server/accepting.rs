//! The accept queue of a listener on one worker.
//!
//! Owns what is taken from it, and that what the kernel already agreed to is served once the listener
//! ends.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use super::drain::Drain;
use super::worker::{Worker, connect};
use crate::conn::ListenerKey;
use crate::exchange::Application;

/// How long to wait when the process has no descriptor left.
const BACK_OFF: Duration = Duration::from_millis(100);

/// A listener whose connections are accepted, or are ending.
#[derive(Debug)]
pub(super) struct Accepting {
    pub(super) key: ListenerKey,
    pub(super) drain: Rc<Drain>,
    /// Those from which this worker accepts, by their number.
    sockets: RefCell<Vec<(usize, AbortHandle)>>,
}

impl Accepting {
    pub(super) fn new(key: ListenerKey) -> Self {
        Self { key, drain: Rc::default(), sockets: RefCell::default() }
    }

    /// Accepts from one more socket.
    pub(super) fn open<A: Application>(
        self: &Rc<Self>,
        application: A,
        worker: &Rc<Worker>,
        number: usize,
        socket: std::net::TcpListener,
    ) -> io::Result<()> {
        let listener = TcpListener::from_std(socket)?;
        let accepts = accept(application, Rc::clone(worker), listener, Rc::clone(self));
        let task = tokio::task::spawn_local(accepts).abort_handle();
        self.sockets.borrow_mut().push((number, task));
        Ok(())
    }

    /// Accepts from a socket no more. It stays open, for another worker: nothing is lost that waits in its queue.
    pub(super) fn close(&self, number: usize) {
        self.sockets.borrow_mut().retain(|(known, task)| {
            if *known == number {
                // It is never stopped between what it accepts and the task of that.
                task.abort();
            }
            *known != number
        });
    }
}

/// Accepts until the listener ends.
async fn accept<A: Application>(
    application: A,
    worker: Rc<Worker>,
    listener: TcpListener,
    accepting: Rc<Accepting>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = accepting.drain.started() => {
                return take_queued(application, &worker, &listener, &accepting).await;
            }
        };
        match accepted {
            Ok(ends) => spawn_connection(application, &worker, ends, &accepting),
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
        if accepting.drain.is_draining() {
            return take_queued(application, &worker, &listener, &accepting).await;
        }
    }
}

/// Connections that the kernel has already agreed to are served once more before the socket
/// closes; a client would see a reset otherwise.
async fn take_queued<A: Application>(
    application: A,
    worker: &Rc<Worker>,
    listener: &TcpListener,
    accepting: &Rc<Accepting>,
) {
    loop {
        tokio::select! {
            biased;
            accepted = listener.accept() => match accepted {
                Ok(ends) => spawn_connection(application, worker, ends, accepting),
                Err(_) => return,
            },
            () = std::future::ready(()) => return,
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

fn spawn_connection<A: Application>(
    application: A,
    worker: &Rc<Worker>,
    ends: (TcpStream, SocketAddr),
    accepting: &Accepting,
) {
    let (snapshot, id) = worker.state.snapshot_of(accepting.key);
    let (listener, peer) = (Rc::clone(snapshot.listener(id)), ends.1);
    let address = peer.ip().to_canonical();
    let limits = &listener.config.limits;
    let slot = listener.slots.take(limits, address, listener.trusts(address));
    let Some(slot) = slot else { return };
    let drain = Rc::clone(&accepting.drain);
    let open = drain.enter();
    let number = open.number;
    let worker = Rc::clone(worker);
    let memory = Rc::clone(&worker.memory);
    let of = (listener, Rc::clone(&drain));
    let task = tokio::task::spawn_local(async move {
        let _open = open;
        if let Err(error) = connect(application, worker, of, ends, &slot).await {
            tracing::debug!(%error, %peer, "connection ended before its first request");
        }
        memory.was_freed();
    });
    drain.runs(number, task.abort_handle());
}
