//! Connections to one target that wait for their next request.
//!
//! Owns when a connection is used again and when it is abandoned; opens none. HTTP/1.1 connections
//! serve one request at a time and are kept last in, first out, so that those beyond the need grow
//! old and go. HTTP/2 connections are shared.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::http1::Http1Connection;
use super::http2::{self, Stream};
use super::idle_time::IdleTime;
use super::resting::Resting;
use crate::timer::TICK;

/// HTTP/1.1 connections without a request.
pub(super) struct Http1Pool {
    /// By `since`, the youngest last.
    idle: Vec<Idle>,
    /// Those whose last request is still being sent, though its response is read. They serve no other.
    finishing: Vec<Idle>,
    /// Those whose last response had no body by its kind, without and with a head that promises one.
    resting: [Resting; 2],
    /// The target has sent a body with such a response. All workers know it.
    sends_unasked: Arc<AtomicBool>,
    /// It has sent more with some response than that has.
    sends_more: bool,
    target: Arc<str>,
    capacity: usize,
    /// How long a connection is kept: as configured, or a little less than the target says that it does.
    timeout: Duration,
    configured: Duration,
    /// What the target's closes say of it.
    idle_time: IdleTime,
}

pub(super) struct Idle {
    connection: Rc<Http1Connection>,
    pub(super) since: Instant,
}

/// For how long a connection is taken as it is: asking the kernel would find nothing that the runtime does not know.
const BRIEF: Duration = Duration::from_millis(1);

/// A side that closes a connection says so to its peer.
impl Drop for Http1Pool {
    fn drop(&mut self) {
        let resting = self.resting.iter_mut().flat_map(|resting| resting.all.drain(..));
        let all = self.idle.drain(..).chain(resting);
        all.for_each(|idle| idle.connection.close());
    }
}

impl Http1Pool {
    /// `sends_unasked` is what all workers know of the target.
    pub(super) fn new(
        target: Arc<str>,
        capacity: usize,
        timeout: Duration,
        sends_unasked: Arc<AtomicBool>,
    ) -> Self {
        Self {
            idle: Vec::new(),
            finishing: Vec::new(),
            resting: Resting::lists(capacity),
            sends_unasked,
            sends_more: false,
            target,
            capacity,
            timeout,
            configured: timeout,
            idle_time: IdleTime::default(),
        }
    }

    /// The connection that was used last, if one is alive and will do.
    pub(super) fn take(&mut self, now: Instant, care: bool) -> Option<Rc<Http1Connection>> {
        let taken = self.find(now, care)?;
        taken.waits(false);
        Some(taken)
    }

    fn find(&mut self, now: Instant, care: bool) -> Option<Rc<Http1Connection>> {
        while let Some(Idle { connection, since }) = self.idle.pop() {
            let idle = now.saturating_duration_since(since);
            if idle >= self.timeout {
                connection.close();
                self.idle.drain(..).for_each(|idle| idle.connection.close());
                break;
            }
            if !connection.is_ready() {
                self.learns_from(&connection, since);
            } else if !care {
                return Some(connection);
            } else if idle > self.idle_time.safe() {
                self.idle.push(Idle { connection, since });
                return self.take_safe(now);
            } else if idle < BRIEF && !self.sends_more || connection.is_still_ready() {
                // A worker that was held up thinks too little of it.
                if idle < self.idle_time.safe() / 4
                    || connection.idle_for() <= self.idle_time.safe()
                {
                    return Some(connection);
                }
                connection.close();
            } else {
                self.learns_from(&connection, since);
                connection.close();
            }
        }
        if self.resting.iter().all(|resting| resting.all.is_empty()) {
            return None;
        }
        self.take_rested(now, care)
    }

    /// The youngest, if it is safe by what the oldest one that is open shows.
    #[cold]
    fn take_safe(&mut self, now: Instant) -> Option<Rc<Http1Connection>> {
        while let Some(Idle { connection, since }) = self.idle.first() {
            if connection.is_ready() && connection.is_still_ready() {
                // `since` may be a tick early.
                self.idle_time.is_open(now.saturating_duration_since(*since + TICK));
                break;
            }
            let Idle { connection, since } = self.idle.remove(0);
            self.learns_from(&connection, since);
            connection.close();
        }
        let youngest = self.idle.last()?;
        let is_safe = now.saturating_duration_since(youngest.since) <= self.idle_time.safe();
        if !is_safe || !youngest.connection.is_still_ready() {
            return None;
        }
        self.idle.pop().map(|idle| idle.connection)
    }

    /// The connection was idle `since`, and is not ready any more.
    #[cold]
    fn learns_from(&mut self, connection: &Http1Connection, since: Instant) {
        if let Some(after) = connection.was_closed_after(since) {
            self.idle_time.was_closed(after);
        }
        if connection.has_spoken() {
            self.heard_unasked();
        }
    }

