//! Runs a connection until it ends or takes too long.
//!
//! Owns the one deadline of a connection: which timeout it stands for follows from what the
//! connection waits for. Setting it costs a few stores; no timer is made for a request.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use super::connection::{Connection, Wait};

/// How long a client may take to close after it was told to.
const FAREWELL: Duration = Duration::from_secs(5);

/// A connection of either version, as hyper runs it.
pub(super) trait Drive: Future<Output = hyper::Result<()>> {
    /// Finishes what is open and takes nothing new.
    fn graceful_shutdown(self: Pin<&mut Self>);
}

/// Why a connection is no longer driven.
#[derive(Debug)]
pub(super) enum End {
    /// It ended by itself.
    Done(hyper::Result<()>),
    /// The head of a request began and did not end in time.
    HeadTimeout,
    /// The client did not take what was written, or did not close.
    Stalled,
    /// Nothing is asked for some time; the next request may still come.
    Idle,
}

/// See the module. With `rest`, returns [`End::Idle`] after that time without a request.
pub(super) async fn drive<C: Drive>(
    mut driven: Pin<&mut C>,
    connection: &Connection,
    rest: Option<Duration>,
) -> End {
    let drain = &connection.worker.drain;
    let mut started = pin!(drain.started());
    let mut deadline = connection.worker.timers.after(Duration::ZERO);
    let mut current = (Wait::Nothing, 0);
    let mut finishing = false;
    let mut saying_farewell = false;
    poll_fn(|context| {
        if !finishing && (started.as_mut().poll(context).is_ready() || drain.is_draining()) {
            finishing = true;
            driven.as_mut().graceful_shutdown();
        }
        loop {
            if let Poll::Ready(result) = driven.as_mut().poll(context) {
                return Poll::Ready(End::Done(result));
            }
            connection.driven_by(context.waker());
            if !saying_farewell && connection.wait() != current {
                current = connection.wait();
                if let Some(patience) = connection.patience(current.0) {
                    let rest = rest.filter(|_| current.0 == Wait::Request);
                    deadline.reset(rest.unwrap_or(patience));
                }
            }
            if current.0 == Wait::Nothing || Pin::new(&mut deadline).poll(context).is_pending() {
                return Poll::Pending;
            }
            match current.0 {
                Wait::Head => return Poll::Ready(End::HeadTimeout),
                Wait::Reader | Wait::Nothing => return Poll::Ready(End::Stalled),
                Wait::Request if saying_farewell => return Poll::Ready(End::Stalled),
                Wait::Request if rest.is_some() && !finishing => return Poll::Ready(End::Idle),
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
