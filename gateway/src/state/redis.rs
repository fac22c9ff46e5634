//! Redis and Valkey, as a store that several gateways share.
//!
//! Owns the connections of each worker, one for checks and one for all else, and when they are given up: after an
//! error of one, an answer that no retry mends, or several checks without an answer in time (a
//! circuit breaker). Until it is made anew, and has been seen to serve, no check waits for the store. Must not
//! know what is counted.

mod connect;
pub(crate) mod key_values;
pub(crate) mod lease;
pub(crate) mod limits;
mod link;
mod names;
mod pipe;
mod quotas;
mod reply;
pub(crate) mod responses;
mod scripts;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use redis::{Cmd, RedisError, RedisWrite, ToRedisArgs, Value};

use self::link::{Link, Made};
use crate::config::RedisStore;
use crate::telemetry::metrics::{StoreCounts, StoreNumbers, StoreResult};

thread_local! {
    /// The connections of this thread, by the number of their store.
    static LINKS: RefCell<Vec<(u64, Weak<Link>)>> = const { RefCell::new(Vec::new()) };
}

static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// The scripts: that which charges buckets, that which knows windows too, and that which adds to a number. Then the first
/// two for a server that is full, which may write all the same: they change what there is, and add nothing.
const SCRIPTS: [&str; 5] = [
    concat!("local full = false\n", include_str!("redis/take.lua")),
    concat!("local full = false\n", include_str!("redis/quotas.lua")),
    include_str!("redis/increment.lua"),
    concat!("#!lua flags=allow-oom\nlocal full = true\n", include_str!("redis/take.lua")),
    concat!("#!lua flags=allow-oom\nlocal full = true\n", include_str!("redis/quotas.lua")),
];
/// Which script.
const TAKE: usize = 0;
const QUOTAS: usize = 1;
const INCREMENT: usize = 2;
/// So much further is that for a server that is full.
const WHEN_FULL: usize = 3;

/// What is asked for a request.
#[derive(Clone, Copy)]
enum Question<'a> {
    /// A script on these keys and arguments.
    Script(usize, &'a [String], &'a [Argument<'a>]),
    /// One that few stores need.
    Own(&'a OwnScript, &'a [String], &'a [&'a [u8]]),
    Command(&'a Cmd),
}

/// An argument of a script. Numbers are written where they go over, without a text of their own.
#[derive(Debug, Clone)]
enum Argument<'a> {
    Text(Cow<'a, str>),
    Number(u64),
}

impl ToRedisArgs for Argument<'_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        match self {
            Self::Text(text) => text.as_ref().write_redis_args(out),
            Self::Number(number) => number.write_redis_args(out),
        }
    }
}

impl<'a> From<&'a str> for Argument<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<u64> for Argument<'_> {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

/// A script that is not loaded beforehand: the server hears its text when it does not know it.
#[derive(Debug)]
struct OwnScript {
    text: &'static str,
    sha: String,
}

impl OwnScript {
    fn new(text: &'static str) -> Self {
        let algorithm = &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY;
        let digest = aws_lc_rs::digest::digest(algorithm, text.as_bytes());
        let sha = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { text, sha }
    }
}

/// A store.
#[derive(Debug)]
pub(crate) struct Redis {
    number: u64,
    name: Box<str>,
    settings: RedisStore,
    links: Mutex<Vec<Arc<Link>>>,
    /// Connections that are down now.
    down: AtomicUsize,
    /// Whether the server was seen to take nothing new, and when last, in milliseconds since it was made.
    is_full: AtomicBool,
    was_full: AtomicU64,
    began: Instant,
    counts: Arc<StoreCounts>,
}

/// The store did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unavailable;

/// Why there is no answer, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::state) enum Asked {
    /// What was asked for was not done.
    Not(String),
    /// It may have been done.
    Perhaps(String),
}

impl Asked {
    pub(in crate::state) fn why(self) -> String {
        match self {
            Self::Not(why) | Self::Perhaps(why) => why,
        }
    }
}

impl Redis {
    pub(crate) fn new(name: &str, settings: &RedisStore, counts: Arc<StoreCounts>) -> Arc<Self> {
        Arc::new(Self {
            number: NUMBERS.fetch_add(1, Relaxed),
            name: name.into(),
            settings: settings.clone(),
            links: Mutex::default(),
            down: AtomicUsize::new(0),
            is_full: AtomicBool::new(false),
            was_full: AtomicU64::new(0),
            began: Instant::now(),
            counts,
        })
    }

