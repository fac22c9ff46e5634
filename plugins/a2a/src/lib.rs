//! Lets clients of the Agent2Agent protocol (A2A) through to an agent.
//!
//! A request is a message of JSON-RPC: `operation` says what it asks for, under the names of both revisions. The agent's
//! card, by which clients find it, has the gateway's addresses (`card`). Answers pass as they are, and are read on the side.

mod card;
mod meter;
mod operation;

use gateway_json_rpc::{Envelope, Events, Said, Scanner, envelope};
use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::{attributes, log};

use card::Address;
use meter::Meter;
use operation::Operation;

/// The longest card that is read, in bytes.
const MAX_CARD: u64 = 1 << 20;

/// Lets clients of the Agent2Agent protocol through to an agent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address at which clients reach the agent, such as `"https://api.example.com/agents/weather"`. It stands in the
    /// agent's card in place of the scheme, the host and the port of the agent's own.
    pub address: String,

    /// Pass the client's `Authorization` on to the agent. Default `false`.
    #[serde(default)]
    pub pass_authorization: bool,

    /// The longest request body that is read, in bytes. A longer one is answered 413. Default 4 MiB.
    #[serde(default = "default_max_body")]
    #[schemars(range(min = 1024, max = 67_108_864))]
    pub max_body: u64,
}

fn default_max_body() -> u64 {
    4 << 20
}

/// The plugin, configured.
#[derive(Debug)]
pub struct A2a {
    address: Address,
    pass_authorization: bool,
    max_body: u64,
    meter: Meter,
}

/// A request that goes to the agent, if it is of the protocol.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Progress(Option<Box<Call>>);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Call {
    operation: Operation,
    /// The id of the request, as it is written.
    id: Option<String>,
    /// Whether the answer is a card, or has one as its result.
    card: Option<card::Place>,
    reading: Reading,
    said: Said,
}

#[derive(Debug, Default, Serialize, Deserialize)]
enum Reading {
    #[default]
    Nothing,
    Json(Scanner),
    /// A problem document, of the gateway where no agent answered.
    Problem,
    Events(Box<Events>),
}

