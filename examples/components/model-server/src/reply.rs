//! What is said, and how much it counts.
//!
//! Owns the words and their number, which stand for tokens. The APIs put them into their forms.

use serde_json::{Map, Value};

/// A response.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) reply: Reply,
    /// It is silent in the middle of a stream.
    pub(crate) pauses: bool,
}

/// A body.
pub(crate) enum Reply {
    Json(Value),
    /// Events as they are sent, one after the other.
    Events(Vec<String>),
    /// Lines of JSON, likewise.
    Lines(Vec<String>),
    /// Frames of an event stream of AWS, likewise.
    Frames(Vec<Vec<u8>>),
    /// Speech.
    Sound(Vec<u8>),
}

/// What is answered to a prompt.
pub(crate) struct Said {
    pub(crate) words: Vec<String>,
    /// Words of the prompt.
    pub(crate) input: usize,
    /// Whether there was more to say.
    pub(crate) cut: bool,
    /// In place of words.
    pub(crate) calls: Vec<ToolCall>,
}

/// A tool that is to be called.
pub(crate) struct ToolCall {
    pub(crate) name: String,
    pub(crate) arguments: Value,
}

/// A tool that a request offers, and the JSON Schema of its arguments.
pub(crate) type Tool<'a> = (&'a Value, &'a Value);

/// What the name of a model asks for.
pub(crate) enum Mood {
    Well,
    Busy,
    Broken,
    /// It fails after the head of its response.
    Overloaded,
    /// It fails in the middle of a stream.
    Breaks,
}

impl Answer {
    pub(crate) fn of(reply: Reply) -> Self {
        Self { status: 200, fields: Vec::new(), reply, pauses: false }
    }

    pub(crate) fn json(json: Value) -> Self {
        Self::of(Reply::Json(json))
    }

    pub(crate) fn events(events: Vec<String>) -> Self {
        Self::of(Reply::Events(events))
    }

    pub(crate) fn lines(lines: Vec<String>) -> Self {
        Self::of(Reply::Lines(lines))
    }

    pub(crate) fn frames(frames: Vec<Vec<u8>>) -> Self {
        Self::of(Reply::Frames(frames))
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
    /// A stream as it is sent: in the middle of it may be an error.
    pub(crate) fn stream<T>(&self, mut pieces: Vec<T>, error: impl FnOnce() -> T) -> Vec<T> {
        if matches!(self, Self::Breaks) {
            pieces.truncate(pieces.len() / 2);
            pieces.push(error());
        }
        pieces
    }

    pub(crate) fn of(model: &str) -> Self {
        match model {
            _ if model.starts_with("busy") => Self::Busy,
            _ if model.starts_with("broken") => Self::Broken,
            _ if model.starts_with("overloaded") => Self::Overloaded,
            _ if model.starts_with("breaks") => Self::Breaks,
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
        Self { words, input, cut, calls: Vec::new() }
    }

    /// The same where tools are offered: they are called if the last text asks for it.
    pub(crate) fn with_tools(texts: &[String], most: Option<u64>, tools: &[Tool<'_>]) -> Self {
        let mut said = Self::to(texts, most);
        let Some(argument) = texts.last().and_then(|last| last.strip_prefix("call ")) else {
            return said;
        };
        said.calls = tools.iter().map(|tool| ToolCall::of(tool, argument)).collect();
        if !said.calls.is_empty() {
            said.words.truncate(said.calls.len());
            said.cut = false;
        }
        said
    }

    pub(crate) fn text(&self) -> String {
        self.words.concat()
    }
}

impl ToolCall {
    fn of((name, schema): &Tool<'_>, argument: &str) -> Self {
        let required =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let arguments: Map<String, Value> =
            required.map(|name| (name.to_owned(), argument.into())).collect();
        Self { name: name.as_str().unwrap_or_default().to_owned(), arguments: arguments.into() }
    }

    /// Its arguments as the text of JSON, in two pieces.
    pub(crate) fn pieces(&self) -> [String; 2] {
        let text = self.arguments.to_string();
        let middle = text.len() / 2;
        let middle = (middle..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        [text[..middle].to_owned(), text[middle..].to_owned()]
    }
}

/// The members of a list, which may be missing.
pub(crate) fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// The texts in a content: a text, or a list of parts with `text`, or with the `content` that a tool gave.
pub(crate) fn texts(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let parts = parts.iter().map(|part| match part["text"].as_str() {
                Some(text) => text.to_owned(),
                None => texts(&part["content"]),
            });
            parts.collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

/// An event without a name.
pub(crate) fn event(json: &Value) -> String {
    format!("data: {json}\n\n")
}
