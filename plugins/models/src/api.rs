//! Which API a request is for, and which providers can serve it as it is.
//!
//! Owns what of a path is the API's own. What stands before it is the route's, and does not matter here.

use gateway_model_protocols::translate::Translated;
use gateway_model_protocols::{Action, Call, Protocol};

use crate::config::Provider;

/// Where OpenAI's endpoints begin that are passed on as they are.
const OTHERS: [&str; 3] = ["/images/", "/audio/", "/moderations"];

/// What of the path is the API's own, such as `/chat/completions`.
pub(crate) fn endpoint<'a>(call: &Call<'_>, path: &'a str) -> &'a str {
    let tail = |marks: &[&str]| {
        let at = marks.iter().filter_map(|mark| path.rfind(mark)).min();
        at.map_or(path, |at| &path[at..])
    };
    match call.protocol {
        Protocol::OpenAiChat => "/chat/completions",
        Protocol::OpenAiCompletions => "/completions",
        Protocol::OpenAiResponses if call.action == Action::CountTokens => {
            "/responses/input_tokens"
        }
        Protocol::OpenAiResponses => "/responses",
        Protocol::OpenAiEmbeddings => "/embeddings",
        Protocol::OpenAiOther => tail(&OTHERS),
        Protocol::Anthropic if call.action == Action::CountTokens => "/messages/count_tokens",
        Protocol::Anthropic => "/messages",
        Protocol::Gemini => tail(&["/models/"]),
        Protocol::Ollama => tail(&["/api/"]),
        Protocol::BedrockConverse => tail(&["/model/"]),
        Protocol::Cohere => tail(&["/v2/"]),
        // No client speaks them.
        Protocol::VertexEmbeddings | Protocol::BedrockInvoke => path,
    }
}

impl Provider {
    /// Whether it has the API itself, so that requests and responses pass as they are.
    pub(crate) fn speaks(self, protocol: Protocol, action: Action) -> bool {
        match self {
            Self::Openai | Self::Azure => protocol.is_openai(),
            Self::Anthropic => protocol == Protocol::Anthropic,
            Self::Gemini => protocol == Protocol::Gemini,
            Self::Vertex => protocol == Protocol::Gemini && action != Action::Embed,
            Self::VertexAnthropic => protocol == Protocol::Anthropic,
            Self::Mistral | Self::CohereOpenai => matches!(
                protocol,
                Protocol::OpenAiChat | Protocol::OpenAiEmbeddings | Protocol::OpenAiOther
            ),
            Self::Ollama => protocol == Protocol::Ollama,
            Self::Bedrock => protocol == Protocol::BedrockConverse,
            Self::Cohere => protocol == Protocol::Cohere,
        }
    }

    /// The API into which requests of others are translated.
    pub(crate) fn own(self, action: Action) -> Protocol {
        match self {
            Self::Openai | Self::Azure | Self::Mistral | Self::CohereOpenai
                if action == Action::Embed =>
            {
                Protocol::OpenAiEmbeddings
            }
            Self::Openai | Self::Azure | Self::Mistral | Self::CohereOpenai => Protocol::OpenAiChat,
            Self::Anthropic | Self::VertexAnthropic => Protocol::Anthropic,
            Self::Vertex if action == Action::Embed => Protocol::VertexEmbeddings,
            Self::Gemini | Self::Vertex => Protocol::Gemini,
            Self::Ollama => Protocol::Ollama,
            Self::Bedrock if action == Action::Embed => Protocol::BedrockInvoke,
            Self::Bedrock => Protocol::BedrockConverse,
            Self::Cohere => Protocol::Cohere,
        }
    }

    /// Whether requests of an API that it does not have can be translated for it.
    pub(crate) fn translates(self, protocol: Protocol, action: Action) -> bool {
        match action {
            Action::Generate => is_translated(protocol),
            Action::Embed => !matches!(self, Self::Anthropic | Self::VertexAnthropic),
            Action::CountTokens | Action::Models | Action::Other => false,
        }
    }
}

/// Whether a call is one that is passed on. What Gemini does besides is not: it could change what the account has.
pub(crate) fn is_known(call: &Call<'_>) -> bool {
    match call.action {
        Action::Generate | Action::CountTokens | Action::Embed => true,
        Action::Other => call.protocol.is_openai() || call.protocol == Protocol::Cohere,
        Action::Models => false,
    }
}

/// Whether requests for an answer can be translated for providers that have another API.
fn is_translated(protocol: Protocol) -> bool {
    matches!(
        protocol,
        Protocol::OpenAiChat
            | Protocol::OpenAiResponses
            | Protocol::Anthropic
            | Protocol::Gemini
            | Protocol::Ollama
    )
}

/// The endpoint for a translated request, and its query.
pub(crate) fn endpoint_of(
    spoken: Protocol,
    action: Action,
    translated: &Translated,
) -> (&'static str, Option<&'static str>) {
    if let Some(endpoint) = translated.endpoint {
        return (endpoint, None);
    }
    let streams = translated.stream;
    match spoken {
        Protocol::BedrockInvoke => ("/invoke", None),
        Protocol::Cohere if action == Action::Embed => ("/v2/embed", None),
        Protocol::Gemini if action == Action::Embed => ("/models/:batchEmbedContents", None),
        Protocol::Ollama if action == Action::Embed => ("/api/embed", None),
        Protocol::OpenAiEmbeddings => ("/embeddings", None),
        Protocol::Cohere => ("/v2/chat", None),
        Protocol::Anthropic => ("/messages", None),
        Protocol::Gemini if streams => ("/models/:streamGenerateContent", Some("alt=sse")),
        Protocol::Gemini => ("/models/:generateContent", None),
        Protocol::Ollama => ("/api/chat", None),
        Protocol::BedrockConverse if streams => ("/converse-stream", None),
        Protocol::BedrockConverse => ("/converse", None),
        _ => ("/chat/completions", None),
    }
}

/// What OpenTelemetry's conventions call the operation.
pub(crate) fn operation(protocol: Protocol, action: Action) -> &'static str {
    match (action, protocol) {
        (Action::Embed, _) => "embeddings",
        (Action::Generate, Protocol::OpenAiCompletions) => "text_completion",
        (Action::Generate, Protocol::Gemini) => "generate_content",
        (Action::Generate, _) => "chat",
        (Action::CountTokens, _) => "count_tokens",
        (Action::Other, Protocol::Cohere) => "rerank",
        (Action::Models | Action::Other, _) => "other",
    }
}
