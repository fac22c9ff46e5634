//! The error messages for a configuration that breaks its schema.
//!
//! Owns the words, which are those that the gateway has for its own keys, and how much of a
//! schema's text may get into them. Must not judge.

use serde_json::{Map, Value};

/// Names that are listed, at most: more of them help nobody.
const MAX_NAMES: usize = 16;

/// Characters of a schema's own text in a message, at most.
const MAX_QUOTE: usize = 160;

/// Something that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugin) struct Fault {
    /// The value that it is about, as a JSON Pointer.
    pub(in crate::plugin) pointer: String,
    /// Whether it is about the key instead.
    pub(in crate::plugin) at_key: bool,
    /// One sentence without a full stop.
    pub(in crate::plugin) message: String,
    /// What the caret says.
    pub(in crate::plugin) label: Option<String>,
    /// A fact that helps to understand.
    pub(in crate::plugin) note: Option<String>,
    /// What to do about it.
    pub(in crate::plugin) help: Option<String>,
}

impl Fault {
    pub(super) fn new(pointer: String, message: String) -> Self {
        Self { pointer, at_key: false, message, label: None, note: None, help: None }
    }

    pub(super) fn at_key(self) -> Self {
        Self { at_key: true, ..self }
    }

    pub(super) fn label(self, label: impl Into<String>) -> Self {
        Self { label: Some(label.into()), ..self }
    }

    pub(super) fn note(self, note: Option<String>) -> Self {
        Self { note, ..self }
    }

    pub(super) fn help(self, help: Option<String>) -> Self {
        Self { help, ..self }
    }

    pub(super) fn did_you_mean(self, suggestion: Option<&str>) -> Self {
        self.help(suggestion.map(|it| format!("did you mean `{}`?", quote(it))))
    }
}

/// A part of a schema's text as messages may show it: short, and without control characters.
pub(super) fn quote(text: &str) -> String {
    let mut shown: String =
        text.chars().filter(|it| !it.is_control()).take(MAX_QUOTE + 1).collect();
    if shown.chars().count() > MAX_QUOTE {
        shown.pop();
        shown.push('…');
    }
    shown
}

/// The first sentence of a schema's documentation.
pub(super) fn about(schema: &Map<String, Value>) -> Option<String> {
    let text = schema.get("description")?.as_str()?;
    let text: Vec<_> = text.split("\n\n").next()?.split_whitespace().collect();
    let text = text.join(" ");
    let sentence = text.split(". ").next()?.trim_end_matches('.');
    (!sentence.is_empty()).then(|| quote(sentence))
}

/// `` `a`, `b` and `c` ``, if they are few.
pub(super) fn list(names: &[String]) -> Option<String> {
    if names.is_empty() || names.len() > MAX_NAMES {
        return None;
    }
    let names: Vec<_> = names.iter().map(|name| format!("`{}`", quote(name))).collect();
    Some(names.join(", "))
}

/// `a, b or c`
pub(super) fn one_of(mut words: Vec<String>) -> String {
    match words.pop() {
        None => "nothing".to_owned(),
        Some(last) if words.is_empty() => last,
        Some(last) => format!("{} or {last}", words.join(", ")),
    }
}

/// A type of JSON as TOML calls it, with its article.
pub(super) fn type_name(name: &str) -> &'static str {
    match name {
        "string" => "a string",
        "integer" => "an integer",
        "number" => "a number",
        "boolean" => "a boolean",
        "array" => "an array",
        "object" => "a table",
        _ => "null",
    }
}

/// What a value is, with its article.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a float",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "a table",
    }
}

/// A value of a schema, or a short one of a configuration, as TOML writes it; texts are bare.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        other => quote(&other.to_string()),
    }
}

/// A key as TOML writes it.
pub(super) fn key(name: &str) -> String {
    let is_bare = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '-';
    match !name.is_empty() && name.chars().all(is_bare) {
        true => name.to_owned(),
        false => format!("\"{}\"", quote(name)),
    }
}
