//! Requests for providers, written from the intermediate form.

mod anthropic;
mod bedrock;
mod cohere;
mod gemini;
mod ollama;
mod openai;
mod responses;

use super::Target;
use super::ir::{Format, Part, Refused, Request, Role, Text, Tool};
use crate::json::{Raw, Writer};
use crate::protocol::Protocol;

/// Writes the body for the provider. What has no place there is added to `request.ignored`.
pub(super) fn write(request: &mut Request<'_>, target: &Target<'_>) -> Result<String, Refused> {
    report(request, target.protocol);
    match target.protocol {
        Protocol::OpenAiChat => openai::write(request, target),
        Protocol::Anthropic => anthropic::write(request, target),
        Protocol::Gemini => gemini::write(request, target),
        Protocol::BedrockConverse => bedrock::write(request, target),
        Protocol::Cohere => cohere::write(request, target),
        Protocol::Ollama => ollama::write(request, target),
        Protocol::OpenAiResponses => responses::write(request, target),
        _ => Err(Refused::new("", "is for a provider's API that nothing is translated to")),
    }
}

/// Reports the parts that the provider gets nothing of.
fn report(request: &mut Request<'_>, to: Protocol) {
    let is_claude = matches!(to, Protocol::Anthropic | Protocol::BedrockConverse);
    let mut lost = Vec::new();
    let of_messages = request.messages.iter().flat_map(|message| &message.parts);
    for part in of_messages.chain(&request.system) {
        match part {
            // A model takes its own thinking alone, which its signature proves.
            Part::Thinking { signature, .. } if is_claude && !proves(signature) => {
                lost.push("thinking");
            }
            Part::Thinking { signature, .. }
                if to == Protocol::OpenAiResponses
                    && (proves(signature) || signature.is_none()) =>
            {
                lost.push("thinking");
            }
            Part::Redacted(_) if to == Protocol::OpenAiResponses => lost.push("thinking"),
            Part::Thinking { .. } | Part::Redacted(_) if to == Protocol::Gemini => {
                lost.push("thinking");
            }
            Part::Thinking { signature, .. } if to == Protocol::Cohere && is_signed(signature) => {
                lost.push("thinking");
            }
            Part::Redacted(_) if to == Protocol::Cohere => {
                lost.push("thinking");
            }
            Part::Redacted(_) if to == Protocol::Ollama => lost.push("thinking"),
            Part::CachePoint if to != Protocol::BedrockConverse => lost.push("cache_control"),
            _ => {}
        }
    }
    let has_strict = matches!(to, Protocol::OpenAiChat | Protocol::OpenAiResponses);
    let has_strict = has_strict || (to == Protocol::Cohere && cohere::is_strict(request));
    if !has_strict && request.tools.iter().any(|tool| tool.strict == Some(true)) {
        lost.push("tools: strict");
    }
    lost.into_iter().for_each(|member| request.ignore(member));
}

/// Whether the last turn called tools without the thinking that Claude wants before the calls.
fn misses_thinking(request: &Request<'_>) -> bool {
    let last = request.messages.iter().rfind(|message| message.role == Role::Assistant);
    last.is_some_and(|message| {
        let has = |kind: fn(&Part<'_>) -> bool| message.parts.iter().any(kind);
        has(|part| matches!(part, Part::Call(_)))
            && !has(|part| {
                matches!(part, Part::Redacted(_))
                    || matches!(part, Part::Thinking { signature, .. } if proves(signature))
            })
    })
}

/// Whether thinking is Claude's own.
fn proves(signature: &Option<Text<'_>>) -> bool {
    signature.as_deref().is_some_and(crate::ids::is_claude)
}

/// Whether thinking is a provider's that signs it.
fn is_signed(signature: &Option<Text<'_>>) -> bool {
    signature.as_deref().is_some_and(|literal| literal != "\"\"")
}

/// Writes what the request has of the sampling, by the provider's names; what has none is
/// ignored.
fn sampling(writer: &mut Writer, request: &mut Request<'_>, names: &[(&str, &str)]) {
    for (name, value) in std::mem::take(&mut request.sampling) {
        match names.iter().find(|(known, _)| *known == name) {
            Some((_, theirs)) => _ = writer.key(theirs).raw(value.text()),
            None => request.ignore(name),
        }
    }
}

/// Writes the stop sequences, unless there are none.
fn stop(writer: &mut Writer, request: &Request<'_>, name: &str) {
    if !request.stop.is_empty() {
        writer.key(name).array(|w| {
            for text in &request.stop {
                w.raw(text.text());
            }
        });
    }
}

/// The schema of a tool's arguments; without one they are an empty object.
fn schema<'t>(tool: &'t Tool<'_>) -> &'t str {
    tool.schema.as_deref().unwrap_or(r#"{"type":"object","properties":{}}"#)
}

/// A tool in the form that OpenAI and Ollama share.
fn function(writer: &mut Writer, tool: &Tool<'_>, with_strict: bool) {
    writer.object(|w| {
        w.key("type").str("function").key("function").object(|w| {
            w.key("name").raw(&tool.name);
            if let Some(text) = &tool.description {
                w.key("description").raw(text);
            }
            w.key("parameters").raw(schema(tool));
            if let Some(strict) = tool.strict.filter(|_| with_strict) {
                w.key("strict").bool(strict);
            }
        });
    });
}

/// The parts that are text, as one literal. Other parts are left to the caller.
fn joined(parts: &[Part<'_>]) -> String {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(&text[1..text.len() - 1]),
        _ => None,
    });
    format!("\"{}\"", texts.collect::<Vec<_>>().join("\\n"))
}

/// The instruction to answer in a form, for providers without a member for it.
fn refuse_format(request: &Request<'_>) -> Result<(), Refused> {
    match request.format {
        None => Ok(()),
        Some(Format::Json | Format::Schema { .. }) => Err(Refused::unknown("response_format")),
    }
}

/// The text of a result as an object: itself if it is one, and a member `name` otherwise.
fn as_object(writer: &mut Writer, name: &str, literal: &str) {
    let text = super::ir::decoded(literal);
    match Raw::parse(text.as_bytes()) {
        Ok(json) if json.is_object() && name == "result" => _ = writer.raw(json.text()),
        _ => {
            writer.object(|w| _ = w.key(name).raw(literal));
        }
    }
}
