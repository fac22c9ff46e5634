//! Requests on their way to a model or another API.

use gateway_model_protocols::json::Fault;
use gateway_model_protocols::{Action, Call, Protocol};
use gateway_model_text::{self as texts, Changes, Check, Checked, Text};
use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

use crate::config::{Mode, OnFailure};
use crate::guard::{Inbound, reason};
use crate::moderation::Verdict;
use crate::outgoing::is_json;
use crate::report::{self, Direction};
use crate::{Guardrails, Passage, Scope, vault};

/// Whether a request is for another protocol, in which nothing can be read.
pub(crate) const UPGRADE: &str = "request.has-upgrade";

const UPGRADED: &str = "the request is for another protocol, such as WebSocket";

impl Guardrails {
    /// The head of a request.
    pub(crate) fn ask_for_body(&self, request: &mut Request, passage: &mut Passage) -> Outcome {
        self.warn_of_place(request);
        let has_body = request.attribute("request.has-body") == Some("true");
        let call = Call::of_path(request.path()).filter(|it| it.action != Action::Models);
        let looks_at_json =
            !self.config.json.input.is_empty() || !self.config.json.output.is_empty();
        passage.scope = match &call {
            Some(call) => {
                let index = Protocol::ALL.iter().position(|it| *it == call.protocol).unwrap_or(0);
                Scope::Call(u8::try_from(index).unwrap_or_default())
            }
            None if looks_at_json => Scope::Json,
            None => Scope::Nothing,
        };
        passage.streams = call.and_then(|call| call.stream) == Some(true);
        if self.looks_at_answers(passage.scope) {
            // Nothing is unpacked here.
            request.set_header("accept-encoding", "identity");
        }
        if request.attribute(UPGRADE) == Some("true")
            && let Some(refused) = self.unread(passage.scope, Direction::Input, 400, UPGRADED)
        {
            return refused;
        }
        if !has_body || !self.looks_at_requests() {
            return Outcome::Next;
        }
        if let Some((status, why)) = self.unreadable(request, passage.scope) {
            if let Some(refused) = self.unread(passage.scope, Direction::Input, status, why) {
                return refused;
            }
            return Outcome::Next;
        }
        if passage.scope != Scope::Json || !self.config.json.input.is_empty() {
            request.want_request_body(BodyMode::Buffered(self.config.max_body));
        }
        Outcome::Next
    }

    fn looks_at_requests(&self) -> bool {
        !self.input.set.is_empty() || self.moderates(Direction::Input)
    }

    pub(crate) fn moderates(&self, direction: Direction) -> bool {
        self.moderation.as_ref().is_some_and(|it| it.mode(direction).is_some())
    }

    /// Whether there is something to do with the answer to a request.
    fn looks_at_answers(&self, scope: Scope) -> bool {
        let has_rules = !self.output.set.is_empty()
            || self.input.has(Mode::Mask)
            || self.moderates(Direction::Output);
        match scope {
            Scope::Nothing => false,
            Scope::Call(_) => has_rules,
            Scope::Json => has_rules && !self.config.json.output.is_empty(),
        }
    }

    /// Why a body cannot be read, by its head, and the status that says so.
    fn unreadable(&self, request: &Request, scope: Scope) -> Option<(u16, &'static str)> {
        let coding = request.header("content-encoding").unwrap_or("identity");
        let kind = request.header("content-type");
        let length = request.header("content-length").and_then(|length| length.parse::<u64>().ok());
        if scope == Scope::Nothing {
            Some((400, "the request is for no API that is known here, and `json` has no pointers"))
        } else if !coding.eq_ignore_ascii_case("identity") {
            Some((415, "the request is compressed"))
        } else if kind.is_some_and(|kind| !is_json(kind)) {
            Some((415, "the request is not JSON"))
        } else if length.is_some_and(|length| length > self.config.max_body) {
            Some((413, "the request is longer than `max_body`"))
        } else {
            None
        }
    }

    /// What becomes of what cannot be read: a refusal, or `None` if it passes.
    pub(crate) fn unread(
        &self,
        scope: Scope,
        direction: Direction,
        status: u16,
        why: &str,
    ) -> Option<Outcome> {
        report::unreadable(direction, why, self.config.on_unreadable);
        if self.config.on_unreadable == OnFailure::Open {
            return None;
        }
        report::action(Mode::Block);
        let message = format!("This cannot be checked by the guard rails: {why}.");
        Some(Outcome::respond(texts::refuse(scope.protocol(), status, "unreadable", &message)))
    }

