//! The usage of an exchange, what its plugins add to it, and its consumer.
//!
//! Owns which attribute names the consumer, and that a plugin may still add when the exchange has ended.

use std::rc::Rc;

use super::Run;
use super::complete::wants_complete;
use crate::access_log::Attributes;
use crate::heads::MadeCall;
use crate::usage::{Amounts, CONSUMER, Cells, Dimensions, Sums};

/// The attribute that names the group of the consumer.
const GROUP: &str = "consumer.group";

impl Run {
    /// The exchange ended: it is recorded, with what plugins added.
    pub(crate) fn count_usage(&self, cells: &Rc<Cells>, place: Dimensions, sums: Sums) {
        let heads = self.heads.borrow();
        let consumer = heads.attribute(CONSUMER);
        self.usage.record(cells, place, consumer, sums, wants_complete(self));
    }

    /// The group of the consumer, if a plugin said one.
    pub(crate) fn with_group(&self, look: impl FnOnce(&str)) {
        let heads = self.heads.borrow();
        // By the name alone: it is none of the gateway's own attributes.
        let group = heads.attributes.iter().find(|known| known.name == GROUP);
        if let Some(group) = group.filter(|group| !group.value.is_empty()) {
            look(group.value.as_str());
        }
    }

    /// The calls that its plugins made, for the trace.
    pub(crate) fn made_calls(&self) -> Vec<MadeCall> {
        let heads = self.heads.borrow();
        heads.facts.calls.as_ref().map(|calls| calls.take()).unwrap_or_default()
    }

    /// A hook of this plugin added as much.
    pub(super) fn add_usage(&self, index: usize, added: Option<Box<Amounts>>) {
        if let Some(added) = added {
            let heads = self.heads.borrow();
            let dropped = self.usage.add(added, || heads.attribute(CONSUMER));
            self.pool(index).plugin().usage_dropped(dropped);
        }
    }
}

impl Attributes for Run {
    fn look(&self, name: &str, look: &mut dyn FnMut(&str)) {
        if let Some(value) = self.heads.borrow().attribute(name) {
            look(&value);
        }
    }
}
