//! The threads of the workers, and how a configuration reaches all of them or none.
//!
//! Owns which workers there are: a reload may add some, and have some leave. One that leaves accepts nothing more and
//! ends with its last connection; until then it takes each configuration as the others do, and is the first to come
//! back where more are wanted. Knows nothing of a request.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::listeners::{Bound, Plan};
use super::{ReloadError, RunError};
use crate::proxy::Proxy;
use crate::server::worker::{self, Answer, Beginning, Begins, Command, OpenSocket, WorkerInit};
use crate::snapshot::Shared;
use crate::telemetry::metrics::Metrics;
use crate::upstream::SetupError;
use crate::usage::Usage;

/// How often a wait for workers looks whether the gateway ends meanwhile.
const LOOK: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(super) struct Workers {
    all: Mutex<Vec<One>>,
    /// How many accept connections.
    count: Arc<AtomicUsize>,
    pub(super) is_draining: Arc<AtomicBool>,
    next: AtomicU64,
    ended: mpsc::UnboundedSender<u64>,
}

/// A worker.
#[derive(Debug)]
struct One {
    /// Not that of any other, as its index may be once it has ended.
    serial: u64,
    index: usize,
    commands: mpsc::UnboundedSender<Command>,
    /// Once it was started.
    thread: Option<JoinHandle<io::Result<()>>>,
    leaves: bool,
}

/// What the threads of workers are given.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) usage: Arc<Usage>,
}

/// A worker that a command goes to, by its index.
type Commanded = (usize, mpsc::UnboundedSender<Command>);

/// The serial numbers of workers that have ended.
pub(super) type Ends = mpsc::UnboundedReceiver<u64>;

/// Says that a thread has ended, however it did.
struct Ended(mpsc::UnboundedSender<u64>, u64);

impl Drop for Ended {
    fn drop(&mut self) {
        let _nobody_waits = self.0.send(self.1);
    }
}

impl Workers {
    /// As many, not started yet, with what each gets its commands from.
    pub(super) fn new(count: usize) -> (Self, Vec<mpsc::UnboundedReceiver<Command>>, Ends) {
        let (ended, ends) = mpsc::unbounded_channel();
        let (senders, commands): (Vec<_>, Vec<_>) =
            (0..count).map(|_| mpsc::unbounded_channel()).unzip();
        let one = |(index, commands)| One {
            serial: index as u64,
            index,
            commands,
            thread: None,
            leaves: false,
        };
        let all = Mutex::new(senders.into_iter().enumerate().map(one).collect());
        let workers = Self {
            all,
            count: Arc::new(AtomicUsize::new(count)),
            is_draining: Arc::default(),
            next: AtomicU64::new(count as u64),
            ended,
        };
        (workers, commands, ends)
    }

    /// How many accept connections.
    pub(super) fn count(&self) -> &Arc<AtomicUsize> {
        &self.count
    }

    /// Starts one of those that there are from the beginning.
    pub(super) fn start_first(
        &self,
        index: usize,
        given: &Given,
        sockets: Vec<OpenSocket>,
        commands: mpsc::UnboundedReceiver<Command>,
        beginning: Beginning,
    ) -> Result<(), RunError> {
        let begins = Begins::With(sockets, beginning);
        let serial = index as u64;
        let thread = self.spawn(serial, index, given, begins, commands);
        let thread = thread.map_err(|source| RunError::Worker { index, source })?;
        let mut all = self.all();
        if let Some(own) = all.iter_mut().find(|it| it.serial == serial) {
            own.thread = Some(thread);
        }
        Ok(())
    }

