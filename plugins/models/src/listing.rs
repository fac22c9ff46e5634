//! The list of models, in the form of the API that asks for it.

use gateway_model_protocols::Protocol;
use gateway_plugin_sdk::prelude::Response;
use serde_json::{Value, json};

use crate::catalog::{Catalog, Model};

/// The models that this consumer may use. `anthropic` says which of two APIs with the same path it is.
pub(crate) fn list(
    catalog: &Catalog,
    protocol: Protocol,
    may_use: impl Fn(&Model) -> bool,
) -> Response {
    let models = catalog.models.iter().filter(|model| may_use(model));
    let names = models.map(|model| model.name.as_str());
    let document = match protocol {
        Protocol::Anthropic => anthropic(names),
        Protocol::Gemini => json!({ "models": names.map(gemini).collect::<Vec<_>>() }),
        Protocol::Ollama => json!({ "models": names.map(ollama).collect::<Vec<_>>() }),
        _ => json!({ "object": "list", "data": names.map(openai).collect::<Vec<_>>() }),
    };
    answer(&document)
}

/// One model.
pub(crate) fn one(model: &Model, protocol: Protocol) -> Response {
    let name = model.name.as_str();
    answer(&match protocol {
        Protocol::Anthropic => anthropic_model(name),
        Protocol::Gemini => gemini(name),
        Protocol::Ollama => ollama(name),
        _ => openai(name),
    })
}

fn answer(document: &Value) -> Response {
    Response::new(200).header("content-type", "application/json").body(document.to_string())
}

fn openai(name: &str) -> Value {
    json!({ "id": name, "object": "model", "created": 0, "owned_by": "gateway" })
}

fn anthropic_model(name: &str) -> Value {
    json!({ "type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z" })
}

fn anthropic<'a>(names: impl Iterator<Item = &'a str>) -> Value {
    let data: Vec<Value> = names.map(anthropic_model).collect();
    let end = |model: Option<&Value>| model.map_or(Value::Null, |model| model["id"].clone());
    let (first, last) = (end(data.first()), end(data.last()));
    json!({ "data": data, "has_more": false, "first_id": first, "last_id": last })
}

fn gemini(name: &str) -> Value {
    json!({
        "name": format!("models/{name}"),
        "displayName": name,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent"],
    })
}

fn ollama(name: &str) -> Value {
    json!({ "name": name, "model": name })
}
