//! Answers on their way to the client: whole, or as a stream.

use gateway_model_protocols::Protocol;
use gateway_model_text::framing::Framing;
use gateway_model_text::{Changes, Checked, Stream, Text, ending};
use gateway_plugin_sdk::prelude::*;

use crate::config::OnFailure;
use crate::guard::{Outbound, reason};
use crate::moderation::Verdict;
use crate::report::{self, Direction};
use crate::{Guardrails, Passage, Scope};

impl Guardrails {
    /// The head of an answer.
    pub(crate) fn ask_for_answer(
        &self,
        response: &mut ResponseHead,
        passage: &mut Passage,
    ) -> Outcome {
        let has_work = !self.output.set.is_empty()
            || !passage.vault.is_empty()
            || self.moderates(Direction::Output);
        if passage.scope == Scope::Nothing || !has_work {
            return Outcome::Next;
        }
        if passage.scope == Scope::Json && self.config.json.output.is_empty() {
            return Outcome::Next;
        }
        let coding = response.header("content-encoding").unwrap_or("identity");
        let kind = response.header("content-type").unwrap_or_default();
        let length = response.header("content-length").and_then(|it| it.parse::<u64>().ok());
        if length == Some(0) || matches!(response.status(), 204 | 205 | 304) {
            return Outcome::Next;
        }
        let why = if !coding.eq_ignore_ascii_case("identity") {
            "the answer is compressed, although nobody asked for that"
        } else if let Some(stream) = self.stream(kind, response.status(), passage) {
            response.want_body(BodyMode::Chunks);
            passage.stream = Some(stream);
            return Outcome::Next;
        } else if !is_json(kind) && !is_text(kind) {
            "the answer is neither JSON nor a stream that is known here"
        } else if length.is_some_and(|length| length > self.config.max_body) {
            "the answer is longer than `max_body`"
        } else {
            response.want_body(BodyMode::Buffered(self.config.max_body));
            return Outcome::Next;
        };
        self.unread(passage.scope, Direction::Output, 502, why).unwrap_or(Outcome::Next)
    }

    fn stream(&self, kind: &str, status: u16, passage: &Passage) -> Option<Stream> {
        let protocol = passage.scope.protocol()?;
        let framing = Framing::of_content_type(kind);
        let is_array =
            passage.streams && protocol == Protocol::Gemini && is_json(kind) && status < 300;
        Stream::new(protocol, framing.or(is_array.then_some(Framing::JsonArray))?)
    }

    fn outbound<'a>(&'a self, passage: &'a Passage) -> Outbound<'a> {
        Outbound {
            rules: &self.output,
            except: &self.config.except,
            vault: &passage.vault,
            message: &self.config.refusal.message,
            windows: None,
            said: String::new(),
            counts: Vec::new(),
            blocked: None,
        }
    }

    /// A whole answer.
    pub(crate) fn check_answer(
        &self,
        body: &mut Body,
        is_text: bool,
        passage: &mut Passage,
    ) -> Outcome {
        let scope = passage.scope;
        if body.bytes().is_empty() {
            return Outcome::Next;
        }
        let mut guard = self.outbound(passage);
        // What the model said is judged, before what the client said comes back into it.
        let judged = self.judge(body, is_text, scope);
        if let Some(outcome) = judged {
            return outcome;
        }
        let checked = self.checked(Direction::Output, body.bytes(), is_text, scope, &mut guard);
        let Outbound { counts, blocked, .. } = guard;
        report::matches(Direction::Output, &self.output, &counts, &mut passage.found_in_answer);
        match checked {
            Ok(Checked::Same) => Outcome::Next,
            Ok(Checked::Changed(changed)) => {
                body.set(changed);
                Outcome::Next
            }
            Ok(Checked::Stopped(message)) => {
                let answer =
                    scope.protocol().and_then(|it| ending::of_body(it, body.bytes(), &message));
                match answer {
                    Some(answer) => {
                        body.set(answer);
                        Outcome::Next
                    }
                    None => {
                        let detector = blocked.map_or("", |detector| &self.output.names[detector]);
                        Outcome::respond(self.refusal(scope, &reason(detector)))
                    }
                }
            }
            Err(_) => {
                let why = "the answer is not well-formed";
                self.unread(scope, Direction::Output, 502, why).unwrap_or(Outcome::Next)
            }
        }
    }

