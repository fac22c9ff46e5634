//! Where a request goes at a deployment, and with which credentials.
//!
//! Owns the paths and the fields of each provider. Must not know bodies.

use gateway_model_protocols::{self as protocols, Action};
use gateway_plugin_sdk::attempts::Attempt;
use gateway_plugin_sdk::clock;
use gateway_plugin_sdk::prelude::{Interest, Request};

use crate::catalog::Deployment;
use crate::config::Provider;
use crate::credential::Credential;

/// Fields that are the client's own credentials. None of them reaches a provider.
const REMOVED: [&str; 13] = [
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "ocp-apim-subscription-key",
    "proxy-authorization",
    "x-amz-security-token",
    "x-amz-date",
    "x-amz-content-sha256",
    "x-auth-token",
    "openai-organization",
    "openai-project",
];

/// What all requests have: answers are to be read.
const ENCODING: (&str, &str) = ("accept-encoding", "identity");

/// The version of Anthropic's API, where the client names none.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// Azure's version without a date.
const UNDATED: &str = "v1";

/// The head of a request as a deployment gets it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Address {
    path: String,
    /// Without `?`; empty for none.
    query: String,
    fields: Vec<(String, Vec<u8>)>,
    /// Fields that were for the deployment before.
    forgotten: Vec<String>,
}

/// What an address depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// What of the path is the API's own, see [`crate::api::endpoint`].
    pub(crate) endpoint: &'a str,
    pub(crate) query: Option<&'a str>,
    /// What the provider calls the model.
    pub(crate) model: &'a str,
    /// Whether a stream is asked for.
    pub(crate) streams: bool,
    /// What is asked.
    pub(crate) action: Action,
    /// Whether the client says which version of Anthropic's API it speaks.
    pub(crate) has_version: bool,
}

impl Address {
    pub(crate) fn of(deployment: &Deployment, asked: Asked<'_>) -> Self {
        let mut query = without(asked.query.unwrap_or_default(), "key");
        let path = match deployment.provider {
            Provider::Openai
            | Provider::Anthropic
            | Provider::Ollama
            | Provider::Mistral
            | Provider::Cohere
            | Provider::CohereOpenai => [&deployment.path, asked.endpoint].concat(),
            Provider::Azure => azure(deployment, &asked, &mut query),
            Provider::Gemini => {
                let verb = asked.endpoint.split_once(':').map_or("", |(_, verb)| verb);
                let model = segment(asked.model);
                [&deployment.path, "/models/", &model, ":", verb].concat()
            }
            Provider::Vertex => {
                let verb = asked.endpoint.split_once(':').map_or("", |(_, verb)| verb);
                [&vertex(deployment, "google"), &segment(asked.model), ":", verb].concat()
            }
            Provider::VertexAnthropic => {
                query.clear();
                let verb = if asked.streams { ":streamRawPredict" } else { ":rawPredict" };
                let model = match asked.action {
                    Action::CountTokens => "count-tokens",
                    _ => asked.model,
                };
                [&vertex(deployment, "anthropic"), &segment(model), verb].concat()
            }
            Provider::Bedrock => {
                query.clear();
                let verb = asked.endpoint.rsplit('/').next().unwrap_or_default();
                // As AWS's own clients write it: `:` and `/` of ids and ARNs too.
                let model = protocols::encode(asked.model);
                [&deployment.path, "/model/", &model, "/", verb].concat()
            }
        };
        let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
        let mut set =
            |name: &str, value: String| fields.push((name.to_owned(), value.into_bytes()));
        if let Credential::Key(key) = &deployment.credential {
            match deployment.provider {
                Provider::Openai
                | Provider::Ollama
                | Provider::Bedrock
                | Provider::Mistral
                | Provider::Cohere
                | Provider::CohereOpenai
                | Provider::VertexAnthropic => {
                    set("authorization", ["Bearer ", key].concat());
                }
                Provider::Azure => set("api-key", key.clone()),
                Provider::Anthropic => set("x-api-key", key.clone()),
                Provider::Gemini | Provider::Vertex => set("x-goog-api-key", key.clone()),
            }
        }
        if deployment.provider == Provider::Anthropic && !asked.has_version {
            set("anthropic-version", ANTHROPIC_VERSION.to_owned());
        }
        for (name, value) in &deployment.headers {
            set(name, value.clone());
        }
        Self { path, query, fields, forgotten: Vec::new() }
    }

