//! Keeps predictions of models, and gives them again: whole, or as the stream that they were.
//!
//! `question` says whether the answer to a request may be kept, and under which key: a digest of the request in its
//! `canonical` form and of all else that the answer depends on. `answer` judges what came: errors, answers that were cut
//! off or filtered, and broken streams are not kept. `counting` says what an answer counts that was kept. `semantic` finds
//! questions that are alike, by the text at its `place`. Bodies stay in the gateway. An instance remembers nothing about
//! requests.

mod answer;
mod canonical;
mod config;
mod counting;
mod place;
mod question;
mod semantic;

use gateway_cache_policy::RequestDirectives;
use gateway_cache_policy::status::{Forward, Report};
use gateway_model_protocols::framing::Framing;
use gateway_model_protocols::usage::Usage;
use gateway_model_protocols::{Action, Protocol};
use gateway_plugin_sdk::cache::{self, Collapsed, Entry, Serve, Store};
use gateway_plugin_sdk::prelude::*;

use answer::Reading;
use config::Settings;
pub use config::{Config, Count, SharedWith};
use counting::Kept;
use question::{CREDENTIALS, Question, SIMILARITY, VARIANTS};
pub use semantic::{EmbeddingApi, SemanticMode, SemanticSpec};
use semantic::{Found, Remembered};

/// The longest request without `Content-Length` that is read, in bytes.
const MAX_UNTOLD: u64 = 32 << 20;

/// How much of an answer without `Content-Length` is collected, in bytes: what is kept with an exchange has a bound.
const MAX_COLLECTED: usize = 512 << 10;

/// Fields of an answer that are about one request, and not kept.
const OF_ONE_REQUEST: [&str; 9] = [
    "age",
    "cache-status",
    "openai-processing-ms",
    "prediction-similarity",
    "request-id",
    "retry-after",
    "set-cookie",
    "x-request-id",
    "cf-ray",
];

/// The plugin, configured.
#[derive(Debug)]
pub struct Predictions {
    settings: Settings,
}

/// What the hooks of an exchange tell each other.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Progress(State);

#[derive(Debug, Default, Serialize, Deserialize)]
enum State {
    /// The request is none whose answer is kept.
    #[default]
    Nothing,
    /// Its answer is not kept, for this reason.
    Passes(String),
    /// Its answer is kept, if it is good.
    Asks(Box<Asked>),
}

/// A request whose answer is kept, if it is good.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    key: Vec<u8>,
    tenant: String,
    /// The name of the API, if it is one that is known.
    protocol: Option<String>,
    generates: bool,
    answers: u64,
    why: Forward,
    collapsed: bool,
    reads: Reads,
    /// What is remembered of the question, for those that are alike.
    remembered: Option<Remembered>,
    /// What is said of one that is alike.
    similar: Option<String>,
}

/// How the answer is read.
#[derive(Debug, Default, Serialize, Deserialize)]
enum Reads {
    /// Not at all, or not any more.
    #[default]
    Nothing,
    /// Whole.
    Whole,
    /// Collected to its end.
    Collected(Vec<u8>),
    /// Event by event.
    Events(Vec<u8>),
}

