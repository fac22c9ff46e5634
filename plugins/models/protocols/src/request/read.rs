//! Reading a request once, without a tree.

use std::ops::Range;

use super::count::{self, Count};
use super::prefix::Texts;
use super::text::Size;
use crate::json::{self, Raw, space};
use crate::protocol::{Action, Call, Protocol};

/// What policy needs of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The model, from the body or the path.
    pub model: Option<String>,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// Whether the usage is asked for as an event of the stream.
    pub include_usage: bool,
    /// How many answers are asked for, with those of `best_of` and of several prompts.
    pub n: u64,
    /// The bound of the output's tokens, as the caller wrote it.
    pub max_output: Option<u64>,
    /// Whether tools are offered.
    pub has_tools: bool,
    /// Who the caller's user is, as the caller says.
    pub user: Option<String>,
    /// What requests of one conversation have in common: a cache key, a conversation, an earlier
    /// response.
    pub session: Option<String>,
    /// The class of service that is asked for.
    pub service_tier: Option<String>,
    /// How large the input is.
    pub size: Size,
    /// Where the value of the member `model` lies in the body, if it has one.
    pub model_at: Option<Range<usize>>,
    /// Which members the body has, if it is JSON that was read.
    pub present: Option<Present>,
}

impl Request {
    /// The tokens of all answers at most, if the model may write `default` where the caller set
    /// no bound.
    pub fn output_bound(&self, default: u64) -> u64 {
        self.max_output.unwrap_or(default).saturating_mul(self.n.max(1))
    }
}

/// Why a request cannot be read. Each would let a provider read something else than the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not JSON.
    Json(json::Fault),
    /// It is JSON but not an object.
    NotAnObject,
    /// It is a form that cannot be read; the text says why.
    Form(&'static str),
    /// A member is there twice.
    Twice(&'static str),
    /// A member has this name but for the case of its letters.
    Case(&'static str),
    /// A member is not of its type; the second text says which.
    WrongType(&'static str, &'static str),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Json(fault) => write!(f, "the body is {fault}"),
            Self::NotAnObject => f.write_str("the body is not a JSON object"),
            Self::Form(why) => write!(f, "the form {why}"),
            Self::Twice(name) => write!(f, "the member `{name}` is there twice"),
            Self::Case(name) => {
                write!(f, "a member has the name `{name}` but for the case of its letters")
            }
            Self::WrongType(name, kind) => write!(f, "the member `{name}` is not {kind}"),
        }
    }
}

impl std::error::Error for Fault {}

/// Makes [`Member`] and [`NAMES`], in one order.
macro_rules! members {
    ($($member:ident = $name:literal,)+) => {
        /// A member of a request that matters here, in each of its spellings.
        #[derive(Clone, Copy)]
        enum Member {
            $($member,)+
        }

        impl Member {
            /// In the order of their names.
            const ALL: [Self; NAMES.len()] = [$(Self::$member),+];
        }

        /// Their names.
        const NAMES: [&str; [$($name),+].len()] = [$($name),+];
    };
}

members! {
    Model = "model",
    Stream = "stream",
    StreamOptions = "stream_options",
    N = "n",
    BestOf = "best_of",
    MaxCompletionTokens = "max_completion_tokens",
    MaxTokens = "max_tokens",
    MaxOutputTokens = "max_output_tokens",
    Messages = "messages",
    System = "system",
    Tools = "tools",
    Functions = "functions",
    Contents = "contents",
    Input = "input",
    Instructions = "instructions",
    Prompt = "prompt",
    Suffix = "suffix",
    GenerationConfig = "generationConfig",
    GenerationConfigSnake = "generation_config",
    SystemInstruction = "systemInstruction",
    SystemInstructionSnake = "system_instruction",
    Options = "options",
    InferenceConfig = "inferenceConfig",
    ToolConfig = "toolConfig",
    User = "user",
    SafetyIdentifier = "safety_identifier",
    Metadata = "metadata",
    PromptCacheKey = "prompt_cache_key",
    SessionId = "session_id",
    Conversation = "conversation",
    PreviousResponseId = "previous_response_id",
    CachedContent = "cachedContent",
    CachedContentSnake = "cached_content",
    ServiceTier = "service_tier",
    Images = "images",
    ResponseFormat = "response_format",
    Template = "template",
    Texts = "texts",
    Inputs = "inputs",
    Query = "query",
    Documents = "documents",
    Content = "content",
    Requests = "requests",
}

