//! From a client's request to one that a deployment understands, for the first time and for each attempt after it.
//!
//! Owns what is checked before anything is sent, and which bytes of the body change: only those that must.

use std::time::Duration;

use gateway_model_protocols::framing::{Framing, Reader};
use gateway_model_protocols::request::{self, Edits};
use gateway_model_protocols::translate::{self, Options, Target, Translator};
use gateway_model_protocols::usage::{self, Usage};
use gateway_model_protocols::{Action, Call as Asked, Protocol};
use gateway_plugin_sdk::prelude::{Body, BodyMode, Outcome, Request, Response, ResponseHead};
use gateway_plugin_sdk::{attempts, attributes, clock, exchange, held_response, log};

use crate::address::{self, Address};
use crate::catalog::{Affinity, Deployment, MOST_NAME, Model};
use crate::choose::{self, Chosen, Full, Wanted};
use crate::reading::nanoseconds;
use crate::state::{Call, MAX_EVENT, Reading};
use crate::{Models, Who, api, meter, refusal};

/// Output tokens of a request that names no bound, for estimates.
const USUAL_OUTPUT: u64 = 1024;

/// The longest answer that is translated as a whole, in bytes.
const MAX_ANSWER: u64 = 16 << 20;

/// How much of a stream is held back until it has content, and for how long: some say for a minute that they think.
const HELD_BYTES: u32 = 64 << 10;
const HELD_TIME: Duration = Duration::from_secs(10);

/// Fields of responses that are about the gateway's account.
const KEPT_BACK: [&str; 3] = ["set-cookie", "openai-organization", "openai-project"];

/// Fields by which clients say what belongs together.
const SESSIONS: [&str; 2] = ["x-session-id", "x-claude-code-session-id"];

impl Models {
    /// Turns a request into one to a deployment that has room, or says why there is none.
    pub(crate) fn send(
        &self,
        request: &mut Request,
        body: &mut Body,
    ) -> Result<Call, Box<Response>> {
        let path = request.path().to_owned();
        let Some(asked) = Asked::of_path(&path) else {
            return Err(Box::new(refusal::no_endpoint(request.method(), &path)));
        };
        let protocol = asked.protocol;
        let read = request::read(&asked, body.bytes()).map_err(|fault| {
            Box::new(refusal::invalid(protocol, &sentence(&fault.to_string()), None))
        })?;
        let Some(name) = read.model.as_deref() else {
            let message = "The request names no model.";
            return Err(Box::new(refusal::invalid(protocol, message, Some("model"))));
        };
        let who = Who::of(request);
        let (index, model) = self
            .model(name, &who)
            .map_err(|nearest| Box::new(refusal::no_model(protocol, name, nearest)))?;
        let input = read.size.estimate();
        if let Some(most) = model.max_input_tokens.filter(|most| input > *most) {
            return Err(Box::new(refusal::too_long(protocol, input, most)));
        }
        let mut call = Call::new(protocol, asked.action);
        call.model = index;
        call.able = self.able(model, protocol, asked.action);
        if call.able == 0 {
            let message = format!("The model `{name}` is not offered by this API.");
            return Err(Box::new(refusal::invalid(protocol, &message, Some("model"))));
        }
        call.streams = read.stream;
        call.path.clone_from(&path);
        call.began = nanoseconds();
        call.input = input;
        let usual = model.max_output_tokens.unwrap_or(USUAL_OUTPUT);
        let output = match asked.action {
            Action::Generate => capped(read.output_bound(usual), model, read.n),
            Action::CountTokens | Action::Embed | Action::Models | Action::Other => 0,
        };
        call.tokens = input.saturating_add(output);
        call.hides_usage = read.stream && !read.include_usage && adds_usage(protocol);
        call.affinity = affinity(request, model, read.session.as_deref());
        let prefix = match model.affinity {
            Some(Affinity::Prompt) => read.prefix.as_slice(),
            _ => &[],
        };
        let preferred = choose::remembered(&self.catalog, model, prefix);
        let query = request.query().map(str::to_owned);
        let has_version = request.header("anthropic-version").is_some();
        let sent = Sent { asked: &asked, path: &path, query: query.as_deref(), name, has_version };
        loop {
            self.choose(&mut call, model, preferred, who.id(), name)?;
            let deployment = &self.catalog.deployments[call.deployment];
            match sent.prepare(deployment, model, &mut call, body.bytes()) {
                Ok(prepared) => {
                    choose::remember(deployment, model, prefix);
                    if let Some(changed) = prepared.body {
                        body.set(changed);
                    }
                    prepared.address.apply(request);
                    request.set_upstream(&deployment.upstream);
                    self.describe(request, &call, model, deployment, output);
                    return Ok(call);
                }
                Err(refused) => {
                    self.release(&mut call);
                    call.able &= !(1 << call.deployment);
                    if call.able == 0 {
                        let message = sentence(&refused.to_string());
                        let member = Some(refused.member.as_str());
                        let refused = refusal::invalid(protocol, &message, member);
                        return Err(Box::new(refused));
                    }
                }
            }
        }
    }

