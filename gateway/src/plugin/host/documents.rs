//! `gateway:plugin/documents`: the documents that the plugin was granted.
//!
//! Owns that what follows from a document is not made again once it changed: reading one is nothing that
//! keeps a change from being made again, since the pool looks at the versions of all that are granted
//! ([`Identity::versions`]).

use std::sync::Arc;
use std::time::Duration;

use super::functions::Functions;
use super::{Context, HostState};
use crate::documents::{self, Content, Document, Fault};
use crate::plugin::bindings::{DocumentFault, DocumentOut, Refreshed};

/// How long a hook may wait for a fetch.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Faults of one document that are kept, and bytes of the words of each.
const MAX_FAULTS: usize = 100;
const MAX_WORDS: usize = 2 << 10;

/// The arguments of `report`.
type Reported = (String, u64, bool, Vec<DocumentFault>);

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    link_reading(linker)?;
    linker.func_wrap_async("refresh", |mut store: Context<'_>, (name, wait): (String, u64)| {
        Box::new(async move {
            let Some(document) = store.data().document(&name).cloned() else {
                return Ok((Refreshed::NotGranted,));
            };
            store.data_mut().budget.pause();
            let refreshed = document.refresh(Duration::from_nanos(wait).min(MAX_WAIT)).await;
            // The epoch went on while the hook waited, and waiting is not computing.
            let look = store.data_mut().budget.resume();
            store.set_epoch_deadline(look);
            Ok((outcome(refreshed),))
        })
    })
}

/// For a plugin whose interest promises that it never waits.
pub(super) fn link_refusing(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    link_reading(linker)?;
    linker.func_wrap(
        "refresh",
        |_: Context<'_>, (_, _): (String, u64)| -> wasmtime::Result<(Refreshed,)> {
            wasmtime::bail!(
                "it called `documents.refresh`, although its interest says `never-waits`"
            )
        },
    )
}

fn link_reading(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.same_each_time("version", |store: Context<'_>, (name,): (String,)| {
        Ok((store.data().document(&name).map(|document| document.version()),))
    })?;
    linker.same_each_time("get", |store: Context<'_>, (name,): (String,)| {
        let content = store.data().document(&name).and_then(|document| document.content());
        Ok((content.map(|content| out(&content)),))
    })?;
    linker.func_wrap("accept", |store: Context<'_>, (name, version): (String, u64)| {
        let host = store.data();
        if let Some(document) = host.document(&name) {
            document.accept(&host.identity.name, version);
        }
        Ok(())
    })?;
    let report = |store: Context<'_>, (name, version, is_refused, faults): Reported| {
        let host = store.data();
        if let Some(document) = host.document(&name) {
            let known = |fault| host.fault(fault);
            let faults = faults.into_iter().take(MAX_FAULTS).map(known).collect();
            document.report(&host.identity.name, version, is_refused, faults);
        }
        Ok(())
    };
    linker.func_wrap("report", report)?;
    linker.func_wrap("accepted", |store: Context<'_>, (name,): (String,)| {
        let host = store.data();
        let document = host.document(&name);
        let accepted = document.and_then(|document| document.accepted(&host.identity.name));
        Ok((accepted.map(|content| out(&content)),))
    })
}

fn out(content: &Content) -> DocumentOut {
    DocumentOut {
        version: content.version,
        content: content.bytes.to_vec(),
        age: u64::try_from(content.age.as_nanos()).unwrap_or(u64::MAX),
    }
}

fn outcome(refreshed: documents::Refreshed) -> Refreshed {
    match refreshed {
        documents::Refreshed::Changed => Refreshed::Changed,
        documents::Refreshed::Unchanged => Refreshed::Unchanged,
        documents::Refreshed::Failed => Refreshed::Failed,
        documents::Refreshed::TooSoon => Refreshed::TooSoon,
        documents::Refreshed::Pending => Refreshed::Pending,
    }
}

impl HostState {
    /// What the plugin says may repeat its secrets.
    fn fault(&self, told: DocumentFault) -> Fault {
        let words = |text: &str| {
            let text = self.identity.without_secrets(text);
            text[..text.floor_char_boundary(MAX_WORDS)].to_owned()
        };
        let offset = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        Fault {
            place: told.place.map(|(start, end)| offset(start)..offset(end)),
            message: words(&told.message),
            help: told.help.as_deref().map(words),
        }
    }

    fn document(&self, name: &str) -> Option<&Arc<Document>> {
        let index = self.identity.documents.iter().position(|(known, _)| known == name)?;
        let asked = 1_u64.checked_shl(u32::try_from(index).unwrap_or(u32::MAX)).unwrap_or(0);
        self.asked_documents.set(self.asked_documents.get() | asked);
        Some(&self.identity.documents[index].1)
    }

    /// The names of documents that it was granted and has not asked for, of the first 64.
    pub(in crate::plugin) fn unasked_documents(&self) -> Vec<&str> {
        let asked = self.asked_documents.get();
        let granted = self.identity.documents.iter().take(64).enumerate();
        let unasked = granted.filter(|(index, _)| asked >> index & 1 == 0);
        unasked.map(|(_, (name, _))| name.as_str()).collect()
    }
}
