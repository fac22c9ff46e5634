//! Lets clients of the Model Context Protocol through to servers, and decides who may call what.
//!
//! A request's body is a `message` of JSON-RPC; `fields` checks that its head says the same, `rules` whether it is
//! allowed. The answer passes as it is, read on the side for what it says; `list` takes out what the client
//! may not see, and `pins` tells which tools are not what they were. `session` keeps sessions at one target, `resource`
//! says who issues tokens, `meter` counts. What is refused is an error of JSON-RPC (`refusal`). What a request keeps
//! between its hooks is `state`; an instance of the plugin remembers nothing about requests.

mod config;
mod fields;
#[cfg(test)]
mod fuzz;
mod list;
mod message;
mod meter;
mod pins;
mod receive;
mod refusal;
mod resource;
mod rules;
mod session;
mod state;
mod uri;

use gateway_json_rpc::{Events, Scanner, Unreadable, envelope};
use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::{digest, log};

pub use config::{Config, OnChanged, ResourceSpec, RuleSpec};
use list::Filter;
use meter::Meter;
use pins::{Pins, hex};
use resource::Resource;
use rules::Rules;
pub use state::Progress;
use state::Reading;

/// The plugin, configured.
#[derive(Debug)]
pub struct Mcp {
    rules: Rules,
    pins: Pins,
    on_changed: OnChanged,
    origins: Vec<String>,
    pass_authorization: bool,
    sticky_sessions: bool,
    resource: Option<Resource>,
    max_body: u64,
    max_list: u64,
    max_batch: usize,
    meter: Meter,
}

