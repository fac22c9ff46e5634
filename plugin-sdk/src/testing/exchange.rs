//! One exchange through a plugin, hook after hook in the gateway's order.
//!
//! Longer than most files, since the order of the hooks is one story: request and response, each
//! by head, whole body and chunks, are read side by side.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::attempts::Attempt;
use crate::cache::Background;
use crate::dispatch::Configured;
use crate::fields::apply;
use crate::held_response::HeadChange;
use crate::testing::cache::{self, Stage};
use crate::testing::contract::{Breach, judge_request, judge_response, judge_response_change};
use crate::testing::host::{self, ExchangeState, HeldState, LogLine, ResponseState, TestHost};
use crate::testing::message::{Answer, RequestBuilder, ResponseBuilder, SentRequest};
use crate::testing::slots::HeldSlots;
use crate::wire::{
    self, BodyMode, ChunkDecision, Decision, FieldEdit, NewAttribute, RequestChange, ResponseChange,
};
use crate::{Ending, Interest, Plugin, Summary};

/// How the exchange is after the hooks that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is passed on: to later plugins and the upstream, or back to the client.
    Next,
    /// The plugin answered.
    Respond,
    /// A request body was longer than the plugin's limit: the gateway answers 413.
    RequestTooLarge,
    /// A response body was longer than the plugin's limit: the exchange fails.
    ResponseTooLarge,
    /// The plugin cut the body off, for this reason.
    Abort(String),
    /// The plugin broke the contract: the exchange fails.
    Failed(Breach),
}

/// An exchange that was sent through a plugin.
pub struct Exchange<'a, P: Plugin> {
    configured: &'a Configured<P>,
    interest: &'a Interest,
    host: &'a Rc<TestHost>,
    state: RefCell<ExchangeState>,
    context: Vec<u8>,
    outcome: Outcome,
    request: SentRequest,
    answer: Option<Answer>,
    request_bytes: u64,
    response_body: BodyMode,
    /// What the request's hooks want written into the response.
    response_edits: Vec<FieldEdit>,
    reuse: Option<Duration>,
    first_log_line: usize,
    slots: HeldSlots,
    /// Responses that came.
    sent: u32,
    attempt: Option<Attempt>,
    /// Chunks that the plugin saw of the last response until it was let go.
    released_after: Option<usize>,
    background: Option<Background>,
    is_from_cache: bool,
    /// Whether the last response was cut off where its body broke off.
    is_broken: bool,
}

impl<'a, P: Plugin> Exchange<'a, P> {
    pub(crate) fn begin(
        configured: &'a Configured<P>,
        interest: &'a Interest,
        host: &'a Rc<TestHost>,
        request: RequestBuilder,
    ) -> Self {
        let RequestBuilder { head, mut attributes, chunks } = request;
        attributes.retain(|(name, _)| name != "request.has-body");
        attributes.push(("request.has-body".to_owned(), (!is_empty(&chunks)).to_string()));
        let mut exchange = Self {
            configured,
            interest,
            host,
            state: RefCell::new(ExchangeState {
                request: head,
                response: None,
                attributes: attributes.into_iter().collect(),
                may_take_slots: true,
                may_queue: true,
                ..ExchangeState::default()
            }),
            context: Vec::new(),
            response_edits: interest.every_response.clone(),
            reuse: None,
            outcome: Outcome::Next,
            request: SentRequest::default(),
            answer: None,
            request_bytes: chunks.iter().map(|chunk| chunk.len() as u64).sum(),
            response_body: interest.response_body,
            first_log_line: host.log_length(),
            slots: HeldSlots::none(host),
            sent: 0,
            attempt: None,
            released_after: None,
            background: None,
            is_from_cache: false,
            is_broken: false,
        };
        apply(&mut exchange.state.get_mut().request.fields, &interest.every_request);
        exchange.state.get_mut().cache.stage = Stage::Request;
        exchange.request_hooks(chunks);
        exchange.state.get_mut().cache.stage = Stage::Elsewhere;
        exchange.state.get_mut().may_take_slots = false;
        exchange.state.get_mut().may_queue = false;
        exchange.request.head = exchange.state.borrow().request.clone();
        exchange
    }

