//! Validation of requests and responses, by JSON Schema or by an OpenAPI document.
//!
//! `config` is what is written in the file, `source` reads it into a `plan`: what is checked of which request.
//! `openapi` reads documents of that kind, `parameters` what is in paths, queries and fields, `schema` is the
//! language of schemas, `json` reads values exactly, `yaml` documents that are written so, `report` tells what is wrong.

mod config;
mod json;
mod memory;
mod openapi;
mod parameters;
mod plan;
mod report;
mod schema;
mod source;
mod yaml;

use std::rc::Rc;

use gateway_plugin_sdk::log;
use gateway_plugin_sdk::metrics::{self, Counter};
use gateway_plugin_sdk::prelude::*;
use serde::{Deserialize, Serialize};

pub use config::{Config, Mode, OpenApi, RequestConfig, ResponseConfig, Unknown, UnknownKeywords};

use json::Json;
use parameters::Sources;
use plan::{Found, Operation, Plan};
use report::{Finding, Verdict};
use schema::{Checker, Id, Side};
use source::Source;

const MAX_LIMIT: u64 = 64 << 20;

/// Whether a body comes with the request. The head does not say that over HTTP/2, nor where it is chunked.
const HAS_BODY: &str = "request.has-body";

/// Why a body is let through unread, where it is only reported.
const UNREAD: &str =
    "its length is not known, over the limit, or more than the plugin's memory has room for";

/// The plugin, configured.
#[derive(Debug)]
pub struct Validate {
    source: Source,
    unknown: Unknown,
    request_mode: Mode,
    request_limit: u64,
    response_mode: Mode,
    response_limit: u64,
    most: usize,
    violations: [Counter; 2],
}

/// What later hooks have to know.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Context {
    /// The operation, in this version of the document.
    operation: Option<(usize, u64)>,
    /// The schema of the body that is waited for.
    body: Option<usize>,
}

impl Plugin for Validate {
    type Config = Config;
    type Context = Context;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        for (limit, side) in
            [(config.request.limit, "request"), (config.response.limit, "response")]
        {
            if !(1..=MAX_LIMIT).contains(&limit) {
                errors.push(ConfigError::at(
                    format!("/{side}/limit"),
                    "a limit is from 1 byte to 64 MiB",
                ));
            }
        }
        if !(1..=100).contains(&config.max_errors) {
            errors.push(ConfigError::at("/max_errors", "from 1 to 100 places are told"));
        }
        let source = match (Source::new(&config), ConfigError::collect(errors)) {
            (Ok(source), Ok(())) => source,
            (Err(error), Ok(())) | (Ok(_), Err(error)) => return Err(error),
            (Err(error), Err(other)) => return Err(other.join(error)),
        };
        Ok(Self {
            source,
            unknown: config.openapi.as_ref().map_or(Unknown::Pass, |it| it.unknown),
            request_mode: config.request.mode,
            request_limit: config.request.limit,
            response_mode: config.response.mode,
            response_limit: config.response.limit,
            most: config.max_errors,
            violations: ["request", "response"]
                .map(|message| metrics::counter_with("violations", &[("message", message)])),
        })
    }

    fn interest(&self) -> Interest {
        let mut interest = Interest::on_request()
            .method()
            .path()
            .query()
            .header("content-type")
            .header("content-length")
            .header("content-encoding")
            .attribute(HAS_BODY)
            .never_waits();
        if self.response_mode != Mode::Off {
            interest = interest
                .and_on_response()
                .response_header("content-type")
                .response_header("content-length")
                .response_header("content-encoding");
        }
        if self.response_mode == Mode::Enforce {
            // What is compressed cannot be read here, and is not to pass unread.
            interest = interest.always_remove_header("accept-encoding");
        }
        interest
    }

    fn on_request(&self, request: &mut Request, context: &mut Context) -> Outcome {
        match self.look_at(request, context) {
            Ok(()) => Outcome::Next,
            Err(verdict) => self.judge_request(&verdict),
        }
    }

    fn on_request_body(&self, _: &mut Request, body: &mut Body, context: &mut Context) -> Outcome {
        let (Some(plan), Some(id)) = (self.plan_of(context), context.body) else {
            // The document changed since the head was looked at: nothing is let through unread.
            return self.judge_request(&Verdict::NotReady);
        };
        match self.check(&plan, id, body.bytes(), Side::Request) {
            Ok(()) => Outcome::Next,
            Err(Verdict::NoRoom) if self.request_mode == Mode::Report => {
                log::warn!("the request is not validated: {UNREAD}");
                Outcome::Next
            }
            Err(verdict) => self.judge_request(&verdict),
        }
    }

    fn on_response(&self, response: &mut ResponseHead, context: &mut Context) -> Outcome {
        context.body = None;
        let (Some(plan), Some((index, _))) = (self.plan_of(context), context.operation) else {
            return Outcome::Next;
        };
        let Some(operation) = plan.operations.get(index) else { return Outcome::Next };
        match self.look_at_response(response, operation) {
            Ok(id) => context.body = id,
            Err(why) => return self.judge_response(&why),
        }
        if context.body.is_none() {
            return Outcome::Next;
        }
        let length = response.header("content-length").and_then(|it| it.parse::<u64>().ok());
        if self.response_mode == Mode::Enforce || fits(length, self.response_limit) {
            response.want_body(BodyMode::Buffered(self.response_limit));
        } else {
            log::debug!("the response is not validated: {UNREAD}");
        }
        Outcome::Next
    }

    fn on_response_body(
        &self,
        _: &mut ResponseHead,
        body: &mut Body,
        context: &mut Context,
    ) -> Outcome {
        let (Some(plan), Some(id)) = (self.plan_of(context), context.body) else {
            return Outcome::Next;
        };
        match self.check(&plan, id, body.bytes(), Side::Response) {
            Ok(()) => Outcome::Next,
            Err(Verdict::NoRoom) if self.response_mode == Mode::Report => {
                log::warn!("the response is not validated: {UNREAD}");
                Outcome::Next
            }
            Err(verdict) => self.judge_response(&verdict.told()),
        }
    }
}

