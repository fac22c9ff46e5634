//! The protocols, and which one a request's path speaks.

use std::borrow::Cow;

use crate::framing::Framing;
use crate::saved::saved;

/// A wire format of a model API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `POST /v1/chat/completions`, also of the many compatible servers.
    OpenAiChat,
    /// `POST /v1/completions`.
    OpenAiCompletions,
    /// `POST /v1/responses`.
    OpenAiResponses,
    /// `POST /v1/embeddings`.
    OpenAiEmbeddings,
    /// Images, audio and moderation of OpenAI: usage is read where it is in the usual shape.
    OpenAiOther,
    /// `POST /v1/messages`.
    Anthropic,
    /// `POST /v1/models/M:generateContent` and `:streamGenerateContent`.
    Gemini,
    /// `POST /api/chat` and `/api/generate`.
    Ollama,
    /// `POST /model/M/converse` and `/converse-stream`.
    BedrockConverse,
    /// `POST /v2/chat`, `/v2/embed` and `/v2/rerank`.
    Cohere,
    /// Embeddings of Vertex AI: `POST .../models/M:predict`, `:embedContent` and `:batchEmbedContents`. No client speaks it
    /// here.
    VertexEmbeddings,
    /// `POST /model/M/invoke` for embeddings, whose form each model has for itself. No client speaks it here.
    BedrockInvoke,
}
saved!(
    enum Protocol {
        OpenAiChat,
        OpenAiCompletions,
        OpenAiResponses,
        OpenAiEmbeddings,
        OpenAiOther,
        Anthropic,
        Gemini,
        Ollama,
        BedrockConverse,
        Cohere,
        VertexEmbeddings,
        BedrockInvoke,
    }
);

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 12] = [
        Self::OpenAiChat,
        Self::OpenAiCompletions,
        Self::OpenAiResponses,
        Self::OpenAiEmbeddings,
        Self::OpenAiOther,
        Self::Anthropic,
        Self::Gemini,
        Self::Ollama,
        Self::BedrockConverse,
        Self::Cohere,
        Self::VertexEmbeddings,
        Self::BedrockInvoke,
    ];

    /// A short name for settings and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai-chat",
            Self::OpenAiCompletions => "openai-completions",
            Self::OpenAiResponses => "openai-responses",
            Self::OpenAiEmbeddings => "openai-embeddings",
            Self::OpenAiOther => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
            Self::BedrockConverse => "bedrock-converse",
            Self::Cohere => "cohere",
            Self::VertexEmbeddings => "vertex-embeddings",
            Self::BedrockInvoke => "bedrock-invoke",
        }
    }

    /// The protocol of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name)
    }

    /// How its streams are framed, if the response does not say otherwise.
    pub fn framing(self) -> Framing {
        match self {
            Self::Ollama => Framing::Ndjson,
            Self::BedrockConverse => Framing::EventStream,
            _ => Framing::Sse,
        }
    }

    /// Whether it is one of OpenAI's.
    pub fn is_openai(self) -> bool {
        matches!(
            self,
            Self::OpenAiChat
                | Self::OpenAiCompletions
                | Self::OpenAiResponses
                | Self::OpenAiEmbeddings
                | Self::OpenAiOther
        )
    }
}

/// What a request asks an API to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// To answer.
    Generate,
    /// To count the tokens of a request, which costs none.
    CountTokens,
    /// To embed.
    Embed,
    /// To list models, or describe one.
    Models,
    /// Something that is passed on without a reading.
    Other,
}

/// What the path says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// The protocol.
    pub protocol: Protocol,
    /// What is asked.
    pub action: Action,
    /// The model, in protocols that have it in the path; for Azure the deployment.
    pub model: Option<Cow<'a, str>>,
    /// Whether a stream is asked for, in protocols that say so in the path.
    pub stream: Option<bool>,
}