/// Which of the members that matter a body has, `null` too. Who changes it need not look for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Present(u64);

impl Present {
    /// Whether it is known that there is no member of this name.
    pub(super) fn lacks(self, name: &str) -> bool {
        let place = Member::place(name).filter(|place| NAMES[*place] == name);
        place.is_some_and(|place| self.0 & 1 << place == 0)
    }
}

/// The longest of them.
const LONGEST: usize = 21;

/// The places in [`NAMES`] of those of each length, one behind the other, and where those of a length begin.
const BY_LENGTH: ([u8; NAMES.len()], [u8; LONGEST + 2]) = {
    let (mut places, mut starts, mut count, mut length) =
        ([0; NAMES.len()], [0; LONGEST + 2], 0, 0);
    while length <= LONGEST {
        starts[length] = count as u8;
        let mut at = 0;
        while at < NAMES.len() {
            if NAMES[at].len() == length {
                places[count] = at as u8;
                count += 1;
            }
            at += 1;
        }
        length += 1;
    }
    starts[length] = count as u8;
    assert!(count == NAMES.len());
    (places, starts)
};

impl Member {
    /// The place of a name in [`NAMES`], if it is one of them but for the case of its letters.
    fn place(name: &str) -> Option<usize> {
        let (places, starts) = &BY_LENGTH;
        let ends = starts.get(name.len()..)?.first_chunk::<2>()?;
        let alike = &places[usize::from(ends[0])..usize::from(ends[1])];
        let alike = alike.iter().map(|place| usize::from(*place));
        alike.into_iter().find(|place| NAMES[*place].eq_ignore_ascii_case(name))
    }
}

/// The members of one object, each of [`NAMES`] once.
struct Body<'a>([Option<Raw<'a>>; NAMES.len()]);

impl<'a> Body<'a> {
    /// The members of the object that is the whole of a text, and how large their texts are.
    fn read(text: &'a str) -> Result<(Self, Size), Fault> {
        let bytes = text.as_bytes();
        let start = space(bytes, 0);
        if bytes.get(start) != Some(&b'{') {
            let is_json = Raw::parse(bytes).map_err(Fault::Json);
            return Err(is_json.err().unwrap_or(Fault::NotAnObject));
        }
        let (mut found, mut count, mut fault) = ([None; NAMES.len()], Count::new(text), None);
        let end = count::members(text, start, json::DEPTH, |name, at, depth| {
            let decoded = Raw::of_name(name);
            let Some(place) = Member::place(&decoded) else { return count.skip(at, depth) };
            let end = match Member::ALL[place] {
                _ if bytes.get(at) == Some(&b'n') => count.skip(at, depth),
                Member::Tools | Member::Functions | Member::ToolConfig | Member::ResponseFormat => {
                    count.texts(at, depth, true)
                }
                Member::System
                | Member::Instructions
                | Member::SystemInstruction
                | Member::SystemInstructionSnake
                | Member::Template => count.texts(at, depth, false),
                Member::Messages | Member::Contents => count.messages(at, depth),
                Member::Input | Member::Prompt | Member::Suffix => count.input(at, depth),
                Member::Texts
                | Member::Inputs
                | Member::Query
                | Member::Documents
                | Member::Content => count.texts(at, depth, false),
                Member::Requests => count.requests(at, depth),
                Member::Images => count.images(at, depth),
                _ => count.skip(at, depth),
            }?;
            // Servers in Go take a name in any case, and the last of all.
            if NAMES[place] != decoded {
                fault.get_or_insert(Fault::Case(NAMES[place]));
            } else if found[place].replace(count.raw(at, end)).is_some() {
                fault.get_or_insert(Fault::Twice(NAMES[place]));
            }
            Ok(end)
        });
        let end = space(bytes, end.map_err(|at| Fault::Json(json::Fault { at }))?);
        if end != bytes.len() {
            return Err(Fault::Json(json::Fault { at: end }));
        }
        fault.map_or(Ok((Self(found), count.size)), Err)
    }

