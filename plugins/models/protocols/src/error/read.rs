//! Reading the errors of providers, in bodies and in streams.

use super::Class;
use super::retry;
use crate::framing::Event;
use crate::json::Raw;
use crate::protocol::Protocol;
use crate::saved::saved;

/// An error of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it means.
    pub class: Class,
    /// The status; for one in a stream the one that it would have had.
    pub status: u16,
    /// The provider's word for the kind; empty if it has none.
    pub kind: String,
    /// The provider's code, if it is another word.
    pub code: String,
    /// The text for people.
    pub message: String,
    /// How long to wait, if the provider said so, in milliseconds.
    pub retry_after_ms: Option<u64>,
}
saved!(struct Failure { class, status, kind, code, message, retry_after_ms });

/// Texts of people are bounded: they go to logs.
const MESSAGE: usize = 2000;

/// The error of a response with an error's status. `header` gives the value of a field by its
/// name in lower case; `now` is the time in seconds since 1970, for dates in fields.
pub fn of_response<'h>(
    protocol: Protocol,
    status: u16,
    header: &dyn Fn(&str) -> Option<&'h str>,
    body: &[u8],
    now: u64,
) -> Failure {
    let json = Raw::parse(body).ok();
    let mut failure = match json {
        Some(json) => of_json(json, Some(status), header("x-amzn-errortype").unwrap_or("")),
        None => of_text_with(Some(status), "", body),
    };
    let is_aws = matches!(protocol, Protocol::BedrockConverse | Protocol::BedrockInvoke);
    if is_aws && failure.kind.is_empty() {
        let kind = header("x-amzn-errortype").unwrap_or("");
        failure.kind = kind.split(':').next().unwrap_or("").to_owned();
    }
    let waits = matches!(failure.class, Class::RateLimited | Class::Overloaded | Class::Server);
    failure.retry_after_ms =
        failure.retry_after_ms.or_else(|| retry::of_fields(header, now, waits));
    failure
}

/// The error that an event of a stream is, or `None` for any other event.
pub fn of_stream(protocol: Protocol, event: &Event<'_>, json: Raw<'_>) -> Option<Failure> {
    let name = std::str::from_utf8(event.name).unwrap_or("");
    let kind = json.get("type").filter(|kind| kind.is_string());
    let is = |text: &str| kind.is_some_and(|kind| kind.is(text));
    if event.is_exception {
        return Some(of_exception(name, json));
    }
    if protocol == Protocol::OpenAiResponses && is("response.failed") {
        let error = json.some("response").and_then(|response| response.some("error"));
        return Some(of_json(error.unwrap_or(json), None, ""));
    }
    if protocol == Protocol::Cohere
        && let Some(failure) = of_end(json.some("delta").unwrap_or(json))
    {
        return Some(failure);
    }
    let wrapped = if json.is_array() { json.elements().next() } else { None };
    let has_error = wrapped.unwrap_or(json).some("error").is_some();
    (name == "error" || is("error") || has_error).then(|| of_json(json, None, ""))
}

/// The error that is the reason for which an answer of Cohere's ended, in its last event or as a whole.
pub(crate) fn of_end(end: Raw<'_>) -> Option<Failure> {
    let word = end.text_of("finish_reason").unwrap_or_default();
    let error = end.text_of("error").filter(|text| !text.is_empty());
    let (status, usual) = match &*word {
        "TIMEOUT" => (504, "The provider took too long to generate."),
        "ERROR" => (502, "The provider failed to generate."),
        _ if error.is_some() => (502, ""),
        _ => return None,
    };
    let message = error.unwrap_or(usual.into());
    let class = Class::of(&[], Some(status), &message);
    let mut failure = of_text_with(Some(status), "", message.as_bytes());
    failure.class = class;
    Some(failure)
}

/// The error that a response with the status of a success is all the same; `None` if it is an answer.
pub fn of_answer(body: &[u8]) -> Option<Failure> {
    let json = Raw::parse(body).ok()?;
    let one = if json.is_array() { json.elements().next()? } else { json };
    let is = |name: &str| one.get(name).is_some_and(|value| value.is("error"));
    let has_error = one.some("error").is_some() || is("type") || is("object");
    let is_answer = ["choices", "candidates", "content", "data", "message"]
        .iter()
        .any(|name| one.some(name).is_some_and(|it| it.is_array() || it.is_object()));
    (has_error && !is_answer).then(|| of_json(json, None, ""))
}

