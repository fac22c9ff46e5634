//! Requests for Gemini's `generateContent`.

use super::{as_object, joined, sampling, stop};
use crate::ids;
use crate::json::Writer;
use crate::translate::Target;
use crate::translate::ir::{
    Choice, Data, Format, Media, Message, Part, Reasoning, Refused, Request, Role, is_blank,
};
use crate::translate::schema;

pub(super) fn write(request: &mut Request<'_>, _: &Target<'_>) -> Result<String, Refused> {
    let mut w = Writer::new();
    w.open('{');
    if request.system.iter().any(|part| matches!(part, Part::Text(_))) {
        let text = joined(&request.system);
        w.key("systemInstruction").object(|w| {
            w.key("parts").array(|w| {
                w.object(|w| _ = w.key("text").raw(&text));
            });
        });
    }
    let names: Vec<(String, String)> =
        request.calls().map(|call| (call.id.clone(), call.name.to_string())).collect();
    w.key("contents").open('[');
    for message in &request.messages {
        write_message(&mut w, message, &names)?;
    }
    w.close(']');
    write_config(&mut w, request);
    write_tools(&mut w, request);
    if request.user.is_some() {
        request.ignore("user");
    }
    if request.parallel == Some(false) {
        request.ignore("parallel_tool_calls");
    }
    w.close('}');
    Ok(w.out)
}

fn write_config(w: &mut Writer, request: &mut Request<'_>) {
    w.key("generationConfig").open('{');
    if let Some(most) = request.max_output {
        w.key("maxOutputTokens").u64(most);
    }
    let names = [
        ("temperature", "temperature"),
        ("top_p", "topP"),
        ("top_k", "topK"),
        ("seed", "seed"),
        ("presence_penalty", "presencePenalty"),
        ("frequency_penalty", "frequencyPenalty"),
    ];
    sampling(w, request, &names);
    stop(w, request, "stopSequences");
    let mut lost = Vec::new();
    match &request.format {
        None => {}
        Some(Format::Json) => _ = w.key("responseMimeType").str("application/json"),
        Some(Format::Schema { schema, .. }) => {
            let (schema, missing) = schema::to_gemini(schema);
            w.key("responseMimeType").str("application/json").key("responseSchema").raw(&schema);
            lost = missing;
        }
    }
    for keyword in lost {
        request.ignore(format!("response_format: {keyword}"));
    }
    match request.reasoning {
        None => {}
        Some(Reasoning::Off) => {
            w.key("thinkingConfig").object(|w| _ = w.key("thinkingBudget").u64(0));
        }
        Some(Reasoning::Adaptive) => {
            w.key("thinkingConfig").object(|w| {
                w.key("thinkingBudget").raw("-1").key("includeThoughts").bool(true);
            });
        }
        Some(reasoning) => {
            w.key("thinkingConfig").object(|w| {
                w.key("thinkingBudget").u64(reasoning.budget());
                w.key("includeThoughts").bool(true);
            });
        }
    }
    w.close('}');
}

fn write_tools(w: &mut Writer, request: &mut Request<'_>) {
    if request.tools.is_empty() {
        return;
    }
    let mut all_lost = Vec::new();
    w.key("tools").open('[').open('{').key("functionDeclarations").open('[');
    for tool in &request.tools {
        w.object(|w| {
            w.key("name").raw(&tool.name);
            if let Some(text) = &tool.description {
                w.key("description").raw(text);
            }
            if let Some(schema) = &tool.schema {
                let (schema, lost) = schema::to_gemini(schema);
                // An object without members is refused; no parameters are none.
                if schema.contains("\"properties\":{\"") {
                    w.key("parameters").raw(&schema);
                }
                all_lost.extend(lost);
            }
        });
    }
    w.close(']').close('}').close(']');
    for keyword in all_lost {
        request.ignore(format!("tools: {keyword}"));
    }
    let Some(choice) = &request.choice else { return };
    w.key("toolConfig").object(|w| {
        w.key("functionCallingConfig").object(|w| match choice {
            Choice::Auto => _ = w.key("mode").str("AUTO"),
            Choice::None => _ = w.key("mode").str("NONE"),
            Choice::Any => _ = w.key("mode").str("ANY"),
            Choice::Tool(name) => {
                w.key("mode").str("ANY");
                w.key("allowedFunctionNames").array(|w| _ = w.raw(name));
            }
        });
    });
}

