//! A connection for the checks of requests: scripts whose answers are numbers.
//!
//! Owns that what is asked in one turn of the worker leaves in one write, that answers are read where they arrived,
//! and how long each is waited for. Every request that is limited takes this way, so that it has no commands and
//! values of its own, as the library has them for all else. Must not know what is asked, nor connect again: when
//! it breaks, all that wait hear of it.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use super::reply::{self, Reply};

/// What a script answers.
pub(super) type Numbers = SmallVec<[i64; 4]>;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failed {
    /// The server refused, in its words.
    Refused(String),
    /// The connection is of no more use.
    Broken(Arc<str>),
    /// It did not come in time.
    Late,
}

type Answer = Result<Numbers, Failed>;

/// Bytes that are read at a time.
const READ: usize = 4 << 10;
/// Bytes of one answer, at most: those of scripts have some hundred.
const MAX_REPLY: usize = 1 << 20;
/// Room that is kept for what is asked in one turn.
const KEPT: usize = 64 << 10;

/// Where to ask; cheap to clone. The connection ends with the last one.
#[derive(Clone)]
pub(super) struct Pipe(Arc<Handle>);

struct Handle(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    /// What is to be written.
    out: Vec<u8>,
    /// Those that wait, in the order in which they asked. Of who gave up the answer comes all the same.
    waiting: VecDeque<Waiting>,
    /// How many of the first are not waited for any more.
    late: usize,
    driver: Option<Waker>,
    /// Whether the driver knows that there is something to do.
    is_woken: bool,
    broken: Option<Arc<str>>,
    /// Nobody can ask any more.
    is_left: bool,
}

struct Waiting {
    answer: Option<oneshot::Sender<Answer>>,
    since: Instant,
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut queue = lock(&self.0);
        queue.is_left = true;
        queue.wake();
    }
}

impl Queue {
    fn wake(&mut self) {
        if !std::mem::replace(&mut self.is_woken, true)
            && let Some(driver) = &self.driver
        {
            driver.wake_by_ref();
        }
    }

    /// Nobody hears anything any more.
    fn breaks(&mut self, why: &Arc<str>) {
        self.broken = Some(Arc::clone(why));
        for waiting in self.waiting.drain(..) {
            if let Some(answer) = waiting.answer {
                let _gone = answer.send(Err(Failed::Broken(Arc::clone(why))));
            }
        }
    }

    /// Those that have waited for long enough hear so. Returns when that is to be looked at again.
    fn expire(&mut self, timeout: Duration, now: Instant) -> Option<Instant> {
        while let Some(waiting) = self.waiting.get_mut(self.late) {
            let until = waiting.since + timeout;
            if until > now {
                return Some(until);
            }
            if let Some(answer) = waiting.answer.take() {
                let _gone = answer.send(Err(Failed::Late));
            }
            self.late += 1;
        }
        None
    }
}

impl Pipe {
    /// A connection on this stream, and what serves it. A question waits for `timeout` at most.
    pub(super) fn new<S>(stream: S, timeout: Duration) -> (Self, impl Future<Output = ()> + Send)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let queue = Arc::new(Mutex::new(Queue::default()));
        let driver = Driver {
            queue: Arc::clone(&queue),
            stream,
            timeout,
            sleep: None,
            writing: Vec::new(),
            written: 0,
            needs_flush: false,
            arrived: Vec::new(),
            filled: 0,
        };
        (Self(Arc::new(Handle(queue))), driver)
    }

    /// Asks by what `write` appends: one command. It is written before the future is: a hook that waits holds little.
    pub(super) fn ask(
        &self,
        since: Instant,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> impl Future<Output = Answer> {
        let (answer, answered) = oneshot::channel();
        let mut queue = lock(&self.0.0);
        match &queue.broken {
            Some(why) => drop(answer.send(Err(Failed::Broken(Arc::clone(why))))),
            None => {
                write(&mut queue.out);
                queue.waiting.push_back(Waiting { answer: Some(answer), since });
                queue.wake();
            }
        }
        drop(queue);
        async { answered.await.unwrap_or_else(|_| Err(Failed::Broken("its worker ends".into()))) }
    }
}

/// Appends a command of these words.
pub(super) fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    begin(out, words.len());
    for word in words {
        text(out, word);
    }
}

/// Appends how many words follow.
pub(super) fn begin(out: &mut Vec<u8>, words: usize) {
    header(out, b'*', words);
}

/// Appends a word.
pub(super) fn text(out: &mut Vec<u8>, word: &[u8]) {
    header(out, b'$', word.len());
    out.extend_from_slice(word);
    out.extend_from_slice(b"\r\n");
}

