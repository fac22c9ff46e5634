//! The intermediate form of a request.
//!
//! Texts are JSON string literals, quotes and escapes included, so that they are copied and not
//! decoded; numbers are as they are written.

use std::borrow::Cow;

use crate::json::Raw;

/// A JSON string literal.
pub(super) type Text<'a> = Cow<'a, str>;

/// Why a request is not translated: which member, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The member, as a path such as `messages.2.content.0`.
    pub member: String,
    /// Why, as the end of a sentence that begins with the member.
    pub why: Cow<'static, str>,
}

impl Refused {
    pub(super) fn new(member: impl Into<String>, why: impl Into<Cow<'static, str>>) -> Self {
        Self { member: member.into(), why: why.into() }
    }

    /// The member is of no use to the other protocol, or not known here.
    pub(super) fn unknown(member: impl Into<String>) -> Self {
        Self::new(member, "cannot be translated for the provider of this model")
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.member.as_str() {
            "" => write!(f, "The request {}.", self.why),
            member => write!(f, "`{member}` {}.", self.why),
        }
    }
}

impl std::error::Error for Refused {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    User,
    Assistant,
}

/// Where the bytes of an image, a sound or a document are.
#[derive(Clone, Debug)]
pub(super) enum Data<'a> {
    /// In base64.
    Inline(Cow<'a, str>),
    Url(Cow<'a, str>),
}

#[derive(Clone, Debug)]
pub(super) struct Media<'a> {
    /// `image/png` and the like; empty if a URL is all that is known.
    pub(super) kind: Cow<'a, str>,
    pub(super) data: Data<'a>,
}

impl<'a> Media<'a> {
    /// A URL, of which one with the scheme `data` has the bytes in it.
    pub(super) fn of_url(url: Cow<'a, str>) -> Self {
        if let Some((head, data)) = url.strip_prefix("data:").and_then(|rest| rest.split_once(','))
            && let Some(kind) = head.strip_suffix(";base64")
        {
            let kind = kind.split(';').next().unwrap_or("").to_owned().into();
            return Self { kind, data: Data::Inline(data.to_owned().into()) };
        }
        Self { kind: Cow::Borrowed(""), data: Data::Url(url) }
    }

