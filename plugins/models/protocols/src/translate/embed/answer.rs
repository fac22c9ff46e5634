//! The answer with the embeddings.
//!
//! Owns the forms of vectors. Numbers pass as they are written, unless the client wants their bytes and the provider has
//! none.

use std::borrow::Cow;

use super::Form;
use crate::error::{Class, Failure};
use crate::json::{Raw, Writer};
use crate::protocol::Protocol;
use crate::translate::provider::Fault;
use crate::translate::{Options, fault};
use crate::usage;

const NONE: &str = "The provider's answer has no embeddings.";

/// Translates an answer.
pub(in crate::translate) fn response(
    (provider, client): (Protocol, Protocol),
    json: Raw<'_>,
    options: &Options,
    form: Form,
) -> Result<String, Failure> {
    if is_cut(provider, json) {
        let message = "A text is longer than the model takes.".to_owned();
        return Err(Failure { class: Class::ContextTooLong, status: 400, ..fault(message) });
    }
    write((provider, client), json, options, form).map_err(fault)
}

fn write(
    (provider, client): (Protocol, Protocol),
    json: Raw<'_>,
    options: &Options,
    form: Form,
) -> Result<String, Fault> {
    let vectors = vectors(provider, json).ok_or(NONE)?;
    // What is charged where the provider says nothing.
    let tokens = usage::of_json(provider, json).map_or(options.input_estimate, |it| it.input);
    let mut w = Writer::new();
    match client {
        Protocol::Ollama => {
            w.open('{').key("model").str(&options.model).key("embeddings");
            lists(&mut w, &vectors)?;
            w.key("prompt_eval_count").u64(tokens).close('}');
        }
        Protocol::Gemini => {
            w.open('{');
            match (form, &*vectors) {
                (Form::One, [only]) => values(w.key("embedding"), *only)?,
                (Form::One, _) => return Err(NONE.into()),
                _ => {
                    w.key("embeddings").open('[');
                    vectors.iter().try_for_each(|vector| values(&mut w, *vector))?;
                    w.close(']');
                }
            }
            w.key("usageMetadata").object(|w| _ = w.key("promptTokenCount").u64(tokens));
            w.close('}');
        }
        Protocol::Cohere => {
            w.open('{').key("id").str(&options.id).key("embeddings").open('{');
            if form != Form::Bytes {
                lists(w.key("float"), &vectors)?;
            }
            if form != Form::Numbers {
                w.key("base64").open('[');
                for vector in &vectors {
                    w.str(&base64(*vector)?);
                }
                w.close(']');
            }
            w.close('}').key("meta").object(|w| {
                w.key("api_version").object(|w| _ = w.key("version").str("2"));
                w.key("billed_units").object(|w| _ = w.key("input_tokens").u64(tokens));
            });
            w.key("response_type").str("embeddings_by_type").close('}');
        }
        _ => {
            w.open('{').key("object").str("list").key("data").open('[');
            for (index, vector) in vectors.into_iter().enumerate() {
                w.open('{').key("object").str("embedding").key("index").u64(index as u64);
                match form {
                    Form::Bytes => w.key("embedding").str(&base64(vector)?),
                    _ => w.key("embedding").raw(numbers(vector)?.text()),
                };
                w.close('}');
            }
            w.close(']').key("model").str(&options.model).key("usage").object(|w| {
                w.key("prompt_tokens").u64(tokens).key("total_tokens").u64(tokens);
            });
            w.close('}');
        }
    }
    Ok(w.out)
}

/// Vectors as lists of numbers.
fn lists(w: &mut Writer, vectors: &[Raw<'_>]) -> Result<(), Fault> {
    w.open('[');
    for vector in vectors {
        w.raw(numbers(*vector)?.text());
    }
    w.close(']');
    Ok(())
}

/// A vector as Gemini has it.
fn values(w: &mut Writer, vector: Raw<'_>) -> Result<(), Fault> {
    let numbers = numbers(vector)?;
    w.object(|w| _ = w.key("values").raw(numbers.text()));
    Ok(())
}

fn vectors(provider: Protocol, json: Raw<'_>) -> Option<Vec<Raw<'_>>> {
    match provider {
        Protocol::Cohere => {
            let all = json.some("embeddings")?;
            let vectors = list(all.some("float").or_else(|| all.some("base64")))?;
            Some(vectors.elements().collect())
        }
        Protocol::Gemini => member(list(json.some("embeddings"))?, "values"),
        Protocol::VertexEmbeddings => {
            if let Some(predictions) = list(json.some("predictions")) {
                let embeddings = predictions.elements().map(|it| it.some("embeddings"));
                return embeddings.map(|it| it?.some("values")).collect();
            }
            match json.some("embedding") {
                Some(only) => Some(vec![only.some("values")?]),
                None => member(list(json.some("embeddings"))?, "values"),
            }
        }
        Protocol::BedrockInvoke => {
            // Of Titan's models, which embed one text.
            if let Some(only) = json.some("embedding") {
                return Some(vec![only]);
            }
            let all = json.some("embeddings")?;
            let vectors = list(all.some("float").or(Some(all)))?;
            // Nova's are objects.
            let vectors = vectors.elements();
            vectors.map(|it| if it.is_object() { it.some("embedding") } else { Some(it) }).collect()
        }
        Protocol::Ollama => Some(list(json.some("embeddings"))?.elements().collect()),
        _ => member(list(json.some("data"))?, "embedding"),
    }
}

/// Whether a text was cut, by a method that takes no wish that it is not.
fn is_cut(provider: Protocol, json: Raw<'_>) -> bool {
    let says = |object: Raw<'_>| object.get("truncated").and_then(Raw::bool) == Some(true);
    let mut all = json.some("embeddings").into_iter().flat_map(Raw::elements);
    provider == Protocol::VertexEmbeddings
        && (says(json) || all.any(|it| says(it) || it.some("statistics").is_some_and(says)))
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

/// The numbers as bytes of 32 bits each, the lowest first, in base64 (RFC 4648 section 4), if the provider has not made
/// them so.
fn base64(vector: Raw<'_>) -> Result<Cow<'_, str>, Fault> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if let Some(made) = vector.str() {
        return Ok(made);
    }
    let mut bytes = Vec::new();
    for number in numbers(vector)?.elements() {
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
    Ok(Cow::Owned(text))
}
