//! Requests for Anthropic's messages.

use super::{misses_thinking, proves, schema, stop};
use crate::ids;
use crate::json::Writer;
use crate::translate::Target;
use crate::translate::ir::{
    Choice, Data, Format, Media, Message, Part, Reasoning, Refused, Request, Role, is_blank,
};

/// The least tokens that thinking may be given.
const LEAST: u64 = 1024;

pub(super) fn write(request: &mut Request<'_>, target: &Target<'_>) -> Result<String, Refused> {
    let mut w = Writer::new();
    w.open('{').key("model").str(target.model);
    let thinking = thinking(request, target);
    let (most, thinking) = bound(request, target, thinking);
    w.key("max_tokens").u64(most);
    let system: Vec<_> =
        request.system.iter().filter(|part| matches!(part, Part::Text(_))).collect();
    if !system.is_empty() {
        w.key("system").array(|w| {
            for part in &request.system {
                text(w, part);
            }
        });
    }
    w.key("messages").open('[');
    for message in &request.messages {
        write_message(&mut w, message)?;
    }
    w.close(']');
    if request.stream {
        w.key("stream").bool(true);
    }
    let is_thinking = !matches!(thinking, None | Some(Reasoning::Off));
    write_sampling(&mut w, request, is_thinking);
    stop(&mut w, request, "stop_sequences");
    if !request.tools.is_empty() {
        w.key("tools").array(|w| {
            for tool in &request.tools {
                w.object(|w| {
                    w.key("name").raw(&tool.name);
                    if let Some(text) = &tool.description {
                        w.key("description").raw(text);
                    }
                    w.key("input_schema").raw(schema(tool));
                });
            }
        });
        write_choice(&mut w, request);
    }
    let effort = match thinking {
        Some(Reasoning::Off) => {
            w.key("thinking").object(|w| _ = w.key("type").str("disabled"));
            None
        }
        Some(reasoning) if target.adaptive_thinking => {
            w.key("thinking").object(|w| _ = w.key("type").str("adaptive"));
            reasoning.effort().filter(|_| reasoning != Reasoning::Adaptive)
        }
        Some(reasoning) => {
            w.key("thinking").object(|w| {
                w.key("type").str("enabled").key("budget_tokens").u64(reasoning.budget());
            });
            None
        }
        None => None,
    };
    write_output(&mut w, request, effort.map(|effort| effort.name()))?;
    if let Some(user) = request.user {
        w.key("metadata").object(|w| _ = w.key("user_id").raw(user.text()));
    }
    w.close('}');
    Ok(w.out)
}

/// Whether the model is to think. Not with a forced tool, and not if the last turn called tools
/// without the thinking that must then stand before the calls.
fn thinking(request: &mut Request<'_>, target: &Target<'_>) -> Option<Reasoning> {
    let reasoning = request.reasoning?;
    if reasoning == Reasoning::Off {
        return Some(reasoning);
    }
    let is_forced = matches!(request.choice, Some(Choice::Any | Choice::Tool(_)));
    if is_forced || (misses_thinking(request) && !target.adaptive_thinking) {
        request.ignore("reasoning");
        return None;
    }
    Some(reasoning)
}

/// The bound of the output, which Anthropic wants, with the budget of the thinking inside of it.
fn bound(
    request: &mut Request<'_>,
    target: &Target<'_>,
    thinking: Option<Reasoning>,
) -> (u64, Option<Reasoning>) {
    let has_budget = !matches!(thinking, None | Some(Reasoning::Off)) && !target.adaptive_thinking;
    let budget = thinking.map_or(0, Reasoning::budget).max(LEAST);
    match request.max_output {
        None if has_budget => {
            (target.default_max_output.saturating_add(budget), Some(Reasoning::Budget(budget)))
        }
        None => (target.default_max_output, thinking),
        Some(most) if has_budget && most > LEAST => {
            (most, Some(Reasoning::Budget(budget.min(most - 1))))
        }
        Some(most) if has_budget => {
            request.ignore("reasoning");
            (most, None)
        }
        Some(most) => (most, thinking),
    }
}

