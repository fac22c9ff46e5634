//! Changes to a body, of a request or a response.
//!
//! Owns which rules are for which body, whether it is read whole or as it streams, and what
//! happens to one that cannot be changed. The changes themselves are `json`'s, `events`' and `text`'s;
//! `coding` takes codings off and puts them on.

use std::borrow::Cow;

use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

use crate::charset::{self, Charset, Declared};
use crate::coding::{self, Coding, DecodeError};
use crate::config::{EncodedPolicy, Policy};
use crate::events::{EventRules, EventTooLarge, Splitter};
use crate::form::{self, Repeated};
use crate::json::edit::{self, Edit};
use crate::media_type::Pattern;
use crate::memory;
use crate::text::Replacer;
use crate::values::Values;
use crate::xml;

/// The rules of one set for bodies of one direction.
#[derive(Debug)]
pub(crate) struct BodyRules {
    pub(crate) json: Vec<Edit>,
    pub(crate) json_types: Vec<Pattern>,
    pub(crate) convert: Option<Convert>,
    pub(crate) events: Option<EventRules>,
    pub(crate) event_types: Vec<Pattern>,
    pub(crate) text: Option<Replacer>,
    pub(crate) text_types: Vec<Pattern>,
    /// Whether text that is not UTF-8 is decoded for them, by what its `content-type` says.
    pub(crate) decodes_text: bool,
    /// Bytes of a body that is read whole, at most; decoded, if it has a coding.
    pub(crate) limit: u64,
    pub(crate) on_invalid_json: Policy,
    pub(crate) on_encoded_body: EncodedPolicy,
    /// The references of these rules' templates.
    pub(crate) references: Vec<usize>,
}

/// From which format to which; edits of JSON are made in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Convert {
    pub(crate) from: Format,
    pub(crate) to: Format,
    pub(crate) repeated: Repeated,
    pub(crate) xml: xml::Options,
}

/// A format of bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Form,
    /// Is only read.
    Xml,
}

/// What the hooks for one body pass to one another.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct BodyState {
    /// One for each set of rules that is for this body, in order.
    parts: Vec<Part>,
    /// The codings that it comes with and that are taken off.
    codings: Vec<Coding>,
    /// Whether they are put on again.
    recodes: bool,
    /// Its charset, if that matters.
    charset: Option<CharsetOfBody>,
}

/// What a head says about a charset.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct CharsetOfBody {
    name: String,
    /// The `content-type` that it has as UTF-8.
    content_type: String,
}

/// What one set of rules does with a body.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Part {
    /// Its place among the sets.
    set: usize,
    /// Whether its rules for JSON, or for what is converted from it or to it, are for this body.
    json: bool,
    /// Whether its text rules are.
    text: bool,
    /// Where its stream is, if its rules for events are.
    events: Option<Splitter>,
    /// The values of the rules' references.
    values: Vec<Option<String>>,
    /// The end of what was seen, which may begin a match.
    held: Vec<u8>,
}

/// What a head says about a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Described<'a> {
    pub(crate) content_type: Option<&'a str>,
    pub(crate) content_encoding: Option<&'a str>,
}

/// What is done with a body.
pub(crate) enum Start {
    /// No rule is for it.
    Pass,
    /// It is encoded, and that is refused: with the codings that would not be.
    Refuse(&'static str),
    /// It has a charset that is not known.
    RefuseCharset,
    /// It is read this way.
    Read(BodyMode, BodyState),
}

/// Why a body is refused when it is there.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It is not the JSON, the form or the XML that it says, or that it is to become, with the reason.
    Unreadable(String),
    /// It is not what its coding says.
    Encoded(DecodeError),
}