    /// Adds the credentials that are made for each request, or fetched.
    pub(crate) fn sign(&mut self, deployment: &Deployment, body: &[u8]) -> Result<(), String> {
        if let Credential::Account(account) = &deployment.credential {
            self.set("authorization", &["Bearer ", &account.token()?].concat());
        }
        if let Credential::Aws(aws) = &deployment.credential {
            let mut set = |name: &str, value: String| {
                self.fields.push((name.to_owned(), value.into_bytes()));
            };
            set("host", aws.host.clone());
            for (name, value) in aws.sign(&self.path, body, clock::now().as_secs())? {
                set(name, value);
            }
        }
        Ok(())
    }

    /// Takes away what another deployment's requests have.
    pub(crate) fn forget(&mut self, other: &Deployment) {
        self.forgotten = other.headers.iter().map(|(name, _)| name.clone()).collect();
    }

    /// Adds a field.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.fields.push((name.to_owned(), value.as_bytes().to_vec()));
    }

    /// Sends a request there, which [`prepare_every`] has prepared but for the fields that are late.
    pub(crate) fn apply(self, request: &mut Request, is_late: impl Fn(&str) -> bool) {
        for name in REMOVED.into_iter().filter(|name| is_late(name)) {
            request.remove_header(name);
        }
        if is_late(ENCODING.0) {
            request.set_header(ENCODING.0, ENCODING.1);
        }
        request.set_path(self.path);
        if !self.query.is_empty() || request.query().is_some() {
            request.set_query(self.query);
        }
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
        for name in self.forgotten {
            attempt = attempt.remove_header(name);
        }
        attempt = attempt.set_header(ENCODING.0, ENCODING.1);
        for (name, value) in self.fields {
            attempt = attempt.set_header(name, value);
        }
        attempt
    }
}

/// What is done to the fields of every request, which the gateway then does without being asked each time. Those that are
/// late are still read after that.
pub(crate) fn prepare_every(interest: Interest, is_late: impl Fn(&str) -> bool) -> Interest {
    let removed = REMOVED.into_iter().filter(|name| !is_late(name));
    let interest = removed.fold(interest, Interest::always_remove_header);
    if is_late(ENCODING.0) {
        return interest;
    }
    interest.always_set_header(ENCODING.0, ENCODING.1)
}

/// Azure's path: with dates by deployment, but for responses, which have the deployment in the body. Without dates as
/// OpenAI's own, and there responses are too where the date is older than they are.
fn azure(deployment: &Deployment, asked: &Asked<'_>, query: &mut String) -> String {
    *query = without(query, "api-version");
    let version = &*deployment.api_version;
    let is_responses = asked.endpoint.starts_with("/responses");
    if version == UNDATED || (is_responses && version < "2025-03-01-preview") {
        return [&deployment.path, "/", UNDATED, asked.endpoint].concat();
    }
    *query = joined(query, &["api-version=", version].concat());
    if is_responses {
        return [&deployment.path, asked.endpoint].concat();
    }
    [&deployment.path, "/deployments/", &segment(asked.model), asked.endpoint].concat()
}

/// What stands before the name of a publisher's model on Vertex AI.
fn vertex(deployment: &Deployment, publisher: &str) -> String {
    let Deployment { path, project, region, .. } = deployment;
    format!("{path}/projects/{project}/locations/{region}/publishers/{publisher}/models/")
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
