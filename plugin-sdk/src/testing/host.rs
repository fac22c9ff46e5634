//! The host behind native tests: one exchange at a time, and what outlives exchanges.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::attempts::{Attempt, AttemptsError};
use crate::attributes::{self, AttributeError};
use crate::cache::{CacheError, Collapsed, Entry, Freshening};
use crate::chunks::ChunksError;
use crate::documents::Refreshed;
use crate::drain::DrainError;
use crate::events::EmitError;
use crate::held_response::{HeadChange, HeldResponseError};
use crate::http_client::{HttpError, Request, Response};
use crate::keep_alive::KeepAliveError;
use crate::limiter::{Charge, LimiterError, Quota, Reservation, Settlement, Verdict};
use crate::log::Level;
use crate::password::PasswordError;
use crate::slots::{Occupancy, Queued, SlotsError, Taken, Wait};
use crate::testing::cache::{Cache, OfExchange};
use crate::testing::calls::Calls;
use crate::testing::cryptography;
use crate::testing::documents::Documents;
use crate::testing::keys::Keys;
use crate::testing::limiter::Buckets;
use crate::testing::metrics::Metrics;
use crate::testing::quotas::Windows;
use crate::testing::slots::{self, Slots};
use crate::testing::store::Store;
use crate::testing::usage::Usage;
use crate::wire::{self, Field};

/// A line that the plugin logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// What it says.
    pub message: String,
}

/// The head of the request of an exchange.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestState {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) fields: Vec<Field>,
}

/// The head of the response of an exchange.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResponseState {
    pub(crate) status: u16,
    pub(crate) fields: Vec<Field>,
}

/// What belongs to one exchange.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExchangeState {
    pub(crate) request: RequestState,
    pub(crate) response: Option<ResponseState>,
    pub(crate) attributes: BTreeMap<String, String>,
    /// The context that the hook keeps for every decision.
    pub(crate) kept_context: Option<Vec<u8>>,
    /// What it added to usage, by name.
    pub(crate) usage: Vec<(String, i64)>,
    /// Whether the hook that runs may take slots.
    pub(crate) may_take_slots: bool,
    /// Whether it may wait for one.
    pub(crate) may_queue: bool,
    /// The keys of the slots that it took.
    pub(crate) slots: Vec<String>,
    /// The keys of those that the exchange gives back.
    pub(crate) given_back: Vec<String>,
    /// How far the response is read without its client.
    pub(crate) drain: Option<(u64, Duration)>,
    /// What the client is sent while the response is silent.
    pub(crate) keep_alive: Option<(Vec<u8>, Duration)>,
    /// The answer of a wait whose time is over.
    pub(crate) late: Option<wire::Response>,
    /// How often the request was sent, while another attempt may be asked for.
    pub(crate) sent: u32,
    /// The attempt that was asked for.
    pub(crate) attempt: Option<Attempt>,
    /// The request's body as `on_request_body` saw it.
    pub(crate) received: Option<Vec<u8>>,
    /// Whether the hook that runs may hold the response back.
    pub(crate) may_hold: bool,
    /// For how many bytes it is held back.
    pub(crate) hold: Option<u32>,
    /// For how long, and whether the plugin decides when that is over.
    pub(crate) hold_time: Duration,
    pub(crate) calls_late: bool,
    /// Whether it may end a body that breaks off.
    pub(crate) calls_broken: bool,
    /// How long the head of a response is waited for, where that is bounded.
    pub(crate) first_byte: Option<Duration>,
    /// What the hook that runs decides of a response that is held back.
    pub(crate) held: Option<HeldState>,
    /// What it has to do with the cache.
    pub(crate) cache: OfExchange,
}

/// What is decided of a response that is held back.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeldState {
    pub(crate) release: bool,
    pub(crate) change: Option<HeadChange>,
    pub(crate) answer: Option<wire::Response>,
}

