//! Answers for clients, written from items: streams as they come, and whole bodies.

mod anthropic;
mod gemini;
mod ollama;
mod openai;
mod responses;

use super::Options;
use super::answer::{Answer, Item, Kind, Sink};
use super::finish::{Finish, Reason};
use crate::error::{self, Class, Refusal};
use crate::protocol::Protocol;
use crate::saved::saved;
use crate::usage::Usage;

/// Writes one stream.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) to: Protocol,
    options: Options,
    is_started: bool,
    /// The block that is being written, and how many were.
    open: Kind,
    blocks: u64,
    calls: u64,
    /// Whether the call that is being written has arguments.
    has_arguments: bool,
    /// For responses, the number of the next event.
    sequence: u64,
    /// The part of the answer that is needed later: for some protocols the open block, for
    /// responses everything.
    answer: Answer,
    /// A fault of the provider that only showed when a call was put together.
    pub(super) fault: Option<String>,
    /// What was written and not taken yet.
    pub(super) out: Vec<u8>,
}

impl crate::saved::Saved for Client {
    fn save(&self, bytes: &mut Vec<u8>) {
        self.to.save(bytes);
        self.options.save(bytes);
        self.is_started.save(bytes);
        self.open.save(bytes);
        self.blocks.save(bytes);
        self.calls.save(bytes);
        self.has_arguments.save(bytes);
        self.sequence.save(bytes);
        self.answer.save(bytes);
        self.fault.save(bytes);
    }

    fn load(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self {
            to: Protocol::load(bytes)?,
            options: Options::load(bytes)?,
            is_started: bool::load(bytes)?,
            open: Kind::load(bytes)?,
            blocks: u64::load(bytes)?,
            calls: u64::load(bytes)?,
            has_arguments: bool::load(bytes)?,
            sequence: u64::load(bytes)?,
            answer: Answer::load(bytes)?,
            fault: Option::load(bytes)?,
            out: Vec::new(),
        })
    }
}

saved!(struct Options { id, model, created, include_usage, input_estimate });

impl Client {
    /// `None` for a protocol to which nothing is translated.
    pub(super) fn new(to: Protocol, options: &Options) -> Option<Self> {
        let known = [
            Protocol::OpenAiChat,
            Protocol::OpenAiResponses,
            Protocol::Anthropic,
            Protocol::Gemini,
            Protocol::Ollama,
        ];
        let new = Self {
            to,
            options: options.clone(),
            is_started: false,
            open: Kind::None,
            blocks: 0,
            calls: 0,
            has_arguments: false,
            sequence: 0,
            answer: Answer::default(),
            fault: None,
            out: Vec::new(),
        };
        known.contains(&to).then_some(new)
    }

    fn start(&mut self) {
        if !std::mem::replace(&mut self.is_started, true) {
            match self.to {
                Protocol::Anthropic => self.anthropic_start(),
                Protocol::OpenAiResponses => self.responses_start(),
                Protocol::Gemini | Protocol::Ollama => {}
                _ => self.openai_start(),
            }
        }
    }

    /// Makes a block of that kind the open one; a call is always a new one.
    fn open(&mut self, kind: Kind) {
        self.start();
        let is_new = self.open != kind || matches!(kind, Kind::Call | Kind::Redacted);
        if !is_new {
            return;
        }
        self.close();
        self.open = kind;
        self.blocks += 1;
        self.calls += u64::from(kind == Kind::Call);
        self.has_arguments = false;
        match self.to {
            Protocol::Anthropic => self.anthropic_open(kind),
            Protocol::OpenAiResponses => self.responses_open(kind),
            Protocol::Gemini | Protocol::Ollama => {}
            _ => self.openai_open(kind),
        }
    }

    fn close(&mut self) {
        let kind = std::mem::take(&mut self.open);
        if kind == Kind::None {
            return;
        }
        // No arguments are an object without members, and not an empty text.
        if kind == Kind::Call && !self.has_arguments {
            self.answer.block(Kind::Call).text.push_str("{}");
            self.piece(Kind::Call, "{}");
        }
        match self.to {
            Protocol::Anthropic => self.anthropic_close(),
            Protocol::Gemini => self.gemini_close(kind),
            Protocol::Ollama => self.ollama_close(kind),
            Protocol::OpenAiResponses => self.responses_close(kind),
            _ => self.openai_close(kind),
        }
        if self.to != Protocol::OpenAiResponses {
            self.answer.blocks.clear();
        }
    }

    /// A piece of the open block.
    fn piece(&mut self, kind: Kind, text: &str) {
        match self.to {
            Protocol::Anthropic => self.anthropic_piece(kind, text),
            Protocol::Gemini => self.gemini_piece(kind, text),
            Protocol::Ollama => self.ollama_piece(kind, text),
            Protocol::OpenAiResponses => self.responses_piece(kind, text),
            _ => self.openai_piece(kind, text),
        }
    }

