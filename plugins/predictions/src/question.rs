//! What a request asks: whether its answer may be kept, and under which key.

use gateway_cache_policy::authority;
use gateway_model_protocols::json::Raw;
use gateway_model_protocols::{Action, Call, Protocol, request as read};
use gateway_plugin_sdk::digest;
use gateway_plugin_sdk::prelude::Request;

use crate::canonical::{self, Fault};
use crate::config::{Config, Settings, SharedWith};
use crate::place;
use crate::semantic::{Alike, Semantic};

/// The field by which a request asks for more than the threshold, and by which a response says how alike its question was.
pub(crate) const SIMILARITY: &str = "prediction-similarity";

/// Fields in which clients send credentials, and those that say for which organisation they do.
pub(crate) const CREDENTIALS: [&str; 12] = [
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "proxy-authorization",
    "cookie",
    "openai-organization",
    "openai-project",
    "anthropic-organization-id",
    "anthropic-workspace-id",
    "x-goog-user-project",
    "x-amz-security-token",
];

/// The variants that the experiments of plugins before have chosen.
pub(crate) const VARIANTS: &str = "experiment-variants";

/// Members that make a request one of a series, so that the answer is more than an answer.
const OF_A_SERIES: [&str; 3] = ["previous_response_id", "conversation", "background"];

/// A request whose answer may be kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) key: Vec<u8>,
    /// Whose it is, for the bounds of the store.
    pub(crate) tenant: String,
    pub(crate) model: Option<String>,
    /// The API, if it is one that is known.
    pub(crate) protocol: Option<Protocol>,
    /// What is asked of it.
    pub(crate) action: Action,
    /// How many answers are asked for.
    pub(crate) answers: u64,
}

/// Why an answer is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It is not JSON.
    NoJson,
    /// Readers may take it for different things.
    Body,
    /// It is one of a series.
    Series,
    /// It is not the same each time.
    Random,
}

impl Unfit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Unfit::NoJson => "request-not-json",
            Unfit::Body => "request-ambiguous",
            Unfit::Series => "request-stateful",
            Unfit::Random => "request-not-deterministic",
        }
    }
}

/// What the path of a request calls, if its answers may be kept.
pub(crate) fn call<'a>(path: &'a str, settings: &Settings) -> Option<Option<Call<'a>>> {
    let call = Call::of_path(path);
    let is_known = call.as_ref().is_some_and(|call| {
        matches!(call.action, Action::Generate | Action::Embed | Action::CountTokens)
    });
    if is_known {
        return Some(call);
    }
    settings.config.any_json.then_some(None)
}

impl Question {
    /// Reads a request.
    pub(crate) fn new(request: &Request, body: &[u8], settings: &Settings) -> Result<Self, Unfit> {
        let config = &settings.config;
        let call = call(request.path(), settings).flatten();
        let form = canonical::form(body, &settings.choice).map_err(|fault| match fault {
            Fault::Json => Unfit::NoJson,
            Fault::Twice | Fault::Surrogate => Unfit::Body,
        })?;
        let root = Raw::parse(body).map_err(|_| Unfit::NoJson)?;
        let (mut model, mut answers) = (None, 1);
        if let Some(call) = &call {
            let read = read::read(call, body).map_err(|_| Unfit::Body)?;
            (model, answers) = (read.model, read.n);
            let is_set =
                |name: &&str| root.some(name).is_some_and(|value| value.bool() != Some(false));
            if OF_A_SERIES.iter().any(is_set) {
                return Err(Unfit::Series);
            }
            if config.only_deterministic && !is_deterministic(call, root) {
                return Err(Unfit::Random);
            }
        }
        let tenant = tenant(request, config.shared_with);
        let parts = parts(request, &tenant, &form, config);
        Ok(Self {
            key: digest::sha256(&parts).to_vec(),
            tenant,
            model,
            protocol: call.as_ref().map(|call| call.protocol),
            action: call.map_or(Action::Other, |call| call.action),
            answers,
        })
    }