impl Validate {
    /// The plan by which the head of the request was looked at, if it is the one in force.
    fn plan_of(&self, context: &Context) -> Option<Rc<Plan>> {
        let (plan, version) = self.source.plan()?;
        context.operation.is_some_and(|(_, known)| known == version).then_some(plan)
    }

    fn look_at(&self, request: &mut Request, context: &mut Context) -> Result<(), Verdict> {
        let (plan, version) = self.source.plan().ok_or(Verdict::NotReady)?;
        let (index, captures) = match plan.find(request.method(), request.path()) {
            Found::Operation(index, captures) => (index, captures),
            _ if self.unknown == Unknown::Pass => return Ok(()),
            Found::NoPath => return Err(Verdict::NoPath),
            Found::NoMethod(allowed) => return Err(Verdict::NoMethod(allowed)),
        };
        context.operation = Some((index, version));
        let Some(operation) = plan.operations.get(index) else { return Ok(()) };
        if self.request_mode == Mode::Off {
            return Ok(());
        }
        let sources = Sources::new(request, captures, &operation.parameters);
        let checked =
            operation.parameters.iter().flat_map(|it| it.check(&sources, &plan.schemas, self.most));
        let mut findings: Vec<Finding> = checked.take(self.most).collect();
        let body = match look_at_body(request, operation) {
            Ok(id) => id,
            Err(Verdict::Wrong(more)) => {
                findings.extend(more);
                None
            }
            Err(verdict) if findings.is_empty() => return Err(verdict),
            Err(_) => None,
        };
        if !findings.is_empty() {
            return Err(Verdict::Wrong(findings));
        }
        let Some(id) = body else { return Ok(()) };
        let length = request.header("content-length").and_then(|it| it.parse::<u64>().ok());
        // The limit refuses what is longer, and nothing is to be refused where it is only reported.
        if self.request_mode == Mode::Enforce || fits(length, self.request_limit) {
            context.body = Some(id);
            request.want_request_body(BodyMode::Buffered(self.request_limit));
        } else {
            log::warn!("the request is not validated: {UNREAD}");
        }
        Ok(())
    }