impl BodyRules {
    fn new_media_type(&self) -> Option<&'static str> {
        match self.convert.as_ref()?.to {
            Format::Json | Format::Xml => Some("application/json"),
            Format::Form => Some(form::MEDIA_TYPE),
        }
    }

    /// Whether a body with a coding is decoded.
    pub(crate) fn decodes(&self) -> bool {
        matches!(self.on_encoded_body, EncodedPolicy::Decode | EncodedPolicy::Recode)
    }

    /// Whether a body may have to be read whole that these rules do not read whole otherwise.
    pub(crate) fn may_read_whole(&self) -> bool {
        self.decodes() || self.decodes_text
    }

    /// Whether what is in a body depends on its charset. JSON is UTF-8 (RFC 8259).
    fn needs_charset(&self, part: &Part) -> bool {
        let is_json = self.convert.as_ref().is_none_or(|convert| convert.from == Format::Json);
        if part.json { !is_json } else { part.text && self.decodes_text }
    }

    /// Edits JSON, or what becomes JSON for that.
    fn edit(
        &self,
        body: &[u8],
        charset: Option<Charset>,
        values: &Values,
    ) -> Result<Option<Vec<u8>>, String> {
        let Some(convert) = &self.convert else {
            let edited = edit::apply_all(&self.json, body, values, "");
            return edited.map(|edited| edited.map(String::into_bytes)).map_err(not_json);
        };
        self.converted(convert, body, charset, values)
            .map(Some)
            .map_err(|reason| format!("the body cannot be converted: {reason}"))
    }

    fn converted(
        &self,
        Convert { from, to, repeated, xml }: &Convert,
        body: &[u8],
        charset: Option<Charset>,
        values: &Values,
    ) -> Result<Vec<u8>, String> {
        let json = match from {
            Format::Json => Cow::Borrowed(body),
            Format::Form => {
                let charset = charset.unwrap_or(encoding_rs::UTF_8);
                Cow::Owned(form::to_json(body, *repeated, charset)?.into_bytes())
            }
            Format::Xml => Cow::Owned(xml::to_json(body, xml, charset)?.into_bytes()),
        };
        let edited = edit::apply_all(&self.json, &json, values, "")?.map(String::into_bytes);
        let json = edited.map_or(json, Cow::Owned);
        Ok(match to {
            Format::Json | Format::Xml => json.into_owned(),
            Format::Form => form::from_json(edit::without_bom(&json))?.into_bytes(),
        })
    }

    fn part(&self, set: usize, content_type: Option<&str>) -> Option<Part> {
        let is_for = |types: &[Pattern]| types.iter().any(|one| one.matches(content_type));
        let part = Part {
            set,
            json: (!self.json.is_empty() || self.convert.is_some()) && is_for(&self.json_types),
            text: self.text.is_some() && is_for(&self.text_types),
            events: (self.events.is_some() && is_for(&self.event_types)).then(Splitter::default),
            ..Part::default()
        };
        part.does_anything().then_some(part)
    }

    /// What a coding means for a body that these rules are for: `None` to leave it alone, an error
    /// to refuse it.
    fn take_off(&self, field: &str, is_stream: bool) -> Result<Option<Vec<Coding>>, &'static str> {
        if self.on_encoded_body == EncodedPolicy::Pass {
            log::debug!("the body is left as it is: its content-encoding is `{field}`");
            return Ok(None);
        }
        if is_stream {
            log::warn!(
                "an event stream with content-encoding `{field}` is refused: it could not stream"
            );
            return Err("identity");
        }
        if !self.decodes() {
            log::warn!(
                "a body with content-encoding `{field}` is refused, since it cannot be changed; \
                 `on_encoded_body = \"decode\"` would decode it, `\"pass\"` let it go on unchanged"
            );
            return Err("identity");
        }
        let known = coding::parse(field);
        if known.is_none() {
            log::warn!(
                "a body with content-encoding `{field}` is refused: what can be decoded is {}",
                coding::KNOWN
            );
        }
        known.map(Some).ok_or(coding::KNOWN)
    }
}

fn not_json(reason: String) -> String {
    format!("the body is not JSON: {reason}")
}

impl Part {
    fn does_anything(&self) -> bool {
        self.json || self.text || self.events.is_some()
    }
}

