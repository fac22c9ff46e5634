//! One name of an upstream: what was found last, and what became of asking.
//!
//! Owns that the last good answer stays while there is none, when it is asked for again, and the one line in the log for
//! each change. Asks nobody.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::look_up::{Failed, Found};
use super::{Changes, lock};
use crate::config::{Dns, Origin, Resolver, Target, Upstream};

/// How soon a name is asked for again at the earliest, since a request could not connect.
const SOON: Duration = Duration::from_secs(1);

/// In so many answers one after the other an address is missing until connections to it are closed. A name with many
/// addresses may say another few of them each time.
const MISSING: u32 = 3;

/// See the module.
#[derive(Debug)]
pub(crate) struct Name {
    upstream: Box<str>,
    host: Box<str>,
    is_srv: bool,
    dns: Dns,
    state: Mutex<State>,
    changes: Arc<Changes>,
    /// It was asked for once.
    tried: Notify,
    /// To ask now, or to see whether it is over.
    wake: Notify,
    is_over: AtomicBool,
    /// The log has nothing of it.
    is_quiet: bool,
}

#[derive(Debug, Default)]
struct State {
    answer: Option<Answer>,
    /// When that was said.
    at: Option<Instant>,
    ttl: Duration,
    asked: Option<Instant>,
    /// Addresses of before, and in how many answers they have been missing.
    missing: Vec<(IpAddr, u32)>,
    /// Why there was no answer, if there was none last time.
    error: Option<String>,
    counts: [u64; 2],
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Addresses(Arc<[IpAddr]>),
    Services(Arc<[Service]>),
}

/// A record of the type SRV.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Service {
    pub(super) priority: u16,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) weight: u16,
}

/// A name, for whoever asks.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) resolver: &'static str,
    pub(crate) is_srv: bool,
    /// What it stands for, as text.
    pub(crate) answer: Vec<String>,
    /// How old that is.
    pub(crate) age: Option<Duration>,
    /// For how long it holds.
    pub(crate) ttl: Option<Duration>,
    /// Look-ups that found something, and that did not.
    pub(crate) counts: [u64; 2],
    pub(crate) error: Option<String>,
}

impl Name {
    pub(super) fn new(upstream: &Upstream, target: &Target, changes: Arc<Changes>) -> Self {
        Self {
            upstream: upstream.name.as_str().into(),
            host: target.host.as_str().into(),
            is_srv: target.is_srv(),
            dns: dns_of(upstream, target),
            state: Mutex::default(),
            changes,
            tried: Notify::new(),
            wake: Notify::new(),
            is_over: AtomicBool::new(false),
            is_quiet: false,
        }
    }

    pub(super) fn quiet(self) -> Self {
        Self { is_quiet: true, ..self }
    }

    pub(super) fn is_of(&self, upstream: &Upstream, target: &Target) -> bool {
        *self.upstream == *upstream.name
            && *self.host == *target.host
            && self.is_srv == target.is_srv()
            && self.dns == dns_of(upstream, target)
            && target.address().is_none()
    }