    /// The members of an object that was read.
    fn of(root: Raw<'a>) -> Self {
        let mut found = [None; NAMES.len()];
        for (key, value) in root.members() {
            if let Some(place) = Member::place(&key.str().unwrap_or_default()) {
                found[place] = Some(value);
            }
        }
        Self(found)
    }

    fn present(&self) -> Present {
        const { assert!(NAMES.len() <= 64) };
        let bits = self.0.iter().enumerate().map(|(at, found)| u64::from(found.is_some()) << at);
        Present(bits.sum())
    }

    fn get(&self, member: Member) -> Option<Raw<'a>> {
        self.0[member as usize].filter(|value| !value.is_null())
    }

    fn text(&self, member: Member) -> Result<Option<String>, Fault> {
        let Some(value) = self.get(member) else { return Ok(None) };
        let text = value.str().ok_or(Fault::WrongType(NAMES[member as usize], "a string"))?;
        Ok(Some(text.into_owned()))
    }

    fn number(&self, member: Member) -> Result<Option<u64>, Fault> {
        number(self.get(member), NAMES[member as usize])
    }
}

/// A whole number that is not negative; a negative one is no bound.
fn number(value: Option<Raw<'_>>, name: &'static str) -> Result<Option<u64>, Fault> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    // The JSON form of protobuf has numbers as strings, too.
    let text = value.escaped().unwrap_or(value.text());
    match value.u64().or_else(|| text.parse().ok()) {
        Some(number) => Ok(Some(number)),
        None if value.i64().is_some() => Ok(None),
        None => Err(Fault::WrongType(name, "a whole number")),
    }
}

fn truth(value: Option<Raw<'_>>, name: &'static str) -> Result<Option<bool>, Fault> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    value.bool().map(Some).ok_or(Fault::WrongType(name, "true or false"))
}

/// The member of an object that may have one of two spellings, but not both.
fn either<'a>(
    object: Option<Raw<'a>>,
    name: &'static str,
    other: &str,
) -> Result<Option<Raw<'a>>, Fault> {
    let Some(object) = object else { return Ok(None) };
    let is_it = |key: Raw<'_>| {
        let key = key.str().unwrap_or_default();
        key.eq_ignore_ascii_case(name) || key.eq_ignore_ascii_case(other)
    };
    let mut found = object.members().filter(|(key, _)| is_it(*key));
    let value = found.next().map(|(_, value)| value);
    match found.next() {
        Some(_) => Err(Fault::Twice(name)),
        None => Ok(value.filter(|value| !value.is_null())),
    }
}