    /// How the exchange is after the hooks that ran.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The request as the plugin left it.
    ///
    /// # Panics
    /// If the plugin broke the contract.
    pub fn request(&self) -> &SentRequest {
        self.assert_contract();
        &self.request
    }

    /// The answer: the plugin's own, or the upstream's as the plugin left it; `None` before
    /// there is one.
    ///
    /// # Panics
    /// If the plugin broke the contract.
    pub fn answer(&self) -> Option<&Answer> {
        self.assert_contract();
        self.answer.as_ref()
    }

    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<String> {
        self.state.borrow().attributes.get(name).cloned()
    }

    /// All attributes.
    pub fn attributes(&self) -> BTreeMap<String, String> {
        self.state.borrow().attributes.clone()
    }

    /// For how long the gateway may make this request's change again without calling `on_request`;
    /// `None` if the plugin did not allow it, or called what may differ from call to call.
    pub fn reuse(&self) -> Option<Duration> {
        self.reuse
    }

    /// The attempt that the plugin asked for in place of the last response. The next response is the one to
    /// that.
    pub fn attempt(&self) -> Option<&Attempt> {
        self.attempt.as_ref()
    }

    /// How many chunks of the last response the plugin saw until it let it go, or its body ended, or the bound on
    /// the bytes was reached; `None` if it did not hold the response back, or did not let it go. No time passes here
    /// while a response is held back, but where it [falls silent](ResponseBuilder::falls_silent).
    pub fn released_after(&self) -> Option<usize> {
        self.released_after
    }

    /// What the client is sent while the last response is silent, and after how long, if the plugin wants that.
    pub fn kept_alive(&self) -> Option<(Vec<u8>, Duration)> {
        self.state.borrow().keep_alive.clone()
    }

    /// Whether the client sees that the last response [broke off](ResponseBuilder::breaks_off): the plugin has not ended it.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// How long the head of the response is waited for, if the plugin bounds that.
    pub fn first_byte(&self) -> Option<Duration> {
        self.state.borrow().first_byte
    }

    /// How many bytes of the response are read though its client has left, and for how long, if the plugin wants that.
    pub fn drained(&self) -> Option<(u64, Duration)> {
        self.state.borrow().drain
    }

    /// The request that the plugin had sent in the background, if it did.
    pub fn background(&self) -> Option<&Background> {
        self.background.as_ref()
    }

    /// Whether the answer is one that the cache had.
    pub fn is_from_cache(&self) -> bool {
        self.is_from_cache
    }

    /// What the plugin logged since this exchange began.
    pub fn log(&self) -> Vec<LogLine> {
        self.host.log().split_off(self.first_log_line)
    }

    /// Sends the upstream's response through the plugin: its head, and its body if it has one and
    /// the plugin wants it. Returns the answer that comes out.
    ///
    /// # Panics
    /// If the request did not get as far as the upstream, or the plugin fails the exchange; see
    /// [`try_response`](Self::try_response).
    pub fn response(&mut self, response: ResponseBuilder) -> &Answer {
        let outcome = self.try_response(response);
        let is_answered = matches!(outcome, Outcome::Next | Outcome::Respond);
        assert!(is_answered, "the plugin failed the exchange: {outcome:?}");
        self.answer.as_ref().expect("an exchange that did not fail has an answer")
    }

    /// Sends the upstream's response through the plugin, and says how the exchange stands then.
    ///
    /// # Panics
    /// If the request did not get as far as the upstream, or the plugin panics.
    pub fn try_response(&mut self, response: ResponseBuilder) -> &Outcome {
        let is_open = self.outcome == Outcome::Next && self.answer.is_none();
        assert!(is_open, "no upstream answers this request: {:?}", self.outcome);
        self.response_hooks(response);
        &self.outcome
    }