impl Plugin for A2a {
    type Config = Config;
    type Context = Progress;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let Some(address) = Address::new(&config.address) else {
            let message = "is no address of http or https without a query and a fragment";
            return Err(ConfigError::at("/address", message));
        };
        let Config { pass_authorization, max_body, .. } = config;
        Ok(Self { address, pass_authorization, max_body, meter: Meter::default() })
    }

    fn interest(&self) -> Interest {
        Interest::on_request()
            .method()
            .path()
            .header("a2a-version")
            .header("content-type")
            .header("content-encoding")
            .attribute("request.has-body")
            .attribute("request.has-upgrade")
            .and_on_response()
            .response_header("content-type")
            .response_header("content-encoding")
            .and_on_complete()
    }

    fn on_request(&self, request: &mut Request, progress: &mut Progress) -> Outcome {
        // What is said in another protocol could not be read here.
        if request.attribute("request.has-upgrade") == Some("true") {
            let message = "No other protocol is spoken here: send the request without `Upgrade`.";
            return Outcome::Respond(refuse(405, None, -32_600, message, Some("GET, POST")));
        }
        match request.method() {
            // An agent that looks into it would see what nobody has checked.
            "GET" | "OPTIONS" if request.attribute("request.has-body") == Some("true") => {
                let message = "A body is sent by POST.";
                return Outcome::Respond(refuse(400, None, -32_600, message, None));
            }
            // A preflight request asks about another one.
            "OPTIONS" => {
                if !self.pass_authorization {
                    request.remove_header("authorization");
                }
                return Outcome::Next;
            }
            "GET" if card::is_at(request.path()) => {
                let card = Some(card::Place::Whole);
                progress.0 =
                    Some(Box::new(Call { operation: Operation::Card, card, ..Call::default() }));
                set(request, "a2a.operation", Operation::Card.name());
                // What is kept by a client is the gateway's card, which changes by its configuration too.
                request.remove_header("if-none-match");
                request.remove_header("if-modified-since");
            }
            "POST" => {
                if let Err(refused) = check_content(request) {
                    return Outcome::Respond(refused);
                }
                request.want_request_body(BodyMode::Buffered(self.max_body));
            }
            _ => {
                let message = "Only calls by POST and the agent's card are known here.";
                return Outcome::Respond(refuse(405, None, -32_600, message, Some("GET, POST")));
            }
        }
        request.set_header("accept-encoding", "identity");
        if !self.pass_authorization {
            request.remove_header("authorization");
        }
        Outcome::Next
    }

    fn on_request_body(
        &self,
        request: &mut Request,
        body: &mut Body,
        progress: &mut Progress,
    ) -> Outcome {
        let message = match envelope::read(body.bytes()) {
            Ok((mut messages, false)) => messages.remove(0),
            Ok((_, true)) => {
                let message = "A body is one message, and no batch.";
                return Outcome::Respond(refuse(400, None, -32_600, message, None));
            }
            Err(fault) => {
                let id = envelope::id_of(body.bytes());
                return Outcome::Respond(refuse(400, id, fault.code, fault.message, None));
            }
        };
        let operation = Operation::of(&message.method);
        if let Err(fault) = tell(request, &message, operation) {
            return Outcome::Respond(refuse(400, message.id, fault.code, fault.message, None));
        }
        let card = (operation == Operation::GetExtendedAgentCard).then_some(card::Place::Result);
        let id = message.id_of_request();
        progress.0 = Some(Box::new(Call { operation, id, card, ..Call::default() }));
        Outcome::Next
    }

    fn on_response(&self, response: &mut ResponseHead, progress: &mut Progress) -> Outcome {
        let Some(call) = &mut progress.0 else { return Outcome::Next };
        let is_coded =
            response.header("content-encoding").is_some_and(|coding| coding != "identity");
        let kind = response.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if call.card.is_some() && response.status() == 200 {
            if is_coded || !matches!(&*kind, "application/json" | "application/a2a+json") {
                log::warn!("the agent's card is no JSON that can be read");
                return Outcome::Respond(refuse(
                    502,
                    call.id.as_deref(),
                    -32_603,
                    card::UNREADABLE,
                    None,
                ));
            }
            // They are those of another text.
            response.remove_header("etag");
            response.remove_header("last-modified");
            response.want_body(BodyMode::Buffered(MAX_CARD));
            return Outcome::Next;
        }
        call.reading = match &*kind {
            _ if is_coded => Reading::Nothing,
            "application/problem+json" if response.status() >= 400 && call.id.is_some() => {
                response.want_body(BodyMode::Buffered(MAX_CARD));
                call.reading = Reading::Problem;
                return Outcome::Next;
            }
            "text/event-stream" => Reading::Events(Box::default()),
            "application/json" | "application/a2a+json" => Reading::Json(Scanner::default()),
            _ => Reading::Nothing,
        };
        if !matches!(call.reading, Reading::Nothing) {
            response.want_body(BodyMode::Chunks);
        }
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
        let Some(place) = call.card else { return Outcome::Next };
        let mut scanner = Scanner::default();
        scanner.read(body.bytes());
        call.said = if place == card::Place::Whole { Said::Result } else { scanner.said() };
        outcome(call.said);
        if matches!(call.said, Said::Error(_)) {
            return Outcome::Next;
        }
        match card::rewrite(body.bytes(), place, &self.address) {
            Some(changed) => {
                body.set(changed);
                Outcome::Next
            }
            None => {
                log::warn!("the agent's card has no address that can be replaced");
                Outcome::Respond(refuse(502, call.id.as_deref(), -32_603, card::UNREADABLE, None))
            }
        }
    }

    fn on_response_chunk(&self, chunk: &mut Chunk, progress: &mut Progress) -> ChunkOutcome {
        let Some(call) = &mut progress.0 else { return ChunkOutcome::Next };
        let before = call.said;
        match &mut call.reading {
            Reading::Nothing | Reading::Problem => {}
            Reading::Json(scanner) => {
                scanner.read(chunk.data());
                if chunk.is_last() {
                    call.said = scanner.said();
                }
            }
            Reading::Events(events) => {
                // It changes nothing, and so it cannot fail.
                let _ = events.read(chunk.data(), None);
                call.said = events.said;
            }
        }
        if call.said != before {
            outcome(call.said);
        }
        ChunkOutcome::Next
    }

    fn on_complete(&self, summary: &Summary, progress: &Progress) {
        if let Some(call) = &progress.0 {
            self.meter.ended(call.operation, call.said, summary);
        }
    }
}