    /// The settings with which it was made.
    pub(crate) fn settings(&self) -> &RedisStore {
        &self.settings
    }

    /// What became of what it was asked.
    pub(crate) fn numbers(&self) -> StoreNumbers {
        self.counts.numbers()
    }

    /// Connections that there are, and those that can be used.
    pub(crate) fn connections(&self) -> [usize; 2] {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        [links.len(), links.iter().filter(|link| link.is_made()).count()]
    }

    /// Questions that wait for an answer.
    pub(crate) fn waiting(&self) -> usize {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.iter().map(|link| link.waiting()).sum()
    }

    /// Connects this thread, whose runtime serves the connection from then on.
    pub(crate) fn connect_here(self: &Arc<Self>) {
        if self.link().is_some() {
            return;
        }
        let link = Arc::new(Link::default());
        LINKS.with_borrow_mut(|links| {
            links.retain(|(_, link)| link.strong_count() > 0);
            links.push((self.number, Arc::downgrade(&link)));
        });
        self.links.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&link));
        tokio::spawn(link::serve(link, Arc::downgrade(self)));
    }

    fn link(&self) -> Option<Arc<Link>> {
        LINKS.with_borrow(|links| {
            // A configuration has few stores.
            links.iter().find(|(number, _)| *number == self.number)?.1.upgrade()
        })
    }

    /// Asks what the server may refuse: a refusal is an answer too, unless it says that the server is of no use.
    async fn request(
        &self,
        question: Question<'_>,
    ) -> Result<Result<Value, RedisError>, Unavailable> {
        let (link, made, answered) = self.put(question).await?;
        match answered {
            Err(error) if !is_refusal(&error) => {
                link.failed(&made, is_final(&error), &error.to_string());
                Err(Unavailable)
            }
            answered => {
                link.answered();
                Ok(answered)
            }
        }
    }

    /// Puts a question, once and for as long as a request waits.
    async fn put(
        &self,
        question: Question<'_>,
    ) -> Result<(Arc<Link>, Arc<Made>, Result<Value, RedisError>), Unavailable> {
        let Some(link) = self.link() else { return Err(Unavailable) };
        let waiting = link.waits();
        let began = Instant::now();
        let made = self.made(&link, began).await?;
        let left = self.settings.timeout.saturating_sub(began.elapsed());
        let answered = tokio::time::timeout(left, made.question(question)).await;
        let took = began.elapsed();
        drop(waiting);
        match answered {
            Ok(answered) => {
                let result =
                    if answered.is_ok() { StoreResult::Answered } else { StoreResult::Error };
                self.counts.called(result, took);
                Ok((link, made, answered))
            }
            Err(_) => {
                link.failed(&made, false, &silent(self.settings.timeout));
                self.counts.called(StoreResult::Timeout, took);
                Err(Unavailable)
            }
        }
    }

    /// The connection, which may be on its way at the very beginning.
    async fn made(&self, link: &Link, began: Instant) -> Result<Arc<Made>, Unavailable> {
        match link.made() {
            Some(made) => Ok(made),
            None if link.is_new() => {
                let left = self.settings.timeout.saturating_sub(began.elapsed());
                let up = tokio::time::timeout(left, link.up.notified()).await;
                let made = up.ok().and_then(|()| link.made());
                made.ok_or_else(|| self.refused(StoreResult::Away))
            }
            None => Err(self.refused(StoreResult::Away)),
        }
    }

    /// Asks one thing on this thread's connection, for who may wait for longer than requests do.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(in crate::state) async fn ask(
        &self,
        command: &Cmd,
        patience: Duration,
    ) -> Result<Value, Asked> {
        let not = |why: &str| Asked::Not(why.to_owned());
        let link = self.link().ok_or_else(|| not("it is not connected"))?;
        let began = Instant::now();
        if link.made().is_none() && link.is_new() {
            let _in_time = tokio::time::timeout(patience, link.up.notified()).await;
        }
        let Some(made) = link.made() else {
            self.counts.called(StoreResult::Away, Duration::ZERO);
            let failure = self.numbers().failure;
            return Err(not(failure.as_deref().unwrap_or("there is no connection")));
        };
        let answered = tokio::time::timeout(patience, made.connection.clone().ask(command)).await;
        let took = began.elapsed();
        match answered {
            Ok(Ok(value)) => {
                link.answered();
                self.counts.called(StoreResult::Answered, took);
                Ok(value)
            }
            Ok(Err(error)) => {
                link.failed(&made, is_final(&error), &error.to_string());
                self.counts.called(StoreResult::Error, took);
                // What the server says it has not done; what the connection says, nobody knows.
                match error.is_io_error() || error.is_connection_dropped() {
                    true => Err(Asked::Perhaps(error.to_string())),
                    false => Err(Asked::Not(error.to_string())),
                }
            }
            Err(_) => {
                link.failed(&made, false, &silent(patience));
                self.counts.called(StoreResult::Timeout, took);
                Err(Asked::Perhaps(silent(patience)))
            }
        }
    }

    #[cold]
    fn refused(&self, result: StoreResult) -> Unavailable {
        self.counts.called(result, Duration::ZERO);
        Unavailable
    }

    /// A check was answered by a lease.
    fn leased(&self) {
        self.counts.leased();
    }

    /// A check was counted as ever. A server at its bound takes one now and then, which is told to nobody.
    fn has_room(&self) {
        let for_long = || self.lived().saturating_sub(self.was_full.load(Relaxed)) >= ROOM;
        if self.is_full.load(Relaxed) && for_long() && self.is_full.swap(false, Relaxed) {
            tracing::info!(store = &*self.name, "the store `{}` has room again", self.name);
        }
    }

    /// The server refused what is new.
    #[cold]
    fn has_no_room(&self) {
        self.was_full.store(self.lived(), Relaxed);
        if !self.is_full.swap(true, Relaxed) {
            tracing::warn!(
                store = &*self.name,
                "the store `{}` is full: limits that it has go on, and for others `on_store_error` says what becomes of \
                 requests; give the server a higher `maxmemory`, or limits keys that clients cannot choose",
                self.name
            );
        }
    }

    /// Milliseconds since it was made.
    fn lived(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A connection of a worker came about for the first time.
    fn is_made(&self) {
        if self.down.load(Relaxed) == 0 {
            self.counts.is_up();
        }
    }

    /// A connection of a worker came about again.
    fn is_up(&self) {
        if self.down.fetch_sub(1, Relaxed) == 1 {
            // Who sees the metric finds the reason in the log.
            tracing::info!(store = &*self.name, "the store `{}` answers again", self.name);
            self.counts.is_up();
        }
    }

    /// One was lost, or could not be made.
    fn is_down(&self, why: &str) {
        if self.down.fetch_add(1, Relaxed) == 0 {
            tracing::warn!(store = &*self.name, "the store `{}` cannot be had: {why}", self.name);
            self.counts.is_down(why);
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        for link in self.links.get_mut().unwrap_or_else(PoisonError::into_inner) {
            link.close();
        }
    }
}

fn evaluate<A: ToRedisArgs>(command: &str, script: &str, keys: &[String], arguments: &[A]) -> Cmd {
    /// Room for the command, and the digits of most numbers.
    const WORDS: usize = 16;
    const DIGITS: usize = 12;
    let texts = script.len() + keys.iter().map(String::len).sum::<usize>();
    let mut evaluate = Cmd::with_capacity(
        3 + keys.len() + arguments.len(),
        WORDS + texts + DIGITS * arguments.len(),
    );
    evaluate.arg(command).arg(script).arg(keys.len());
    for key in keys {
        evaluate.arg(key);
    }
    for argument in arguments {
        evaluate.arg(argument);
    }
    evaluate
}

fn silent(time: Duration) -> String {
    format!("no answer within {} ms", time.as_millis())
}

/// Whether the server did not do what it was asked for, and would do something else: it is full, or there is
/// something else under the key.
fn is_refusal(error: &RedisError) -> bool {
    matches!(error.code(), Some(FULL | "ERR" | "WRONGTYPE"))
}

/// Milliseconds without a refusal after which a server has room again.
const ROOM: u64 = 2_000;

/// With what a server says that it has no room for anything new.
const FULL: &str = "OOM";

/// With what a server says that it takes no writes, or none from here.
const FINAL: [&str; 7] =
    ["READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH", "NOPERM", "WRONGPASS"];

/// Whether the connection is of no more use: it is broken, or the server behind it is not the one that takes
/// writes.
fn is_final(error: &redis::RedisError) -> bool {
    error.is_unrecoverable_error() || error.code().is_some_and(|code| FINAL.contains(&code))
}
