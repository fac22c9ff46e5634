//! What an exchange notes for the flight recorder and for spans.
//!
//! Owns these notes. Those for the recorder alone are taken only where something is recorded, and cost no
//! allocation but for a path that is not in normal form.

use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode};

use super::Exchange;
use crate::config::Route;

impl Exchange {
    /// When the head of the request was there.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// When it began, if what its hooks do is kept: for the flight recorder, or as spans.
    pub(crate) fn recorded_since(&self) -> Option<Instant> {
        let shared = &self.snapshot.shared;
        let has_spans = || shared.spans.as_ref().is_some_and(|sink| sink.exports());
        (shared.recorder.is_some() || has_spans()).then_some(self.began)
    }

    /// It is for this host, the first bytes of a field, and, in normal form, for this path, if that is
    /// another than the one that was sent.
    pub(crate) fn is_for(&self, field: Option<&HeaderValue>, length: usize, path: Option<&str>) {
        if self.snapshot.shared.recorder.is_none() {
            return;
        }
        self.host.replace(field.map(|field| (field.clone(), length)));
        if let Some(path) = path {
            let _set_once = self.matched_path.set(path.into());
        }
    }

    /// The host, and the path in normal form if that is another.
    pub(crate) fn host_and_path(&self) -> (String, Option<String>) {
        let host = self.host.borrow();
        let host = host.as_ref().and_then(|(field, length)| field.to_str().ok()?.get(..*length));
        (host.unwrap_or_default().to_owned(), self.matched_path.get().map(|path| (**path).into()))
    }

    /// The route that serves it, and the path pattern that matched.
    pub(crate) fn route_and_pattern(&self) -> Option<(&Route, &str)> {
        let route = self.snapshot.config.routes.get(self.route.get()?)?;
        let pattern = route.matcher.paths.get(self.pattern.get());
        Some((route, pattern.map_or("", |pattern| &pattern.text)))
    }

    /// Index of the path pattern that matched.
    pub(crate) fn pattern(&self) -> usize {
        self.pattern.get()
    }

    /// Its caller holds the debug secret.
    pub(crate) fn is_debugged(&self) {
        self.is_debug.set(true);
    }

    /// Whether its caller holds the debug secret.
    pub(crate) fn is_debug(&self) -> bool {
        self.is_debug.get()
    }

    /// The response is of this media type.
    pub(crate) fn is_of_type(&self, kind: Option<&HeaderValue>) {
        const EVENTS: &[u8] = b"text/event-stream";
        let is_events = |kind: &HeaderValue| {
            let kind = kind.as_bytes().get(..EVENTS.len());
            kind.is_some_and(|kind| kind.eq_ignore_ascii_case(EVENTS))
        };
        if self.snapshot.shared.recorder.is_some() && kind.is_some_and(is_events) {
            self.is_event_stream.set(true);
        }
    }

    /// The first bytes of an event stream are here.
    #[cold]
    pub(super) fn first_event_is_here(&self) {
        self.is_event_stream.set(false);
        self.timers().refresh();
        self.first_event.set(Some(self.elapsed()));
    }

    /// From the head of the request to the first bytes of the body, of an event stream.
    pub(crate) fn first_event(&self) -> Option<Duration> {
        self.first_event.get()
    }

    /// How long it took, as far as that can be slow: streams and tunnels last as long as they like, so
    /// that of them the time to their beginning counts.
    pub(crate) fn time_that_counts(&self) -> Duration {
        let is_tunnel = self.status.get() == Some(StatusCode::SWITCHING_PROTOCOLS);
        let began = if is_tunnel { self.head_after.get() } else { self.first_event.get() };
        began.unwrap_or_else(|| self.elapsed())
    }

    /// When it was sent on, and when the head of the response came.
    pub(crate) fn at_upstream(&self) -> (Option<Instant>, Option<Instant>) {
        self.at_upstream.get()
    }
}
