//! Conversations whose earlier answers came from other providers, translated by the gateway.
//!
//! What such an answer has for its own provider alone would be refused by this one: signatures of
//! thinking, encrypted reasoning, ids that are too long. It is taken out; what this provider said
//! itself stays as it is, byte for byte.

use super::Edits;
use crate::ids;
use crate::json::{Raw, Writer};
use crate::protocol::Protocol;

impl Edits<'_> {
    /// Makes a conversation one that this provider takes, although others answered in it.
    pub fn mend_history(&mut self) {
        match self.protocol() {
            Protocol::OpenAiChat => self.mend_chat(),
            Protocol::OpenAiResponses => self.mend_responses(),
            Protocol::Anthropic => self.mend_lists("messages", "content", is_foreign_thinking),
            Protocol::Gemini => {
                self.mend_lists("contents", "parts", is_foreign_thought);
                self.sign_calls();
            }
            _ => {}
        }
    }

    fn mend_chat(&mut self) {
        for message in self.root().some("messages").into_iter().flat_map(Raw::elements) {
            if message.get("thinking_blocks").is_some() {
                self.remove_from(message, "thinking_blocks");
            }
            self.mend_id(message.get("tool_call_id"), 40);
            for call in message.some("tool_calls").into_iter().flat_map(Raw::elements) {
                self.mend_id(call.get("id"), 40);
            }
        }
    }

    /// The id without a signature in it, and no longer than OpenAI takes it.
    fn mend_id(&mut self, id: Option<Raw<'_>>, most: usize) {
        let Some((value, text)) = id.and_then(|id| Some((id, id.str()?))) else { return };
        let own = ids::split_signature(&text).0;
        let id = match self.short_ids {
            true => ids::nine(own).into(),
            false => ids::shorten(own.into(), most),
        };
        if *id != *text {
            let mut json = Writer::new();
            json.str(&id);
            self.replace(value, json.out);
        }
    }

    fn mend_responses(&mut self) {
        let Some(input) = self.root().some("input").filter(|input| input.is_array()) else {
            return;
        };
        let is_own = |item: Raw<'_>| {
            let content = item.get("encrypted_content").and_then(Raw::escaped);
            !content.is_some_and(|content| content.starts_with("gw1:"))
        };
        let kept: Vec<_> = input.elements().map(is_own).collect();
        self.remove_elements(input, &kept);
        for item in input.elements().filter(|item| is_own(*item)) {
            self.mend_id(item.get("call_id"), 64);
        }
    }

    /// Takes elements out of the lists `inner` of the elements of the list `outer`, and with the
    /// last of a list the element that has it.
    fn mend_lists(&mut self, outer: &str, inner: &str, is_foreign: fn(Raw<'_>) -> bool) {
        let Some(outer) = self.root().some(outer).filter(|list| list.is_array()) else { return };
        let mut kept = Vec::new();
        for element in outer.elements() {
            let list = element.some(inner).filter(|list| list.is_array());
            let parts: Vec<_> =
                list.into_iter().flat_map(Raw::elements).map(|part| !is_foreign(part)).collect();
            let is_kept = parts.is_empty() || parts.contains(&true);
            kept.push(is_kept);
            if let Some(list) = list.filter(|_| is_kept) {
                self.remove_elements(list, &parts);
            }
        }
        self.remove_elements(outer, &kept);
    }

    /// Gemini wants a signature with the first call of a turn.
    fn sign_calls(&mut self) {
        let contents: Vec<_> =
            self.root().some("contents").into_iter().flat_map(Raw::elements).collect();
        for content in contents {
            let mut parts = content.some("parts").into_iter().flat_map(Raw::elements);
            let call = parts.find(|part| either(*part, "functionCall", "function_call").is_some());
            let unsigned = call
                .filter(|part| either(*part, "thoughtSignature", "thought_signature").is_none());
            if let Some(part) = unsigned {
                self.add(part, "thoughtSignature", ids::NO_SIGNATURE);
            }
        }
    }
}

fn either<'a>(object: Raw<'a>, name: &str, other: &str) -> Option<Raw<'a>> {
    object.some(name).or_else(|| object.some(other))
}

/// Thinking that Claude did not sign.
fn is_foreign_thinking(block: Raw<'_>) -> bool {
    if !block.get("type").is_some_and(|kind| kind.is("thinking")) {
        return false;
    }
    let signature = block.get("signature").and_then(Raw::escaped).unwrap_or("");
    signature.is_empty() || !ids::is_claude(signature)
}

/// A thought that Gemini did not sign.
fn is_foreign_thought(part: Raw<'_>) -> bool {
    let signature = either(part, "thoughtSignature", "thought_signature").and_then(Raw::escaped);
    part.get("thought").and_then(Raw::bool) == Some(true)
        && signature.is_some_and(|signature| ids::of_gemini_client(signature).is_some())
}
