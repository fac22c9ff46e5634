//! Small answers that an API gives about models: their list, and counts of tokens.

use crate::date;
use crate::json::{Raw, Writer};
use crate::protocol::Protocol;

/// One model of a list.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// The name by which callers ask for it.
    pub name: &'a str,
    /// Who has it.
    pub owner: &'a str,
    /// Since when, in seconds since 1970.
    pub created: u64,
}

/// The list of models in the form of the protocol's API.
pub fn list(protocol: Protocol, models: &[Model<'_>]) -> String {
    let mut w = Writer::new();
    w.object(|w| match protocol {
        Protocol::Anthropic => {
            w.key("data").array(|w| models.iter().for_each(|model| one(w, protocol, model)));
            w.key("has_more").bool(false);
            for (key, model) in [("first_id", models.first()), ("last_id", models.last())] {
                match model {
                    Some(model) => w.key(key).str(model.name),
                    None => w.key(key).null(),
                };
            }
        }
        Protocol::Gemini | Protocol::Ollama => {
            w.key("models").array(|w| models.iter().for_each(|model| one(w, protocol, model)));
        }
        _ => {
            w.key("object").str("list");
            w.key("data").array(|w| models.iter().for_each(|model| one(w, protocol, model)));
        }
    });
    w.out
}

/// One model in the form of the protocol's API.
pub fn model(protocol: Protocol, model: &Model<'_>) -> String {
    let mut w = Writer::new();
    one(&mut w, protocol, model);
    w.out
}

fn one(w: &mut Writer, protocol: Protocol, model: &Model<'_>) {
    w.object(|w| match protocol {
        Protocol::Anthropic => {
            w.key("type").str("model").key("id").str(model.name);
            w.key("display_name").str(model.name);
            w.key("created_at").str(&date::to_rfc3339(model.created));
        }
        Protocol::Gemini => {
            w.key("name").str(&format!("models/{}", model.name));
            w.key("displayName").str(model.name);
            w.key("supportedGenerationMethods").array(|w| {
                w.str("generateContent").str("countTokens");
            });
        }
        Protocol::Ollama => {
            w.key("name").str(model.name).key("model").str(model.name);
            w.key("modified_at").str(&date::to_rfc3339(model.created)).key("size").u64(0);
            w.key("digest").str("").key("details").object(|_| {});
        }
        _ => {
            w.key("id").str(model.name).key("object").str("model");
            w.key("created").u64(model.created).key("owned_by").str(model.owner);
        }
    });
}

/// A count of input tokens in the form of the protocol's API. `None` if it has none.
pub fn count(protocol: Protocol, tokens: u64) -> Option<String> {
    let mut w = Writer::new();
    match protocol {
        Protocol::Anthropic => w.object(|w| _ = w.key("input_tokens").u64(tokens)),
        Protocol::Gemini => w.object(|w| _ = w.key("totalTokens").u64(tokens)),
        Protocol::BedrockConverse => w.object(|w| _ = w.key("inputTokens").u64(tokens)),
        Protocol::OpenAiResponses => w.object(|w| {
            w.key("object").str("response.input_tokens").key("input_tokens").u64(tokens);
        }),
        _ => return None,
    };
    Some(w.out)
}

/// The tokens that a provider counted.
pub fn counted(body: &[u8]) -> Option<u64> {
    let names = ["input_tokens", "totalTokens", "inputTokens"];
    Raw::parse(body).ok()?.fields(names).into_iter().flatten().find_map(Raw::u64)
}

#[cfg(test)]
mod tests {
    use super::{Model, count, counted, list};
    use crate::json::Raw;
    use crate::protocol::Protocol;

    #[test]
    fn lists_have_each_model_in_every_form() {
        let models = [("a", 0), ("b\"", 1_700_000_000)].map(|(name, created)| Model {
            name,
            owner: "gateway",
            created,
        });
        for protocol in Protocol::ALL {
            for models in [&models[..], &[]] {
                let text = list(protocol, models);
                let root = Raw::parse(text.as_bytes()).expect("JSON");
                let found = root.get("data").or_else(|| root.get("models")).expect("a list");
                assert_eq!(found.elements().count(), models.len());
            }
        }
        let text = list(Protocol::Anthropic, &models);
        assert!(text.contains(r#""created_at":"2023-11-14T22:13:20Z""#), "{text}");
        assert!(text.ends_with(r#""has_more":false,"first_id":"a","last_id":"b\""}"#), "{text}");
    }

    #[test]
    fn counts_are_read_as_they_are_written() {
        let all = Protocol::ALL.into_iter().filter_map(|protocol| count(protocol, 17));
        assert!(all.map(|text| counted(text.as_bytes())).all(|tokens| tokens == Some(17)));
        assert_eq!(counted(b"{\"error\":{}}"), None);
    }
}
