//! One document as all workers see it.
//!
//! Owns the current content and its version, how it stands with fetching, and who waits for a fetch.
//! Reading the version is a load of one number. Must not fetch.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::sync::{Notify, watch};

use super::error::FetchError;
use super::gate::{Asked, Gate};
use super::report::{Fault, Report, told};
use super::{MAX_TOLD, file};
use crate::config::{self, Diagnostics, DocumentSource};
use crate::telemetry::metrics::DocumentCounts;

/// A document.
#[derive(Debug)]
pub(crate) struct Document {
    definition: Arc<config::Document>,
    /// 0 while there is none; counts on with each new content.
    version: AtomicU64,
    state: Mutex<State>,
    gate: Mutex<Gate>,
    /// Fetches that have ended.
    ended: watch::Sender<u64>,
    /// Wakes who looks after it.
    pub(super) wake: Notify,
    /// Whether somebody looks after it.
    is_attended: AtomicBool,
    is_over: AtomicBool,
    /// Whether the log tells what becomes of it.
    is_logged: bool,
    pub(super) counts: Arc<DocumentCounts>,
}

#[derive(Debug, Default)]
struct State {
    content: Option<Content>,
    /// What plugins have found right, by their names.
    accepted: Vec<(Box<str>, Content)>,
    /// What plugins have found wrong: of each the last.
    reports: Vec<Report>,
    /// When it was last known to be what its source has.
    confirmed: Option<Instant>,
    /// When its content came.
    changed: Option<SystemTime>,
    /// Why the last fetch failed, if it did.
    failure: Option<String>,
    /// When it is fetched next.
    next: Option<Instant>,
}

/// What a document says, and which version of it that is.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) version: u64,
    pub(crate) bytes: Bytes,
    /// How long ago it was last known to be what its source has.
    pub(crate) age: Duration,
}

/// What came of asking for a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refreshed {
    /// There is a new version.
    Changed,
    /// It was fetched, and is what it was.
    Unchanged,
    /// It could not be fetched.
    Failed,
    /// It was asked for too short a time ago.
    TooSoon,
    /// The time to wait is over, and the fetch goes on.
    Pending,
}

/// How a document stands, for people.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) version: u64,
    pub(crate) bytes: Option<usize>,
    pub(crate) age: Option<Duration>,
    pub(crate) changed: Option<SystemTime>,
    pub(crate) next: Option<Duration>,
    pub(crate) failure: Option<String>,
}

impl Document {
    pub(super) fn new(
        definition: Arc<config::Document>,
        is_logged: bool,
        counts: Arc<DocumentCounts>,
    ) -> Self {
        Self {
            definition,
            version: AtomicU64::new(0),
            state: Mutex::default(),
            gate: Mutex::default(),
            ended: watch::Sender::new(0),
            wake: Notify::new(),
            is_attended: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            is_logged,
            counts,
        }
    }

    /// Whether the other one has this name, and comes from the same place.
    pub(super) fn is_of_the_place_of(&self, other: &Self) -> bool {
        let (one, other) = (self.definition(), other.definition());
        let is_same = match (&one.source, &other.source) {
            (DocumentSource::File(one), DocumentSource::File(other)) => one == other,
            (DocumentSource::Remote(one), DocumentSource::Remote(other)) => {
                (&one.upstream, &one.path, &one.headers, &one.follow)
                    == (&other.upstream, &other.path, &other.headers, &other.follow)
            }
            (DocumentSource::File(_), DocumentSource::Remote(_))
            | (DocumentSource::Remote(_), DocumentSource::File(_)) => false,
        };
        is_same && one.name == other.name
    }

    /// Begins with what the other one has, unless that is too long for this one.
    pub(super) fn begin_with(&self, other: &Self) {
        let from = other.state();
        let content = from.content.as_ref();
        if let Some(content) = content.filter(|it| it.bytes.len() <= self.definition.size) {
            let mut state = self.state();
            state.content = Some(content.clone());
            state.accepted.clone_from(&from.accepted);
            state.reports.clone_from(&from.reports);
            (state.confirmed, state.changed) = (from.confirmed, from.changed);
            self.version.store(content.version, Ordering::Release);
        }
    }

    /// What the configuration says of it.
    pub(crate) fn definition(&self) -> &config::Document {
        &self.definition
    }

