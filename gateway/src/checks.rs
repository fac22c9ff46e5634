//! Health checks: whether the targets of upstreams are there, found out without requests of clients.
//!
//! Owns which targets are checked, and when: one thread of its own for all of them, one task for each, so
//! that each target is asked once and not once a worker, and one that does not answer holds up no other.
//! What a check finds goes to [`crate::health`], which decides what becomes of the target.

mod ask;
mod once;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::{Notify, mpsc};
use tokio::task::LocalSet;

pub use self::once::{Unreached, try_targets};
use crate::config::{HealthCheck, Upstream};
use crate::health::{Health, TargetHealth};
use crate::names::Names;
use crate::tcp::run_flusher;
use crate::timer::Timers;

/// The checks of the process.
#[derive(Debug)]
pub(crate) struct Checks {
    health: Arc<Health>,
    names: Arc<Names>,
    running: Mutex<Vec<Arc<Checked>>>,
    /// The thread that makes them, once there are some.
    thread: Mutex<Option<mpsc::UnboundedSender<Arc<Checked>>>>,
    /// Whether the gateway runs.
    is_on: AtomicBool,
}

/// A target that is checked.
#[derive(Debug)]
struct Checked {
    /// Its upstream, with this target alone.
    upstream: Upstream,
    check: HealthCheck,
    health: Arc<TargetHealth>,
    is_over: AtomicBool,
    /// To look whether it is over.
    wake: Notify,
}

impl Checks {
    /// None yet.
    pub(crate) fn new(health: &Arc<Health>, names: &Arc<Names>) -> Self {
        let (running, thread) = (Mutex::default(), Mutex::default());
        let (health, names) = (Arc::clone(health), Arc::clone(names));
        Self { health, names, running, thread, is_on: AtomicBool::new(false) }
    }

    /// The gateway runs with these upstreams.
    pub(crate) fn begin(&self, upstreams: &[Upstream]) {
        self.is_on.store(true, Relaxed);
        self.keep(upstreams);
    }

    /// The upstreams in force are these. Checks that did not change go on.
    pub(crate) fn keep(&self, upstreams: &[Upstream]) {
        self.health.keep(upstreams);
        if !self.is_on.load(Relaxed) {
            return;
        }
        let wanted: Vec<_> = upstreams.iter().flat_map(|it| self.checked(it)).collect();
        let mut running = lock(&self.running);
        let before = std::mem::take(&mut *running);
        for wanted in wanted {
            let same = before.iter().find(|known| known.upstream == wanted.upstream);
            running.push(match same {
                Some(same) => Arc::clone(same),
                None => {
                    let new = Arc::new(wanted);
                    self.make(&new);
                    new
                }
            });
        }
        for known in &before {
            if !running.iter().any(|it| Arc::ptr_eq(it, known)) {
                known.end();
            }
        }
    }

    fn checked(&self, upstream: &Upstream) -> Vec<Checked> {
        let Some(check) = &upstream.health else { return Vec::new() };
        let targets = upstream.targets.iter().filter_map(|target| {
            let health = self.health.target(&upstream.name, &target.authority, target.tls)?;
            let upstream =
                Upstream { targets: vec![target.clone()], written: Vec::new(), ..upstream.clone() };
            let (is_over, wake) = (AtomicBool::new(false), Notify::new());
            Some(Checked { upstream, check: check.clone(), health, is_over, wake })
        });
        targets.collect()
    }

    fn make(&self, checked: &Arc<Checked>) {
        let mut thread = lock(&self.thread);
        if thread.is_none() {
            let (sender, receiver) = mpsc::unbounded_channel();
            let names = Arc::clone(&self.names);
            let run = move || run(receiver, names);
            if let Err(error) = thread::Builder::new().name("health-checks".into()).spawn(run) {
                return tracing::error!(%error, "targets are not checked");
            }
            *thread = Some(sender);
        }
        if let Some(thread) = &*thread {
            let _ended = thread.send(Arc::clone(checked));
        }
    }

    /// Ends them.
    pub(crate) fn finish(&self) {
        self.is_on.store(false, Relaxed);
        lock(&self.thread).take();
        lock(&self.running).drain(..).for_each(|checked| checked.end());
    }
}

impl Checked {
    fn end(&self) {
        self.is_over.store(true, Relaxed);
        self.wake.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks the targets that come, until nobody sends any more.
fn run(mut targets: mpsc::UnboundedReceiver<Arc<Checked>>, names: Arc<Names>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "targets are not checked"),
    };
    LocalSet::new().block_on(&runtime, async {
        // Connections to upstreams write through it.
        tokio::task::spawn_local(run_flusher());
        let timers = Timers::new();
        while let Some(checked) = targets.recv().await {
            tokio::task::spawn_local(check(checked, Arc::clone(&names), timers.clone()));
        }
    });
    runtime.shutdown_background();
}

async fn check(checked: Arc<Checked>, names: Arc<Names>, timers: Timers) {
    let target = match ask::Target::new(&checked.upstream, &checked.check, &names, &timers) {
        Ok(target) => target,
        // The workers have refused the configuration for the same.
        Err(error) => return tracing::error!(%error, "a target is not checked"),
    };
    let interval = checked.check.interval;
    while !checked.is_over.load(Relaxed) {
        let timeout = checked.check.timeout;
        let asked = tokio::time::timeout(timeout, target.ask()).await;
        let result = asked.unwrap_or_else(|_| Err(format!("no answer within {timeout:?}")));
        if checked.is_over.load(Relaxed) {
            return;
        }
        checked.health.checked(&checked.check, result);
        let _until_next = tokio::time::timeout(interval, checked.wake.notified()).await;
    }
}
