//! Requests for OpenAI's responses, which take reasoning and tools together where chat does not.
//! Nothing is stored there; reasoning goes back and forth encrypted.

use super::{joined, schema};
use crate::ids;
use crate::json::Writer;
use crate::translate::Target;
use crate::translate::ir::{
    Choice, Data, Format, Media, Message, Part, Reasoning, Refused, Request, Role, decoded,
    is_blank,
};

/// The most characters of the id of a call.
const ID: usize = 64;

pub(super) fn write(request: &mut Request<'_>, target: &Target<'_>) -> Result<String, Refused> {
    let mut w = Writer::new();
    w.open('{').key("model").str(target.model).key("store").bool(false);
    if request.system.iter().any(|part| matches!(part, Part::Text(_))) {
        w.key("instructions").raw(&joined(&request.system));
    }
    w.key("input").open('[');
    for message in &request.messages {
        match message.role {
            Role::User => user(&mut w, message)?,
            Role::Assistant => assistant(&mut w, message)?,
        }
    }
    w.close(']');
    if request.stream {
        w.key("stream").bool(true);
    }
    if let Some(most) = request.max_output {
        w.key("max_output_tokens").u64(most);
    }
    super::sampling(&mut w, request, &[("temperature", "temperature"), ("top_p", "top_p")]);
    if !request.stop.is_empty() {
        return Err(Refused::unknown("stop"));
    }
    write_tools(&mut w, request);
    write_format(&mut w, request);
    match request.reasoning {
        None => {}
        Some(Reasoning::Off | Reasoning::Adaptive) => request.ignore("thinking"),
        Some(reasoning) => {
            let effort = reasoning.effort().map_or("medium", |effort| effort.name());
            w.key("reasoning").object(|w| {
                w.key("effort").str(effort).key("summary").str("auto");
            });
            w.key("include").array(|w| _ = w.str("reasoning.encrypted_content"));
        }
    }
    if let Some(user) = request.user {
        w.key("safety_identifier").raw(user.text());
    }
    w.close('}');
    Ok(w.out)
}

fn write_tools(w: &mut Writer, request: &Request<'_>) {
    if request.tools.is_empty() {
        return;
    }
    w.key("tools").array(|w| {
        for tool in &request.tools {
            w.object(|w| {
                w.key("type").str("function").key("name").raw(&tool.name);
                if let Some(text) = &tool.description {
                    w.key("description").raw(text);
                }
                // A tool that does not say is strict here, and is not in other protocols.
                w.key("parameters").raw(schema(tool));
                w.key("strict").bool(tool.strict == Some(true));
            });
        }
    });
    if let Some(parallel) = request.parallel {
        w.key("parallel_tool_calls").bool(parallel);
    }
    match &request.choice {
        None => {}
        Some(Choice::Auto) => _ = w.key("tool_choice").str("auto"),
        Some(Choice::None) => _ = w.key("tool_choice").str("none"),
        Some(Choice::Any) => _ = w.key("tool_choice").str("required"),
        Some(Choice::Tool(name)) => {
            w.key("tool_choice").object(|w| {
                w.key("type").str("function").key("name").raw(name);
            });
        }
    }
}

fn write_format(w: &mut Writer, request: &Request<'_>) {
    let Some(format) = &request.format else { return };
    w.key("text").object(|w| {
        w.key("format").object(|w| match format {
            Format::Json => _ = w.key("type").str("json_object"),
            Format::Schema { name, schema, strict } => {
                w.key("type").str("json_schema");
                w.key("name").raw(name.as_deref().unwrap_or("\"answer\""));
                w.key("schema").raw(schema);
                if let Some(strict) = strict {
                    w.key("strict").bool(*strict);
                }
            }
        });
    });
}

fn user(w: &mut Writer, message: &Message<'_>) -> Result<(), Refused> {
    let mut rest: Vec<&Part<'_>> = Vec::new();
    for part in &message.parts {
        let Part::Result { id, content, is_error } = part else {
            rest.push(part);
            continue;
        };
        let text = joined(content);
        w.object(|w| {
            w.key("type").str("function_call_output");
            w.key("call_id").str(&ids::shorten(id.as_str().into(), ID)).key("output");
            match is_error {
                false => w.raw(&text),
                true => w.raw(&format!("\"[error] {}", &text[1..])),
            };
        });
        rest.extend(content.iter().filter(|part| !matches!(part, Part::Text(_))));
    }
    rest.retain(|part| !matches!(part, Part::CachePoint));
    if rest.is_empty() {
        return Ok(());
    }
    w.open('{').key("role").str("user").key("content").open('[');
    for part in rest {
        content(w, part)?;
    }
    w.close(']').close('}');
    Ok(())
}

fn content(w: &mut Writer, part: &Part<'_>) -> Result<(), Refused> {
    match part {
        Part::Text(text) => {
            w.object(|w| _ = w.key("type").str("input_text").key("text").raw(text));
        }
        Part::Image(media) => {
            w.object(|w| _ = w.key("type").str("input_image").key("image_url").str(&media.url()));
        }
        Part::Document { media: Media { data: Data::Url(url), .. }, .. } => {
            w.object(|w| _ = w.key("type").str("input_file").key("file_url").str(url));
        }
        Part::Document { media, name } => {
            w.object(|w| {
                w.key("type").str("input_file").key("file_data").str(&media.url());
                w.key("filename").raw(name.as_deref().unwrap_or("\"document.pdf\""));
            });
        }
        _ => return Err(Refused::new("messages", "has audio, which responses do not take")),
    }
    Ok(())
}

/// Each part is an item, in the order in which they were said.
fn assistant(w: &mut Writer, message: &Message<'_>) -> Result<(), Refused> {
    for part in &message.parts {
        match part {
            Part::Text(text) if is_blank(text) => {}
            Part::Text(text) => {
                w.object(|w| {
                    w.key("role").str("assistant").key("content").array(|w| {
                        w.object(|w| _ = w.key("type").str("output_text").key("text").raw(text));
                    });
                });
            }
            Part::Call(call) => {
                w.object(|w| {
                    w.key("type").str("function_call");
                    w.key("call_id").str(&ids::shorten(call.id.as_str().into(), ID));
                    w.key("name").raw(&call.name).key("arguments").str(&call.arguments);
                });
            }
            Part::Thinking { text, signature: Some(signature) } => {
                let signature = decoded(signature);
                let Some((id, encrypted)) = ids::split_encrypted(&signature) else { continue };
                w.object(|w| {
                    w.key("type").str("reasoning").key("id").str(id).key("summary").array(|w| {
                        if !is_blank(text) {
                            w.object(|w| {
                                w.key("type").str("summary_text").key("text").raw(text);
                            });
                        }
                    });
                    w.key("encrypted_content").str(encrypted);
                });
            }
            Part::Thinking { .. } | Part::Redacted(_) | Part::CachePoint => {}
            _ => {
                return Err(Refused::new(
                    "messages",
                    "has something else than text of the assistant",
                ));
            }
        }
    }
    Ok(())
}
