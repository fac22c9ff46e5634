//! Instances made ready beside the workers.
//!
//! A new instance runs the plugin's own code before its first hook: what starts the component, and
//! `configure`. On a worker that would hold up everybody else there. Owns the threads that do it, the
//! order in which they serve plugins, and the boxes in which workers find what was made. Must not
//! decide how many instances a worker has.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::instance::Instance;
use super::{Failure, Plugin};

/// The priority of the threads (`nice`): they give way to the workers.
const NICENESS: i32 = 10;

/// Errors of a configuration that are reported.
const MAX_TOLD: usize = 10;

/// How long a thread waits for orders: each has descriptors and memory.
const MOST_IDLE: Duration = Duration::from_secs(5);

/// Threads at least, so that a plugin which takes long does not hold up all others.
const MIN_THREADS: usize = 2;

/// Lets instances be made on its own threads, which end with the last copy of it.
#[derive(Clone)]
pub(super) struct Preparer(Arc<Owner>);

struct Owner(Arc<Line>);

/// What is to be made, and by whom.
struct Line {
    state: Mutex<State>,
    work: Condvar,
    most_threads: usize,
}

#[derive(Default)]
struct State {
    plugins: Vec<Waiting>,
    /// Instances that are of no use any more, and whose they were.
    discarded: Vec<(Box<Instance>, Arc<Mailbox>)>,
    threads: usize,
    idle: usize,
    /// Counts the turns that plugins have had.
    turn: u64,
    has_ended: bool,
}

/// One instance.
pub(super) struct Order {
    /// Where it is to come.
    pub(super) mailbox: Arc<Mailbox>,
    /// Whether it is wanted although nobody waits for it.
    pub(super) is_spare: bool,
}

impl Order {
    fn is_void(&self) -> bool {
        self.mailbox.is_closed() || !self.is_spare && !self.mailbox.is_waited_for()
    }
}

/// The orders of one plugin.
struct Waiting {
    plugin: Arc<Plugin>,
    orders: VecDeque<Order>,
    /// Threads that make an instance of it now.
    running: usize,
    /// When it had its last turn.
    turn: u64,
}

impl Preparer {
    /// No thread yet: the first order starts one.
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (state, work) = Default::default();
        Self(Arc::new(Owner(Arc::new(Line { state, work, most_threads: cores.max(MIN_THREADS) }))))
    }

    /// Orders an instance, which comes into the box.
    pub(super) fn order(&self, plugin: &Arc<Plugin>, order: Order) {
        let line = &self.0.0;
        let mailbox = Arc::clone(&order.mailbox);
        let mut state = line.state();
        state.add(plugin, order);
        if let Err(error) = line.need_thread(&mut state) {
            // Nobody would ever take the order, nor took one before.
            state.plugins.clear();
            let why = format!("the system grants no thread: {error}");
            mailbox.put(Some(Err(Failure::Instantiate(why.into()))));
        }
        drop(state);
        line.work.notify_one();
    }

    /// Ends an instance. That takes as long as the system needs to take its memory back.
    pub(super) fn discard(&self, instance: Box<Instance>, mailbox: &Arc<Mailbox>) {
        let line = &self.0.0;
        let mut state = line.state();
        if line.need_thread(&mut state).is_ok() {
            state.discarded.push((instance, Arc::clone(mailbox)));
            drop(state);
            line.work.notify_one();
        } else {
            drop(state);
            mailbox.gone(instance);
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.state().has_ended = true;
        self.0.work.notify_all();
    }
}

impl State {
    fn add(&mut self, plugin: &Arc<Plugin>, order: Order) {
        let known = self.plugins.iter_mut().find(|it| Arc::ptr_eq(&it.plugin, plugin));
        if let Some(waiting) = known {
            return waiting.orders.push_back(order);
        }
        let orders = VecDeque::from([order]);
        // As if it had had its turn just now: a new plugin does not overtake those that wait.
        self.plugins.push(Waiting {
            plugin: Arc::clone(plugin),
            orders,
            running: 0,
            turn: self.turn,
        });
    }

    /// The next order: of the plugin for which the fewest threads work, and of those, the one whose
    /// turn is longest ago. So a plugin that takes long, or orders much, waits for itself.
    fn next(&mut self) -> Option<(Arc<Plugin>, Order)> {
        let with_orders = self.plugins.iter_mut().filter(|it| !it.orders.is_empty());
        let waiting = with_orders.min_by_key(|it| (it.running, it.turn))?;
        let order = waiting.orders.pop_front()?;
        self.turn += 1;
        waiting.turn = self.turn;
        waiting.running += 1;
        Some((Arc::clone(&waiting.plugin), order))
    }

    fn done(&mut self, plugin: &Arc<Plugin>) {
        if let Some(waiting) = self.plugins.iter_mut().find(|it| Arc::ptr_eq(&it.plugin, plugin)) {
            waiting.running -= 1;
        }
        // The caller has a copy: no plugin ends here, which would need this state.
        self.plugins.retain(|it| it.running > 0 || !it.orders.is_empty());
    }
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that a thread takes what is to be done. Fails if there is none.
    fn need_thread(self: &Arc<Self>, state: &mut State) -> std::io::Result<()> {
        if state.idle > 0 || state.threads >= self.most_threads {
            return Ok(());
        }
        let line = Arc::clone(self);
        let thread = std::thread::Builder::new().name("plugin-prepare".into());
        match thread.spawn(move || line.work()) {
            Ok(_detached) => state.threads += 1,
            Err(error) if state.threads == 0 => return Err(error),
            Err(error) => tracing::debug!("one thread less to make instances on: {error}"),
        }
        Ok(())
    }

