//! Embeddings: what a client of OpenAI, Ollama, Gemini or Cohere asks for, asked of a provider with another API.
//!
//! One request is one request there too. A text that is too long is refused as it is by OpenAI, and never cut. What a
//! provider has no place for is refused by its name.

mod answer;
mod read;
mod write;

pub(super) use answer::response;

use super::ir::Refused;
use super::{Target, Translated};
use crate::json::Raw;
use crate::protocol::Protocol;
use crate::saved::saved;

/// In which form a client is told embeddings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As numbers.
    #[default]
    Numbers,
    /// As the bytes of their numbers, in base64.
    Bytes,
    /// As both.
    Both,
    /// As the numbers of the only one.
    One,
}
saved!(
    enum Form {
        Numbers,
        Bytes,
        Both,
        One,
    }
);

/// Whether embeddings are translated from the API of the client to that of the provider.
pub(super) fn is_known(client: Protocol, provider: Protocol) -> bool {
    let is_client = matches!(
        client,
        Protocol::OpenAiEmbeddings | Protocol::Ollama | Protocol::Gemini | Protocol::Cohere
    );
    let is_provider = matches!(
        provider,
        Protocol::OpenAiEmbeddings
            | Protocol::Cohere
            | Protocol::Gemini
            | Protocol::Ollama
            | Protocol::VertexEmbeddings
            | Protocol::BedrockInvoke
    );
    is_client && is_provider
}

/// What is to be embedded, and how.
#[derive(Debug, Default)]
struct Wanted<'a> {
    items: Vec<Item<'a>>,
    purpose: Option<Purpose<'a>>,
    dimensions: Option<&'a str>,
    form: Form,
    ignored: Vec<String>,
}

/// A text, as literals.
#[derive(Debug)]
struct Item<'a> {
    text: &'a str,
    title: Option<&'a str>,
}

/// What embeddings are for, as the client said it.
#[derive(Debug)]
struct Purpose<'a> {
    /// The member that says it.
    member: &'static str,
    name: Raw<'a>,
    /// Whether the client's API wants one of each request, so that it is no wish of the client's.
    is_due: bool,
}

/// Whose names of purposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    Cohere,
    Gemini,
    Nova,
}

/// What embeddings are for, by the names of Cohere, Gemini and Nova.
const PURPOSES: [[&str; 3]; 4] = [
    ["search_document", "RETRIEVAL_DOCUMENT", "GENERIC_INDEX"],
    ["search_query", "RETRIEVAL_QUERY", "GENERIC_RETRIEVAL"],
    ["classification", "CLASSIFICATION", "CLASSIFICATION"],
    ["clustering", "CLUSTERING", "CLUSTERING"],
];

impl Purpose<'_> {
    /// What the provider calls it: the same by its own name, or one of its own that the client said.
    fn named(&self, names: Names) -> Result<String, Refused> {
        let said = self.name.str().unwrap_or_default();
        if let Some(known) = PURPOSES.iter().find(|known| known.contains(&&*said)) {
            return Ok(known[names as usize].to_owned());
        }
        let is_upper =
            !said.is_empty() && said.bytes().all(|it| it.is_ascii_uppercase() || it == b'_');
        match is_upper != (names == Names::Cohere) && !said.is_empty() {
            true => Ok(said.into_owned()),
            false => {
                let why = "is no purpose that the provider of this model knows";
                Err(Refused::new(self.member, why))
            }
        }
    }
}

/// Translates a request.
pub(super) fn request(
    client: Protocol,
    root: Raw<'_>,
    target: &Target<'_>,
) -> Result<Translated, Refused> {
    let mut wanted = read::wanted(client, root)?;
    let mut endpoint = None;
    let body = match target.protocol {
        Protocol::Cohere => wanted.cohere(target)?,
        Protocol::Gemini => wanted.gemini(target)?,
        Protocol::Ollama => wanted.ollama(target)?,
        Protocol::VertexEmbeddings => {
            let (body, verb) = wanted.vertex(target)?;
            endpoint = Some(verb);
            body
        }
        Protocol::BedrockInvoke => wanted.bedrock(target)?,
        _ => wanted.openai(target)?,
    };
    let Wanted { form, ignored, .. } = wanted;
    Ok(Translated { body, stream: false, include_usage: false, form, endpoint, ignored })
}