impl Plugin for Predictions {
    type Config = Config;
    type Context = Progress;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { settings: Settings::new(config)? })
    }

    fn interest(&self) -> Interest {
        let mut interest = Interest::on_request()
            .method()
            .path()
            .header("content-type")
            .header("content-length")
            .header("content-encoding")
            .header("cache-control")
            .header("host")
            .attribute("request.scheme")
            .attribute("request.host")
            .attribute("request.has-body")
            .attribute("route.name")
            .attribute("route.splits")
            .attribute("upstream.name")
            .attribute(VARIANTS)
            .attribute("listener.name")
            .attribute("consumer.id")
            .attribute("consumer.group")
            .and_on_response()
            .response_header("content-type")
            .response_header("content-length")
            .response_header("content-encoding");
        for name in CREDENTIALS {
            interest = interest.header(name);
        }
        for name in &self.settings.config.headers {
            interest = interest.header(name);
        }
        if self.settings.semantic.is_some() {
            interest.header(SIMILARITY)
        } else {
            interest.never_waits()
        }
    }

    fn on_request(&self, request: &mut Request, progress: &mut Progress) -> Outcome {
        let is_call = request.method() == "POST"
            && request.attribute("request.has-body") == Some("true")
            && question::call(request.path(), &self.settings).is_some();
        if !is_call {
            return Outcome::Next;
        }
        let chosen = request.attribute("upstream.name").unwrap_or_default();
        let splits = chosen.is_empty() && request.attribute("route.splits") == Some("true");
        if splits && !self.settings.config.across_variants {
            return self.passes("variant", progress);
        }
        let asks = self.directives(request);
        if asks.no_store {
            return self.passes("request-no-store", progress);
        }
        let kind = request.header("content-type").unwrap_or("application/json");
        let is_json = kind.split(';').next().unwrap_or_default().trim().ends_with("json");
        if !is_json || request.header("content-encoding").is_some() {
            return self.passes("request-not-json", progress);
        }
        let length = request.header("content-length").and_then(|text| text.parse::<u64>().ok());
        if length.is_some_and(|length| length > self.settings.config.max_request) {
            return self.passes("request-too-long", progress);
        }
        request.want_request_body(BodyMode::Buffered(
            length.map_or(MAX_UNTOLD, |length| length.max(1)),
        ));
        Outcome::Next
    }

    fn on_request_body(
        &self,
        request: &mut Request,
        body: &mut Body,
        progress: &mut Progress,
    ) -> Outcome {
        let question = match Question::new(request, body.bytes(), &self.settings) {
            Ok(question) => question,
            Err(unfit) => return self.passes(unfit.name(), progress),
        };
        let refreshes = self.directives(request).no_cache;
        let kept = cache::lookup(&question.key).into_iter().find(|entry| self.is_kept(entry));
        if let Some(entry) = kept.filter(|_| !refreshes) {
            self.give(request, &question, &entry, (false, None));
            return Outcome::Next;
        }
        let semantic = self.settings.semantic.as_ref().filter(|_| !refreshes);
        let alike = semantic.and_then(|semantic| {
            let alike = question.alike(request, body.bytes(), &self.settings, semantic)?;
            Some((semantic, alike))
        });
        if let Some((semantic, alike)) = &alike
            && let Some((entry, score)) =
                semantic.again(alike, &question.key, |entry| self.is_kept(entry))
        {
            self.give(request, &question, &entry, (false, Some(score)));
            return Outcome::Next;
        }
        let mut collapsed = false;
        if !refreshes && !self.settings.collapse_wait.is_zero() {
            let waiters = self.settings.config.collapse_waiters;
            match cache::collapse(&question.key, self.settings.collapse_wait, waiters) {
                Ok(Collapsed::Waits) => return Outcome::Next,
                Ok(Collapsed::Joins(entry)) => {
                    self.give(request, &question, &entry, (true, None));
                    return Outcome::Next;
                }
                Ok(Collapsed::Alone) => collapsed = true,
                Ok(Collapsed::Leads) | Err(_) => {}
            }
        }
        let (mut remembered, mut similar) = (None, None);
        if let Some((semantic, alike)) = alike {
            match semantic.find(alike, &question.key, |entry| self.is_kept(entry)) {
                Found::Answer(entry, score) => {
                    self.give(request, &question, &entry, (false, Some(score)));
                    return Outcome::Next;
                }
                Found::Nothing(question, said) => (remembered, similar) = (question, said),
            }
        }
        counting::result("miss");
        progress.0 = State::Asks(Box::new(Asked {
            key: question.key,
            tenant: question.tenant,
            protocol: question.protocol.map(|protocol| protocol.name().to_owned()),
            generates: question.action == Action::Generate,
            answers: question.answers,
            why: if refreshes { Forward::Request } else { Forward::UriMiss },
            collapsed,
            reads: Reads::Nothing,
            remembered,
            similar,
        }));
        Outcome::Next
    }

    fn on_response(&self, response: &mut ResponseHead, progress: &mut Progress) -> Outcome {
        match &mut progress.0 {
            State::Nothing => {}
            State::Passes(why) => {
                let report = Report { forward: Some(Forward::Bypass), ..Report::default() };
                let text = format!("{}; detail={why}", report.write(&self.settings.config.name));
                response.add_header("cache-status", text);
                progress.0 = State::Nothing;
            }
            State::Asks(asked) => {
                let detail = self.begin(response, asked);
                let report = Report {
                    forward: Some(asked.why),
                    collapsed: asked.collapsed,
                    detail,
                    ..Report::default()
                };
                response.add_header("cache-status", report.write(&self.settings.config.name));
                if let Some(similar) = asked.similar.take() {
                    response.set_header(SIMILARITY, similar);
                }
                if matches!(asked.reads, Reads::Nothing) {
                    progress.0 = State::Nothing;
                }
            }
        }
        Outcome::Next
    }

    fn on_response_body(
        &self,
        response: &mut ResponseHead,
        body: &mut Body,
        progress: &mut Progress,
    ) -> Outcome {
        let State::Asks(asked) = std::mem::take(&mut progress.0) else { return Outcome::Next };
        if let Ok(usage) = asked.judge(body.bytes()) {
            let is_stored = cache::store(&self.storing(&asked, response, usage)).is_ok();
            if is_stored {
                self.remember(&asked);
            }
        }
        Outcome::Next
    }

    fn on_response_chunk(&self, chunk: &mut Chunk, progress: &mut Progress) -> ChunkOutcome {
        let State::Asks(asked) = &mut progress.0 else { return ChunkOutcome::Next };
        match asked.chunk(chunk) {
            // What is to follow decides.
            Ok(None) => {}
            Ok(Some(usage)) => {
                let _discarded = cache::set_metadata(&Kept::now(usage).to_bytes());
                self.remember(asked);
                progress.0 = State::Nothing;
            }
            Err(_) => {
                let _discarded = cache::discard();
                progress.0 = State::Nothing;
            }
        }
        ChunkOutcome::Next
    }
}