/// 2026-01-01T00:00:00Z, where the clock of each host begins.
const EPOCH: u64 = 1_767_225_600_000_000_000;

pub(crate) struct TestHost {
    exchange: RefCell<ExchangeState>,
    /// Nanoseconds since the host was made; moves only by `advance`.
    elapsed: Cell<u64>,
    /// Nanoseconds since 1970 at which `elapsed` is zero.
    epoch: Cell<u64>,
    log_level: Cell<Level>,
    log: RefCell<Vec<LogLine>>,
    store: RefCell<Store>,
    buckets: RefCell<Buckets>,
    windows: RefCell<Windows>,
    limiter_unavailable: Cell<bool>,
    passwords_busy: Cell<bool>,
    metrics: RefCell<Metrics>,
    /// How long the exchange took whose end a hook is told.
    ended: Cell<Option<Duration>>,
    usage: RefCell<Usage>,
    slots: RefCell<Slots>,
    cache: RefCell<Cache>,
    secrets: RefCell<BTreeMap<String, String>>,
    documents: Documents,
    /// What was emitted, by sink.
    sinks: RefCell<BTreeMap<String, Vec<String>>>,
    keys: Keys,
    calls: Calls,
    /// What the plugin promised.
    never_waits: Cell<bool>,
    /// Whether a hook has called what may differ from call to call.
    impure: Cell<bool>,
}

thread_local! {
    static CURRENT: RefCell<Rc<TestHost>> = RefCell::new(Rc::new(TestHost::new()));
}

/// The host that serves the calls of this thread.
pub(crate) fn current() -> Rc<TestHost> {
    CURRENT.with_borrow(Rc::clone)
}

/// The same, for a call whose result or effect is not the same each time: what the hook decides
/// cannot be made again without it.
pub(crate) fn reached() -> Rc<TestHost> {
    let host = current();
    host.impure.set(true);
    host
}

/// Lets a host serve the calls of this thread while `hook` runs.
pub(crate) fn serve<R>(host: &Rc<TestHost>, hook: impl FnOnce() -> R) -> R {
    struct Restore(Option<Rc<TestHost>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            if let Some(former) = self.0.take() {
                CURRENT.set(former);
            }
        }
    }
    let _restore = Restore(Some(CURRENT.replace(Rc::clone(host))));
    hook()
}

/// The lines of a field, in order.
pub(crate) fn lines(fields: &[Field], name: &str) -> Vec<Vec<u8>> {
    let lines = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
    lines.map(|field| field.value.clone()).collect()
}

impl TestHost {
    pub(crate) fn new() -> Self {
        Self {
            exchange: RefCell::default(),
            elapsed: Cell::new(0),
            epoch: Cell::new(EPOCH),
            log_level: Cell::new(Level::Trace),
            log: RefCell::default(),
            store: RefCell::default(),
            buckets: RefCell::default(),
            windows: RefCell::default(),
            limiter_unavailable: Cell::new(false),
            passwords_busy: Cell::new(false),
            metrics: RefCell::default(),
            ended: Cell::new(None),
            usage: RefCell::default(),
            slots: RefCell::default(),
            cache: RefCell::default(),
            secrets: RefCell::default(),
            documents: Documents::default(),
            sinks: RefCell::default(),
            keys: Keys::default(),
            calls: Calls::new(),
            never_waits: Cell::new(false),
            impure: Cell::new(false),
        }
    }

    /// Puts another exchange in place, and returns the former.
    pub(crate) fn swap(&self, exchange: ExchangeState) -> ExchangeState {
        self.exchange.replace(exchange)
    }