impl<'a> Call<'a> {
    /// Reads a path, without its query, by how it ends; what stands before, such as a prefix of
    /// the gateway's or `/v1beta`, does not matter.
    pub fn of_path(path: &'a str) -> Option<Self> {
        let call = |protocol, action| Self { protocol, action, model: None, stream: None };
        let ends = |end: &str| path.ends_with(end);
        if let Some((before, verb)) = path.rsplit_once(':')
            && let Some((_, model)) = before.rsplit_once("/models/")
        {
            let (action, stream) = match verb {
                "generateContent" => (Action::Generate, false),
                "streamGenerateContent" => (Action::Generate, true),
                "countTokens" => (Action::CountTokens, false),
                "embedContent" | "batchEmbedContents" => (Action::Embed, false),
                _ => (Action::Other, false),
            };
            let model = Some(decode(model));
            return Some(Self { protocol: Protocol::Gemini, action, model, stream: Some(stream) });
        }
        if let Some((before, verb)) = path.rsplit_once('/')
            && matches!(verb, "converse" | "converse-stream")
            && let Some((_, model)) = before.rsplit_once("/model/")
        {
            let stream = Some(verb == "converse-stream");
            let (protocol, action) = (Protocol::BedrockConverse, Action::Generate);
            return Some(Self { protocol, action, model: Some(decode(model)), stream });
        }
        let mut found = if ends("/chat/completions") {
            call(Protocol::OpenAiChat, Action::Generate)
        } else if ends("/completions") {
            call(Protocol::OpenAiCompletions, Action::Generate)
        } else if ends("/responses/input_tokens") {
            call(Protocol::OpenAiResponses, Action::CountTokens)
        } else if ends("/responses") {
            call(Protocol::OpenAiResponses, Action::Generate)
        } else if ends("/embeddings") {
            call(Protocol::OpenAiEmbeddings, Action::Embed)
        } else if ends("/messages/count_tokens") {
            call(Protocol::Anthropic, Action::CountTokens)
        } else if ends("/messages") {
            call(Protocol::Anthropic, Action::Generate)
        } else if ends("/api/chat") || ends("/api/generate") {
            call(Protocol::Ollama, Action::Generate)
        } else if ends("/api/embed") {
            call(Protocol::Ollama, Action::Embed)
        } else if ends("/api/tags") {
            call(Protocol::Ollama, Action::Models)
        } else if ends("/v2/chat") {
            call(Protocol::Cohere, Action::Generate)
        } else if ends("/v2/embed") {
            call(Protocol::Cohere, Action::Embed)
        } else if ends("/v2/rerank") {
            call(Protocol::Cohere, Action::Other)
        } else if ends("/models") || behind(path, "/models/").is_some() {
            call(Protocol::OpenAiOther, Action::Models)
        } else if path.contains("/images/") || path.contains("/audio/") || ends("/moderations") {
            call(Protocol::OpenAiOther, Action::Other)
        } else {
            return None;
        };
        if let Some(behind) = behind(path, "/openai/deployments/")
            && let Some((deployment, _)) = behind.split_once('/')
        {
            found.model = Some(decode(deployment));
        }
        Some(found)
    }
}

/// What stands behind the first `part` of a path. The searchers of the standard library prepare themselves for longer
/// texts than paths.
fn behind<'a>(path: &'a str, part: &str) -> Option<&'a str> {
    let at = path.as_bytes().windows(part.len()).position(|window| window == part.as_bytes())?;
    path.get(at + part.len()..)
}

impl Call<'_> {
    /// The path with another model in the place of its own. `None` if it has none.
    pub fn path_with_model(path: &str, model: &str) -> Option<String> {
        let between = |before: &str, behind: &str| {
            let start = path.rfind(before)? + before.len();
            let end = start + path[start..].find(behind)?;
            Some(format!("{}{}{}", &path[..start], encode(model), &path[end..]))
        };
        match Call::of_path(path)?.protocol {
            Protocol::Gemini => between("/models/", ":"),
            Protocol::BedrockConverse => between("/model/", "/"),
            _ => between("/openai/deployments/", "/"),
        }
    }
}

/// Percent-encodes what is not unreserved (RFC 3986 section 2.3).
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                let digit = |n: u8| char::from(b"0123456789ABCDEF"[usize::from(n)]);
                out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    out
}

/// Takes percent-encoding away: Bedrock's model ids have `:` and `/` that clients encode.
pub fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let digits = text.get(at + 1..at + 3).filter(|_| *byte == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(code) => {
                out.push(code);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{Action, Call, Protocol};

    #[test]
    fn paths_say_the_protocol_and_some_the_model() {
        let read = |path| {
            let call = Call::of_path(path)?;
            Some((call.protocol, call.action, call.model.map(|m| m.into_owned()), call.stream))
        };
        use Action::{CountTokens, Generate, Models};
        for (path, protocol, action, model, stream) in [
            ("/v1/chat/completions", Protocol::OpenAiChat, Generate, None, None),
            (
                "/openai/deployments/g5/chat/completions",
                Protocol::OpenAiChat,
                Generate,
                Some("g5"),
                None,
            ),
            ("/v1/completions", Protocol::OpenAiCompletions, Generate, None, None),
            ("/team/v1/messages", Protocol::Anthropic, Generate, None, None),
            ("/v1/messages/count_tokens", Protocol::Anthropic, CountTokens, None, None),
            (
                "/v1beta/models/gemini-3-pro:streamGenerateContent",
                Protocol::Gemini,
                Generate,
                Some("gemini-3-pro"),
                Some(true),
            ),
            (
                "/v1/projects/p/locations/l/publishers/google/models/g:generateContent",
                Protocol::Gemini,
                Generate,
                Some("g"),
                Some(false),
            ),
            (
                "/model/anthropic.claude-5-v1%3A0/converse-stream",
                Protocol::BedrockConverse,
                Generate,
                Some("anthropic.claude-5-v1:0"),
                Some(true),
            ),
            ("/api/chat", Protocol::Ollama, Generate, None, None),
            ("/v2/chat", Protocol::Cohere, Generate, None, None),
            ("/team/v2/embed", Protocol::Cohere, Action::Embed, None, None),
            ("/v2/rerank", Protocol::Cohere, Action::Other, None, None),
            ("/v1/models", Protocol::OpenAiOther, Models, None, None),
            ("/v1beta/models/gemini-3-pro", Protocol::OpenAiOther, Models, None, None),
        ] {
            let expected = Some((protocol, action, model.map(str::to_owned), stream));
            assert_eq!(read(path), expected, "{path}");
        }
        assert_eq!(read("/healthz"), None);
    }

    #[test]
    fn names_are_unique() {
        for protocol in Protocol::ALL {
            assert_eq!(Protocol::of_name(protocol.name()), Some(protocol));
        }
    }
}