    /// The URL, with the scheme `data` for bytes.
    pub(super) fn url(&self) -> Cow<'_, str> {
        match &self.data {
            Data::Url(url) => Cow::Borrowed(url),
            Data::Inline(data) => format!("data:{};base64,{data}", self.kind).into(),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Part<'a> {
    Text(Text<'a>),
    Image(Media<'a>),
    Audio(Media<'a>),
    Document {
        media: Media<'a>,
        name: Option<Text<'a>>,
    },
    Call(Call<'a>),
    Result {
        id: String,
        content: Vec<Part<'a>>,
        is_error: bool,
    },
    Thinking {
        text: Text<'a>,
        signature: Option<Text<'a>>,
    },
    Redacted(Text<'a>),
    /// What stands before it may be kept in the provider's cache.
    CachePoint,
}

#[derive(Clone, Debug)]
pub(super) struct Call<'a> {
    pub(super) id: String,
    pub(super) name: Text<'a>,
    /// The text of an object.
    pub(super) arguments: Cow<'a, str>,
    /// What Gemini wants back with it.
    pub(super) signature: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Message<'a> {
    pub(super) role: Role,
    pub(super) parts: Vec<Part<'a>>,
}

#[derive(Clone, Debug)]
pub(super) struct Tool<'a> {
    pub(super) name: Text<'a>,
    pub(super) description: Option<Text<'a>>,
    pub(super) schema: Option<Cow<'a, str>>,
    pub(super) strict: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice<'a> {
    Auto,
    None,
    Any,
    Tool(Text<'a>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reasoning {
    Off,
    /// As much as the model thinks right.
    Adaptive,
    Effort(Effort),
    Budget(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    Minimal,
    Low,
    Medium,
    High,
    Most,
}

impl Effort {
    pub(super) fn of_name(name: &str) -> Option<Self> {
        match name {
            "minimal" => Some(Self::Minimal),
            "low" => Some(Self::Low),
            "medium" => Some(Self::Medium),
            "high" => Some(Self::High),
            "xhigh" | "max" => Some(Self::Most),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Most => "xhigh",
        }
    }
}

impl Reasoning {
    /// The tokens that an effort may take, where a provider wants a number.
    pub(super) fn budget(self) -> u64 {
        match self {
            Self::Off => 0,
            Self::Budget(tokens) => tokens,
            Self::Effort(Effort::Minimal) => 1024,
            Self::Effort(Effort::Low) => 2048,
            Self::Adaptive | Self::Effort(Effort::Medium) => 8192,
            Self::Effort(Effort::High) => 16_384,
            Self::Effort(Effort::Most) => 32_768,
        }
    }

    /// The effort that a budget amounts to, where a provider wants a word.
    pub(super) fn effort(self) -> Option<Effort> {
        match self {
            Self::Off => None,
            Self::Effort(effort) => Some(effort),
            Self::Adaptive => Some(Effort::Medium),
            Self::Budget(0..=1024) => Some(Effort::Minimal),
            Self::Budget(..=4096) => Some(Effort::Low),
            Self::Budget(..=12_288) => Some(Effort::Medium),
            Self::Budget(..=24_576) => Some(Effort::High),
            Self::Budget(_) => Some(Effort::Most),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Format<'a> {
    Json,
    Schema { name: Option<Text<'a>>, schema: Cow<'a, str>, strict: Option<bool> },
}

/// A request in no protocol.
#[derive(Clone, Debug, Default)]
pub(super) struct Request<'a> {
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) system: Vec<Part<'a>>,
    pub(super) messages: Vec<Message<'a>>,
    pub(super) tools: Vec<Tool<'a>>,
    pub(super) choice: Option<Choice<'a>>,
    pub(super) parallel: Option<bool>,
    pub(super) max_output: Option<u64>,
    /// By OpenAI's names.
    pub(super) sampling: Vec<(&'static str, Raw<'a>)>,
    pub(super) stop: Vec<Raw<'a>>,
    pub(super) reasoning: Option<Reasoning>,
    pub(super) format: Option<Format<'a>>,
    pub(super) user: Option<Raw<'a>>,
    /// Members that change nothing of the answer and have no place in the other protocol.
    pub(super) ignored: Vec<String>,
}

impl<'a> Request<'a> {
    /// Appends to the last message if it is of that role, and begins one otherwise.
    pub(super) fn push(&mut self, role: Role, parts: Vec<Part<'a>>) {
        match self.messages.last_mut() {
            Some(last) if last.role == role => last.parts.extend(parts),
            _ => self.messages.push(Message { role, parts }),
        }
    }

    pub(super) fn ignore(&mut self, member: impl Into<String>) {
        // The names are a caller's, and go to logs: not more and not longer than somebody reads.
        let mut member = member.into();
        if let Some((end, _)) = member.char_indices().nth(80) {
            member.truncate(end);
        }
        if self.ignored.len() < 40 && !self.ignored.contains(&member) {
            self.ignored.push(member);
        }
    }

    /// The calls of tools in all messages.
    pub(super) fn calls(&self) -> impl Iterator<Item = &Call<'a>> {
        self.messages.iter().flat_map(|message| &message.parts).filter_map(|part| match part {
            Part::Call(call) => Some(call),
            _ => None,
        })
    }

    /// Whether messages have calls of tools or their results.
    pub(super) fn has_tool_parts(&self) -> bool {
        let mut parts = self.messages.iter().flat_map(|message| &message.parts);
        parts.any(|part| matches!(part, Part::Call(_) | Part::Result { .. }))
    }
}

/// Whether a value says no more than its absence.
pub(super) fn is_neutral(value: Raw<'_>) -> bool {
    let text = value.text();
    let is_list = value.is_array() || value.is_object();
    matches!(text, "null" | "false" | "\"\"")
        || (is_list && text[1..text.len() - 1].trim_ascii().is_empty())
}

/// Whether a literal has nothing but white space in it.
pub(super) fn is_blank(text: &str) -> bool {
    let inner = text.trim_matches('"');
    let inner = inner.replace("\\n", "").replace("\\t", "").replace("\\r", "");
    inner.trim().is_empty()
}

/// A literal of a text.
pub(super) fn literal(text: &str) -> Text<'static> {
    let mut writer = crate::json::Writer::new();
    writer.str(text);
    Cow::Owned(writer.out)
}

/// The text of a string as a literal, or a refusal.
pub(super) fn string<'a>(value: Raw<'a>, member: &str) -> Result<Text<'a>, Refused> {
    match value.is_string() {
        true => Ok(Cow::Borrowed(value.text())),
        false => Err(Refused::new(member, "is not a string")),
    }
}

/// The string member of that name, if there is one; a member of another type is refused.
pub(super) fn text_member<'a>(
    object: Raw<'a>,
    name: &str,
    member: &str,
) -> Result<Option<Text<'a>>, Refused> {
    object.some(name).map(|value| string(value, &format!("{member}.{name}"))).transpose()
}

/// The text that a literal stands for.
pub(super) fn decoded<'t>(text: &'t str) -> Cow<'t, str> {
    Raw::parse(text.as_bytes()).ok().and_then(Raw::str).unwrap_or_default()
}

/// The text of a call's arguments: an empty text is an empty object.
pub(super) fn arguments<'a>(value: Raw<'a>, member: &str) -> Result<Cow<'a, str>, Refused> {
    if value.is_object() {
        return Ok(Cow::Borrowed(value.text()));
    }
    let text = value.str().unwrap_or_default();
    if text.trim().is_empty() {
        return Ok(Cow::Borrowed("{}"));
    }
    match Raw::parse(text.as_bytes()) {
        Ok(json) if json.is_object() => Ok(Cow::Owned(json.text().to_owned())),
        _ => Err(Refused::new(member, "is not the text of a JSON object")),
    }
}
