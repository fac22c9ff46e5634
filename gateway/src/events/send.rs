//! The one thread that sends events.
//!
//! Owns batches and what becomes of one: delivered, sent again later, or dropped. One task a sink, so that a receiver that does
//! not answer holds up no other. The log has a line when a receiver is lost and one when it is back.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body::Body as _;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::{LAST, Sink, batch, lock};
use crate::body::Body;
use crate::config::{HostPolicy, Target, UpstreamId};
use crate::names::Names;
use crate::tcp::run_flusher;
use crate::telemetry::metrics::Dropped;
use crate::timer::Timers;
use crate::upstream::Upstreams;

const AGENT: HeaderValue = HeaderValue::from_static(concat!("gateway/", env!("CARGO_PKG_VERSION")));
/// How long to wait before a batch is sent again: twice as long each time, up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// What a receiver may ask for with `Retry-After`.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// What waits, as it was emitted.
type Queue = mpsc::UnboundedReceiver<Box<[u8]>>;

/// Sends for the sinks that come, until nobody sends any more and each has ended.
pub(super) fn run(mut sinks: mpsc::UnboundedReceiver<Arc<Sink>>, names: &Arc<Names>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "events are not sent"),
    };
    LocalSet::new().block_on(&runtime, async {
        // Connections to upstreams write through it.
        tokio::task::spawn_local(run_flusher());
        let timers = Timers::new();
        let mut tasks = Vec::new();
        while let Some(sink) = sinks.recv().await {
            let Some(queue) = lock(&sink.waiting).take() else { continue };
            let task = Task { sink, names: Arc::clone(names), timers: timers.clone(), made: None };
            tasks.push(tokio::task::spawn_local(task.run(queue)));
            tasks.retain(|task| !task.is_finished());
        }
        for task in tasks {
            let _panicked = task.await;
        }
    });
    runtime.shutdown_background();
}

/// What sends for one sink.
struct Task {
    sink: Arc<Sink>,
    names: Arc<Names>,
    timers: Timers,
    /// Its upstream, with the targets of which it was made.
    made: Option<(Upstreams, Vec<Target>)>,
}

/// Why a batch was not taken.
enum Failed {
    /// It will never be.
    Refused(StatusCode),
    /// It may be later; the receiver may have said when.
    Away(String, Option<Duration>),
}

impl Task {
    async fn run(mut self, mut queue: Queue) {
        let mut next = None;
        loop {
            let Some(events) = self.collect(&mut queue, &mut next).await else { break };
            if !self.deliver(&events).await {
                self.sink.took(&events);
                self.sink.counts.dropped(Dropped::Ended, events.len());
                break;
            }
            self.sink.took(&events);
            self.tell_of_room();
        }
        self.sink.is_closed.store(true, Relaxed);
        queue.close();
        let mut left: Vec<_> = next.into_iter().collect();
        while let Ok(event) = queue.try_recv() {
            left.push(event);
        }
        self.sink.took(&left);
        if !left.is_empty() {
            self.sink.counts.dropped(Dropped::Ended, left.len());
        }
    }

    /// The next batch, when it is full or its time has come; `None` when the sink ends and nothing waits.
    async fn collect(
        &self,
        queue: &mut Queue,
        next: &mut Option<Box<[u8]>>,
    ) -> Option<Vec<Box<[u8]>>> {
        let (sink, definition) = (&self.sink, &self.sink.definition);
        let mut events: Vec<Box<[u8]>> = next.take().into_iter().collect();
        let mut size: usize = events.iter().map(|event| event.len() + 1).sum();
        let mut until = (!events.is_empty()).then(|| Instant::now() + definition.interval);
        loop {
            while events.len() < definition.batch {
                let Ok(event) = queue.try_recv() else { break };
                if !events.is_empty() && size + event.len() >= definition.batch_size {
                    *next = Some(event);
                    return Some(events);
                }
                size += event.len() + 1;
                events.push(event);
                until.get_or_insert_with(|| Instant::now() + definition.interval);
            }
            let is_over =
                self.until().is_some_and(|end| Instant::now() >= end) || sink.is_over.load(Relaxed);
            let is_due = until.is_some_and(|until| Instant::now() >= until);
            if events.len() >= definition.batch || (!events.is_empty() && (is_due || is_over)) {
                return Some(events);
            }
            if is_over {
                return None;
            }
            // Somebody wakes it for a large queue, and for the end; an event is seen at its time at the latest.
            let pause = match until {
                Some(until) => until.saturating_duration_since(Instant::now()),
                None => definition.interval,
            };
            let pause = pause.min(Duration::from_secs(1)).max(Duration::from_millis(1));
            let _early = tokio::time::timeout(pause, sink.wake.notified()).await;
        }
    }

    /// When it gives up, if it does: where no configuration has the sink any more.
    fn until(&self) -> Option<Instant> {
        *lock(&self.sink.ends_at)
    }

