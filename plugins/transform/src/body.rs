//! Changes to a body, of a request or a response.
//!
//! Owns which rules are for which body, whether it is read whole or as it streams, and what
//! happens to one that cannot be changed. The changes themselves are `json`'s and `text`'s.

use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

use crate::config::{EncodedPolicy, Policy};
use crate::json::document::Node;
use crate::json::edit::Edit;
use crate::media_type::Pattern;
use crate::text::Replacer;
use crate::values::Values;

/// The rules for bodies of one direction.
#[derive(Debug)]
pub(crate) struct BodyRules {
    pub(crate) json: Vec<Edit>,
    pub(crate) json_types: Vec<Pattern>,
    pub(crate) text: Option<Replacer>,
    pub(crate) text_types: Vec<Pattern>,
    /// Bytes of a body that is read whole, at most.
    pub(crate) limit: u64,
    pub(crate) on_invalid_json: Policy,
    pub(crate) on_encoded_body: EncodedPolicy,
    /// The references of these rules' templates.
    pub(crate) references: Vec<usize>,
}

/// What the hooks for one body pass to one another.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct BodyState {
    /// Whether the JSON rules are for this body.
    json: bool,
    /// Whether the text rules are.
    text: bool,
    /// The values of the rules' references.
    values: Vec<Option<String>>,
    /// The end of what was seen, which may begin a match.
    held: Vec<u8>,
}

/// What the head says about a body.
pub(crate) enum Start {
    /// No rule is for it.
    Pass,
    /// It is encoded, and the configuration refuses that.
    Refuse,
    /// It is read this way.
    Read(BodyMode, BodyState),
}

/// A body that says it is JSON and is not, with the reason.
pub(crate) struct InvalidJson(pub(crate) String);

impl BodyRules {
    /// Decides by the head.
    pub(crate) fn start(
        &self,
        content_type: Option<&str>,
        content_encoding: Option<&str>,
        values: &Values,
    ) -> Start {
        let is_for = |types: &[Pattern]| types.iter().any(|one| one.matches(content_type));
        let json = !self.json.is_empty() && is_for(&self.json_types);
        let text = self.text.is_some() && is_for(&self.text_types);
        if !json && !text {
            return Start::Pass;
        }
        if let Some(coding) = content_encoding.map(str::trim).filter(|coding| is_coded(coding)) {
            if self.on_encoded_body == EncodedPolicy::Reject {
                log::warn!(
                    "a body with content-encoding `{coding}` is refused, since it cannot be changed; \
                     `on_encoded_body = \"pass\"` would let it go on unchanged"
                );
                return Start::Refuse;
            }
            log::debug!("the body is left as it is: its content-encoding is `{coding}`");
            return Start::Pass;
        }
        let mode = if json { BodyMode::Buffered(self.limit) } else { BodyMode::Chunks };
        let values = values.carry(&self.references);
        Start::Read(mode, BodyState { json, text, values, held: Vec::new() })
    }

    /// Changes a whole body.
    pub(crate) fn change_whole(
        &self,
        state: &BodyState,
        body: &mut Body,
    ) -> Result<(), InvalidJson> {
        if without_bom(body.bytes()).iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let values = Values::carried(&self.references, &state.values);
        if state.json {
            match self.edit_json(body.bytes(), &values) {
                Ok(Some(changed)) => body.set(changed),
                Ok(None) => {}
                Err(reason) if self.on_invalid_json == Policy::Reject => {
                    return Err(InvalidJson(reason));
                }
                Err(reason) => log::debug!("the body is left as it is, it is not JSON: {reason}"),
            }
        }
        if state.text
            && let Some(replacer) = &self.text
            && let Some(changed) = replacer.push(&mut Vec::new(), body.bytes(), true, &values)
        {
            body.set(changed);
        }
        Ok(())
    }

    /// Changes a piece of a body.
    pub(crate) fn change_chunk(&self, state: &mut BodyState, chunk: &mut Chunk) {
        let Some(replacer) = self.text.as_ref().filter(|_| state.text) else {
            return;
        };
        let values = Values::carried(&self.references, &state.values);
        let changed = replacer.push(&mut state.held, chunk.data(), chunk.is_last(), &values);
        if let Some(changed) = changed {
            chunk.replace(changed);
        }
    }

    fn edit_json(&self, body: &[u8], values: &Values) -> Result<Option<String>, String> {
        let mut document = Node::parse(without_bom(body))?;
        let mut changed = false;
        for (index, edit) in self.json.iter().enumerate() {
            match edit.apply(&mut document, values) {
                Ok(hit) => changed |= hit,
                Err(reason) => log::warn!("json[{index}] is left out: {reason}"),
            }
        }
        Ok(changed.then(|| {
            let mut out = String::with_capacity(body.len() + body.len() / 8);
            document.write(&mut out);
            out
        }))
    }
}

/// A reader may leave a byte order mark out of account, a writer must not write one (RFC 8259 section
/// 8.1).
fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)
}

fn is_coded(coding: &str) -> bool {
    !coding.is_empty() && !coding.eq_ignore_ascii_case("identity")
}
