//! Embeddings: what a client of OpenAI's asks for, asked of a provider with an API of its own.
//!
//! One request is one request there too. A text that is too long is refused as it is by OpenAI, and never cut.

use super::ir::{Refused, is_neutral};
use super::{Fault, Options, Target, Translated};
use crate::json::{Raw, Writer};
use crate::protocol::Protocol;
use crate::usage;

/// What embeddings are for, where the client does not say it: most are made to be found.
const USUAL: &str = "\"search_document\"";

/// Whether embeddings are translated from the one API to the other.
pub(super) fn is_known(from: Protocol, to: Protocol) -> bool {
    from == Protocol::OpenAiEmbeddings && to == Protocol::Cohere
}

/// A request of OpenAI's for Cohere.
pub(super) fn request(root: Raw<'_>, target: &Target<'_>) -> Result<Translated, Refused> {
    let mut ignored = Vec::new();
    let (mut input, mut purpose, mut dimensions, mut form) = (None, USUAL, None, "\"float\"");
    for (key, value) in root.members().filter(|(_, value)| !is_neutral(*value)) {
        match &*key.str().unwrap_or_default() {
            "model" => {}
            "input" => input = Some(value),
            // Not of OpenAI's: clients pass it on as an extra member.
            "input_type" if value.is_string() => purpose = value.text(),
            "dimensions" => dimensions = Some(value.text()),
            "encoding_format" if value.is("float") || value.is("base64") => form = value.text(),
            "user" => ignored.push("user".to_owned()),
            name => return Err(Refused::unknown(name)),
        }
    }
    let input = input.ok_or_else(|| Refused::new("input", "is missing"))?;
    let mut w = Writer::new();
    w.open('{').key("model").str(target.model).key("texts").open('[');
    match input.is_string() {
        true => _ = w.raw(input.text()),
        false => {
            for text in input.elements() {
                if !text.is_string() {
                    return Err(Refused::new(
                        "input",
                        "has something else than texts, which the provider of this model does not take",
                    ));
                }
                w.raw(text.text());
            }
        }
    }
    w.close(']').key("input_type").raw(purpose);
    w.key("embedding_types").array(|w| _ = w.raw(form));
    if let Some(dimensions) = dimensions {
        w.key("output_dimension").raw(dimensions);
    }
    w.key("truncate").str("NONE").close('}');
    Ok(Translated { body: w.out, stream: false, include_usage: false, ignored })
}

/// An answer of Cohere's for a client of OpenAI's.
pub(super) fn response(json: Raw<'_>, options: &Options) -> Result<String, Fault> {
    let all = json.some("embeddings");
    let vectors = all.and_then(|all| all.some("float").or_else(|| all.some("base64")));
    let vectors = vectors.filter(|vectors| vectors.is_array());
    let vectors = vectors.ok_or("The provider's answer has no embeddings.")?;
    let mut w = Writer::new();
    w.open('{').key("object").str("list").key("data").open('[');
    for (index, vector) in vectors.elements().enumerate() {
        w.object(|w| {
            w.key("object").str("embedding").key("index").u64(index as u64);
            w.key("embedding").raw(vector.text());
        });
    }
    let tokens = usage::of_json(Protocol::Cohere, json).map_or(0, |usage| usage.input);
    w.close(']').key("model").str(&options.model).key("usage").object(|w| {
        w.key("prompt_tokens").u64(tokens).key("total_tokens").u64(tokens);
    });
    w.close('}');
    Ok(w.out)
}
