//! Requests for Cohere's chat, version 2 of its API.

use super::{function, is_signed, joined, sampling, stop};
use crate::json::{Raw, Writer};
use crate::translate::Target;
use crate::translate::ir::{
    Call, Choice, Format, Message, Part, Reasoning, Refused, Request, Role, Tool, is_blank,
};

pub(super) fn write(request: &mut Request<'_>, target: &Target<'_>) -> Result<String, Refused> {
    let mut w = Writer::new();
    w.open('{').key("model").str(target.model).key("messages").open('[');
    if request.system.iter().any(|part| matches!(part, Part::Text(_))) {
        let text = joined(&request.system);
        w.object(|w| _ = w.key("role").str("system").key("content").raw(&text));
    }
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
        w.key("max_tokens").u64(most);
    }
    write_sampling(&mut w, request);
    stop(&mut w, request, "stop_sequences");
    write_tools(&mut w, request);
    match &request.format {
        None => {}
        Some(Format::Json) => {
            w.key("response_format").object(|w| _ = w.key("type").str("json_object"));
        }
        Some(Format::Schema { schema, .. }) => {
            w.key("response_format").object(|w| {
                w.key("type").str("json_object").key("json_schema").raw(schema);
            });
        }
    }
    if let Some(reasoning) = request.reasoning {
        w.key("thinking").object(|w| match reasoning {
            Reasoning::Off => _ = w.key("type").str("disabled"),
            Reasoning::Adaptive => _ = w.key("type").str("enabled"),
            _ => _ = w.key("type").str("enabled").key("token_budget").u64(reasoning.budget()),
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

fn write_sampling(w: &mut Writer, request: &mut Request<'_>) {
    // Others take a probability of 1, which says nothing, and of 0; Cohere refuses both.
    let top_p = request.sampling.iter().position(|(name, _)| *name == "top_p");
    if let Some(value) = top_p.map(|at| request.sampling.remove(at).1) {
        match value.text().parse::<f64>() {
            Ok(wanted) if wanted > 0.99 => w.key("p").raw("0.99"),
            Ok(wanted) if wanted < 0.01 => w.key("p").raw("0.01"),
            _ => w.key("p").raw(value.text()),
        };
    }
    let names = [
        ("temperature", "temperature"),
        ("top_k", "k"),
        ("seed", "seed"),
        ("frequency_penalty", "frequency_penalty"),
        ("presence_penalty", "presence_penalty"),
    ];
    sampling(w, request, &names);
}

/// The tools. One that must be called is the only one that is offered then.
fn write_tools(w: &mut Writer, request: &Request<'_>) {
    let one = match &request.choice {
        Some(Choice::Tool(name)) => Some(name),
        _ => None,
    };
    let offered = |tool: &&Tool<'_>| one.is_none_or(|name| *name == tool.name);
    if request.tools.iter().filter(offered).count() == 0 {
        return;
    }
    w.key("tools").array(|w| {
        request.tools.iter().filter(offered).for_each(|tool| function(w, tool, false));
    });
    if is_strict(request) {
        w.key("strict_tools").bool(true);
    }
    match &request.choice {
        None | Some(Choice::Auto) => {}
        Some(Choice::None) => _ = w.key("tool_choice").str("NONE"),
        Some(Choice::Any | Choice::Tool(_)) => _ = w.key("tool_choice").str("REQUIRED"),
    }
}

/// Whether the tools are strict as Cohere has it: all of them, and each with an argument that it requires.
pub(super) fn is_strict(request: &Request<'_>) -> bool {
    let requires = |tool: &Tool<'_>| {
        let schema = tool.schema.as_deref().and_then(|text| Raw::parse(text.as_bytes()).ok());
        let required = schema.and_then(|schema| schema.some("required"));
        required.is_some_and(|list| list.elements().next().is_some())
    };
    !request.tools.is_empty()
        && request.tools.iter().all(|tool| tool.strict == Some(true) && requires(tool))
}

/// Results of tools come first, each a message of its own; images in them follow as the user's.
fn user(w: &mut Writer, message: &Message<'_>) -> Result<(), Refused> {
    let mut rest: Vec<&Part<'_>> = Vec::new();
    for part in &message.parts {
        let Part::Result { id, content, is_error } = part else {
            rest.push(part);
            continue;
        };
        w.object(|w| {
            w.key("role").str("tool").key("tool_call_id").str(id).key("content");
            let text = joined(content);
            match is_error {
                true => w.raw(&format!("\"[error] {}", &text[1..])),
                // A result without a text is refused.
                false if is_blank(&text) => w.str("(no output)"),
                false => w.raw(&text),
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
        _ => {
            return Err(Refused::new(
                "messages",
                "has audio or a document, which Cohere's chat does not take",
            ));
        }
    }
    Ok(())
}

/// What the assistant said. A text beside calls is the plan for them.
fn assistant(w: &mut Writer, message: &Message<'_>) -> Result<(), Refused> {
    let (mut calls, mut thoughts): (Vec<&Call<'_>>, Vec<&str>) = (Vec::new(), Vec::new());
    for part in &message.parts {
        match part {
            Part::Text(_) | Part::CachePoint | Part::Redacted(_) => {}
            Part::Call(call) => calls.push(call),
            // A model takes its own thinking alone, and Cohere's has no signature.
            Part::Thinking { text, signature } if !is_signed(signature) => thoughts.push(text),
            Part::Thinking { .. } => {}
            _ => {
                return Err(Refused::new(
                    "messages",
                    "has something else than text of the assistant",
                ));
            }
        }
    }
    let text = joined(&message.parts);
    let has_text = !is_blank(&text);
    if calls.is_empty() && thoughts.is_empty() && !has_text {
        return Ok(());
    }
    w.open('{').key("role").str("assistant");
    let in_content = has_text && calls.is_empty();
    if !thoughts.is_empty() {
        w.key("content").array(|w| {
            for thought in thoughts {
                w.object(|w| _ = w.key("type").str("thinking").key("thinking").raw(thought));
            }
            if in_content {
                w.object(|w| _ = w.key("type").str("text").key("text").raw(&text));
            }
        });
    } else if in_content {
        w.key("content").raw(&text);
    }
    if !calls.is_empty() {
        if has_text {
            w.key("tool_plan").raw(&text);
        }
        w.key("tool_calls").array(|w| calls.into_iter().for_each(|call| write_call(w, call)));
    }
    w.close('}');
    Ok(())
}

fn write_call(w: &mut Writer, call: &Call<'_>) {
    w.object(|w| {
        w.key("id").str(&call.id).key("type").str("function").key("function").object(|w| {
            w.key("name").raw(&call.name).key("arguments").str(&call.arguments);
        });
    });
}