    /// What is compared if not all of it has to be the same: the text of the last message, and all else as it is.
    pub(crate) fn alike(
        &self,
        request: &Request,
        body: &[u8],
        settings: &Settings,
        semantic: &Semantic,
    ) -> Option<Alike> {
        let protocol = self.protocol.filter(|_| self.action == Action::Generate)?;
        let threshold = semantic.threshold(request.header(SIMILARITY))?;
        let place = place::last_text(protocol, Raw::parse(body).ok()?)?;
        if !semantic.takes(&place.text) {
            return None;
        }
        let form = canonical::form_without(body, &settings.choice, &place.pointer).ok()?;
        let group = digest::sha256(&parts(request, &self.tenant, &form, &settings.config));
        // The text does not count at all.
        if group[..] == self.key[..] {
            return None;
        }
        let tenant = semantic.place_of(&self.tenant);
        Some(Alike { group, tenant, text: place.text.into_owned(), threshold })
    }
}

/// All that a prediction depends on, with the form of the body: each part with its length, so that no two questions are one
/// text.
fn parts(request: &Request, tenant: &str, form: &str, config: &Config) -> Vec<u8> {
    let mut parts = Vec::with_capacity(form.len() + 512);
    let mut part = |bytes: &[u8]| {
        parts.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        parts.extend_from_slice(bytes);
    };
    part(tenant.as_bytes());
    part(config.generation.as_bytes());
    let attribute = |name: &str| request.attribute(name).unwrap_or_default();
    let (scheme, field) = (attribute("request.scheme"), request.header("host"));
    part(authority::of(scheme, field, attribute("request.host")).as_bytes());
    part(authority::normal(scheme, field.unwrap_or_default()).as_bytes());
    // Another route may have another upstream, with other models behind the same names.
    part(attribute("route.name").as_bytes());
    part(attribute("listener.name").as_bytes());
    // So may a plugin before have chosen one.
    part(attribute("upstream.name").as_bytes());
    // So may an experiment have changed the request.
    part(attribute(VARIANTS).as_bytes());
    part(request.path().as_bytes());
    part(query(request).as_bytes());
    for name in &config.headers {
        part(&[u8::from(request.header_bytes(name).is_some())]);
        part(request.header_bytes(name).unwrap_or_default());
    }
    for name in &config.attributes {
        part(&[u8::from(request.attribute(name).is_some())]);
        part(request.attribute(name).unwrap_or_default().as_bytes());
    }
    part(form.as_bytes());
    parts
}

/// The query, without a key in it.
fn query(request: &Request) -> String {
    let pairs = request.query().unwrap_or_default().split('&');
    let kept: Vec<_> = pairs.filter(|pair| !pair.starts_with("key=")).collect();
    kept.join("&")
}

/// For whom an answer is.
fn tenant(request: &Request, shared: SharedWith) -> String {
    let attribute = |name: &str| request.attribute(name).filter(|value| !value.is_empty());
    if shared == SharedWith::Everyone {
        return "everyone".to_owned();
    }
    if shared == SharedWith::Group
        && let Some(group) = attribute("consumer.group")
    {
        return format!("group {group}");
    }
    if let Some(id) = attribute("consumer.id") {
        return format!("consumer {id}");
    }
    let mut given = Vec::new();
    for name in CREDENTIALS {
        given.extend_from_slice(request.header_bytes(name).unwrap_or_default());
        given.push(b'\n');
    }
    let pairs = request.query().unwrap_or_default().split('&');
    for pair in pairs.filter(|pair| pair.starts_with("key=")) {
        given.extend_from_slice(pair.as_bytes());
        given.push(b'&');
    }
    if given.iter().all(|byte| *byte == b'\n') {
        return "nobody".to_owned();
    }
    let digest = digest::sha256(&given);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("credentials {hex}")
}

/// Whether the same is answered each time, as far as the request can say that.
fn is_deterministic(call: &Call<'_>, root: Raw<'_>) -> bool {
    if matches!(call.action, Action::Embed | Action::CountTokens) {
        return true;
    }
    let settings = match call.protocol {
        Protocol::Gemini => {
            ["generationConfig", "generation_config"].into_iter().find_map(|name| root.some(name))
        }
        Protocol::Ollama => root.some("options"),
        Protocol::BedrockConverse => root.some("inferenceConfig"),
        _ => Some(root),
    };
    let Some(settings) = settings else { return false };
    let is_zero = |value: Raw<'_>| {
        let digits = value.text().trim_start_matches('-');
        !value.is_string()
            && digits.starts_with('0')
            && digits
                .split(['e', 'E'])
                .next()
                .is_some_and(|text| text.bytes().all(|byte| matches!(byte, b'0' | b'.')))
    };
    settings.some("temperature").is_some_and(is_zero) || settings.some("seed").is_some()
}
