//! A configuration as it is written, for those who may see it but not its secrets.
//!
//! Owns the masks. Placeholders stay as they are, since what they mean is not in the text; what else may
//! be a secret is written over: settings of plugins, environments of components, digests and passwords, fields that the
//! gateway sends, and whatever stands behind a key that there is not.

use serde_json::{Map, Value};

use super::Source;
use super::keys::{Kind, ROOT};
use super::secret_names::{in_path, in_urls, is_secret_field, is_secret_key, names_secret};

/// Instead of what must not be seen.
const MASKED: &str = "[masked]";

/// A configuration file as JSON.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    /// With all that is in the text; not to be shown.
    bare: Value,
}

/// A difference between two files.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    /// Where it is: a pointer (RFC 6901), in which elements of a list go by their `name` if they have one.
    pub(crate) path: String,
    /// What the first file has there.
    pub(crate) before: Option<Value>,
    /// What the second file has there.
    pub(crate) after: Option<Value>,
}

impl Written {
    /// Reads a text; `None` for one that is no TOML.
    pub(crate) fn of(source: &Source) -> Option<Self> {
        let table = source.text().parse::<toml::Table>().ok()?;
        Some(Self { bare: json(toml::Value::Table(table)) })
    }

    /// What may be shown.
    pub(crate) fn masked(&self) -> Value {
        let mut shown = self.bare.clone();
        mask(&mut shown, &mut Vec::new());
        shown
    }

    /// What differs in another file, as it may be shown: two secrets that differ are both masked.
    pub(crate) fn changes(&self, after: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        let shown = (self.masked(), after.masked());
        let one = Side { bare: Some(&self.bare), shown: Some(&shown.0) };
        let other = Side { bare: Some(&after.bare), shown: Some(&shown.1) };
        compare(one, other, &mut String::new(), &mut changes);
        changes
    }
}

/// A date or a time is a text, and a number that is none is nothing.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(is) => is.into(),
        toml::Value::Datetime(at) => at.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Table(members) => {
            let members = members.into_iter().map(|(name, member)| (name, json(member)));
            Value::Object(members.collect())
        }
    }
}

/// Masks what is below the keys of `path`.
fn mask(value: &mut Value, path: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            if is_secret(path) {
                hide(text);
            } else {
                hide_parts(text, path);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, path)),
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                path.push(name.clone());
                mask(member, path);
                path.pop();
            }
        }
        Value::Number(_) if is_secret(path) => *value = MASKED.into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether the texts below these keys may be secrets. Lists count as what is in them.
fn is_secret(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["secrets", ..]
        | ["admin", "token"]
        | ["usage", "password"]
        | ["stores", _, "password"]
        | ["plugins", _, "config", ..]
        | ["routes", "plugins", "config", ..]
        | ["components", _, "environment", ..]
        | ["routes", "component", "environment", ..] => true,
        ["routes", "headers" | "query", name] | ["routes", "respond", "headers", name] => {
            names_secret(name)
        }
        ["documents" | "events", _, "headers", name] | ["traces", "headers", name] => {
            is_secret_field(name)
        }
        // Somebody meant another key, and perhaps one of a secret.
        path if !is_known(path) => true,
        [.., name] => is_secret_key(name),
        [] => false,
    }
}

/// Whether a configuration can have such a key. Below one that it cannot have nothing is known.
fn is_known(path: &[&str]) -> bool {
    fn leads(kind: &Kind, path: &[&str]) -> bool {
        let Some((first, rest)) = path.split_first() else { return true };
        match kind {
            Kind::Table(keys)
            | Kind::Tables(keys)
            | Kind::TableOrTables(keys)
            | Kind::TextOrTable(keys) => {
                keys.keys.iter().any(|key| key.name == *first && leads(&key.kind, rest))
            }
            Kind::NamedTables(keys) => leads(&Kind::Table(keys), rest),
            Kind::List(kind) => leads(kind, path),
            Kind::Free => true,
            Kind::TextMap => rest.is_empty(),
            Kind::Text
            | Kind::Choice(_)
            | Kind::Integer { .. }
            | Kind::Ratio
            | Kind::Integers(_)
            | Kind::Duration { .. }
            | Kind::Size { .. } => false,
        }
    }
    leads(&Kind::Table(&ROOT), path)
}

