//! Requests of Anthropic's messages.

use std::borrow::Cow;

use super::{members, number, sampling};
use crate::ids;
use crate::json::Raw;
use crate::translate::ir::{
    Call, Choice, Data, Effort, Format, Media, Part, Reasoning, Refused, Request, Role, Tool,
    arguments, literal, string, text_member,
};

/// The members inside of messages and tools that are read.
pub(super) const INNER: &[&str] = &[
    "role",
    "content",
    "type",
    "text",
    "source",
    "media_type",
    "data",
    "url",
    "id",
    "name",
    "tool_use_id",
    "is_error",
    "thinking",
    "signature",
    "title",
    "cache_control",
    "ttl",
    "description",
    "strict",
];

pub(super) fn read(root: Raw<'_>) -> Result<Request<'_>, Refused> {
    let mut request = Request { include_usage: true, ..Request::default() };
    for (name, value) in members(root) {
        match &*name {
            "model" => {}
            "messages" => {
                for (at, message) in value.elements().enumerate() {
                    read_message(&mut request, message, &format!("messages.{at}"))?;
                }
            }
            "system" => {
                let mut parts = Vec::new();
                read_content(&mut parts, value, "system")?;
                request.system.append(&mut parts);
            }
            "max_tokens" => request.max_output = Some(number(value, &name)?),
            "stream" => request.stream = value.bool() == Some(true),
            "stop_sequences" => request.stop = value.elements().collect(),
            "temperature" => sampling(&mut request, "temperature", value)?,
            "top_p" => sampling(&mut request, "top_p", value)?,
            "top_k" => sampling(&mut request, "top_k", value)?,
            "tools" => {
                for (at, tool) in value.elements().enumerate() {
                    request.tools.push(read_tool(tool, &format!("tools.{at}"))?);
                }
            }
            "tool_choice" => read_choice(&mut request, value)?,
            "thinking" => {
                request.reasoning = Some(match &*value.text_of("type").unwrap_or_default() {
                    "disabled" => Reasoning::Off,
                    "adaptive" => Reasoning::Adaptive,
                    "enabled" => {
                        let budget = value.some("budget_tokens");
                        let budget = budget
                            .ok_or_else(|| Refused::new("thinking.budget_tokens", "is missing"))?;
                        Reasoning::Budget(number(budget, "thinking.budget_tokens")?)
                    }
                    _ => return Err(Refused::unknown("thinking.type")),
                });
            }
            "output_config" => read_output(&mut request, value)?,
            "metadata" => request.user = value.some("user_id"),
            "service_tier" | "cache_control" | "context_management" | "inference_geo" => {
                request.ignore(name);
            }
            _ => return Err(Refused::unknown(name)),
        }
    }
    // How much to think is more exact in `output_config`, whether to in `thinking`.
    if root
        .some("thinking")
        .is_some_and(|it| it.get("type").is_some_and(|kind| kind.is("disabled")))
    {
        request.reasoning = Some(Reasoning::Off);
    }
    Ok(request)
}

fn read_output<'a>(request: &mut Request<'a>, value: Raw<'a>) -> Result<(), Refused> {
    for (name, value) in members(value) {
        match &*name {
            "effort" => {
                let effort = value.str().and_then(|name| Effort::of_name(&name));
                let effort = effort.ok_or_else(|| Refused::unknown("output_config.effort"))?;
                if !matches!(request.reasoning, Some(Reasoning::Budget(_))) {
                    request.reasoning = Some(Reasoning::Effort(effort));
                }
            }
            "format" => {
                let Some(schema) = value.some("schema") else {
                    return Err(Refused::unknown("output_config.format"));
                };
                let schema = Cow::Borrowed(schema.text());
                request.format = Some(Format::Schema { name: None, schema, strict: Some(true) });
            }
            _ => return Err(Refused::unknown(format!("output_config.{name}"))),
        }
    }
    Ok(())
}

fn read_tool<'a>(tool: Raw<'a>, member: &str) -> Result<Tool<'a>, Refused> {
    if !tool.some("type").is_none_or(|kind| kind.is("custom")) {
        return Err(Refused::unknown(format!("{member}.type")));
    }
    let name =
        tool.some("name").ok_or_else(|| Refused::new(format!("{member}.name"), "is missing"))?;
    Ok(Tool {
        name: string(name, member)?,
        description: text_member(tool, "description", member)?,
        schema: tool.some("input_schema").map(|schema| Cow::Borrowed(schema.text())),
        strict: tool.get("strict").and_then(Raw::bool),
    })
}