    /// Picks a deployment that has room, or says why there is none.
    fn choose(
        &self,
        call: &mut Call,
        model: &Model,
        preferred: Option<usize>,
        consumer: &str,
        name: &str,
    ) -> Result<(), Box<Response>> {
        let protocol = call.protocol();
        let wanted = Wanted {
            catalog: &self.catalog,
            model,
            able: call.able,
            affinity: call.affinity,
            preferred,
            tokens: call.tokens,
            consumer,
        };
        match wanted.first(|_| refusal::busy(protocol, name)) {
            Chosen::Deployment(deployment, reserved) => {
                call.deployment = deployment;
                call.reserved = reserved;
                Ok(())
            }
            Chosen::None(Full { busy: true, retry_after: None }) => {
                Err(Box::new(refusal::busy(protocol, name)))
            }
            Chosen::None(full) => Err(Box::new(refusal::limited(protocol, name, full.retry_after))),
        }
    }

    /// Asks for another attempt, at the deployment that the call has now.
    pub(crate) fn resend(&self, call: &mut Call) -> Result<(), String> {
        let body = attempts::received_body().ok_or("its request was not kept")?;
        let path = call.path.clone();
        let asked = Asked::of_path(&path).ok_or("its path was not kept")?;
        let read = request::read(&asked, &body).map_err(|fault| fault.to_string())?;
        let name = read.model.as_deref().unwrap_or_default();
        let (model, deployment) =
            (&self.catalog.models[call.model], &self.catalog.deployments[call.deployment]);
        let query = exchange::request().query();
        let has_version = exchange::request().header("anthropic-version").is_some();
        let sent = Sent { asked: &asked, path: &path, query: query.as_deref(), name, has_version };
        let prepared = sent.prepare(deployment, model, call, &body);
        let Prepared { address, body: changed } =
            prepared.map_err(|refused| refused.to_string())?;
        let attempt = address.attempt(&deployment.upstream).body(changed.unwrap_or(body));
        attempts::again(&attempt).map_err(|error| error.to_string())?;
        meter::set(meter::DEPLOYMENT, &deployment.name);
        Ok(())
    }

    /// The head of a response that goes to the client.
    pub(crate) fn begin(&self, response: &mut ResponseHead, call: &mut Call) {
        for name in KEPT_BACK {
            response.remove_header(name);
        }
        if self.response_headers {
            let name = &self.catalog.deployments[call.deployment].name;
            response.set_header("x-model-deployment", name.as_str());
        }
        let spoken = call.spoken();
        let kind = response.header("content-type").unwrap_or_default();
        let is_json = kind.split(';').next().unwrap_or_default().trim().ends_with("json");
        let framing = match Framing::of_content_type(kind) {
            Some(framing) => Some(framing),
            // Without `alt=sse` it is one array that grows.
            None if is_json && call.streams && spoken == Protocol::Gemini => {
                Some(Framing::JsonArray)
            }
            None => None,
        };
        if call.is_translated() {
            return self.begin_translated(response, call, framing);
        }
        call.reading = match framing {
            Some(framing) => Reading::events(framing, spoken),
            None if is_json => Reading::Tail(Vec::new(), true),
            None => {
                // What cannot be read is charged as it was estimated.
                call.set_usage(call.estimated());
                return self.tell(call);
            }
        };
        response.want_body(BodyMode::Chunks);
        if framing.is_some() {
            hold();
        }
    }

