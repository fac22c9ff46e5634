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
    match call.protocol {
        Protocol::OpenAiChat => openai::read(root),
        Protocol::OpenAiResponses => responses::read(root),
        Protocol::Anthropic => anthropic::read(root),
        Protocol::Gemini => {
            let mut request = gemini::read(root)?;
            request.stream = call.stream.unwrap_or(false);
            Ok(request)
        }
        Protocol::Ollama => ollama::read(root),
        _ => Err(Refused::new("", "is of an API that cannot be translated")),
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
