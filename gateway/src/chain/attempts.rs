//! Another attempt that a plugin asks for on the way back.
//!
//! Owns the contract on what it changes. Sending it is the path's.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue};

use super::request::check_choice;
use super::{Run, edit};
use crate::heads::Attempts;
use crate::plugin::bindings::{Attempt, Field};
use crate::plugin::edits::{Edit, Edits};
use crate::plugin::{Asked, Failure};

/// What is different in the next attempt, checked.
#[derive(Debug)]
pub(crate) struct Again {
    pub(crate) upstream: Option<String>,
    /// The whole target, and whether the plugin chose its path.
    pub(crate) target: Option<(PathAndQuery, bool)>,
    pub(crate) body: Option<Bytes>,
    pub(crate) wait: Duration,
    edits: Vec<Edit>,
}

impl Again {
    /// Makes the changes to the fields, first to last.
    pub(crate) fn write(&mut self, headers: &mut HeaderMap) {
        if self.body.is_some() {
            headers.remove(CONTENT_LENGTH);
            edit::forget_body(headers);
        }
        edit::apply(headers, std::mem::take(&mut self.edits).into_iter());
    }
}

impl Run {
    /// Another attempt may be asked for on the way back, or not.
    pub(crate) fn may_send_again(&self, attempts: Option<Attempts>) {
        let same = self.heads.borrow().facts.attempts.is_none() && attempts.is_none();
        if !same {
            self.change(|heads| heads.facts.attempts = attempts);
        }
    }
}

impl Run {
    /// There is no other attempt, so that nobody needs bodies of requests as plugins saw them.
    pub(super) fn forget_received(&self) {
        self.plugin_states.borrow_mut().iter_mut().for_each(|state| state.received = None);
        if self.heads.borrow().received.is_some() {
            self.change(|heads| heads.received = None);
        }
    }
}

/// What the plugin asked for, if it did.
pub(super) fn asked(
    run: &Run,
    index: usize,
    asked: Option<Box<Asked>>,
) -> Result<Option<Box<Again>>, Failure> {
    let Some(attempt) = asked.and_then(|asked| asked.attempt) else { return Ok(None) };
    let Attempt { upstream, path, query, remove, set, body, wait } = *attempt;
    if let Some(upstream) = &upstream {
        check_choice(run, index, upstream)?;
    }
    let edits = edits(remove, set)?;
    let mut one = HeaderMap::new();
    one.insert(HOST, HeaderValue::from_static("a"));
    edit::check_host(&one, &edits)?;
    let is_new = path.is_some();
    let target = {
        let heads = run.heads.borrow();
        edit::check_response_edits(heads.request.headers.len(), &edits)?;
        let target = &heads.request.target;
        let changes = path.is_some() || query.is_some();
        changes.then(|| edit::parse_target(target, path, query)).transpose()?
    };
    let body = body.map(|body| run.pool(index).plugin().counted(body)).transpose()?;
    if let Some(target) = &target {
        run.change(|heads| heads.request.target = target.clone());
    }
    let target = target.map(|target| (target, is_new));
    let wait = Duration::from_nanos(wait);
    Ok(Some(Box::new(Again { upstream, target, body, wait, edits })))
}

/// Names that are taken away, and then fields that are set.
pub(super) fn edits(
    remove: Vec<String>,
    set: Vec<(String, Vec<u8>)>,
) -> Result<Vec<Edit>, Failure> {
    let field = |name, value| Field { name, value };
    let removed = Edits::lines(remove.into_iter().map(|name| field(name, Vec::new())).collect())?;
    let written = Edits::lines(set.into_iter().map(|(name, value)| field(name, value)).collect())?;
    let remove = removed.into_iter().map(|edit| Edit::Remove(edit.name().clone()));
    let set = written.into_iter().map(|edit| match edit {
        Edit::Append(name, value) => Edit::Set(name, value),
        other => other,
    });
    Ok(remove.chain(set).collect())
}
