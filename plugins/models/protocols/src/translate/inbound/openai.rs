//! Requests of OpenAI's chat completions.

use std::borrow::Cow;

use super::{members, number, sampling};
use crate::ids;
use crate::json::Raw;
use crate::translate::ir::{
    Call, Choice, Data, Effort, Format, Media, Part, Reasoning, Refused, Request, Role, Tool,
    arguments, is_neutral, string,
};

/// The members inside of messages and tools that are read.
pub(super) const INNER: &[&str] = &[
    "role",
    "content",
    "refusal",
    "tool_calls",
    "tool_call_id",
    "name",
    "annotations",
    "thinking_blocks",
    "reasoning_content",
    "reasoning",
    "thinking",
    "signature",
    "data",
    "index",
    "id",
    "type",
    "text",
    "image_url",
    "url",
    "input_audio",
    "format",
    "file",
    "file_data",
    "filename",
    "function",
    "description",
    "strict",
];

pub(super) fn read(root: Raw<'_>) -> Result<Request<'_>, Refused> {
    let mut request = Request::default();
    for (name, value) in members(root) {
        match &*name {
            "model" => {}
            "messages" => {
                for (at, message) in value.elements().enumerate() {
                    read_message(&mut request, message, &format!("messages.{at}"))?;
                }
            }
            "stream" => request.stream = value.bool() == Some(true),
            "stream_options" => {
                request.include_usage =
                    value.get("include_usage").and_then(Raw::bool) == Some(true);
            }
            "max_completion_tokens" => request.max_output = Some(number(value, &name)?),
            "max_tokens" if root.some("max_completion_tokens").is_none() => {
                request.max_output = Some(number(value, &name)?);
            }
            "max_tokens" => {}
            "temperature" => sampling(&mut request, "temperature", value)?,
            "top_p" => sampling(&mut request, "top_p", value)?,
            "top_k" => sampling(&mut request, "top_k", value)?,
            "frequency_penalty" => sampling(&mut request, "frequency_penalty", value)?,
            "presence_penalty" => sampling(&mut request, "presence_penalty", value)?,
            "seed" => sampling(&mut request, "seed", value)?,
            "stop" => request.stop = stop(value),
            "n" if value.u64() == Some(1) => {}
            "tools" => read_tools(&mut request, value)?,
            "tool_choice" => request.choice = Some(choice(value)?),
            "reasoning_effort" => request.reasoning = Some(effort(value, &name)?),
            "response_format" => request.format = format(value, "response_format")?,
            "user" => request.user = Some(value),
            "safety_identifier" => request.user = request.user.or(Some(value)),
            "modalities" if value.elements().all(|kind| kind.is("text")) => {}
            "metadata"
            | "store"
            | "service_tier"
            | "prompt_cache_key"
            | "prediction"
            | "prompt_cache_retention"
            | "verbosity"
            | "session_id"
            | "cache_salt"
            | "priority" => {
                request.ignore(name);
            }
            // It is neutral if false, and says so with this value.
            "parallel_tool_calls" => {}
            _ => return Err(Refused::unknown(name)),
        }
    }
    request.parallel = root.get("parallel_tool_calls").and_then(Raw::bool);
    Ok(request)
}

/// A text or a list of them.
pub(super) fn stop(value: Raw<'_>) -> Vec<Raw<'_>> {
    match value.is_string() {
        true => vec![value],
        false => value.elements().filter(|text| text.is_string()).collect(),
    }
}

pub(super) fn effort(value: Raw<'_>, member: &str) -> Result<Reasoning, Refused> {
    let name = value.str().unwrap_or_default();
    match Effort::of_name(&name) {
        Some(effort) => Ok(Reasoning::Effort(effort)),
        None if name == "none" => Ok(Reasoning::Off),
        None => Err(Refused::new(member.to_owned(), "is not a known effort")),
    }
}

/// `member` is where it stands: the schema is one level deeper in chat than in responses.
pub(super) fn format<'a>(value: Raw<'a>, member: &str) -> Result<Option<Format<'a>>, Refused> {
    let kind = value.text_of("type").unwrap_or_default();
    match &*kind {
        "text" => Ok(None),
        "json_object" => Ok(Some(Format::Json)),
        "json_schema" => {
            let inner = value.some("json_schema").unwrap_or(value);
            let Some(schema) = inner.some("schema") else {
                return Err(Refused::new(format!("{member}.schema"), "is missing"));
            };
            Ok(Some(Format::Schema {
                name: inner.some("name").map(|name| Cow::Borrowed(name.text())),
                schema: Cow::Borrowed(schema.text()),
                strict: inner.get("strict").and_then(Raw::bool),
            }))
        }
        _ => Err(Refused::unknown(format!("{member}.type"))),
    }
}

