//! The task that sends what waits, at the end of each batch of events.
//!
//! Owns the list of sockets with something to send, one a thread, and spare buffers, so that an
//! idle connection holds none. The task is woken by the first write of a batch and so stands
//! behind every task that was ready by then.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustix::net::Shutdown;

use super::{Inner, MOST_WAITING, Out};

/// How long a peer may take for what a closed connection left.
const PATIENCE: Duration = Duration::from_secs(60);

/// Buffers that are kept for the next batch.
const SPARE: usize = 256;

thread_local! {
    static FLUSHER: RefCell<Flusher> = RefCell::default();
}

#[derive(Default)]
struct Flusher {
    waiting: Vec<Arc<Inner>>,
    /// Whom to wake; `None` where no flusher runs.
    task: Option<Waker>,
    spare: Vec<Vec<u8>>,
}

/// Lists a socket whose buffer is about to be written to. False where no flusher runs.
pub(super) fn list(socket: &Arc<Inner>, out: &mut Out) -> bool {
    if out.is_listed {
        return true;
    }
    FLUSHER.with_borrow_mut(|flusher| {
        let Some(task) = &flusher.task else { return false };
        if flusher.waiting.is_empty() {
            task.wake_by_ref();
        }
        flusher.waiting.push(Arc::clone(socket));
        out.is_listed = true;
        if out.bytes.capacity() == 0 {
            let spare = flusher.spare.pop();
            out.bytes = spare.unwrap_or_else(|| Vec::with_capacity(MOST_WAITING));
        }
        true
    })
}

/// Takes a buffer back whose bytes are sent or abandoned.
pub(super) fn give_back(mut buffer: Vec<u8>) {
    if buffer.capacity() == 0 {
        return;
    }
    buffer.clear();
    FLUSHER.with_borrow_mut(|flusher| {
        if flusher.spare.len() < SPARE {
            flusher.spare.push(buffer);
        }
    });
}

/// Sends what waits on this thread, batch by batch, for ever. To be run by one task of the
/// worker's [`tokio::task::LocalSet`]; when it is dropped, it sends what is left.
pub(crate) async fn run_flusher() {
    struct Running(Vec<Arc<Inner>>);
    impl Drop for Running {
        fn drop(&mut self) {
            FLUSHER.with_borrow_mut(|flusher| flusher.task = None);
            self.flush();
        }
    }
    impl Running {
        fn flush(&mut self) {
            FLUSHER.with_borrow_mut(|flusher| std::mem::swap(&mut flusher.waiting, &mut self.0));
            self.0.drain(..).for_each(send);
        }

        fn poll(&mut self, context: &Context<'_>) -> Poll<()> {
            FLUSHER.with_borrow_mut(|flusher| match &flusher.task {
                Some(known) if known.will_wake(context.waker()) => {}
                _ => flusher.task = Some(context.waker().clone()),
            });
            self.flush();
            Poll::Pending
        }
    }
    let mut running = Running(Vec::new());
    poll_fn(|context| running.poll(context)).await;
}

fn is_running() -> bool {
    FLUSHER.with_borrow(|flusher| flusher.task.is_some())
}

/// Has the rest sent and the connection shut down although its owner may go. False where no
/// flusher runs.
pub(super) fn finish_later(socket: &Arc<Inner>) -> bool {
    let can = is_running();
    if can {
        tokio::task::spawn_local(finish(Arc::clone(socket)));
    }
    can
}

async fn finish(socket: Arc<Inner>) {
    let rest = async {
        loop {
            socket.stream.writable().await?;
            match socket.send_waiting(&mut socket.out()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                sent => return sent,
            }
        }
    };
    if let Ok(Ok(())) = tokio::time::timeout(PATIENCE, rest).await {
        let _gone_already = rustix::net::shutdown(&socket.stream, Shutdown::Write);
    }
}

fn send(socket: Arc<Inner>) {
    let mut out = socket.out();
    out.is_listed = false;
    match socket.send_waiting(&mut out) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            drop(out);
            // The owner may not write or flush again for long, so that somebody else must.
            if is_running() {
                tokio::task::spawn_local(send_when_writable(socket));
            }
        }
        Err(error) => out.error = Some(error),
    }
}

/// Waits for the peer, as long as the socket has an owner.
async fn send_when_writable(socket: Arc<Inner>) {
    loop {
        tokio::select! {
            writable = socket.stream.writable() => if writable.is_err() { return },
            () = socket.gone.notified() => return,
        }
        let mut out = socket.out();
        match socket.send_waiting(&mut out) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => {
                out.error = Some(error);
                return;
            }
            Ok(()) => return,
        }
    }
}