/// A placeholder alone says where the secret is and not what it is.
fn hide(text: &mut String) {
    let inner = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let is_placeholder = inner.is_some_and(|inner| {
        (inner.starts_with("env:") || inner.starts_with("file:")) && !inner.contains(['{', '}'])
    });
    if !is_placeholder {
        MASKED.clone_into(text);
    }
}

/// Hides users and passwords in URLs, and what is behind the `?` of one that has them; of the path of something remote
/// also what may be a token.
fn hide_parts(text: &mut String, path: &[String]) {
    let is_remote = matches!(path, [table, _, key] if table != "routes" && key == "path");
    let tokens = if is_remote { in_path(text) } else { Vec::new() };
    let users = in_urls(text);
    let has_user = !users.is_empty();
    for place in users.into_iter().chain(tokens).rev() {
        text.replace_range(place, MASKED);
    }
    if has_user && let Some(query) = text.find('?') {
        text.replace_range(query + 1.., MASKED);
    }
}

/// The same place in two forms of a file.
#[derive(Clone, Copy)]
struct Side<'v> {
    bare: Option<&'v Value>,
    shown: Option<&'v Value>,
}

impl<'v> Side<'v> {
    fn member(self, name: &str) -> Self {
        let of = |value: Option<&'v Value>| value.and_then(|value| named(value, name));
        Self { bare: of(self.bare), shown: of(self.shown) }
    }

    /// The names of what is in it, if it can be compared piece by piece.
    fn names(self) -> Option<Vec<String>> {
        match self.bare? {
            Value::Object(members) => Some(members.keys().cloned().collect()),
            Value::Array(items) => {
                let names = items.iter().map(|item| item.get("name")?.as_str().map(str::to_owned));
                let names: Vec<String> = names.collect::<Option<_>>()?;
                let mut unique = names.clone();
                unique.sort_unstable();
                unique.dedup();
                (!names.is_empty() && unique.len() == names.len()).then_some(names)
            }
            _ => None,
        }
    }
}

/// A member by its key, or an element by its name.
fn named<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => members.get(name),
        Value::Array(items) => {
            items.iter().find(|item| item.get("name").and_then(Value::as_str) == Some(name))
        }
        _ => None,
    }
}

fn compare(before: Side<'_>, after: Side<'_>, path: &mut String, changes: &mut Vec<Change>) {
    if before.bare == after.bare {
        return;
    }
    let alike =
        before.bare.is_some_and(Value::is_object) == after.bare.is_some_and(Value::is_object);
    if let (Some(names), Some(others), true) = (before.names(), after.names(), alike) {
        let known = changes.len();
        let new = others.iter().filter(|name| named_in(before, name).is_none());
        for name in names.iter().chain(new) {
            let length = path.len();
            path.push('/');
            path.push_str(&name.replace('~', "~0").replace('/', "~1"));
            compare(before.member(name), after.member(name), path, changes);
            path.truncate(length);
        }
        if changes.len() > known {
            return;
        }
        // The elements are the same, and their order is not.
        let names = |names: Vec<String>| Some(Value::from(names));
        changes.push(Change {
            path: path.clone(),
            before: names(names_of(before)),
            after: names(others),
        });
        return;
    }
    let (before, after) = (before.shown.cloned(), after.shown.cloned());
    changes.push(Change { path: path.clone(), before, after });
}

fn named_in<'v>(side: Side<'v>, name: &str) -> Option<&'v Value> {
    side.bare.and_then(|value| named(value, name))
}

fn names_of(side: Side<'_>) -> Vec<String> {
    side.names().unwrap_or_default()
}