    /// Ends the exchange: `on_complete` sees a summary of what happened. Returns that summary.
    ///
    /// # Panics
    /// If the plugin does.
    pub fn complete(&mut self) -> Summary {
        let ending = match self.outcome {
            Outcome::Next | Outcome::Respond => Ending::Complete,
            Outcome::RequestTooLarge => Ending::Complete,
            Outcome::ResponseTooLarge | Outcome::Abort(_) | Outcome::Failed(_) => {
                Ending::PluginFailed
            }
        };
        self.complete_as(ending)
    }

    /// Ends the exchange in a given way.
    ///
    /// # Panics
    /// If the plugin does.
    pub fn complete_as(&mut self, ending: Ending) -> Summary {
        let from_upstream = self.outcome == Outcome::Next && self.answer.is_some();
        let named = self.request.upstream.clone().or_else(|| self.attribute("upstream.name"));
        let status = match (&self.answer, &self.outcome) {
            (_, Outcome::RequestTooLarge) => 413,
            (Some(answer), _) => answer.status(),
            (None, _) => 500,
        };
        let summary = Summary {
            ending,
            status,
            upstream: named.filter(|_| from_upstream),
            duration: Duration::from_millis(2),
            time_to_head: Duration::from_millis(1),
            request_bytes: self.request_bytes,
            response_bytes: self.answer.as_ref().map_or(0, |answer| answer.body.len() as u64),
        };
        self.slots.give_back();
        if self.interest.complete {
            let context = self.context.clone();
            let host = Rc::clone(self.host);
            host.end(summary.duration, || {
                self.call_without_waiting(|configured| configured.on_complete(&summary, &context));
            });
        }
        summary
    }

    fn request_hooks(&mut self, chunks: Vec<Vec<u8>>) {
        let mut mode = self.interest.request_body;
        if self.interest.request {
            let head = self.request_head();
            self.host.take_reached_out();
            let decided = self.call(|configured| configured.on_request(head));
            let decided = match self.waited_for_another() {
                true => {
                    let head = self.request_head();
                    self.call(|configured| configured.on_request(head))
                }
                false => decided,
            };
            match decided {
                Decision::Next => {}
                Decision::Change(change) => {
                    if !self.host.take_reached_out() {
                        let time = change.reuse_for.map(Duration::from_nanos);
                        self.reuse = time.map(|time| time.min(Duration::from_hours(1)));
                    }
                    mode = change.request_body.unwrap_or(mode);
                    self.change_request(change);
                }
                Decision::Respond(response) => self.respond(response),
            }
            self.hold_slots();
            self.serve_cached();
        }
        if self.outcome != Outcome::Next {
            return;
        }
        match mode {
            // There is nothing to see in a message without a body.
            _ if is_empty(&chunks) => {}
            BodyMode::None => self.request.body = chunks.concat(),
            BodyMode::Buffered(limit) => self.request_body(chunks.concat(), limit),
            BodyMode::Chunks => {
                self.state.get_mut().may_take_slots = false;
                self.request.body = self.stream(chunks, Configured::on_request_chunk)
            }
        }
    }

    fn request_body(&mut self, body: Vec<u8>, limit: u64) {
        if body.len() as u64 > limit {
            self.outcome = Outcome::RequestTooLarge;
            return;
        }
        self.request.body.clone_from(&body);
        self.state.get_mut().received = Some(body.clone());
        let context = self.context.clone();
        let again = body.clone();
        let decided = self.call(|configured| configured.on_request_body(body, &context));
        let decided = match self.waited_for_another() {
            true => self.call(|configured| configured.on_request_body(again, &context)),
            false => decided,
        };
        match decided {
            Decision::Next => {}
            Decision::Change(change) => {
                if let Some(body) = change.body {
                    self.request.body = body;
                }
                self.change_request(change.head);
            }
            Decision::Respond(response) => self.respond(response),
        }
        self.hold_slots();
        self.serve_cached();
    }

    /// Whether the hook that ran waits for the response of another exchange: it is called again.
    fn waited_for_another(&mut self) -> bool {
        std::mem::take(&mut self.state.get_mut().cache.waits)
    }

