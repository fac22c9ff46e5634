//! Reading a request once, without a tree.

use super::text::{Size, Texts};
use crate::json::{self, Raw};
use crate::protocol::{Call, Protocol};

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
    /// Chained hashes of the beginning of the input, one for each whole KiB of text: requests
    /// whose first n hashes agree begin with the same n KiB.
    pub prefix: Vec<u64>,
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
}

/// The members of one object, each of [`NAMES`] once.
struct Body<'a>([Option<Raw<'a>>; NAMES.len()]);

impl<'a> Body<'a> {
    fn of(root: Raw<'a>) -> Result<Self, Fault> {
        let mut found = [None; NAMES.len()];
        for (key, value) in root.members() {
            let Some(name) = key.str() else { continue };
            // Servers in Go take a name in any case, and the last of all.
            let is_alike = |known: &&str| known.eq_ignore_ascii_case(&name);
            let Some(at) = NAMES.iter().position(is_alike) else { continue };
            if NAMES[at] != name {
                return Err(Fault::Case(NAMES[at]));
            }
            if found[at].replace(value).is_some() {
                return Err(Fault::Twice(NAMES[at]));
            }
        }
        Ok(Self(found))
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
    let root = Raw::parse(body).map_err(Fault::Json)?;
    if !root.is_object() {
        return Err(Fault::NotAnObject);
    }
    let body = Body::of(root)?;
    let model = match &call.model {
        Some(model) => Some(model.clone().into_owned()),
        None => body.text(Member::Model)?,
    };
    let stream = match call.stream {
        Some(stream) => stream,
        None => {
            truth(body.get(Member::Stream), "stream")?.unwrap_or(call.protocol == Protocol::Ollama)
        }
    };
    let mut texts = Texts::new();
    read_texts(&body, &mut texts);
    let mut request = Request { model, stream, n: 1, ..Request::default() };
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
    request.size = texts.size;
    request.prefix = texts.prefix;
    Ok(request)
}

/// Tools and instructions come first, as in what a model gets.
fn read_texts(body: &Body<'_>, texts: &mut Texts) {
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
            texts.size.messages += 1;
            texts.walk(message, false);
        }
        // Gemini takes one content for a list of one.
        if let Some(one) = body.get(name).filter(|value| value.is_object() || value.is_string()) {
            texts.size.messages += 1;
            texts.walk(one, false);
        }
    }
    for name in [Member::Input, Member::Prompt, Member::Suffix] {
        if let Some(value) = body.get(name) {
            texts.mark(b'p');
            texts.input(value);
        }
    }
    if let Some(images) = body.get(Member::Images).filter(|value| value.is_array()) {
        texts.size.images += images.elements().count() as u64;
    }
}