impl Predictions {
    /// What the client says of caching, if it may.
    fn directives(&self, request: &Request) -> RequestDirectives {
        let list = self.settings.config.may_bypass.as_ref();
        let is = |name: &str, text: &String| request.attribute(name) == Some(text.as_str());
        let may = list.is_none_or(|names| {
            names.iter().any(|name| {
                !name.is_empty() && (is("consumer.id", name) || is("consumer.group", name))
            })
        });
        let said = request.header("cache-control").filter(|_| may);
        RequestDirectives::of(said, None)
    }

    fn passes(&self, why: &str, progress: &mut Progress) -> Outcome {
        counting::result("bypass");
        progress.0 = State::Passes(why.to_owned());
        Outcome::Next
    }

    /// Whether an answer may still be given: the time for which it is kept may have become shorter.
    fn is_kept(&self, entry: &Entry) -> bool {
        entry.resident < self.settings.ttl
    }

    /// Gives an answer that was kept, or that comes for another request, or that was made for a question that is alike.
    fn give(
        &self,
        request: &mut Request,
        question: &Question,
        entry: &Entry,
        (collapsed, score): (bool, Option<f64>),
    ) {
        let kept = Kept::from_bytes(&entry.metadata).unwrap_or_default();
        let (model, count) = (question.model.as_deref(), self.settings.config.count);
        let similarity = score.map(semantic::given);
        counting::given(request, &kept, model, count, similarity.as_deref());
        let left = self.settings.ttl.saturating_sub(entry.resident).as_secs();
        let ttl = Some(i64::try_from(left).unwrap_or(i64::MAX));
        let detail = score.map(|_| "similar");
        let report = Report { hit: true, ttl, collapsed, detail, ..Report::default() };
        let mut serve = Serve::new(entry.id)
            .set_header("age", entry.resident.as_secs().to_string())
            .set_header("cache-status", report.write(&self.settings.config.name));
        if let Some(similarity) = similarity {
            serve = serve.set_header(SIMILARITY, similarity);
        }
        let _gone = cache::serve(&serve);
    }

