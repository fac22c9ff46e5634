//! Data that plugins keep with an exchange, counted in bytes.
//!
//! Owns the bound on it, for one exchange and for a plugin's exchanges together: contexts, attributes,
//! and the fields that request hooks note for the response. Counted before any of it is kept, so that
//! what is refused leaves nothing behind; given back when the run ends. Must not call a plugin.

use std::borrow::Cow;

use super::Run;
use crate::heads::ExchangeView;
use crate::plugin::edits::{Attribute, Edit};
use crate::plugin::instance::Called;
use crate::plugin::{Asked, Failure, mebibytes};
use crate::usage::Amounts;

/// What one attribute or field takes besides its bytes.
const EACH: usize = 64;

/// What a hook leaves for every decision.
#[derive(Default)]
pub(super) struct Left {
    pub(super) attributes: Vec<(String, String)>,
    pub(super) context: Option<Vec<u8>>,
    /// What it added to the usage of the exchange: bounded, and not counted as kept.
    pub(super) usage: Option<Box<Amounts>>,
    /// The slots that it asked for. They are no part of what is kept, but the exchange waits for them.
    pub(super) slots: Option<Box<Asked>>,
}

impl Left {
    fn is_empty(&self) -> bool {
        self.attributes.is_empty() && self.context.is_none() && self.usage.is_none()
    }
}

/// Splits what a hook returned from what it leaves besides.
pub(super) fn split<R>(called: Called<R>) -> (R, Left) {
    let Called { results, attributes, context, usage, slots, .. } = called;
    (results, Left { attributes, context, usage, slots })
}

/// What is counted of one plugin in one exchange.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Kept {
    context: usize,
    attributes: usize,
    /// Fields, of the response and, if later hooks may ask for them, of the request.
    fields: usize,
}

impl Kept {
    fn sum(self) -> usize {
        self.context.saturating_add(self.attributes).saturating_add(self.fields)
    }
}

/// Bytes of edits that are kept.
pub(super) fn bytes_of(edits: &[Edit]) -> usize {
    edits.iter().map(|edit| EACH + edit.bytes()).sum()
}

impl Run {
    /// Keeps what a hook leaves for every decision, or nothing of it.
    #[inline]
    pub(super) fn keep(&self, index: usize, left: Left) -> Result<(), Failure> {
        if left.is_empty() {
            return Ok(());
        }
        self.count(index, None, &left, &[], 0)?;
        self.put(index, None, left, Vec::new());
        Ok(())
    }

    /// Counts what a hook is about to leave, if it may: a context, what it leaves besides, attributes,
    /// and bytes of fields.
    #[inline]
    pub(super) fn count(
        &self,
        index: usize,
        context: Option<&[u8]>,
        left: &Left,
        attributes: &[Attribute],
        fields: usize,
    ) -> Result<(), Failure> {
        let is_nothing = context.is_none() && attributes.is_empty() && fields == 0;
        if is_nothing && left.is_empty() {
            return Ok(());
        }
        self.count_some(index, context, left, attributes, fields)
    }

    fn count_some(
        &self,
        index: usize,
        context: Option<&[u8]>,
        left: &Left,
        attributes: &[Attribute],
        fields: usize,
    ) -> Result<(), Failure> {
        let plugin_states = &mut self.plugin_states.borrow_mut();
        let before = plugin_states[index].kept;
        let mut after = before;
        after.context = left.context.as_deref().or(context).map_or(before.context, <[u8]>::len);
        after.fields += fields;
        if !attributes.is_empty() || !left.attributes.is_empty() {
            after.attributes = attributes_of(&self.heads.borrow(), index, left, attributes);
        }
        let pool = self.pool(index);
        let (had, has) = (before.sum(), after.sum());
        if has > had {
            let limit = pool.plugin().bounds.exchange;
            if has > limit {
                return Err(too_much(after, limit));
            }
            if !pool.kept().hold(has - had) {
                return Err(too_much_together(has - had, pool.kept().limit()));
            }
        } else {
            pool.kept().release(had - has);
        }
        plugin_states[index].kept = after;
        Ok(())
    }

    /// Keeps what was counted.
    pub(super) fn put(
        &self,
        index: usize,
        context: Option<Vec<u8>>,
        mut left: Left,
        attributes: Vec<Attribute>,
    ) {
        self.add_usage(index, left.usage.take());
        if let Some(context) = left.context.or(context) {
            self.plugin_states.borrow_mut()[index].context = context;
        }
        if attributes.is_empty() && left.attributes.is_empty() {
            return;
        }
        self.timeline.changes(|changes| changes.attributes = true);
        let left = left.attributes.into_iter().map(|(name, value)| (Cow::Owned(name), value));
        self.change(|heads| {
            for (name, value) in attributes.into_iter().chain(left) {
                let replaced = heads.set_attribute(name, value, index);
                if let Some((owner, bytes)) = replaced.filter(|(owner, _)| *owner != index) {
                    self.forget(owner, EACH + bytes);
                }
            }
        });
    }

    /// What a plugin kept was replaced by another's.
    #[cold]
    fn forget(&self, owner: usize, bytes: usize) {
        let kept = &mut self.plugin_states.borrow_mut()[owner].kept;
        let bytes = bytes.min(kept.attributes);
        kept.attributes -= bytes;
        self.pool(owner).kept().release(bytes);
    }

    /// What request hooks noted for the response is written now.
    pub(super) fn fields_written(&self, index: usize, bytes: usize) {
        let kept = &mut self.plugin_states.borrow_mut()[index].kept;
        let bytes = bytes.min(kept.fields);
        kept.fields -= bytes;
        self.pool(index).kept().release(bytes);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        for (link, pool) in self.plugin_states.get_mut().iter().zip(&self.chain.pools) {
            let kept = link.kept.sum();
            if kept > 0 {
                pool.kept().release(kept);
            }
        }
    }
}

/// Bytes of a plugin's attributes when these are set. A name that is set twice counts twice.
fn attributes_of(
    heads: &ExchangeView,
    index: usize,
    left: &Left,
    attributes: &[Attribute],
) -> usize {
    let new = |name: &str| {
        attributes.iter().any(|(other, _)| other == name)
            || left.attributes.iter().any(|(other, _)| other == name)
    };
    let old = heads.attributes.iter().filter(|it| it.owner == index && !new(&it.name));
    let old: usize = old.map(|it| EACH + it.bytes()).sum();
    let set: usize = attributes.iter().map(|(name, value)| EACH + name.len() + value.len()).sum();
    let left = left.attributes.iter().map(|(name, value)| EACH + name.len() + value.len());
    old + set + left.sum::<usize>()
}

#[cold]
fn too_much(kept: Kept, limit: usize) -> Failure {
    let Kept { context, attributes, fields } = kept;
    let limit_text = mebibytes(limit);
    Failure::Kept(
        format!(
            "it would keep {} bytes with one exchange (context {context}, attributes {attributes}, \
             fields {fields}), over its {limit} bytes ({limit_text}, `limits.exchange`)",
            kept.sum()
        )
        .into(),
    )
}

#[cold]
fn too_much_together(more: usize, limit: usize) -> Failure {
    let limit_text = mebibytes(limit);
    Failure::Kept(
        format!(
            "what it keeps with all of its exchanges has no room for {more} bytes more: it may be \
             {limit} bytes ({limit_text}, `limits.exchanges`)"
        )
        .into(),
    )
}
