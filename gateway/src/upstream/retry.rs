//! Another attempt for a request that failed, where its route says so.
//!
//! Owns when there is one: which failures and responses it is for, whether the target may have processed the
//! request, the budget of the upstream, the wait, and to which target it goes. What needs no policy (another
//! target while nothing was sent, a fresh connection for one that was closed) is part of one attempt.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body::Body;

use super::balance::Tried;
use super::error::{Cause, ConnectError, UpstreamError};
use super::exchange::Along;
use super::progress::Resume;
use super::tries::{self, Tries};
use super::{Answered, Upstream};
use crate::config::{HostPolicy, Retries};
use crate::health::{NoRetry, Reason};

/// A request that can be had more than once.
pub(crate) trait Repeat<B> {
    /// Whether it is whole, and the client was told nothing.
    fn can_repeat(&self) -> bool;

    /// The same once more, in place of the one before, whose body ends.
    fn again(&mut self) -> Option<Request<B>>;

    /// The same at the same time, if it has no body.
    fn twin(&self) -> Option<Request<B>>;

    /// Whether the client is waited for, who sends the body.
    fn waits_for_client(&self) -> bool;

    /// It is not asked for again.
    fn settle(&mut self);
}

/// How a request is sent.
#[derive(Clone, Copy)]
pub(crate) struct Policy<'a> {
    pub(crate) retries: &'a Retries,
    pub(crate) host: &'a HostPolicy,
    pub(crate) along: Along<'a>,
    pub(crate) tries: &'a Tries,
    /// When the request is given up. No wait goes beyond it.
    pub(crate) until: Option<Instant>,
}

/// Why there is another attempt.
struct Verdict {
    /// The response that is not passed on, in a word.
    rejected: Option<&'static str>,
    retry_after: Option<Duration>,
    /// What was said holds for the caller, whatever target is asked.
    is_for_all: bool,
}

impl Upstream {
    /// As [`send_noting`](Self::send_noting), more than once if need be.
    pub(crate) async fn send_repeatedly<B>(
        &self,
        mut request: Request<B>,
        repeat: &mut impl Repeat<B>,
        policy: Policy<'_>,
    ) -> Result<Answered, UpstreamError>
    where
        B: Body<Data = Bytes> + Default + Resume + Unpin + 'static,
        B::Error: Into<Cause>,
    {
        self.load.begins();
        let method = request.method().clone();
        let mut tried = Tried::new();
        let mut rounds = 0;
        let mut attempt = 1;
        loop {
            let is_last = attempt >= policy.retries.attempts;
            if is_last {
                repeat.settle();
            }
            let may_hedge = policy.retries.methods.contains(&method);
            let sent = self.attempt(&mut request, repeat, policy, may_hedge, &mut tried).await;
            if is_last {
                return sent;
            }
            let Some(verdict) = verdict(&sent, policy.retries, &method) else { return sent };
            let is_other = self.turns_away(policy.tries, &mut tried);
            let Some(pause) = pause(&verdict, policy.retries, is_other, rounds) else {
                return sent;
            };
            let resumes = self.timers.now().checked_add(pause);
            if !pause.is_zero() && policy.until.is_some_and(|until| resumes >= Some(until)) {
                return sent;
            }
            if !repeat.can_repeat() {
                self.load.is_refused(NoRetry::Body);
                return sent;
            }
            if !self.load.may_retry() {
                return sent;
            }
            let Some(next) = repeat.again() else { return sent };
            if let Some(how) = verdict.rejected {
                policy.tries.failed(how, self.timers.now());
            }
            tracing::debug!(
                upstream = self.config.name,
                attempt,
                ?pause,
                "another attempt follows"
            );
            drop(sent);
            if !pause.is_zero() {
                self.timers.after(pause).await;
            }
            request = next;
            rounds += u32::from(!is_other);
            attempt += 1;
        }
    }

    async fn attempt<B>(
        &self,
        request: &mut Request<B>,
        repeat: &impl Repeat<B>,
        policy: Policy<'_>,
        may_hedge: bool,
        tried: &mut Tried,
    ) -> Result<Answered, UpstreamError>
    where
        B: Body<Data = Bytes> + Default + Resume + Unpin + 'static,
        B::Error: Into<Cause>,
    {
        let Policy { retries, tries, .. } = policy;
        let sent = self.hedged(request, repeat, policy, may_hedge, tried);
        let Some(timeout) = retries.attempt_timeout else { return sent.await };
        let mut sent = pin!(sent);
        loop {
            tokio::select! {
                biased;
                sent = sent.as_mut() => return sent,
                () = self.timers.after(timeout) => {}
            }
            // It is the target's time alone.
            if !repeat.waits_for_client() {
                break;
            }
        }
        let index = tries.target().unwrap_or_default();
        let target = Arc::clone(&self.targets[index].authority);
        // Without a connection nothing was sent, whatever was closed before.
        let (error, reason) = if tries.waits_for_connection() {
            let cause = ConnectError::AttemptTimeout(timeout);
            (UpstreamError::Connect { target, cause }, Reason::Connect)
        } else {
            (UpstreamError::AttemptTimeout { target, timeout }, Reason::NoResponse)
        };
        tries.failed(tries::no_response(&error), self.timers.now());
        if let Some(health) = &self.health {
            health.failed(index, reason);
        }
        Err(error)
    }

