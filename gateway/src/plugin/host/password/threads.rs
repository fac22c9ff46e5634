//! A few threads for work that takes long and that somebody waits for.
//!
//! Owns how much of it runs at once, how much waits, and whose turn it is. A thread that works is
//! counted until it is done, whether or not the asker still waits: work cannot be interrupted. Work
//! that has not begun is dropped when its asker leaves. Must not know what the work is.
//!
//! Askers are told apart by client. A client may have as many pieces of work waiting as there are
//! places free, so that it can never take the last one, and threads take the clients in turn: who
//! has one piece of work waits for one piece of each other client, and not for all of them.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// How long a thread without work stays.
const REST: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Threads {
    name: &'static str,
    /// Threads, at most.
    most: usize,
    /// Places for work that waits.
    places: usize,
    state: Mutex<State>,
    came: Condvar,
}

#[derive(Default)]
struct State {
    /// The clients whose work waits, in the order of their turns; none is empty.
    turns: VecDeque<(Option<IpAddr>, VecDeque<Job>)>,
    waiting: usize,
    threads: usize,
    /// Threads without work.
    idle: usize,
    last_id: u64,
}

struct Job {
    id: u64,
    work: Box<dyn FnOnce() + Send>,
}

/// There is no place, or the wait was too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Busy;

/// Work that waits or runs. Dropped, it is given up if it has not begun.
pub(super) struct Asked<T> {
    threads: Arc<Threads>,
    client: Option<IpAddr>,
    id: u64,
    result: oneshot::Receiver<T>,
}

impl Threads {
    /// At most `most` threads, begun when there is work, and `places` for work that waits.
    pub(super) fn new(name: &'static str, most: usize, places: usize) -> Arc<Self> {
        let (state, came) = (Mutex::default(), Condvar::new());
        Arc::new(Self { name, most, places, state, came })
    }

    /// Has work done for a client.
    pub(super) fn run<T: Send + 'static>(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Asked<T>, Busy> {
        let (done, result) = oneshot::channel();
        let work = Box::new(move || {
            let _nobody_waits = done.send(work());
        });
        let mut state = self.state();
        state.last_id += 1;
        let id = state.last_id;
        self.wait_in_line(&mut state, client, Job { id, work })?;
        if state.waiting <= state.idle {
            self.came.notify_one();
        } else if state.threads < self.most {
            let name = format!("{}-{}", self.name, state.threads);
            let threads = Arc::clone(self);
            let begun = std::thread::Builder::new().name(name).spawn(move || threads.serve());
            state.threads += usize::from(begun.is_ok());
            if state.threads == 0 {
                state.take_out(client, id);
                return Err(Busy);
            }
        }
        Ok(Asked { threads: Arc::clone(self), client, id, result })
    }

    fn wait_in_line(
        &self,
        state: &mut State,
        client: Option<IpAddr>,
        job: Job,
    ) -> Result<(), Busy> {
        let own = state.turns.iter_mut().find(|(known, _)| *known == client);
        let count = own.as_ref().map_or(0, |(_, jobs)| jobs.len());
        if count >= self.places.saturating_sub(state.waiting) {
            return Err(Busy);
        }
        match own {
            Some((_, jobs)) => jobs.push_back(job),
            None => state.turns.push_back((client, VecDeque::from([job]))),
        }
        state.waiting += 1;
        Ok(())
    }

    fn serve(&self) {
        let mut state = self.state();
        loop {
            while let Some(job) = state.next() {
                drop(state);
                // Work that panics must not take the thread away from the others.
                let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job.work));
                if worked.is_err() {
                    tracing::error!(thread = self.name, "work panicked");
                }
                state = self.state();
            }
            state.idle += 1;
            let woken = self.came.wait_timeout_while(state, REST, |state| state.waiting == 0);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            state.idle -= 1;
            if state.waiting == 0 {
                state.threads -= 1;
                return;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The next piece of work: the first of the client whose turn it is.
    fn next(&mut self) -> Option<Job> {
        let (client, mut jobs) = self.turns.pop_front()?;
        let job = jobs.pop_front();
        if !jobs.is_empty() {
            self.turns.push_back((client, jobs));
        }
        self.waiting -= usize::from(job.is_some());
        job
    }

    /// Drops work that has not begun, and says whether there was any.
    fn take_out(&mut self, client: Option<IpAddr>, id: u64) -> bool {
        let turn = self.turns.iter().position(|(known, _)| *known == client);
        let Some(turn) = turn else { return false };
        let jobs = &mut self.turns[turn].1;
        let before = jobs.len();
        jobs.retain(|job| job.id != id);
        let removed = before - jobs.len();
        self.waiting -= removed;
        if jobs.is_empty() {
            self.turns.remove(turn);
        }
        removed > 0
    }
}

impl<T> Asked<T> {
    /// What the work came to, if it is done within this time, or has begun by then.
    pub(super) async fn within(mut self, wait: Duration) -> Result<T, Busy> {
        let in_time = tokio::time::timeout(wait, &mut self.result).await;
        let result = match in_time {
            Ok(result) => result,
            Err(_) if self.threads.state().take_out(self.client, self.id) => return Err(Busy),
            Err(_) => (&mut self.result).await,
        };
        // Without a result it panicked.
        result.map_err(|_| Busy)
    }
}

