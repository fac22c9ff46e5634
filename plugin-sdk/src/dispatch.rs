//! From the calls of the gateway to the hooks of a plugin, and back.
//!
//! Owns the order: decode the context, build the view, call the hook, record what changed. The
//! component's exports and the native tests both go through here, so that a test sees what the
//! gateway sees.

use std::rc::Rc;

use crate::declared::Declared;
use crate::plugin::{ChunkOutcome, Outcome, Plugin};
use crate::wire::{
    BodyChange, BodyMode, ChunkDecision, Decision, RequestChange, RequestHead, ResponseChange,
};
use crate::{
    Body, Chunk, ConfigError, Interest, Request, Response, ResponseHead, Summary, configure,
    context, host,
};

/// A plugin, configured.
pub(crate) struct Configured<P> {
    plugin: P,
    declared: Rc<Declared>,
    /// The default context in bytes: what a context is compared with before any hook changed it.
    default_context: Vec<u8>,
    /// Whether a hook behind `on_request` may run without being asked for, and read the context.
    has_later_hooks: bool,
    /// Whether `on_complete` is called, which reads the context also after this plugin answered.
    has_end: bool,
}

impl<P: Plugin> Configured<P> {
    pub(crate) fn new(config: &str) -> Result<(Self, Interest), ConfigError> {
        let plugin = P::configure(configure::read(config)?)?;
        let interest = plugin.interest();
        let configured = Self {
            plugin,
            declared: Rc::new(Declared::new(&interest)),
            default_context: context::encode(&P::Context::default(), &[]).unwrap_or_default(),
            has_later_hooks: interest.response
                || interest.complete
                || interest.request_body != BodyMode::None
                || interest.response_body != BodyMode::None,
            has_end: interest.complete,
        };
        Ok((configured, interest))
    }

    pub(crate) fn on_request(&self, head: RequestHead) -> Decision<RequestChange> {
        let mut request = Request::arrived(Rc::clone(&self.declared), head);
        let mut context = P::Context::default();
        match self.plugin.on_request(&mut request, &mut context) {
            Outcome::Next => {
                let is_read = self.has_later_hooks || request.wants_body();
                let context =
                    is_read.then(|| context::encode(&context, &self.default_context)).flatten();
                request.into_change(context).map_or(Decision::Next, Decision::Change)
            }
            Outcome::Respond(response) => {
                request.set_attributes_now();
                self.keep_now(&context, &[]);
                Decision::Respond(told(*response))
            }
        }
    }

    pub(crate) fn on_request_body(
        &self,
        body: Vec<u8>,
        before: &[u8],
    ) -> Decision<BodyChange<RequestChange>> {
        let mut request = Request::remote(Rc::clone(&self.declared));
        let mut body = Body::arrived(body);
        let mut context = context::decode(before);
        match self.plugin.on_request_body(&mut request, &mut body, &mut context) {
            Outcome::Next => {
                let head = request.into_change(self.encode(&context, before));
                decide(body.into_change(), head)
            }
            Outcome::Respond(response) => {
                request.set_attributes_now();
                self.keep_now(&context, before);
                Decision::Respond(told(*response))
            }
        }
    }

    pub(crate) fn on_request_chunk(
        &self,
        data: Vec<u8>,
        last: bool,
        before: &[u8],
    ) -> ChunkDecision {
        let mut chunk = Chunk::arrived(data, last);
        let mut context = context::decode(before);
        let outcome = self.plugin.on_request_chunk(&mut chunk, &mut context);
        self.decide_chunk(outcome, chunk, &context, before)
    }

    pub(crate) fn on_response(
        &self,
        head: crate::wire::ResponseHead,
        before: &[u8],
    ) -> Decision<ResponseChange> {
        let mut response = ResponseHead::arrived(Rc::clone(&self.declared), head);
        let mut context = context::decode(before);
        match self.plugin.on_response(&mut response, &mut context) {
            Outcome::Next => response
                .into_change(self.encode(&context, before))
                .map_or(Decision::Next, Decision::Change),
            Outcome::Respond(response) => {
                self.keep_now(&context, before);
                Decision::Respond(told(*response))
            }
        }
    }

    pub(crate) fn on_response_body(
        &self,
        body: Vec<u8>,
        before: &[u8],
    ) -> Decision<BodyChange<ResponseChange>> {
        let mut response = ResponseHead::remote(Rc::clone(&self.declared));
        let mut body = Body::arrived(body);
        let mut context = context::decode(before);
        match self.plugin.on_response_body(&mut response, &mut body, &mut context) {
            Outcome::Next => {
                let head = response.into_change(self.encode(&context, before));
                decide(body.into_change(), head)
            }
            Outcome::Respond(response) => {
                self.keep_now(&context, before);
                Decision::Respond(told(*response))
            }
        }
    }

    pub(crate) fn on_response_chunk(
        &self,
        data: Vec<u8>,
        last: bool,
        before: &[u8],
    ) -> ChunkDecision {
        let mut chunk = Chunk::arrived(data, last);
        let mut context = context::decode(before);
        let outcome = self.plugin.on_response_chunk(&mut chunk, &mut context);
        self.decide_chunk(outcome, chunk, &context, before)
    }

    pub(crate) fn on_complete(&self, summary: &Summary, context: &[u8]) {
        self.plugin.on_complete(summary, &context::decode(context));
    }

    fn decide_chunk(
        &self,
        outcome: ChunkOutcome,
        chunk: Chunk,
        context: &P::Context,
        before: &[u8],
    ) -> ChunkDecision {
        match outcome {
            ChunkOutcome::Next => match (chunk.into_change(), self.encode(context, before)) {
                (None, None) => ChunkDecision::Next,
                (data, context) => ChunkDecision::Change { data, context },
            },
            ChunkOutcome::Abort(reason) => {
                self.keep_now(context, before);
                ChunkDecision::Abort(reason)
            }
        }
    }

    /// The outcome of a hook that answers or cuts a body off has no place for the context.
    fn keep_now(&self, context: &P::Context, before: &[u8]) {
        if self.has_end
            && let Some(context) = self.encode(context, before)
        {
            host::keep_context(&context);
        }
    }

    fn encode(&self, context: &P::Context, before: &[u8]) -> Option<Vec<u8>> {
        context::encode(context, if before.is_empty() { &self.default_context } else { before })
    }
}

/// As it crosses the border, and the gateway is told why.
fn told(response: Response) -> crate::wire::Response {
    response.tell_reason();
    response.into_wire()
}

fn decide<H: Default>(body: Option<Vec<u8>>, head: Option<H>) -> Decision<BodyChange<H>> {
    match (body, head) {
        (None, None) => Decision::Next,
        (body, head) => Decision::Change(BodyChange { body, head: head.unwrap_or_default() }),
    }
}
