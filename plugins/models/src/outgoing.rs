//! From a client's request to one that a deployment understands, for the first time and for each attempt after it.
//!
//! Owns what is checked before anything is sent, and what is known of a call from then on.

use gateway_model_protocols::error::Class;
use gateway_model_protocols::request::{self, Fault, Request as Read, form};
use gateway_model_protocols::usage::Usage;
use gateway_model_protocols::{Action, Call as Asked, Protocol};
use gateway_plugin_sdk::prelude::{Body, Request, Response};
use gateway_plugin_sdk::{attempts, drain, exchange, log};

use crate::catalog::{Affinity, Deployment, Drain, MOST_NAME, Model};
use crate::choose::{self, Chosen, Full, Wanted};
use crate::prepare::{Prepared, Sent, Unprepared, sentence};
use crate::reading::nanoseconds;
use crate::state::{Asked as Head, Call, Who};
use crate::{Models, counting, meter, refusal};

/// Output tokens of a request that names no bound, for estimates.
const USUAL_OUTPUT: u64 = 1024;

/// Fields by which clients say what belongs together.
const SESSIONS: [&str; 2] = ["x-session-id", "x-claude-code-session-id"];

impl Models {
    /// Turns a request into one to a deployment that has room. `Err` is the answer where none is asked: most often why.
    pub(crate) fn send(
        &self,
        request: &mut Request,
        head: Head,
        body: &mut Body,
    ) -> Result<Call, Box<Response>> {
        let Head { path, query, has_version, who } = head;
        let Some(asked) = Asked::of_path(&path) else {
            return Err(Box::new(refusal::no_endpoint(request.method(), &path)));
        };
        let protocol = asked.protocol;
        let kind = form_kind(protocol, || request.header("content-type").map(str::to_owned));
        let read = read(&asked, body.bytes(), kind.as_deref()).map_err(|fault| {
            Box::new(refusal::invalid(protocol, &sentence(&fault.to_string()), None))
        })?;
        let selecting = self.catalog.model_attribute.as_deref();
        let selected = selecting.and_then(|name| request.attribute(name));
        let selected = selected.filter(|name| !name.is_empty()).map(str::to_owned);
        let Some(name) = selected.as_deref().or(read.model.as_deref()) else {
            let message = "The request names no model.";
            return Err(Box::new(refusal::invalid(protocol, message, Some("model"))));
        };
        let (index, model) = self.model(name, &who).map_err(|none| {
            none.count();
            Box::new(none.answer(protocol, name))
        })?;
        let input = read.size.estimate();
        if let Some(most) = model.max_input_tokens.filter(|most| input > *most) {
            meter::refused(Some(model), "input_too_long");
            return Err(Box::new(refusal::too_long(protocol, input, most)));
        }
        let mut call = Call::new(protocol, asked.action);
        call.model = index;
        call.group = self.catalog.group_of(model, &who);
        call.able = self.able(model, protocol, asked.action);
        if call.able == 0
            && let Some(count) = counting::estimate(&asked, &read, body.bytes())
        {
            return Err(Box::new(count));
        }
        if call.able == 0 {
            let message = format!("The model `{name}` is not offered by this API.");
            return Err(Box::new(refusal::invalid(protocol, &message, Some("model"))));
        }
        if let Some(attribute) = &self.catalog.region_attribute
            && let Some(regions) = request.attribute(attribute)
        {
            call.able = self.within(call.able, regions);
            if call.able == 0 {
                meter::refused(Some(model), "region");
                return Err(Box::new(refusal::elsewhere(protocol, name)));
            }
        }
        call.streams = read.stream;
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
            Some(Affinity::Prompt) if kind.is_none() => request::prefix(body.bytes()),
            _ => Vec::new(),
        };
        let preferred = choose::remembered(&self.catalog, model, &prefix);
        let is_array =
            protocol == Protocol::Gemini && read.stream && !wants_events(query.as_deref());
        call.array = is_array.then_some(false);
        let sent = Sent {
            asked: &asked,
            path: &path,
            query: query.as_deref(),
            read: &read,
            name,
            has_version,
            form: kind.as_deref(),
        };
        loop {
            self.choose(&mut call, model, preferred, &who.id, name)?;
            let deployment = &self.catalog.deployments[call.deployment];
            match sent.prepare(deployment, model, &mut call, body.bytes()) {
                Ok(prepared) => {
                    choose::remember(deployment, model, &prefix);
                    if let Some(changed) = prepared.body {
                        body.set(changed);
                    }
                    if deployment.credential.has_host() {
                        call.host = request.header("host").map(str::to_owned);
                    }
                    let late = |name: &str| self.catalog.has_affinity_by(name);
                    prepared.address.apply(request, late);
                    request.set_upstream(&deployment.upstream);
                    self.describe(request, &call, model, deployment, output);
                    if !deployment.drain.time.is_zero() {
                        drain_of(deployment);
                    }
                    if call.streams && !deployment.first_token.is_zero() {
                        bound_head(deployment);
                    }
                    (call.path, call.query, call.consumer) = (path, query, who.id);
                    call.selected = selected;
                    return Ok(call);
                }
                Err(why) => {
                    self.release(&mut call);
                    choose::leave(deployment);
                    call.able &= !(1 << call.deployment);
                    if let Unprepared::NoToken(why) = &why {
                        log::error!("deployment {}: {why}", deployment.name);
                        meter::failed(model, deployment, Class::Auth.name(), None);
                    }
                    if call.able == 0 {
                        return Err(Box::new(why.answer(protocol)));
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
            turn: self.catalog.groups.turn(call.group),
        };
        match wanted.first(|place| refusal::busy(protocol, name, place)) {
            Chosen::Deployment(deployment, reserved) => {
                call.deployment = deployment;
                call.reserved = reserved;
                Ok(())
            }
            Chosen::None(full @ Full { busy: true, retry_after: None, .. }) => {
                let reason = if full.in_vain { "wait_too_long" } else { "busy" };
                meter::refused(Some(model), reason);
                let refused = refusal::busy(protocol, name, full.wait());
                Err(Box::new(match full.in_vain {
                    true => refused.because("its turn in the queue is expected too late"),
                    false => refused,
                }))
            }
            Chosen::None(full) => {
                meter::refused(Some(model), "rate_limited");
                Err(Box::new(refusal::limited(protocol, name, full.wait())))
            }
        }
    }

    /// Asks for another attempt, at the deployment that the call has now, after the one that it had before.
    pub(crate) fn resend(&self, call: &mut Call, before: usize) -> Result<(), String> {
        let body = attempts::received_body().ok_or("its request was not kept")?;
        let path = call.path.clone();
        let asked = Asked::of_path(&path).ok_or("its path was not kept")?;
        let kind = form_kind(asked.protocol, || exchange::request().header("content-type"));
        let read = read(&asked, &body, kind.as_deref()).map_err(|fault| fault.to_string())?;
        let selected = call.selected.clone();
        let name = selected.as_deref().or(read.model.as_deref()).unwrap_or_default();
        let (model, deployment) =
            (&self.catalog.models[call.model], &self.catalog.deployments[call.deployment]);
        let query = call.query.clone();
        let has_version = exchange::request().header("anthropic-version").is_some();
        let (query, form) = (query.as_deref(), kind.as_deref());
        let (asked, path, read) = (&asked, &*path, &read);
        let sent = Sent { asked, path, query, read, name, has_version, form };
        let prepared = sent.prepare(deployment, model, call, &body);
        let Prepared { mut address, body: changed } = prepared.map_err(|why| {
            if matches!(why, Unprepared::NoToken(_)) {
                meter::failed(model, deployment, Class::Auth.name(), None);
            }
            why.to_string()
        })?;
        if deployment.credential.has_host() {
            call.host = call.host.take().or_else(|| exchange::request().header("host"));
        } else if let Some(host) = &call.host {
            address.set("host", host);
        }
        address.forget(&self.catalog.deployments[before]);
        let attempt = address.attempt(&deployment.upstream).body(changed.unwrap_or(body));
        attempts::again(&attempt).map_err(|error| error.to_string())?;
        let former = &self.catalog.deployments[before];
        if !(deployment.drain.time.is_zero() && former.drain.time.is_zero()) {
            drain_of(deployment);
        }
        if call.streams && !(deployment.first_token.is_zero() && former.first_token.is_zero()) {
            bound_head(deployment);
        }
        meter::set(meter::DEPLOYMENT, &deployment.name);
        Ok(())
    }

    /// The model of this name, if it is there for who asks.
    pub(crate) fn model(&self, name: &str, who: &Who) -> Result<(usize, &Model), NoModel<'_>> {
        if name.len() > MOST_NAME {
            return Err(NoModel::default());
        }
        let found = self.catalog.find(name).map(|index| (index, &self.catalog.models[index]));
        match found {
            Some((index, model)) if self.catalog.may_use(model, who) => Ok((index, model)),
            hidden => {
                let may_use = |model: &Model| self.catalog.may_use(model, who);
                let hidden = hidden.map(|(_, model)| model);
                Err(NoModel { nearest: self.catalog.nearest(name, may_use), hidden })
            }
        }
    }

    /// The deployments of a model that have this API, or one that it can be translated for.
    fn able(&self, model: &Model, protocol: Protocol, action: Action) -> u64 {
        let shares = model.shares.iter().filter(|share| share.weight > 0);
        let able = shares.filter(|share| {
            let provider = self.catalog.deployments[share.deployment].provider;
            provider.speaks(protocol, action) || provider.translates(protocol, action)
        });
        able.fold(0, |bits, share| bits | (1 << share.deployment))
    }

    /// Those of these deployments, as bits, that are in one of the regions.
    fn within(&self, able: u64, regions: &str) -> u64 {
        let each = self.catalog.deployments.iter().enumerate();
        let others = each.filter(|(_, deployment)| !deployment.is_in(regions));
        others.fold(able, |bits, (index, _)| bits & !(1 << index))
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
        if let Some(group) = call.group {
            set(meter::GROUP, self.catalog.groups.name(group));
        }
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

/// Why there is no model for who asks. Clients are told the same, whether it is hidden from them or from everybody.
#[derive(Debug, Default)]
pub(crate) struct NoModel<'a> {
    /// One that they may have meant.
    nearest: Option<&'a str>,
    /// One that is there for others.
    hidden: Option<&'a Model>,
}

impl NoModel<'_> {
    /// Counts a request that is refused for this.
    fn count(&self) {
        let reason = if self.hidden.is_some() { "not_allowed" } else { "unknown_model" };
        meter::refused(self.hidden, reason);
    }

    /// What the client is told; why, for who runs the gateway.
    pub(crate) fn answer(&self, protocol: Protocol, name: &str) -> Response {
        let answer = refusal::no_model(protocol, name, self.nearest);
        match self.hidden {
            Some(model) => {
                let name = &model.name;
                answer.because(format!(
                    "the model `{name}` is not for this consumer: see `consumers` and `groups`"
                ))
            }
            None => answer,
        }
    }
}

/// Has a response of this deployment read to its end if its client leaves, or not any more.
fn drain_of(deployment: &Deployment) {
    let Drain { bytes, time } = deployment.drain;
    if let Err(error) = drain::response(bytes, time) {
        log::warn!("a response of {} is not drained: {error}", deployment.name);
    }
}

/// Bounds the wait for the head of a stream of this deployment, or does not any more. What is left is for its first content.
fn bound_head(deployment: &Deployment) {
    if let Err(error) = attempts::first_byte(deployment.first_token) {
        log::warn!("a response of {} is waited for without a bound: {error}", deployment.name);
    }
}

/// The content type of a body that is a form with files, which some endpoints take.
fn form_kind(protocol: Protocol, kind: impl FnOnce() -> Option<String>) -> Option<String> {
    if protocol != Protocol::OpenAiOther {
        return None;
    }
    kind().filter(|kind| form::is_form(kind))
}

fn read(asked: &Asked<'_>, body: &[u8], form: Option<&str>) -> Result<Read, Fault> {
    match form {
        Some(kind) => form::read(asked, body, kind),
        None => request::read(asked, body),
    }
}

/// Whether a client of Gemini's wants events, and not one array.
fn wants_events(query: Option<&str>) -> bool {
    let mut pairs = query.unwrap_or_default().split('&');
    pairs.any(|pair| gateway_model_protocols::decode(pair) == "alt=sse")
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