impl Change {
    /// As JSON: `path`, `kind`, `in_force`, `on_disk`.
    pub(crate) fn to_json(&self) -> Value {
        let kind = match (&self.before, &self.after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        let mut shown = Map::new();
        shown.insert("path".to_owned(), self.path.clone().into());
        shown.insert("kind".to_owned(), kind.into());
        shown.insert("in_force".to_owned(), self.before.clone().into());
        shown.insert("on_disk".to_owned(), self.after.clone().into());
        Value::Object(shown)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(text: &str) -> Written {
        Written::of(&Source::new("test.toml", text)).expect("TOML")
    }

    const TEXT: &str = r#"
        # password: in-a-comment
        [admin]
        address = "127.0.0.1:9901"
        token = "sha256:00"
        [usage]
        store = "postgres://u:p@db/x?password=p"
        password = "${file:pw}"
        [secrets]
        a = "x-${env:A}"
        [stores.s]
        redis = "redis://ada:hün/t@er2@h:1/0"
        passwort = "secret"
        [documents.d]
        upstream = "u"
        path = "/keys/0123456789abcdef?token=secret"
        headers = { x-anything = "secret", accept = "text/html" }
        [components.c]
        environment = { A = "secret", B = "${env:B}" }
        [plugins.p]
        component = "auth"
        confg = { list = ["secret"] }
        config = { list = ["secret", { k = "${file:k}" }], pin = 1234, on = true }
        [[routes]]
        name = "r"
        plugins = ["p", { component = "x", config = { a = "secret" } }]
        headers = { x-api-key = "secret", x-version = "2" }
        respond = { headers = { set-cookie = "secret" }, body = "plain" }
    "#;

    #[test]
    fn secrets_are_masked_and_placeholders_stay() {
        let shown = written(TEXT).masked();
        assert_eq!(
            shown,
            json!({
                "admin": { "address": "127.0.0.1:9901", "token": "[masked]" },
                "usage": { "store": "postgres://[masked]@db/x?[masked]", "password": "${file:pw}" },
                "secrets": { "a": "[masked]" },
                "stores": { "s": { "redis": "redis://[masked]@h:1/0", "passwort": "[masked]" } },
                "documents": { "d": {
                    "upstream": "u", "path": "/keys/[masked]?token=[masked]",
                    "headers": { "x-anything": "[masked]", "accept": "text/html" },
                } },
                "components": { "c": { "environment": { "A": "[masked]", "B": "${env:B}" } } },
                "plugins": { "p": { "component": "auth", "confg": { "list": ["[masked]"] }, "config": {
                    "list": ["[masked]", { "k": "${file:k}" }], "pin": "[masked]", "on": true,
                } } },
                "routes": [{
                    "name": "r",
                    "plugins": ["p", { "component": "x", "config": { "a": "[masked]" } }],
                    "headers": { "x-api-key": "[masked]", "x-version": "2" },
                    "respond": { "headers": { "set-cookie": "[masked]" }, "body": "plain" },
                }],
            })
        );
    }

    #[test]
    fn changes_go_by_name_and_show_no_secret() {
        let (one, other) = (
            TEXT.to_owned(),
            TEXT.replace("\"secret\"", "\"other\"").replace("plain", "new")
                + "[[routes]]\nname = \"s/t\"",
        );
        let changes = written(&one).changes(&written(&other));
        let shown: Vec<Value> = changes.iter().map(Change::to_json).collect();
        let text = Value::from(shown.clone()).to_string();
        assert!(!text.contains("secret\"") && !text.contains("\"other\""), "{text}");
        let paths: Vec<&str> = changes.iter().map(|it| &*it.path).collect();
        assert_eq!(
            paths,
            [
                "/components/c/environment/A",
                "/documents/d/headers/x-anything",
                "/plugins/p/confg/list",
                "/plugins/p/config/list",
                "/routes/r/headers/x-api-key",
                "/routes/r/plugins",
                "/routes/r/respond/body",
                "/routes/r/respond/headers/set-cookie",
                "/routes/s~1t",
                "/stores/s/passwort",
            ]
        );
        let body = json!({
            "path": "/routes/r/respond/body", "kind": "changed", "in_force": "plain", "on_disk": "new",
        });
        assert_eq!(shown[6], body);
        assert_eq!((&shown[8]["kind"], &shown[8]["in_force"]), (&json!("added"), &Value::Null));
        assert!(written(&one).changes(&written(&one)).is_empty());
    }

    #[test]
    fn another_order_is_a_change() {
        let text =
            |one, other| format!("[[routes]]\nname = \"{one}\"\n[[routes]]\nname = \"{other}\"");
        let changes = written(&text("a", "b")).changes(&written(&text("b", "a")));
        let expected = Change {
            path: "/routes".to_owned(),
            before: Some(json!(["a", "b"])),
            after: Some(json!(["b", "a"])),
        };
        assert_eq!(changes, [expected]);
    }
}
