//! A service that judges texts: one with OpenAI's API of moderations, or a webhook.
//!
//! Owns what it is asked, how its answer is read, and what an answer that does not come is. Must not know where a text
//! goes: who asks does what the verdict says.

mod spec;

use std::time::Duration;

use gateway_plugin_sdk::ConfigError;
use gateway_plugin_sdk::{attributes, duration, http_client, log, metrics, secrets};
use serde_json::{Value, json};

use crate::config::OnFailure;
use crate::report::{self, Direction};
pub use spec::{Api, ModerationMode, ModerationSpec, StreamMode};

/// The most text that a service with OpenAI's API is sent at once, in bytes: the end of what there is.
const MOST_TEXT: usize = 128 << 10;
/// The longest reason that is repeated, in bytes.
const MOST_REASON: usize = 200;

/// The service, ready to be asked.
pub(crate) struct Moderation {
    spec: ModerationSpec,
    path: String,
    authorization: Option<String>,
    timeout: Duration,
}

/// What the service says, or what holds where it says nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allow,
    /// With what is told to people.
    Block(String),
    /// Other texts, as many.
    Replace(Vec<String>),
}

impl Moderation {
    pub(crate) fn new(spec: ModerationSpec) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        let mut wrong = |key: &str, message: String| {
            errors.push(ConfigError::at(format!("/moderation/{key}"), message));
        };
        if !http_client::is_granted(&spec.upstream) {
            let name = &spec.upstream;
            wrong(
                "upstream",
                format!(
                    "the plugin is not granted the upstream `{name}`: it needs `upstreams = [\"{name}\"]` beside `component`"
                ),
            );
        }
        let authorization = spec.secret.as_ref().and_then(|name| {
            let secret = secrets::get(name);
            if secret.is_none() {
                wrong("secret", format!("the plugin is not granted the secret `{name}`: it needs `secrets = [\"{name}\"]` beside `component`"));
            }
            secret.map(|secret| format!("Bearer {secret}"))
        });
        let timeout = duration::parse(&spec.timeout).unwrap_or_else(|why| {
            wrong("timeout", format!("no duration: {why}"));
            Duration::from_secs(2)
        });
        if timeout.is_zero() || timeout > Duration::from_secs(60) {
            wrong("timeout", "a time from 1 ms to 60 s is needed".to_owned());
        }
        if spec.input.is_none() && spec.output.is_none() {
            wrong(
                "upstream",
                "nothing is sent to it; `input` or `output` has to be `\"block\"` or `\"report\"`"
                    .to_owned(),
            );
        }
        if spec.stream == StreamMode::End && spec.output == Some(ModerationMode::Block) {
            let message = "what a stream has said cannot be called back at its end: `output = \"block\"` needs `stream = \"window\"`, and `stream = \"end\"` is for `output = \"report\"`";
            wrong("stream", message.to_owned());
        }
        if !(256..=4096).contains(&spec.window) {
            wrong("window", "a window has 256 to 4,096 bytes".to_owned());
        }
        for (category, threshold) in &spec.thresholds {
            if !(0.0..=1.0).contains(threshold) {
                wrong(
                    &format!("thresholds/{}", category.replace('~', "~0").replace('/', "~1")),
                    "a score is from 0 to 1".to_owned(),
                );
            }
        }
        if spec.api == Api::Webhook && !spec.thresholds.is_empty() {
            wrong("thresholds", "a webhook says what is done, and has no scores; thresholds are for `api = \"openai\"`".to_owned());
        }
        ConfigError::collect(errors)?;
        let path = spec.path.clone().unwrap_or_else(|| match spec.api {
            Api::Openai => "/v1/moderations".to_owned(),
            Api::Webhook => "/".to_owned(),
        });
        Ok(Self { spec, path, authorization, timeout })
    }

    /// What is done with texts of a direction, if anything.
    pub(crate) fn mode(&self, direction: Direction) -> Option<ModerationMode> {
        match direction {
            Direction::Input => self.spec.input,
            Direction::Output => self.spec.output,
        }
    }

    /// After how much text of a stream it is asked, if it is before the text is passed on.
    pub(crate) fn window(&self) -> Option<usize> {
        let is_before = self.spec.output.is_some() && self.spec.stream == StreamMode::Window;
        is_before.then_some(self.spec.window)
    }

    /// Whether it is asked at the end of a stream.
    pub(crate) fn is_at_end(&self) -> bool {
        self.spec.output.is_some() && self.spec.stream == StreamMode::End
    }

    /// What becomes of texts. `context` is what was said before them, which is not judged any more.
    pub(crate) fn judge(&self, direction: Direction, context: &str, texts: &[String]) -> Verdict {
        if texts.iter().all(|text| text.trim().is_empty()) {
            return Verdict::Allow;
        }
        let asked = match self.spec.api {
            Api::Openai => self.ask_openai(context, texts),
            Api::Webhook => self.ask_webhook(direction, context, texts),
        };
        let is_report = self.mode(direction) == Some(ModerationMode::Report);
        let (verdict, name) = match asked {
            Err(why) => {
                let passes = self.spec.on_failure == OnFailure::Open || is_report;
                let outcome = if passes { "passes unchecked" } else { "does not pass" };
                log::warn!("{}: moderation says nothing: {why}; it {outcome}", direction.name());
                attribute("failed");
                match passes {
                    true => (Verdict::Allow, "failed"),
                    false => {
                        (Verdict::Block("it cannot be checked at the moment".to_owned()), "failed")
                    }
                }
            }
            Ok(Verdict::Allow) => (Verdict::Allow, "allowed"),
            Ok(Verdict::Block(reason)) => {
                log::info!("{}: moderation: {reason}", direction.name());
                attribute(&reason);
                report::action(if is_report { crate::Mode::Report } else { crate::Mode::Block });
                match is_report {
                    true => (Verdict::Allow, "reported"),
                    false => (Verdict::Block(format!("moderation says {reason}")), "blocked"),
                }
            }
            Ok(Verdict::Replace(_)) if is_report => (Verdict::Allow, "reported"),
            Ok(Verdict::Replace(texts)) => {
                report::action(crate::Mode::Redact);
                (Verdict::Replace(texts), "replaced")
            }
        };
        let labels = [("direction", direction.name()), ("verdict", name)];
        metrics::counter_with("guardrails_moderation", &labels).increment();
        verdict
    }

    fn ask_openai(&self, context: &str, texts: &[String]) -> Result<Verdict, String> {
        let mut text = texts.join("\n\n");
        text.insert_str(0, context);
        let mut from = text.len().saturating_sub(MOST_TEXT);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        let mut body = json!({ "input": &text[from..] });
        if let (Some(model), Some(body)) = (&self.spec.model, body.as_object_mut()) {
            body.insert("model".to_owned(), model.as_str().into());
        }
        let answer = self.post(&body)?;
        let results = answer["results"].as_array().filter(|results| !results.is_empty());
        let results = results.ok_or("its answer has no `results`")?;
        let mut found: Vec<&str> = Vec::new();
        for result in results {
            found.extend(self.categories(result)?);
        }
        found.sort_unstable();
        found.dedup();
        match found.is_empty() {
            true => Ok(Verdict::Allow),
            false => Ok(Verdict::Block(found.join(", "))),
        }
    }

    /// The categories that a result is over the threshold of, or that it names where there is none.
    fn categories<'r>(&self, result: &'r Value) -> Result<Vec<&'r str>, String> {
        let named = &result["categories"];
        let scores = &result["category_scores"];
        let flagged =
            result["flagged"].as_bool().ok_or("a result of its answer has no `flagged`")?;
        let members = |object: &'r Value| object.as_object().into_iter().flatten();
        let thresholds = &self.spec.thresholds;
        let is_over = |name: &String, score: &Value| {
            let threshold = thresholds.get(name);
            threshold
                .is_some_and(|threshold| score.as_f64().is_some_and(|score| score >= *threshold))
        };
        // A category with a threshold is judged by that, whatever the service says of it.
        let is_judged =
            |name: &String| thresholds.contains_key(name) && !scores[name.as_str()].is_null();
        let is_named = |is: &Value| is.as_bool() == Some(true);
        let mut found: Vec<&str> = Vec::new();
        found.extend(
            members(scores)
                .filter(|(name, score)| is_over(name, score))
                .map(|(name, _)| name.as_str()),
        );
        found.extend(
            members(named)
                .filter(|(name, is)| is_named(is) && !is_judged(name))
                .map(|(name, _)| name.as_str()),
        );
        if flagged && !members(named).any(|(_, is)| is_named(is)) {
            found.push("flagged");
        }
        Ok(found)
    }

    fn ask_webhook(
        &self,
        direction: Direction,
        context: &str,
        texts: &[String],
    ) -> Result<Verdict, String> {
        let attribute = |name: &str| attributes::value(name);
        let body = json!({
            "direction": direction.name(),
            "context": context,
            "texts": texts,
            "request_id": attribute("request.id"),
            "consumer": attribute("consumer.id"),
            "route": attribute("route.name"),
        });
        let answer = self.post(&body)?;
        let reason = answer["reason"].as_str().unwrap_or("no");
        let reason: String =
            reason.chars().filter(|it| !it.is_control()).take(MOST_REASON).collect();
        match answer["action"].as_str() {
            Some("allow") => Ok(Verdict::Allow),
            Some("block") => Ok(Verdict::Block(reason)),
            Some("replace") => {
                let texts_of = |it: &Value| it.as_str().map(str::to_owned);
                let replaced: Option<Vec<String>> =
                    answer["texts"].as_array().and_then(|it| it.iter().map(texts_of).collect());
                let replaced = replaced.filter(|it| it.len() == texts.len());
                replaced
                    .map(Verdict::Replace)
                    .ok_or_else(|| "its `texts` are not as many as it was sent".to_owned())
            }
            _ => Err("its answer has no `action` of `allow`, `block` and `replace`".to_owned()),
        }
    }

    fn post(&self, body: &Value) -> Result<Value, String> {
        let request = http_client::post(&self.spec.upstream, &self.path).timeout(self.timeout);
        let mut request = request.json(body).map_err(|error| error.to_string())?;
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization.as_str());
        }
        let answer = request.send().map_err(|error| error.to_string())?;
        if !answer.is_success() {
            return Err(format!("it answered {}", answer.status()));
        }
        answer.json().map_err(|_| "its answer is not JSON".to_owned())
    }
}

fn attribute(value: &str) {
    if let Err(error) = attributes::set("guardrails.moderation", value) {
        log::warn!("the attribute `guardrails.moderation` is not set: {error}");
    }
}