    /// The head of a response that is translated.
    fn begin_translated(
        &self,
        response: &mut ResponseHead,
        call: &mut Call,
        framing: Option<Framing>,
    ) {
        let options = self.options(call);
        let translator = framing.and_then(|framing| {
            let translator = Translator::new(call.spoken(), call.protocol(), &options)?;
            Some(Reading::translated(&Reader::new(framing, MAX_EVENT), &translator))
        });
        let Some(reading) = translator else {
            call.reading = Reading::Whole;
            response.set_header("content-type", "application/json");
            response.want_body(BodyMode::Buffered(MAX_ANSWER));
            return;
        };
        call.reading = reading;
        response.set_header(
            "content-type",
            match call.protocol().framing() {
                Framing::Ndjson => "application/x-ndjson",
                _ => "text/event-stream",
            },
        );
        response.want_body(BodyMode::Chunks);
        hold();
    }

    /// A whole response of another API.
    pub(crate) fn translate(&self, body: &mut Body, call: &mut Call) -> Outcome {
        let (spoken, protocol) = (call.spoken(), call.protocol());
        if let Some(usage) = usage::of_body(spoken, body.bytes()) {
            call.set_usage(usage);
            self.tell(call);
        }
        match translate::response(spoken, protocol, body.bytes(), &self.options(call)) {
            Ok(translated) => {
                call.is_complete = true;
                body.set(translated);
                Outcome::Next
            }
            Err(failure) => {
                if self.again(call, failure.class, None) {
                    return Outcome::Next;
                }
                self.used_nothing(call);
                let name = &self.catalog.deployments[call.deployment].name;
                log::warn!(
                    "the answer of deployment {name} is not translated: {}",
                    failure.message
                );
                Outcome::respond(refusal::provider_failed(protocol, &failure.message))
            }
        }
    }

    fn options(&self, call: &Call) -> Options {
        let id = attributes::value("request.id").unwrap_or_default();
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        Options {
            id: id.chars().filter(plain).collect(),
            model: self.catalog.models[call.model].name.clone(),
            created: clock::now().as_secs(),
            include_usage: !call.hides_usage,
            input_estimate: call.input,
        }
    }

    /// The model of this name, if the consumer may use it; else one that it may have meant.
    pub(crate) fn model(&self, name: &str, who: &Who) -> Result<(usize, &Model), Option<&str>> {
        if name.len() > MOST_NAME {
            return Err(None);
        }
        let found = self.catalog.find(name).map(|index| (index, &self.catalog.models[index]));
        let found = found.filter(|(_, model)| who.may_use(model));
        found.ok_or_else(|| self.catalog.nearest(name, |model| who.may_use(model)))
    }

    /// The deployments of a model that have this API, or one that it can be translated for.
    fn able(&self, model: &Model, protocol: Protocol, action: Action) -> u64 {
        let shares = model.shares.iter().filter(|share| share.weight > 0);
        let able = shares.filter(|share| {
            let provider = self.catalog.deployments[share.deployment].provider;
            provider.speaks(protocol) || api::is_translated(protocol, action)
        });
        able.fold(0, |bits, share| bits | (1 << share.deployment))
    }

    /// What plugins behind this one, logs and the recorder know of the call.
    fn describe(
        &self,
        request: &mut Request,
        call: &Call,
        model: &Model,
        deployment: &Deployment,
        output: u64,
    ) {
        let mut set = |name: &str, value: &str| {
            if let Err(error) = request.set_attribute(name, value) {
                log::warn!("the attribute {name} cannot be set: {error}");
            }
        };
        set(meter::MODEL, &model.name);
        set(meter::DEPLOYMENT, &deployment.name);
        set(meter::ESTIMATE, &call.tokens.to_string());
        // What is used if the client leaves before there is a response.
        let begun = Usage::estimate(call.input, 0);
        set(meter::TOTAL, &begun.total().to_string());
        if let Some(cost) = self.prices.of(deployment, &begun) {
            set(meter::COST, &cost.to_string());
        }
        let estimate = Usage::estimate(call.input, output);
        if let Some(cost) = self.prices.of(deployment, &estimate) {
            set(meter::COST_ESTIMATE, &cost.to_string());
        }
    }
}