    fn spawn(
        &self,
        serial: u64,
        index: usize,
        given: &Given,
        begins: Begins,
        commands: mpsc::UnboundedReceiver<Command>,
    ) -> io::Result<JoinHandle<io::Result<()>>> {
        let Given { shared, metrics, usage } = given.clone();
        let init = WorkerInit { index, shared, begins, commands, metrics, usage };
        let ended = Ended(self.ended.clone(), serial);
        thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            let _ended = ended;
            worker::run(init, Proxy)
        })
    }

    /// A worker has ended. Whether it was to leave, and how it ended; `None` if it never served.
    pub(super) fn ended(&self, serial: u64) -> Option<(bool, Result<(), RunError>)> {
        let mut all = self.all();
        let place = all.iter().position(|it| it.serial == serial)?;
        let One { index, thread, leaves, .. } = all.remove(place);
        drop(all);
        let ended = match thread.map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(source))) => Err(RunError::Worker { index, source }),
            Some(Err(_)) => Err(RunError::Panicked { index }),
        };
        if leaves && ended.is_ok() {
            tracing::info!(worker = index, "a worker has ended behind its last connection");
        }
        Some((leaves, ended))
    }

    /// Whether all have ended.
    pub(super) fn are_gone(&self) -> bool {
        self.all().is_empty()
    }

    /// Has all of them finish, within this time.
    pub(super) fn drain(&self, grace: Duration) {
        // Before a reload that is under way looks: one that it adds is told too, or is not added.
        self.is_draining.store(true, Ordering::Relaxed);
        for worker in &*self.all() {
            let _ended_already = worker.commands.send(Command::Drain(grace));
        }
    }

    /// Has every worker prepare a configuration, and then, if all of them can, take it. A worker
    /// may refuse what was checked before: files and the system's certificates change. As many as are `wanted` accept
    /// connections from then on.
    pub(super) fn put_in_force(
        &self,
        given: &Given,
        bound: &Bound,
        plan: &mut Plan,
        wanted: usize,
        timeout: Duration,
    ) -> Result<(), ReloadError> {
        let (mut serving, mut leaving) = (Vec::<Commanded>::new(), Vec::<Commanded>::new());
        for it in &*self.all() {
            let of = if it.leaves { &mut leaving } else { &mut serving };
            of.push((it.index, it.commands.clone()));
        }
        serving.sort_by_key(|(index, _)| *index);
        let before: Vec<_> = serving.iter().map(|(index, _)| *index).collect();
        let known = [&serving[..], &leaving].concat();
        let prepared = self.prepare(&known, &serving, &given.shared, timeout);
        let ready = prepared.and_then(|able| {
            // Those that leave and have not ended come back first: until they are told more they do not end.
            leaving.retain(|(index, _)| able.contains(index));
            serving.append(&mut leaving);
            let missing = wanted.saturating_sub(serving.len());
            let started = self.start(missing, given, timeout)?;
            serving.extend(started.iter().map(|it| (it.index, it.commands.clone())));
            let after: Vec<_> = serving.iter().take(wanted).map(|(index, _)| *index).collect();
            let parts = bound.deal(plan, &before, &after).map_err(ReloadError::System)?;
            self.add(started, &after)?;
            Ok((parts, after))
        });
        let (mut parts, after) = ready.inspect_err(|_| {
            for (_, commands) in &known {
                let _ended = commands.send(Command::Discard);
            }
        })?;
        bound.switch(plan);
        let commit = |index, answer| {
            let mut part = parts.remove(&index).unwrap_or_default();
            part.leaves = !after.contains(&index);
            Command::Commit(part, answer)
        };
        let all: Vec<_> = serving.iter().map(|(index, _)| *index).collect();
        let taken = self.ask(&serving, commit, timeout);
        self.count.store(after.len(), Ordering::Relaxed);
        match taken {
            // It has the command, and takes the configuration before it does anything else.
            Err(ReloadError::Silent(_)) => {
                tracing::warn!("a worker is busy, and takes the new configuration later");
                Ok(())
            }
            taken => taken.and_then(|answers| are_all(&all, answers.iter().map(|(it, ())| *it))),
        }
    }

    /// Has workers prepare a configuration. Those that can: all that serve, and those that have not ended meanwhile.
    fn prepare(
        &self,
        known: &[Commanded],
        serving: &[Commanded],
        shared: &Arc<Shared>,
        timeout: Duration,
    ) -> Result<Vec<usize>, ReloadError> {
        let prepare = |_, answer| Command::Prepare(Arc::clone(shared), answer);
        let able = able(self.ask(known, prepare, timeout)?)?;
        let serving: Vec<_> = serving.iter().map(|(index, _)| *index).collect();
        are_all(&serving, able.iter().copied()).map(|()| able)
    }

    /// Starts more workers, which accept nothing yet. They end if they are dropped.
    fn start(
        &self,
        count: usize,
        given: &Given,
        timeout: Duration,
    ) -> Result<Vec<One>, ReloadError> {
        let mut taken: Vec<_> = self.all().iter().map(|it| it.index).collect();
        let (answer, answers) = channel();
        let mut started = Vec::with_capacity(count);
        for _ in 0..count {
            let index = (0..).find(|index| !taken.contains(index)).unwrap_or_default();
            taken.push(index);
            let serial = self.next.fetch_add(1, Ordering::Relaxed);
            let (commands, receiver) = mpsc::unbounded_channel();
            let begins = Begins::Told(answer.clone());
            let thread = self.spawn(serial, index, given, begins, receiver);
            let thread = Some(thread.map_err(ReloadError::System)?);
            started.push(One { serial, index, commands, thread, leaves: false });
        }
        drop(answer);
        let able = able(self.gather(&answers, count, timeout)?)?;
        let indices: Vec<_> = started.iter().map(|it| it.index).collect();
        are_all(&indices, able.into_iter()).map(|()| started)
    }

    /// Those that were started are workers as the others are, and those that are not among `after` leave.
    fn add(&self, started: Vec<One>, after: &[usize]) -> Result<(), ReloadError> {
        let mut all = self.all();
        if self.is_draining.load(Ordering::Relaxed) {
            return Err(ReloadError::Ended);
        }
        all.extend(started);
        for one in &mut *all {
            let leaves = !after.contains(&one.index);
            if leaves && !one.leaves {
                tracing::info!(
                    worker = one.index,
                    "a worker takes no more connections, and leaves"
                );
            }
            one.leaves = leaves;
        }
        Ok(())
    }

    /// Sends a command to workers and gathers their answers. One that has ended has none.
    fn ask<T>(
        &self,
        workers: &[Commanded],
        mut command: impl FnMut(usize, Answer<T>) -> Command,
        timeout: Duration,
    ) -> Result<Vec<(usize, T)>, ReloadError> {
        let (answer, answers) = channel();
        for (index, worker) in workers {
            let _ended = worker.send(command(*index, answer.clone()));
        }
        drop(answer);
        self.gather(&answers, workers.len(), timeout)
    }

    fn gather<T>(
        &self,
        answers: &Receiver<(usize, T)>,
        count: usize,
        timeout: Duration,
    ) -> Result<Vec<(usize, T)>, ReloadError> {
        let until = Instant::now() + timeout;
        let mut all = Vec::with_capacity(count);
        while all.len() < count {
            // A worker that drains answers nothing any more.
            if self.is_draining.load(Ordering::Relaxed) {
                return Err(ReloadError::Ended);
            }
            match answers.recv_timeout(LOOK) {
                Ok(answer) => all.push(answer),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if Instant::now() < until => {}
                Err(RecvTimeoutError::Timeout) => return Err(ReloadError::Silent(timeout)),
            }
        }
        Ok(all)
    }

    fn all(&self) -> MutexGuard<'_, Vec<One>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who can take a configuration, if nobody refuses it.
