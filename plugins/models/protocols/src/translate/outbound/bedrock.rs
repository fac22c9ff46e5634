//! Requests for Bedrock's Converse.

use super::{joined, misses_thinking, proves, refuse_format, sampling, schema, stop};
use crate::ids;
use crate::json::Writer;
use crate::translate::Target;
use crate::translate::ir::{
    Choice, Data, Media, Message, Part, Reasoning, Refused, Request, Role, is_blank, literal,
};

/// The most characters of an id.
const ID: usize = 64;

/// The least tokens that Claude's thinking may be given.
const LEAST: u64 = 1024;

pub(super) fn write(request: &mut Request<'_>, target: &Target<'_>) -> Result<String, Refused> {
    refuse_format(request)?;
    let mut w = Writer::new();
    w.open('{');
    if request.system.iter().any(|part| matches!(part, Part::Text(_))) {
        w.key("system").array(|w| {
            for part in &request.system {
                match part {
                    Part::Text(text) if !is_blank(text) => {
                        w.object(|w| _ = w.key("text").raw(text));
                    }
                    Part::CachePoint => cache_point(w),
                    _ => {}
                }
            }
        });
    }
    w.key("messages").open('[');
    for message in &request.messages {
        write_message(&mut w, message)?;
    }
    w.close(']');
    // What is not in Converse goes to the model as it is, and only Claude's members are known.
    let is_claude = target.model.contains("claude");
    let wanted = request.reasoning.filter(|it| *it != Reasoning::Off);
    let is_possible = is_claude && !misses_thinking(request) && !is_forced(request);
    let budget = wanted.filter(|_| is_possible).map(|it| it.budget().max(LEAST));
    let default = target.default_max_output.saturating_add(budget.unwrap_or(0));
    let most = request.max_output.unwrap_or(default);
    let budget = budget.map(|budget| budget.min(most.saturating_sub(1))).filter(|it| *it >= LEAST);
    if wanted.is_some() && budget.is_none() {
        request.ignore("reasoning");
    }
    w.key("inferenceConfig").open('{').key("maxTokens").u64(most);
    let top_k = request.sampling.iter().position(|(name, _)| *name == "top_k" && is_claude);
    let top_k = top_k.map(|at| request.sampling.remove(at).1).filter(|_| budget.is_none());
    if budget.is_some() {
        // Thinking takes none of these.
        for (name, _) in std::mem::take(&mut request.sampling) {
            request.ignore(name);
        }
    }
    sampling(&mut w, request, &[("temperature", "temperature"), ("top_p", "topP")]);
    stop(&mut w, request, "stopSequences");
    w.close('}');
    write_tools(&mut w, request)?;
    if budget.is_some() || top_k.is_some() {
        w.key("additionalModelRequestFields").object(|w| {
            if let Some(top_k) = top_k {
                w.key("top_k").raw(top_k.text());
            }
            if let Some(budget) = budget {
                w.key("thinking").object(|w| {
                    w.key("type").str("enabled").key("budget_tokens").u64(budget);
                });
            }
        });
    }
    if request.user.is_some() {
        request.ignore("user");
    }
    if request.parallel == Some(false) {
        request.ignore("parallel_tool_calls");
    }
    w.close('}');
    Ok(w.out)
}

/// Whether the request wants a tool to be called, which thinking does not go with.
fn is_forced(request: &Request<'_>) -> bool {
    matches!(request.choice, Some(Choice::Any | Choice::Tool(_)))
}

fn cache_point(w: &mut Writer) {
    w.object(|w| {
        w.key("cachePoint").object(|w| _ = w.key("type").str("default"));
    });
}

