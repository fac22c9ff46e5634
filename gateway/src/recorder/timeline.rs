//! What the hooks of one exchange did, in the order in which they did it.
//!
//! Owns the spans: a fixed number, without a name and without an allocation, since nearly every
//! exchange is forgotten when it ends. Reads no clock: the time of a hook is the one that was measured
//! for the metrics.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::notes::{Line, Notes, Written};
use crate::telemetry::metrics::FailureKind;

/// Spans of an exchange at most. The others are counted.
pub(crate) const MOST: usize = 16;

/// A hook, or what is done in its place without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    EveryRequest,
    OnRequest,
    OnRequestBody,
    OnRequestChunk,
    /// No hook: the wait for a slot behind one.
    Slot,
    EveryResponse,
    OnResponse,
    OnResponseBody,
    OnResponseChunk,
}

impl Hook {
    /// As the interface of plugins names it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::EveryRequest => "every-request",
            Self::OnRequest => "on-request",
            Self::OnRequestBody => "on-request-body",
            Self::OnRequestChunk => "on-request-chunk",
            Self::Slot => "slot",
            Self::EveryResponse => "every-response",
            Self::OnResponse => "on-response",
            Self::OnResponseBody => "on-response-body",
            Self::OnResponseChunk => "on-response-chunk",
        }
    }

    fn is_of_chunks(self) -> bool {
        matches!(self, Self::OnRequestChunk | Self::OnResponseChunk)
    }
}

/// What a hook meant for the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Next,
    /// The plugin answered with this status.
    Answered(u16),
    /// The plugin cut a body off.
    CutOff,
    /// The plugin failed; `goes_on`: without it, since its `on_error` is `open`.
    Failed {
        kind: FailureKind,
        goes_on: bool,
    },
}

/// Whether the hook was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// It was, and took so long.
    Called(Option<Timing>),
    /// It was not: the exchange waited for so long.
    Waited(Timing),
    /// A change that it made before was made again.
    Reused,
    /// What it does to every head was known.
    Known,
    /// It was not, since it could not be.
    Refused,
}

/// What a hook changed: kinds, and numbers of fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) method: bool,
    pub(crate) target: bool,
    pub(crate) upstream: bool,
    pub(crate) status: bool,
    pub(crate) attributes: bool,
    pub(crate) body: bool,
    /// Fields of the head that it saw.
    pub(crate) fields: u8,
    /// Fields that a request hook wants in the response.
    pub(crate) response_fields: u8,
}

impl Changes {
    /// A number of fields as it is kept.
    pub(crate) fn number(fields: usize) -> u8 {
        u8::try_from(fields).unwrap_or(u8::MAX)
    }
}

/// How long a call took, and waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timing {
    pub(crate) began: Instant,
    /// Nanoseconds, with the waits.
    pub(crate) took: u64,
    /// Microseconds that it waited for its turn before it began.
    pub(crate) queue: u32,
    /// Microseconds that it waited for an instance.
    pub(crate) instance: u32,
}

impl Timing {
    pub(crate) fn new(began: Instant, took: Duration, queue: Duration, instance: Duration) -> Self {
        let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let (queue, instance) = (micros(queue), micros(instance));
        Self { began, took: nanos(took), queue, instance }
    }
}

/// Nanoseconds; as many as fit.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What one hook of one plugin did. All calls for chunks of a body are one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// The place of the plugin in its chain.
    pub(crate) plugin: u16,
    pub(crate) hook: Hook,
    pub(crate) decision: Decision,
    pub(crate) how: Manner,
    pub(crate) changes: Changes,
    pub(crate) calls: u32,
    /// Nanoseconds since the exchange began.
    pub(crate) at: u64,
    pub(crate) took: u64,
    /// Microseconds.
    pub(crate) queue: u32,
    pub(crate) instance: u32,
}

/// [`How`] without the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Called,
    Waited,
    Reused,
    Known,
    Refused,
}

/// A hook that has not returned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    pub(crate) plugin: u16,
    pub(crate) hook: Hook,
    pub(crate) since: Instant,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// When the exchange began; `None` where nothing is recorded.
    began: Option<Instant>,
    spans: RefCell<SmallVec<[Span; MOST]>>,
    omitted: Cell<u32>,
    waiting: Cell<Option<Begun>>,
    changes: Cell<Changes>,
    /// Most plugins say nothing.
    notes: RefCell<Option<Box<Notes>>>,
}

impl Timeline {
    /// The timeline of an exchange that began then; without a time nothing is recorded.
    pub(crate) fn new(began: Option<Instant>) -> Self {
        Self { began, ..Self::default() }
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.began.is_some()
    }

    /// The hook that is about to return, or was applied just now, changes this.
    #[inline]
    pub(crate) fn changes(&self, change: impl FnOnce(&mut Changes)) {
        if self.is_on() {
            let mut changes = self.changes.get();
            change(&mut changes);
            self.changes.set(changes);
        }
    }

    /// A hook of this plugin is called, and may not return at once.
    #[inline]
    pub(crate) fn waits_in(&self, plugin: usize, hook: Hook) {
        if self.is_on() {
            let plugin = index(plugin);
            self.waiting.set(Some(Begun { plugin, hook, since: Instant::now() }));
        }
    }