    /// Its upstream's, and its own.
    pub(crate) fn names(&self) -> (&str, &str) {
        (&self.upstream, &self.host)
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn is_srv(&self) -> bool {
        self.is_srv
    }

    pub(super) fn dns(&self) -> &Dns {
        &self.dns
    }

    /// Whether the targets of its upstream follow from what it stands for.
    fn is_followed(&self) -> bool {
        self.is_srv || self.dns.is_each
    }

    pub(super) fn answer(&self) -> Option<Answer> {
        lock(&self.state).answer.clone()
    }

    /// Its addresses, in the order in which they are to be tried. Waits for the first look-up alone.
    ///
    /// # Errors
    /// Why there are none.
    pub(crate) async fn addresses(&self) -> Result<Arc<[IpAddr]>, String> {
        loop {
            let tried = self.tried.notified();
            match self.known() {
                Some(known) => return known.inspect_err(|_| self.ask_again()),
                None => tried.await,
            }
        }
    }

    /// `None` while nobody knows.
    fn known(&self) -> Option<Result<Arc<[IpAddr]>, String>> {
        let state = lock(&self.state);
        match &state.answer {
            Some(Answer::Addresses(addresses)) => Some(Ok(Arc::clone(addresses))),
            // Those are targets, as soon as the configuration has them.
            Some(Answer::Services(_)) => Some(Err("its services are not in force yet".to_owned())),
            None => state.error.clone().map(Err),
        }
    }

    /// Whether connections to this address may be kept.
    pub(crate) fn stays(&self, address: IpAddr) -> bool {
        let state = lock(&self.state);
        match &state.answer {
            Some(Answer::Addresses(known)) if !known.contains(&address) => {
                let missing = state.missing.iter().find(|(known, _)| *known == address);
                missing.is_some_and(|(_, times)| *times < MISSING)
            }
            _ => true,
        }
    }

    /// No address could be connected to: they may be others by now.
    pub(crate) fn ask_again(&self) {
        let is_old = lock(&self.state).asked.is_none_or(|asked| asked.elapsed() >= SOON);
        if is_old {
            self.wake.notify_one();
        }
    }

    pub(super) fn was_tried(&self) -> bool {
        let state = lock(&self.state);
        state.answer.is_some() || state.error.is_some()
    }

    pub(super) fn end(&self) {
        self.is_over.store(true, Relaxed);
        self.wake.notify_one();
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    pub(super) async fn pause(&self, wait: Duration) {
        let _time_is_over = tokio::time::timeout(wait, self.wake.notified()).await;
    }

    /// Takes the result of a look-up, and returns when to ask again.
    pub(super) fn takes(&self, found: Result<Found, Failed>) -> Duration {
        let mut state = lock(&self.state);
        state.asked = Some(Instant::now());
        let (wait, has_changed) = match found {
            Ok(Found { answer, ttl }) => {
                let wait = match ttl {
                    Some(ttl) => ttl.max(self.dns.min_ttl).min(self.dns.max_ttl),
                    None => self.dns.interval,
                };
                (wait, self.is_found(&mut state, answer, wait))
            }
            Err(Failed { reason, ttl }) => {
                self.is_not_found(&mut state, reason);
                let most = self.dns.negative_ttl;
                (ttl.map_or(most, |ttl| ttl.max(self.dns.min_ttl).min(most)), false)
            }
        };
        drop(state);
        self.tried.notify_waiters();
        if has_changed && self.is_followed() {
            self.changes.tell();
        }
        wait
    }

    fn is_found(&self, state: &mut State, answer: Answer, ttl: Duration) -> bool {
        let (upstream, name) = (&*self.upstream, &*self.host);
        let had_error = state.error.take().is_some();
        let before = state.answer.replace(answer);
        (state.at, state.ttl) = (Some(Instant::now()), ttl);
        state.counts[0] += 1;
        let now = texts(state.answer.as_ref());
        let before_texts = texts(before.as_ref());
        self.notes_missing(state, before.as_ref());
        let has_changed = !same(&before_texts, &now);
        match before {
            _ if self.is_quiet => {}
            _ if had_error && !has_changed => {
                tracing::info!(upstream, name, "the name can be looked up again");
            }
            None if had_error => {
                tracing::info!(
                    upstream,
                    name,
                    now = now.join(" "),
                    "the name can be looked up now"
                );
            }
            Some(_) if has_changed => {
                let gone: Vec<_> = before_texts.iter().filter(|it| !now.contains(it)).collect();
                let new: Vec<_> = now.iter().filter(|it| !before_texts.contains(it)).collect();
                let (gone, new) = (list(&gone), list(&new));
                tracing::info!(upstream, name, new, gone, "what the name stands for has changed");
            }
            _ => {}
        }
        has_changed
    }

    fn notes_missing(&self, state: &mut State, before: Option<&Answer>) {
        let Some(Answer::Addresses(now)) = state.answer.clone() else { return };
        if let Some(Answer::Addresses(before)) = before {
            for address in before.iter() {
                if state.missing.iter().all(|(known, _)| known != address) {
                    state.missing.push((*address, 0));
                }
            }
        }
        state.missing.retain_mut(|(address, times)| {
            *times += 1;
            !now.contains(address) && *times <= MISSING
        });
    }

    fn is_not_found(&self, state: &mut State, reason: String) {
        let (upstream, name, cause) = (&*self.upstream, &*self.host, &reason);
        state.counts[1] += 1;
        if state.error.is_none() && !self.is_quiet {
            match state.answer {
                Some(_) => {
                    tracing::warn!(
                        upstream,
                        name,
                        cause,
                        "a name cannot be looked up: what was found last is used"
                    );
                }
                None => tracing::warn!(upstream, name, cause, "a name cannot be looked up"),
            }
        }
        state.error = Some(reason);
    }

    /// It, for the admin API and metrics.
    pub(crate) fn show(&self) -> Shown {
        let state = lock(&self.state);
        Shown {
            resolver: match self.dns.resolver {
                Resolver::System => "system",
                Resolver::Dns => "dns",
            },
            is_srv: self.is_srv,
            answer: texts(state.answer.as_ref()),
            age: state.at.map(|at| at.elapsed()),
            ttl: state.at.map(|_| state.ttl),
            counts: state.counts,
            error: state.error.clone(),
        }
    }
}

/// How it is asked for: what SRV records name is what DNS knows.
fn dns_of(upstream: &Upstream, target: &Target) -> Dns {
    let resolver = match target.origin {
        Origin::Srv | Origin::Service { .. } => Resolver::Dns,
        Origin::Url | Origin::Address { .. } => upstream.dns.resolver,
    };
    Dns { resolver, ..upstream.dns.clone() }
}

/// The order of an answer says nothing.
fn same(one: &[String], other: &[String]) -> bool {
    one.len() == other.len() && one.iter().all(|text| other.contains(text))
}

/// At most a few, for a line of the log.
fn list(texts: &[&String]) -> String {
    const MOST: usize = 20;
    let shown: Vec<_> = texts.iter().take(MOST).map(|text| text.as_str()).collect();
    let more = texts.len().saturating_sub(MOST);
    let and = if more > 0 { format!(" and {more} more") } else { String::new() };
    shown.join(" ") + &and
}

fn texts(answer: Option<&Answer>) -> Vec<String> {
    match answer {
        Some(Answer::Addresses(addresses)) => addresses.iter().map(ToString::to_string).collect(),
        Some(Answer::Services(services)) => services
            .iter()
            .map(|it| {
                let Service { host, port, priority, weight } = it;
                format!("{host}:{port} priority={priority} weight={weight}")
            })
            .collect(),
        None => Vec::new(),
    }
}