    /// One thread, until nothing was ordered for a while, or there is nobody left to order anything.
    fn work(&self) {
        // For this thread alone: on Linux a priority is a thread's.
        let _as_it_was = rustix::process::setpriority_process(None, NICENESS);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let mut state = self.state();
        while !state.has_ended {
            if let Some((instance, mailbox)) = state.discarded.pop() {
                drop(state);
                mailbox.gone(instance);
                drop(mailbox);
                state = self.state();
                continue;
            }
            let Some((plugin, order)) = state.next() else {
                state.idle += 1;
                let waited = self.work.wait_timeout(state, MOST_IDLE);
                let (after, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                state = after;
                state.idle -= 1;
                let is_done = state.discarded.is_empty()
                    && state.plugins.iter().all(|it| it.orders.is_empty());
                if timeout.timed_out() && is_done {
                    break;
                }
                continue;
            };
            drop(state);
            let made = match &runtime {
                _ if order.is_void() => None,
                Ok(runtime) => Some(make(runtime, &plugin)),
                Err(error) => Some(Err(Failure::Instantiate(error.to_string().into()))),
            };
            order.mailbox.put(made);
            drop(order);
            self.state().done(&plugin);
            // It may be the last that knows of the plugin, and the plugin the last that knows of these
            // threads.
            drop(plugin);
            state = self.state();
        }
        state.threads -= 1;
    }
}

/// Makes an instance. A bug of ours here must not end the thread, which others wait for.
fn make(runtime: &Runtime, plugin: &Plugin) -> Result<Box<Instance>, Failure> {
    let making = std::panic::AssertUnwindSafe(|| runtime.block_on(configured(plugin)));
    let made = std::panic::catch_unwind(making);
    made.unwrap_or_else(|_| Err(Failure::Instantiate("the gateway panicked".into())))
}

/// Makes an instance that has its configuration.
pub(super) async fn configured(plugin: &Plugin) -> Result<Box<Instance>, Failure> {
    let mut instance = Box::new(Instance::new(plugin).await?);
    if let Err(errors) = instance.configure(plugin).await? {
        let more = errors.len().saturating_sub(MAX_TOLD);
        let told = errors.into_iter().take(MAX_TOLD).map(|error| error.message);
        let mut errors: Vec<_> = told.collect();
        if more > 0 {
            errors.push(format!("and {more} more"));
        }
        return Err(Failure::breach(format!(
            "it refused the configuration that it had accepted before: {}",
            errors.join("; ")
        )));
    }
    if plugin.resets {
        instance.save(plugin.is_first_party);
    }
    Ok(instance)
}

/// Where one worker finds the instances of one plugin that it ordered.
#[derive(Default)]
pub(super) struct Mailbox {
    made: Mutex<Made>,
    /// Told of each that comes, and of each that the worker has back.
    pub(super) arrived: Notify,
    /// Hooks that wait for one.
    waiting: AtomicUsize,
    is_closed: AtomicBool,
}

/// What became of orders, and is not taken yet.
#[derive(Default)]
struct Made {
    #[expect(clippy::vec_box, reason = "an instance is large, and moves on as it is")]
    ready: Vec<Box<Instance>>,
    failed: Vec<Failure>,
    void: usize,
    gone: usize,
}

/// What became of one order.
pub(super) enum Came {
    Ready(Box<Instance>),
    Failed(Failure),
    /// Nobody waited for it any more when its turn came.
    Void,
    /// No order: an instance that was discarded has ended.
    Gone,
}

impl Mailbox {
    fn put(&self, made: Option<Result<Box<Instance>, Failure>>) {
        let mut all = self.made();
        match made {
            Some(Ok(instance)) if !self.is_closed() => all.ready.push(instance),
            Some(Ok(_nobody_wants_it)) => {}
            Some(Err(failure)) => all.failed.push(failure),
            None => all.void += 1,
        }
        drop(all);
        self.arrived.notify_one();
    }

    /// An instance ends.
    fn gone(&self, instance: Box<Instance>) {
        drop(instance);
        self.made().gone += 1;
        self.arrived.notify_one();
    }

    /// What became of an order, if it is known of any; failures last.
    pub(super) fn take(&self) -> Option<Came> {
        let mut all = self.made();
        if let Some(instance) = all.ready.pop() {
            return Some(Came::Ready(instance));
        }
        if all.void > 0 {
            all.void -= 1;
            return Some(Came::Void);
        }
        if all.gone > 0 {
            all.gone -= 1;
            return Some(Came::Gone);
        }
        all.failed.pop().map(Came::Failed)
    }

    /// Takes out why instances could not be made.
    pub(super) fn take_failures(&self) -> Vec<Failure> {
        std::mem::take(&mut self.made().failed)
    }

    /// A hook begins to wait. Returns how many do.
    pub(super) fn begin_waiting(&self) -> usize {
        self.waiting.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A hook does not wait any more.
    pub(super) fn end_waiting(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many hooks wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn is_waited_for(&self) -> bool {
        self.waiting() > 0
    }

    /// Nobody looks into it any more.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.made().ready.clear();
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
