//! Translation of one stream of a provider for a client, event by event.

use super::Options;
use super::client::Client;
use super::provider::Provider;
use crate::error::Refusal;
use crate::framing::Event;
use crate::json::Raw;
use crate::protocol::Protocol;
use crate::saved::saved;
use crate::usage::{Seen, Stream};

/// Translates one stream. What it was given in pieces makes no difference to what it writes.
#[derive(Clone, Debug)]
pub struct Translator {
    usage: Stream,
    provider: Provider,
    client: Client,
    is_over: bool,
    is_broken: bool,
}
saved!(struct Translator { usage, provider, client, is_over, is_broken });

impl Translator {
    /// A stream of a provider that speaks `from`, for a client that speaks `to`. `None` if there
    /// is no translation between them.
    pub fn new(from: Protocol, to: Protocol, options: &Options) -> Option<Self> {
        Some(Self {
            usage: Stream::new(from),
            provider: Provider::new(from, &options.id)?,
            client: Client::new(to, options)?,
            is_over: false,
            is_broken: false,
        })
    }

    /// Reads an event of the provider's and appends what the client gets.
    pub fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Seen {
        let seen = self.usage.event(event);
        let Some(data) = event.data.as_deref().filter(|_| !self.is_over) else { return seen };
        let data = data.trim_ascii();
        if let Some(failure) = self.usage.failure() {
            self.client.error(&Refusal::of(failure));
            self.is_over = true;
        } else if data == b"[DONE]" {
            self.end();
        } else {
            match Raw::parse(data) {
                Ok(json) => {
                    if let Err(fault) = self.provider.event(event.name, json, &mut self.client) {
                        self.broken(&fault);
                    }
                }
                Err(_) => self.broken("The provider's stream has an event that is not JSON."),
            }
            // Bedrock has the usage behind the end, as OpenAI's protocols do; others are over.
            let is_last = match self.usage.protocol() {
                Protocol::Anthropic
                | Protocol::Ollama
                | Protocol::OpenAiResponses
                | Protocol::Cohere => seen.terminal,
                Protocol::BedrockConverse => event.name == b"metadata",
                _ => false,
            };
            if is_last {
                self.end();
            }
        }
        out.append(&mut self.client.out);
        seen
    }

    /// Writes a whole answer as a stream: the provider was asked for a stream and did not give
    /// one.
    pub fn whole(&mut self, body: &[u8], out: &mut Vec<u8>) {
        match Raw::parse(body) {
            Ok(json) => {
                self.usage.whole(json);
                match self.provider.whole(json, &mut self.client) {
                    Ok(()) => self.end(),
                    Err(fault) => self.broken(&fault),
                }
            }
            Err(_) => self.broken("The provider's answer is not JSON."),
        }
        out.append(&mut self.client.out);
    }

    /// The provider's stream ended. Without its own end the answer is not whole, and the client
    /// is told so.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.end();
        out.append(&mut self.client.out);
    }

    fn end(&mut self) {
        if self.is_over {
            return;
        }
        if !self.usage.is_complete() {
            return self.broken("The provider's stream ended before its answer did.");
        }
        self.client.end(self.usage.usage());
        match self.client.fault.take() {
            Some(fault) => self.broken(&fault),
            None => self.is_over = true,
        }
    }

    /// Writes an error in the place of the rest, for the provider's framing is broken or it took
    /// too long.
    pub fn fail(&mut self, refusal: &Refusal<'_>, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.client.error(refusal);
        }
        out.append(&mut self.client.out);
    }

    fn broken(&mut self, message: &str) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.is_broken = true;
            self.client.broken(message);
        }
    }

    /// The usage of the stream, and what else is known of it.
    pub fn usage(&self) -> &Stream {
        &self.usage
    }

    /// Whether the stream cannot be translated on, though no error came in it: the client was told so.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Whether the client has got an end or an error, so that nothing more is written.
    pub fn is_over(&self) -> bool {
        self.is_over
    }
}
