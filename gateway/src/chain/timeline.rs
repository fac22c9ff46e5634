//! What the hooks of a run do, for the flight recorder and for spans.
//!
//! Owns what of an outcome is noted. Where nothing is recorded each step here is one look at an `Option`.

use http::Response;

use super::Run;
use crate::body::Body;
use crate::config::OnError;
use crate::heads::ExchangeView;
use crate::plugin::Failure;
use crate::recorder::{
    Changes, Decision, Hook, HookRecord, How, LineRecord, REASON, Running, Span, Written,
};
use crate::usage::CONSUMER;

impl Run {
    /// A hook has returned and its outcome is applied: `Some` is an answer of the plugin's own.
    #[inline]
    pub(super) fn span(
        &self,
        index: usize,
        hook: Hook,
        outcome: &Result<Option<Box<Response<Body>>>, Failure>,
    ) {
        if self.timeline.is_on() {
            let written = self.pool(index).take_written();
            let decision = match outcome {
                Ok(None) => Decision::Next,
                Ok(Some(answer)) => {
                    let status = answer.status().as_u16();
                    self.explains(index, hook, status, written.as_deref());
                    Decision::Answered(status)
                }
                Err(failure) => self.failed(index, hook, failure),
            };
            self.wrote(index, hook, written);
            self.timeline.add(index, hook, decision, How::Called(self.pool(index).timing()));
        }
    }

    /// The same of a hook that gives no answer.
    #[inline]
    pub(super) fn span_end(&self, index: usize, hook: Hook, outcome: Result<(), &Failure>) {
        if self.timeline.is_on() {
            self.wrote(index, hook, self.pool(index).take_written());
            let decision = match outcome {
                Ok(()) => Decision::Next,
                Err(failure) => self.failed(index, hook, failure),
            };
            self.timeline.add(index, hook, decision, How::Called(self.pool(index).timing()));
        }
    }

    /// The hook has cut a body off.
    pub(super) fn span_cut(&self, index: usize, hook: Hook, why: &str) {
        if self.timeline.is_on() {
            self.wrote(index, hook, self.pool(index).take_written());
            if !why.is_empty() {
                let why = self.pool(index).plugin().shown(why);
                self.timeline.reason(index, hook, &why);
            }
            let timing = self.pool(index).timing();
            self.timeline.add(index, hook, Decision::CutOff, How::Called(timing));
        }
    }

    /// Nothing was called: what is done was known, or could not be.
    #[inline]
    pub(super) fn span_without(
        &self,
        index: usize,
        hook: Hook,
        how: How,
        outcome: Result<(), &Failure>,
    ) {
        if self.timeline.is_on() {
            let failed = |failure| self.failed(index, hook, failure);
            let decision = outcome.map_or_else(failed, |()| Decision::Next);
            self.timeline.add(index, hook, decision, how);
        }
    }

    /// Why the plugin answers with this status: as it says itself, or else what it wrote last.
    #[cold]
    pub(super) fn explains(&self, index: usize, hook: Hook, status: u16, last: Option<&Written>) {
        if status < 400 {
            return;
        }
        let heads = self.heads.borrow();
        let by_itself = |it: &&crate::heads::Attribute| it.name == REASON && it.owner == index;
        let told = heads.attributes.iter().find(by_itself);
        let told = told.map(|told| self.pool(index).plugin().shown(&told.value));
        // A line is shown already as the log may show it.
        if let Some(reason) = told.as_deref().or_else(|| last?.last()) {
            self.timeline.reason(index, hook, reason);
        }
    }

    /// A reason that is there in case that no slot is free in time, and one was.
    pub(super) fn forgets_reason(&self, index: usize) {
        let is = |it: &crate::heads::Attribute| it.name == REASON && it.owner == index;
        if self.heads.borrow().attributes.iter().any(is) {
            self.change(|heads| heads.attributes.retain(|it| !is(it)));
        }
    }

    #[inline]
    fn wrote(&self, index: usize, hook: Hook, written: Option<Box<Written>>) {
        if let Some(written) = written {
            self.timeline.wrote(index, hook, *written);
        }
    }

    #[cold]
    pub(super) fn failed(&self, index: usize, hook: Hook, failure: &Failure) -> Decision {
        self.timeline.reason(index, hook, &failure.to_string());
        self.failed_decision(index, failure)
    }

    fn failed_decision(&self, index: usize, failure: &Failure) -> Decision {
        let goes_on = self.pool(index).plugin().on_error == OnError::Open;
        Decision::Failed { kind: failure.kind(), goes_on }
    }

    /// The number of fields that were written in the current head.
    #[inline]
    pub(super) fn notes_fields(&self, fields: usize) {
        self.timeline.changes(|changes| changes.fields = Changes::number(fields));
    }

    /// What the hooks did, first to last, and how many had no room.
    pub(crate) fn hooks(&self) -> (Vec<HookRecord>, u32) {
        let mut hooks = Vec::new();
        self.each_span(|span, plugin| {
            hooks.push(HookRecord::of(span, plugin, self.timeline.reason_of(span)));
        });
        (hooks, self.timeline.omitted())
    }

    /// The last lines that hooks wrote to the log, and how many there were before them.
    pub(crate) fn written(&self, began: std::time::Instant) -> (Vec<LineRecord>, u32) {
        let mut lines = Vec::new();
        let omitted = self.timeline.each_line(|plugin, hook, line| {
            let pool = self.chain.pools.get(usize::from(plugin));
            let at = line.at.saturating_duration_since(began).as_nanos();
            lines.push(LineRecord {
                plugin: pool.map_or(String::new(), |pool| pool.plugin().name.to_string()),
                hook: hook.as_str(),
                at_ns: u64::try_from(at).unwrap_or(u64::MAX),
                level: line.level,
                text: line.text.to_string(),
            });
        });
        (lines, omitted)
    }

    /// Each span with the name of its plugin.
    pub(crate) fn each_span(&self, mut each: impl FnMut(&Span, &str)) {
        let name = |span: &Span| self.chain.pools.get(usize::from(span.plugin));
        self.timeline.each(|span| {
            each(span, name(span).map_or("", |pool| &*pool.plugin().name));
        });
    }

    /// The hook that has not returned, as time since the exchange began.
    pub(crate) fn running(&self, began: std::time::Instant) -> Option<Running> {
        let begun = self.timeline.waiting()?;
        let plugin = self.chain.pools.get(usize::from(begun.plugin))?.plugin();
        let at = begun.since.saturating_duration_since(began).as_nanos();
        Some(Running {
            plugin: plugin.name.to_string(),
            hook: begun.hook.as_str(),
            at_ns: u64::try_from(at).unwrap_or(u64::MAX),
        })
    }

    /// Who is served, if a plugin said so.
    pub(crate) fn consumer(&self) -> Option<String> {
        let heads: &ExchangeView = &self.heads.borrow();
        heads.attribute(CONSUMER).map(std::borrow::Cow::into_owned)
    }
}
