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
    check_messages(call.protocol, root)?;
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

/// What is no list of messages would be read as none, and the model asked without them.
fn check_messages(protocol: Protocol, root: Raw<'_>) -> Result<(), Refused> {
    let (list, content) = match protocol {
        Protocol::OpenAiResponses => ("input", "content"),
        Protocol::Gemini => ("contents", "parts"),
        _ => ("messages", "content"),
    };
    let Some(messages) = root.get(list) else { return Ok(()) };
    let is_one = match protocol {
        Protocol::OpenAiResponses => messages.is_string(),
        Protocol::Gemini => messages.is_object(),
        _ => false,
    };
    if !is_one && !messages.is_array() {
        return Err(Refused::new(list, "is no list of messages"));
    }
    let one = messages.is_object().then_some(messages);
    for (at, message) in one.into_iter().chain(messages.elements()).enumerate() {
        let member = || format!("{list}.{at}");
        if !message.is_object() {
            return Err(Refused::new(member(), "is no message"));
        }
        check_content(message, content, &member)?;
    }
    Ok(())
}

fn check_content(
    message: Raw<'_>,
    content: &str,
    member: &dyn Fn() -> String,
) -> Result<(), Refused> {
    let is_other = message.text_of("type").is_some_and(|kind| kind != "message");
    match message.get(content).filter(|content| !content.is_null()) {
        Some(value) if content == "parts" && value.is_array() => Ok(()),
        Some(value) if content != "parts" && (value.is_string() || value.is_array()) => Ok(()),
        Some(_) => {
            let kinds =
                if content == "parts" { "is no list" } else { "is neither a text nor a list" };
            Err(Refused::new(format!("{}.{content}", member()), kinds))
        }
        // An assistant may have called tools, other items have no content, and Ollama's may be images.
        None if is_other || message.some("images").is_some() => Ok(()),
        None if matches!(&*message.text_of("role").unwrap_or_default(), "assistant" | "model") => {
            Ok(())
        }
        None => Err(Refused::new(format!("{}.{content}", member()), "is missing")),
    }
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
