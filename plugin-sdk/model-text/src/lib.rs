//! What people and models say through the gateway, for plugins that check or change it: the texts of requests and
//! answers of model APIs, whole or in streams, whichever API a client speaks.
//!
//! A [`Check`] sees each text, and says what is put in place of which bytes. In a stream it sees a text as far as it has
//! come, may wait for more of it, or may stop the answer. [`Conversation`] does what the hooks of a plugin have to do
//! for that; [`Stream`] and [`check`](fn@check) are the parts of it, for plugins that want something else.
//!
//! ```
//! use gateway_model_text::{Changes, Conversation, Text};
//! use gateway_plugin_sdk::prelude::*;
//! use gateway_plugin_sdk::testing::{self, Harness};
//!
//! /// Nobody hears of the project's name.
//! struct Discreet;
//!
//! fn discreet(text: &Text<'_>, changes: &mut Changes) {
//!     const NAME: &str = "Bluebird";
//!     for (at, name) in text.text.match_indices(NAME) {
//!         changes.replace(at..at + name.len(), "the project");
//!     }
//!     // The next piece may bring the rest of the name.
//!     let part = (1..NAME.len()).rev().find(|part| text.text.ends_with(&NAME[..*part]));
//!     if let Some(part) = part {
//!         changes.wait_from(text.text.len() - part);
//!     }
//! }
//!
//! impl Plugin for Discreet {
//!     type Config = NoConfig;
//!     type Context = Conversation;
//!
//!     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
//!         Ok(Self)
//!     }
//!
//!     fn interest(&self) -> Interest {
//!         Conversation::interest()
//!     }
//!
//!     fn on_request(&self, request: &mut Request, conversation: &mut Conversation) -> Outcome {
//!         conversation.on_request(request)
//!     }
//!
//!     fn on_request_body(&self, _: &mut Request, body: &mut Body, conversation: &mut Conversation) -> Outcome {
//!         conversation.on_request_body(body, &mut discreet)
//!     }
//!
//!     fn on_response(&self, response: &mut ResponseHead, conversation: &mut Conversation) -> Outcome {
//!         conversation.on_response(response)
//!     }
//!
//!     fn on_response_body(&self, _: &mut ResponseHead, body: &mut Body, conversation: &mut Conversation) -> Outcome {
//!         conversation.on_response_body(body, &mut discreet)
//!     }
//!
//!     fn on_response_chunk(&self, chunk: &mut Chunk, conversation: &mut Conversation) -> ChunkOutcome {
//!         conversation.on_response_chunk(chunk, &mut discreet)
//!     }
//! }
//!
//! let harness = Harness::<Discreet>::new(NoConfig {}).unwrap();
//! let body = r#"{"messages":[{"role":"user","content":"what is Bluebird?"}]}"#;
//! let request = testing::request().method("POST").path("/v1/chat/completions").body(body);
//! let mut exchange = harness.request(request);
//! assert!(exchange.request().text().contains("what is the project?"));
//!
//! let event = |text| format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
//! let stream = testing::response().header("content-type", "text/event-stream");
//! let answer = exchange.response(stream.chunks(["Blue", "bird is ", "secret"].map(event)));
//! assert_eq!(answer.text(), ["the project", " is ", "secret"].map(event).concat());
//! ```

mod body;
mod conversation;
mod encoded;
pub mod ending;
mod escape;
mod places;
mod stream;
mod text;

pub use body::{Checked, check, check_at, check_text};
pub use conversation::{Conversation, refuse};
pub use stream::{Stream, Unreadable};
pub use text::{Changes, Check, Kind, Text};

pub use gateway_model_protocols::{Protocol, framing};
