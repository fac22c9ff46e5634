//! Authentication: admits requests with API keys, tokens and HTTP Basic, reports to others
//! who the consumer is, and refuses the rest.
//!
//! Owns the order: find the one credential, verify it, report, check what is required. Each method
//! is in its own module and knows nothing of the others.

mod api_key;
mod basic;
mod cache;
mod certificate;
mod config;
mod credential;
mod hash;
mod introspection;
mod jwt;
mod refusal;

use std::rc::Rc;

use gateway_plugin_identity::consumer::{Admission, Admitted, Consumer, Policy, Settings, is_name};
use gateway_plugin_identity::jwt::NotAdmitted;
use gateway_plugin_identity::problems::{Pointer, Problems};
use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

use crate::api_key::{ApiKeys, NoKey};
use crate::basic::Users;
use crate::certificate::Certificates;
use crate::credential::{Credential, Places};
use crate::introspection::{Introspection, NotActive};
use crate::jwt::Jwt;
use crate::refusal::{Challenges, Refusal, Schemes, is_address, is_realm};

pub use crate::certificate::{CertificateConfig, ClientSpec, Combine};
pub use crate::config::{
    ApiKeyConfig, ApiKeySpec, BasicConfig, Config, Fields, IssuerConfig, JwtConfig, UserSpec,
};
pub use crate::introspection::{ClientAuthentication, IntrospectionConfig};
pub use gateway_plugin_identity::consumer::{Require, Scalar};
pub use gateway_plugin_identity::jwt::KeySpec;

/// The configured plugin.
pub struct Auth {
    places: Places,
    api_keys: Option<ApiKeys>,
    jwt: Option<Jwt>,
    introspection: Option<Introspection>,
    users: Option<Users>,
    certificates: Option<Certificates>,
    anonymous: Option<Rc<Admission>>,
    hide_credential: bool,
    policy: Policy,
    challenges: Challenges,
}

impl Plugin for Auth {
    type Config = Config;
    type Context = ();

    fn configure(mut config: Config) -> Result<Self, ConfigError> {
        let mut problems = Problems::default();
        let places = Places::new(&config, &mut problems);
        let settings = Settings {
            headers: &config.headers,
            claims_to_attributes: &config.claims_to_attributes,
            group_claim: config.group_claim.clone(),
            require: config.require.take(),
            names_groups: config.names_groups(),
        };
        let policy = Policy::new(settings, &places.fields(), &mut problems);
        check_whole(&config, &places, &policy, &mut problems);
        let auth = Self {
            api_keys: config.api_key.as_ref().map(|it| ApiKeys::new(it, &policy, &mut problems)),
            jwt: config.jwt.as_ref().map(|it| Jwt::new(it, &mut problems)),
            introspection: config
                .introspection
                .as_ref()
                .map(|it| Introspection::new(it, config.jwt.as_ref(), &mut problems)),
            users: config.basic.as_ref().map(|it| Users::new(it, &policy, &mut problems)),
            certificates: config
                .client_certificate
                .as_ref()
                .map(|it| Certificates::new(it, &mut problems)),
            anonymous: config.anonymous.as_deref().map(|name| Rc::new(anonymous(name, &policy))),
            hide_credential: config.hide_credential,
            challenges: Challenges::new(&config.realm, schemes(&config, &places, &policy)),
            places,
            policy,
        };
        problems.finish()?;
        Ok(auth)
    }

    fn interest(&self) -> Interest {
        let fields = self.places.fields();
        let mut interest = fields.iter().fold(Interest::on_request(), Interest::header);
        if self.places.are_in_query() {
            interest = interest.query();
        }
        let may_wait = self.users.is_some() || self.introspection.is_some();
        if !may_wait && self.jwt.as_ref().is_none_or(Jwt::never_waits) {
            interest = interest.never_waits();
        }
        let certificates = self.certificates.iter().flat_map(Certificates::attributes);
        interest = certificates.fold(interest, Interest::attribute);
        if self.has_method() {
            return interest;
        }
        self.policy.attributes_to_read().into_iter().fold(interest, Interest::attribute)
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        let Err(refusal) = self.decide(request) else {
            return Outcome::Next;
        };
        match refusal {
            Refusal::Missing | Refusal::Certificate(NO_CERTIFICATE) => {
                log::debug!("refused: {refusal}")
            }
            Refusal::Busy | Refusal::NoConsumer => log::warn!("refused: {refusal}"),
            Refusal::Failed(_) => log::error!("refused: {refusal}"),
            _ => log::info!("refused: {refusal}"),
        }
        let why = refusal.to_string();
        Outcome::respond(self.challenges.answer(refusal).because(why))
    }
}