    fn look_at_response(
        &self,
        response: &ResponseHead,
        operation: &Operation,
    ) -> Result<Option<Id>, String> {
        let status = response.status();
        let Some(content) = operation.response(status) else {
            // Plugins and the gateway refuse too, and no document lists that.
            let is_expected = operation.responses.is_empty() || !(200..400).contains(&status);
            return if is_expected {
                Ok(None)
            } else {
                Err(format!("the status {status} is not described"))
            };
        };
        if content.types.is_empty() || matches!(status, 204 | 304) {
            return Ok(None);
        }
        let Some(content_type) = response.header("content-type") else { return Ok(None) };
        match content.find(content_type) {
            None if status >= 400 => Ok(None),
            None => Err("the content-type is not described".to_owned()),
            Some(id) => {
                let encoding = response.header("content-encoding").unwrap_or("identity");
                let is_plain = encoding.eq_ignore_ascii_case("identity");
                match (id, is_plain, self.response_mode) {
                    (Some(_), false, Mode::Enforce) => Err("it is compressed".to_owned()),
                    (Some(_), false, _) => Ok(None),
                    (id, _, _) => Ok(id),
                }
            }
        }
    }

    fn check(&self, plan: &Plan, id: Id, body: &[u8], side: Side) -> Result<(), Verdict> {
        let value = Json::parse(body).map_err(|error| match error.is_for_room() {
            true => Verdict::NoRoom,
            false => {
                let detail = format!("is no JSON: {} (byte {})", error.message, error.at);
                Verdict::Wrong(vec![Finding::body("", detail)])
            }
        })?;
        let schemas = match (side, &plan.response_schemas) {
            (Side::Response, Some(schemas)) => schemas,
            _ => &plan.schemas,
        };
        let problems = Checker::new(schemas, side, self.most).problems(id, &value);
        if problems.is_empty() {
            return Ok(());
        }
        let findings = problems.into_iter().map(|it| Finding::body(it.pointer, it.detail));
        Err(Verdict::Wrong(findings.collect()))
    }

    fn judge_request(&self, verdict: &Verdict) -> Outcome {
        if self.request_mode == Mode::Off {
            return Outcome::Next;
        }
        self.violations[0].increment();
        match self.request_mode {
            Mode::Enforce => {
                log::info!("refuses the request: {}", verdict.told());
                Outcome::respond(verdict.refuse().because(verdict.told()))
            }
            Mode::Report => {
                log::warn!("the request is not as it has to be: {}", verdict.told());
                Outcome::Next
            }
            Mode::Off => Outcome::Next,
        }
    }

    fn judge_response(&self, why: &str) -> Outcome {
        self.violations[1].increment();
        log::warn!("the response is not as it has to be: {why}");
        match self.response_mode {
            Mode::Enforce => {
                let detail = "The answer of the service is not as it has to be.";
                Outcome::respond(Response::problem(502, "Bad Gateway", detail).because(why))
            }
            Mode::Report | Mode::Off => Outcome::Next,
        }
    }
}

/// Whether a body of this length can be read: as it comes, and once more.
fn fits(length: Option<u64>, limit: u64) -> bool {
    let length = length.filter(|length| *length <= limit).and_then(|it| usize::try_from(it).ok());
    length.is_some_and(|length| memory::has_room(length.saturating_mul(2)))
}

/// The schema that the body of a request is to be checked by, if any.
fn look_at_body(request: &Request, operation: &Operation) -> Result<Option<Id>, Verdict> {
    let Some(rule) = &operation.body else { return Ok(None) };
    if request.attribute(HAS_BODY) == Some("false") {
        let missing = || Verdict::Wrong(vec![Finding::body("", "is missing")]);
        return if rule.is_required { Err(missing()) } else { Ok(None) };
    }
    let content_type = request.header("content-type");
    let id = content_type.and_then(|it| rule.content.find(it)).ok_or(Verdict::WrongType)?;
    let encoding = request.header("content-encoding").unwrap_or("identity");
    if id.is_some() && !encoding.eq_ignore_ascii_case("identity") {
        return Err(Verdict::WrongType);
    }
    Ok(id)
}

register_plugin!(Validate);
