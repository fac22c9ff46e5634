//! Snapshots on their way to one who listens.
//!
//! Owns the body of the answer: one snapshot is on its way at a time, and while it is not taken, those that
//! follow are left out. It ends when the configuration is replaced, since who may ask may be another then.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::admin::Admin;
use crate::body::BodyError;

/// How long a snapshot may wait for its reader, before the connection is closed.
const UNREAD: Duration = Duration::from_secs(30);

/// How long a stream lasts. The buffers of the system take hours of snapshots for one who reads none, and
/// there are few places.
const LIFE: Duration = Duration::from_secs(600);

/// What one listener hears.
#[derive(Debug)]
pub(in crate::admin) struct Events {
    snapshots: mpsc::Receiver<Bytes>,
    _place: OwnedSemaphorePermit,
}

impl Events {
    /// What is heard from now on; none if as many listen as may.
    pub(in crate::admin) fn of(admin: &Admin) -> Option<Self> {
        let (place, mut heard) = admin.0.live.listen()?;
        let (next, snapshots) = mpsc::channel(1);
        let (admin, generation) = (admin.clone(), admin.in_force().generation);
        tokio::task::spawn_local(async move {
            let over = tokio::time::sleep(LIFE);
            tokio::pin!(over);
            loop {
                tokio::select! {
                    () = &mut over => return,
                    changed = heard.changed() => if changed.is_err() { return },
                    () = next.closed() => return,
                }
                if admin.in_force().generation != generation {
                    return;
                }
                // By the time that there is room again, the next is the newest.
                let Ok(room) = next.reserve().await else { return };
                room.send(heard.borrow_and_update().clone());
            }
        });
        Some(Self { snapshots, _place: place })
    }

    /// As a body, which moves the end of the time that its connection has.
    pub(in crate::admin) fn body(self, until: Rc<Cell<Instant>>) -> crate::body::Body {
        crate::body::Body::filtered(Box::pin(EventBody { events: self, until, is_open: false }))
    }
}

struct EventBody {
    events: Events,
    until: Rc<Cell<Instant>>,
    is_open: bool,
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // It is asked for more when what it gave before has gone.
        self.until.set(Instant::now() + UNREAD);
        if !self.is_open {
            self.is_open = true;
            // A browser comes back after two seconds, and a proxy sees that it has begun.
            let first = Bytes::from_static(b"retry: 2000\n\n");
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let next = self.events.snapshots.poll_recv(context);
        next.map(|next| next.map(|event| Ok(Frame::data(event))))
    }
}
