//! What is counted about documents.
//!
//! Owns the numbers of each document. Must not know where documents come from.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::Kind;
use super::text::{head, line};

/// The numbers of one document.
#[derive(Debug)]
pub(crate) struct DocumentCounts {
    name: Box<str>,
    version: AtomicU64,
    bytes: AtomicU64,
    /// Fetches by what came of them: see [`RESULTS`].
    fetches: [AtomicU64; RESULTS.len()],
    /// When it was last known to be what its source has.
    confirmed: Mutex<Option<Instant>>,
}

const RESULTS: [&str; 3] = ["new", "unchanged", "failed"];

impl DocumentCounts {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            version: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            fetches: Default::default(),
            confirmed: Mutex::default(),
        }
    }

    /// There is a new version of so many bytes.
    pub(crate) fn has(&self, version: u64, bytes: usize) {
        self.version.store(version, Relaxed);
        self.bytes.store(bytes as u64, Relaxed);
    }

    /// A fetch found what its source has.
    pub(crate) fn confirmed(&self, is_new: bool) {
        self.fetches[usize::from(!is_new)].fetch_add(1, Relaxed);
        *self.confirmed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// A fetch failed.
    pub(crate) fn failed(&self) {
        self.fetches[2].fetch_add(1, Relaxed);
    }

    fn age(&self) -> Option<f64> {
        let confirmed = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        confirmed.map(|at| at.elapsed().as_secs_f64())
    }
}

/// The numbers of all documents.
#[derive(Debug, Default)]
pub(super) struct Documents(Mutex<Vec<Arc<DocumentCounts>>>);

impl Documents {
    /// Those of the document of this name.
    pub(super) fn of(&self, name: &str) -> Arc<DocumentCounts> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.iter().find(|known| *known.name == *name) {
            return Arc::clone(known);
        }
        let new = Arc::new(DocumentCounts::new(name));
        all.push(Arc::clone(&new));
        new
    }

    /// Forgets the documents that are not configured any more.
    pub(super) fn keep(&self, names: &[&str]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| names.contains(&&*known.name));
    }

    pub(super) fn write(&self, page: &mut String) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return;
        }
        let name = "gateway_document_age_seconds";
        let help = "How long ago a document was last known to be what its source has.";
        head(page, name, Kind::Gauge, help);
        for document in &*all {
            if let Some(age) = document.age() {
                line(page, name, &[("document", &*document.name)], age);
            }
        }
        let name = "gateway_document_version";
        let help = "Versions of a document since the gateway began; 0 while there is none.";
        head(page, name, Kind::Gauge, help);
        for document in &*all {
            line(page, name, &[("document", &*document.name)], document.version.load(Relaxed));
        }
        let name = "gateway_document_bytes";
        head(page, name, Kind::Gauge, "Bytes of a document.");
        for document in &*all {
            line(page, name, &[("document", &*document.name)], document.bytes.load(Relaxed));
        }
        let name = "gateway_document_fetches_total";
        head(page, name, Kind::Counter, "Fetches of a document, by what came of them.");
        for document in &*all {
            for (result, count) in RESULTS.iter().zip(&document.fetches) {
                let labels = [("document", &*document.name), ("result", *result)];
                line(page, name, &labels, count.load(Relaxed));
            }
        }
    }
}