fn read_tools<'a>(request: &mut Request<'a>, tools: Raw<'a>) -> Result<(), Refused> {
    for (at, tool) in tools.elements().enumerate() {
        let member = format!("tools.{at}");
        if !tool.get("type").is_none_or(|kind| kind.is("function")) {
            return Err(Refused::unknown(format!("{member}.type")));
        }
        // In chat the function is a member, in responses its members are the tool's.
        request.tools.push(function(tool.some("function").unwrap_or(tool), &member)?);
    }
    Ok(())
}

pub(super) fn function<'a>(function: Raw<'a>, member: &str) -> Result<Tool<'a>, Refused> {
    let Some(name) = function.some("name").filter(|name| name.is_string()) else {
        return Err(Refused::new(format!("{member}.name"), "is missing"));
    };
    let text = |name| function.some(name).filter(|text| text.is_string());
    Ok(Tool {
        name: Cow::Borrowed(name.text()),
        description: text("description").map(|text| Cow::Borrowed(text.text())),
        schema: function.some("parameters").map(|schema| Cow::Borrowed(schema.text())),
        strict: function.get("strict").and_then(Raw::bool),
    })
}

pub(super) fn choice(value: Raw<'_>) -> Result<Choice<'_>, Refused> {
    if let Some(word) = value.str() {
        return match &*word {
            "auto" => Ok(Choice::Auto),
            "none" => Ok(Choice::None),
            "required" | "any" => Ok(Choice::Any),
            _ => Err(Refused::unknown("tool_choice")),
        };
    }
    let name = value.some("function").unwrap_or(value).some("name");
    match name.filter(|_| value.get("type").is_some_and(|kind| kind.is("function"))) {
        Some(name) => Ok(Choice::Tool(string(name, "tool_choice.name")?)),
        None => Err(Refused::unknown("tool_choice.type")),
    }
}

fn read_message<'a>(
    request: &mut Request<'a>,
    message: Raw<'a>,
    member: &str,
) -> Result<(), Refused> {
    let role = message.text_of("role").unwrap_or_default();
    let mut parts = Vec::new();
    if &*role == "assistant" {
        read_thinking(&mut parts, message, member)?;
    }
    for (name, value) in members(message) {
        let inner = format!("{member}.{name}");
        match (&*name, &*role) {
            ("role" | "thinking_blocks" | "reasoning_content" | "reasoning", _) => {}
            ("content", "tool") => {}
            ("content", _) => read_content(&mut parts, value, &inner)?,
            ("refusal", "assistant") => parts.push(Part::Text(string(value, &inner)?)),
            ("tool_calls", "assistant") => {
                for (at, call) in value.elements().enumerate() {
                    parts.push(read_call(call, &format!("{inner}.{at}"))?);
                }
            }
            ("tool_call_id", "tool") => {}
            ("name" | "annotations", _) => request.ignore("messages.name"),
            _ => return Err(Refused::unknown(inner)),
        }
    }
    match &*role {
        "system" | "developer" => request.system.append(&mut parts),
        "user" => request.push(Role::User, parts),
        "assistant" => request.push(Role::Assistant, parts),
        "tool" => {
            let Some(id) = message.text_of("tool_call_id") else {
                return Err(Refused::new(format!("{member}.tool_call_id"), "is missing"));
            };
            let mut content = Vec::new();
            if let Some(value) = message.some("content") {
                read_content(&mut content, value, &format!("{member}.content"))?;
            }
            let id = ids::split_signature(&id).0.to_owned();
            request.push(Role::User, vec![Part::Result { id, content, is_error: false }]);
        }
        _ => return Err(Refused::unknown(format!("{member}.role"))),
    }
    Ok(())
}

