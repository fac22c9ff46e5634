//! The configuration that a gateway of a test runs, in TOML.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::testing::gateway::process::{PLUGIN, document_file, secret_variable};

/// One route through one plugin to the upstream of the test.
pub(super) struct Configuration<'a> {
    pub(super) component: &'a str,
    /// Of the plugin.
    pub(super) config: &'a Value,
    /// Other keys of the plugin's table.
    pub(super) settings: &'a [(String, Value)],
    /// Host interfaces that it was granted.
    pub(super) interfaces: &'a [String],
    /// Names and values; the values come from the environment.
    pub(super) secrets: &'a [(String, String)],
    /// Names and contents; the contents are files beside the configuration.
    pub(super) documents: &'a [(String, Vec<u8>)],
    /// Those that the plugin was granted.
    pub(super) upstreams: &'a [(String, SocketAddr)],
    pub(super) upstream: SocketAddr,
}

impl Configuration<'_> {
    /// # Errors
    /// If a value of the plugin's table has no form in TOML.
    pub(super) fn written(&self) -> Result<String, String> {
        let mut plugin = vec![
            ("component", json!(self.component)),
            ("config", self.config.clone()),
            ("grants", self.interfaces.iter().map(String::as_str).collect()),
            ("secrets", names(self.secrets)),
            ("documents", names(self.documents)),
            ("upstreams", names(self.upstreams)),
            ("forward_to", names(self.upstreams)),
        ];
        // What names nothing grants nothing, but would ask for the import.
        plugin.retain(|(_, value)| value.as_array().is_none_or(|names| !names.is_empty()));
        plugin.extend(self.settings.iter().map(|(key, value)| (key.as_str(), value.clone())));
        let own = ("upstream-of-the-test".to_owned(), self.upstream);
        let mut text = format!(
            "[gateway]\nworkers = 1\n\
             [[listeners]]\nname = \"test\"\naddress = \"127.0.0.1:0\"\n\
             [[routes]]\nname = \"test\"\npaths = [\"/{{*rest}}\"]\nplugins = [\"{PLUGIN}\"]\n\
             upstream = \"{}\"\n",
            own.0
        );
        for (name, address) in self.upstreams.iter().chain([&own]) {
            let name = string(name);
            text += &format!("[upstreams.{name}]\ntargets = [\"http://{address}\"]\n");
        }
        if !self.secrets.is_empty() {
            text += "[secrets]\n";
        }
        for (index, (name, _)) in self.secrets.iter().enumerate() {
            let variable = secret_variable(index);
            text += &format!("{} = \"${{env:{variable}}}\"\n", string(name));
        }
        for (index, (name, _)) in self.documents.iter().enumerate() {
            let (name, file) = (string(name), document_file(index));
            text += &format!("[documents.{name}]\nfile = \"{file}\"\n");
        }
        text += &format!("[plugins.{PLUGIN}]\n");
        for (key, value) in &plugin {
            text += &format!("{} = {}\n", string(key), self::value(value)?);
        }
        Ok(text)
    }
}

fn names<T>(named: &[(String, T)]) -> Value {
    named.iter().map(|(name, _)| name.as_str()).collect()
}

/// A value as TOML writes it, on one line. Nulls in objects are left out: TOML has none.
///
/// # Errors
/// A null elsewhere.
fn value(value: &Value) -> Result<String, String> {
    match value {
        Value::Null => Err("TOML has no null".to_owned()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::String(text) => Ok(string(text)),
        Value::Array(values) => {
            let values: Result<Vec<_>, _> = values.iter().map(self::value).collect();
            Ok(format!("[{}]", values?.join(", ")))
        }
        Value::Object(entries) => {
            let entries = entries.iter().filter(|(_, value)| !value.is_null());
            let written: Result<Vec<_>, String> = entries
                .map(|(name, value)| Ok(format!("{} = {}", string(name), self::value(value)?)))
                .collect();
            Ok(format!("{{ {} }}", written?.join(", ")))
        }
    }
}

/// A basic string. JSON's escapes are TOML's too, but for DEL, which JSON does not escape.
fn string(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_inline_tables_arrays_and_basic_strings() {
        let config = json!({ "a b": [1, 2.5, true], "c": { "d": "\"x\"\n\u{7f}é", "e": null } });
        let written = r#"{ "a b" = [1, 2.5, true], "c" = { "d" = "\"x\"\n\u007fé" } }"#;
        assert_eq!(value(&config).unwrap(), written);
        assert!(value(&json!([null])).is_err());
    }
}