/// Holds a stream back until it has content: what fails before that can still be answered with a status, or by another
/// deployment.
fn hold() {
    if let Err(error) = held_response::hold(HELD_BYTES, HELD_TIME) {
        log::warn!("a stream is not held back until it has content: {error}");
    }
}

/// A request as the client sent it.
struct Sent<'a> {
    asked: &'a Asked<'a>,
    path: &'a str,
    query: Option<&'a str>,
    /// The name of the model.
    name: &'a str,
    has_version: bool,
}

/// A request as a deployment gets it.
struct Prepared {
    address: Address,
    /// The body, if it is another one.
    body: Option<Vec<u8>>,
}

impl Sent<'_> {
    fn prepare(
        &self,
        deployment: &Deployment,
        model: &Model,
        call: &mut Call,
        body: &[u8],
    ) -> Result<Prepared, translate::Refused> {
        let own = deployment.model.as_deref().unwrap_or(self.name);
        let at = |endpoint: &str, query: Option<&str>| {
            let has_version = self.has_version;
            Address::of(deployment, address::Asked { endpoint, query, model: own, has_version })
        };
        if deployment.provider.speaks(call.protocol()) {
            call.set_spoken(call.protocol());
            let address = at(api::endpoint(self.asked, self.path), self.query);
            // The model that a path names is the one that counts: the body must not name another.
            let named = if self.asked.model.is_some() { "" } else { self.name };
            return Ok(Prepared { address, body: edited(own, model, call, body, named) });
        }
        let spoken = deployment.provider.own();
        let mut target = Target::new(spoken, own);
        if let Some(most) = model.max_output_tokens {
            target.default_max_output = most;
        }
        let translated = translate::request(self.asked, body, &target)?;
        if !translated.ignored.is_empty() {
            let ignored = translated.ignored.join(", ");
            log::debug!("deployment {} is not told of {ignored}", deployment.name);
        }
        call.set_spoken(spoken);
        let (endpoint, query) = api::endpoint_of(spoken, translated.stream);
        let mut body = translated.body.into_bytes();
        if let Some(most) = model.max_output_tokens
            && let Ok(mut edits) = Edits::new(spoken, &body)
        {
            edits.max_output(most, None);
            body = edits.apply();
        }
        Ok(Prepared { address: at(endpoint, query), body: Some(body) })
    }
}

/// The body as a deployment that speaks the client's API gets it, if it is another one.
fn edited(own: &str, model: &Model, call: &Call, body: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut edits = Edits::new(call.protocol(), body).ok()?;
    // Gemini has it in the path.
    if own != name && call.protocol() != Protocol::Gemini {
        edits.model(own);
    }
    if let Some(most) = model.max_output_tokens
        && call.action() == Action::Generate
    {
        edits.max_output(most, None);
    }
    if call.hides_usage {
        edits.include_usage();
    }
    if model.is_mixed {
        edits.mend_history();
    }
    (!edits.is_empty()).then(|| edits.apply())
}

/// Whether a stream has a usage only for those who ask.
fn adds_usage(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::OpenAiChat | Protocol::OpenAiCompletions)
}

/// The output that the request can have, after it was lowered.
fn capped(wanted: u64, model: &Model, n: u64) -> u64 {
    let most = model.max_output_tokens.map(|most| most.saturating_mul(n.max(1)));
    most.map_or(wanted, |most| wanted.min(most))
}

/// The number that a request has in common with those that it belongs to.
fn affinity(request: &Request, model: &Model, session: Option<&str>) -> Option<u64> {
    let hash = |text: &str| choose::hash(0, text.as_bytes());
    match model.affinity.as_ref()? {
        Affinity::Header(name) => request.header(name).map(hash),
        Affinity::Attribute(name) => request.attribute(name).map(hash),
        Affinity::Session => {
            let named = SESSIONS.iter().find_map(|name| request.header(*name));
            session.or(named).map(hash)
        }
        Affinity::Prompt => None,
    }
}

/// A text as one sentence; some of the library's are one already.
fn sentence(text: &str) -> String {
    let mut letters = text.trim_end_matches('.').chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>());
    [&first.unwrap_or_default(), letters.as_str(), "."].concat()
}