/// Reasoning that the gateway gave with an answer of another provider, and that comes back.
fn read_thinking<'a>(
    parts: &mut Vec<Part<'a>>,
    message: Raw<'a>,
    member: &str,
) -> Result<(), Refused> {
    let blocks = message.some("thinking_blocks").into_iter().flat_map(Raw::elements);
    for block in blocks {
        let text = |name: &str| block.some(name).filter(|text| text.is_string());
        match (text("data"), text("thinking")) {
            (Some(data), _) => parts.push(Part::Redacted(Cow::Borrowed(data.text()))),
            (None, Some(thinking)) => parts.push(Part::Thinking {
                text: Cow::Borrowed(thinking.text()),
                signature: text("signature").map(|text| Cow::Borrowed(text.text())),
            }),
            (None, None) => return Err(Refused::unknown(format!("{member}.thinking_blocks"))),
        }
    }
    let plain = message.some("reasoning_content").or_else(|| message.some("reasoning"));
    if let Some(text) = plain.filter(|text| parts.is_empty() && text.is_string()) {
        parts.push(Part::Thinking { text: Cow::Borrowed(text.text()), signature: None });
    }
    Ok(())
}

fn read_call<'a>(call: Raw<'a>, member: &str) -> Result<Part<'a>, Refused> {
    let function = call.some("function").ok_or_else(|| Refused::unknown(member))?;
    let name = function
        .some("name")
        .ok_or_else(|| Refused::new(format!("{member}.name"), "is missing"))?;
    let whole = call.text_of("id").unwrap_or_default();
    let (id, signature) = ids::split_signature(&whole);
    let text = match function.get("arguments") {
        Some(text) => arguments(text, &format!("{member}.function.arguments"))?,
        None => Cow::Borrowed("{}"),
    };
    Ok(Part::Call(Call {
        id: id.to_owned(),
        name: string(name, member)?,
        arguments: text,
        signature: signature.map(str::to_owned),
    }))
}

/// A text or a list of parts.
pub(super) fn read_content<'a>(
    parts: &mut Vec<Part<'a>>,
    value: Raw<'a>,
    member: &str,
) -> Result<(), Refused> {
    if value.is_string() {
        parts.push(Part::Text(Cow::Borrowed(value.text())));
        return Ok(());
    }
    if !value.is_array() {
        return Err(Refused::new(member, "is neither a text nor a list"));
    }
    for (at, part) in value.elements().enumerate() {
        parts.push(read_part(part, &format!("{member}.{at}"))?);
    }
    Ok(())
}

fn read_part<'a>(part: Raw<'a>, member: &str) -> Result<Part<'a>, Refused> {
    let kind = part.text_of("type").unwrap_or_default();
    let text = |name: &str| match part.some(name) {
        Some(text) => string(text, member),
        None => Err(Refused::new(format!("{member}.{name}"), "is missing")),
    };
    match &*kind {
        "text" | "input_text" | "output_text" => Ok(Part::Text(text("text")?)),
        "refusal" => Ok(Part::Text(text("refusal")?)),
        "image_url" | "input_image" => {
            let image = part.some("image_url");
            let url = image.and_then(|image| image.str().or_else(|| image.text_of("url")));
            match url {
                Some(url) => Ok(Part::Image(Media::of_url(url))),
                None => Err(Refused::unknown(member)),
            }
        }
        "input_audio" => {
            let audio = part.some("input_audio").unwrap_or(part);
            let (Some(data), Some(format)) = (audio.text_of("data"), audio.text_of("format"))
            else {
                return Err(Refused::unknown(member));
            };
            let kind =
                if format == "mp3" { "audio/mpeg".to_owned() } else { format!("audio/{format}") };
            Ok(Part::Audio(Media { kind: kind.into(), data: Data::Inline(data) }))
        }
        "file" | "input_file" => {
            let file = part.some("file").unwrap_or(part);
            let url = file.text_of("file_data").or_else(|| file.text_of("file_url"));
            let Some(url) = url else { return Err(Refused::unknown(format!("{member}.file_id"))) };
            let name = file.some("filename").filter(|name| !is_neutral(*name));
            let name = name.map(|name| Cow::Borrowed(name.text()));
            Ok(Part::Document { media: Media::of_url(url), name })
        }
        _ => Err(Refused::unknown(format!("{member}.type"))),
    }
}
