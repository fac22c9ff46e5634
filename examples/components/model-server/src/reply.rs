//! What is said, and how much it counts.
//!
//! Owns the words and their number, which stand for tokens. The APIs put them into their forms.

use serde_json::Value;

/// A response.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) reply: Reply,
}

/// A body.
pub(crate) enum Reply {
    Json(Value),
    /// Events as they are sent, one after the other.
    Events(Vec<String>),
}

/// What is answered to a prompt.
pub(crate) struct Said {
    pub(crate) words: Vec<String>,
    /// Words of the prompt.
    pub(crate) input: usize,
    /// Whether there was more to say.
    pub(crate) cut: bool,
}

/// What the name of a model asks for.
pub(crate) enum Mood {
    Well,
    Busy,
    Broken,
    /// It fails after the head of its response.
    Overloaded,
}

impl Answer {
    pub(crate) fn json(json: Value) -> Self {
        Self { status: 200, fields: Vec::new(), reply: Reply::Json(json) }
    }

    pub(crate) fn events(events: Vec<String>) -> Self {
        Self { status: 200, fields: Vec::new(), reply: Reply::Events(events) }
    }

    pub(crate) fn error(status: u16, json: Value) -> Self {
        Self { status, ..Self::json(json) }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.fields.push((name, value.to_owned()));
        self
    }
}

impl Mood {
    pub(crate) fn of(model: &str) -> Self {
        match model {
            _ if model.starts_with("busy") => Self::Busy,
            _ if model.starts_with("broken") => Self::Broken,
            _ if model.starts_with("overloaded") => Self::Overloaded,
            _ => Self::Well,
        }
    }
}

impl Said {
    /// To these texts, of which the last is answered.
    pub(crate) fn to(texts: &[String], most: Option<u64>) -> Self {
        let input = texts.iter().map(|text| text.split_whitespace().count()).sum();
        let last = texts.last().map_or("nothing", String::as_str);
        let answer = format!("I am a stand-in and no model. You said: {last}");
        let mut words: Vec<String> = answer.split_whitespace().map(str::to_owned).collect();
        let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
        let cut = words.len() > most;
        words.truncate(most);
        for word in words.iter_mut().skip(1) {
            word.insert(0, ' ');
        }
        Self { words, input, cut }
    }

    pub(crate) fn text(&self) -> String {
        self.words.concat()
    }
}

/// The texts in a content: a text, or a list of parts with `text`.
pub(crate) fn texts(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let parts = parts.iter().filter_map(|part| part["text"].as_str());
            parts.collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

/// An event without a name.
pub(crate) fn event(json: &Value) -> String {
    format!("data: {json}\n\n")
}
