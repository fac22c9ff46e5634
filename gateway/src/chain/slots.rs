//! The slots of an exchange: those that its plugins took, and the wait for one.
//!
//! Owns that an exchange waits behind the hook that asked, before the next plugin sees it, and that all slots
//! are given back when it ends, at the latest.

use std::time::Instant;

use super::request::{Stop, finish};
use super::{Run, edit};
use crate::plugin::{Asked, Settled};
use crate::recorder::{Decision, Hook, How, Timing};
use crate::state::slots::Held;

impl Run {
    /// The exchange has ended: others have its slots, whoever still holds the run.
    pub(crate) fn give_back_slots(&self) {
        drop(self.slots.take());
    }

    /// What a hook took, gave back, or asked for besides, if anything: it let the exchange go on.
    pub(super) fn settle(&self, index: usize, settled: Option<Settled>) {
        let Some(Settled { held, given_back, drain, first_byte }) = settled else { return };
        self.holds(held);
        for key in given_back {
            let plugin = self.pool(index).plugin();
            let own = self.slots.borrow().iter().position(|held| plugin.has_slot(held, &key));
            // Dropped when the list is free again: others have it at once.
            let _given_back = own.map(|own| self.slots.borrow_mut().swap_remove(own));
        }
        if let Some(drain) = drain {
            self.drains_for(index, drain);
        }
        if let Some(bound) = first_byte {
            self.first_byte.set(Some(bound).filter(|bound| !bound.is_zero()));
        }
    }

    fn holds(&self, slots: impl IntoIterator<Item = Held>) {
        self.slots.borrow_mut().extend(slots);
    }
}

/// Holds what a hook took, and waits for what it queued for.
pub(super) async fn wait(
    run: &Run,
    index: usize,
    hook: &'static str,
    mut asked: Box<Asked>,
) -> Result<(), Stop> {
    run.settle(index, asked.settled());
    for (waiting, late) in asked.waiting {
        let began = waiting.since();
        run.timeline.waits_in(index, Hook::Slot);
        let held = waiting.held().await;
        run.change(|heads| heads.facts.waited += began.elapsed());
        let answer = match held {
            Some(held) => {
                run.holds([held]);
                run.forgets_reason(index);
                Ok(None)
            }
            None => edit::response(run.pool(index).plugin(), late).map(Some),
        };
        waited(run, index, began, answer.as_ref().map(|it| it.as_ref().map(|it| it.status())));
        finish(run, index, hook, answer)?;
    }
    Ok(())
}

/// For the flight recorder: the time since the plugin asked.
fn waited(
    run: &Run,
    index: usize,
    began: Instant,
    answer: Result<Option<http::StatusCode>, &crate::plugin::Failure>,
) {
    if !run.timeline.is_on() {
        return;
    }
    let decision = match answer {
        Ok(None) => Decision::Next,
        Ok(Some(status)) => {
            run.explains(index, Hook::Slot, status.as_u16(), None);
            Decision::Answered(status.as_u16())
        }
        Err(failure) => run.failed(index, Hook::Slot, failure),
    };
    let none = std::time::Duration::ZERO;
    let timing = Timing::new(began, began.elapsed(), none, none);
    run.timeline.add(index, Hook::Slot, decision, How::Waited(timing));
}