/// Reads a request. `call` is what its path said.
pub fn read(call: &Call<'_>, body: &[u8]) -> Result<Request, Fault> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Fault::Json(json::Fault { at: error.valid_up_to() }))?;
    let (body, size) = Body::read(text)?;
    let model = match &call.model {
        Some(model) => Some(model.clone().into_owned()),
        None => body.text(Member::Model)?,
    };
    let stream = match call.stream {
        Some(stream) => stream,
        None => {
            let usual = call.protocol == Protocol::Ollama && call.action == Action::Generate;
            truth(body.get(Member::Stream), "stream")?.unwrap_or(usual)
        }
    };
    let mut request = Request { model, stream, n: 1, size, ..Request::default() };
    request.present = Some(body.present());
    request.model_at = body.get(Member::Model).map(|value| value.range_in(text.as_bytes()));
    request.max_output = match call.protocol {
        Protocol::Gemini => {
            let config =
                match (body.get(Member::GenerationConfig), body.get(Member::GenerationConfigSnake))
                {
                    (Some(_), Some(_)) => return Err(Fault::Twice("generationConfig")),
                    (one, other) => one.or(other),
                };
            let name = "candidateCount";
            request.n = number(either(config, name, "candidate_count")?, name)?.unwrap_or(1);
            let name = "maxOutputTokens";
            number(either(config, name, "max_output_tokens")?, name)?
        }
        Protocol::BedrockConverse => number(
            either(body.get(Member::InferenceConfig), "maxTokens", "maxTokens")?,
            "maxTokens",
        )?,
        Protocol::Ollama => {
            number(either(body.get(Member::Options), "num_predict", "num_predict")?, "num_predict")?
        }
        Protocol::OpenAiResponses => body.number(Member::MaxOutputTokens)?,
        Protocol::OpenAiChat => {
            let newer = body.number(Member::MaxCompletionTokens)?;
            let older = body.number(Member::MaxTokens)?;
            // Servers differ in which they take if both are there; the larger bounds both.
            newer.max(older)
        }
        _ => body.number(Member::MaxTokens)?,
    };
    if call.protocol.is_openai() {
        let best = body.number(Member::BestOf)?.unwrap_or(1);
        request.n = body.number(Member::N)?.unwrap_or(1).max(best);
    }
    if call.protocol == Protocol::OpenAiCompletions {
        // Each prompt of a list is answered; a list of numbers is one prompt.
        let prompts = body.get(Member::Prompt).into_iter().flat_map(Raw::elements);
        let count = prompts.filter(|it| it.is_string() || it.is_array()).count().max(1);
        request.n = request.n.saturating_mul(count as u64);
    }
    let usage = body.get(Member::StreamOptions).and_then(|options| options.get("include_usage"));
    request.include_usage = truth(usage, "stream_options.include_usage")?.unwrap_or(false);
    let tools = body.get(Member::Tools).or_else(|| body.get(Member::Functions));
    let tools = tools.or_else(|| body.get(Member::ToolConfig)?.some("tools"));
    request.has_tools = tools.is_some_and(|tools| tools.elements().next().is_some());
    let metadata_user = body.get(Member::Metadata).and_then(|metadata| metadata.text_of("user_id"));
    request.user = match body.text(Member::SafetyIdentifier)? {
        Some(user) => Some(user),
        None => body.text(Member::User)?.or(metadata_user.map(|user| user.into_owned())),
    };
    let names = [
        Member::PromptCacheKey,
        Member::SessionId,
        Member::Conversation,
        Member::PreviousResponseId,
        Member::CachedContent,
        Member::CachedContentSnake,
    ];
    request.session = names.into_iter().find_map(|name| {
        let value = body.get(name)?;
        Some(value.str().or_else(|| value.text_of("id"))?.into_owned())
    });
    request.service_tier = body.text(Member::ServiceTier)?;
    Ok(request)
}

/// Chained hashes of the beginning of the input of a request that was read, one for each whole KiB of text: requests
/// whose first n hashes agree begin with the same n KiB. Tools and instructions come first, as in what a model gets.
pub fn prefix(body: &[u8]) -> Vec<u64> {
    let mut texts = Texts::new();
    let Some(root) = Raw::unchecked(body) else { return Vec::new() };
    let body = Body::of(root);
    for name in [Member::Tools, Member::Functions, Member::ToolConfig, Member::ResponseFormat] {
        if let Some(value) = body.get(name) {
            texts.mark(b't');
            texts.walk(value, true);
        }
    }
    for name in [
        Member::System,
        Member::Instructions,
        Member::SystemInstruction,
        Member::SystemInstructionSnake,
        Member::Template,
    ] {
        if let Some(value) = body.get(name) {
            texts.mark(b's');
            texts.walk(value, false);
        }
    }
    for name in [Member::Messages, Member::Contents] {
        for message in body.get(name).into_iter().flat_map(Raw::elements) {
            let role = message.get("role").and_then(Raw::escaped);
            texts.mark(role.and_then(|role| role.bytes().next()).unwrap_or(b'm'));
            texts.walk(message, false);
        }
        // Gemini takes one content for a list of one.
        if let Some(one) = body.get(name).filter(|value| value.is_object() || value.is_string()) {
            texts.walk(one, false);
        }
    }
    for name in [Member::Input, Member::Prompt, Member::Suffix] {
        if let Some(value) = body.get(name) {
            texts.mark(b'p');
            texts.input(value);
        }
    }
    texts.prefix
}