    /// The version of the current content; 0 while there is none.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// A plugin has found this version right.
    pub(crate) fn accept(&self, plugin: &str, version: u64) {
        let state = &mut *self.state();
        let Some(content) = state.content.as_ref().filter(|it| it.version == version) else {
            return;
        };
        state.reports.retain(|report| *report.plugin != *plugin || report.version >= version);
        match state.accepted.iter_mut().find(|(name, _)| **name == *plugin) {
            Some((_, accepted)) => accepted.clone_from(content),
            None => state.accepted.push((plugin.into(), content.clone())),
        }
    }

    /// What a plugin has found right last.
    pub(crate) fn accepted(&self, plugin: &str) -> Option<Content> {
        let state = self.state();
        let found = state.accepted.iter().find(|(name, _)| **name == *plugin);
        found.map(|(_, content)| content.clone())
    }

    /// A plugin has found faults in this version. Each of its instances does; they are told once.
    pub(crate) fn report(&self, plugin: &str, version: u64, is_refused: bool, faults: Vec<Fault>) {
        let mut state = self.state();
        let accepted = state.accepted.iter().find(|(name, _)| **name == *plugin);
        let has_earlier = accepted.is_some();
        let known = state.content.iter().chain(accepted.map(|(_, content)| content));
        let content = known.into_iter().find(|content| content.version == version);
        let Some(bytes) = content.map(|content| content.bytes.clone()) else { return };
        let report =
            Report { plugin: plugin.into(), version, is_refused, faults: faults.into(), bytes };
        let is_known = |known: &Report| known.version > version || known.is_same(&report);
        if state.reports.iter().any(|known| *known.plugin == *plugin && is_known(known)) {
            return;
        }
        state.reports.retain(|known| *known.plugin != *plugin);
        let before = state.reports.iter().find(|known| known.is_same(&report));
        let before = before.map(|known| known.plugin.clone());
        state.reports.push(report.clone());
        drop(state);
        if self.is_logged {
            report.log(&self.definition, before.as_deref(), has_earlier);
        }
    }

    /// What plugins have found wrong in the current content.
    pub(crate) fn told(&self) -> Diagnostics {
        let version = self.version();
        let reports = self.state().reports.clone();
        let current: Vec<_> = reports.into_iter().filter(|it| it.version == version).collect();
        told(&self.definition, &current, MAX_TOLD)
    }

    /// Reads a file before anybody looks after it, so that plugins which are loaded now find it.
    pub(super) fn read_at_once(&self) {
        let DocumentSource::File(path) = &self.definition.source else { return };
        self.begins();
        match file::read(path, self.definition.size, None) {
            Ok((bytes, _)) => _ = self.has(bytes),
            Err(error) => self.lacks(&error),
        }
    }

    /// The current content.
    pub(crate) fn content(&self) -> Option<Content> {
        let state = self.state();
        let mut content = state.content.clone()?;
        content.age = state.confirmed.map_or(Duration::ZERO, |at| at.elapsed());
        Some(content)
    }

    /// How it stands.
    pub(crate) fn shown(&self) -> Shown {
        let state = self.state();
        Shown {
            version: self.version(),
            bytes: state.content.as_ref().map(|content| content.bytes.len()),
            age: state.confirmed.map(|at| at.elapsed()),
            changed: state.changed,
            next: state.next.map(|at| at.saturating_duration_since(Instant::now())),
            failure: state.failure.clone(),
        }
    }

    /// Asks for a fetch, and waits for it for so long. All that ask meanwhile wait for the same one, and
    /// after one that brought nothing new there is none for `min_refresh`: what strangers make plugins
    /// ask for costs one fetch.
    pub(crate) async fn refresh(&self, wait: Duration) -> Refreshed {
        if !self.is_attended.load(Ordering::Acquire) {
            return Refreshed::Failed;
        }
        let before = self.version();
        let fetch = match self.gate().ask(Instant::now()) {
            // The last one that was asked for told nothing, or that there is nothing new.
            Asked::TooSoon if self.state().failure.is_some() => return Refreshed::Failed,
            Asked::TooSoon => return Refreshed::TooSoon,
            Asked::Join(fetch) => fetch,
            Asked::Begin(fetch) => {
                self.wake.notify_one();
                fetch
            }
        };
        let mut ended = self.ended.subscribe();
        let is_new = |this: &Self| this.version() != before;
        let waited = async {
            // A fetch that was under way already may bring it too.
            let over = ended.wait_for(|ended| *ended >= fetch || is_new(self));
            over.await.is_ok()
        };
        match tokio::time::timeout(wait, waited).await {
            _ if is_new(self) => Refreshed::Changed,
            Ok(true) if self.state().failure.is_none() => Refreshed::Unchanged,
            Ok(_) => Refreshed::Failed,
            Err(_) => Refreshed::Pending,
        }
    }

