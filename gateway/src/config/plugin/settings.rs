//! A plugin's own settings, from TOML to JSON.
//!
//! Owns the translation and the place of each value. What the settings mean is the plugin's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Number, Value as Json};
use toml::de::{DeTable, DeValue};

use crate::config::Span;
use crate::config::diagnostic::Diagnostic;
use crate::config::fill::Notation;
use crate::config::reader::{Reading, Table, Text, Value, integer};

/// `config` as JSON text, and where everything in it is, by RFC 6901 pointer.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) json: String,
    pub(super) values: BTreeMap<String, Span>,
    pub(super) keys: BTreeMap<String, Span>,
    /// The texts into which something was filled.
    pub(super) filled: BTreeSet<String>,
    /// The values that are not known.
    pub(super) doubtful: BTreeSet<String>,
}

/// Reads `config`.
pub(super) fn read(table: &Table<'_, '_>) -> Settings {
    let mut settings = Settings::default();
    let json = match table.value("config") {
        None => {
            settings.values.insert(String::new(), table.span.clone());
            Json::Object(serde_json::Map::new())
        }
        Some(value) => {
            if !matches!(value.get_ref(), DeValue::Table(_)) {
                table.reading.report(table.reading.wrong_type(value, "`config`", "a table"));
                settings.doubtful.insert(String::new());
            }
            Translation { reading: table.reading, settings: &mut settings }.value(value, "")
        }
    };
    Settings { json: json.to_string(), ..settings }
}

struct Translation<'t, 'a> {
    reading: &'t Reading<'a>,
    settings: &'t mut Settings,
}

impl Translation<'_, '_> {
    fn value(&mut self, value: &Value<'_>, pointer: &str) -> Json {
        self.settings.values.insert(pointer.to_owned(), value.span());
        match value.get_ref() {
            DeValue::String(text) => {
                let written = text;
                let text = self.reading.fill(text, value.span(), Notation::Plugin);
                if text.is_none() {
                    self.settings.filled.insert(pointer.to_owned());
                    self.settings.doubtful.insert(pointer.to_owned());
                }
                if text.as_ref().is_some_and(Text::is_secret) {
                    self.settings.filled.insert(pointer.to_owned());
                }
                Json::String(text.map_or_else(|| written.to_string(), |text| text.value))
            }
            DeValue::Integer(number) => {
                let number = integer(number);
                let number = number.and_then(Number::from_i128);
                self.number(number, value, pointer, "does not fit into 64 bits")
            }
            DeValue::Float(number) => {
                let number = number.as_str().parse().ok().and_then(Number::from_f64);
                self.number(number, value, pointer, "has no form in JSON")
            }
            DeValue::Boolean(truth) => Json::Bool(*truth),
            DeValue::Datetime(moment) => Json::String(moment.to_string()),
            DeValue::Array(items) => {
                let items = items.iter().enumerate();
                Json::Array(
                    items.map(|(i, item)| self.value(item, &format!("{pointer}/{i}"))).collect(),
                )
            }
            DeValue::Table(entries) => self.table(entries, pointer),
        }
    }

    fn table(&mut self, entries: &DeTable<'_>, pointer: &str) -> Json {
        let entry = |(key, value): (&toml::Spanned<toml::de::DeString<'_>>, &Value<'_>)| {
            let escaped = key.get_ref().replace('~', "~0").replace('/', "~1");
            let pointer = format!("{pointer}/{escaped}");
            self.settings.keys.insert(pointer.clone(), key.span());
            (key.get_ref().to_string(), self.value(value, &pointer))
        };
        Json::Object(entries.iter().map(entry).collect())
    }

    fn number(
        &mut self,
        number: Option<Number>,
        value: &Value<'_>,
        pointer: &str,
        why: &str,
    ) -> Json {
        number.map_or_else(
            || {
                self.settings.doubtful.insert(pointer.to_owned());
                let written = &self.reading.source.text()[value.span()];
                let error = format!("`{written}` {why}");
                self.reading.report(Diagnostic::error(value.span(), error));
                Json::Null
            },
            Json::Number,
        )
    }
}