/// Whether a response whose first bytes are these may be an error, by its first member; `None` as long as they are too
/// few.
pub fn begins_as_error(bytes: &[u8]) -> Option<bool> {
    let skip = |bytes: &mut &[u8], one: u8| {
        *bytes = bytes.trim_ascii_start();
        let found = bytes.first().map(|first| *first == one);
        if found == Some(true) {
            *bytes = &bytes[1..];
        }
        found
    };
    let mut rest = bytes;
    skip(&mut rest, b'[')?;
    if !skip(&mut rest, b'{')? || !skip(&mut rest, b'"')? {
        return Some(false);
    }
    let end = rest.iter().position(|byte| *byte == b'"');
    let Some(end) = end else { return (rest.len() > 16).then_some(false) };
    let (name, mut value) = (&rest[..end], &rest[end + 1..]);
    if !skip(&mut value, b':')? {
        return Some(false);
    }
    let value = value.trim_ascii_start();
    if name == b"error" {
        return Some(*value.first()? != b'n');
    }
    let says_error = b"\"error\"";
    if !matches!(name, b"type" | b"object") {
        return Some(false);
    }
    let known = value.len().min(says_error.len());
    match value[..known] == says_error[..known] {
        true if known < says_error.len() => None,
        says => Some(says),
    }
}

/// The error in an event that is not JSON.
pub fn of_text(protocol: Protocol, name: &[u8], data: &[u8]) -> Failure {
    let name = std::str::from_utf8(name).unwrap_or("");
    let kind = if protocol == Protocol::BedrockConverse { name } else { "" };
    of_text_with(None, kind, data)
}

fn of_text_with(status: Option<u16>, kind: &str, data: &[u8]) -> Failure {
    let text = String::from_utf8_lossy(&data[..data.len().min(MESSAGE)]).trim().to_owned();
    // A page of a proxy says nothing to a caller of an API.
    let message = if text.starts_with('<') { String::new() } else { text };
    let class = Class::of(&[kind], status, &message);
    let status = status.unwrap_or_else(|| class.status());
    Failure {
        class,
        status,
        kind: kind.to_owned(),
        code: String::new(),
        message,
        retry_after_ms: None,
    }
}

/// An exception of a Bedrock stream, whose name says the status.
fn of_exception(name: &str, json: Raw<'_>) -> Failure {
    let status = match name {
        "throttlingException" => 429,
        "modelStreamErrorException" => 424,
        "serviceUnavailableException" => 503,
        "validationException" => 400,
        "internalServerException" => 500,
        _ => 0,
    };
    let mut failure = of_json(json, (status > 0).then_some(status), name);
    if let Some(original) = json.u64_of("originalStatusCode")
        && let Ok(original @ 400..600) = u16::try_from(original)
    {
        failure.class = Class::of(&[], Some(original), &failure.message);
    }
    failure
}

/// An error in any of the shapes in which it comes.
fn of_json(json: Raw<'_>, status: Option<u16>, name: &str) -> Failure {
    let json = if json.is_array() { json.elements().next().unwrap_or(json) } else { json };
    let error = json.some("error").unwrap_or(json);
    let text = |name: &str| error.text_of(name).or_else(|| json.text_of(name));
    let message = match error.str() {
        Some(message) => message,
        None => text("message")
            .or_else(|| text("Message"))
            .or_else(|| text("detail"))
            .or_else(|| Some(json.some("detail")?.text().into()))
            .unwrap_or_default(),
    };
    let number = error.some("code").or_else(|| error.some("status")).and_then(Raw::u64);
    let number =
        number.and_then(|code| u16::try_from(code).ok()).filter(|it| (400..600).contains(it));
    let name = name.split(':').next().unwrap_or("");
    let aws = json.text_of("__type").map(|kind| kind.rsplit('#').next().unwrap_or("").to_owned());
    // Gemini's word is the `status`; the `type` of others may be "error" around the real one.
    let kind = [error.text_of("type"), error.text_of("status"), json.text_of("error_type")]
        .into_iter()
        .flatten()
        .map(|word| word.into_owned())
        .chain(aws)
        .find(|word| !word.is_empty() && word != "error")
        .unwrap_or_else(|| name.to_owned());
    let code = error.text_of("code").unwrap_or_default();
    let inner = error.some("innererror").and_then(|inner| inner.text_of("code"));
    let words = [inner.as_deref().unwrap_or(""), &code, &kind, name];
    let status = status.or(number);
    let class = Class::of(&words, status, &message);
    let overloaded = class == Class::Overloaded && kind == "overloaded_error";
    let status = status.unwrap_or(if overloaded { 529 } else { class.status() });
    let mut message = message.into_owned();
    if let Some((end, _)) = message.char_indices().nth(MESSAGE) {
        message.truncate(end);
    }
    let retry_after_ms = retry::of_details(error);
    Failure { class, status, kind, code: code.into_owned(), message, retry_after_ms }
}