    /// Sends it, and to another target besides if there is no response for a while. The first response counts;
    /// who is slower is abandoned.
    async fn hedged<B>(
        &self,
        request: &mut Request<B>,
        repeat: &impl Repeat<B>,
        policy: Policy<'_>,
        may_hedge: bool,
        tried: &mut Tried,
    ) -> Result<Answered, UpstreamError>
    where
        B: Body<Data = Bytes> + Default + Resume + Unpin + 'static,
        B::Error: Into<Cause>,
    {
        let Policy { retries, host, along, tries, until: _ } = policy;
        let Some(after) = retries.hedge_after.filter(|_| may_hedge) else {
            return self.send_noting(request, host, along, tries, tried).await;
        };
        let mut others = tried.clone();
        let mut first = pin!(self.send_noting(request, host, along, tries, tried));
        tokio::select! {
            biased;
            sent = first.as_mut() => return sent,
            () = self.timers.after(after) => {}
        }
        let is_other = self.turns_away(tries, &mut others);
        let twin = repeat.twin().filter(|_| is_other && self.load.may_retry());
        let Some(mut twin) = twin else { return first.await };
        let beside = tries.beside();
        let mut second = pin!(self.send_noting(&mut twin, host, along, &beside, &mut others));
        let (mut failed, mut also_failed) = (None, None);
        let sent = poll_fn(|context| {
            let answered = poll(first.as_mut(), &mut failed, context);
            let answered = answered.or_else(|| poll(second.as_mut(), &mut also_failed, context));
            match answered {
                Some(answered) => Poll::Ready(Ok(answered)),
                None => match failed.take_if(|_| also_failed.is_some()) {
                    Some(error) => Poll::Ready(Err(error)),
                    None => Poll::Pending,
                },
            }
        })
        .await;
        tries.join(&beside, self.timers.now());
        sent
    }

    /// The next attempt shall not go where the last one went, if there is another target. Whether there is;
    /// if not, all of them may be asked again.
    fn turns_away(&self, tries: &Tries, tried: &mut Tried) -> bool {
        if let Some(index) = tries.target()
            && !tried.contains(index)
        {
            tried.push(index);
        }
        let health = self.health.as_deref().filter(|health| !health.is_ignored());
        let takes = |index: usize| health.is_none_or(|health| health.may_take(index));
        let mut targets = self.config.targets.iter().enumerate();
        let is_other =
            targets.any(|(index, it)| it.weight > 0 && !tried.contains(index) && takes(index));
        if !is_other {
            tried.clear();
        }
        is_other
    }
}

/// One of two that run at the same time, unless it has failed already.
fn poll(
    future: Pin<&mut impl Future<Output = Result<Answered, UpstreamError>>>,
    failed: &mut Option<UpstreamError>,
    context: &mut Context<'_>,
) -> Option<Answered> {
    if failed.is_some() {
        return None;
    }
    match future.poll(context) {
        Poll::Ready(Ok(answered)) => Some(answered),
        Poll::Ready(Err(error)) => {
            *failed = Some(error);
            None
        }
        Poll::Pending => None,
    }
}

/// Whether the policy asks for another attempt after this.
fn verdict(
    sent: &Result<Answered, UpstreamError>,
    retries: &Retries,
    method: &Method,
) -> Option<Verdict> {
    let is_wanted = match sent {
        Ok(answered) => retries.statuses.contains(&answered.response.status().as_u16()),
        Err(UpstreamError::Connect { .. }) => retries.on.connect,
        Err(UpstreamError::FirstByteTimeout { .. } | UpstreamError::AttemptTimeout { .. }) => {
            retries.on.timeout
        }
        Err(
            UpstreamError::ClosedBeforeResponse { .. }
            | UpstreamError::Reset { .. }
            | UpstreamError::Protocol { .. },
        ) => retries.on.reset,
        Err(
            UpstreamError::MalformedResponse { .. }
            | UpstreamError::NoConnection { .. }
            | UpstreamError::ResponseTooLarge { .. }
            | UpstreamError::NoUpgrade { .. }
            | UpstreamError::RequestBody { .. },
        ) => false,
    };
    let is_safe = sent.as_ref().is_err_and(UpstreamError::is_unprocessed);
    if !is_wanted || !(is_safe || retries.methods.contains(method)) {
        return None;
    }
    Some(match sent {
        Ok(Answered { response, .. }) => Verdict {
            rejected: Some(tries::status(response.status())),
            retry_after: retry_after(response.headers()),
            is_for_all: response.status() == StatusCode::TOO_MANY_REQUESTS,
        },
        Err(_) => Verdict { rejected: None, retry_after: None, is_for_all: false },
    })
}

/// How long to wait; `None` if the upstream wants a longer wait than is allowed. Another target is asked at
/// once: what one says of its load is not true of the others.
fn pause(verdict: &Verdict, retries: &Retries, is_other: bool, rounds: u32) -> Option<Duration> {
    let asked = verdict.retry_after.filter(|_| !is_other || verdict.is_for_all);
    if let Some(asked) = asked {
        return (asked <= retries.retry_after).then_some(asked);
    }
    if is_other {
        return Some(Duration::ZERO);
    }
    let doubled = retries.backoff.saturating_mul(1 << rounds.min(20));
    let most = doubled.min(retries.max_backoff);
    // Where there is no randomness, all wait for as long.
    let share = getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX));
    Some(most.mul_f64(share))
}

/// Seconds or a date (RFC 9110 section 10.2.3); what is neither says nothing.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}
