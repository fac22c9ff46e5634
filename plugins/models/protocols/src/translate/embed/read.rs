//! What a client asks for, out of its own API.
//!
//! Owns the names of members. What is not known here is refused: it could change what embeddings mean.

use super::{Form, Item, Purpose, Wanted};
use crate::json::Raw;
use crate::protocol::Protocol;
use crate::translate::ir::{Refused, is_neutral};

const NO_TEXT: &str =
    "has something else than texts, which the provider of this model does not take";

pub(super) fn wanted(client: Protocol, root: Raw<'_>) -> Result<Wanted<'_>, Refused> {
    match client {
        Protocol::Gemini => gemini(root),
        Protocol::Cohere => cohere(root),
        _ => inputs(root, client == Protocol::OpenAiEmbeddings),
    }
}

/// The members that say something.
fn said(object: Raw<'_>) -> impl Iterator<Item = (Raw<'_>, Raw<'_>)> {
    object.members().filter(|(_, value)| !is_neutral(*value))
}

/// A text without a title.
fn item<'a>(text: Raw<'a>, member: &str) -> Result<Item<'a>, Refused> {
    let why = || Refused::new(member, NO_TEXT);
    text.is_string().then_some(Item { text: text.text(), title: None }).ok_or_else(why)
}

/// OpenAI's and Ollama's.
fn inputs(root: Raw<'_>, is_openai: bool) -> Result<Wanted<'_>, Refused> {
    let (mut wanted, mut input) = (Wanted::default(), None);
    for (key, value) in said(root) {
        match &*key.str().unwrap_or_default() {
            "model" => {}
            "input" => input = Some(value),
            "dimensions" => wanted.dimensions = Some(value.text()),
            // Not of OpenAI's: clients pass it on as an extra member.
            "input_type" if is_openai && value.is_string() => {
                let purpose = Purpose { member: "input_type", name: value, is_due: false };
                wanted.purpose = Some(purpose);
            }
            "encoding_format" if is_openai && value.is("float") => {}
            "encoding_format" if is_openai && value.is("base64") => wanted.form = Form::Bytes,
            name @ "user" if is_openai => wanted.ignored.push(name.to_owned()),
            // That texts may be cut is no wish that they are.
            name @ ("truncate" | "keep_alive" | "options") if !is_openai => {
                wanted.ignored.push(name.to_owned());
            }
            name => return Err(Refused::unknown(name)),
        }
    }
    let input = input.ok_or_else(|| Refused::new("input", "is missing"))?;
    wanted.items = match input.is_array() {
        false => vec![item(input, "input")?],
        true => input.elements().map(|text| item(text, "input")).collect::<Result<_, _>>()?,
    };
    Ok(wanted)
}

/// Cohere's.
fn cohere(root: Raw<'_>) -> Result<Wanted<'_>, Refused> {
    let mut wanted = Wanted::default();
    for (key, value) in said(root) {
        match &*key.str().unwrap_or_default() {
            "model" => {}
            "texts" if wanted.items.is_empty() => {
                wanted.items =
                    value.elements().map(|text| item(text, "texts")).collect::<Result<_, _>>()?;
            }
            "inputs" if wanted.items.is_empty() => {
                let each = value.elements().enumerate();
                wanted.items = each
                    .map(|(at, input)| only_text(input, "content", &format!("inputs.{at}.content")))
                    .collect::<Result<_, _>>()?;
            }
            "input_type" if value.is_string() => {
                wanted.purpose = Some(Purpose { member: "input_type", name: value, is_due: true });
            }
            "output_dimension" => wanted.dimensions = Some(value.text()),
            "embedding_types" => wanted.form = types(value)?,
            "truncate" if value.is("NONE") => {}
            // That texts may be cut is no wish that they are.
            name @ ("truncate" | "priority") => wanted.ignored.push(name.to_owned()),
            name => return Err(Refused::unknown(name)),
        }
    }
    match wanted.items.is_empty() {
        true => Err(Refused::new("texts", "is missing")),
        false => Ok(wanted),
    }
}

/// The types of vectors that a client of Cohere's wants.
fn types(list: Raw<'_>) -> Result<Form, Refused> {
    let is_other = |kind: &Raw<'_>| !kind.is("float") && !kind.is("base64");
    if !list.is_array() || list.elements().any(|kind| is_other(&kind)) {
        let why =
            "has another type than `float` and `base64`, which the provider of this model has not";
        return Err(Refused::new("embedding_types", why));
    }
    let has = |name: &str| list.elements().any(|kind| kind.is(name));
    Ok(match (has("float"), has("base64")) {
        (true, true) => Form::Both,
        (false, true) => Form::Bytes,
        _ => Form::Numbers,
    })
}

/// Gemini's: one, or several at once.
fn gemini(root: Raw<'_>) -> Result<Wanted<'_>, Refused> {
    let Some(requests) = root.some("requests") else {
        let mut wanted = Wanted { form: Form::One, ..Wanted::default() };
        content(&mut wanted, root)?;
        return Ok(wanted);
    };
    let known = |key: &Raw<'_>| key.is("requests") || key.is("model");
    if let Some((key, _)) = said(root).find(|(key, _)| !known(key)) {
        return Err(Refused::unknown(key.str().unwrap_or_default()));
    }
    let mut wanted = Wanted::default();
    for (at, request) in requests.elements().enumerate() {
        let mut one = Wanted::default();
        content(&mut one, request)
            .map_err(|it| Refused { member: format!("requests.{at}.{}", it.member), ..it })?;
        if at == 0 {
            wanted = one;
            continue;
        }
        let purpose = |it: &Wanted<'_>| it.purpose.as_ref().map(|it| it.name.text().to_owned());
        if purpose(&one) != purpose(&wanted) || one.dimensions != wanted.dimensions {
            let why = "is for another purpose, or of other dimensions, than the first: the provider of this model has \
                       one for all";
            return Err(Refused::new(format!("requests.{at}"), why));
        }
        wanted.items.append(&mut one.items);
        one.ignored.retain(|name| !wanted.ignored.contains(name));
        wanted.ignored.append(&mut one.ignored);
    }
    Ok(wanted)
}

/// One of Gemini's requests. Members have two spellings, and those of Vertex AI are in an object of their own.
fn content<'a>(wanted: &mut Wanted<'a>, request: Raw<'a>) -> Result<(), Refused> {
    let item = only_text(request.some("content").unwrap_or(request), "parts", "content.parts")?;
    wanted.items.push(item);
    for (key, value) in said(request) {
        match &*key.str().unwrap_or_default() {
            // The path says it.
            "model" | "content" => {}
            name @ ("embedContentConfig" | "embed_content_config") => {
                for (key, value) in said(value) {
                    setting(wanted, &key.str().unwrap_or_default(), value)
                        .map_err(|it| Refused { member: format!("{name}.{}", it.member), ..it })?;
                }
            }
            name => setting(wanted, name, value)?,
        }
    }
    Ok(())
}

fn setting<'a>(wanted: &mut Wanted<'a>, name: &str, value: Raw<'a>) -> Result<(), Refused> {
    match name {
        "taskType" | "task_type" if value.is_string() => {
            if !value.is("TASK_TYPE_UNSPECIFIED") && !value.is("UNSPECIFIED") {
                let purpose = Purpose { member: "taskType", name: value, is_due: false };
                wanted.purpose = Some(purpose);
            }
        }
        "title" if value.is_string() => {
            if let Some(item) = wanted.items.last_mut() {
                item.title = Some(value.text());
            }
        }
        "outputDimensionality" | "output_dimensionality" => wanted.dimensions = Some(value.text()),
        // That texts may be cut is no wish that they are.
        "autoTruncate" | "auto_truncate" => wanted.ignored.push(name.to_owned()),
        name => return Err(Refused::unknown(name)),
    }
    Ok(())
}

/// The text of a content, whose list of parts has this name. Several parts are one embedding, which others have not.
fn only_text<'a>(content: Raw<'a>, list: &str, member: &str) -> Result<Item<'a>, Refused> {
    let mut parts = content.some(list).into_iter().flat_map(Raw::elements);
    let (first, second) = (parts.next(), parts.next());
    if second.is_some() {
        let why = "has several parts, where the provider of this model takes one text";
        return Err(Refused::new(member, why));
    }
    let first = first.ok_or_else(|| Refused::new(member, "is missing"))?;
    let is_text =
        |(key, value): (Raw<'_>, Raw<'_>)| key.is("text") || (key.is("type") && value.is("text"));
    match first.some("text") {
        Some(text) if said(first).all(is_text) => item(text, member),
        _ => Err(Refused::new(member, NO_TEXT)),
    }
}
