//! The request as a deployment gets it.
//!
//! Owns which bytes of the body change: only those that must, where client and deployment speak the same API; and what
//! is made of it where they do not. Must not choose the deployment.

use gateway_model_protocols::request::Edits;
use gateway_model_protocols::translate::{self, Target};
use gateway_model_protocols::{Action, Call as Asked, Protocol};
use gateway_plugin_sdk::log;

use crate::address::{self, Address};
use crate::api;
use crate::catalog::{Deployment, Model};
use crate::state::Call;

/// A request as the client sent it.
pub(crate) struct Sent<'a> {
    pub(crate) asked: &'a Asked<'a>,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    /// The name of the model.
    pub(crate) name: &'a str,
    pub(crate) has_version: bool,
}

/// A request as a deployment gets it.
pub(crate) struct Prepared {
    pub(crate) address: Address,
    /// The body, if it is another one.
    pub(crate) body: Option<Vec<u8>>,
}

impl Sent<'_> {
    pub(crate) fn prepare(
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
    let mut edits = Edits::of_read(call.protocol(), body)?;
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