impl Auth {
    /// Whether it authenticates, and does not only look at what another one found out.
    fn has_method(&self) -> bool {
        !self.places.is_empty() || self.certificates.is_some()
    }

    fn decide(&self, request: &mut Request) -> Result<(), Refusal> {
        if !self.has_method() {
            return match self.policy.suffices_as_told(request) {
                Some(true) => Ok(()),
                Some(false) => Err(Refusal::Insufficient { bearer: false }),
                None => Err(Refusal::NoConsumer),
            };
        }
        let (mut admitted, place, bearer) = match self.places.find(request)? {
            Some(credential) => {
                (self.verify(&credential)?, Some(credential.place), credential.bearer)
            }
            None => (self.without_credential(request)?, None, false),
        };
        if let Some(certificates) = self.certificates.as_ref().filter(|it| it.are_needed) {
            let shown = certificates.verify(request, &self.policy)?;
            let shown = shown.ok_or(Refusal::Certificate(NO_CERTIFICATE))?;
            // What follows counts no longer than either.
            admitted.reuse = admitted.reuse.zip(shown.reuse).map(|(one, other)| one.min(other));
        }
        let Admitted { admission, reuse } = admitted;
        if let Some(place) = place.filter(|_| self.hide_credential) {
            place.hide(request);
        }
        // Told before it is known to suffice: the log shall say whom a 403 was for.
        if !self.policy.apply(&admission, request) {
            return Err(Refusal::Failed("the gateway does not take the consumer's attributes"));
        }
        if !admission.sufficient {
            return Err(Refusal::Insufficient { bearer });
        }
        // With the query all that it asks for arrives: hardly a request is like another.
        if let Some(reuse) = reuse.filter(|_| !self.places.are_in_query()) {
            request.reuse_for(reuse);
        }
        Ok(())
    }

    /// Who sends a request that has none: the client of the connection, or nobody in particular.
    fn without_credential(&self, request: &Request) -> Result<Admitted, Refusal> {
        if let Some(certificates) = self.certificates.as_ref().filter(|it| !it.are_needed)
            && let Some(admitted) = certificates.verify(request, &self.policy)?
        {
            return Ok(admitted);
        }
        self.anonymous.as_ref().map(Admitted::new).ok_or(match self.places.is_empty() {
            true => Refusal::Certificate(NO_CERTIFICATE),
            false => Refusal::Missing,
        })
    }

    fn verify(&self, credential: &Credential<'_, '_>) -> Result<Admitted, Refusal> {
        let Credential { text, kinds, bearer, .. } = credential;
        if let Some(users) = self.users.as_ref().filter(|_| kinds.basic) {
            return users.verify(text).map(Admitted::only_now);
        }
        let (mut reason, mut unavailable) = ("the credential is not known", None);
        if let Some(keys) = self.api_keys.as_ref().filter(|_| kinds.api_key) {
            match keys.verify(text, &self.policy) {
                Ok(admitted) => return Ok(admitted),
                Err(NoKey::Refused(why)) => reason = why,
                Err(NoKey::Unavailable(why)) => unavailable = Some(why),
            }
        }
        let introspection = self.introspection.as_ref().filter(|_| kinds.introspection);
        let is_opaque = introspection.is_some_and(|it| !kinds.jwt || !it.is_local(text));
        if let Some(introspection) = introspection.filter(|_| is_opaque) {
            match introspection.verify(text, &self.policy) {
                Ok(admitted) => return Ok(admitted),
                Err(NotActive::Refused(why)) => reason = why,
                Err(NotActive::Unavailable(why)) => return Err(Refusal::NoKeys(why)),
            }
        } else if let Some(jwt) = self.jwt.as_ref().filter(|_| kinds.jwt) {
            match jwt.verify(text, &self.policy) {
                Ok(admitted) => return Ok(admitted),
                Err(NotAdmitted::Refused(why)) => reason = why,
                Err(NotAdmitted::NoKeys(why)) => return Err(Refusal::NoKeys(why)),
            }
        }
        Err(match unavailable {
            Some(why) => Refusal::NoKeys(why),
            None => Refusal::Invalid { bearer: *bearer, reason },
        })
    }
}

