//! A plugin's own settings, from TOML to JSON.
//!
//! Owns the translation and the place of each value. What the settings mean is the plugin's.

use std::collections::BTreeMap;

use serde_json::{Number, Value as Json};
use toml::de::{DeTable, DeValue};

use crate::config::Span;
use crate::config::diagnostic::Diagnostic;
use crate::config::fill::Notation;
use crate::config::reader::{Reading, Table, Value, integer};

/// `config` as JSON text, and where each of its values stands, by RFC 6901 pointer.
pub(super) fn read(table: &Table<'_, '_>) -> (String, BTreeMap<String, Span>) {
    let mut spans = BTreeMap::new();
    let json = match table.value("config") {
        None => {
            spans.insert(String::new(), table.span.clone());
            Json::Object(serde_json::Map::new())
        }
        Some(value) => {
            if !matches!(value.get_ref(), DeValue::Table(_)) {
                table.reading.report(table.reading.wrong_type(value, "`config`", "a table"));
            }
            Translation { reading: table.reading, spans: &mut spans }.value(value, "")
        }
    };
    (json.to_string(), spans)
}

struct Translation<'t, 'a> {
    reading: &'t Reading<'a>,
    spans: &'t mut BTreeMap<String, Span>,
}

impl Translation<'_, '_> {
    fn value(&mut self, value: &Value<'_>, pointer: &str) -> Json {
        self.spans.insert(pointer.to_owned(), value.span());
        match value.get_ref() {
            DeValue::String(text) => {
                let text = self.reading.fill(text, value.span(), Notation::Plugin);
                Json::String(text.map_or_else(String::new, |text| text.value))
            }
            DeValue::Integer(number) => {
                let number = integer(number);
                self.number(number.and_then(Number::from_i128), value, "does not fit into 64 bits")
            }
            DeValue::Float(number) => {
                let number = number.as_str().parse().ok().and_then(Number::from_f64);
                self.number(number, value, "has no form in JSON")
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
            (key.get_ref().to_string(), self.value(value, &format!("{pointer}/{escaped}")))
        };
        Json::Object(entries.iter().map(entry).collect())
    }

    fn number(&self, number: Option<Number>, value: &Value<'_>, why: &str) -> Json {
        number.map_or_else(
            || {
                let written = &self.reading.source.text()[value.span()];
                let error = format!("`{written}` {why}");
                self.reading.report(Diagnostic::error(value.span(), error));
                Json::Null
            },
            Json::Number,
        )
    }
}
