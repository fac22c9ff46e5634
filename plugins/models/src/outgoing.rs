//! From a client's request to one that a deployment understands, for the first time and for each attempt after it.
//!
//! Owns what is checked before anything is sent, and what is known of a call from then on.

use gateway_model_protocols::request;
use gateway_model_protocols::usage::Usage;
use gateway_model_protocols::{Action, Call as Asked, Protocol};
use gateway_plugin_sdk::prelude::{Body, Request, Response};
use gateway_plugin_sdk::{attempts, exchange, log};

use crate::catalog::{Affinity, Deployment, MOST_NAME, Model};
use crate::choose::{self, Chosen, Full, Wanted};
use crate::prepare::{Prepared, Sent};
use crate::reading::nanoseconds;
use crate::state::Call;
use crate::{Models, Who, api, meter, refusal};

/// Output tokens of a request that names no bound, for estimates.
const USUAL_OUTPUT: u64 = 1024;

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
        let (index, model) = self.model(name, &who).map_err(|nearest| {
            meter::refused(None, "unknown_model");
            Box::new(refusal::no_model(protocol, name, nearest))
        })?;
        let input = read.size.estimate();
        if let Some(most) = model.max_input_tokens.filter(|most| input > *most) {
            meter::refused(Some(model), "input_too_long");
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
                meter::refused(Some(model), "busy");
                Err(Box::new(refusal::busy(protocol, name)))
            }
            Chosen::None(full) => {
                meter::refused(Some(model), "rate_limited");
                Err(Box::new(refusal::limited(protocol, name, full.retry_after)))
            }
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
