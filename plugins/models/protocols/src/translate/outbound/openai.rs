//! Requests for OpenAI's chat completions and servers that are compatible.

use std::borrow::Cow;

use super::{function, joined, sampling, stop};
use crate::ids;
use crate::json::Writer;
use crate::translate::Target;
use crate::translate::ir::{
    Call, Choice, Data, Format, Media, Message, Part, Reasoning, Refused, Request, Role, is_blank,
};

/// The most characters that OpenAI takes in an id.
const ID: usize = 40;

pub(super) fn write(request: &mut Request<'_>, target: &Target<'_>) -> Result<String, Refused> {
    let mut w = Writer::new();
    w.open('{').key("model").str(target.model).key("messages").open('[');
    if request.system.iter().any(|part| matches!(part, Part::Text(_))) {
        let text = joined(&request.system);
        w.object(|w| _ = w.key("role").str("system").key("content").raw(&text));
    }
    let mut lost = Lost { thinking: false, extensions: target.extensions };
    for message in &request.messages {
        match message.role {
            Role::User => user(&mut w, message, target)?,
            Role::Assistant => assistant(&mut w, message, target, &mut lost)?,
        }
    }
    w.close(']');
    if lost.thinking {
        request.ignore("thinking");
    }
    if request.stream {
        w.key("stream").bool(true);
        w.key("stream_options").object(|w| _ = w.key("include_usage").bool(true));
    }
    if let Some(most) = request.max_output {
        w.key(target.max_output_name).u64(most);
    }
    let names = [
        ("temperature", "temperature"),
        ("top_p", "top_p"),
        ("frequency_penalty", "frequency_penalty"),
        ("presence_penalty", "presence_penalty"),
        ("seed", "seed"),
        ("top_k", "top_k"),
    ];
    // OpenAI itself has no `top_k`, which is the last.
    let known = if target.extensions { &names[..] } else { &names[..5] };
    sampling(&mut w, request, known);
    stop(&mut w, request, "stop");
    if !request.tools.is_empty() {
        w.key("tools").array(|w| request.tools.iter().for_each(|tool| function(w, tool, true)));
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
                    w.key("type").str("function");
                    w.key("function").object(|w| _ = w.key("name").raw(name));
                });
            }
        }
    }
    match &request.format {
        None => {}
        Some(Format::Json) => {
            w.key("response_format").object(|w| _ = w.key("type").str("json_object"));
        }
        Some(Format::Schema { name, schema, strict }) => {
            w.key("response_format").object(|w| {
                w.key("type").str("json_schema").key("json_schema").object(|w| {
                    w.key("name").raw(name.as_deref().unwrap_or("\"answer\""));
                    w.key("schema").raw(schema);
                    if let Some(strict) = strict {
                        w.key("strict").bool(*strict);
                    }
                });
            });
        }
    }
    match request.reasoning {
        None => {}
        // A model without reasoning refuses the member, and one that cannot be told not to
        // reason refuses "none"; not to ask for it is what both take.
        Some(Reasoning::Off | Reasoning::Adaptive) => request.ignore("thinking"),
        Some(reasoning) => {
            let effort = reasoning.effort().map_or("medium", |effort| effort.name());
            w.key("reasoning_effort").str(effort);
        }
    }
    if let Some(user) = request.user {
        w.key("user").raw(user.text());
    }
    w.close('}');
    Ok(w.out)
}

struct Lost {
    thinking: bool,
    extensions: bool,
}

/// The id of a call in the form that the server takes.
fn id<'t>(id: &'t str, target: &Target<'_>) -> Cow<'t, str> {
    match target.short_ids {
        true => ids::nine(id).into(),
        false => ids::shorten(id.into(), ID),
    }
}

