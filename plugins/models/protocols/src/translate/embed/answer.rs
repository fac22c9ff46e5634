//! The answer with the embeddings.
//!
//! Owns the forms of vectors. Numbers pass as they are written, unless the client wants their bytes and the provider has
//! none.

use crate::json::{Raw, Writer};
use crate::protocol::Protocol;
use crate::translate::Options;
use crate::translate::provider::Fault;
use crate::usage;

const NONE: &str = "The provider's answer has no embeddings.";

/// Translates an answer.
pub(in crate::translate) fn response(
    (provider, client): (Protocol, Protocol),
    json: Raw<'_>,
    options: &Options,
    as_bytes: bool,
) -> Result<String, Fault> {
    let vectors = vectors(provider, json).ok_or(NONE)?;
    // What is charged where the provider says nothing.
    let tokens = usage::of_json(provider, json).map_or(options.input_estimate, |it| it.input);
    let mut w = Writer::new();
    if client == Protocol::Ollama {
        w.open('{').key("model").str(&options.model).key("embeddings").open('[');
        for vector in vectors {
            w.raw(numbers(vector)?.text());
        }
        w.close(']').key("prompt_eval_count").u64(tokens).close('}');
        return Ok(w.out);
    }
    w.open('{').key("object").str("list").key("data").open('[');
    for (index, vector) in vectors.into_iter().enumerate() {
        w.open('{').key("object").str("embedding").key("index").u64(index as u64).key("embedding");
        match as_bytes && !vector.is_string() {
            true => w.str(&base64(numbers(vector)?)?),
            false => w.raw(vector.text()),
        };
        w.close('}');
    }
    w.close(']').key("model").str(&options.model).key("usage").object(|w| {
        w.key("prompt_tokens").u64(tokens).key("total_tokens").u64(tokens);
    });
    w.close('}');
    Ok(w.out)
}

fn vectors(provider: Protocol, json: Raw<'_>) -> Option<Vec<Raw<'_>>> {
    match provider {
        Protocol::Cohere => {
            let all = json.some("embeddings")?;
            let vectors = list(all.some("float").or_else(|| all.some("base64")))?;
            Some(vectors.elements().collect())
        }
        Protocol::Gemini => member(list(json.some("embeddings"))?, "values"),
        Protocol::Ollama => Some(list(json.some("embeddings"))?.elements().collect()),
        _ => member(list(json.some("data"))?, "embedding"),
    }
}

fn list(value: Option<Raw<'_>>) -> Option<Raw<'_>> {
    value.filter(|value| value.is_array())
}

/// The members of this name of a list of objects.
fn member<'a>(list: Raw<'a>, name: &str) -> Option<Vec<Raw<'a>>> {
    list.elements().map(|it| it.some(name)).collect()
}

fn numbers(vector: Raw<'_>) -> Result<Raw<'_>, Fault> {
    if vector.is_array() { Ok(vector) } else { Err(NONE.into()) }
}

/// The numbers as bytes of 32 bits each, the lowest first, in base64 (RFC 4648 section 4).
fn base64(vector: Raw<'_>) -> Result<String, Fault> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    for number in vector.elements() {
        let number: f32 =
            number.text().parse().map_err(|_| "The provider's embeddings are no numbers.")?;
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let part = |at: usize| u32::from(three.get(at).copied().unwrap_or_default());
        let all = part(0) << 16 | part(1) << 8 | part(2);
        for at in 0..4 {
            let digit = char::from(DIGITS[(all >> (18 - 6 * at) & 63) as usize]);
            text.push(if at > three.len() { '=' } else { digit });
        }
    }
    Ok(text)
}
