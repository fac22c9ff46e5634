//! Where a request goes at a deployment, and with which credentials.
//!
//! Owns the paths and the fields of each provider. Must not know bodies.

use gateway_model_protocols as protocols;
use gateway_plugin_sdk::attempts::Attempt;
use gateway_plugin_sdk::prelude::Request;

use crate::catalog::Deployment;
use crate::config::Provider;

/// Fields that are the client's own credentials, or would have the provider answer in a form that cannot be read. None
/// of them reaches a provider.
const REMOVED: [&str; 12] = [
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "ocp-apim-subscription-key",
    "proxy-authorization",
    "x-amz-security-token",
    "x-auth-token",
    "openai-organization",
    "openai-project",
    "accept-encoding",
];

/// The version of Anthropic's API, where the client names none.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// The head of a request as a deployment gets it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Address {
    path: String,
    /// Without `?`; empty for none.
    query: String,
    fields: Vec<(String, Vec<u8>)>,
}

/// What an address depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// What of the path is the API's own, see [`crate::api::endpoint`].
    pub(crate) endpoint: &'a str,
    pub(crate) query: Option<&'a str>,
    /// What the provider calls the model.
    pub(crate) model: &'a str,
    /// Whether the client says which version of Anthropic's API it speaks.
    pub(crate) has_version: bool,
}

impl Address {
    pub(crate) fn of(deployment: &Deployment, asked: Asked<'_>) -> Self {
        let mut query = without(asked.query.unwrap_or_default(), "key");
        let path = match deployment.provider {
            Provider::Openai | Provider::Anthropic | Provider::Ollama => {
                [&deployment.path, asked.endpoint].concat()
            }
            Provider::Azure => {
                let version = ["api-version=", &deployment.api_version].concat();
                query = joined(&without(&query, "api-version"), &version);
                let model = segment(asked.model);
                [&deployment.path, "/deployments/", &model, asked.endpoint].concat()
            }
            Provider::Gemini => {
                let verb = asked.endpoint.split_once(':').map_or("", |(_, verb)| verb);
                let model = segment(asked.model);
                [&deployment.path, "/models/", &model, ":", verb].concat()
            }
        };
        let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
        let mut set =
            |name: &str, value: String| fields.push((name.to_owned(), value.into_bytes()));
        if let Some(credential) = &deployment.credential {
            match deployment.provider {
                Provider::Openai | Provider::Ollama => {
                    set("authorization", ["Bearer ", credential].concat());
                }
                Provider::Azure => set("api-key", credential.clone()),
                Provider::Anthropic => set("x-api-key", credential.clone()),
                Provider::Gemini => set("x-goog-api-key", credential.clone()),
            }
        }
        if deployment.provider == Provider::Anthropic && !asked.has_version {
            set("anthropic-version", ANTHROPIC_VERSION.to_owned());
        }
        set("accept-encoding", "identity".to_owned());
        for (name, value) in &deployment.headers {
            set(name, value.clone());
        }
        Self { path, query, fields }
    }

    /// Sends a request there.
    pub(crate) fn apply(self, request: &mut Request) {
        for name in REMOVED {
            request.remove_header(name);
        }
        request.set_path(self.path);
        request.set_query(self.query);
        for (name, value) in self.fields {
            request.set_header(name, value);
        }
    }

    /// Sends another attempt there.
    pub(crate) fn attempt(self, upstream: &str) -> Attempt {
        let mut attempt = Attempt::new().upstream(upstream).path(self.path).query(self.query);
        for name in REMOVED {
            attempt = attempt.remove_header(name);
        }
        for (name, value) in self.fields {
            attempt = attempt.set_header(name, value);
        }
        attempt
    }
}

/// A query without the parameters of this name.
fn without(query: &str, name: &str) -> String {
    let kept = query.split('&').filter(|pair| {
        let key = pair.split('=').next().unwrap_or_default();
        !protocols::decode(key).eq_ignore_ascii_case(name) && !pair.is_empty()
    });
    kept.collect::<Vec<_>>().join("&")
}

fn joined(query: &str, pair: &str) -> String {
    if query.is_empty() { pair.to_owned() } else { [query, "&", pair].concat() }
}

/// A name as one segment of a path (RFC 3986 section 3.3).
fn segment(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:@".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
