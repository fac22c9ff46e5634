//! The request as a deployment gets it.
//!
//! Owns which bytes of the body change: only those that must, where client and deployment speak the same API; and what
//! is made of it where they do not. Must not choose the deployment.

use gateway_model_protocols::request::{Edits, Request as Read, form};
use gateway_model_protocols::translate::{self, Target};
use gateway_model_protocols::{Action, Call as Asked, Protocol};
use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::Response;

use crate::address::{self, Address};
use crate::catalog::{Deployment, Model};
use crate::config::Provider;
use crate::state::Call;
use crate::{api, refusal};

/// A request as the client sent it.
pub(crate) struct Sent<'a> {
    pub(crate) asked: &'a Asked<'a>,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    /// What its body says.
    pub(crate) read: &'a Read,
    /// The name of the model.
    pub(crate) name: &'a str,
    pub(crate) has_version: bool,
    /// The content type, if the body is a form with files.
    pub(crate) form: Option<&'a str>,
}

/// A request as a deployment gets it.
pub(crate) struct Prepared {
    pub(crate) address: Address,
    /// The body, if it is another one.
    pub(crate) body: Option<Vec<u8>>,
}

/// Why a deployment gets no request.
#[derive(Debug)]
pub(crate) enum Unprepared {
    /// Its API has no place for what is asked.
    Refused(translate::Refused),
    /// There are no credentials for it now.
    NoToken(String),
}

impl std::fmt::Display for Unprepared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(refused) => refused.fmt(formatter),
            Self::NoToken(why) => formatter.write_str(why),
        }
    }
}

impl Unprepared {
    /// What the client is told where no other deployment gets it.
    pub(crate) fn answer(&self, protocol: Protocol) -> Response {
        match self {
            Self::Refused(refused) => {
                let message = sentence(&refused.to_string());
                refusal::invalid(protocol, &message, Some(refused.member.as_str()))
            }
            Self::NoToken(_) => refusal::no_token(protocol),
        }
    }
}

impl Sent<'_> {
    pub(crate) fn prepare(
        &self,
        deployment: &Deployment,
        model: &Model,
        call: &mut Call,
        body: &[u8],
    ) -> Result<Prepared, Unprepared> {
        let own = deployment.model.as_deref().unwrap_or(self.name);
        let at = |endpoint: &str, query: Option<&str>, streams: bool| {
            let (action, has_version) = (self.asked.action, self.has_version);
            let asked =
                address::Asked { endpoint, query, model: own, streams, action, has_version };
            Address::of(deployment, asked)
        };
        let provider = deployment.provider;
        if provider.speaks(call.protocol(), call.action()) {
            call.set_spoken(call.protocol());
            let endpoint = api::endpoint(self.asked, self.path);
            let mut address = at(endpoint, self.query, call.streams);
            // The model that a path names is the one that counts: the body must not name another.
            let written = self.read.model.as_deref().unwrap_or_default();
            let named = if self.asked.model.is_some() { "" } else { written };
            let changed = match self.form {
                Some(kind) if own != named => form::with_field(body, kind, "model", own),
                Some(_) => None,
                None => edited(own, deployment, model, call, (body, self.read), named),
            };
            let sent = changed.as_deref().unwrap_or(body);
            address.sign(deployment, sent).map_err(Unprepared::NoToken)?;
            return Ok(Prepared { address, body: changed });
        }
        let spoken = provider.own(call.action());
        let mut target = Target::new(spoken, own);
        provider.heed(&mut target);
        if let Some(most) = model.max_output_tokens {
            target.default_max_output = most;
        }
        let translated =
            translate::request(self.asked, body, &target).map_err(Unprepared::Refused)?;
        if !translated.ignored.is_empty() {
            let ignored = translated.ignored.join(", ");
            log::debug!("deployment {} is not told of {ignored}", deployment.name);
        }
        call.set_spoken(spoken);
        call.form = translated.form;
        let (endpoint, query) = api::endpoint_of(spoken, call.action(), &translated);
        let mut body = translated.body.into_bytes();
        let most = model.max_output_tokens.filter(|_| call.action() == Action::Generate);
        if (most.is_some() || provider.has_dialect())
            && let Ok(mut edits) = Edits::new(spoken, &body)
        {
            if let Some(most) = most {
                edits.max_output(most, provider.max_output_name());
            }
            provider.edit(&mut edits, spoken, call.action());
            body = edits.apply();
        }
        let mut address = at(endpoint, query, translated.stream);
        address.set("content-type", "application/json");
        address.sign(deployment, &body).map_err(Unprepared::NoToken)?;
        Ok(Prepared { address, body: Some(body) })
    }
}

/// The body as a deployment that speaks the client's API gets it, if it is another one.
fn edited(
    own: &str,
    deployment: &Deployment,
    model: &Model,
    call: &Call,
    (body, read): (&[u8], &Read),
    name: &str,
) -> Option<Vec<u8>> {
    let mut edits = Edits::of_read(call.protocol(), body, read);
    let provider = deployment.provider;
    // These have it in the path.
    let is_in_path = matches!(call.protocol(), Protocol::Gemini | Protocol::BedrockConverse)
        || (provider == Provider::VertexAnthropic && call.action() == Action::Generate);
    if own != name && !is_in_path {
        edits.model(own);
    }
    if call.protocol() == Protocol::Gemini && call.action() == Action::Embed {
        edits.model_of_embeddings(own);
    }
    if let Some(most) = model.max_output_tokens
        && call.action() == Action::Generate
    {
        edits.max_output(most, provider.max_output_name());
    }
    if call.hides_usage && provider.takes_stream_options() {
        edits.include_usage();
    }
    if provider.has_short_ids() {
        edits.shorten_ids();
    }
    if model.is_mixed || provider.has_short_ids() {
        edits.mend_history();
    }
    provider.edit(&mut edits, call.protocol(), call.action());
    (!edits.is_empty()).then(|| edits.apply())
}

/// A text as one sentence; some of the library's are one already.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.trim_end_matches('.').chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>());
    [&first.unwrap_or_default(), letters.as_str(), "."].concat()
}