    /// Answers from the cache, if the hook that ran asked for it and let the exchange go on.
    fn serve_cached(&mut self) {
        let cached = &mut self.state.get_mut().cache;
        let (serve, background) = (cached.serve.take(), cached.background.take());
        if self.outcome != Outcome::Next {
            return;
        }
        self.background = background.or(self.background.take());
        let Some(serve) = serve else { return };
        let stored = cached.given(serve.entry).expect("the hook was given it").clone();
        let mut head = stored.head;
        head.status = serve.status.unwrap_or(head.status);
        apply(&mut head.fields, &cache::edits(&serve.change));
        let has_body = head.status != 304 && self.state.get_mut().request.method != "HEAD";
        let body = if has_body { stored.body } else { Vec::new() };
        self.host.cache().served.push(serve.freshness);
        self.is_from_cache = true;
        self.respond(wire::Response { status: head.status, fields: head.fields, body });
    }

    /// The same plugin over a request that another exchange sent in the background.
    pub(crate) fn background_of(of: &Self) -> Self {
        let background = of.background.as_ref().expect("nothing was sent in the background");
        let mut state = of.state.borrow().clone();
        state.response = None;
        state.cache.is_background = true;
        if let Some(entry) = background.entry {
            state.cache.keep(entry).expect("the hook was given it");
        }
        apply(&mut state.request.fields, &cache::edits(&background.change));
        let request = SentRequest { head: state.request.clone(), ..SentRequest::default() };
        Self {
            configured: of.configured,
            interest: of.interest,
            host: of.host,
            state: RefCell::new(state),
            context: background.context.clone(),
            outcome: Outcome::Next,
            request,
            answer: None,
            request_bytes: 0,
            response_body: of.interest.response_body,
            response_edits: Vec::new(),
            reuse: None,
            first_log_line: of.host.log_length(),
            slots: HeldSlots::none(of.host),
            sent: 0,
            attempt: None,
            released_after: None,
            background: None,
            is_from_cache: false,
            is_broken: false,
        }
    }

    /// Holds what the hook took, if the exchange goes on, and answers it if it would have to wait.
    fn hold_slots(&mut self) {
        let state = self.state.get_mut();
        let (taken, late) = (std::mem::take(&mut state.slots), state.late.take());
        let given_back = std::mem::take(&mut state.given_back);
        let mut taken_now = HeldSlots::none(self.host);
        taken_now.hold(taken);
        if self.outcome != Outcome::Next {
            return;
        }
        match late {
            Some(late) => self.respond(late),
            None => self.slots.take_over(taken_now),
        }
        given_back.iter().for_each(|key| self.slots.give_one_back(key));
    }

    fn response_hooks(&mut self, response: ResponseBuilder) {
        let ResponseBuilder { mut head, chunks, is_silent, is_broken } = response;
        apply(&mut head.fields, &self.response_edits);
        self.sent += 1;
        self.attempt = None;
        self.released_after = None;
        let state = self.state.get_mut();
        state.response = Some(head);
        state.sent = self.sent;
        state.hold = None;
        state.calls_late = false;
        state.calls_broken = false;
        self.is_broken = false;
        state.keep_alive = None;
        if self.interest.response {
            let head = self.response_head();
            let context = self.context.clone();
            self.state.get_mut().may_hold = true;
            self.state.get_mut().may_take_slots = true;
            self.state.get_mut().cache.stage = Stage::Response;
            match self.call(|configured| configured.on_response(head, &context)) {
                Decision::Next => {}
                Decision::Change(change) => self.change_response(change),
                Decision::Respond(response) => self.respond(response),
            }
            self.state.get_mut().may_hold = false;
            self.state.get_mut().may_take_slots = false;
            self.hold_slots();
            self.state.get_mut().cache.stage = Stage::ResponseChunk;
            self.serve_cached();
        }
        if self.outcome != Outcome::Next || self.is_sent_again() {
            return;
        }
        let hold = self.state.get_mut().hold;
        let body = match self.response_body {
            _ if hold.is_some() && (is_silent || is_broken) => {
                self.silent_response(chunks, hold.unwrap_or_default() as usize, is_broken)
            }
            _ if is_empty(&chunks) => Vec::new(),
            _ if hold.is_some() => self.held_response(chunks, hold.unwrap_or_default() as usize),
            BodyMode::None => chunks.concat(),
            BodyMode::Buffered(limit) => self.whole_response_body(chunks.concat(), limit),
            BodyMode::Chunks => {
                self.state.get_mut().sent = 0;
                self.stream(chunks, Configured::on_response_chunk)
            }
        };
        self.state.get_mut().sent = 0;
        if matches!(self.outcome, Outcome::Next | Outcome::Abort(_)) && !self.is_sent_again() {
            let head = self.state.borrow().response.clone().unwrap_or_default();
            self.store(&body);
            self.answer = Some(Answer { head, body });
        }
    }

