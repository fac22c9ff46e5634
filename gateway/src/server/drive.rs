//! Runs a connection until it ends or takes too long.
//!
//! Owns the one deadline of a connection: which timeout it means follows from what the
//! connection waits for. Setting it costs a few stores; no timer is made for a request.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use super::connection::{ClientConnection, Wait};
use crate::error::Cut;

/// How long a client may take to close after it was asked to.
const FAREWELL: Duration = Duration::from_secs(5);

/// A connection of either version.
pub(super) trait Drive: Future<Output = Result<(), Self::Error>> {
    /// Why it may end.
    type Error;

    /// Finishes what is open and takes nothing new.
    fn graceful_shutdown(self: Pin<&mut Self>);
}

/// Why a connection is no longer driven.
#[derive(Debug)]
pub(super) enum End<E> {
    /// It ended by itself.
    Done(Result<(), E>),
    /// The head of a request began and did not end in time.
    HeadTimeout,
    /// The client did not take what was written, or did not close.
    Stalled,
    /// The client did not send the rest of a request that nobody wants.
    Leftover,
    /// Nothing is asked for some time; the next request may still come.
    Idle,
    /// The reader of the request body learns of its end only when hyper is gone.
    Hidden,
}

/// See the module. With `park_after`, returns [`End::Idle`] after that time without a request.
pub(super) async fn drive<C: Drive>(
    mut driven: Pin<&mut C>,
    connection: &ClientConnection,
    park_after: Option<Duration>,
) -> End<C::Error> {
    let drain = &connection.drain;
    let mut changed = pin!(drain.changed());
    let mut deadline = connection.worker.state.timers.after(Duration::ZERO);
    let mut current = (Wait::Nothing, 0);
    let mut finishing = false;
    let mut saying_farewell = false;
    poll_fn(|context| {
        if !finishing {
            while changed.as_mut().poll(context).is_ready() {
                changed.set(drain.changed());
            }
            // One over HTTP/1.1 that leaves ends behind a response that says so.
            finishing = drain.is_draining() || (drain.is_leaving() && connection.is_http2());
            if finishing {
                driven.as_mut().graceful_shutdown();
            }
        }
        loop {
            if let Poll::Ready(result) = driven.as_mut().poll(context) {
                return Poll::Ready(End::Done(result));
            }
            if connection.take_hidden_end() {
                return Poll::Ready(End::Hidden);
            }
            connection.driven_by(context.waker());
            if connection.poll_leftover(context) {
                continue;
            }
            if !saying_farewell && connection.wait() != current {
                current = connection.wait();
                if let Some(timeout) = connection.timeout(current.0) {
                    let park_after = park_after.filter(|_| current.0 == Wait::Request);
                    deadline.reset(park_after.unwrap_or(timeout));
                }
            }
            if current.0 == Wait::Nothing || Pin::new(&mut deadline).poll(context).is_pending() {
                return Poll::Pending;
            }
            match current.0 {
                Wait::Head => return Poll::Ready(End::HeadTimeout),
                Wait::Reader => {
                    connection.cut_off(Cut::Idle(connection.timeouts().idle));
                    return Poll::Ready(End::Stalled);
                }
                Wait::Body | Wait::Nothing => return Poll::Ready(End::Stalled),
                Wait::Leftover => {
                    connection.forget_leftover();
                    return Poll::Ready(End::Leftover);
                }
                Wait::Request if saying_farewell => return Poll::Ready(End::Stalled),
                Wait::Request if park_after.is_some() && !finishing => {
                    return Poll::Ready(End::Idle);
                }
                Wait::Request => {
                    saying_farewell = true;
                    finishing = true;
                    driven.as_mut().graceful_shutdown();
                    deadline.reset(FAREWELL);
                }
            }
        }
    })
    .await
}