    /// Somebody looks after it from now on.
    pub(super) fn is_attended(&self) {
        self.is_attended.store(true, Ordering::Release);
    }

    /// Nobody shall look after it any more.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Whether a fetch of it has ended, in whatever way.
    pub(super) fn was_tried(&self) -> bool {
        *self.ended.borrow() > 0
    }

    /// A fetch begins.
    pub(super) fn begins(&self) {
        self.gate().begins();
    }

    /// Whether somebody asked for a fetch that has not begun.
    pub(super) fn is_asked_for(&self) -> bool {
        self.gate().is_asked_for()
    }

    /// The fetch that began has ended, and its source has this. Returns whether that is new.
    pub(super) fn has(&self, bytes: Option<Bytes>) -> bool {
        let mut state = self.state();
        let is_same = |content: &Content| bytes.as_ref().is_none_or(|new| content.bytes == *new);
        let is_new = !state.content.as_ref().is_some_and(is_same);
        let is_blank = |bytes: &Bytes| bytes.trim_ascii().is_empty();
        let before = state.content.as_ref().filter(|it| !is_blank(&it.bytes));
        let before = before.map(|content| content.bytes.len());
        let is_emptied = before.filter(|_| bytes.as_ref().is_some_and(is_blank));
        if let (true, Some(bytes)) = (is_new, bytes) {
            let version = self.version() + 1;
            self.counts.has(version, bytes.len());
            state.content = Some(Content { version, bytes, age: Duration::ZERO });
            state.changed = Some(SystemTime::now());
            // Under the lock, so that who sees the version finds the content.
            self.version.store(version, Ordering::Release);
        }
        state.confirmed = Some(Instant::now());
        self.counts.confirmed(is_new);
        let failed_before = state.failure.take().is_some();
        drop(state);
        match (is_new, self.version()) {
            _ if !self.is_logged => {}
            // Perhaps somebody wanted that. A list that was cut off on its way looks no different.
            (true, version) if is_emptied.is_some() => tracing::warn!(
                document = self.name(),
                version,
                "the document changed, and is empty: before it had {} bytes",
                is_emptied.unwrap_or_default()
            ),
            (true, 1) => tracing::info!(document = self.name(), "the document is there"),
            (true, version) => {
                tracing::info!(document = self.name(), version, "the document changed")
            }
            (false, _) if failed_before => {
                tracing::info!(document = self.name(), "the document can be had again");
            }
            (false, _) => {}
        }
        self.ends(is_new);
        is_new
    }

    /// The fetch that began has failed: what was there stays.
    pub(super) fn lacks(&self, error: &FetchError) {
        let failure = error.to_string();
        let is_first = self.state().failure.replace(failure.clone()).is_none();
        self.counts.failed();
        if is_first && self.is_logged {
            let (document, kept) = (self.name(), self.version());
            let what = if kept > 0 { "the last one is kept" } else { "there is none yet" };
            tracing::warn!(
                document,
                version = kept,
                "the document cannot be had, {what}: {failure}"
            );
        }
        self.ends(false);
    }

    /// When it is fetched next.
    pub(super) fn next(&self, at: Instant) {
        self.state().next = Some(at);
    }

    fn ends(&self, is_new: bool) {
        let pause = match &self.definition.source {
            DocumentSource::Remote(remote) => remote.min_refresh,
            // To look at a file costs next to nothing.
            DocumentSource::File(_) => Duration::from_secs(1),
        };
        let ended = self.gate().ends(Instant::now(), is_new, pause);
        self.ended.send_replace(ended);
    }

    fn name(&self) -> &str {
        &self.definition.name
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
