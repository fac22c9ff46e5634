//! Takes words out of what people ask of models and of what models say: `hide` puts asterisks in their place, `stop`
//! refuses the request, or ends the answer.
//!
//! `check` is the whole of it: which bytes of a text are replaced, and from where on it has to see more. Where the texts
//! of each API are, whole or in a stream, is `Conversation`'s.

use gateway_model_text::{Changes, Conversation, Text};
use gateway_plugin_sdk::prelude::*;

/// The configuration of the plugin.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Words in whose place are asterisks.
    #[serde(default)]
    pub hide: Vec<String>,
    /// Words with which nothing passes.
    #[serde(default)]
    pub stop: Vec<String>,
}

/// The plugin, configured.
#[derive(Debug)]
pub struct WordList(Config);

impl WordList {
    fn check(&self, text: &Text<'_>, changes: &mut Changes) {
        let is_letter = |letter: char| letter.is_alphanumeric();
        let mut at = 0;
        for word in text.text.split_inclusive(|letter| !is_letter(letter)) {
            let (start, letters) = (at, word.trim_end_matches(|letter| !is_letter(letter)));
            at += word.len();
            let is = |known: &String| known.eq_ignore_ascii_case(letters);
            if letters.len() == word.len() && !text.is_end && letters.len() < 64 {
                // The word may go on in the next piece.
                changes.wait_from(start);
            } else if self.0.stop.iter().any(is) {
                changes.stop("There is a word in it that is not said here.");
            } else if self.0.hide.iter().any(is) {
                changes.replace(start..start + letters.len(), "*".repeat(letters.len()));
            }
        }
    }
}

impl Plugin for WordList {
    type Config = Config;
    type Context = Conversation;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Ok(Self(config))
    }

    fn interest(&self) -> Interest {
        Conversation::interest()
    }

    fn on_request(&self, request: &mut Request, conversation: &mut Conversation) -> Outcome {
        conversation.on_request(request)
    }

    fn on_request_body(
        &self,
        _: &mut Request,
        body: &mut Body,
        conversation: &mut Conversation,
    ) -> Outcome {
        conversation
            .on_request_body(body, &mut |text: &Text<'_>, it: &mut Changes| self.check(text, it))
    }

    fn on_response(&self, response: &mut ResponseHead, conversation: &mut Conversation) -> Outcome {
        conversation.on_response(response)
    }

    fn on_response_body(
        &self,
        _: &mut ResponseHead,
        body: &mut Body,
        conversation: &mut Conversation,
    ) -> Outcome {
        conversation
            .on_response_body(body, &mut |text: &Text<'_>, it: &mut Changes| self.check(text, it))
    }

    fn on_response_chunk(
        &self,
        chunk: &mut Chunk,
        conversation: &mut Conversation,
    ) -> ChunkOutcome {
        conversation
            .on_response_chunk(chunk, &mut |text: &Text<'_>, it: &mut Changes| self.check(text, it))
    }
}

register_plugin!(WordList);

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_plugin_sdk::testing::{self, Harness};
    use serde_json::json;

    fn words() -> Harness<WordList> {
        Harness::new(json!({ "hide": ["bluebird"], "stop": ["redbird"] })).expect("it is valid")
    }

    fn chat(text: &str) -> testing::RequestBuilder {
        let body = json!({ "messages": [{ "role": "user", "content": text }] });
        testing::request().method("POST").path("/v1/chat/completions").body(body.to_string())
    }

    #[test]
    fn words_are_hidden_in_both_directions_wherever_a_stream_is_cut() {
        let words = words();
        let mut exchange = words.request(chat("what is Bluebird, and bluebirds?"));
        assert!(exchange.request().text().contains("what is ********, and bluebirds?"));
        let event = |text: &str| {
            format!(
                "data: {}\n\n",
                json!({ "choices": [{ "index": 0, "delta": { "content": text } }] })
            )
        };
        let stream = testing::response().header("content-type", "text/event-stream");
        let answer = exchange
            .response(stream.chunks(["it is blue", "bird", "s and Blue", "bird", "."].map(event)));
        let wanted = ["it is blue", "bird", "s and ********", "", "."].map(event);
        assert_eq!(answer.text(), wanted.concat());
    }

    #[test]
    fn what_is_stopped_is_refused_as_the_client_expects_it() {
        let words = words();
        let exchange = words.request(chat("what is redbird?"));
        let refused = exchange.answer().expect("an answer");
        assert_eq!(refused.status(), 400);
        assert_eq!(refused.json::<serde_json::Value>()["error"]["code"], "content_filter");
    }
}