impl BodyState {
    /// Decides by the head, for the sets of rules that are for the message.
    pub(crate) fn start<'r>(
        sets: impl IntoIterator<Item = (usize, &'r BodyRules)>,
        body: Described<'_>,
        values: &Values,
    ) -> Start {
        let parts = sets.into_iter().filter_map(|(set, rules)| {
            rules.part(set, body.content_type).map(|part| (rules, part))
        });
        let mut parts: Vec<_> = parts.collect();
        let is_stream = parts.iter().any(|(_, part)| part.events.is_some());
        if is_stream {
            // It has no end that could be waited for.
            parts.iter_mut().for_each(|(_, part)| part.json = false);
            parts.retain(|(_, part)| part.does_anything());
        }
        let mut state = Self { recodes: true, ..Self::default() };
        let coding = body.content_encoding.map(str::trim).filter(|field| coding::is_coded(field));
        let declared = charset::declared(body.content_type);
        let mut limit = u64::MAX;
        for (rules, mut part) in parts {
            if let Declared::Unknown(name) = declared
                && rules.needs_charset(&part)
            {
                if rules.on_invalid_json == Policy::Reject {
                    log::warn!("a body is refused, since its charset `{name}` is not known");
                    return Start::RefuseCharset;
                }
                log::debug!("the body is left as it is: its charset `{name}` is not known");
                continue;
            }
            if let Some(field) = coding {
                match rules.take_off(field, is_stream) {
                    Ok(Some(codings)) => {
                        state.recodes &= coding::can_be_put_on(&codings);
                        state.codings = codings;
                    }
                    Ok(None) => continue,
                    Err(accepted) => return Start::Refuse(accepted),
                }
                state.recodes &= rules.on_encoded_body == EncodedPolicy::Recode;
            }
            let mut is_whole = part.json || coding.is_some();
            if let Declared::Known(known) = declared
                && !is_stream
                && rules.needs_charset(&part)
            {
                // That of UTF-8 goes on as it comes, but may tell how XML is written.
                is_whole |= known != encoding_rs::UTF_8;
                state.charset = Some(CharsetOfBody {
                    name: known.name().to_owned(),
                    content_type: charset::as_utf8(body.content_type.unwrap_or_default()),
                });
            }
            if is_whole {
                limit = limit.min(rules.limit);
            }
            part.values = values.carry(&rules.references);
            state.parts.push(part);
        }
        let mode = if limit == u64::MAX { BodyMode::Chunks } else { BodyMode::Buffered(limit) };
        if state.parts.is_empty() { Start::Pass } else { Start::Read(mode, state) }
    }

    /// Whether the body goes on without the codings that it comes with.
    pub(crate) fn loses_codings(&self) -> bool {
        !self.codings.is_empty() && !self.recodes
    }

    /// Changes a whole body, and returns its new media type if that is another.
    pub(crate) fn change_whole<'r>(
        &self,
        rules: impl Fn(usize) -> Option<&'r BodyRules>,
        body: &mut Body,
    ) -> Result<Option<Cow<'_, str>>, Refusal> {
        if body.bytes().is_empty() {
            return Ok(None);
        }
        let parts: Vec<_> =
            self.parts.iter().filter_map(|part| Some((part, rules(part.set)?))).collect();
        let mut bytes = Cow::Borrowed(body.bytes());
        if !self.codings.is_empty() {
            let limit = parts.iter().map(|(_, rules)| rules.limit).min().unwrap_or_default();
            let decoded = coding::decode(&self.codings, &bytes, limit);
            bytes = Cow::Owned(decoded.map_err(Refusal::Encoded)?);
        }
        let mut is_changed = self.loses_codings();
        let mut media_type = None;
        let mut charset = self.charset.as_ref().and_then(|it| charset::of_name(&it.name));
        for (part, rules) in parts {
            let before = charset;
            if let Some(changed) = part.change_whole(rules, &bytes, &mut charset)? {
                let new = rules.new_media_type().filter(|_| part.json).map(Cow::Borrowed);
                // Not all that was put in is in the charset that it had.
                let is_now_utf8 = before.is_some() && charset.is_none();
                let as_utf8 = self.charset.as_ref().filter(|_| is_now_utf8);
                let as_utf8 = as_utf8.map(|it| Cow::Borrowed(it.content_type.as_str()));
                media_type = new.or(as_utf8).or(media_type);
                bytes = Cow::Owned(changed);
                is_changed = true;
            }
        }
        if is_changed {
            let bytes = bytes.into_owned();
            body.set(if self.recodes { coding::encode(&self.codings, bytes) } else { bytes });
        }
        Ok(media_type)
    }

    /// Changes a piece of a body.
    pub(crate) fn change_chunk<'r>(
        &mut self,
        rules: impl Fn(usize) -> Option<&'r BodyRules>,
        chunk: &mut Chunk,
    ) -> Result<(), EventTooLarge> {
        let mut changed = None;
        for part in &mut self.parts {
            if let Some(rules) = rules(part.set) {
                let data = changed.as_deref().unwrap_or(chunk.data());
                changed = part.change_chunk(rules, data, chunk.is_last())?.or(changed);
            }
        }
        if let Some(changed) = changed {
            chunk.replace(changed);
        }
        Ok(())
    }
}

