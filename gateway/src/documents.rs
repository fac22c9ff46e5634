//! Documents: files and remote texts that plugins read, kept current in the background.
//!
//! Owns which documents there are: one of each definition, shared by all workers and plugins, for as
//! long as a configuration has it. A reload that leaves a definition as it was leaves its document as
//! it was. One thread of its own looks after all of them (`refresh`), so that no worker waits and no
//! document is fetched once a worker. Must not know plugins, nor what a document says.

mod document;
mod error;
mod fetch;
mod file;
mod freshness;
mod gate;
mod refresh;
mod report;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::config::{self, Diagnostics};
use crate::telemetry::metrics::Metrics;

pub(crate) use document::{Content, Document, Refreshed};
pub(crate) use report::Fault;

/// How long the first fetches of new documents may hold up a configuration that has them.
const FIRST: Duration = Duration::from_secs(10);
/// How often it is looked whether they have ended.
const LOOK: Duration = Duration::from_millis(5);
/// Faults of one document that are told outside of the log.
const MAX_TOLD: usize = 100;

/// The documents of the process.
#[derive(Debug)]
pub(crate) struct Documents {
    known: Mutex<Vec<Arc<Document>>>,
    /// The thread that looks after them, once it runs.
    thread: Mutex<Option<mpsc::UnboundedSender<Arc<Document>>>>,
    /// Whether the log tells nothing of new ones.
    is_silent: AtomicBool,
    metrics: Arc<Metrics>,
}

impl Documents {
    /// None yet, and nobody looks after any.
    pub(crate) fn new(metrics: &Arc<Metrics>) -> Self {
        let (known, thread) = (Mutex::default(), Mutex::default());
        Self { known, thread, is_silent: AtomicBool::default(), metrics: Arc::clone(metrics) }
    }

    /// They are there to be checked: what plugins find wrong in them is asked for with [`told`](Self::told), and not logged.
    pub(crate) fn are_checked(&self) {
        self.is_silent.store(true, Ordering::Relaxed);
    }

    /// What plugins have found wrong in documents, in the order of their names.
    pub(crate) fn told(&self) -> Vec<Diagnostics> {
        let all = self.all();
        all.iter().map(|it| it.told()).filter(|findings| !findings.is_empty()).collect()
    }

    /// The document of a definition: the one that is there, or a new one. A new file is read at once.
    pub(crate) fn of(&self, definition: &Arc<config::Document>) -> Arc<Document> {
        let mut known = lock(&self.known);
        if let Some(same) = known.iter().find(|it| it.definition() == &**definition) {
            return Arc::clone(same);
        }
        let counts = self.metrics.of_document(&definition.name);
        let is_logged = !self.is_silent.load(Ordering::Relaxed);
        let new = Document::new(Arc::clone(definition), is_logged, counts);
        // How often it is fetched may change while its source is away.
        let same_place = known.iter().rev().find(|it| it.is_of_the_place_of(&new));
        same_place.inspect(|same| new.begin_with(same));
        let new = Arc::new(new);
        known.push(Arc::clone(&new));
        drop(known);
        new.read_at_once();
        if let Some(thread) = &*lock(&self.thread) {
            let _ended = thread.send(Arc::clone(&new));
        }
        new
    }

    /// Whether there is what a document says, whatever has become of its source.
    pub(crate) fn has(&self, definition: &config::Document) -> bool {
        let is_it = |known: &Arc<Document>| {
            let of = known.definition();
            of.name == definition.name && of.source == definition.source && known.version() > 0
        };
        lock(&self.known).iter().any(is_it)
    }

    /// Begins to look after them, on a thread that ends with [`finish`](Self::finish).
    pub(crate) fn begin(&self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let names = Arc::clone(&self.metrics.names);
        let look_after = move || refresh::run(receiver, &names);
        if let Err(error) = thread::Builder::new().name("documents".into()).spawn(look_after) {
            tracing::error!(%error, "documents are not fetched");
            return;
        }
        for document in &*lock(&self.known) {
            let _ended = sender.send(Arc::clone(document));
        }
        *lock(&self.thread) = Some(sender);
    }

    /// The documents of a configuration are these, and no others.
    pub(crate) fn keep(&self, config: &config::Config) {
        for document in &config.documents {
            self.of(document);
        }
        let is_kept = |document: &Arc<Document>| {
            config.documents.iter().any(|definition| **definition == *document.definition())
        };
        lock(&self.known).retain(|document| {
            let is_kept = is_kept(document);
            if !is_kept {
                document.end();
            }
            is_kept
        });
        // A document of the same name that comes from elsewhere counts on.
        let names: Vec<_> = config.documents.iter().map(|it| it.name.as_str()).collect();
        self.metrics.keep_documents(&names);
    }

    /// Ends looking after them.
    pub(crate) fn finish(&self) {
        lock(&self.thread).take();
        lock(&self.known).iter().for_each(|document| document.end());
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Document>> {
        let mut all = lock(&self.known).clone();
        all.sort_by(|one, other| one.definition().name.cmp(&other.definition().name));
        all
    }

    /// Waits until each was fetched, or could not be, or [`FIRST`] is over: plugins of a configuration
    /// that is put in force then find what they ask for. Not on a thread of a worker.
    pub(crate) fn wait_for_first(&self) {
        let until = Instant::now() + FIRST;
        let is_running = lock(&self.thread).is_some();
        while is_running && Instant::now() < until {
            if lock(&self.known).iter().all(|document| document.was_tried()) {
                return;
            }
            thread::sleep(LOOK);
        }
    }

    /// As [`wait_for_first`](Self::wait_for_first), without holding up a thread.
    pub(crate) async fn first(&self) {
        let until = Instant::now() + FIRST;
        while !lock(&self.known).iter().all(|document| document.was_tried()) {
            if Instant::now() >= until || lock(&self.thread).is_none() {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
