//! Requests of clients, read into the intermediate form.

mod anthropic;
mod gemini;
mod ollama;
mod openai;
mod responses;

use std::borrow::Cow;

use super::ir::{Refused, Request, is_neutral};
use crate::json::Raw;
use crate::protocol::{Call, Protocol};

/// Reads a request of a client.
pub(super) fn read<'a>(call: &Call<'_>, root: Raw<'a>) -> Result<Request<'a>, Refused> {
    let (mut request, lists, known) = match call.protocol {
        Protocol::OpenAiChat => (openai::read(root)?, ["messages", "tools"], openai::INNER),
        Protocol::OpenAiResponses => (responses::read(root)?, ["input", "tools"], responses::INNER),
        Protocol::Anthropic => (anthropic::read(root)?, ["messages", "tools"], anthropic::INNER),
        Protocol::Gemini => {
            let mut request = gemini::read(root)?;
            request.stream = call.stream.unwrap_or(false);
            (request, ["contents", "tools"], gemini::INNER)
        }
        Protocol::Ollama => (ollama::read(root)?, ["messages", "tools"], ollama::INNER),
        _ => return Err(Refused::new("", "is of an API that cannot be translated")),
    };
    for list in lists {
        if let Some(value) = root.some(list) {
            report(&mut request, value, list, known);
        }
    }
    Ok(request)
}

/// Reports the members inside of messages and tools that no reader knows. Those of a caller's
/// own, such as arguments and schemas, are no members of the protocol.
fn report(request: &mut Request<'_>, value: Raw<'_>, list: &str, known: &[&str]) {
    const OWN: [&str; 6] = ["input", "arguments", "parameters", "input_schema", "args", "response"];
    value.elements().for_each(|element| report(request, element, list, known));
    for (name, inner) in members(value) {
        if OWN.contains(&&*name) || name == "parametersJsonSchema" {
            continue;
        }
        match known.contains(&&*name) {
            true => report(request, inner, list, known),
            false => request.ignore(format!("{list}: {name}")),
        }
    }
}

/// Members that say something, with their names.
fn members<'a>(object: Raw<'a>) -> impl Iterator<Item = (Cow<'a, str>, Raw<'a>)> {
    let spoken = object.members().filter(|(_, value)| !is_neutral(*value));
    spoken.map(|(key, value)| (key.str().unwrap_or_default(), value))
}

/// A whole number.
fn number(value: Raw<'_>, member: &str) -> Result<u64, Refused> {
    value.u64().ok_or_else(|| Refused::new(member, "is not a whole number"))
}

/// Takes a member of the sampling by OpenAI's name for it.
fn sampling<'a>(
    request: &mut Request<'a>,
    name: &'static str,
    value: Raw<'a>,
) -> Result<(), Refused> {
    if value.u64().is_none() && !value.text().starts_with(|c: char| c == '-' || c.is_ascii_digit())
    {
        return Err(Refused::new(name, "is not a number"));
    }
    request.sampling.push((name, value));
    Ok(())
}