    /// Asks moderation about a whole answer. `None` if it may pass.
    fn judge(&self, body: &mut Body, is_text: bool, scope: Scope) -> Option<Outcome> {
        let moderation =
            self.moderation.as_ref().filter(|it| it.mode(Direction::Output).is_some())?;
        let mut said = Vec::new();
        let mut gather = |text: &Text<'_>, _: &mut Changes| said.push(text.text.to_owned());
        self.checked(Direction::Output, body.bytes(), is_text, scope, &mut gather).ok()?;
        match moderation.judge(Direction::Output, "", &said) {
            Verdict::Allow => None,
            Verdict::Block(reason) => Some(self.stopped(body, scope, &reason)),
            Verdict::Replace(texts) => {
                let mut texts = texts.into_iter();
                let mut replace = |text: &Text<'_>, changes: &mut Changes| {
                    if let Some(with) = texts.next().filter(|with| with != text.text) {
                        changes.replace(0..text.text.len(), with);
                    }
                };
                let changed =
                    self.checked(Direction::Output, body.bytes(), is_text, scope, &mut replace);
                if let Ok(Checked::Changed(changed)) = changed {
                    body.set(changed);
                }
                None
            }
        }
    }

    /// A whole answer that does not pass: the API's own for that, or a refusal.
    fn stopped(&self, body: &mut Body, scope: Scope, reason: &str) -> Outcome {
        let message = self.message(reason);
        match scope.protocol().and_then(|it| ending::of_body(it, body.bytes(), &message)) {
            Some(answer) => {
                body.set(answer);
                Outcome::Next
            }
            None => Outcome::respond(self.refusal(scope, reason)),
        }
    }

    /// A piece of a stream.
    pub(crate) fn check_chunk(&self, chunk: &mut Chunk, passage: &mut Passage) {
        let Some(mut stream) = passage.stream.take() else { return };
        let said = std::mem::take(&mut passage.said);
        let mut guard = self.outbound(passage);
        guard.windows = self.moderation.as_ref().filter(|it| it.mode(Direction::Output).is_some());
        guard.said = said;
        let mut out = Vec::with_capacity(chunk.data().len() + 64);
        let read = stream.chunk(chunk.data(), chunk.is_last(), &mut guard, &mut out);
        let Outbound { counts, said, .. } = guard;
        passage.said = said;
        report::matches(Direction::Output, &self.output, &counts, &mut passage.found_in_answer);
        if let Err(unreadable) = read {
            let why = unreadable.why.to_string();
            report::unreadable(Direction::Output, &why, self.config.on_unreadable);
            match self.config.on_unreadable {
                OnFailure::Open => stream.pass_unread(chunk.data(), unreadable, &mut out),
                OnFailure::Closed => {
                    report::action(crate::Mode::Block);
                    stream.stop(
                        format!("This cannot be checked by the guard rails: {why}."),
                        &mut out,
                    );
                }
            }
        }
        let ends = chunk.is_last() && stream.stopped().is_none();
        if let Some(moderation) = self.moderation.as_ref().filter(|it| ends && it.is_at_end()) {
            let said = std::mem::take(&mut passage.said);
            // All of it was passed on: whatever is said of it is reported.
            let _reported = moderation.judge(Direction::Output, "", &[said]);
        }
        if out != chunk.data() {
            chunk.replace(out);
        }
        passage.stream = Some(stream);
    }
}

/// Whether a content type is JSON.
pub(crate) fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

fn is_text(kind: &str) -> bool {
    kind.trim_start().get(..5).is_some_and(|start| start.eq_ignore_ascii_case("text/"))
}