    /// Sends a batch until it is taken or refused. `false` if the sink ended before.
    async fn deliver(&mut self, events: &[Box<[u8]>]) -> bool {
        let sink = Arc::clone(&self.sink);
        let content = batch::content(events, sink.definition.format);
        let mut wait = FIRST_WAIT;
        let mut last: Option<Instant> = None;
        loop {
            let over = || sink.is_over.load(Relaxed);
            if over() {
                last.get_or_insert_with(|| Instant::now() + LAST);
            }
            let sent = {
                let send = self.send(content.clone());
                let mut send = pin!(send);
                // At the end of the process a receiver that hangs has no more than the last while.
                loop {
                    let left = last.map(|end| end.saturating_duration_since(Instant::now()));
                    let patience = left.unwrap_or(Duration::from_millis(500));
                    match tokio::time::timeout(patience, send.as_mut()).await {
                        Ok(sent) => break Some(sent),
                        Err(_) if last.is_some() => break None,
                        Err(_) if over() => last = Some(Instant::now() + LAST),
                        Err(_) => {}
                    }
                }
            };
            match sent {
                None => return false,
                Some(Ok(())) => {
                    sink.counts.delivered(events.len());
                    if sink.is_away.swap(false, Relaxed) {
                        let dropped = sink.counts.all_dropped();
                        tracing::info!(sink = sink.name(), dropped, "events are taken again");
                    }
                    return true;
                }
                Some(Err(Failed::Refused(status))) => {
                    sink.counts.dropped(Dropped::Refused, events.len());
                    if !sink.is_away.swap(true, Relaxed) {
                        tracing::warn!(
                            sink = sink.name(),
                            "the receiver refuses events with {}: they are dropped and counted in \
                             `gateway_events_dropped_total`",
                            status.as_u16()
                        );
                    }
                    return true;
                }
                Some(Err(Failed::Away(why, asked))) => {
                    sink.counts.failed();
                    if !sink.is_away.swap(true, Relaxed) {
                        tracing::warn!(
                            sink = sink.name(),
                            "events are not taken, and wait: {why}. They are sent again until they are"
                        );
                    }
                    let pause = asked.unwrap_or_else(|| jittered(wait));
                    wait = (wait * 2).min(LONGEST_WAIT);
                    if !self.pause(pause, &mut last).await {
                        return false;
                    }
                }
            }
        }
    }

    /// Waits before the next attempt. `false` if there is none.
    async fn pause(&self, pause: Duration, last: &mut Option<Instant>) -> bool {
        let mut until = Instant::now() + pause;
        loop {
            let now = Instant::now();
            if self.sink.is_over.load(Relaxed) {
                let end = *last.get_or_insert(now + LAST);
                // What is left of the time is for more attempts.
                until = until.min(now + FIRST_WAIT);
                if now >= end {
                    return false;
                }
            }
            if self.until().is_some_and(|end| now >= end) {
                return false;
            }
            if now >= until {
                return true;
            }
            tokio::time::sleep((until - now).min(Duration::from_millis(100))).await;
        }
    }

    async fn send(&mut self, content: bytes::Bytes) -> Result<(), Failed> {
        let timeout = self.sink.definition.timeout;
        let sent = tokio::time::timeout(timeout, self.send_once(content)).await;
        let late = || Failed::Away(format!("no answer within {timeout:?}"), None);
        sent.unwrap_or_else(|_| Err(late()))
    }

    async fn send_once(&mut self, content: bytes::Bytes) -> Result<(), Failed> {
        let away = |why: String| Failed::Away(why, None);
        let definition = Arc::clone(&self.sink.definition);
        let upstreams = self.upstreams().map_err(away)?;
        let length = content.len();
        let mut request = Request::new(Body::full(content));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = definition.path.clone().into();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, AGENT);
        let kind = HeaderValue::from_static(batch::content_type(definition.format));
        headers.insert(CONTENT_TYPE, kind);
        for (name, value) in &definition.headers {
            headers.insert(name, value.clone());
        }
        headers.insert(CONTENT_LENGTH, length.into());
        let names_host = headers.contains_key(HOST);
        let host = if names_host { HostPolicy::Preserve } else { HostPolicy::Target };
        let exchange = upstreams.upstream(UpstreamId(0)).send(&mut request, &host).await;
        let exchange = exchange.map_err(|error| away(error.to_string()))?;
        let (head, body) = exchange.response.into_parts();
        // The connection has served this one when the body has come.
        let _lease = exchange.lease;
        let mut body = pin!(body);
        while let Some(frame) =
            std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await
        {
            // What the receiver says besides does not matter.
            if frame.is_err() {
                break;
            }
        }
        let asked =
            head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let asked = asked.map(|seconds| Duration::from_secs(seconds).min(LONGEST_ASKED));
        match head.status {
            status if status.is_success() => Ok(()),
            // What is wrong with the content will be wrong again.
            status @ (StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY) => Err(Failed::Refused(status)),
            status => Err(Failed::Away(format!("the receiver answers {}", status.as_u16()), asked)),
        }
    }

    /// Its upstream, made again where its names stand for other targets by now.
    fn upstreams(&mut self) -> Result<&Upstreams, String> {
        let mut definition = self.sink.definition.upstream.clone();
        if !definition.written.is_empty() {
            definition.targets = self.names.targets(&definition);
        }
        let made = match self.made.take() {
            Some(made) if made.1 == definition.targets => made,
            _ => {
                let made =
                    Upstreams::new(std::slice::from_ref(&definition), &self.names, &self.timers);
                (made.map_err(|error| error.to_string())?, definition.targets)
            }
        };
        Ok(&self.made.insert(made).0)
    }

    /// The log has said that there is no room, and there is.
    fn tell_of_room(&self) {
        let sink = &self.sink;
        let has_room = sink.counts.queued.load(Relaxed) < sink.definition.queue / 2;
        if has_room && sink.is_full.swap(false, Relaxed) {
            let dropped = sink.counts.all_dropped();
            tracing::info!(sink = sink.name(), dropped, "there is room for events again");
        }
    }
}

/// So that many gateways do not send at one moment.
fn jittered(wait: Duration) -> Duration {
    let mut random = [0];
    // Without random numbers it is as long as the others'.
    let _none = getrandom::fill(&mut random);
    wait.mul_f64(0.9 + f64::from(random[0]) / 255.0 * 0.2)
}