/// What later plugins and logs learn.
fn tell(
    request: &mut Request,
    message: &Envelope<'_>,
    operation: Operation,
) -> Result<(), gateway_json_rpc::Fault> {
    let version = request.header("a2a-version").filter(|version| !version.is_empty());
    let version = version.unwrap_or("0.3").to_owned();
    set(request, "a2a.version", &version);
    set(request, "a2a.method", &message.method);
    set(request, "a2a.operation", operation.name());
    let (task, context) = operation.about(message.params)?;
    for (name, value) in [("a2a.task", task), ("a2a.context", context)] {
        if let Some(value) = value {
            set(request, name, &value);
        }
    }
    Ok(())
}

/// A body that others could read otherwise than it is read here.
fn check_content(request: &Request) -> Result<(), Box<Response>> {
    let refuse = |status, message| Err(refuse(status, None, -32_600, message, None));
    if request.attribute("request.has-body") != Some("true") {
        return refuse(400, "The request has no body.");
    }
    if request.header_bytes("content-encoding").is_some_and(|coding| coding != b"identity") {
        return refuse(415, "The body must have no content coding.");
    }
    let kind = request.header("content-type").unwrap_or_default().to_ascii_lowercase();
    let mut parts = kind.split(';').map(str::trim);
    if !matches!(parts.next(), Some("application/json" | "application/a2a+json")) {
        return refuse(415, "The body must be `application/json`.");
    }
    let charset = parts.find_map(|part| part.strip_prefix("charset="));
    match charset.map(|charset| charset.trim_matches('"')) {
        None | Some("utf-8" | "utf8") => Ok(()),
        Some(_) => refuse(415, "The body must be in UTF-8."),
    }
}

/// An error of JSON-RPC with the status of HTTP that belongs to it.
fn refuse(
    status: u16,
    id: Option<&str>,
    code: i32,
    message: &str,
    allow: Option<&str>,
) -> Box<Response> {
    let instance = attributes::value("request.id");
    let body = envelope::error(id, code, message, instance.as_deref());
    let response = Response::new(status).header("content-type", "application/json").body(body);
    let response = response.because(message);
    Box::new(match allow {
        Some(allow) => response.header("allow", allow),
        None => response,
    })
}

/// What an answer said, for logs.
fn outcome(said: Said) {
    let (outcome, code) = match said {
        Said::Nothing => return,
        Said::Result | Said::ToolError => ("ok", None),
        Said::Error(code) => ("error", Some(code)),
    };
    let code = code.map(|code| ("a2a.error", code.to_string()));
    for (name, value) in [("a2a.outcome", outcome.to_owned())].into_iter().chain(code) {
        if let Err(error) = attributes::set(name, &value) {
            log::warn!("the attribute {name} cannot be set: {error}");
        }
    }
}

fn set(request: &mut Request, name: &str, value: &str) {
    if let Err(error) = request.set_attribute(name, value) {
        log::warn!("the attribute {name} cannot be set: {error}");
    }
}

register_plugin!(A2a);