impl<T> Drop for Asked<T> {
    fn drop(&mut self) {
        if !self.result.is_terminated() {
            self.threads.state().take_out(self.client, self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn client(number: u8) -> Option<IpAddr> {
        Some(Ipv4Addr::new(192, 0, 2, number).into())
    }

    /// One thread that is at work until something is sent, and what becomes of it.
    fn held(places: usize) -> (Arc<Threads>, mpsc::Sender<()>, Asked<()>) {
        let threads = Threads::new("test", 1, places);
        let (go_on, gate) = mpsc::channel::<()>();
        let (began, begun) = mpsc::channel();
        let work = move || {
            began.send(()).expect("somebody waits");
            let _sent_or_dropped = gate.recv();
        };
        let asked = threads.run(client(0), work).expect("there is a place");
        begun.recv_timeout(LONG).expect("it begins");
        (threads, go_on, asked)
    }

    #[tokio::test]
    async fn no_more_threads_work_than_there_may_be_though_those_who_asked_have_left() {
        let (at_work, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let threads = Threads::new("test", 2, 256);
        for number in 0..24 {
            let (at_work, most) = (Arc::clone(&at_work), Arc::clone(&most));
            let work = move || {
                most.fetch_max(at_work.fetch_add(1, SeqCst) + 1, SeqCst);
                std::thread::sleep(Duration::from_millis(20));
                at_work.fetch_sub(1, SeqCst);
            };
            let asked = threads.run(client(number), work).expect("there is a place");
            // Every second one leaves when its work may have begun, the others before.
            if number % 2 == 0 {
                // On a busy machine it may be done by then.
                let _left_or_done =
                    tokio::time::timeout(Duration::from_millis(2), asked.within(LONG)).await;
            }
        }
        let last = threads.run(client(0), || ()).expect("a place");
        last.within(LONG).await.expect("it is done");
        assert_eq!(threads.state().waiting, 0, "who left takes no place");
        assert!(threads.state().threads <= 2 && most.load(SeqCst) <= 2, "{most:?}");
    }

    #[tokio::test]
    async fn who_leaves_before_the_turn_comes_gives_the_place_back_and_is_not_served() {
        let (threads, go_on, first) = held(1);
        let served = Arc::new(AtomicUsize::new(0));
        for _ in 0..50 {
            let served = Arc::clone(&served);
            let asked = threads.run(client(1), move || served.fetch_add(1, SeqCst));
            drop(asked.expect("the place is free again"));
        }
        drop(go_on);
        first.within(LONG).await.expect("it is done");
        assert_eq!(served.load(SeqCst), 0);
    }

    #[tokio::test]
    async fn a_client_takes_no_more_places_than_are_free_and_others_find_some() {
        let (threads, go_on, _first) = held(8);
        let ask = |number| threads.run(client(number), || ());
        let mut waiting = Vec::new();
        for (number, places) in [(1, 4), (2, 2), (3, 1)] {
            for _ in 0..places {
                waiting.push(ask(number).expect("there is a place"));
            }
            assert!(ask(number).is_err(), "{number} has {places} already");
        }
        waiting.push(ask(4).expect("the last place is for somebody new"));
        assert!(ask(5).is_err(), "all are taken");
        drop(go_on);
        for asked in waiting {
            asked.within(LONG).await.expect("it is done");
        }
    }

    #[tokio::test]
    async fn clients_are_served_in_turn() {
        let (threads, go_on, _first) = held(16);
        let (say, said) = mpsc::channel();
        let ask = |number: u8, text: &'static str| {
            let say = say.clone();
            let work = move || say.send(text).expect("somebody listens");
            threads.run(client(number), work).expect("there is a place")
        };
        let asked = [ask(1, "a1"), ask(1, "a2"), ask(1, "a3"), ask(2, "b1"), ask(3, "c1")];
        drop(go_on);
        for asked in asked {
            asked.within(LONG).await.expect("it is done");
        }
        assert_eq!(said.try_iter().collect::<Vec<_>>(), ["a1", "b1", "c1", "a2", "a3"]);
    }

    #[tokio::test]
    async fn a_wait_that_is_too_long_ends_but_work_that_has_begun_does_not() {
        let (threads, go_on, first) = held(4);
        let late = threads.run(client(1), || ()).expect("there is a place");
        assert_eq!(late.within(Duration::from_millis(10)).await, Err(Busy));
        let first = first.within(Duration::from_millis(10));
        let free = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(go_on);
        };
        assert_eq!(tokio::join!(first, free).0, Ok(()));
    }

    #[tokio::test]
    async fn work_that_panics_costs_nobody_a_thread() {
        let threads = Threads::new("test", 1, 4);
        let asked = threads.run(client(1), || panic!("on purpose")).expect("a place");
        assert_eq!(asked.within(LONG).await, Err(Busy));
        let asked = threads.run(client(1), || 7).expect("a place");
        assert_eq!(asked.within(LONG).await, Ok(7));
    }
}
