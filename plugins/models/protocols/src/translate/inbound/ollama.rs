//! Requests of Ollama's chat.

use std::borrow::Cow;

use super::openai::{function, stop};
use super::{members, sampling};
use crate::json::Raw;
use crate::translate::ir::{
    Call, Data, Effort, Format, Media, Part, Reasoning, Refused, Request, Role, arguments, string,
};

/// The members inside of messages and tools that are read.
pub(super) const INNER: &[&str] = &[
    "role",
    "content",
    "thinking",
    "images",
    "tool_calls",
    "tool_name",
    "tool_call_id",
    "id",
    "function",
    "name",
    "description",
    "type",
    "strict",
    "index",
];

pub(super) fn read(root: Raw<'_>) -> Result<Request<'_>, Refused> {
    let stream = root.get("stream").and_then(Raw::bool).unwrap_or(true);
    let mut request = Request { stream, include_usage: true, ..Request::default() };
    for (name, value) in members(root) {
        match &*name {
            "model" | "stream" => {}
            "messages" => {
                let mut open = Vec::new();
                for (at, message) in value.elements().enumerate() {
                    read_message(&mut request, &mut open, message, &format!("messages.{at}"))?;
                }
            }
            "tools" => {
                for (at, tool) in value.elements().enumerate() {
                    let inner = tool.some("function").unwrap_or(tool);
                    request.tools.push(function(inner, &format!("tools.{at}"))?);
                }
            }
            "format" if value.is("json") => request.format = Some(Format::Json),
            "format" if value.is_object() => {
                let schema = Cow::Borrowed(value.text());
                request.format = Some(Format::Schema { name: None, schema, strict: None });
            }
            "think" if value.bool() == Some(true) => request.reasoning = Some(Reasoning::Adaptive),
            "think" => {
                let effort = value.str().and_then(|name| Effort::of_name(&name));
                let effort = effort.ok_or_else(|| Refused::unknown("think"))?;
                request.reasoning = Some(Reasoning::Effort(effort));
            }
            "options" => read_options(&mut request, value)?,
            "keep_alive" => request.ignore(name),
            _ => return Err(Refused::unknown(name)),
        }
    }
    if root.get("think").and_then(Raw::bool) == Some(false) {
        request.reasoning = Some(Reasoning::Off);
    }
    Ok(request)
}

fn read_options<'a>(request: &mut Request<'a>, options: Raw<'a>) -> Result<(), Refused> {
    for (name, value) in members(options) {
        match &*name {
            // A negative one is no bound.
            "num_predict" => request.max_output = value.u64(),
            "temperature" => sampling(request, "temperature", value)?,
            "top_p" => sampling(request, "top_p", value)?,
            "top_k" => sampling(request, "top_k", value)?,
            "seed" => sampling(request, "seed", value)?,
            "frequency_penalty" => sampling(request, "frequency_penalty", value)?,
            "presence_penalty" => sampling(request, "presence_penalty", value)?,
            "stop" => request.stop = stop(value),
            // The rest is about how Ollama itself runs a model.
            _ => request.ignore(format!("options.{name}")),
        }
    }
    Ok(())
}

/// `open` are the calls that have no result yet: results are told by the names of tools.
fn read_message<'a>(
    request: &mut Request<'a>,
    open: &mut Vec<(Cow<'a, str>, String)>,
    message: Raw<'a>,
    member: &str,
) -> Result<(), Refused> {
    let mut parts = Vec::new();
    let mut thinking = None;
    for (name, value) in members(message) {
        let inner = format!("{member}.{name}");
        match &*name {
            "role" | "tool_name" | "tool_call_id" => {}
            "content" => parts.push(Part::Text(string(value, &inner)?)),
            "thinking" => {
                thinking = Some(Part::Thinking { text: string(value, &inner)?, signature: None });
            }
            "images" => {
                for image in value.elements() {
                    let data = image
                        .str()
                        .ok_or_else(|| Refused::new(inner.as_str(), "is no list of texts"))?;
                    let kind = Cow::Borrowed(image_kind(&data));
                    parts.push(Part::Image(Media { kind, data: Data::Inline(data) }));
                }
            }
            "tool_calls" => {
                for call in value.elements() {
                    let function =
                        call.some("function").ok_or_else(|| Refused::unknown(inner.as_str()))?;
                    let name =
                        function.some("name").ok_or_else(|| Refused::unknown(inner.as_str()))?;
                    let id = match call.text_of("id") {
                        Some(id) => id.into_owned(),
                        None => {
                            let here = parts.iter().filter(|part| matches!(part, Part::Call(_)));
                            format!("call_{}", request.calls().count() + here.count() + 1)
                        }
                    };
                    open.push((name.str().unwrap_or_default(), id.clone()));
                    let text = function.some("arguments").map(|it| arguments(it, &inner));
                    parts.push(Part::Call(Call {
                        id,
                        name: string(name, &inner)?,
                        arguments: text.unwrap_or(Ok(Cow::Borrowed("{}")))?,
                        signature: None,
                    }));
                }
            }
            _ => return Err(Refused::unknown(inner)),
        }
    }
    match &*message.text_of("role").unwrap_or_default() {
        "system" => request.system.append(&mut parts),
        "user" => request.push(Role::User, parts),
        "assistant" => {
            parts.splice(0..0, thinking);
            request.push(Role::Assistant, parts);
        }
        "tool" => {
            let name = message.text_of("tool_name");
            let id = message.text_of("tool_call_id");
            let at = open.iter().position(|(of, known)| match (&id, &name) {
                (Some(id), _) => known == id,
                (None, Some(name)) => of == name,
                (None, None) => true,
            });
            let Some(at) = at else {
                return Err(Refused::new(member, "is a result without its call"));
            };
            let id = open.remove(at).1;
            request.push(Role::User, vec![Part::Result { id, content: parts, is_error: false }]);
        }
        _ => return Err(Refused::unknown(format!("{member}.role"))),
    }
    Ok(())
}

/// What an image is by the beginning of its base64.
fn image_kind(data: &str) -> &'static str {
    match data.as_bytes() {
        [b'/', b'9', b'j', ..] => "image/jpeg",
        [b'R', b'0', b'l', b'G', ..] => "image/gif",
        [b'U', b'k', b'l', b'G', ..] => "image/webp",
        _ => "image/png",
    }
}
