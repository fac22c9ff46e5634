//! Changes of a request's body: only the members in question change, byte for byte the rest is
//! what the caller wrote.

use std::cell::OnceCell;
use std::ops::Range;

use super::read::{Present, Request};
use crate::json::{Fault, Raw, Writer};
use crate::protocol::Protocol;

/// Changes of one body, made together by [`Edits::apply`].
#[derive(Clone, Debug)]
pub struct Edits<'a> {
    protocol: Protocol,
    body: &'a [u8],
    /// The body's object, looked for where it is needed.
    root: OnceCell<Raw<'a>>,
    /// Where the model is, if that is known.
    model_at: Option<Range<usize>>,
    /// Which members there are, if that is known: a body may be long, and is not looked through for what it lacks.
    present: Option<Present>,
    changes: Vec<(Range<usize>, String)>,
    /// Whether ids of calls have nine letters and digits.
    pub(super) short_ids: bool,
}

impl<'a> Edits<'a> {
    /// No changes of `body`, which must be JSON.
    pub fn new(protocol: Protocol, body: &'a [u8]) -> Result<Self, Fault> {
        let root = Raw::parse(body)?;
        if !root.is_object() {
            return Err(Fault { at: 0 });
        }
        let (root, changes) = (OnceCell::from(root), Vec::new());
        let (model_at, present, short_ids) = (None, None, false);
        Ok(Self { protocol, body, root, model_at, present, changes, short_ids })
    }