/// The tools. If messages have calls or results there must be some, so those that were called
/// are made up where the request has none.
fn write_tools(w: &mut Writer, request: &mut Request<'_>) -> Result<(), Refused> {
    let has_parts = request.has_tool_parts();
    let mut names: Vec<String> = Vec::new();
    if request.tools.is_empty() {
        for call in request.calls() {
            if !names.iter().any(|name| *name == call.name) {
                names.push(call.name.to_string());
            }
        }
    }
    let mut is_none = request.choice == Some(Choice::None);
    if is_none && has_parts {
        request.ignore("tool_choice");
        is_none = false;
    }
    if is_none || (request.tools.is_empty() && names.is_empty()) {
        return Ok(());
    }
    w.key("toolConfig").open('{').key("tools").open('[');
    let mut tool = |name: &str, description: Option<&str>, schema: &str| {
        w.object(|w| {
            w.key("toolSpec").object(|w| {
                w.key("name").raw(name);
                if let Some(text) = description.filter(|text| !is_blank(text)) {
                    w.key("description").raw(text);
                }
                w.key("inputSchema").object(|w| _ = w.key("json").raw(schema));
            });
        });
    };
    for it in &request.tools {
        tool(&it.name, it.description.as_deref(), schema(it));
    }
    for name in &names {
        tool(name, None, r#"{"type":"object"}"#);
    }
    w.close(']');
    match &request.choice {
        None | Some(Choice::None) => {}
        Some(Choice::Auto) => {
            w.key("toolChoice").object(|w| {
                w.key("auto").object(|_| {});
            });
        }
        Some(Choice::Any) => {
            w.key("toolChoice").object(|w| {
                w.key("any").object(|_| {});
            });
        }
        Some(Choice::Tool(name)) => {
            w.key("toolChoice").object(|w| {
                w.key("tool").object(|w| _ = w.key("name").raw(name));
            });
        }
    }
    w.close('}');
    Ok(())
}

/// Results stand first; a blank text is refused, then and with every later turn.
fn write_message(w: &mut Writer, message: &Message<'_>) -> Result<(), Refused> {
    let is_result = |part: &&Part<'_>| matches!(part, Part::Result { .. });
    let results = message.parts.iter().filter(is_result);
    let others = message.parts.iter().filter(|part| !is_result(part));
    let start = w.out.len();
    w.open('{').key("role");
    w.str(if message.role == Role::User { "user" } else { "assistant" });
    w.key("content").open('[');
    let empty = w.out.len();
    for part in results.chain(others) {
        write_part(w, part)?;
    }
    if w.out.len() == empty {
        w.out.truncate(start);
        return Ok(());
    }
    w.close(']').close('}');
    Ok(())
}

fn id(text: &str) -> String {
    ids::shorten(ids::escape(text), ID).into_owned()
}

fn write_part(w: &mut Writer, part: &Part<'_>) -> Result<(), Refused> {
    match part {
        Part::Text(text) if is_blank(text) => {}
        Part::Text(text) => {
            w.object(|w| _ = w.key("text").raw(text));
        }
        Part::CachePoint => cache_point(w),
        Part::Image(media) => bytes(w, "image", media, None)?,
        Part::Document { media, name } => bytes(w, "document", media, Some(name.as_deref()))?,
        Part::Audio(_) => {
            return Err(Refused::new("messages", "has audio, which Bedrock does not take"));
        }
        Part::Call(call) => {
            w.object(|w| {
                w.key("toolUse").object(|w| {
                    w.key("toolUseId").str(&id(&call.id));
                    w.key("name").raw(&call.name).key("input").raw(&call.arguments);
                });
            });
        }
        Part::Result { id: of, content, is_error } => {
            w.open('{').key("toolResult").open('{').key("toolUseId").str(&id(of));
            w.key("content").open('[');
            let text = joined(content);
            match is_blank(&text) {
                true if content.iter().all(|part| matches!(part, Part::Text(_))) => {
                    w.object(|w| _ = w.key("text").str("(no output)"));
                }
                true => {}
                false => {
                    w.object(|w| _ = w.key("text").raw(&text));
                }
            }
            for part in
                content.iter().filter(|part| !matches!(part, Part::Text(_) | Part::CachePoint))
            {
                write_part(w, part)?;
            }
            w.close(']');
            w.key("status").str(if *is_error { "error" } else { "success" });
            w.close('}').close('}');
        }
        Part::Thinking { signature, .. } if !proves(signature) => {}
        Part::Thinking { signature: None, .. } => {}
        Part::Thinking { text, signature: Some(signature) } => {
            w.object(|w| {
                w.key("reasoningContent").object(|w| {
                    w.key("reasoningText").object(|w| {
                        w.key("text").raw(text).key("signature").raw(signature);
                    });
                });
            });
        }
        Part::Redacted(data) => {
            w.object(|w| {
                w.key("reasoningContent").object(|w| _ = w.key("redactedContent").raw(data));
            });
        }
    }
    Ok(())
}

fn bytes(
    w: &mut Writer,
    kind: &str,
    media: &Media<'_>,
    name: Option<Option<&str>>,
) -> Result<(), Refused> {
    let Data::Inline(data) = &media.data else {
        return Err(Refused::new(
            "messages",
            "has a URL of an image or document, which Bedrock does not fetch",
        ));
    };
    let format = match media.kind.rsplit('/').next().unwrap_or("") {
        "jpg" => "jpeg",
        "plain" => "txt",
        "markdown" => "md",
        "msword" => "doc",
        "vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
        "vnd.ms-excel" => "xls",
        format => format,
    };
    w.object(|w| {
        w.key(kind).object(|w| {
            w.key("format").str(format);
            if let Some(name) = name {
                w.key("name").raw(&document_name(name.unwrap_or("\"document\"")));
            }
            w.key("source").object(|w| _ = w.key("bytes").str(data));
        });
    });
    Ok(())
}

/// Names of documents have letters, digits, single spaces, hyphens, parentheses and brackets.
fn document_name(text: &str) -> String {
    let decoded = crate::translate::ir::decoded(text);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '(' | ')' | '[' | ']');
    let plain: String = decoded.chars().map(|c| if allowed(c) { c } else { ' ' }).collect();
    let words: Vec<_> = plain.split_whitespace().collect();
    let name = if words.is_empty() { "document".to_owned() } else { words.join(" ") };
    literal(&name).into_owned()
}
