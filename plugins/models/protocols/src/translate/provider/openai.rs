//! Answers of OpenAI's chat completions and of compatible servers.

use super::{Fault, Provider, object, text};
use crate::json::Raw;
use crate::translate::answer::{Item, Sink};
use crate::translate::finish::Finish;

impl Provider {
    /// `name` is where the content is: `delta` of events, `message` of bodies.
    pub(super) fn openai(
        &mut self,
        json: Raw<'_>,
        name: &str,
        sink: &mut dyn Sink,
    ) -> Result<(), Fault> {
        let mut choices = json.some("choices").into_iter().flat_map(Raw::elements);
        // One answer is asked for; the chunk with the usage has none.
        let first = choices.find_map(|choice| {
            let [index, said, word] = choice.fields(["index", name, "finish_reason"]);
            (index.and_then(Raw::u64).unwrap_or(0) == 0).then_some((said, word))
        });
        let Some((said, word)) = first else { return Ok(()) };
        self.start(Some(json), "id", sink);
        for (key, value) in said.into_iter().flat_map(Raw::members) {
            let inner = value.escaped().filter(|text| !text.is_empty());
            match (key.escaped().unwrap_or(""), inner) {
                ("content", Some(text)) => sink.item(Item::Text(text)),
                // Mistral's reasoning models have a list of parts.
                ("content", None) if value.is_array() => parts(value, sink)?,
                // vLLM and others; some say the same in both.
                ("reasoning_content", Some(text)) => sink.item(Item::Thinking(text)),
                ("reasoning", Some(text))
                    if said.is_some_and(|it| it.some("reasoning_content").is_none()) =>
                {
                    sink.item(Item::Thinking(text));
                }
                ("refusal", Some(text)) => sink.item(Item::Refusal(text)),
                ("tool_calls", _) => {
                    for call in value.elements() {
                        self.openai_call(call, sink)?;
                    }
                }
                ("audio" | "images" | "function_call", _) if !value.is_null() => {
                    let key = key.escaped().unwrap_or("");
                    return Err(format!(
                        "The provider's answer has `{key}`, which cannot be translated."
                    ));
                }
                _ => {}
            }
        }
        if let Some(word) = word.and_then(Raw::str) {
            sink.item(Item::Finish(Finish::of(&word)));
        }
        Ok(())
    }

    /// A call or a piece of one. Pieces have the index of their call; its id and name come with
    /// the first. Servers that give every call the index 0 are told by the ids.
    fn openai_call(&mut self, call: Raw<'_>, sink: &mut dyn Sink) -> Result<(), Fault> {
        let index = call.u64_of("index");
        let id = call.text_of("id").unwrap_or_default();
        let function = call.some("function").unwrap_or(call);
        let name = text(function, "name");
        let is_other_index = index.is_some() && index != self.index;
        let is_other_id = !id.is_empty() && *id != *self.id && name.is_some();
        let is_unmarked = index.is_none() && id.is_empty() && name.is_some();
        if self.calls == 0 || is_other_index || is_other_id || is_unmarked {
            let Some(name) = name else {
                return Err(
                    "The provider's pieces of several calls of tools are mixed, or one has no name."
                        .to_owned(),
                );
            };
            self.index = index;
            self.call(&id, name, None, sink);
        }
        match function.get("arguments") {
            // A compatible server may have it as an object.
            Some(arguments) if arguments.is_object() => object(Some(arguments), sink),
            _ => {
                if let Some(text) = text(function, "arguments") {
                    sink.item(Item::Arguments(text));
                }
            }
        }
        Ok(())
    }
}

fn parts(list: Raw<'_>, sink: &mut dyn Sink) -> Result<(), Fault> {
    for part in list.elements() {
        match part.get("type").and_then(Raw::escaped).unwrap_or("") {
            "text" => text(part, "text").into_iter().for_each(|it| sink.item(Item::Text(it))),
            "thinking" => {
                for inner in part.some("thinking").into_iter().flat_map(Raw::elements) {
                    let thought = text(inner, "text");
                    thought.into_iter().for_each(|it| sink.item(Item::Thinking(it)));
                }
            }
            kind => {
                return Err(format!(
                    "The provider's answer has a part `{kind}`, which cannot be translated."
                ));
            }
        }
    }
    Ok(())
}