    /// Puts the response into the cache, if it is to be stored and came whole.
    fn store(&mut self, body: &[u8]) {
        let cached = &mut self.state.get_mut().cache;
        let (store, head) = (cached.store.take(), std::mem::take(&mut cached.store_head));
        if let Some(store) = store.filter(|_| self.outcome == Outcome::Next) {
            let now = self.host.monotonic();
            self.host.cache().put(store, head, body.to_vec(), now);
        }
    }

    /// Sends a body chunk by chunk while the response is held back, and the rest as it streams.
    fn held_response(&mut self, chunks: Vec<Vec<u8>>, bound: usize) -> Vec<u8> {
        let mut kept = Vec::new();
        let chunks: Vec<Vec<u8>> = chunks.into_iter().filter(|c| !c.is_empty()).collect();
        let count = chunks.len();
        let mut chunks = chunks.into_iter().enumerate();
        for (index, chunk) in chunks.by_ref() {
            let is_last = index + 1 == count;
            match self.held_chunk(chunk, is_last, &mut kept) {
                None => return kept,
                Some(released) if released || is_last || kept.len() >= bound => {
                    self.released_after = Some(index + 1);
                    break;
                }
                Some(_) => {}
            }
        }
        self.state.get_mut().sent = 0;
        let rest: Vec<_> = chunks.map(|(_, chunk)| chunk).collect();
        kept.extend(self.stream(rest, Configured::on_response_chunk));
        kept
    }