/// Temperatures end at 1 here, and thinking allows none but that.
fn write_sampling(w: &mut Writer, request: &mut Request<'_>, is_thinking: bool) {
    for (name, value) in std::mem::take(&mut request.sampling) {
        match name {
            "temperature" if is_thinking && value.u64() != Some(1) => request.ignore(name),
            "temperature" => {
                let text = value.text();
                let is_above = value.u64().is_some_and(|it| it > 1)
                    || (text.starts_with(['1', '2'])
                        && !text.contains(['e', 'E'])
                        && value.u64() != Some(1));
                if is_above {
                    request.ignore("temperature above 1");
                }
                w.key(name).raw(if is_above { "1" } else { text });
            }
            "top_k" if is_thinking => request.ignore(name),
            "top_p" | "top_k" => _ = w.key(name).raw(value.text()),
            _ => request.ignore(name),
        }
    }
}

fn write_choice(w: &mut Writer, request: &Request<'_>) {
    let choice = match (&request.choice, request.parallel) {
        (None, Some(false)) => Some(&Choice::Auto),
        (choice, _) => choice.as_ref(),
    };
    let Some(choice) = choice else { return };
    w.key("tool_choice").object(|w| {
        match choice {
            Choice::Auto => w.key("type").str("auto"),
            Choice::None => w.key("type").str("none"),
            Choice::Any => w.key("type").str("any"),
            Choice::Tool(name) => w.key("type").str("tool").key("name").raw(name),
        };
        if request.parallel == Some(false) && *choice != Choice::None {
            w.key("disable_parallel_tool_use").bool(true);
        }
    });
}

fn write_output(
    w: &mut Writer,
    request: &Request<'_>,
    effort: Option<&str>,
) -> Result<(), Refused> {
    let schema = match &request.format {
        None => None,
        Some(Format::Schema { schema, .. }) => Some(schema),
        Some(Format::Json) => return Err(Refused::unknown("response_format")),
    };
    if schema.is_none() && effort.is_none() {
        return Ok(());
    }
    w.key("output_config").object(|w| {
        if let Some(effort) = effort {
            w.key("effort").str(if effort == "minimal" { "low" } else { effort });
        }
        if let Some(schema) = schema {
            w.key("format")
                .object(|w| _ = w.key("type").str("json_schema").key("schema").raw(schema));
        }
    });
    Ok(())
}

fn text(w: &mut Writer, part: &Part<'_>) {
    if let Part::Text(text) = part
        && !is_blank(text)
    {
        w.object(|w| _ = w.key("type").str("text").key("text").raw(text));
    }
}

/// Results of tools stand before anything else of their turn, blank texts are refused.
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

fn write_part(w: &mut Writer, part: &Part<'_>) -> Result<(), Refused> {
    match part {
        Part::Text(_) => text(w, part),
        Part::CachePoint => {}
        Part::Image(media) => source(w, "image", media, None)?,
        Part::Document { media, name } => source(w, "document", media, name.as_deref())?,
        Part::Audio(_) => {
            return Err(Refused::new("messages", "has audio, which Anthropic does not take"));
        }
        Part::Call(call) => {
            w.object(|w| {
                w.key("type").str("tool_use").key("id").str(&ids::escape(&call.id));
                w.key("name").raw(&call.name).key("input").raw(&call.arguments);
            });
        }
        Part::Result { id, content, is_error } => {
            w.open('{').key("type").str("tool_result").key("tool_use_id").str(&ids::escape(id));
            if !content.is_empty() {
                w.key("content").open('[');
                for part in content {
                    write_part(w, part)?;
                }
                w.close(']');
            }
            if *is_error {
                w.key("is_error").bool(true);
            }
            w.close('}');
        }
        // Thinking of another model has no signature, and is refused without.
        Part::Thinking { signature, .. } if !proves(signature) => {}
        Part::Thinking { signature: None, .. } => {}
        Part::Thinking { text, signature: Some(signature) } => {
            w.object(|w| {
                w.key("type").str("thinking").key("thinking").raw(text);
                w.key("signature").raw(signature);
            });
        }
        Part::Redacted(data) => {
            w.object(|w| _ = w.key("type").str("redacted_thinking").key("data").raw(data));
        }
    }
    Ok(())
}

fn source(
    w: &mut Writer,
    kind: &str,
    media: &Media<'_>,
    title: Option<&str>,
) -> Result<(), Refused> {
    w.object(|w| {
        w.key("type").str(kind).key("source").object(|w| match &media.data {
            Data::Inline(data) => {
                w.key("type")
                    .str("base64")
                    .key("media_type")
                    .str(&media.kind)
                    .key("data")
                    .str(data);
            }
            Data::Url(url) => _ = w.key("type").str("url").key("url").str(url),
        });
        if let Some(title) = title {
            w.key("title").raw(title);
        }
    });
    Ok(())
}