impl Part {
    /// `charset` is that of the body, and `None` once that is UTF-8.
    fn change_whole(
        &self,
        rules: &BodyRules,
        body: &[u8],
        charset: &mut Option<Charset>,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        if edit::without_bom(body).iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let values = Values::carried(&rules.references, &self.values);
        let mut changed = None;
        if self.json {
            match rules.edit(body, *charset, &values) {
                Ok(edited) => {
                    changed = edited;
                    *charset = None;
                }
                Err(reason) if rules.on_invalid_json == Policy::Reject => {
                    return Err(Refusal::Unreadable(reason));
                }
                Err(reason) => log::debug!("the body is left as it is: {reason}"),
            }
        }
        if let Some(replacer) = rules.text.as_ref().filter(|_| self.text) {
            let is_other = |known: &Charset| *known != encoding_rs::UTF_8;
            if let Some(known) = charset.filter(is_other).filter(|_| rules.needs_charset(self)) {
                return replace_decoded(rules, replacer, body, known, &values, charset);
            }
            let body = changed.as_deref().unwrap_or(body);
            changed = replacer.push(&mut Vec::new(), body, true, &values).or(changed);
        }
        Ok(changed)
    }

    fn change_chunk(
        &mut self,
        rules: &BodyRules,
        data: &[u8],
        is_last: bool,
    ) -> Result<Option<Vec<u8>>, EventTooLarge> {
        let values = Values::carried(&rules.references, &self.values);
        let mut changed = None;
        if let (Some(splitter), Some(events)) = (&mut self.events, &rules.events) {
            let passed = events.push(splitter, data, is_last, &values)?;
            changed = (passed != data).then_some(passed);
        }
        if let Some(replacer) = rules.text.as_ref().filter(|_| self.text) {
            let data = changed.as_deref().unwrap_or(data);
            changed = replacer.push(&mut self.held, data, is_last, &values).or(changed);
        }
        Ok(changed)
    }
}

/// Replaces text in a body of another charset. `charset` becomes `None` if it has to go on as UTF-8.
fn replace_decoded(
    rules: &BodyRules,
    replacer: &Replacer,
    body: &[u8],
    known: Charset,
    values: &Values,
    charset: &mut Option<Charset>,
) -> Result<Option<Vec<u8>>, Refusal> {
    // The text, what it becomes, and that in bytes.
    let has_room = memory::has_room(body.len().saturating_mul(3 * 2));
    let decoded = if has_room { charset::decode(body, known) } else { None };
    let Some(decoded) = decoded else {
        let reason = match has_room {
            true => format!("the body is not {}, as it says", known.name()),
            false => "the plugin's memory (`limits.memory`) has no room for the text".to_owned(),
        };
        if rules.on_invalid_json == Policy::Reject {
            return Err(Refusal::Unreadable(reason));
        }
        log::debug!("the body is left as it is: {reason}");
        return Ok(None);
    };
    let replaced = replacer.push(&mut Vec::new(), decoded.text.as_bytes(), true, values);
    let Some(replaced) = replaced else { return Ok(None) };
    let encoded = str::from_utf8(&replaced).ok().and_then(|text| decoded.encode(text));
    Ok(Some(encoded.unwrap_or_else(|| {
        *charset = None;
        replaced
    })))
}