/// All results of one turn's calls stand in one content, in the order of the calls, and nothing
/// else with them.
fn write_message(
    w: &mut Writer,
    message: &Message<'_>,
    names: &[(String, String)],
) -> Result<(), Refused> {
    let order = |part: &&Part<'_>| match part {
        Part::Result { id, .. } => names.iter().position(|(known, _)| known == id),
        _ => None,
    };
    let is_result = |part: &&Part<'_>| matches!(part, Part::Result { .. });
    let mut results: Vec<_> = message.parts.iter().filter(is_result).collect();
    results.sort_by_key(order);
    // What results bring that is not text follows them.
    let inner = results.iter().flat_map(|part| match part {
        Part::Result { content, .. } => content.as_slice(),
        _ => &[],
    });
    let inner = inner.filter(|part| !matches!(part, Part::Text(_)));
    let others = message.parts.iter().filter(|part| !is_result(part));
    write_content(w, message.role, &results, names)?;
    write_content(w, message.role, &inner.chain(others).collect::<Vec<_>>(), names)
}

fn write_content(
    w: &mut Writer,
    role: Role,
    parts: &[&Part<'_>],
    names: &[(String, String)],
) -> Result<(), Refused> {
    let start = w.out.len();
    w.open('{').key("role").str(if role == Role::User { "user" } else { "model" });
    w.key("parts").open('[');
    let empty = w.out.len();
    let mut is_first = true;
    for part in parts {
        if let Part::Call(call) = part {
            // The first call of a turn must have a signature.
            let signature = call.signature.as_deref();
            let signature = signature.or(is_first.then_some(ids::NO_SIGNATURE));
            is_first = false;
            w.object(|w| {
                w.key("functionCall").object(|w| {
                    w.key("name").raw(&call.name).key("args").raw(&call.arguments);
                });
                if let Some(signature) = signature {
                    w.key("thoughtSignature").str(signature);
                }
            });
        } else {
            write_part(w, part, names)?;
        }
    }
    if w.out.len() == empty {
        w.out.truncate(start);
        return Ok(());
    }
    w.close(']').close('}');
    Ok(())
}

fn write_part(w: &mut Writer, part: &Part<'_>, names: &[(String, String)]) -> Result<(), Refused> {
    match part {
        Part::Text(text) if is_blank(text) => {}
        Part::Text(text) => {
            w.object(|w| _ = w.key("text").raw(text));
        }
        Part::Image(media) | Part::Audio(media) | Part::Document { media, .. } => bytes(w, media),
        Part::Result { id, content, is_error } => {
            let Some((_, name)) = names.iter().find(|(known, _)| known == id) else {
                return Err(Refused::new("messages", "has a result of a tool without its call"));
            };
            let text = joined(content);
            w.object(|w| {
                w.key("functionResponse").object(|w| {
                    w.key("name").raw(name).key("response");
                    as_object(w, if *is_error { "error" } else { "result" }, &text);
                });
            });
        }
        // Gemini takes its own thoughts by their signatures alone.
        Part::Thinking { .. } | Part::Redacted(_) | Part::CachePoint | Part::Call(_) => {}
    }
    Ok(())
}

fn bytes(w: &mut Writer, media: &Media<'_>) {
    w.object(|w| match &media.data {
        Data::Inline(data) => {
            w.key("inlineData").object(|w| {
                w.key("mimeType").str(&media.kind).key("data").str(data);
            });
        }
        Data::Url(url) => {
            w.key("fileData").object(|w| {
                if !media.kind.is_empty() {
                    w.key("mimeType").str(&media.kind);
                }
                w.key("fileUri").str(url);
            });
        }
    });
}
