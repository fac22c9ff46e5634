//! Changes requests and responses: method, host, path, query, fields, status, JSON and text.
//!
//! This file is the glue between the gateway's hooks and the rules. `config` is what is in
//! the file, `rules` checks it, `request` and `response` change heads, `body` changes bodies, and
//! `template` with `values` fills `${...}` in. What is constant is made once, when the plugin is
//! configured; fields that are written with the same values into every head are left to the gateway,
//! and a hook without rules is not asked for.

mod body;
mod charset;
mod coding;
mod config;
mod encode;
mod events;
mod fields;
mod form;
mod json;
mod media_type;
mod memory;
mod query;
mod request;
mod response;
mod rules;
mod size;
mod template;
mod text;
mod values;
mod xml;

use gateway_plugin_sdk::prelude::*;

use crate::body::BodyState;
pub use crate::config::Config;
use crate::events::EventTooLarge;
use crate::fields::{Answer, Constant};
use crate::request::Asks;
use crate::rules::Rules;
use crate::template::Reference;
use crate::values::Values;

/// The plugin, configured.
#[derive(Debug)]
pub struct Transform {
    rules: Rules,
}

/// What the hooks of one exchange pass to one another.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Context {
    /// The values of the request that templates of the response name.
    values: Vec<Option<String>>,
    request: BodyState,
    response: BodyState,
}

impl Plugin for Transform {
    type Config = Config;
    type Context = Context;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Rules::check(&config).map(|rules| Self { rules })
    }

    fn interest(&self) -> Interest {
        let mut interest = self.declare_every(Interest::new());
        if !self.rules.request.is_empty() || !self.rules.plan.carried.is_empty() {
            interest = self.declare_request(interest.and_on_request());
        }
        if !self.rules.response.is_empty() && !self.rules.writes_response_early {
            interest = self.declare_response(interest.and_on_response());
        }
        interest
    }

    fn on_request(&self, request: &mut Request, context: &mut Context) -> Outcome {
        let Rules { references, plan, .. } = &self.rules;
        let values = Values::of_request(references, &plan.request_reads, request);
        if let Err(refusal) = self.rules.request.apply(request, &values, &mut context.request) {
            return Outcome::respond(refusal);
        }
        if self.rules.writes_response_early {
            if let Some(edits) = self.rules.response.fields_alone() {
                edits.apply(&mut Answer(request), &values);
            }
        } else {
            context.values = values.carry(&plan.carried);
        }
        Outcome::Next
    }

    fn on_request_body(
        &self,
        request: &mut Request,
        body: &mut Body,
        context: &mut Context,
    ) -> Outcome {
        let state = std::mem::take(&mut context.request);
        match state.change_whole(|_| self.rules.request.body.as_ref(), body) {
            Ok(media_type) => {
                if let Some(media_type) = media_type {
                    request.set_header("content-type", media_type.as_bytes());
                }
                Outcome::Next
            }
            Err(refusal) => Outcome::respond(request::refusal(&refusal)),
        }
    }

    fn on_request_chunk(&self, chunk: &mut Chunk, context: &mut Context) -> ChunkOutcome {
        changed(context.request.change_chunk(|_| self.rules.request.body.as_ref(), chunk))
    }

    fn on_response(&self, response: &mut ResponseHead, context: &mut Context) -> Outcome {
        let Rules { references, plan, .. } = &self.rules;
        let mut values = Values::carried(&plan.carried, &context.values);
        values.add_response(references, &plan.response_reads, response);
        match self.rules.response.apply(response, &values, &mut context.response) {
            Ok(()) => Outcome::Next,
            Err(refusal) => Outcome::respond(refusal),
        }
    }

    fn on_response_body(
        &self,
        response: &mut ResponseHead,
        body: &mut Body,
        context: &mut Context,
    ) -> Outcome {
        let state = std::mem::take(&mut context.response);
        match state.change_whole(|set| self.rules.response.body(set), body) {
            Ok(media_type) => {
                if let Some(media_type) = media_type {
                    response.set_header("content-type", media_type.as_bytes());
                }
                Outcome::Next
            }
            Err(refusal) => Outcome::respond(response::refusal(&refusal)),
        }
    }

    fn on_response_chunk(&self, chunk: &mut Chunk, context: &mut Context) -> ChunkOutcome {
        changed(context.response.change_chunk(|set| self.rules.response.body(set), chunk))
    }
}

fn changed(result: Result<(), EventTooLarge>) -> ChunkOutcome {
    match result {
        Ok(()) => ChunkOutcome::Next,
        Err(EventTooLarge) => {
            ChunkOutcome::Abort("an event is larger than `event_limit`".to_owned())
        }
    }
}

impl Transform {
    fn declare_every(&self, mut interest: Interest) -> Interest {
        for edit in self.rules.every_request.constants().unwrap_or_default() {
            interest = match edit {
                Constant::Set(name, value) => interest.always_set_header(name, value),
                Constant::Add(name, value) => interest.always_add_header(name, value),
                Constant::Remove(name) => interest.always_remove_header(name),
            };
        }
        for edit in self.rules.every_response.constants().unwrap_or_default() {
            interest = match edit {
                Constant::Set(name, value) => interest.always_set_response_header(name, value),
                Constant::Add(name, value) => interest.always_add_response_header(name, value),
                Constant::Remove(name) => interest.always_remove_response_header(name),
            };
        }
        interest
    }

    fn declare_request(&self, mut interest: Interest) -> Interest {
        let rules = &self.rules.request;
        if let Some(body) = &rules.body {
            interest = interest.header("content-type").header("content-encoding");
            if body.may_read_whole() {
                interest = interest.request_body(BodyMode::Buffered(body.limit));
            }
        }
        if matches!(rules.asks, Asks::Codings { .. }) {
            interest = interest.header("accept-encoding");
        }
        if !rules.query.is_empty() {
            interest = interest.query();
        }
        for name in rules.fields.reads() {
            interest = interest.header(name);
        }
        for &index in &self.rules.plan.request_reads {
            match &self.rules.references[index] {
                Reference::RequestHeader(name) => interest = interest.header(name),
                Reference::Attribute(name) => interest = interest.attribute(name),
                Reference::Method => interest = interest.method(),
                Reference::Path => interest = interest.path(),
                Reference::Query | Reference::QueryParameter(_) => interest = interest.query(),
                Reference::Status | Reference::ResponseHeader(_) => {}
            }
        }
        interest
    }

    fn declare_response(&self, mut interest: Interest) -> Interest {
        let sets = &self.rules.response;
        if sets.bodies().next().is_some() {
            for name in ["content-type", "content-encoding", "etag"] {
                interest = interest.response_header(name);
            }
        }
        // How much may be handed back is known by the interest: a decoded body is larger.
        let decoding = sets.bodies().filter(|body| body.may_read_whole());
        if let Some(limit) = decoding.map(|body| body.limit).max() {
            interest = interest.response_body(BodyMode::Buffered(limit));
        }
        for name in sets.0.iter().flat_map(|set| set.fields.reads()) {
            interest = interest.response_header(name);
        }
        for &index in &self.rules.plan.response_reads {
            if let Reference::ResponseHeader(name) = &self.rules.references[index] {
                interest = interest.response_header(name);
            }
        }
        interest
    }
}

register_plugin!(Transform);
