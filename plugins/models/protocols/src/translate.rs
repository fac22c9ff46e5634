//! Translation between protocols: requests of clients for other providers, and the answers back.
//!
//! A request goes through an intermediate form. What the other protocol has no place for is
//! refused by its name, or, where it changes nothing of the answer's meaning, left out and
//! reported ([`Translated::ignored`]); nothing is dropped in silence. Where both sides speak the
//! same protocol nothing is translated: the bytes are passed on.

mod answer;
mod client;
mod embed;
mod finish;

mod inbound;
mod ir;
mod outbound;
mod provider;
mod schema;
mod stream;

pub use embed::Form;
pub use ir::Refused;
pub use stream::Translator;

use crate::error::{Class, Failure};
use crate::json::Raw;
use crate::protocol::{Action, Call, Protocol};
use crate::usage;

/// The provider that a request is translated for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'t> {
    /// What it speaks.
    pub protocol: Protocol,
    /// The provider's name of the model.
    pub model: &'t str,
    /// The bound of the output where the client gave none and the provider wants one.
    pub default_max_output: u64,
    /// For chat completions: `max_completion_tokens`, or `max_tokens` for servers that know only
    /// that.
    pub max_output_name: &'t str,
    /// For chat completions: whether the server takes `top_k` and `reasoning_content` as vLLM and
    /// others do.
    pub extensions: bool,
    /// For chat completions: whether ids of calls have nine letters and digits, as at Mistral.
    pub short_ids: bool,
    /// For Anthropic: whether the model decides how much it thinks and takes an effort, as newer
    /// ones do, instead of a budget.
    pub adaptive_thinking: bool,
}

impl<'t> Target<'t> {
    /// A target with the usual settings.
    pub fn new(protocol: Protocol, model: &'t str) -> Self {
        Self {
            protocol,
            model,
            default_max_output: 8192,
            max_output_name: "max_completion_tokens",
            extensions: false,
            short_ids: false,
            adaptive_thinking: false,
        }
    }

    /// The path and query to which the provider takes the request, from its root on.
    pub fn path(&self, stream: bool) -> String {
        let model = crate::protocol::encode(self.model);
        match (self.protocol, stream) {
            (Protocol::Anthropic, _) => "/v1/messages".to_owned(),
            (Protocol::Gemini, true) => {
                format!("/v1beta/models/{model}:streamGenerateContent?alt=sse")
            }
            (Protocol::Gemini, false) => format!("/v1beta/models/{model}:generateContent"),
            (Protocol::BedrockConverse, true) => format!("/model/{model}/converse-stream"),
            (Protocol::BedrockConverse, false) => format!("/model/{model}/converse"),
            (Protocol::Ollama, _) => "/api/chat".to_owned(),
            (Protocol::Cohere, _) => "/v2/chat".to_owned(),
            (Protocol::OpenAiResponses, _) => "/v1/responses".to_owned(),
            (Protocol::OpenAiCompletions, _) => "/v1/completions".to_owned(),
            (Protocol::OpenAiEmbeddings, _) => "/v1/embeddings".to_owned(),
            (Protocol::VertexEmbeddings, _) => {
                format!("/v1/publishers/google/models/{model}:predict")
            }
            (Protocol::BedrockInvoke, _) => format!("/model/{model}/invoke"),
            (Protocol::OpenAiChat | Protocol::OpenAiOther, _) => "/v1/chat/completions".to_owned(),
        }
    }
}

/// A request for a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translated {
    /// The body.
    pub body: String,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// Whether the client wants the usage as an event of the stream.
    pub include_usage: bool,
    /// For embeddings: the form in which the client wants vectors.
    pub form: Form,
    /// For embeddings of Vertex AI: which of its endpoints takes them.
    pub endpoint: Option<&'static str>,
    /// What the client asked for and the provider has no place for.
    pub ignored: Vec<String>,
}

/// Translates a request. `call` is what the client's path said.
pub fn request(call: &Call<'_>, body: &[u8], target: &Target<'_>) -> Result<Translated, Refused> {
    let root = Raw::parse(body).map_err(|fault| Refused::new("", format!("is {fault}")))?;
    if !root.is_object() {
        return Err(Refused::new("", "is not a JSON object"));
    }
    if call.action == Action::Embed {
        return match embed::is_known(call.protocol, target.protocol) {
            true => embed::request(call.protocol, root, target),
            false => Err(Refused::new("", "is for a provider's API that it is not translated to")),
        };
    }
    let mut request = inbound::read(call, root)?;
    let body = outbound::write(&mut request, target)?;
    let (stream, include_usage) = (request.stream, request.include_usage);
    let (form, endpoint, ignored) = (Form::default(), None, request.ignored);
    Ok(Translated { body, stream, include_usage, form, endpoint, ignored })
}

/// What an answer for a client says that the provider's does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The id of the answer and of calls where the provider gives none; letters, digits, `_`, `-`.
    pub id: String,
    /// The model as the client named it.
    pub model: String,
    /// The time, in seconds since 1970.
    pub created: u64,
    /// Whether a client of chat completions wants the usage as an event of the stream.
    pub include_usage: bool,
    /// The input tokens that a client of Anthropic's is told at the start; the real ones follow at
    /// the end. 0 says nothing. With embeddings those of a provider that says none.
    pub input_estimate: u64,
}

/// Translates a whole answer. An answer that is not one, or cannot be told in the client's
/// protocol, is a failure of the provider's.
pub fn response(
    from: Protocol,
    to: Protocol,
    body: &[u8],
    options: &Options,
) -> Result<String, Failure> {
    let provider = provider::Provider::new(from, &options.id);
    let mut provider =
        provider.ok_or_else(|| fault("Answers of this API cannot be translated.".to_owned()))?;
    let json = Raw::parse(body).map_err(|it| fault(format!("The provider's answer is {it}.")))?;
    let mut answer = answer::Answer::default();
    provider.whole(json, &mut answer).map_err(fault)?;
    if answer.finish.is_none() {
        return Err(fault("The provider's answer has no end.".to_owned()));
    }
    client::whole(to, &answer, options, usage::of_json(from, json)).map_err(fault)
}

/// Translates a whole answer with embeddings, likewise. `form` is what [`Translated::form`] was.
pub fn embeddings(
    from: Protocol,
    to: Protocol,
    body: &[u8],
    options: &Options,
    form: Form,
) -> Result<String, Failure> {
    if !embed::is_known(to, from) {
        return Err(fault("Embeddings of this API cannot be translated.".to_owned()));
    }
    let json = Raw::parse(body).map_err(|it| fault(format!("The provider's answer is {it}.")))?;
    embed::response((from, to), json, options, form)
}

fn fault(message: String) -> Failure {
    Failure {
        class: Class::Server,
        status: 502,
        kind: String::new(),
        code: String::new(),
        message,
        retry_after_ms: None,
    }
}

#[cfg(test)]
mod tests;