fn able(answers: Vec<(usize, Result<(), SetupError>)>) -> Result<Vec<usize>, ReloadError> {
    let able = answers.into_iter().map(|(index, able)| match able {
        Ok(()) => Ok(index),
        Err(source) => Err(ReloadError::Worker { index, source }),
    });
    able.collect()
}

/// Whether each of these has answered.
fn are_all(asked: &[usize], answered: impl Iterator<Item = usize>) -> Result<(), ReloadError> {
    let answered: Vec<_> = answered.collect();
    let are_all = asked.iter().all(|index| answered.contains(index));
    if are_all { Ok(()) } else { Err(ReloadError::Ended) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::traffic::Traffic;
    use crate::tls::Tickets;

    const BRIEF: Duration = Duration::from_millis(200);
    const LONG: Duration = Duration::from_secs(90);

    type Commands = mpsc::UnboundedReceiver<Command>;

    fn given() -> Given {
        let text = "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n\
                    [[routes]]\nname = \"r\"\npaths = [\"/\"]\nrespond = { status = 200 }\n";
        let source = crate::config::Source::new("test.toml", text);
        let known = crate::config::Known { built_in: &[] };
        let loaded = crate::config::read(source, &|_| None, &known);
        let config =
            Arc::new(loaded.unwrap_or_else(|errors| panic!("{}", errors.render(false))).config);
        let (state, traffic) = (crate::state::State::default(), Traffic::default());
        let (usage, tickets) = (&state.usage, Tickets::default());
        let shared = Shared::new(config, Vec::new(), Vec::new(), &traffic, usage, &tickets);
        let shared = Arc::new(shared.expect("no TLS"));
        Given { shared, metrics: Arc::clone(&state.metrics), usage: Arc::clone(usage) }
    }

    fn put(workers: &Workers, wanted: usize, timeout: Duration) -> Result<(), ReloadError> {
        let mut plan = Plan::default();
        workers.put_in_force(&given(), &Bound::default(), &mut plan, wanted, timeout)
    }

    /// Serves commands as a worker does, and returns what it was asked for.
    fn worker(index: usize, mut commands: Commands, can: bool) -> JoinHandle<Vec<&'static str>> {
        thread::spawn(move || {
            let mut asked = Vec::new();
            while let Some(command) = commands.blocking_recv() {
                match command {
                    Command::Prepare(_, answer) => {
                        asked.push("prepare");
                        let refused = SetupError::NoSystemRoots("no such file".to_owned());
                        let _given_up =
                            answer.send((index, if can { Ok(()) } else { Err(refused) }));
                    }
                    Command::Commit(part, answer) => {
                        asked.push(if part.leaves { "leave" } else { "commit" });
                        let _given_up = answer.send((index, ()));
                    }
                    Command::Discard => asked.push("discard"),
                    Command::Drain(_) => asked.push("drain"),
                }
            }
            asked
        })
    }

    #[test]
    fn a_configuration_is_taken_by_all_workers_or_by_none() {
        for can in [[true, true, true], [true, false, true]] {
            let (all, commands, _ends) = Workers::new(3);
            let threads = commands.into_iter().zip(can).enumerate();
            let threads: Vec<_> =
                threads.map(|(index, (it, can))| worker(index, it, can)).collect();
            let taken = put(&all, 3, LONG);
            drop(all);
            let then = if can[1] { "commit" } else { "discard" };
            for thread in threads {
                assert_eq!(thread.join().expect("it lives"), ["prepare", then]);
            }
            match taken {
                Ok(()) => assert!(can[1]),
                Err(ReloadError::Worker { index, .. }) => assert_eq!((index, can[1]), (1, false)),
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn a_worker_that_does_not_answer_or_is_gone_leaves_the_others_as_they_are() {
        let (all, mut commands, _ends) = Workers::new(2);
        let silent = commands.pop().expect("there are two");
        let other = worker(0, commands.pop().expect("there are two"), true);
        let taken = put(&all, 2, BRIEF);
        assert!(matches!(taken, Err(ReloadError::Silent(BRIEF))), "{taken:?}");
        drop(silent);
        let taken = put(&all, 2, LONG);
        assert!(matches!(taken, Err(ReloadError::Ended)), "{taken:?}");
        all.drain(BRIEF);
        drop(all);
        let asked = other.join().expect("it lives");
        assert!(!asked.contains(&"commit") && asked.contains(&"discard"), "{asked:?}");
    }

    #[test]
    fn those_that_leave_come_back_before_new_ones_begin() {
        let (all, commands, mut ends) = Workers::new(3);
        let threads: Vec<_> =
            commands.into_iter().enumerate().map(|(index, it)| worker(index, it, true)).collect();
        put(&all, 1, LONG).expect("the others leave");
        assert_eq!(all.count().load(Ordering::Relaxed), 1);
        put(&all, 2, LONG).expect("one comes back");
        put(&all, 4, LONG).expect("the other does too, and one is new");
        assert_eq!(all.count().load(Ordering::Relaxed), 4);
        // Nobody serves as the fourth but a real worker, which ends at once without a connection.
        all.drain(BRIEF);
        let new = ends.blocking_recv().expect("it ends");
        assert!(matches!(all.ended(new), Some((false, Ok(())))));
        assert_eq!(all.all().iter().map(|it| it.index).collect::<Vec<_>>(), [0, 1, 2]);
        drop(all);
        let asked: Vec<_> = threads.into_iter().map(|it| it.join().expect("it lives")).collect();
        let prepared = |then: [&'static str; 3]| {
            let each = then.into_iter().flat_map(|then| ["prepare", then]);
            each.chain(["drain"]).collect::<Vec<_>>()
        };
        assert_eq!(asked[0], prepared(["commit", "commit", "commit"]));
        assert_eq!(asked[1], prepared(["leave", "commit", "commit"]));
        assert_eq!(asked[2], prepared(["leave", "leave", "commit"]));
    }
}
