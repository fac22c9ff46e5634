//! Arrays and tables inside a table.
//!
//! Owns the forms that they are written in: `[name]`, `[[name]]`, `[name.NAME]`.

use toml::Spanned;
use toml::de::{DeString, DeValue};

use super::Table;
use crate::config::diagnostic::Diagnostic;
use crate::config::keys::Kind;
use crate::config::reader::{Text, Value};

impl<'r, 'a> Table<'r, 'a> {
    /// The elements of an array.
    pub(in crate::config) fn list(&self, name: &str) -> Option<&'r [Value<'a>]> {
        self.reading.array(self.value(name)?, &format!("`{name}`"))
    }

    /// The range of the whole numbers that an array holds.
    pub(in crate::config) fn range_of_items(&self, name: &str) -> (u64, u64) {
        match self.keys.key(name).kind {
            Kind::List(Kind::Integer { min, max }) => (*min, *max),
            _ => unreachable!("`{name}` is no array of integers"),
        }
    }

    /// The elements of an array that may be left out but not be empty.
    pub(in crate::config) fn filled_list(&self, name: &str) -> Option<&'r [Value<'a>]> {
        let items = self.list(name)?;
        if items.is_empty() {
            let span = self.value(name)?.span();
            let error = Diagnostic::error(span, format!("`{name}` is empty"));
            let key = self.keys.key(name);
            self.reading.report(match (key.required, key.example) {
                (true, Some(example)) => error.help(format!("write `{name} = {example}`")),
                _ => error.help(format!("leave `{name}` out if it shall not restrict anything")),
            });
        }
        Some(items)
    }

    /// The table of a key, or its defaults where the file has none.
    pub(in crate::config) fn table(&self, name: &str) -> Self {
        self.given_table(name).unwrap_or_else(|| {
            let Kind::Table(keys) = self.keys.key(name).kind else {
                unreachable!("`{name}` is no table")
            };
            Self { reading: self.reading, span: self.span.clone(), keys, entries: None }
        })
    }

    /// The table of a key that the file has.
    pub(in crate::config) fn given_table(&self, name: &str) -> Option<Self> {
        let key = self.keys.key(name);
        let Kind::Table(keys) = key.kind else { unreachable!("`{name}` is no table") };
        let value = self.value(name)?;
        let example = key.example.filter(|example| example.starts_with('{'));
        if let Some(example) = example.filter(|_| !matches!(value.get_ref(), DeValue::Table(_))) {
            let error = self.reading.wrong_type(value, keys.title, "a table");
            self.reading.report(error.help(format!("write `{name} = {example}`")));
            return None;
        }
        Self::open(self.reading, value, keys)
    }

    /// `[[name]]`: the tables of an array.
    pub(in crate::config) fn tables(&self, name: &str) -> Vec<Self> {
        let Kind::Tables(keys) = self.keys.key(name).kind else {
            unreachable!("`{name}` is no array of tables")
        };
        let Some(value) = self.value(name) else {
            return Vec::new();
        };
        match value.get_ref() {
            DeValue::Array(items) if items.is_empty() && self.keys.key(name).required => {
                let error = Diagnostic::error(value.span(), format!("`{name}` is empty"));
                let error = error.label("at least one is required");
                self.reading.report(error.help(format!("add a `[[{name}]]` table instead")));
                Vec::new()
            }
            DeValue::Array(items) => {
                items.iter().filter_map(|item| Self::open(self.reading, item, keys)).collect()
            }
            _ => {
                let error =
                    self.reading.wrong_type(value, &format!("`{name}`"), "an array of tables");
                self.reading.report(error.help(format!("write `[[{name}]]` above each of them")));
                Vec::new()
            }
        }
    }

    /// `[name.NAME]`: the tables of a table, in the order of the file, each with its name.
    pub(in crate::config) fn named_tables(&self, name: &str) -> Vec<(Text, Self)> {
        let key = self.keys.key(name);
        let Kind::NamedTables(keys) = key.kind else { unreachable!("`{name}` has no names") };
        let Some(value) = self.value(name) else {
            return Vec::new();
        };
        let DeValue::Table(entries) = value.get_ref() else {
            let error = self.reading.wrong_type(value, &format!("`{name}`"), "a table of tables");
            let header = key.example.unwrap_or(name);
            self.reading.report(error.help(format!("write `{header}` above each of them")));
            return Vec::new();
        };
        let mut entries: Vec<_> = entries.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let header = key.example.unwrap_or(name);
        let open = |(key, value): (&Spanned<DeString<'_>>, &'r Value<'a>)| {
            let name = Text::new(self.reading.source, key.get_ref(), key.span());
            if !matches!(value.get_ref(), DeValue::Table(_)) {
                let error = self.reading.wrong_type(value, keys.title, "a table");
                let known = keys.names().any(|known| known == key.get_ref());
                self.reading.report(match known {
                    true => error.help(format!("give it a name: write `{header}` above it")),
                    false => error,
                });
                return None;
            }
            Some((name, Self::open(self.reading, value, keys)?))
        };
        entries.into_iter().filter_map(open).collect()
    }

    /// A table of strings under names that the user chose, in the order of the file.
    pub(in crate::config) fn text_map(&self, name: &str) -> Vec<(Text, Text)> {
        let entries = self.texts(name).into_iter();
        entries.filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// The same, with `None` for a value that is wrong.
    pub(in crate::config) fn texts(&self, name: &str) -> Vec<(Text, Option<Text>)> {
        let Some(value) = self.value(name) else {
            return Vec::new();
        };
        let DeValue::Table(entries) = value.get_ref() else {
            let error = self.reading.wrong_type(value, &format!("`{name}`"), "a table");
            let example = self.keys.key(name).example.unwrap_or("{}");
            self.reading.report(error.help(format!("write `{name} = {example}`")));
            return Vec::new();
        };
        let mut entries: Vec<_> = entries.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let read = |(key, value): (&Spanned<DeString<'_>>, &Value<'_>)| {
            let name = Text::new(self.reading.source, key.get_ref(), key.span());
            let what = format!("`{}`", key.get_ref());
            let help = match value.get_ref() {
                DeValue::String(_) => return (name, self.reading.text(value, &what)),
                DeValue::Table(_) => {
                    "a name with dots stands in quotes: `\"a.b\" = \"...\"`".into()
                }
                DeValue::Array(_) => "write one text".to_owned(),
                _ => {
                    let written = self.reading.source.text().get(value.span());
                    format!("write `\"{}\"`", written.unwrap_or_default())
                }
            };
            self.reading.report(self.reading.wrong_type(value, &what, "a string").help(help));
            (name, None)
        };
        entries.into_iter().map(read).collect()
    }
}
