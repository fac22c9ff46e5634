//! Answers of Gemini: an event of a stream has the form of a whole answer.

use super::{Fault, Provider, object, text};
use crate::json::Raw;
use crate::translate::answer::{Item, Sink};
use crate::translate::finish::{Finish, Reason};

impl Provider {
    pub(super) fn gemini(&mut self, json: Raw<'_>, sink: &mut dyn Sink) -> Result<(), Fault> {
        if json.is_array() {
            return json.elements().try_for_each(|part| self.gemini(part, sink));
        }
        self.start(Some(json), "responseId", sink);
        let [candidates, feedback] = json.fields(["candidates", "promptFeedback"]);
        if let Some(why) = feedback.and_then(|it| it.text_of("blockReason")) {
            sink.item(Item::Finish(Finish { reason: Reason::Filter, ..Finish::of(&why) }));
        }
        let Some(candidate) = candidates.and_then(|it| it.elements().next()) else {
            return Ok(());
        };
        let [content, word] = candidate.fields(["content", "finishReason"]);
        let parts = content.and_then(|content| content.some("parts"));
        for part in parts.into_iter().flat_map(Raw::elements) {
            self.gemini_part(part, sink)?;
        }
        if let Some(word) = word.and_then(Raw::str) {
            sink.item(Item::Finish(Finish::of(&word)));
        }
        Ok(())
    }

    fn gemini_part(&mut self, part: Raw<'_>, sink: &mut dyn Sink) -> Result<(), Fault> {
        let [call, thought, inner, signature] =
            part.fields(["functionCall", "thought", "text", "thoughtSignature"]);
        let signature = signature.and_then(Raw::str);
        if let Some(call) = call {
            if call.some("partialArgs").is_some()
                || call.get("willContinue").and_then(Raw::bool) == Some(true)
            {
                return Err("The provider streams pieces of arguments, which were not asked for."
                    .to_owned());
            }
            let id = call.text_of("id").unwrap_or_default();
            self.call(&id, text(call, "name").unwrap_or(""), signature.as_deref(), sink);
            object(call.some("args"), sink);
            return Ok(());
        }
        let is_thought = thought.and_then(Raw::bool) == Some(true);
        if let Some(inner) = inner.and_then(Raw::escaped) {
            match (is_thought, inner) {
                (_, "") => {}
                (true, inner) => sink.item(Item::Thinking(inner)),
                (false, inner) => sink.item(Item::Text(inner)),
            }
            // The signature of a text or a thought need not come back, and another provider would
            // not take it for one of its own.
            return Ok(());
        }
        let other =
            part.members().find(|(key, _)| !key.is("thoughtSignature") && !key.is("thought"));
        match other.and_then(|(key, _)| key.str()) {
            None => Ok(()),
            Some(kind) => Err(format!(
                "The provider's answer has a part `{kind}`, which cannot be translated."
            )),
        }
    }
}