    /// Remembers the question of an answer that is kept, for those that are alike.
    fn remember(&self, asked: &Asked) {
        if let (Some(semantic), Some(question)) = (&self.settings.semantic, &asked.remembered) {
            semantic.remember(question, &asked.key, self.settings.ttl);
        }
    }

    /// Decides how the answer is read. Why it is not kept, if that is clear already.
    fn begin(&self, response: &mut ResponseHead, asked: &mut Asked) -> Option<&'static str> {
        if response.status() != 200 {
            return Some("error");
        }
        if response.header("content-encoding").is_some() {
            return Some("encoded");
        }
        let has_variant = response.attribute("route.variant").is_some_and(|name| !name.is_empty());
        if has_variant && !self.settings.config.across_variants {
            return Some("variant");
        }
        let kind = response.header("content-type").unwrap_or_default();
        let is_json = kind.split(';').next().unwrap_or_default().trim().ends_with("json");
        let length = response.header("content-length").and_then(|text| text.parse::<u64>().ok());
        let framing = Framing::of_content_type(kind);
        asked.reads = match (framing, asked.protocol()) {
            (Some(framing), Some(protocol)) => {
                Reads::Events(Reading::new(framing, protocol, asked.answers).to_bytes())
            }
            (None, _) if is_json => match length {
                Some(length) if length > self.settings.config.max_response => {
                    return Some("too-long");
                }
                Some(_) => Reads::Whole,
                None => Reads::Collected(Vec::new()),
            },
            _ => return Some("content-type"),
        };
        if matches!(asked.reads, Reads::Whole) {
            response.want_body(BodyMode::Buffered(self.settings.config.max_response));
            return None;
        }
        if cache::store(&self.storing(asked, response, None)).is_err() {
            asked.reads = Reads::Nothing;
            return Some("refused-by-store");
        }
        response.want_body(BodyMode::Chunks);
        None
    }

    /// The answer, to be stored.
    fn storing(&self, asked: &Asked, response: &ResponseHead, usage: Option<Usage>) -> Store {
        let mut partition = asked.tenant.clone();
        while partition.len() > 256 {
            partition.pop();
        }
        let mut store = Store::new(&asked.key, self.settings.ttl)
            .metadata(Kept::now(usage).to_bytes())
            .partition(partition)
            .tag(format!("tenant:{}", asked.tenant));
        for field in response.headers() {
            let name = field.name.as_str();
            let is_limit = name.contains("ratelimit") || name.contains("rate-limit");
            if is_limit || OF_ONE_REQUEST.contains(&name) {
                store = store.remove_header(name);
            }
        }
        store
    }
}

impl Asked {
    fn protocol(&self) -> Option<Protocol> {
        self.protocol.as_deref().and_then(Protocol::of_name)
    }

    fn judge(&self, body: &[u8]) -> Result<Option<Usage>, answer::Bad> {
        let action = if self.generates { Action::Generate } else { Action::Other };
        answer::judge(self.protocol(), action, body)
    }

    /// Reads a chunk. The usage of an answer that is over and good, which may have none.
    fn chunk(&mut self, chunk: &Chunk) -> Result<Option<Option<Usage>>, answer::Bad> {
        match std::mem::take(&mut self.reads) {
            Reads::Events(bytes) => {
                let mut reading = Reading::from_bytes(&bytes).ok_or(answer::Bad::Error)?;
                reading.chunk(chunk.data(), chunk.is_last())?;
                if chunk.is_last() {
                    return Ok(Some(reading.usage()));
                }
                self.reads = Reads::Events(reading.to_bytes());
                Ok(None)
            }
            Reads::Collected(mut bytes) => {
                if bytes.len() + chunk.data().len() > MAX_COLLECTED {
                    return Err(answer::Bad::Error);
                }
                bytes.extend_from_slice(chunk.data());
                if chunk.is_last() {
                    return self.judge(&bytes).map(Some);
                }
                self.reads = Reads::Collected(bytes);
                Ok(None)
            }
            Reads::Nothing | Reads::Whole => Ok(None),
        }
    }
}

register_plugin!(Predictions);
