//! Requests of OpenAI's responses. What lives at OpenAI, such as earlier responses, cannot be
//! had from another provider, and is refused.

use std::borrow::Cow;

use super::openai::{choice, effort, format, function, read_content};
use super::{members, number, sampling};
use crate::ids;
use crate::json::Raw;
use crate::translate::ir::{Call, Part, Refused, Request, Role, arguments, literal, string};

/// Why what OpenAI keeps is refused.
const STORED: &str =
    "needs what only OpenAI stores; send the whole conversation, with `store` set to false";

/// The members inside of messages and tools that are read.
pub(super) const INNER: &[&str] = &[
    "role",
    "content",
    "type",
    "text",
    "refusal",
    "image_url",
    "file_data",
    "file_url",
    "filename",
    "id",
    "status",
    "call_id",
    "name",
    "output",
    "summary",
    "encrypted_content",
    "description",
    "strict",
    "annotations",
    "logprobs",
];

pub(super) fn read(root: Raw<'_>) -> Result<Request<'_>, Refused> {
    let mut request = Request { include_usage: true, ..Request::default() };
    for (name, value) in members(root) {
        match &*name {
            "model" => {}
            "input" if value.is_string() => {
                request.push(Role::User, vec![Part::Text(Cow::Borrowed(value.text()))]);
            }
            "input" => {
                for (at, item) in value.elements().enumerate() {
                    read_item(&mut request, item, &format!("input.{at}"))?;
                }
            }
            "instructions" => request.system.insert(0, Part::Text(string(value, &name)?)),
            "stream" => request.stream = value.bool() == Some(true),
            "max_output_tokens" => request.max_output = Some(number(value, &name)?),
            "temperature" => sampling(&mut request, "temperature", value)?,
            "top_p" => sampling(&mut request, "top_p", value)?,
            "tools" => {
                for (at, tool) in value.elements().enumerate() {
                    let member = format!("tools.{at}");
                    if !tool.get("type").is_some_and(|kind| kind.is("function")) {
                        return Err(Refused::unknown(format!("{member}.type")));
                    }
                    request.tools.push(function(tool, &member)?);
                }
            }
            "tool_choice" => request.choice = Some(choice(value)?),
            "reasoning" => {
                if let Some(value) = value.some("effort") {
                    request.reasoning = Some(effort(value, "reasoning.effort")?);
                }
            }
            "text" => {
                for (name, value) in members(value) {
                    match &*name {
                        "format" => request.format = format(value, "text.format")?,
                        "verbosity" => request.ignore("text.verbosity"),
                        _ => return Err(Refused::unknown(format!("text.{name}"))),
                    }
                }
            }
            "user" | "safety_identifier" => request.user = Some(value),
            "truncation" if value.is("disabled") => {}
            // Encrypted reasoning is only given by OpenAI; without it nothing is missing.
            "include" if value.elements().all(|it| it.is("reasoning.encrypted_content")) => {
                request.ignore(name);
            }
            "metadata"
            | "store"
            | "service_tier"
            | "prompt_cache_key"
            | "stream_options"
            | "prompt_cache_retention" => request.ignore(name),
            "previous_response_id" | "conversation" | "background" | "prompt" => {
                return Err(Refused::new(name, STORED));
            }
            "parallel_tool_calls" => {}
            _ => return Err(Refused::unknown(name)),
        }
    }
    request.parallel = root.get("parallel_tool_calls").and_then(Raw::bool);
    Ok(request)
}

fn read_item<'a>(request: &mut Request<'a>, item: Raw<'a>, member: &str) -> Result<(), Refused> {
    let missing = |name: &str| Refused::new(format!("{member}.{name}"), "is missing");
    let kind = item.text_of("type").unwrap_or("message".into());
    match &*kind {
        "message" => {
            let mut parts = Vec::new();
            if let Some(value) = item.some("content") {
                read_content(&mut parts, value, &format!("{member}.content"))?;
            }
            match &*item.text_of("role").unwrap_or_default() {
                "system" | "developer" => request.system.append(&mut parts),
                "user" => request.push(Role::User, parts),
                "assistant" => request.push(Role::Assistant, parts),
                _ => return Err(Refused::unknown(format!("{member}.role"))),
            }
        }
        "function_call" => {
            let whole = item.text_of("call_id").ok_or_else(|| missing("call_id"))?;
            let (id, signature) = ids::split_signature(&whole);
            let name = item.some("name").ok_or_else(|| missing("name"))?;
            let text =
                item.some("arguments").map(|it| arguments(it, &format!("{member}.arguments")));
            let call = Call {
                id: id.to_owned(),
                name: string(name, member)?,
                arguments: text.unwrap_or(Ok(Cow::Borrowed("{}")))?,
                signature: signature.map(str::to_owned),
            };
            request.push(Role::Assistant, vec![Part::Call(call)]);
        }
        "function_call_output" => {
            let whole = item.text_of("call_id").ok_or_else(|| missing("call_id"))?;
            let id = ids::split_signature(&whole).0.to_owned();
            let mut content = Vec::new();
            if let Some(value) = item.some("output") {
                read_content(&mut content, value, &format!("{member}.output"))?;
            }
            request.push(Role::User, vec![Part::Result { id, content, is_error: false }]);
        }
        "reasoning" => {
            let part = match item.text_of("encrypted_content").as_deref().map(split_reasoning) {
                // What another provider encrypted is of no use to this one.
                Some(None) => {
                    return {
                        request.ignore("input.reasoning.encrypted_content");
                        Ok(())
                    };
                }
                Some(Some(("t", signature))) => Some(Part::Thinking {
                    text: summary(item),
                    signature: Some(literal(signature)),
                }),
                Some(Some((_, data))) => Some(Part::Redacted(literal(data))),
                None => None,
            };
            match part {
                Some(part) => request.push(Role::Assistant, vec![part]),
                None => request.ignore("input.reasoning"),
            }
        }
        "item_reference" => return Err(Refused::new(member, STORED)),
        _ => return Err(Refused::unknown(format!("{member}.type"))),
    }
    Ok(())
}

/// What the gateway wrote as `encrypted_content`: a signature of thinking, or redacted thinking.
fn split_reasoning(content: &str) -> Option<(&str, &str)> {
    content.strip_prefix("gw1:")?.split_once(':')
}

/// The text of the summary, which for other providers than OpenAI is the thinking itself.
fn summary(item: Raw<'_>) -> Cow<'_, str> {
    let parts = item.some("summary").into_iter().flat_map(Raw::elements);
    let texts: Vec<_> = parts.filter_map(|part| part.some("text")?.escaped()).collect();
    Cow::Owned(format!("\"{}\"", texts.concat()))
}
