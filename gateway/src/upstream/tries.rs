//! What was tried for one request: which targets, how each try ended, and how long it took.
//!
//! Owns the notes and their form in the log. The try under way is noted too, so that an exchange which
//! is abandoned can say for whom it waited. Must not cost an ordinary request more than a few stores.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::time::{Duration, Instant};

use http::StatusCode;

use super::error::{ConnectError, UpstreamError};
use crate::config::{Upstream, UpstreamId};

/// The tries of one request, first to last.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    /// Index of the upstream to which the request goes.
    upstream: Cell<usize>,
    /// All but the last.
    before: RefCell<Vec<Try>>,
    last: Cell<Option<Try>>,
}

/// One try.
#[derive(Debug, Clone, Copy)]
struct Try {
    upstream: usize,
    /// Index of the target in the upstream's list.
    target: usize,
    began: Instant,
    /// Since when there is a connection, and how long it took if it is a new one.
    connected: Option<(Instant, Option<Duration>)>,
    /// How it ended and when; `None` while nobody knows.
    end: Option<(&'static str, Instant)>,
}

/// One try, as others see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// Index of its upstream.
    pub(crate) upstream: usize,
    /// Index of the target in the upstream's list.
    pub(crate) target: usize,
    pub(crate) began: Instant,
    /// Since when there was a connection, if there was.
    pub(crate) connected: Option<Instant>,
    /// How long it took, if it was a new one.
    pub(crate) connect: Option<Duration>,
    /// How it ended, in a word.
    pub(crate) result: &'static str,
    pub(crate) ended: Option<Instant>,
}

impl Tries {
    /// The request goes to this upstream from now on.
    pub(crate) fn go_to(&self, UpstreamId(index): UpstreamId) {
        self.upstream.set(index);
    }

    /// Whether the try under way has no connection yet.
    pub(super) fn waits_for_connection(&self) -> bool {
        self.last.get().is_some_and(|last| last.connected.is_none() && last.end.is_none())
    }

    /// What was answered is not passed on, and others follow.
    pub(crate) fn go_on(&self) {
        if let Some(last) = self.last.take() {
            self.before.borrow_mut().push(last);
        }
    }

    /// A target is chosen.
    pub(super) fn begin(&self, target: usize, now: Instant) {
        let upstream = self.upstream.get();
        self.last.set(Some(Try { upstream, target, began: now, connected: None, end: None }));
    }

    /// There is a connection to it.
    pub(super) fn connected(&self, took: Option<Duration>, now: Instant) {
        self.change(|it| it.connected = Some((now, took)));
    }

    /// Its response began.
    pub(super) fn answered(&self, now: Instant) {
        self.change(|it| it.end = Some(("answered", now)));
    }

    /// For a request that is sent to the same upstream at the same time.
    pub(super) fn beside(&self) -> Self {
        Self { upstream: self.upstream.clone(), ..Self::default() }
    }

    /// Adds what was tried beside. What is not answered by now is not waited for any more.
    pub(super) fn join(&self, other: &Self, now: Instant) {
        for tries in [self, other] {
            if tries.last.get().is_some_and(|last| last.end.is_none()) {
                tries.failed("cancelled", now);
            }
        }
        self.before.borrow_mut().append(&mut other.before.borrow_mut());
        self.last.set(self.last.get().or(other.last.get()));
    }

    /// Nothing came of it.
    pub(super) fn failed(&self, how: &'static str, now: Instant) {
        self.change(|it| it.end = Some((how, now)));
        if let Some(last) = self.last.get() {
            self.before.borrow_mut().push(last);
        }
        self.last.set(None);
    }

    fn change(&self, change: impl FnOnce(&mut Try)) {
        let mut last = self.last.get();
        if let Some(last) = &mut last {
            change(last);
        }
        self.last.set(last);
    }

    /// The target of the last try, of the upstream to which the request goes.
    pub(crate) fn target(&self) -> Option<usize> {
        let last = self.last.get().or_else(|| self.before.borrow().last().copied());
        last.filter(|it| it.upstream == self.upstream.get()).map(|it| it.target)
    }

