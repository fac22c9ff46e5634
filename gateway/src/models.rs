//! What plugins with the component `models` offer, read from their configuration: for those who run the gateway.
//!
//! Owns the form in which models and deployments are shown, on the command line and by the admin API. What is not about
//! them (fields, paths, keys of clients) is left out, and no secret is read. Nothing on the path of a request is here.

use serde_json::{Map, Value, json};

use crate::config::{Component, Config, Plugin, PluginId};

/// The component that this is about.
const COMPONENT: &str = "models";

/// The plugins of a configuration that offer models, each with its routes, models and deployments.
#[must_use]
pub fn offered(config: &Config) -> Vec<Value> {
    plugins(config).map(|(id, plugin)| show(config, id, plugin)).collect()
}

/// Those plugins.
pub(crate) fn plugins(config: &Config) -> impl Iterator<Item = (PluginId, &Plugin)> {
    let all = config.plugins.iter().enumerate();
    let is_it = |plugin: &Plugin| matches!(&plugin.component, Component::BuiltIn(name) if name == COMPONENT);
    all.filter(move |(_, plugin)| is_it(plugin)).map(|(index, plugin)| (PluginId(index), plugin))
}

fn show(config: &Config, id: PluginId, plugin: &Plugin) -> Value {
    let routes = config.routes.iter().filter(|route| route.plugins.contains(&id));
    let routes: Vec<_> = routes.map(|route| route.name.as_str()).collect();
    let own: Value = serde_json::from_str(&plugin.config).unwrap_or_default();
    let defaults = &own["defaults"];
    let each = |table: &str, show: fn(&str, &Value, &Value) -> Value| -> Vec<Value> {
        let members = own[table].as_object().into_iter().flatten();
        members.map(|(name, member)| show(name, member, defaults)).collect()
    };
    let mut models = each("models", model);
    for model in &mut models {
        model["groups"] = groups_of(&own, model);
    }
    json!({
        "plugin": plugin.name,
        "routes": routes,
        "groups": each("groups", group),
        "models": models,
        "deployments": each("deployments", deployment),
    })
}

fn model(name: &str, model: &Value, defaults: &Value) -> Value {
    let shares = model["deployments"].as_array().into_iter().flatten();
    let shares = shares.map(|share| {
        let number = |key: &str, usual: u64| share[key].as_u64().unwrap_or(usual);
        json!({
            "name": share["name"],
            "weight": number("weight", 1),
            "priority": number("priority", 0),
        })
    });
    json!({
        "name": name,
        "aliases": model.get("aliases").cloned().unwrap_or_else(|| json!([])),
        "consumers": model["consumers"],
        "max_input_tokens": or_usual(model, defaults, "max_input_tokens"),
        "max_output_tokens": or_usual(model, defaults, "max_output_tokens"),
        "affinity": or_usual(model, defaults, "affinity"),
        "deployments": shares.collect::<Vec<_>>(),
    })
}

fn group(name: &str, group: &Value, _: &Value) -> Value {
    json!({
        "name": name,
        "models": group["models"],
        "consumers": group["consumers"],
        "attributes": group.get("attributes").cloned().unwrap_or_else(|| json!({})),
    })
}

/// The names of the groups that a model is in.
fn groups_of(own: &Value, model: &Value) -> Value {
    let name = model["name"].as_str().unwrap_or_default();
    let is_it = |entry: &Value| match entry.as_str().unwrap_or_default().strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => entry == name,
    };
    let groups = own["groups"].as_object().into_iter().flatten();
    let has_it =
        |group: &Value| group["models"].as_array().is_some_and(|list| list.iter().any(is_it));
    groups.filter(|(_, group)| has_it(group)).map(|(name, _)| json!(name)).collect()
}

/// A key of a model or deployment, or what holds for all that do not have it.
fn or_usual<'a>(one: &'a Value, defaults: &'a Value, key: &str) -> &'a Value {
    one.get(key).unwrap_or(&defaults[key])
}

fn deployment(name: &str, deployment: &Value, defaults: &Value) -> Value {
    let mut shown = Map::from_iter([("name".to_owned(), json!(name))]);
    for key in ["upstream", "provider", "model", "price", "price_name"] {
        shown.insert(key.to_owned(), deployment[key].clone());
    }
    shown.insert("limits".to_owned(), or_usual(deployment, defaults, "limits").clone());
    let concurrency = or_usual(deployment, defaults, "concurrency");
    let concurrency = match concurrency.is_object() {
        true => json!({
            "limit": concurrency["limit"],
            "queue": concurrency["queue"].as_u64().unwrap_or(0),
        }),
        false => Value::Null,
    };
    shown.insert("concurrency".to_owned(), concurrency);
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Known, Source, read};

    #[test]
    fn models_and_deployments_are_shown_without_secrets() {
        let text = r#"
            [[listeners]]
            name = "l"
            address = "127.0.0.1:0"
            [upstreams.gpu]
            targets = ["http://127.0.0.1:1"]
            [plugins.ai]
            component = "models"
            forward_to = ["gpu"]
            [plugins.ai.config.deployments.own]
            upstream = "gpu"
            provider = "openai"
            headers = { x-key = "hunter2" }
            concurrency = { limit = 8 }
            [plugins.ai.config.models.chat]
            aliases = ["gpt"]
            deployments = [{ name = "own", weight = 3 }]
            [plugins.ai.config.groups.small]
            models = ["cha*"]
            consumers = ["team-a"]
            [plugins.ai.config.groups.other]
            models = ["chats"]
            [[routes]]
            name = "r"
            paths = ["/"]
            plugins = ["ai"]
            upstream = "gpu"
        "#;
        let known = Known { built_in: &["models"] };
        let config = read(Source::new("test.toml", text), &|_| None, &known).unwrap().config;
        let offered = offered(&config);
        assert_eq!(offered[0]["plugin"], "ai");
        assert_eq!(offered[0]["routes"], json!(["r"]));
        let chat = &offered[0]["models"][0];
        assert_eq!(chat["aliases"], json!(["gpt"]));
        assert_eq!(chat["deployments"], json!([{ "name": "own", "weight": 3, "priority": 0 }]));
        assert_eq!(chat["groups"], json!(["small"]));
        let small = &offered[0]["groups"][1];
        assert_eq!((&small["name"], &small["consumers"]), (&json!("small"), &json!(["team-a"])));
        let own = &offered[0]["deployments"][0];
        assert_eq!(own["concurrency"], json!({ "limit": 8, "queue": 0 }));
        assert!(!offered[0].to_string().contains("hunter2"));
    }
}