    /// The connection has failed a request without a response, or with what `is_foreign` to it.
    #[cold]
    pub(super) fn learns_from_failure(&mut self, connection: &Http1Connection, is_foreign: bool) {
        if is_foreign {
            self.sends_more = true;
            if connection.is_doubtful() {
                self.heard_unasked();
            }
        } else if let Some(after) = connection.was_idle_for() {
            self.idle_time.was_closed(after);
        }
    }

    /// One that has rested, and on which nothing came.
    #[cold]
    fn take_rested(&mut self, now: Instant, care: bool) -> Option<Rc<Http1Connection>> {
        if self.sends_unasked.load(Relaxed) {
            self.give_up_resting();
            return None;
        }
        self.listen();
        let safe = if care { self.idle_time.safe() } else { Duration::MAX };
        for list in 0..self.resting.len() {
            let mut rested = self.resting[list].rested(now);
            while rested > 0 {
                rested -= 1;
                let age = now.saturating_duration_since(self.resting[list].all[rested].since);
                if age > safe {
                    break;
                }
                let Idle { connection, .. } = self.resting[list].all.remove(rested);
                if age < self.timeout && connection.is_ready() {
                    return Some(connection);
                }
                let spoke = connection.has_spoken();
                connection.close();
                if spoke {
                    self.heard_unasked();
                    return None;
                }
            }
        }
        None
    }

    /// Whether something came on those that do not serve for now. Of many, the last one and the one that is next are asked.
    fn listen(&mut self) {
        let [_, promised] = &mut self.resting;
        let mut has_spoken = false;
        for index in [promised.all.len().wrapping_sub(1), 0] {
            let Some(idle) = promised.all.get(index) else { continue };
            if !idle.connection.is_ready() {
                let Idle { connection, .. } = promised.all.remove(index);
                has_spoken |= connection.has_spoken();
                connection.close();
            }
        }
        if has_spoken {
            self.heard_unasked();
        }
    }

    fn give_up_resting(&mut self) {
        let all = self.resting.iter_mut().flat_map(|resting| resting.all.drain(..));
        all.for_each(|idle| idle.connection.close());
    }

    /// Keeps the connection for the next request, unless it cannot serve one or there are enough.
    pub(super) fn put(&mut self, connection: Rc<Http1Connection>, now: Instant) {
        if let Some(said) = connection.idle() {
            self.timeout = self.configured.min(sooner(said));
            self.idle_time.is_said(self.timeout);
        }
        let list = match () {
            // Its request would be cut off.
            () if connection.is_sending() => {
                self.finishing.retain(|idle| idle.connection.is_sending());
                &mut self.finishing
            }
            () if connection.is_too_old(now) => return connection.close(),
            () if connection.is_doubtful() => return self.put_doubtful(connection, now),
            () if self.idle.len() >= self.capacity => return connection.close(),
            () if connection.is_ready() => {
                connection.waits(true);
                &mut self.idle
            }
            () => {
                if connection.has_spoken() {
                    self.heard_unasked();
                }
                return connection.close();
            }
        };
        list.push(Idle { connection, since: now });
    }

    #[cold]
    fn put_doubtful(&mut self, connection: Rc<Http1Connection>, now: Instant) {
        if connection.has_spoken() {
            self.heard_unasked();
        }
        if connection.has_promised() {
            self.listen();
        }
        let resting = &mut self.resting[usize::from(connection.has_promised())];
        let may_rest = connection.can_rest() && !self.sends_unasked.load(Relaxed);
        match may_rest && self.capacity > 0 && resting.has_room() {
            true => {
                connection.waits(true);
                resting.all.push(Idle { connection, since: now });
            }
            false => connection.close(),
        }
    }

    /// Something came behind a response that has no body: what comes behind the next such response
    /// may come at any time.
    fn heard_unasked(&mut self) {
        self.sends_more = true;
        self.give_up_resting();
        if !self.sends_unasked.swap(true, Relaxed) {
            tracing::warn!(
                target = &*self.target,
                "the target sends a body with responses that have none (to HEAD, 204 or 304): its \
                 connections are closed after them from now on"
            );
        }
    }

    /// Closes the one that was idle for the longest time; `false` if none is.
    pub(super) fn give_one_up(&mut self) -> bool {
        let resting = self.resting.iter_mut().map(|resting| &mut resting.all);
        let mut lists = std::iter::once(&mut self.idle).chain(resting);
        let Some(list) = lists.find(|list| !list.is_empty()) else { return false };
        list.remove(0).connection.close();
        true
    }

