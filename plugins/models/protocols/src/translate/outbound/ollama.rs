//! Requests for Ollama's chat.

use super::{function, joined, sampling, stop};
use crate::json::Writer;
use crate::translate::Target;
use crate::translate::ir::{
    Choice, Data, Format, Message, Part, Reasoning, Refused, Request, Role,
};

pub(super) fn write(request: &mut Request<'_>, target: &Target<'_>) -> Result<String, Refused> {
    let mut w = Writer::new();
    w.open('{').key("model").str(target.model).key("messages").open('[');
    if request.system.iter().any(|part| matches!(part, Part::Text(_))) {
        let text = joined(&request.system);
        w.object(|w| _ = w.key("role").str("system").key("content").raw(&text));
    }
    let names: Vec<(String, String)> =
        request.calls().map(|call| (call.id.clone(), call.name.to_string())).collect();
    for message in &request.messages {
        write_message(&mut w, message, &names)?;
    }
    w.close(']').key("stream").bool(request.stream);
    w.key("options").open('{');
    if let Some(most) = request.max_output {
        w.key("num_predict").u64(most);
    }
    let same = ["temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty"];
    sampling(&mut w, request, &same.map(|name| (name, name)));
    stop(&mut w, request, "stop");
    w.close('}');
    match request.choice {
        // Without tools the model calls none.
        Some(Choice::None) => request.tools.clear(),
        Some(Choice::Any | Choice::Tool(_)) => return Err(Refused::unknown("tool_choice")),
        Some(Choice::Auto) | None => {}
    }
    if !request.tools.is_empty() {
        w.key("tools").array(|w| request.tools.iter().for_each(|tool| function(w, tool, false)));
    }
    match &request.format {
        None => {}
        Some(Format::Json) => _ = w.key("format").str("json"),
        Some(Format::Schema { schema, .. }) => _ = w.key("format").raw(schema),
    }
    match request.reasoning {
        None => {}
        Some(Reasoning::Off) => _ = w.key("think").bool(false),
        Some(_) => _ = w.key("think").bool(true),
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

fn write_message(
    w: &mut Writer,
    message: &Message<'_>,
    names: &[(String, String)],
) -> Result<(), Refused> {
    let mut rest: Vec<&Part<'_>> = Vec::new();
    for part in &message.parts {
        let Part::Result { id, content, is_error } = part else {
            rest.push(part);
            continue;
        };
        let text = joined(content);
        w.object(|w| {
            w.key("role").str("tool");
            match is_error {
                false => w.key("content").raw(&text),
                true => w.key("content").raw(&format!("\"[error] {}", &text[1..])),
            };
            if let Some((_, name)) = names.iter().find(|(known, _)| known == id) {
                w.key("tool_name").raw(name);
            }
        });
        rest.extend(content.iter().filter(|part| !matches!(part, Part::Text(_))));
    }
    rest.retain(|part| !matches!(part, Part::CachePoint));
    if rest.is_empty() {
        return Ok(());
    }
    let mut texts = Vec::new();
    let mut thinking = String::new();
    let mut images = Vec::new();
    let mut calls = Vec::new();
    for part in rest {
        match part {
            Part::Text(text) => texts.push(&text[1..text.len() - 1]),
            Part::Thinking { text, .. } => thinking.push_str(&text[1..text.len() - 1]),
            Part::Image(media) => match &media.data {
                Data::Inline(data) => images.push(data),
                Data::Url(_) => {
                    return Err(Refused::new(
                        "messages",
                        "has a URL of an image, which Ollama does not fetch",
                    ));
                }
            },
            Part::Call(call) => calls.push(call),
            Part::Audio(_) | Part::Document { .. } => {
                return Err(Refused::new(
                    "messages",
                    "has audio or a document, which Ollama does not take",
                ));
            }
            Part::Redacted(_) | Part::CachePoint | Part::Result { .. } => {}
        }
    }
    w.object(|w| {
        w.key("role").str(if message.role == Role::User { "user" } else { "assistant" });
        w.key("content").raw(&format!("\"{}\"", texts.join("\\n")));
        if !thinking.is_empty() {
            w.key("thinking").raw(&format!("\"{thinking}\""));
        }
        if !images.is_empty() {
            w.key("images").array(|w| {
                for data in images {
                    w.str(data);
                }
            });
        }
        if !calls.is_empty() {
            w.key("tool_calls").array(|w| {
                for call in calls {
                    w.object(|w| {
                        w.key("function").object(|w| {
                            w.key("name").raw(&call.name).key("arguments").raw(&call.arguments);
                        });
                    });
                }
            });
        }
    });
    Ok(())
}
