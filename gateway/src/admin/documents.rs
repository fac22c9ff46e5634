//! `GET /documents`.
//!
//! Owns how a document is shown: how it stands, and never what it says.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::Admin;
use super::call::{Answer, Call, Reply};
use super::page::Page;
use crate::config::DocumentSource;
use crate::documents::Document;

pub(super) fn list(admin: &Admin, call: &Call) -> Answer {
    let [offset, limit] = call.known(["offset", "limit"])?;
    let page = Page::new(offset.as_deref(), limit.as_deref())?;
    let documents = admin.0.documents.all();
    Ok(Reply::json(page.of("documents", documents.iter(), |document| show(document))))
}

fn show(document: &Document) -> Value {
    let (definition, shown) = (document.definition(), document.shown());
    let upstream = match &definition.source {
        DocumentSource::File(_) => None,
        DocumentSource::Remote(remote) => Some(&*remote.upstream.name),
    };
    let since_1970 = |at: SystemTime| at.duration_since(UNIX_EPOCH).ok().map(|it| it.as_secs());
    json!({
        "name": definition.name,
        "upstream": upstream,
        "version": shown.version,
        "bytes": shown.bytes,
        "age_seconds": shown.age.map(|age| age.as_secs_f64()),
        "changed": shown.changed.and_then(since_1970),
        "next_fetch_seconds": shown.next.map(|next| next.as_secs_f64()),
        "failure": shown.failure,
    })
}
