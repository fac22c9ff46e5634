//! Names of targets, looked up in the background.
//!
//! Owns which names there are, and the one thread that asks for all of them ([`Name`] is one, `look_up` how it
//! is asked for), so that no request waits for a look-up but the first, and each name is asked for once for all
//! workers. Owns too which targets an upstream has whose names stand for several (`expand`). Must not connect to
//! anything, nor know who uses an address.

mod dns;
mod expand;
mod look_up;
mod name;
#[cfg(test)]
mod tests;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::LocalSet;

use crate::config::{Target, Upstream};

pub(crate) use self::name::{Name, Shown};

/// How long the first look-ups may hold up a configuration whose targets depend on them.
const FIRST: Duration = Duration::from_secs(3);
/// How often it is seen whether they have ended.
const LOOK: Duration = Duration::from_millis(5);

/// The names of the process.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: Mutex<Vec<Arc<Name>>>,
    /// The thread that asks, once there is a name.
    thread: Mutex<Option<mpsc::UnboundedSender<Arc<Name>>>>,
    changes: Arc<Changes>,
    /// The log has nothing of them: whoever asks says it all.
    is_quiet: bool,
}

/// Who is told that targets are others now.
#[derive(Debug, Default)]
struct Changes(Mutex<Option<Sender<()>>>);

impl Changes {
    fn tell(&self) {
        if let Some(follower) = &*lock(&self.0) {
            let _ended = follower.send(());
        }
    }
}

impl Names {
    /// Those of nobody but who asks.
    pub(crate) fn quiet() -> Self {
        let (known, thread, changes) = (Mutex::default(), Mutex::default(), Arc::default());
        Self { known, thread, changes, is_quiet: true }
    }

    /// The name of a target, which is looked up from now on; `None` where the target has an address.
    pub(crate) fn of(&self, upstream: &Upstream, target: &Target) -> Option<Arc<Name>> {
        if target.address().is_some() {
            return None;
        }
        let mut known = lock(&self.known);
        if let Some(same) = known.iter().find(|it| it.is_of(upstream, target)) {
            return Some(Arc::clone(same));
        }
        let new = Name::new(upstream, target, Arc::clone(&self.changes));
        let new = Arc::new(if self.is_quiet { new.quiet() } else { new });
        known.push(Arc::clone(&new));
        self.look_after(&new);
        Some(new)
    }

    fn look_after(&self, name: &Arc<Name>) {
        let mut thread = lock(&self.thread);
        if thread.is_none() {
            let (sender, receiver) = mpsc::unbounded_channel();
            let run = move || run(receiver);
            if let Err(error) = thread::Builder::new().name("names".into()).spawn(run) {
                return tracing::error!(%error, "names are not looked up");
            }
            *thread = Some(sender);
        }
        if let Some(thread) = &*thread {
            let _ended = thread.send(Arc::clone(name));
        }
    }

    /// The upstreams in force are these: the names of others are not asked for any more.
    pub(crate) fn keep(&self, upstreams: &[Upstream]) {
        let is_used = |name: &Arc<Name>| {
            upstreams.iter().any(|upstream| {
                let mut targets = upstream.targets.iter().chain(&upstream.written);
                targets.any(|target| name.is_of(upstream, target))
            })
        };
        lock(&self.known).retain(|name| {
            let is_used = is_used(name);
            if !is_used {
                name.end();
            }
            is_used
        });
    }

    /// Whoever has this is told when targets of an upstream have changed, until [`finish`](Self::finish).
    pub(crate) fn follow(&self) -> Receiver<()> {
        let (sender, receiver) = channel();
        *lock(&self.changes.0) = Some(sender);
        receiver
    }

    /// Ends asking.
    pub(crate) fn finish(&self) {
        lock(&self.changes.0).take();
        lock(&self.thread).take();
        lock(&self.known).iter().for_each(|name| name.end());
    }

    /// All of them, by upstream and name.
    pub(crate) fn all(&self) -> Vec<Arc<Name>> {
        let mut all = lock(&self.known).clone();
        all.sort_by(|one, other| one.names().cmp(&other.names()));
        all
    }

    /// Waits until each of these was asked for once, or [`FIRST`] is over. Not on a thread of a worker.
    fn wait_for_first(&self, names: &[Arc<Name>]) {
        let until = Instant::now() + FIRST;
        while Instant::now() < until && !names.iter().all(|name| name.was_tried()) {
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Asks for the names that come, until nobody sends any more.
fn run(mut names: mpsc::UnboundedReceiver<Arc<Name>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "names are not looked up"),
    };
    LocalSet::new().block_on(&runtime, async {
        while let Some(name) = names.recv().await {
            tokio::task::spawn_local(look_after(name));
        }
    });
    // A look-up by the system may go on for long, on a thread of its own.
    runtime.shutdown_background();
}

async fn look_after(name: Arc<Name>) {
    while !name.is_over() {
        let found = look_up::ask(name.host(), name.is_srv(), name.dns()).await;
        let wait = name.takes(found);
        name.pause(wait).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