    /// Each of them: the indexes of its upstream and its target, how it ended, and whether a connection was opened for it.
    pub(crate) fn each(&self, mut each: impl FnMut((usize, usize), &'static str, bool)) {
        for one in self.before.borrow().iter().copied().chain(self.last.get()) {
            let (how, _) = one.end.unwrap_or(("unanswered", one.began));
            each(
                (one.upstream, one.target),
                how,
                one.connected.is_some_and(|(_, took)| took.is_some()),
            );
        }
    }

    /// Each of them, first to last.
    pub(crate) fn list(&self, mut each: impl FnMut(Seen)) {
        for one in self.before.borrow().iter().copied().chain(self.last.get()) {
            each(Seen {
                upstream: one.upstream,
                target: one.target,
                began: one.began,
                connected: one.connected.map(|(since, _)| since),
                connect: one.connected.and_then(|(_, took)| took),
                result: one.end.map_or("unanswered", |(how, _)| how),
                ended: one.end.map(|(_, ended)| ended),
            });
        }
    }

    /// All of them for the log, with the names of the targets of these upstreams.
    pub(crate) fn shown<'t>(&'t self, now: Instant, upstreams: &'t [Upstream]) -> Shown<'t> {
        Shown { tries: self, now, upstreams }
    }
}

/// See [`Tries::shown`].
pub(crate) struct Shown<'t> {
    tries: &'t Tries,
    now: Instant,
    upstreams: &'t [Upstream],
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self.tries.before.borrow();
        for (index, one) in before.iter().copied().chain(self.tries.last.get()).enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            let (how, ended) = one.end.unwrap_or(("unanswered", self.now));
            let targets = self.upstreams.get(one.upstream).map_or(&[][..], |it| &it.targets);
            let target = targets.get(one.target);
            // One host and port may be there twice, in clear and over TLS.
            let is_mixed = targets.iter().any(|it| it.tls) && targets.iter().any(|it| !it.tls);
            let name = target.map_or("?", |it| &it.authority);
            let scheme = match target {
                Some(target) if is_mixed && target.tls => "https://",
                Some(_) if is_mixed => "http://",
                _ => "",
            };
            write!(f, "{scheme}{name} {how}")?;
            match one.connected {
                None => write!(f, " connect={}ms", milliseconds(one.began, ended))?,
                Some((since, took)) => {
                    if let Some(took) = took {
                        write!(f, " connect={}ms", took.as_millis())?;
                    }
                    write!(f, " first_byte={}ms", milliseconds(since, ended))?;
                }
            }
        }
        Ok(())
    }
}

fn milliseconds(from: Instant, to: Instant) -> u128 {
    to.saturating_duration_since(from).as_millis()
}

/// How a connect failed, in a word or two.
pub(super) fn no_connection(cause: &ConnectError) -> &'static str {
    match cause {
        ConnectError::Dns { .. } => "unresolved",
        ConnectError::Full => "full",
        ConnectError::Refused(_) => "refused",
        ConnectError::Unreachable(_) => "unreachable",
        ConnectError::Tls(_) => "no-tls",
        ConnectError::NoTunnel => "no-upgrade",
        ConnectError::NoHttp2 | ConnectError::Handshake(_) => "no-http2",
        ConnectError::Timeout(_) | ConnectError::AttemptTimeout(_) => "connect-timeout",
    }
}

/// How an exchange over a connection failed, in a word or two.
pub(super) fn no_response(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::Connect { cause, .. } => no_connection(cause),
        UpstreamError::NoConnection { .. } => "full",
        UpstreamError::FirstByteTimeout { .. } => "first-byte-timeout",
        UpstreamError::AttemptTimeout { .. } => "attempt-timeout",
        UpstreamError::ClosedBeforeResponse { .. } => "closed",
        UpstreamError::Reset { .. } => "reset",
        UpstreamError::MalformedResponse { .. } => "malformed",
        UpstreamError::ResponseTooLarge { .. } => "too-large",
        UpstreamError::NoUpgrade { .. } => "no-upgrade",
        UpstreamError::RequestBody { .. } => "request-body-failed",
        UpstreamError::Protocol { .. } => "protocol-error",
    }
}

/// A response that another attempt replaces, in a word.
pub(super) fn status(status: StatusCode) -> &'static str {
    match status.as_u16() {
        429 => "status-429",
        500 => "status-500",
        502 => "status-502",
        503 => "status-503",
        504 => "status-504",
        400..500 => "status-4xx",
        _ => "status-5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::support::config;
    use super::*;
    use crate::config::Target;

    #[test]
    fn tells_each_try_with_its_target_its_end_and_its_times() {
        let began = Instant::now();
        let at = |milliseconds| began + Duration::from_millis(milliseconds);
        let tries = Tries::default();
        let target = |authority: &str| Target {
            tls: false,
            host: "a".to_owned(),
            port: 1,
            authority: authority.to_owned(),
            weight: 1,
            priority: 0,
            origin: crate::config::Origin::Url,
            place: crate::config::Place::default(),
        };
        let mut upstreams = [config(vec![target("a:1"), target("b:2")])];
        let shown = |now| tries.shown(now, &upstreams).to_string();
        assert_eq!((shown(at(0)), tries.target()), (String::new(), None));
        tries.begin(0, at(0));
        tries.failed("refused", at(3));
        assert_eq!((shown(at(5)), tries.target()), ("a:1 refused connect=3ms".to_owned(), Some(0)));
        tries.begin(1, at(3));
        assert_eq!(shown(at(9)), "a:1 refused connect=3ms, b:2 unanswered connect=6ms");
        tries.connected(Some(Duration::from_millis(2)), at(5));
        assert_eq!(
            shown(at(9)),
            "a:1 refused connect=3ms, b:2 unanswered connect=2ms first_byte=4ms"
        );
        tries.answered(at(12));
        let end = "a:1 refused connect=3ms, b:2 answered connect=2ms first_byte=7ms";
        assert_eq!((shown(at(90)), tries.target()), (end.to_owned(), Some(1)));
        upstreams[0].targets[1].tls = true;
        let end = "http://a:1 refused connect=3ms, https://b:2 answered connect=2ms first_byte=7ms";
        assert_eq!(tries.shown(at(90), &upstreams).to_string(), end);
    }
}
