//! The one thread that looks after all documents.
//!
//! Owns when a document is fetched: by its time, or when somebody asks. One task a document, so that a
//! server which does not answer holds up no other. A fetch that fails leaves the last content in force
//! and is tried again, each time later.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::document::Document;
use super::error::FetchError;
use super::fetch::{Fetched, Source};
use super::{file, freshness};
use crate::config::{DocumentSource, RemoteDocument};
use crate::names::Names;
use crate::tcp::run_flusher;
use crate::timer::Timers;

/// How often a file is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Looks after the documents that come, until nobody sends any more.
pub(super) fn run(mut documents: mpsc::UnboundedReceiver<Arc<Document>>, names: &Arc<Names>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "documents are not fetched"),
    };
    LocalSet::new().block_on(&runtime, async {
        // Connections to upstreams write through it.
        tokio::task::spawn_local(run_flusher());
        let timers = Timers::new();
        while let Some(document) = documents.recv().await {
            document.is_attended();
            tokio::task::spawn_local(look_after(document, Arc::clone(names), timers.clone()));
        }
    });
    runtime.shutdown_background();
}

async fn look_after(document: Arc<Document>, names: Arc<Names>, timers: Timers) {
    match &document.definition().source {
        DocumentSource::File(path) => {
            let mut known = None;
            while !document.is_over() {
                document.begins();
                let (path, limit) = (path.clone(), document.definition().size);
                let read = tokio::task::spawn_blocking(move || file::read(&path, limit, known));
                match read.await {
                    Ok(Ok((bytes, mark))) => {
                        known = Some(mark);
                        document.has(bytes);
                    }
                    Ok(Err(error)) => document.lacks(&error),
                    Err(_) => document.lacks(&FetchError::NotAFile),
                }
                pause(&document, LOOK).await;
            }
        }
        DocumentSource::Remote(remote) => {
            fetch_again_and_again(&document, remote, &names, &timers).await;
        }
    }
}

async fn fetch_again_and_again(
    document: &Document,
    remote: &RemoteDocument,
    names: &Names,
    timers: &Timers,
) {
    let (mut source, mut failures) = (None, 0);
    while !document.is_over() {
        document.begins();
        let fetched = fetch(&mut source, document, remote, (names, timers)).await;
        let wait = match fetched {
            Ok(Fetched { bytes, headers }) => {
                failures = 0;
                document.has(bytes);
                freshness::after_success(remote, freshness::left(&headers))
            }
            Err(error) => {
                failures += 1;
                document.lacks(&error);
                freshness::after_failure(remote, failures)
            }
        };
        pause(document, wait).await;
    }
}

async fn fetch(
    source: &mut Option<Source>,
    document: &Document,
    remote: &RemoteDocument,
    (names, timers): (&Names, &Timers),
) -> Result<Fetched, FetchError> {
    if source.as_ref().is_some_and(|source| source.has_other_targets(names)) {
        *source = None;
    }
    let source = match source {
        Some(source) => source,
        none => none.insert(Source::new(remote, document.definition().size, names, timers)?),
    };
    source.fetch().await
}

/// Until it is time, or somebody asks, or nobody wants the document any more.
async fn pause(document: &Document, wait: Duration) {
    let until = Instant::now() + wait;
    document.next(until);
    loop {
        if document.is_asked_for() || document.is_over() {
            return;
        }
        let left = until.saturating_duration_since(Instant::now());
        if tokio::time::timeout(left, document.wake.notified()).await.is_err() {
            return;
        }
    }
}