const NO_CERTIFICATE: &str = "the client showed no certificate";

fn anonymous(name: &str, policy: &Policy) -> Admission {
    policy.admit(&Consumer {
        id: name,
        method: "anonymous",
        key_id: "",
        scopes: &[],
        claims: &serde_json::Map::new(),
        group: None,
    })
}

fn schemes(config: &Config, places: &Places, policy: &Policy) -> Schemes {
    let basic = config.basic.as_ref();
    Schemes {
        api_key: places.api_key_names(),
        bearer: places.take_bearer(),
        metadata: config.resource_metadata.clone(),
        scope: policy.required_scopes(),
        basic: basic.map(|basic| basic.realm.as_ref().unwrap_or(&config.realm).clone()),
    }
}

/// Checks what concerns no single method.
fn check_whole(config: &Config, places: &Places, policy: &Policy, problems: &mut Problems) {
    let root = Pointer::default();
    if let Some(address) = &config.resource_metadata {
        let at = root.key("resource_metadata");
        if !is_address(address) {
            problems.add(&at, "is no address: `https://` and visible ASCII without quotes");
        } else if !places.take_bearer() {
            let message =
                "is part of the challenge for bearer credentials, and no method takes them";
            problems.add(&at, message);
        }
    }
    let no_realm = "is no realm: visible ASCII and spaces";
    if !is_realm(&config.realm) {
        problems.add(&root.key("realm"), no_realm);
    }
    let realm = config.basic.as_ref().and_then(|basic| basic.realm.as_deref());
    if realm.is_some_and(|realm| !is_realm(realm)) {
        problems.add(&root.key("basic").key("realm"), no_realm);
    }
    if let Some(name) = &config.anonymous {
        if !is_name(name) {
            problems.add(&root.key("anonymous"), "is no name of 1 to 1024 bytes on one line");
        }
        if policy.requires() {
            let message = "an anonymous consumer never has what `require` asks for";
            problems.add(&root.key("anonymous"), message);
        }
    }
    if config.client_certificate.as_ref().is_some_and(|it| it.combine == Combine::All) {
        let at = root.key("client_certificate").key("combine");
        if places.is_empty() {
            let message =
                "`all` needs another method: `api_key`, `jwt`, `introspection` or `basic`";
            problems.add(&at, message);
        }
        if config.anonymous.is_some() {
            let message = "`all` and `anonymous` exclude each other";
            problems.add(&at, message);
        }
    }
    let takes_tokens = config.jwt.is_some() || config.introspection.is_some();
    let others = [config.api_key.is_some(), config.basic.is_some()];
    if takes_tokens || others.contains(&true) || config.client_certificate.is_some() {
        return;
    }
    if !policy.requires() {
        let message = "name a method: `api_key`, `jwt`, `introspection`, `basic` or `client_certificate`, or what to `require`";
        problems.add(&root, message);
    }
    for (key, present) in [
        ("anonymous", config.anonymous.is_some()),
        ("headers", !config.headers.is_empty()),
        ("claims_to_attributes", !config.claims_to_attributes.is_empty()),
    ] {
        if present {
            problems.add(
                &root.key(key),
                "needs a method: `api_key`, `jwt`, `introspection`, `basic` or `client_certificate`",
            );
        }
    }
}

register_plugin!(Auth);