impl Plugin for Mcp {
    type Config = Config;
    type Context = Progress;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        let mut kept = |error| errors.push(error);
        let rules = Rules::new(&config.rules).map_err(&mut kept).ok();
        let pins = Pins::new(&config.pins).map_err(&mut kept).ok();
        let resource = config.resource.as_ref().map(Resource::new).transpose();
        let resource = resource.map_err(&mut kept).ok();
        for (at, origin) in config.origins.iter().enumerate() {
            let is_origin = origin.split_once("://").is_some_and(|(scheme, rest)| {
                !scheme.is_empty() && !rest.is_empty() && !rest.contains(['/', '*'])
            });
            if origin != "*" && !is_origin {
                let message = "is no origin such as `https://app.example.com`, and not `*`";
                kept(ConfigError::at(format!("/origins/{at}"), message));
            }
        }
        let meter = match &rules {
            Some(rules) => Meter::new(rules, &config.metric_names).map_err(&mut kept).ok(),
            None => None,
        };
        ConfigError::collect(errors)?;
        let (Some(rules), Some(pins), Some(resource), Some(meter)) = (rules, pins, resource, meter)
        else {
            return Err(ConfigError::new("the configuration cannot be read"));
        };
        Ok(Self {
            rules,
            pins,
            on_changed: config.on_changed,
            origins: config.origins.iter().map(|origin| origin.to_ascii_lowercase()).collect(),
            pass_authorization: config.pass_authorization,
            sticky_sessions: config.sticky_sessions,
            resource,
            max_body: config.max_body,
            max_list: config.max_list,
            max_batch: config.max_batch,
            meter,
        })
    }

    fn interest(&self) -> Interest {
        Interest::on_request()
            .method()
            .path()
            .header("origin")
            .header("mcp-session-id")
            .header("mcp-protocol-version")
            .header("content-type")
            .header("content-encoding")
            .attribute("request.has-body")
            .attribute("request.has-upgrade")
            .and_on_response()
            .response_header("content-type")
            .response_header("content-encoding")
            .response_header("mcp-session-id")
            .and_on_complete()
    }

    fn on_request(&self, request: &mut Request, progress: &mut Progress) -> Outcome {
        match self.receive(request, progress) {
            Ok(()) => Outcome::Next,
            Err(refused) => Outcome::Respond(refused),
        }
    }

    fn on_request_body(
        &self,
        request: &mut Request,
        body: &mut Body,
        progress: &mut Progress,
    ) -> Outcome {
        match self.receive_messages(request, body) {
            Ok(call) => {
                progress.0 = Some(Box::new(call));
                Outcome::Next
            }
            Err(refused) => Outcome::Respond(refused),
        }
    }

    fn on_response(&self, response: &mut ResponseHead, progress: &mut Progress) -> Outcome {
        let Some(call) = &mut progress.0 else { return Outcome::Next };
        if let Some(id) = response.header("mcp-session-id").map(str::to_owned) {
            let id = match &call.affinity {
                Some(key) => session::join(key, &id),
                None => id,
            };
            meter::set("mcp.session", &digest_of_session(&id));
            if call.affinity.is_some() {
                response.set_header("mcp-session-id", id);
            }
        }
        let is_coded =
            response.header("content-encoding").is_some_and(|coding| coding != "identity");
        if is_coded {
            // It was not asked for.
            let message = "the server's answer has a content coding";
            if call.filters && response.status() < 300 {
                log::warn!("{message}, so that it cannot be filtered");
                return Outcome::respond(refusal::unreadable(call.id.as_deref()));
            }
            log::debug!("{message}, so that it is not read");
            return Outcome::Next;
        }
        let kind = response.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        call.reading = match &*kind {
            "application/problem+json" if response.status() >= 400 && call.id.is_some() => {
                Reading::Problem
            }
            "text/event-stream" => Reading::Events(Box::default()),
            "application/json" if call.lists => Reading::List,
            "application/json" => Reading::Json(Scanner::default()),
            _ if call.lists && response.status() == 200 => {
                log::warn!("a list of the media type `{kind}` cannot be filtered");
                return Outcome::respond(refusal::unreadable(call.id.as_deref()));
            }
            _ => return Outcome::Next,
        };
        response.want_body(match call.reading {
            Reading::List | Reading::Problem => BodyMode::Buffered(self.max_list),
            _ => BodyMode::Chunks,
        });
        Outcome::Next
    }

    fn on_response_body(
        &self,
        response: &mut ResponseHead,
        body: &mut Body,
        progress: &mut Progress,
    ) -> Outcome {
        let Some(call) = &mut progress.0 else { return Outcome::Next };
        if let (Reading::Problem, Some(id)) = (&call.reading, &call.id) {
            // By then the gateway does not know any more whom it answers.
            if let Some(error) = envelope::error_of_problem(id, response.status(), body.bytes()) {
                response.set_header("content-type", "application/json");
                body.set(error);
            }
            return Outcome::Next;
        }
        let mut scanner = Scanner::default();
        scanner.read(body.bytes());
        call.said = scanner.said();
        meter::tell(call.said);
        match self.filter(&call.of).message(body.bytes()) {
            Ok(Some(changed)) => body.set(changed),
            Ok(None) => {}
            // Clients do not read it either.
            Err(_) if response.status() >= 400 => {}
            Err(_) => {
                log::warn!("the server's list is not JSON");
                return Outcome::respond(refusal::unreadable(call.id.as_deref()));
            }
        }
        Outcome::Next
    }

    fn on_response_chunk(&self, chunk: &mut Chunk, progress: &mut Progress) -> ChunkOutcome {
        let Some(call) = &mut progress.0 else { return ChunkOutcome::Next };
        let before = call.said;
        match &mut call.reading {
            Reading::Nothing | Reading::List | Reading::Problem => return ChunkOutcome::Next,
            Reading::Json(scanner) => {
                scanner.read(chunk.data());
                if call.filters && scanner.has_list() {
                    return ChunkOutcome::Abort("a list that nobody asked for here".to_owned());
                }
                if chunk.is_last() {
                    call.said = scanner.said();
                }
            }
            Reading::Events(events) => {
                let filter = call.filters.then(|| self.filter(&call.of));
                if pass(events, chunk, filter.as_ref(), call.id.as_deref()).is_err() {
                    return ChunkOutcome::Abort("a list is too long to be filtered".to_owned());
                }
                call.said = events.said;
            }
        }
        if call.said != before {
            meter::tell(call.said);
        }
        ChunkOutcome::Next
    }

    fn on_complete(&self, summary: &Summary, progress: &Progress) {
        if let Some(call) = progress.0.as_ref().filter(|call| !call.method.is_empty()) {
            self.meter.ended(call, summary);
        }
    }
}

impl Mcp {
    fn filter<'a>(&'a self, of: &'a [u16]) -> Filter<'a> {
        Filter { rules: &self.rules, pins: &self.pins, on_changed: self.on_changed, of }
    }

    /// Whether lists are changed at all.
    fn filters(&self) -> bool {
        self.rules.any() || !self.pins.is_empty()
    }
}

/// An event stream, with lists as the client may see them.
fn pass(
    events: &mut Events,
    chunk: &mut Chunk,
    filter: Option<&Filter<'_>>,
    id: Option<&str>,
) -> Result<(), Unreadable> {
    let Some(filter) = filter else { return events.read(chunk.data(), None).map(drop) };
    let change = |message: &[u8]| {
        filter.message(message).or_else(|_| {
            log::warn!("a list of the server in a stream cannot be read");
            Ok(Some(refusal::unreadable_message(id)))
        })
    };
    let mut out = events.read(chunk.data(), Some(&change))?;
    if chunk.is_last() {
        out.extend(events.rest());
    }
    if out != chunk.data() {
        chunk.replace(out);
    }
    Ok(())
}

/// A session, for logs and keys. Whoever has the id itself can speak in the session.
fn digest_of_session(id: &str) -> String {
    hex(&digest::sha256(id.as_bytes())[..8])
}

register_plugin!(Mcp);