    /// The same of a body behind whose chunks nothing comes until the time is over for which the response is held back. Then it ends.
    fn silent_response(&mut self, chunks: Vec<Vec<u8>>, bound: usize, is_broken: bool) -> Vec<u8> {
        let (mut kept, mut is_held) = (Vec::new(), true);
        for (index, chunk) in chunks.into_iter().filter(|chunk| !chunk.is_empty()).enumerate() {
            if !is_held {
                kept.extend(self.chunk(chunk, false, Configured::on_response_chunk));
                continue;
            }
            let Some(released) = self.held_chunk(chunk, false, &mut kept) else { return kept };
            if released || kept.len() >= bound {
                self.released_after = Some(index + 1);
                self.state.get_mut().sent = 0;
                is_held = false;
            }
        }
        if is_broken {
            let end = match self.state.get_mut().calls_broken && !is_held {
                true => self.chunk(Vec::new(), false, Configured::on_response_chunk),
                false => Vec::new(),
            };
            self.is_broken = end.is_empty();
            kept.extend(end);
            return kept;
        }
        if is_held {
            let time = self.state.get_mut().hold_time;
            self.host.advance(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
            let calls_late = self.state.get_mut().calls_late;
            if calls_late && self.held_chunk(Vec::new(), false, &mut kept).is_none() {
                return kept;
            }
        }
        self.state.get_mut().sent = 0;
        kept.extend(self.chunk(Vec::new(), true, Configured::on_response_chunk));
        kept
    }

    /// Sends a chunk while the response is held back. Whether it is let go; `None` if there is nothing to let go any more.
    fn held_chunk(&mut self, chunk: Vec<u8>, is_last: bool, kept: &mut Vec<u8>) -> Option<bool> {
        self.state.get_mut().held = Some(HeldState::default());
        kept.extend(self.chunk(chunk, is_last, Configured::on_response_chunk));
        let held = self.state.get_mut().held.take().unwrap_or_default();
        self.hold_slots();
        if let Outcome::Abort(_) = self.outcome {
            return None;
        }
        self.change_held_head(held.change);
        if let Some(answer) = held.answer {
            self.state.get_mut().attempt = None;
            self.respond(answer);
            return None;
        }
        if self.outcome != Outcome::Next || self.is_sent_again() {
            return None;
        }
        Some(held.release)
    }

    fn change_held_head(&mut self, change: Option<HeadChange>) {
        let Some(HeadChange { status, remove, set }) = change else { return };
        let removed = remove.into_iter().map(FieldEdit::Remove);
        let field = |(name, value)| FieldEdit::Set(wire::Field { name, value });
        let fields = removed.chain(set.into_iter().map(field)).collect();
        self.change_response(ResponseChange { status, fields, ..ResponseChange::default() });
    }

    /// Whether the hook that ran last asked for another attempt, and let the response pass.
    fn is_sent_again(&mut self) -> bool {
        let asked = self.state.get_mut().attempt.take();
        if self.outcome == Outcome::Next && asked.is_some() {
            self.attempt = asked;
        }
        self.attempt.is_some()
    }

    fn whole_response_body(&mut self, body: Vec<u8>, limit: u64) -> Vec<u8> {
        if body.len() as u64 > limit {
            self.outcome = Outcome::ResponseTooLarge;
            return body;
        }
        let context = self.context.clone();
        let former = body.clone();
        self.state.get_mut().cache.stage = Stage::Response;
        self.state.get_mut().may_take_slots = true;
        let decided = self.call(|configured| configured.on_response_body(body, &context));
        self.state.get_mut().may_take_slots = false;
        self.serve_cached();
        let mut body = former;
        match decided {
            Decision::Next => {}
            Decision::Change(change) => {
                self.change_response(change.head);
                body = change.body.unwrap_or(body);
            }
            Decision::Respond(response) => self.respond(response),
        }
        self.hold_slots();
        body
    }

    /// Sends a body chunk by chunk; what comes out, up to where it was cut off.
    fn stream(
        &mut self,
        chunks: Vec<Vec<u8>>,
        hook: fn(&Configured<P>, Vec<u8>, bool, &[u8]) -> ChunkDecision,
    ) -> Vec<u8> {
        let chunks: Vec<Vec<u8>> = chunks.into_iter().filter(|c| !c.is_empty()).collect();
        let count = chunks.len();
        let mut sent = Vec::new();
        for (index, chunk) in chunks.into_iter().enumerate() {
            sent.extend(self.chunk(chunk, index + 1 == count, hook));
            if let Outcome::Abort(_) = self.outcome {
                break;
            }
        }
        sent
    }

    /// Sends a piece of a body; what comes out.
    fn chunk(
        &mut self,
        chunk: Vec<u8>,
        last: bool,
        hook: fn(&Configured<P>, Vec<u8>, bool, &[u8]) -> ChunkDecision,
    ) -> Vec<u8> {
        let context = self.context.clone();
        let former = chunk.clone();
        // Pieces of a request cannot wait.
        let decision = if self.state.borrow().response.is_some() {
            self.call(|configured| hook(configured, chunk, last, &context))
        } else {
            self.call_without_waiting(|configured| hook(configured, chunk, last, &context))
        };
        match decision {
            ChunkDecision::Next => former,
            ChunkDecision::Change { data, context } => {
                self.keep(context);
                data.unwrap_or(former)
            }
            ChunkDecision::Abort(reason) => {
                self.keep_what_was_kept();
                self.outcome = Outcome::Abort(reason);
                Vec::new()
            }
        }
    }

    fn request_head(&self) -> wire::RequestHead {
        let state = self.state.borrow();
        let fields = &state.request.fields;
        wire::RequestHead {
            method: self.interest.method.then(|| state.request.method.clone().into()),
            path: self.interest.path.then(|| state.request.path.clone().into()),
            query: state.request.query.clone().filter(|_| self.interest.query).map(Into::into),
            fields: {
                let names = self.interest.request_fields.iter();
                names.map(|name| joined(fields, name)).collect::<Vec<_>>().into()
            },
            attributes: {
                let names = self.interest.attributes.iter();
                names.map(|name| state.attributes.get(name).cloned()).collect::<Vec<_>>().into()
            },
        }
    }

    fn response_head(&self) -> wire::ResponseHead {
        let state = self.state.borrow();
        let response = state.response.clone().unwrap_or_default();
        let names = self.interest.response_fields.iter();
        wire::ResponseHead {
            status: response.status,
            fields: names.map(|name| joined(&response.fields, name)).collect::<Vec<_>>().into(),
        }
    }

    fn change_request(&mut self, change: RequestChange) {
        if let Err(breach) = judge_request(&change) {
            self.outcome = Outcome::Failed(breach);
            return;
        }
        let state = self.state.get_mut();
        for NewAttribute { name, value } in change.attributes {
            state.attributes.insert((*name).into(), (*value).into());
        }
        self.response_edits.extend(change.response_fields);
        let request = &mut state.request;
        if let Some(method) = change.method {
            request.method = method;
        }
        if let Some(path) = change.path {
            request.path = path;
        }
        if let Some(query) = change.query {
            request.query = (!query.is_empty()).then_some(query);
        }
        apply(&mut request.fields, &change.fields);
        self.request.upstream = change.upstream.or(self.request.upstream.take());
        self.response_body = change.response_body.unwrap_or(self.response_body);
        self.keep(change.context);
    }

    fn change_response(&mut self, change: ResponseChange) {
        if let Err(breach) = judge_response_change(&change) {
            self.outcome = Outcome::Failed(breach);
            return;
        }
        let response = self.state.get_mut().response.get_or_insert_default();
        response.status = change.status.unwrap_or(response.status);
        apply(&mut response.fields, &change.fields);
        self.response_body = change.response_body.unwrap_or(self.response_body);
        self.keep(change.context);
    }

    fn respond(&mut self, response: wire::Response) {
        if let Err(breach) = judge_response(&response) {
            self.outcome = Outcome::Failed(breach);
            return;
        }
        self.keep_what_was_kept();
        let head = ResponseState { status: response.status, fields: response.fields };
        self.state.get_mut().response = Some(head.clone());
        self.answer = Some(Answer { head, body: response.body });
        self.outcome = Outcome::Respond;
    }

    /// A hook that answers or cuts a body off keeps its context by a call.
    fn keep_what_was_kept(&mut self) {
        let kept = self.state.get_mut().kept_context.take();
        self.keep(kept);
    }

    fn keep(&mut self, context: Option<Vec<u8>>) {
        if let Some(context) = context {
            self.context = context;
        }
    }

    /// Calls a hook with this exchange in the host.
    fn call<R>(&self, hook: impl FnOnce(&Configured<P>) -> R) -> R {
        self.host.calls().begin(true);
        self.call_hook(hook)
    }

    /// A hook that cannot wait for a response of an upstream.
    fn call_without_waiting<R>(&self, hook: impl FnOnce(&Configured<P>) -> R) -> R {
        self.host.calls().begin(false);
        self.call_hook(hook)
    }

    fn call_hook<R>(&self, hook: impl FnOnce(&Configured<P>) -> R) -> R {
        self.host.swap(self.state.borrow().clone());
        let result = host::serve(self.host, || hook(self.configured));
        self.state.replace(self.host.swap(ExchangeState::default()));
        result
    }

    fn assert_contract(&self) {
        if let Outcome::Failed(breach) = &self.outcome {
            panic!("the plugin broke the contract: {breach}");
        }
    }
}

fn is_empty(chunks: &[Vec<u8>]) -> bool {
    chunks.iter().all(Vec::is_empty)
}

/// The lines of a field as one value (RFC 9110 section 5.3).
fn joined(fields: &[wire::Field], name: &str) -> Option<Vec<u8>> {
    let lines = host::lines(fields, name);
    (!lines.is_empty()).then(|| lines.join(b", ".as_slice()))
}
