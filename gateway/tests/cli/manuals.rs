//! The README of each first-party plugin against the schema of its settings.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::output;

/// Every setting in a schema, however deep, with the default that each of its places says.
fn settings<'a>(schema: &'a Value, found: &mut BTreeMap<&'a str, Vec<&'a Value>>) {
    match schema {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("default" | "enum" | "const" | "examples", _) => {}
                    ("properties", Value::Object(properties)) => {
                        for (name, setting) in properties {
                            found.entry(name).or_default().push(&setting["default"]);
                            settings(setting, found);
                        }
                    }
                    _ => settings(member, found),
                }
            }
        }
        Value::Array(members) => members.iter().for_each(|member| settings(member, found)),
        _ => {}
    }
}

/// Whether a text has a word, which is not a part of another one.
fn has_word(text: &str, word: &str) -> bool {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_of_word) && !text[at + word.len()..].starts_with(is_of_word)
    })
}

/// What stands in code, in blocks or in lines.
fn code(readme: &str) -> String {
    let mut code = String::new();
    for (index, part) in readme.split("```").enumerate() {
        if index % 2 == 1 {
            code.push_str(part);
            continue;
        }
        let inline = part.split('`').skip(1).step_by(2);
        inline.for_each(|text| code.extend([text, "\n"]));
    }
    code
}

/// As a README writes a default; `None` of one that it writes in its own way.
fn written(default: &Value) -> Option<String> {
    match default {
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(number.to_string().trim_end_matches(".0").to_owned()),
        Value::String(text) => Some(text.clone()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[test]
fn the_readme_of_each_plugin_names_every_setting_and_its_default() {
    let done = output(&["schema"]);
    let schema: Value = serde_json::from_slice(&done.stdout).unwrap();
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let (mut missing, mut named, mut defaults) = (Vec::new(), 0, 0);
    for (name, of_plugin) in schema["$defs"].as_object().unwrap() {
        let Some(plugin) = name.strip_prefix("config_of_") else { continue };
        let readme = std::fs::read_to_string(plugins.join(plugin).join("README.md")).unwrap();
        let code = code(&readme);
        let mut found = BTreeMap::new();
        settings(of_plugin, &mut found);
        for (setting, places) in found {
            if !has_word(&code, setting) {
                missing.push(format!("{plugin}: `{setting}`"));
            }
            named += 1;
            // One name in two tables may have two defaults, which no row tells apart.
            let [default] = places[..] else { continue };
            let Some(default) = written(default) else { continue };
            let keys = [format!("`{setting}`"), format!(".{setting}`")];
            let rows = readme.lines().filter_map(|line| line.strip_prefix('|')?.split_once('|'));
            let rows: Vec<_> =
                rows.filter(|(first, _)| keys.iter().any(|key| first.contains(key))).collect();
            if !rows.is_empty() && !rows.iter().any(|(_, rest)| has_word(rest, &default)) {
                missing.push(format!("{plugin}: the default {default} of `{setting}`"));
            }
            defaults += usize::from(!rows.is_empty());
        }
    }
    assert!(named > 300 && defaults > 50, "{named} settings, {defaults} defaults");
    assert_eq!(missing, Vec::<String>::new());
}