/// Appends a number as a word: with one copy, since a check has seven.
pub(super) fn number(out: &mut Vec<u8>, number: u64) {
    const DIGITS: usize = 20;
    let mut word = [0; 5 + DIGITS + 2];
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number).as_bytes();
    let (tens, ones) = (digits.len() / 10, digits.len() % 10);
    let start = if tens == 0 {
        word[..4].copy_from_slice(&[b'$', digit(ones), b'\r', b'\n']);
        4
    } else {
        word[..5].copy_from_slice(&[b'$', digit(tens), digit(ones), b'\r', b'\n']);
        5
    };
    let end = start + digits.len();
    word[start..end].copy_from_slice(digits);
    word[end..end + 2].copy_from_slice(b"\r\n");
    out.extend_from_slice(&word[..end + 2]);
}

/// A digit of a number below ten.
fn digit(number: usize) -> u8 {
    b"0123456789"[number % 10]
}

fn header(out: &mut Vec<u8>, kind: u8, number: usize) {
    match number {
        0..10 => out.extend_from_slice(&[kind, digit(number), b'\r', b'\n']),
        10..100 => {
            out.extend_from_slice(&[kind, digit(number / 10), digit(number), b'\r', b'\n']);
        }
        _ => {
            out.push(kind);
            out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Serves a connection until it breaks, or nobody has it any more.
struct Driver<S> {
    queue: Arc<Mutex<Queue>>,
    stream: S,
    timeout: Duration,
    /// Until the first of those that wait has waited for too long; none while nobody waits.
    sleep: Option<Pin<Box<Sleep>>>,
    writing: Vec<u8>,
    written: usize,
    needs_flush: bool,
    /// Where answers arrive, and how much of it is not read yet: one that is not whole.
    arrived: Vec<u8>,
    filled: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Driver<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let why: Arc<str> = match this.serve(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) => "it was closed".into(),
            Poll::Ready(Err(error)) => error.to_string().into(),
        };
        lock(&this.queue).breaks(&why);
        Poll::Ready(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    fn serve(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        {
            let mut queue = lock(&self.queue);
            if queue.is_left {
                return Poll::Ready(Ok(()));
            }
            queue.is_woken = false;
            if !queue.driver.as_ref().is_some_and(|it| it.will_wake(context.waker())) {
                queue.driver = Some(context.waker().clone());
            }
        }
        // Answers first: who has them asks again in the same turn.
        if self.poll_read(context)?.is_ready() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        let _is_written = self.poll_write(context)?;
        self.poll_time(context);
        Poll::Pending
    }

    /// Writes all that is asked, as far as it is taken.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.written == self.writing.len() {
                self.writing.clear();
                self.writing.shrink_to(KEPT);
                self.written = 0;
                std::mem::swap(&mut self.writing, &mut lock(&self.queue).out);
                if self.writing.is_empty() {
                    break;
                }
            }
            let left = &self.writing[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(context, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
            self.needs_flush = true;
        }
        if self.needs_flush {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads all that has arrived, and hands answers over. Ready: there is nothing more to come.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.arrived.len() - self.filled < READ {
                self.arrived.resize(self.filled + 2 * READ, 0);
            }
            let mut buffer = ReadBuf::new(&mut self.arrived[self.filled..]);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            match buffer.filled().len() {
                0 => return Poll::Ready(Ok(())),
                count => self.filled += count,
            }
            self.answer()?;
        }
    }

    fn answer(&mut self) -> io::Result<()> {
        let mut rest = &self.arrived[..self.filled];
        let mut queue = lock(&self.queue);
        while let Some((reply, after)) = reply::read(rest).map_err(io::Error::other)? {
            rest = after;
            let Some(waiting) = queue.waiting.pop_front() else {
                return Err(io::Error::other("it said what nobody had asked for"));
            };
            queue.late = queue.late.saturating_sub(1);
            if let Some(answer) = waiting.answer {
                let _gone = answer.send(match reply {
                    Reply::Numbers(numbers) => Ok(numbers),
                    Reply::Refused(words) => Err(Failed::Refused(words)),
                    Reply::Other => Ok(Numbers::new()),
                });
            }
        }
        drop(queue);
        let left = rest.len();
        self.arrived.copy_within(self.filled - left..self.filled, 0);
        self.filled = left;
        match left <= MAX_REPLY {
            true => Ok(()),
            false => Err(io::Error::other("an answer is too long")),
        }
    }

    /// Lets those that have waited for too long hear so. One timer for all: who asked first is late first.
    fn poll_time(&mut self, context: &mut Context<'_>) {
        loop {
            let Some(sleep) = &mut self.sleep else {
                let queue = lock(&self.queue);
                let Some(first) = queue.waiting.get(queue.late) else { return };
                self.sleep = Some(Box::pin(tokio::time::sleep_until(first.since + self.timeout)));
                continue;
            };
            if sleep.as_mut().poll(context).is_pending() {
                return;
            }
            let next = lock(&self.queue).expire(self.timeout, Instant::now());
            match next {
                Some(next) => sleep.as_mut().reset(next),
                None => {
                    self.sleep = None;
                    return;
                }
            }
        }
    }
}