    /// The body of a request.
    pub(crate) fn check_request(&self, body: &mut Body, passage: &mut Passage) -> Outcome {
        let scope = passage.scope;
        let Ok(request) = body.text() else {
            let why = "the request is not UTF-8";
            return self.unread(scope, Direction::Input, 400, why).unwrap_or(Outcome::Next);
        };
        let mut guard = Inbound {
            rules: &self.input,
            except: &self.config.except,
            vault: &mut passage.vault,
            request: vault::Request::new(request),
            counts: Vec::new(),
            blocked: None,
        };
        let checked = self.checked(Direction::Input, body.bytes(), false, scope, &mut guard);
        let Inbound { counts, blocked, .. } = guard;
        report::matches(Direction::Input, &self.input, &counts, &mut passage.found);
        match checked {
            Ok(Checked::Same) => {
                self.moderate(Direction::Input, body, false, scope).unwrap_or(Outcome::Next)
            }
            Ok(Checked::Changed(changed)) => {
                body.set(changed);
                self.moderate(Direction::Input, body, false, scope).unwrap_or(Outcome::Next)
            }
            Ok(Checked::Stopped(_)) => {
                let detector = blocked.map_or("", |detector| &self.input.names[detector]);
                Outcome::respond(self.refusal(scope, &reason(detector)))
            }
            Err(_) => {
                let why = "the request is not well-formed JSON";
                self.unread(scope, Direction::Input, 400, why).unwrap_or(Outcome::Next)
            }
        }
    }

    /// Asks moderation about a whole body, as it was left by the detectors.
    pub(crate) fn moderate(
        &self,
        direction: Direction,
        body: &mut Body,
        is_text: bool,
        scope: Scope,
    ) -> Option<Outcome> {
        let moderation = self.moderation.as_ref().filter(|it| it.mode(direction).is_some())?;
        let mut said = Vec::new();
        let mut gather = |text: &Text<'_>, _: &mut Changes| said.push(text.text.to_owned());
        self.checked(direction, body.bytes(), is_text, scope, &mut gather).ok()?;
        match moderation.judge(direction, "", &said) {
            Verdict::Allow => None,
            Verdict::Block(reason) => Some(Outcome::respond(self.refusal(scope, &reason))),
            Verdict::Replace(texts) => {
                let mut texts = texts.into_iter();
                let mut replace = |text: &Text<'_>, changes: &mut Changes| {
                    if let Some(with) = texts.next().filter(|with| with != text.text) {
                        changes.replace(0..text.text.len(), with);
                    }
                };
                if let Ok(Checked::Changed(changed)) =
                    self.checked(direction, body.bytes(), is_text, scope, &mut replace)
                {
                    body.set(changed);
                }
                None
            }
        }
    }

    /// Checks the texts of a whole body.
    pub(crate) fn checked(
        &self,
        direction: Direction,
        body: &[u8],
        is_text: bool,
        scope: Scope,
        check: &mut impl Check,
    ) -> Result<Checked, Fault> {
        let pointers = match direction {
            Direction::Input => &self.config.json.input,
            Direction::Output => &self.config.json.output,
        };
        match scope {
            _ if is_text => texts::check_text(body, check),
            Scope::Json => texts::check_at(body, pointers, check),
            Scope::Call(_) | Scope::Nothing => texts::check(body, check),
        }
    }

    /// A refusal as it is configured, in the form of the client's API.
    pub(crate) fn refusal(&self, scope: Scope, reason: &str) -> Response {
        let refusal = &self.config.refusal;
        let message = self.message(reason);
        texts::refuse(scope.protocol(), refusal.status, &refusal.code, &message)
    }

    pub(crate) fn message(&self, reason: &str) -> String {
        self.config.refusal.message.replace("{reason}", reason)
    }

    /// Behind `models` the API is the provider's, and another attempt would not be checked again.
    fn warn_of_place(&self, request: &Request) {
        if request.attribute("model.name").is_some() && !self.has_warned.replace(true) {
            log::warn!(
                "this plugin stands behind `models` in the chain, and so sees the provider's API and only the first attempt; it has to stand before `models`"
            );
        }
    }
}
