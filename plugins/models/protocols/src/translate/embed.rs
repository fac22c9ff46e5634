//! Embeddings: what a client of OpenAI's or Ollama's asks for, asked of a provider with another API.
//!
//! One request is one request there too. A text that is too long is refused as it is by OpenAI, and never cut.

mod answer;

pub(super) use answer::response;

use super::ir::{Refused, is_neutral};
use super::{Target, Translated};
use crate::json::{Raw, Writer};
use crate::protocol::Protocol;

/// Whether embeddings are translated from the API of the client to that of the provider.
pub(super) fn is_known(client: Protocol, provider: Protocol) -> bool {
    matches!(client, Protocol::OpenAiEmbeddings | Protocol::Ollama)
        && matches!(
            provider,
            Protocol::OpenAiEmbeddings | Protocol::Cohere | Protocol::Gemini | Protocol::Ollama
        )
}

/// What is to be embedded, and how.
struct Wanted<'a> {
    /// The texts, as literals.
    texts: Vec<&'a str>,
    /// What for, as the client said it.
    purpose: Option<Raw<'a>>,
    dimensions: Option<&'a str>,
    /// Vectors as the bytes of their numbers, in base64.
    is_base64: bool,
    ignored: Vec<String>,
}

/// Translates a request.
pub(super) fn request(
    client: Protocol,
    root: Raw<'_>,
    target: &Target<'_>,
) -> Result<Translated, Refused> {
    let wanted = read(client, root)?;
    let body = match target.protocol {
        Protocol::Cohere => wanted.cohere(target),
        Protocol::Gemini => wanted.gemini(target)?,
        Protocol::Ollama => wanted.ollama(target)?,
        _ => wanted.openai(target)?,
    };
    let Wanted { is_base64: as_bytes, ignored, .. } = wanted;
    Ok(Translated { body, stream: false, include_usage: false, as_bytes, ignored })
}

fn read(client: Protocol, root: Raw<'_>) -> Result<Wanted<'_>, Refused> {
    let is_openai = client == Protocol::OpenAiEmbeddings;
    let (mut input, mut ignored) = (None, Vec::new());
    let (mut purpose, mut dimensions, mut is_base64) = (None, None, false);
    for (key, value) in root.members().filter(|(_, value)| !is_neutral(*value)) {
        match &*key.str().unwrap_or_default() {
            "model" => {}
            "input" => input = Some(value),
            "dimensions" => dimensions = Some(value.text()),
            // Not of OpenAI's: clients pass it on as an extra member.
            "input_type" if is_openai && value.is_string() => purpose = Some(value),
            "encoding_format" if is_openai && (value.is("float") || value.is("base64")) => {
                is_base64 = value.is("base64");
            }
            name @ "user" if is_openai => ignored.push(name.to_owned()),
            // That texts may be cut is no wish that they are.
            name @ ("truncate" | "keep_alive" | "options") if !is_openai => {
                ignored.push(name.to_owned());
            }
            name => return Err(Refused::unknown(name)),
        }
    }
    let input = input.ok_or_else(|| Refused::new("input", "is missing"))?;
    let texts = match input.is_string() {
        true => vec![input.text()],
        false => input
            .elements()
            .map(|text| {
                let why =
                    "has something else than texts, which the provider of this model does not take";
                text.is_string().then_some(text.text()).ok_or_else(|| Refused::new("input", why))
            })
            .collect::<Result<_, _>>()?,
    };
    Ok(Wanted { texts, purpose, dimensions, is_base64, ignored })
}

/// What embeddings are for, by the names of Cohere and those of Gemini.
const PURPOSES: [(&str, &str); 4] = [
    ("search_document", "RETRIEVAL_DOCUMENT"),
    ("search_query", "RETRIEVAL_QUERY"),
    ("classification", "CLASSIFICATION"),
    ("clustering", "CLUSTERING"),
];

impl Wanted<'_> {
    fn cohere(&self, target: &Target<'_>) -> String {
        let mut w = Writer::new();
        w.open('{').key("model").str(target.model).key("texts").open('[');
        self.texts.iter().for_each(|text| _ = w.raw(text));
        w.close(']').key("input_type");
        match self.purpose {
            Some(purpose) => w.raw(purpose.text()),
            // It must be said, and most are made to be found.
            None => w.str("search_document"),
        };
        let form = if self.is_base64 { "base64" } else { "float" };
        w.key("embedding_types").array(|w| _ = w.str(form));
        if let Some(dimensions) = self.dimensions {
            w.key("output_dimension").raw(dimensions);
        }
        w.key("truncate").str("NONE").close('}');
        w.out
    }

    /// `batchEmbedContents`, which takes one text too.
    fn gemini(&self, target: &Target<'_>) -> Result<String, Refused> {
        let purpose = self.purpose.map(gemini_s).transpose()?;
        let model = ["models/", target.model].concat();
        let mut w = Writer::new();
        w.open('{').key("requests").open('[');
        for text in &self.texts {
            w.open('{').key("model").str(&model).key("content").object(|w| {
                w.key("parts").array(|w| {
                    w.object(|w| _ = w.key("text").raw(text));
                });
            });
            if let Some(purpose) = &purpose {
                w.key("taskType").str(purpose);
            }
            if let Some(dimensions) = self.dimensions {
                w.key("outputDimensionality").raw(dimensions);
            }
            w.close('}');
        }
        w.close(']').close('}');
        Ok(w.out)
    }

    fn ollama(&self, target: &Target<'_>) -> Result<String, Refused> {
        let mut w = Writer::new();
        self.inputs(&mut w, target)?;
        w.key("truncate").bool(false).close('}');
        Ok(w.out)
    }

    fn openai(&self, target: &Target<'_>) -> Result<String, Refused> {
        let mut w = Writer::new();
        self.inputs(&mut w, target)?;
        w.key("encoding_format").str("float").close('}');
        Ok(w.out)
    }

    /// What OpenAI and Ollama have by the same names. They have no place for a purpose.
    fn inputs(&self, w: &mut Writer, target: &Target<'_>) -> Result<(), Refused> {
        if self.purpose.is_some() {
            return Err(Refused::unknown("input_type"));
        }
        w.open('{').key("model").str(target.model).key("input").open('[');
        self.texts.iter().for_each(|text| _ = w.raw(text));
        w.close(']');
        if let Some(dimensions) = self.dimensions {
            w.key("dimensions").raw(dimensions);
        }
        Ok(())
    }
}

/// Gemini's name of a purpose: one of its own, or what it calls one of Cohere's.
fn gemini_s(purpose: Raw<'_>) -> Result<String, Refused> {
    let name = purpose.str().unwrap_or_default();
    let known = PURPOSES.iter().find(|(cohere_s, _)| *cohere_s == name);
    let is_own =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    match known {
        Some((_, own)) => Ok((*own).to_owned()),
        None if is_own => Ok(name.into_owned()),
        None => {
            Err(Refused::new("input_type", "is no purpose that the provider of this model knows"))
        }
    }
}
