//! Changes to server-sent events, one by one, while they stream.
//!
//! Owns which rule is for which event, and their order. `splitter` finds the events, `event` reads and
//! writes one; what happens to the data is `json`'s and `text`'s.

mod event;
mod splitter;

use std::borrow::Cow;

use gateway_plugin_sdk::log;

use self::event::{Change, Event};
pub(crate) use self::splitter::{EventTooLarge, Splitter};
use crate::encode;
use crate::json::edit::{self, Edit};
use crate::template::Template;
use crate::text::Replacer;
use crate::values::Values;

/// The rules for the events of a stream.
#[derive(Debug)]
pub(crate) struct EventRules {
    pub(crate) rules: Vec<EventRule>,
    /// Bytes of one event, at most.
    pub(crate) limit: usize,
}

/// What happens to some events.
#[derive(Debug)]
pub(crate) struct EventRule {
    /// The types of events that it is for; none means all.
    pub(crate) kinds: Vec<String>,
    pub(crate) drops: bool,
    pub(crate) rename: Option<Template>,
    pub(crate) json: Vec<Edit>,
    pub(crate) text: Option<Replacer>,
}

impl EventRules {
    /// Takes a piece of a stream and returns what goes on in its place.
    pub(crate) fn push(
        &self,
        splitter: &mut Splitter,
        data: &[u8],
        is_last: bool,
        values: &Values,
    ) -> Result<Vec<u8>, EventTooLarge> {
        splitter.push(data, is_last, self.limit, |event| self.change(event, values))
    }

    /// What an event becomes; `None` if it stays as it is.
    fn change(&self, text: &[u8], values: &Values) -> Option<Vec<u8>> {
        let mut event = Event::parse(text)?;
        let mut change = Change::default();
        for (index, rule) in self.rules.iter().enumerate() {
            if !rule.is_for(&event.kind) {
                continue;
            }
            if rule.drops {
                change.is_dropped = true;
                break;
            }
            if let Some(data) = rule.change_data(index, &event.data, values) {
                event.data = Cow::Owned(data.clone());
                change.data = Some(data);
            }
            if let Some(kind) = rule.new_kind(values) {
                event.kind = Cow::Owned(kind.clone().into_bytes());
                change.kind = Some(kind);
            }
        }
        event.changed(&change)
    }

    /// The indices of the references in the rules' templates.
    pub(crate) fn references(&self, indices: &mut Vec<usize>) {
        for rule in &self.rules {
            edit::references(&rule.json, indices);
            indices.extend(rule.text.iter().flat_map(Replacer::references));
            indices.extend(rule.rename.iter().flat_map(Template::indices));
        }
    }
}

impl EventRule {
    fn is_for(&self, kind: &[u8]) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|known| known.as_bytes() == kind)
    }

    fn change_data(&self, index: usize, data: &[u8], values: &Values) -> Option<Vec<u8>> {
        let edited = match edit::apply_all(&self.json, data, values, &format!("events[{index}].")) {
            Ok(edited) => edited.map(String::into_bytes),
            // Such as the `[DONE]` at the end of many streams.
            Err(reason) => {
                log::debug!("the data of an event is left as it is, it is not JSON: {reason}");
                None
            }
        };
        let replaced = self.text.as_ref().and_then(|text| {
            let data = edited.as_deref().unwrap_or(data);
            text.push(&mut Vec::new(), data, true, values)
        });
        replaced.or(edited)
    }

    fn new_kind(&self, values: &Values) -> Option<String> {
        let kind = self.rename.as_ref()?.fill(values)?;
        if kind.is_empty() || !encode::is_field_value(&kind) {
            log::warn!("an event keeps its type: the new one is empty or has control characters");
            return None;
        }
        Some(kind.into_owned())
    }
}

#[cfg(test)]
mod tests;
