//! The spans of an exchange that has ended.
//!
//! Owns what is handed to the exporter, and that nothing is if nobody wants it. Must not build a span:
//! that is done on the exporter's thread.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::config::Action;
use crate::error::Failure;
use crate::exchange::{AtEnd, Exchange};
use crate::recorder::HookRecord;
use crate::spans::{Answer, Attempt, Finished, Hook, Wants};

/// Hands it to the exporter, where it is wanted.
#[derive(Debug)]
pub(super) struct Spans;

impl AtEnd for Spans {
    fn ended(&self, exchange: &Exchange, failure: Option<&Failure>) {
        let (Some(span), Some(sink)) = (&exchange.span, &exchange.snapshot.shared.spans) else {
            return;
        };
        let (status, duration) = (exchange.status(), exchange.elapsed());
        let wants = Wants { status, has_failed: failure.is_some(), duration };
        if !sink.exports() || !span.is_wanted(&sink.settings, wants) {
            return;
        }
        let (config, facts) = (&exchange.snapshot.config, exchange.facts());
        let (route, pattern) = exchange.route_and_pattern().unzip();
        let upstream = exchange.destination().map(|id| config.upstreams[id.0].name.as_str().into());
        sink.push(Finished {
            span: (**span).clone(),
            ended: SystemTime::now(),
            duration,
            request_id: exchange.id.clone(),
            listener: Arc::clone(&facts.listener.name),
            route: route.map(|route| route.name.as_str().into()),
            pattern: pattern.map(Into::into),
            consumer: exchange.run().and_then(|run| run.consumer()).map(Into::into),
            method: exchange.method.clone(),
            path: exchange.uri().path().into(),
            is_https: exchange.is_https(),
            version: exchange.version,
            client: exchange.client(),
            peer: facts.peer,
            status,
            failure: failure.map(|failure| (failure.error_source().as_str(), failure.chain())),
            is_broken: failure.is_some() && !exchange.is_answer_complete(),
            uploaded: exchange.uploaded(),
            downloaded: exchange.downloaded(),
            upstream,
            attempts: attempts(exchange),
            component: component(exchange, failure),
            hooks: hooks(exchange),
            calls: exchange.run().map(|run| run.made_calls()).unwrap_or_default(),
            now: exchange.timers().now(),
        });
    }
}

/// The hooks that were called; what was known without a call took no time.
fn hooks(exchange: &Exchange) -> Vec<Hook> {
    let (hooks, _omitted) = exchange.run().map(|run| run.hooks()).unwrap_or_default();
    let called = hooks.into_iter().filter(|hook| hook.how == "called" && hook.took_ns > 0);
    let hook = |hook: HookRecord| Hook {
        plugin: hook.plugin,
        hook: hook.hook,
        calls: hook.calls,
        at: Duration::from_nanos(hook.at_ns),
        took: Duration::from_nanos(hook.took_ns),
        waits: (Duration::from_nanos(hook.queue_ns), Duration::from_nanos(hook.instance_ns)),
        decision: hook.decision,
        status: hook.status,
        failure: hook.failure,
    };
    called.map(hook).collect()
}

/// What the component made of it, where one answers the route and was given the request.
fn component(exchange: &Exchange, failure: Option<&Failure>) -> Option<Answer> {
    let (route, _) = exchange.route_and_pattern()?;
    let Action::Component(id) = &route.action else { return None };
    let (now, (sent, answered)) = (exchange.timers().now(), exchange.at_upstream());
    let before = |at: Instant| now.saturating_duration_since(at);
    let failure = match answered {
        Some(_) => None,
        None => Some(failure.map_or("unanswered", |failure| failure.reason().as_str())),
    };
    Some(Answer {
        component: (**exchange.snapshot.component(*id).name()).into(),
        began: before(sent?),
        over: before(answered.unwrap_or(now)),
        failure,
    })
}

/// The tries at targets. Their own times are those of a coarse clock; where the exchange knows exactly when
/// the first began and the last was answered, that is taken.
fn attempts(exchange: &Exchange) -> Vec<Attempt> {
    let now = exchange.timers().now();
    let (sent, answered) = exchange.at_upstream();
    let before = |at: Instant| now.saturating_duration_since(at);
    let mut attempts = Vec::new();
    exchange.tries().list(|one| {
        let Some(target) = exchange.target(one) else { return };
        let is_first = attempts.is_empty();
        attempts.push(Attempt {
            authority: target.authority.as_str().into(),
            is_tls: target.tls,
            began: before(sent.filter(|_| is_first).unwrap_or(one.began)),
            over: before(one.ended.unwrap_or(now)),
            how: one.result,
            connect: one.connect,
        });
    });
    if let Some(last) = attempts.last_mut().filter(|last: &&mut Attempt| last.how == "answered") {
        last.over = answered.map_or(last.over, before);
    }
    attempts
}