    pub(crate) fn request(&self) -> Ref<'_, RequestState> {
        Ref::map(self.exchange.borrow(), |exchange| &exchange.request)
    }

    pub(crate) fn response(&self) -> Ref<'_, Option<ResponseState>> {
        Ref::map(self.exchange.borrow(), |exchange| &exchange.response)
    }

    pub(crate) fn keep_context(&self, context: &[u8]) {
        self.exchange.borrow_mut().kept_context = Some(context.to_vec());
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        self.exchange.borrow().attributes.get(name).cloned()
    }

    pub(crate) fn set_attribute(&self, name: &str, value: &str) -> Result<(), AttributeError> {
        attributes::check(name, value)?;
        let attributes = &mut self.exchange.borrow_mut().attributes;
        let is_full = attributes.len() >= 128 && !attributes.contains_key(name);
        if is_full {
            return Err(AttributeError::TooLarge);
        }
        attributes.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    pub(crate) fn log_enabled(&self, level: Level) -> bool {
        level >= self.log_level.get()
    }

    pub(crate) fn set_log_level(&self, level: Level) {
        self.log_level.set(level);
    }

    pub(crate) fn log_write(&self, level: Level, message: &str) {
        if self.log_enabled(level) {
            let cut = message.floor_char_boundary(8 * 1024);
            let message = message[..cut].to_owned();
            self.log.borrow_mut().push(LogLine { level, message });
        }
    }

    pub(crate) fn log(&self) -> Vec<LogLine> {
        self.log.borrow().clone()
    }

    pub(crate) fn log_length(&self) -> usize {
        self.log.borrow().len()
    }

    pub(crate) fn now(&self) -> u64 {
        self.epoch.get() + self.elapsed.get()
    }

    pub(crate) fn set_now(&self, nanoseconds: u64) {
        self.epoch.set(nanoseconds.saturating_sub(self.elapsed.get()));
    }

    pub(crate) fn monotonic(&self) -> u64 {
        self.elapsed.get()
    }

    pub(crate) fn advance(&self, nanoseconds: u64) {
        self.elapsed.set(self.elapsed.get().saturating_add(nanoseconds));
    }

    pub(crate) fn take(&self, charges: &[Charge<'_>]) -> Result<Vec<Verdict>, LimiterError> {
        if self.limiter_unavailable.get() {
            return Err(LimiterError::Unavailable);
        }
        self.buckets.borrow_mut().take(charges, self.monotonic())
    }

    pub(crate) fn reserve(&self, quotas: &[Quota<'_>]) -> Result<Vec<Reservation>, LimiterError> {
        if self.limiter_unavailable.get() {
            return Err(LimiterError::Unavailable);
        }
        let (buckets, times) = (&mut *self.buckets.borrow_mut(), (self.monotonic(), self.now()));
        self.windows.borrow_mut().reserve(quotas, buckets, times)
    }

    pub(crate) fn settle(&self, settlements: &[Settlement<'_>]) -> Result<(), LimiterError> {
        if self.limiter_unavailable.get() {
            return Err(LimiterError::Unavailable);
        }
        let (buckets, times) = (&mut *self.buckets.borrow_mut(), (self.monotonic(), self.now()));
        self.windows.borrow_mut().settle(settlements, buckets, times)
    }

    pub(crate) fn set_limiter_unavailable(&self, is_unavailable: bool) {
        self.limiter_unavailable.set(is_unavailable);
    }

    pub(crate) fn verify_password(
        &self,
        hash: &str,
        password: &str,
    ) -> Result<bool, PasswordError> {
        assert!(!self.never_waits.get(), "a hook waits, and the interest said that none would");
        if self.passwords_busy.get() {
            return Err(PasswordError::Busy);
        }
        cryptography::verify_password(hash, password)
    }

    pub(crate) fn metrics(&self) -> RefMut<'_, Metrics> {
        self.metrics.borrow_mut()
    }

    /// Calls `on_complete` of an exchange that took so long.
    pub(crate) fn end(&self, duration: Duration, on_complete: impl FnOnce()) {
        self.ended.set(Some(duration));
        on_complete();
        self.ended.set(None);
    }

    /// How long the exchange took that ends.
    pub(crate) fn judges_end(&self) -> Duration {
        match self.ended.get() {
            Some(duration) => duration,
            None => panic!("the end of an exchange is recorded in `on_complete` only"),
        }
    }

    pub(crate) fn record_amount(&self, name: &str, amounts: u32, squares: u32) {
        self.judges_end();
        let added = self.usage_added().into_iter().find(|(known, _)| known == name);
        let mut metrics = self.metrics();
        if let Some((_, amount)) = added {
            metrics.observe(amounts, amount as f64);
            metrics.observe(squares, amount as f64 * amount as f64);
        }
    }

    pub(crate) fn record_end(&self, counters: &[u32], durations: &[u32], squares: &[u32]) {
        let duration = self.judges_end();
        let (mut metrics, seconds) = (self.metrics(), duration.as_secs_f64());
        counters.iter().for_each(|series| metrics.add(*series, 1));
        durations.iter().for_each(|series| metrics.observe(*series, seconds));
        squares.iter().for_each(|series| metrics.observe(*series, seconds * seconds));
    }

    pub(crate) fn add_usage(&self, name: &str, amount: i64) {
        let names = &mut self.exchange.borrow_mut().usage;
        self.usage.borrow_mut().add(name, amount, names);
    }

    pub(crate) fn usage_added(&self) -> Vec<(String, i64)> {
        self.exchange.borrow().usage.clone()
    }

    /// The sinks that were granted, each with what was emitted.
    pub(crate) fn sinks(&self) -> RefMut<'_, BTreeMap<String, Vec<String>>> {
        self.sinks.borrow_mut()
    }

    pub(crate) fn emit(&self, sink: &str, event: &[u8]) -> Result<(), EmitError> {
        let mut sinks = self.sinks();
        let sink = sinks.get_mut(sink).ok_or(EmitError::NotGranted)?;
        let text = std::str::from_utf8(event).map_err(|_| EmitError::Invalid)?;
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        if !is_json || text.len() > 64 << 10 {
            return Err(EmitError::Invalid);
        }
        sink.push(text.to_owned());
        Ok(())
    }

    pub(crate) fn usage(&self, name: &str) -> i64 {
        self.usage.borrow().sum(name)
    }

    pub(crate) fn take_slot(&self, key: &str, limit: u32) -> Result<Taken, SlotsError> {
        let is_valid = key.len() <= 1024 && limit > 0;
        let mut exchange = self.exchange.borrow_mut();
        let may_take = exchange.may_take_slots || exchange.held.is_some();
        slots::check(may_take, exchange.slots.len(), is_valid)?;
        let (is_taken, now) = self.slots().take(key, limit, self.monotonic());
        if is_taken {
            exchange.slots.push(key.to_owned());
            return Ok(Taken::Yes(now));
        }
        Ok(Taken::No(now))
    }

    pub(crate) fn give_slot_back(&self, key: &str) -> Result<(), SlotsError> {
        let mut exchange = self.exchange.borrow_mut();
        let may_take = exchange.may_take_slots || exchange.held.is_some();
        slots::check(may_take, exchange.slots.len(), key.len() <= 1024)?;
        match exchange.slots.iter().position(|held| held == key) {
            Some(own) => {
                exchange.slots.swap_remove(own);
                self.slots().give_back(key, self.monotonic());
            }
            None => exchange.given_back.push(key.to_owned()),
        }
        Ok(())
    }

    pub(crate) fn check_alike(
        &self,
        pieces: &[&[u8]],
        counted: u32,
        bytes: u32,
    ) -> Result<(), ChunksError> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let is_right = (2..=8).contains(&pieces.len())
            && length <= 4 << 10
            && !pieces[0].is_empty()
            && pieces[1..].iter().all(|piece| piece.first() == Some(&b'"'))
            && (counted as usize) < pieces.len() - 1
            && bytes <= 1 << 20;
        is_right.then_some(()).ok_or(ChunksError::Invalid)
    }

    pub(crate) fn keep_alive(
        &self,
        text: &[u8],
        every: Duration,
        ends: &[&[u8]],
    ) -> Result<(), KeepAliveError> {
        let mut exchange = self.exchange.borrow_mut();
        if !exchange.may_hold {
            return Err(KeepAliveError::NotHere);
        }
        let is_right = (1..=1 << 10).contains(&text.len())
            && (Duration::from_millis(100)..=Duration::from_hours(1)).contains(&every)
            && (1..=8).contains(&ends.len())
            && ends.iter().all(|end| (1..=16).contains(&end.len()));
        if !is_right {
            return Err(KeepAliveError::Invalid);
        }
        exchange.keep_alive = Some((text.to_vec(), every));
        Ok(())
    }

    pub(crate) fn drain_response(&self, bytes: u64, time: Duration) -> Result<(), DrainError> {
        let mut exchange = self.exchange.borrow_mut();
        if !exchange.may_take_slots && exchange.held.is_none() {
            return Err(DrainError::NotHere);
        }
        if bytes > 1 << 30 || time > Duration::from_mins(10) {
            return Err(DrainError::Invalid);
        }
        exchange.drain = Some((bytes, time)).filter(|_| bytes > 0 && !time.is_zero());
        Ok(())
    }

    pub(crate) fn queue_for_slot(
        &self,
        wait: &Wait<'_>,
        weight: u16,
        late: wire::Response,
    ) -> Result<Queued, SlotsError> {
        let mut exchange = self.exchange.borrow_mut();
        let is_here = exchange.may_take_slots && exchange.may_queue;
        let is_valid = slots::is_valid(wait) && weight > 0;
        slots::check(is_here, exchange.slots.len(), is_valid)?;
        let (is_taken, now) = self.slots().take(wait.key, wait.limit, self.monotonic());
        if is_taken {
            exchange.slots.push(wait.key.to_owned());
            return Ok(Queued::Taken(now));
        }
        if wait.queue == 0 {
            return Ok(Queued::Full(now));
        }
        exchange.late.get_or_insert(late);
        Ok(Queued::Waits(Occupancy { waiting: 1, ..now }))
    }

    pub(crate) fn received_body(&self) -> Option<Vec<u8>> {
        let exchange = self.exchange.borrow();
        exchange.received.clone().filter(|_| exchange.sent > 0)
    }

    pub(crate) fn attempts_sent(&self) -> u32 {
        self.exchange.borrow().sent
    }

    pub(crate) fn ask_for_attempt(&self, attempt: &Attempt) -> Result<(), AttemptsError> {
        let mut exchange = self.exchange.borrow_mut();
        match exchange.sent {
            0 => Err(AttemptsError::NotHere),
            8.. => Err(AttemptsError::TooMany),
            _ if attempt.wait > Duration::from_mins(1) => Err(AttemptsError::Invalid),
            _ => {
                exchange.attempt = Some(attempt.clone());
                Ok(())
            }
        }
    }

    pub(crate) fn hold_response(
        &self,
        bytes: u32,
        time: Duration,
    ) -> Result<(), HeldResponseError> {
        let mut exchange = self.exchange.borrow_mut();
        if !exchange.may_hold {
            return Err(HeldResponseError::NotHere);
        }
        let is_valid =
            (1..=1 << 20).contains(&bytes) && !time.is_zero() && time <= Duration::from_mins(10);
        if !is_valid {
            return Err(HeldResponseError::Invalid);
        }
        exchange.hold = Some(bytes);
        exchange.hold_time = time;
        Ok(())
    }

    pub(crate) fn call_when_late(&self) -> Result<(), HeldResponseError> {
        let mut exchange = self.exchange.borrow_mut();
        if !exchange.may_hold {
            return Err(HeldResponseError::NotHere);
        }
        exchange.calls_late = true;
        Ok(())
    }

    pub(crate) fn call_when_broken(&self) -> Result<(), HeldResponseError> {
        let mut exchange = self.exchange.borrow_mut();
        if !exchange.may_hold {
            return Err(HeldResponseError::NotHere);
        }
        exchange.calls_broken = true;
        Ok(())
    }

    pub(crate) fn bound_first_byte(&self, time: Duration) -> Result<(), AttemptsError> {
        let mut exchange = self.exchange.borrow_mut();
        // Where slots can be taken, an attempt can be bounded.
        if !exchange.may_take_slots && exchange.held.is_none() {
            return Err(AttemptsError::NotHere);
        }
        if time > Duration::from_mins(10) {
            return Err(AttemptsError::Invalid);
        }
        exchange.first_byte = Some(time).filter(|time| !time.is_zero());
        Ok(())
    }

    pub(crate) fn is_response_held(&self) -> bool {
        self.exchange.borrow().held.is_some()
    }

    pub(crate) fn release_response(&self) {
        let _not_held = self.of_held(|held| held.release = true);
    }

    pub(crate) fn change_held_head(&self, change: &HeadChange) -> Result<(), HeldResponseError> {
        self.of_held(|held| held.change = Some(change.clone()))
    }

    pub(crate) fn respond_instead(&self, answer: wire::Response) -> Result<(), HeldResponseError> {
        self.of_held(|held| held.answer = Some(answer))
    }

    fn of_held(&self, ask: impl FnOnce(&mut HeldState)) -> Result<(), HeldResponseError> {
        self.exchange.borrow_mut().held.as_mut().map(ask).ok_or(HeldResponseError::NotHere)
    }

    pub(crate) fn cache(&self) -> RefMut<'_, Cache> {
        self.cache.borrow_mut()
    }

    /// What the exchange has to do with the cache.
    pub(crate) fn cached(&self) -> RefMut<'_, OfExchange> {
        RefMut::map(self.exchange.borrow_mut(), |exchange| &mut exchange.cache)
    }

    pub(crate) fn cache_lookup(&self, key: &[u8]) -> Vec<Entry> {
        self.cache().lookup(key, self.monotonic(), &mut self.cached())
    }

    pub(crate) fn cache_collapse(&self) -> Result<Collapsed, CacheError> {
        self.cache().collapse(&mut self.cached(), self.monotonic())
    }

    pub(crate) fn cache_freshen(
        &self,
        entry: u64,
        freshening: &Freshening,
    ) -> Result<Entry, CacheError> {
        self.cache().freshen(&mut self.cached(), entry, freshening, self.monotonic())
    }

    pub(crate) fn slots(&self) -> RefMut<'_, Slots> {
        self.slots.borrow_mut()
    }

    pub(crate) fn secret(&self, name: &str) -> Option<String> {
        self.secrets.borrow().get(name).cloned()
    }

    pub(crate) fn set_secret(&self, name: String, value: String) {
        self.secrets.borrow_mut().insert(name, value);
    }

    pub(crate) fn documents(&self) -> &Documents {
        &self.documents
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn refresh_document(&self, name: &str) -> Refreshed {
        assert!(!self.never_waits.get(), "a hook waits, and the interest said that none would");
        self.documents.refresh(name)
    }

    pub(crate) fn calls(&self) -> &Calls {
        &self.calls
    }

    pub(crate) fn send(&self, request: Request) -> Result<Response, HttpError> {
        assert!(!self.never_waits.get(), "a hook waits, and the interest said that none would");
        self.calls.send(request)
    }

    pub(crate) fn set_never_waits(&self, never: bool) {
        self.never_waits.set(never);
    }

    /// Whether anything was called since the last question that may differ from call to call.
    pub(crate) fn take_reached_out(&self) -> bool {
        self.impure.take()
    }

    pub(crate) fn set_passwords_busy(&self, are_busy: bool) {
        self.passwords_busy.set(are_busy);
    }

    pub(crate) fn store(&self) -> RefMut<'_, Store> {
        let mut store = self.store.borrow_mut();
        store.expire(self.monotonic());
        store
    }
}