    /// No changes of `body`, which was read as this request ([`request::read`](crate::request::read)). Another is changed
    /// at the wrong place.
    pub fn of_read(protocol: Protocol, body: &'a [u8], request: &Request) -> Self {
        let (model_at, present) = (request.model_at.clone(), request.present);
        let (root, changes, short_ids) = (OnceCell::new(), Vec::new(), false);
        Self { protocol, body, root, model_at, present, changes, short_ids }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Replaces the model, or adds it.
    pub fn model(&mut self, name: &str) {
        let mut json = Writer::new();
        json.str(name);
        match self.model_at.clone() {
            Some(place) => self.changes.push((place, json.out)),
            None => self.set(&["model"], &json.out),
        }
    }

    /// Gemini's requests for embeddings name the model in the body too, and the provider refuses another than that of the
    /// path. Those that name one name this.
    pub fn model_of_embeddings(&mut self, name: &str) {
        let mut json = Writer::new();
        json.str(&["models/", name].concat());
        let root = self.root();
        let requests = root.some("requests").into_iter().flat_map(Raw::elements);
        for request in std::iter::once(root).chain(requests) {
            for (_, value) in request.members().filter(|(key, _)| key.is("model")) {
                self.replace(value, json.out.clone());
            }
        }
    }

    /// Lets the output have `most` tokens at most: a larger bound is lowered, and where there is
    /// none one is set. `name` is the member to set then for servers that know only one of those
    /// of chat completions: `max_tokens` or `max_completion_tokens`.
    pub fn max_output(&mut self, most: u64, name: Option<&'static str>) {
        let paths: &[&[&str]] = match self.protocol {
            Protocol::OpenAiChat => &[&["max_completion_tokens"], &["max_tokens"]],
            Protocol::OpenAiResponses => &[&["max_output_tokens"]],
            Protocol::Gemini => &[
                &["generationConfig", "maxOutputTokens"],
                &["generationConfig", "max_output_tokens"],
                &["generation_config", "max_output_tokens"],
                &["generation_config", "maxOutputTokens"],
            ],
            Protocol::Ollama => &[&["options", "num_predict"]],
            Protocol::BedrockConverse => &[&["inferenceConfig", "maxTokens"]],
            Protocol::OpenAiEmbeddings
            | Protocol::OpenAiOther
            | Protocol::VertexEmbeddings
            | Protocol::BedrockInvoke => return,
            Protocol::OpenAiCompletions | Protocol::Anthropic | Protocol::Cohere => {
                &[&["max_tokens"]]
            }
        };
        let mut is_set = false;
        for path in paths {
            let value = self.some(path[0]);
            let value = path[1..].iter().fold(value, |value, name| value?.some(name));
            let Some(value) = value else { continue };
            is_set = true;
            let number = value.u64().or_else(|| value.escaped()?.parse().ok());
            if number.is_none_or(|number| number > most) {
                self.set(path, &most.to_string());
            }
        }
        if is_set {
            return;
        }
        let snake = self.protocol == Protocol::Gemini
            && self.some("generationConfig").is_none()
            && self.some("generation_config").is_some();
        let path = if snake { paths[2] } else { paths[0] };
        match name.filter(|_| self.protocol == Protocol::OpenAiChat) {
            Some(name) => self.set(&[name], &most.to_string()),
            None => self.set(path, &most.to_string()),
        }
    }

    /// Asks for the usage as an event of the stream, in protocols that do not give it unasked.
    pub fn include_usage(&mut self) {
        if matches!(self.protocol, Protocol::OpenAiChat | Protocol::OpenAiCompletions) {
            let options = self.some("stream_options");
            let asked = options.and_then(|options| options.get("include_usage"));
            if asked.and_then(Raw::bool) != Some(true) {
                self.set(&["stream_options", "include_usage"], "true");
            }
        }
    }

    /// Gives the member at `path` the value `json`, and adds it and the objects around it where
    /// they are missing.
    pub fn set(&mut self, path: &[&str], json: &str) {
        if self.lacks(path[0]) {
            let end = self.body.trim_ascii_end().len().saturating_sub(1);
            return self.insert(end, path[0], &nested(&path[1..], json));
        }
        let mut object = self.root();
        for (depth, name) in path.iter().enumerate() {
            let rest = &path[depth + 1..];
            let values: Vec<_> =
                object.members().filter(|(key, _)| key.is(name)).map(|(_, value)| value).collect();
            match values.last() {
                Some(value) if !rest.is_empty() && value.is_object() => object = *value,
                Some(_) => {
                    for value in values {
                        let range = value.range_in(self.body);
                        self.changes.push((range, nested(rest, json)));
                    }
                    return;
                }
                None => {
                    let end = object.range_in(self.body).end - 1;
                    return self.insert(end, name, &nested(rest, json));
                }
            }
        }
    }

    /// Adds a member to the object whose last bracket is here.
    fn insert(&mut self, end: usize, name: &str, json: &str) {
        let at = end..end;
        let is_empty = self.body[..end].trim_ascii_end().last() == Some(&b'{');
        let is_first = is_empty && self.changes.iter().all(|(range, _)| *range != at);
        let mut text = Writer::new();
        text.key(name).raw(json);
        self.changes.push((at, format!("{}{}", if is_first { "" } else { "," }, text.out)));
    }

    /// Has [`Edits::mend_history`] give calls of tools ids of nine letters and digits, as Mistral wants them. One that is such
    /// an id stays as it is.
    pub fn shorten_ids(&mut self) {
        self.short_ids = true;
    }

    /// Gives the member of one name another. Where there is one of that name too, it is left out.
    pub fn rename(&mut self, name: &str, other: &str) {
        if self.lacks(name) {
            return;
        }
        if self.root().get(other).is_some() {
            return self.remove(name);
        }
        let mut json = Writer::new();
        json.str(other);
        for (key, _) in self.root().members().filter(|(key, _)| key.is(name)) {
            self.changes.push((key.range_in(self.body), json.out.clone()));
        }
    }

    /// Takes the members of that name out of the body's object.
    pub fn remove(&mut self, name: &str) {
        if !self.lacks(name) {
            self.remove_from(self.root(), name);
        }
    }

    /// Takes the members of that name out of an object of the body.
    pub(super) fn remove_from(&mut self, object: Raw<'_>, name: &str) {
        let (mut places, mut kept) = (Vec::new(), Vec::new());
        for (key, value) in object.members() {
            places.push(key.range_in(self.body).start..value.range_in(self.body).end);
            kept.push(!key.is(name));
        }
        self.cut(&places, &kept);
    }

    /// Takes elements out of a list of the body.
    pub(super) fn remove_elements(&mut self, list: Raw<'_>, kept: &[bool]) {
        let places: Vec<_> = list.elements().map(|it| it.range_in(self.body)).collect();
        self.cut(&places, kept);
    }

    /// Replaces a value of the body.
    pub(super) fn replace(&mut self, value: Raw<'_>, json: String) {
        self.changes.push((value.range_in(self.body), json));
    }

    /// Adds a member to an object of the body that has others.
    pub(super) fn add(&mut self, object: Raw<'_>, name: &str, text: &str) {
        let at = object.range_in(self.body).end - 1;
        let mut json = Writer::new();
        json.key(name).str(text);
        self.changes.push((at..at, format!(",{}", json.out)));
    }

    fn cut(&mut self, places: &[Range<usize>], kept: &[bool]) {
        let first_kept = kept.iter().position(|kept| *kept).unwrap_or(kept.len());
        for at in (0..places.len()).filter(|at| !kept[*at]) {
            // With the comma before it; at the front, with the one behind it.
            let range = match (at.checked_sub(1), places.get(at + 1)) {
                (Some(before), _) if at > first_kept => places[before].end..places[at].end,
                (_, Some(next)) => places[at].start..next.start,
                (_, None) => places[at].clone(),
            };
            self.changes.push((range, String::new()));
        }
    }

    fn lacks(&self, name: &str) -> bool {
        self.present.is_some_and(|present| present.lacks(name))
    }

    /// The member of that name unless it is `null`.
    fn some(&self, name: &str) -> Option<Raw<'a>> {
        if self.lacks(name) { None } else { self.root().some(name) }
    }

    pub(super) fn root(&self) -> Raw<'a> {
        *self.root.get_or_init(|| Raw::unchecked(self.body).unwrap_or(Raw::of_value("{}")))
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The body with the changes.
    pub fn apply(mut self) -> Vec<u8> {
        self.changes.sort_by_key(|(range, _)| range.start);
        let added: usize = self.changes.iter().map(|(_, text)| text.len()).sum();
        let mut out = Vec::with_capacity(self.body.len() + added);
        let mut at = 0;
        for (range, text) in &self.changes {
            out.extend_from_slice(self.body.get(at..range.start).unwrap_or_default());
            out.extend_from_slice(text.as_bytes());
            at = range.end;
        }
        out.extend_from_slice(&self.body[at..]);
        out
    }
}

/// The value inside of objects with one member each.
fn nested(path: &[&str], json: &str) -> String {
    let mut out = Writer::new();
    for name in path {
        out.open('{').key(name);
    }
    out.raw(json);
    path.iter().for_each(|_| {
        out.close('}');
    });
    out.out
}
