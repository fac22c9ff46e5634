//! The JSON Schema of the configuration file with those of plugins in it, for editors.
//!
//! Owns where they stand. Two readers are served: a validator follows `if` and `then` by
//! `component`, and so it says exactly what is wrong; taplo, which completes TOML in most editors,
//! follows `properties`, `anyOf` and `$ref` but no `if`, and so each `config` also has an `anyOf`
//! that forbids nothing. A plugin that the file names is offered the keys of its own component
//! alone.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::inspect::inspect;
use crate::config::{self, Component};
use crate::first_party;
use crate::plugin::schema::embedded;

/// A component whose schema is not in the document, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Omission {
    /// As the file writes it.
    pub component: String,
    /// What is wrong with it.
    pub why: String,
}

/// The JSON Schema of the configuration file, in which `config` of each first-party plugin and of
/// each of these is what its component says.
pub fn schema(plugins: &[config::Plugin]) -> (Value, Vec<Omission>) {
    let first_party = first_party::names().into_iter();
    let mut components: Vec<_> =
        first_party.map(|name| (name.to_owned(), Component::BuiltIn(name.to_owned()))).collect();
    for plugin in plugins {
        if components.iter().all(|(text, _)| *text != plugin.component_text) {
            components.push((plugin.component_text.clone(), plugin.component.clone()));
        }
    }
    let (mut definitions, mut omissions) = (BTreeMap::new(), Vec::new());
    let mut document = config::schema();
    for (text, component) in components {
        let name = free_name(&text, &document);
        match describe(&component, &format!("/$defs/{name}")) {
            Ok(None) => {}
            Ok(Some(schema)) => {
                document["$defs"][&name] = schema;
                definitions.insert(text, json!({ "$ref": format!("#/$defs/{name}") }));
            }
            Err(why) => omissions.push(Omission { component: text, why }),
        }
    }
    refer(&mut document, plugins, &definitions);
    (document, omissions)
}

fn describe(component: &Component, pointer: &str) -> Result<Option<Value>, String> {
    let found = inspect(component).map_err(|refusals| {
        let said: Vec<_> = refusals.into_iter().map(|refusal| refusal.message).collect();
        said.join("; ")
    })?;
    let schema = embedded(&found.config_schema, pointer).transpose();
    schema.map_err(|why| format!("its configuration schema {why}"))
}

/// A name for a definition that no other has.
fn free_name(component: &str, document: &Value) -> String {
    let file = component.rsplit('/').next().unwrap_or(component);
    let stem = file.strip_suffix(".wasm").unwrap_or(file);
    let plain = |it: char| if it.is_ascii_alphanumeric() || it == '-' { it } else { '_' };
    let name = format!("config_of_{}", stem.chars().map(plain).collect::<String>());
    let mut names = std::iter::once(name.clone()).chain((2..).map(|it| format!("{name}_{it}")));
    names.find(|name| document["$defs"].get(name).is_none()).unwrap_or(name)
}

/// Leads from `config` of each plugin to the definition of its component.
fn refer(document: &mut Value, plugins: &[config::Plugin], definitions: &BTreeMap<String, Value>) {
    let offer = |table: &mut Value, known: Vec<&Value>| {
        let anything = json!(true);
        table["properties"]["config"]["anyOf"] =
            known.into_iter().chain([&anything]).cloned().collect();
    };
    let mut table = document["$defs"]["plugin"].clone();
    let mut otherwise = json!(true);
    for (component, definition) in definitions {
        otherwise = json!({
            "if": { "properties": { "component": { "const": component } } },
            "then": { "properties": { "config": definition } },
            "else": otherwise,
        });
    }
    if let (Some(table), Value::Object(choice)) = (table.as_object_mut(), otherwise) {
        table.extend(choice);
    }
    offer(&mut table, definitions.values().collect());
    // A plugin of a route has no name under `plugins`.
    for plugin in plugins.iter().filter(|plugin| !plugin.name.contains(".plugins[")) {
        let Some(definition) = definitions.get(&plugin.component_text) else { continue };
        let mut named = table.clone();
        offer(&mut named, vec![definition]);
        document["properties"]["plugins"]["properties"][&plugin.name] = named;
    }
    document["$defs"]["plugin"] = table;
}