fn read_choice<'a>(request: &mut Request<'a>, value: Raw<'a>) -> Result<(), Refused> {
    request.choice = Some(match &*value.text_of("type").unwrap_or_default() {
        "auto" => Choice::Auto,
        "any" => Choice::Any,
        "none" => Choice::None,
        "tool" => {
            let name = value.some("name");
            let name = name.ok_or_else(|| Refused::new("tool_choice.name", "is missing"))?;
            Choice::Tool(string(name, "tool_choice.name")?)
        }
        _ => return Err(Refused::unknown("tool_choice.type")),
    });
    let disabled = value.get("disable_parallel_tool_use").and_then(Raw::bool);
    request.parallel = disabled.map(|disabled| !disabled);
    Ok(())
}

fn read_message<'a>(
    request: &mut Request<'a>,
    message: Raw<'a>,
    member: &str,
) -> Result<(), Refused> {
    let mut parts = Vec::new();
    for (name, value) in members(message) {
        match &*name {
            "role" => {}
            "content" => read_content(&mut parts, value, &format!("{member}.content"))?,
            _ => return Err(Refused::unknown(format!("{member}.{name}"))),
        }
    }
    match &*message.text_of("role").unwrap_or_default() {
        "user" => request.push(Role::User, parts),
        "assistant" => request.push(Role::Assistant, parts),
        "system" => request.system.append(&mut parts),
        _ => return Err(Refused::unknown(format!("{member}.role"))),
    }
    Ok(())
}

fn read_content<'a>(
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
    for (at, block) in value.elements().enumerate() {
        parts.push(read_block(block, &format!("{member}.{at}"))?);
        if block.some("cache_control").is_some() {
            parts.push(Part::CachePoint);
        }
    }
    Ok(())
}

fn read_block<'a>(block: Raw<'a>, member: &str) -> Result<Part<'a>, Refused> {
    let missing = |name: &str| Refused::new(format!("{member}.{name}"), "is missing");
    let some = |name: &str| block.some(name).ok_or_else(|| missing(name));
    let text = |name: &str| string(some(name)?, &format!("{member}.{name}"));
    match &*block.text_of("type").unwrap_or_default() {
        "text" => Ok(Part::Text(text("text")?)),
        "image" => Ok(Part::Image(source(some("source")?, member)?)),
        "document" => {
            let name = text_member(block, "title", member)?;
            let from = some("source")?;
            if from.get("type").is_some_and(|kind| kind.is("text")) {
                let data = from.some("data").ok_or_else(|| missing("source.data"))?;
                return Ok(Part::Text(string(data, member)?));
            }
            let mut media = source(from, member)?;
            if media.kind.is_empty() {
                media.kind = Cow::Borrowed("application/pdf");
            }
            Ok(Part::Document { media, name })
        }
        "tool_use" => {
            let id = some("id")?.str().ok_or_else(|| missing("id"))?;
            let whole = ids::of_anthropic_client(&id);
            let (id, signature) = ids::split_signature(&whole);
            let input = block.some("input").map(|it| arguments(it, &format!("{member}.input")));
            Ok(Part::Call(Call {
                id: id.to_owned(),
                name: text("name")?,
                arguments: input.unwrap_or(Ok(Cow::Borrowed("{}")))?,
                signature: signature.map(str::to_owned),
            }))
        }
        "tool_result" => {
            let id = some("tool_use_id")?.str().ok_or_else(|| missing("tool_use_id"))?;
            let whole = ids::of_anthropic_client(&id);
            let id = ids::split_signature(&whole).0.to_owned();
            let mut content = Vec::new();
            if let Some(value) = block.some("content") {
                read_content(&mut content, value, &format!("{member}.content"))?;
            }
            let is_error = block.get("is_error").and_then(Raw::bool) == Some(true);
            Ok(Part::Result { id, content, is_error })
        }
        "thinking" => {
            let signature = text_member(block, "signature", member)?.filter(|it| it != "\"\"");
            let text = text_member(block, "thinking", member)?.unwrap_or_else(|| literal(""));
            Ok(Part::Thinking { text, signature })
        }
        "redacted_thinking" => Ok(Part::Redacted(text("data")?)),
        _ => Err(Refused::unknown(format!("{member}.type"))),
    }
}

fn source<'a>(source: Raw<'a>, member: &str) -> Result<Media<'a>, Refused> {
    let refused = || Refused::unknown(format!("{member}.source"));
    match &*source.text_of("type").unwrap_or_default() {
        "base64" => Ok(Media {
            kind: source.text_of("media_type").ok_or_else(refused)?,
            data: Data::Inline(source.text_of("data").ok_or_else(refused)?),
        }),
        "url" => {
            let url = source.text_of("url").ok_or_else(refused)?;
            Ok(Media { kind: Cow::Borrowed(""), data: Data::Url(url) })
        }
        _ => Err(refused()),
    }
}