    /// Whether pieces of a kind have to be kept until the block is over.
    fn keeps(&self, kind: Kind) -> bool {
        match self.to {
            Protocol::OpenAiResponses => true,
            Protocol::Gemini | Protocol::Ollama => kind == Kind::Call,
            Protocol::Anthropic => kind == Kind::Redacted,
            // For the block with the signature, which may come at the end of it.
            _ => matches!(kind, Kind::Thinking | Kind::Redacted),
        }
    }

    fn text(&mut self, kind: Kind, item: Item<'_>, text: &str) {
        self.open(kind);
        self.has_arguments |= kind == Kind::Call;
        if self.keeps(kind) {
            self.answer.item(item);
        }
        self.piece(kind, text);
    }

    /// Why the answer ended, with regard to what it has.
    fn reason(&self) -> (Reason, Option<Finish>) {
        let finish = self.answer.finish.clone();
        let reason = finish.as_ref().map_or(Reason::Stop, |it| it.with_calls(self.calls > 0));
        (reason, finish)
    }

    /// Writes the end of an answer that is whole.
    pub(super) fn end(&mut self, usage: Option<Usage>) {
        self.start();
        self.close();
        match self.to {
            Protocol::Anthropic => self.anthropic_end(usage),
            Protocol::Gemini => self.gemini_end(usage),
            Protocol::Ollama => self.ollama_end(usage),
            Protocol::OpenAiResponses => self.responses_end(usage),
            _ => self.openai_end(usage),
        }
    }

    /// Writes an error in the place of the rest of the answer.
    pub(super) fn error(&mut self, refusal: &Refusal<'_>) {
        let event = error::numbered_event(self.to, refusal, self.sequence);
        self.out.extend_from_slice(&event);
    }

    /// The error of a provider that did not keep to its protocol.
    pub(super) fn broken(&mut self, message: &str) {
        let (status, class) = (502, Class::Server);
        self.error(&Refusal { status, class, code: "", message, param: None, request_id: None });
    }

    /// The id of the answer: the provider's, or the one that was given.
    fn id(&self) -> &str {
        id(&self.answer, &self.options)
    }
}

fn id<'i>(answer: &'i Answer, options: &'i Options) -> &'i str {
    if answer.id.is_empty() { &options.id } else { &answer.id }
}

impl Sink for Client {
    fn item(&mut self, item: Item<'_>) {
        match item {
            Item::Start(id) => id.clone_into(&mut self.answer.id),
            Item::Text(text) => self.text(Kind::Text, item.clone(), text),
            Item::Thinking(text) => {
                // A signature ends its thinking: what follows is another.
                let last = self.answer.blocks.last();
                if self.open == Kind::Thinking && last.is_some_and(|it| !it.signature.is_empty()) {
                    self.close();
                }
                self.text(Kind::Thinking, item.clone(), text);
            }
            Item::Refusal(text) => self.text(Kind::Refusal, item.clone(), text),
            Item::Redacted(text) => self.text(Kind::Redacted, item.clone(), text),
            Item::Arguments(text) => {
                if self.open == Kind::Call {
                    self.has_arguments = true;
                    if self.keeps(Kind::Call) {
                        self.answer.item(item.clone());
                    }
                    self.piece(Kind::Call, text);
                }
            }
            Item::Signature(text) => {
                self.open(Kind::Thinking);
                self.answer.item(item.clone());
                if self.to == Protocol::Anthropic {
                    self.anthropic_signature(text);
                }
            }
            Item::Call { .. } => {
                self.start();
                self.close();
                self.answer.item(item);
                self.open(Kind::Call);
            }
            Item::Finish(finish) => self.answer.finish = Some(finish),
        }
    }
}

/// Writes a whole body.
pub(super) fn whole(
    to: Protocol,
    answer: &Answer,
    options: &Options,
    usage: Option<Usage>,
) -> Result<String, String> {
    let has_calls = answer.of(Kind::Call).next().is_some();
    let reason = answer.finish.as_ref().map_or(Reason::Stop, |it| it.with_calls(has_calls));
    match to {
        Protocol::Anthropic => anthropic::whole(answer, options, usage, reason),
        Protocol::Gemini => gemini::whole(answer, options, usage, reason),
        Protocol::Ollama => ollama::whole(answer, options, usage, reason),
        Protocol::OpenAiResponses => Ok(responses::whole(answer, options, usage, reason)),
        _ => Ok(openai::whole(answer, options, usage, reason)),
    }
}

/// What is said of a call whose arguments are not JSON.
fn no_object(name: &str) -> String {
    format!("The model called the tool `{name}` with arguments that are not a JSON object.")
}