/// Results of tools come first, each a message of its own; what in them is not text follows as
/// the user's.
fn user(w: &mut Writer, message: &Message<'_>, target: &Target<'_>) -> Result<(), Refused> {
    let mut rest: Vec<&Part<'_>> = Vec::new();
    for part in &message.parts {
        let Part::Result { id, content, is_error } = part else {
            rest.push(part);
            continue;
        };
        w.object(|w| {
            w.key("role").str("tool");
            w.key("tool_call_id").str(&self::id(id, target));
            let text = joined(content);
            match is_error {
                false => w.key("content").raw(&text),
                true => w.key("content").raw(&format!("\"[error] {}", &text[1..])),
            };
        });
        rest.extend(content.iter().filter(|part| !matches!(part, Part::Text(_))));
    }
    rest.retain(|part| !matches!(part, Part::CachePoint));
    if rest.is_empty() {
        return Ok(());
    }
    w.open('{').key("role").str("user").key("content");
    if let [Part::Text(text)] = rest.as_slice() {
        w.raw(text);
    } else {
        w.open('[');
        for part in rest {
            content(w, part)?;
        }
        w.close(']');
    }
    w.close('}');
    Ok(())
}

fn content(w: &mut Writer, part: &Part<'_>) -> Result<(), Refused> {
    match part {
        Part::Text(text) => {
            w.object(|w| _ = w.key("type").str("text").key("text").raw(text));
        }
        Part::Image(media) => {
            w.object(|w| {
                w.key("type").str("image_url");
                w.key("image_url").object(|w| _ = w.key("url").str(&media.url()));
            });
        }
        Part::Audio(Media { kind, data: Data::Inline(data) }) => {
            let format = match kind.rsplit('/').next().unwrap_or("") {
                "mpeg" => "mp3",
                "x-wav" => "wav",
                format => format,
            };
            w.object(|w| {
                w.key("type").str("input_audio").key("input_audio").object(|w| {
                    w.key("data").str(data).key("format").str(format);
                });
            });
        }
        Part::Document { media: media @ Media { data: Data::Inline(_), .. }, name } => {
            w.object(|w| {
                w.key("type").str("file").key("file").object(|w| {
                    w.key("file_data").str(&media.url());
                    w.key("filename").raw(name.as_deref().unwrap_or("\"document.pdf\""));
                });
            });
        }
        _ => return Err(Refused::new("messages", "has a document or audio that only a URL tells")),
    }
    Ok(())
}

fn assistant(
    w: &mut Writer,
    message: &Message<'_>,
    target: &Target<'_>,
    lost: &mut Lost,
) -> Result<(), Refused> {
    let calls = || {
        message.parts.iter().filter_map(|part| match part {
            Part::Call(call) => Some(call),
            _ => None,
        })
    };
    let mut thinking = String::new();
    for part in &message.parts {
        match part {
            Part::Text(_) | Part::Call(_) | Part::CachePoint => {}
            Part::Thinking { text, .. } if lost.extensions => {
                thinking.push_str(&text[1..text.len() - 1]);
            }
            Part::Thinking { .. } | Part::Redacted(_) => lost.thinking = true,
            _ => {
                return Err(Refused::new(
                    "messages",
                    "has something else than text of the assistant",
                ));
            }
        }
    }
    let text = joined(&message.parts);
    w.object(|w| {
        w.key("role").str("assistant").key("content");
        match is_blank(&text) && calls().next().is_some() {
            true => w.null(),
            false => w.raw(&text),
        };
        if !thinking.is_empty() {
            w.key("reasoning_content").raw(&format!("\"{thinking}\""));
        }
        if calls().next().is_some() {
            w.key("tool_calls").array(|w| calls().for_each(|call| write_call(w, call, target)));
        }
    });
    Ok(())
}

fn write_call(w: &mut Writer, call: &Call<'_>, target: &Target<'_>) {
    w.object(|w| {
        w.key("id").str(&id(&call.id, target));
        w.key("type").str("function").key("function").object(|w| {
            w.key("name").raw(&call.name).key("arguments").str(&call.arguments);
        });
    });
}