    /// A hook has returned, and its outcome is applied.
    pub(crate) fn add(&self, plugin: usize, hook: Hook, decision: Decision, how: How) {
        let Some(began) = self.began else { return };
        let changes = self.changes.take();
        self.waiting.set(None);
        let (called, timing) = match how {
            How::Called(timing) => (Manner::Called, timing),
            How::Waited(timing) => (Manner::Waited, Some(timing)),
            How::Reused => (Manner::Reused, None),
            How::Known => (Manner::Known, None),
            How::Refused => (Manner::Refused, None),
        };
        let mut spans = self.spans.borrow_mut();
        let span = Span {
            plugin: index(plugin),
            hook,
            decision,
            how: called,
            changes,
            calls: u32::from(called == Manner::Called),
            at: match timing {
                Some(timing) => nanos(timing.began.saturating_duration_since(began)),
                // Nobody has looked at the clock since.
                None => spans.last().map_or(0, |last| last.at + last.took),
            },
            took: timing.map_or(0, |timing| timing.took),
            queue: timing.map_or(0, |timing| timing.queue),
            instance: timing.map_or(0, |timing| timing.instance),
        };
        if hook.is_of_chunks()
            && let Some(known) =
                spans.iter_mut().find(|it| it.hook == hook && it.plugin == span.plugin)
        {
            known.decision = decision;
            known.calls = known.calls.saturating_add(1);
            known.took = known.took.saturating_add(span.took);
            known.queue = known.queue.saturating_add(span.queue);
            known.instance = known.instance.saturating_add(span.instance);
            known.changes.body |= changes.body;
            return;
        }
        if spans.len() < MOST {
            spans.push(span);
        } else {
            self.omitted.set(self.omitted.get().saturating_add(1));
        }
    }

    /// A hook wrote these lines to the log.
    #[cold]
    pub(crate) fn wrote(&self, plugin: usize, hook: Hook, written: Written) {
        self.notes.borrow_mut().get_or_insert_default().wrote(index(plugin), hook, written);
    }

    /// Why a hook refused, or failed.
    #[cold]
    pub(crate) fn reason(&self, plugin: usize, hook: Hook, reason: &str) {
        self.notes.borrow_mut().get_or_insert_default().reason(index(plugin), hook, reason);
    }

    /// Why a hook refused, or failed, if it is known.
    pub(crate) fn reason_of(&self, span: &Span) -> Option<String> {
        let notes = self.notes.borrow();
        notes.as_ref()?.reason_of(span.plugin, span.hook).map(str::to_owned)
    }

    /// The last lines that hooks wrote, with their plugins, and how many more there were.
    pub(crate) fn each_line(&self, mut each: impl FnMut(u16, Hook, &Line)) -> u32 {
        let notes = self.notes.borrow();
        let Some(notes) = &*notes else { return 0 };
        let (lines, omitted) = notes.lines();
        lines.iter().for_each(|(plugin, hook, line)| each(*plugin, *hook, line));
        omitted
    }

    /// What was kept, first to last.
    pub(crate) fn each(&self, each: impl FnMut(&Span)) {
        self.spans.borrow().iter().for_each(each);
    }

    /// Spans that there was no room for.
    pub(crate) fn omitted(&self) -> u32 {
        self.omitted.get()
    }

    /// The hook that has not returned.
    pub(crate) fn waiting(&self) -> Option<Begun> {
        self.waiting.get()
    }
}

fn index(plugin: usize) -> u16 {
    u16::try_from(plugin).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_a_fixed_number_and_counts_the_others() {
        let timeline = Timeline::new(Some(Instant::now()));
        for plugin in 0..MOST + 3 {
            timeline.add(plugin, Hook::OnRequest, Decision::Next, How::Called(None));
        }
        let mut kept = 0;
        timeline.each(|_| kept += 1);
        assert_eq!((kept, timeline.omitted()), (MOST, 3));
        assert!(!timeline.spans.borrow().spilled());
    }

    #[test]
    fn chunks_of_a_body_are_one_span_and_changes_belong_to_one_hook() {
        let began = Instant::now();
        let timeline = Timeline::new(Some(began));
        let timing = Timing::new(began, Duration::from_nanos(70), Duration::ZERO, Duration::ZERO);
        timeline.changes(|changes| changes.fields = 2);
        timeline.add(0, Hook::OnRequest, Decision::Next, How::Called(Some(timing)));
        timeline.waits_in(0, Hook::OnRequestChunk);
        assert!(timeline.waiting().is_some());
        for _ in 0..3 {
            timeline.add(0, Hook::OnRequestChunk, Decision::Next, How::Called(Some(timing)));
        }
        assert!(timeline.waiting().is_none());
        let mut seen = Vec::new();
        timeline.each(|span| seen.push((span.calls, span.took, span.changes.fields)));
        assert_eq!(seen, [(1, 70, 2), (3, 210, 0)]);
    }

    #[test]
    fn takes_little_room_in_the_state_of_a_request() {
        assert_eq!(size_of::<Span>(), 48);
        assert!(size_of::<Timeline>() <= 900, "{}", size_of::<Timeline>());
    }

    #[test]
    fn nothing_is_kept_where_nothing_is_recorded() {
        let timeline = Timeline::new(None);
        timeline.waits_in(0, Hook::OnRequest);
        timeline.add(0, Hook::OnRequest, Decision::Next, How::Reused);
        timeline.each(|_| panic!("a span"));
        assert!(timeline.waiting().is_none());
    }
}