    /// Gives up what was idle at `then` already.
    pub(super) fn close_older(&mut self, then: Instant) {
        let [plain, promised] = &mut self.resting;
        for list in [&mut self.idle, &mut plain.all, &mut promised.all] {
            let young = list.partition_point(|idle| idle.since <= then);
            list.drain(..young).for_each(|idle| idle.connection.close());
        }
    }

    /// Gives up what is closed or too old.
    pub(super) fn sweep(&mut self, now: Instant) {
        let timeout = self.timeout;
        let mut idle_time = std::mem::take(&mut self.idle_time);
        let mut has_spoken = false;
        self.idle.retain_mut(|idle| {
            let age = now.saturating_duration_since(idle.since);
            let is_old = age >= timeout || idle.connection.is_too_old(now);
            if idle.connection.is_ready() && !is_old {
                idle_time.is_open(age.saturating_sub(TICK));
                return true;
            }
            if let Some(after) = idle.connection.was_closed_after(idle.since) {
                idle_time.was_closed(after);
            }
            has_spoken |= idle.connection.has_spoken();
            idle.connection.close();
            false
        });
        self.idle_time = idle_time;
        if has_spoken {
            self.heard_unasked();
        }
        self.finishing.retain_mut(|idle| {
            // A request that is still sent may take its time, as long as it moves.
            if idle.connection.take_progress() {
                idle.since = now;
            }
            let stays = now.saturating_duration_since(idle.since) < timeout;
            let stays = stays && idle.connection.is_sending();
            if !stays {
                idle.connection.close();
            }
            stays
        });
        self.sweep_resting(now);
    }

    fn sweep_resting(&mut self, now: Instant) {
        let mut has_spoken = false;
        for resting in &mut self.resting {
            let rested = resting.rested(now);
            for Idle { connection, since } in resting.all.drain(..rested) {
                if connection.is_ready() && self.idle.len() < self.capacity {
                    let at = self.idle.partition_point(|idle| idle.since <= since);
                    connection.waits(true);
                    self.idle.insert(at, Idle { connection, since });
                    continue;
                }
                has_spoken |= connection.has_spoken();
                connection.close();
            }
            // Others may have to rest for as long as there are connections without a request.
            resting.all.retain(|idle| {
                let is_old = now.saturating_duration_since(idle.since) >= self.timeout;
                let stays = idle.connection.is_ready() && !is_old;
                if !stays {
                    has_spoken |= idle.connection.has_spoken();
                    idle.connection.close();
                }
                stays
            });
        }
        if has_spoken {
            self.heard_unasked();
        } else if self.sends_unasked.load(Relaxed) {
            self.give_up_resting();
        }
    }

    pub(super) fn len(&self) -> usize {
        let resting: usize = self.resting.iter().map(|resting| resting.all.len()).sum();
        self.idle.len() + self.finishing.len() + resting
    }
}

/// When to give a connection up that its target keeps for so many seconds: sooner, since a request
/// that is on its way when the target closes is lost.
fn sooner(seconds: u32) -> Duration {
    let said = Duration::from_secs(seconds.into());
    said - (said / 2).min(Duration::from_secs(1))
}

/// HTTP/2 connections of a target.
pub(super) struct Http2Pool {
    connections: Vec<Rc<http2::Connection>>,
    timeout: Duration,
}

/// From so long a silence on, a request that is abandoned takes its connection out of use.
pub(super) const SUSPICIOUS: Duration = Duration::from_secs(1);

impl Http2Pool {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { connections: Vec::new(), timeout }
    }

    /// A place on the first connection that has one, and is not the one to `avoid`.
    pub(super) fn take(&mut self, avoid: Option<&Rc<http2::Connection>>) -> Option<Stream> {
        // Closed ones, those that the peer said GOAWAY to, and those on which a request timed out.
        self.connections.retain(|connection| connection.is_usable());
        let will_do = |connection: &&Rc<http2::Connection>| {
            connection.has_room() && avoid.is_none_or(|avoid| !Rc::ptr_eq(avoid, connection))
        };
        self.connections.iter().find(will_do).map(Stream::open)
    }

    pub(super) fn put(&mut self, connection: Rc<http2::Connection>) {
        self.connections.push(connection);
    }

    /// Gives up one that is without a stream; `false` if none is.
    pub(super) fn give_one_up(&mut self) -> bool {
        let is_free = |connection: &Rc<http2::Connection>| connection.is_free();
        let found = self.connections.iter().position(is_free);
        found.map(|index| self.connections.remove(index)).is_some()
    }

    /// Gives up what is closed or was without a stream for too long.
    pub(super) fn sweep(&mut self, now: Instant) {
        let timeout = self.timeout;
        self.connections
            .retain(|connection| connection.is_usable() && !connection.is_idle(now, timeout));
    }

    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }
}
