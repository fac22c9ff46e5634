//! Words, choices, numbers, durations and sizes of a table.
//!
//! Owns their ranges and defaults as declared.

use std::time::Duration;

use toml::de::DeValue;

use super::Table;
use crate::config::diagnostic::Diagnostic;
use crate::config::keys::{Key, Kind};
use crate::config::reader::{Text, Value, integer};
use crate::config::{Span, suggest, units};

/// An example of a measure, its units, and whether a text is one within the bounds.
type Measure<'m> = (&'m str, &'m [&'m str], &'m dyn Fn(&str) -> bool);

impl<'a> Table<'_, 'a> {
    /// A string that is not empty.
    pub(in crate::config) fn word(&self, name: &str) -> Option<Text> {
        let text = self.text(name)?;
        if text.value.is_empty() {
            let error = Diagnostic::error(text.span, format!("`{name}` is empty"));
            self.reading.report(error);
            return None;
        }
        Some(text)
    }

    /// One of the declared choices; the default if the file has none or a wrong one.
    pub(in crate::config) fn choice(&self, name: &str) -> &'static str {
        let key = self.keys.key(name);
        let Kind::Choice(choices) = key.kind else { unreachable!("`{name}` is no choice") };
        let found = self.value(name).and_then(|value| self.chosen(value, choices, name));
        found.or(key.default).expect("a choice has a default")
    }

    /// Those of the declared choices that a list holds.
    pub(in crate::config) fn choices(&self, name: &str) -> Option<Vec<&'static str>> {
        let Kind::List(Kind::Choice(choices)) = self.keys.key(name).kind else {
            unreachable!("`{name}` is no list of choices")
        };
        let items = self.list(name)?;
        Some(items.iter().filter_map(|item| self.chosen(item, choices, name)).collect())
    }

    fn chosen(
        &self,
        value: &Value<'a>,
        choices: &'static [&'static str],
        name: &str,
    ) -> Option<&'static str> {
        let text = self.reading.text(value, &format!("`{name}`"))?;
        let found = choices.iter().copied().find(|choice| *choice == text.value);
        if found.is_none() {
            let known: Vec<_> = choices.iter().map(|choice| format!("`{choice}`")).collect();
            let error = format!("`{}` is no value of `{name}`", text.shown);
            let error = Diagnostic::error(text.span, error)
                .note(format!("its values are {}", known.join(", ")))
                .did_you_mean(suggest::closest_value(&text.shown, choices.iter().copied(), &[]));
            self.reading.report(error);
        }
        found
    }

    /// A whole number; the declared default if the file has none or a wrong one.
    pub(in crate::config) fn integer(&self, name: &str) -> Option<u64> {
        let key = self.keys.key(name);
        let default = || key.default.map(|text| text.parse().expect("a declared default parses"));
        self.value(name).and_then(|value| self.whole(value, key)).or_else(default)
    }

    fn whole(&self, value: &Value<'a>, key: &Key) -> Option<u64> {
        let (min, max) = match key.kind {
            Kind::Integer { min, max } => (min, max),
            // The caller lists the known ones in its own words.
            Kind::Integers(_) => (0, u64::MAX),
            _ => unreachable!("`{}` is none", key.name),
        };
        let DeValue::Integer(number) = value.get_ref() else {
            let error = self.reading.wrong_type(value, &format!("`{}`", key.name), "an integer");
            let quoted = value.get_ref().as_str().filter(|text| text.parse::<u64>().is_ok());
            self.reading.report(match quoted {
                Some(number) => error.help(format!("write `{number}` without quotes")),
                None => error,
            });
            return None;
        };
        let read = integer(number).and_then(|number| u64::try_from(number).ok());
        let fits = read.filter(|number| (min..=max).contains(number));
        if fits.is_none() {
            self.out_of_range(value.span(), key.name, &number.to_string(), min, max);
        }
        fits
    }

    /// A number from 0 to 1; the declared default if the file has none or a wrong one.
    pub(in crate::config) fn ratio(&self, name: &str) -> Option<f64> {
        let key = self.keys.key(name);
        let Kind::Ratio = key.kind else { unreachable!("`{name}` is none") };
        let default = || key.default.map(|text| text.parse().expect("a declared default parses"));
        self.value(name).and_then(|value| self.share(value, name)).or_else(default)
    }

    fn share(&self, value: &Value<'a>, name: &str) -> Option<f64> {
        let (read, shown) = match value.get_ref() {
            DeValue::Float(number) => {
                (number.as_str().replace('_', "").parse().ok(), number.to_string())
            }
            DeValue::Integer(number) => {
                (integer(number).map(|number| number as f64), number.to_string())
            }
            _ => {
                let error =
                    self.reading.wrong_type(value, &format!("`{name}`"), "a number from 0 to 1");
                let default = self.keys.key(name).default.filter(|default| *default != "1");
                let example = default.unwrap_or("0.1");
                self.reading.report(error.help(format!("write `{name} = {example}`")));
                return None;
            }
        };
        let fits = read.filter(|number| (0.0..=1.0).contains(number));
        if fits.is_none() {
            self.out_of_range(value.span(), name, &shown, 0, 1);
        }
        fits
    }

    /// A duration; the declared default if the file has none or a wrong one.
    pub(in crate::config) fn duration(&self, name: &str) -> Option<Duration> {
        let key = self.keys.key(name);
        let declared = |text| units::duration(text).expect("a declared duration parses");
        let Kind::Duration { min, max } = key.kind else { unreachable!("`{name}` is none") };
        let bounds = declared(min)..=declared(max);
        let fits = |text: &str| units::duration(text).is_ok_and(|read| bounds.contains(&read));
        let example = self.example(name, "5s", &fits, min.to_owned());
        let found = self.value(name).and_then(|value| {
            let units = ["s", "ms", "m"];
            self.measure(value, name, (&example, &units, &fits), "a duration")
        });
        let found = found.and_then(|(text, span)| match units::duration(&text.value) {
            Ok(read) if (declared(min)..=declared(max)).contains(&read) => Some(read),
            Ok(_) => {
                self.out_of_range(span, name, &text.shown, min, max);
                None
            }
            Err(why) => {
                self.no_measure(&text, name, "a duration", why, "20ms`, `5s`, `1m30s` or `2h");
                None
            }
        });
        found.or_else(|| key.default.map(declared))
    }

    /// A size in bytes; the declared default if the file has none or a wrong one.
    pub(in crate::config) fn size(&self, name: &str) -> Option<u64> {
        let key = self.keys.key(name);
        let Kind::Size { min, max } = key.kind else { unreachable!("`{name}` is none") };
        let check = |bytes: Option<u64>, span, shown: &str| {
            let fits = bytes.filter(|bytes| (min..=max).contains(bytes));
            if fits.is_none() {
                let (min, max) = (units::show_size(min), units::show_size(max));
                self.out_of_range(span, name, shown, min, max);
            }
            fits
        };
        let found = self.value(name).and_then(|value| match value.get_ref() {
            DeValue::Integer(number) => {
                let bytes = integer(number).and_then(|bytes| u64::try_from(bytes).ok());
                check(bytes, value.span(), &number.to_string())
            }
            _ => {
                let fits =
                    |text: &str| units::size(text).is_ok_and(|bytes| (min..=max).contains(&bytes));
                let example = self.example(name, "16MiB", &fits, units::show_size(min));
                let (text, span) = self.measure(value, name, (&example, &[], &fits), "a size")?;
                match units::size(&text.value) {
                    Ok(bytes) => check(Some(bytes), span, &text.shown),
                    Err(why) => {
                        self.no_measure(&text, name, "a size", why, "16MiB` or `64KB");
                        None
                    }
                }
            }
        });
        found.or_else(|| {
            key.default.map(|text| units::size(text).expect("a declared default parses"))
        })
    }

    fn measure(
        &self,
        value: &Value<'a>,
        name: &str,
        (example, units, fits): Measure<'_>,
        expected: &str,
    ) -> Option<(Text, Span)> {
        if matches!(value.get_ref(), DeValue::String(_)) {
            return self.reading.text(value, name).map(|text| (text, value.span()));
        }
        let error = self.reading.wrong_type(value, &format!("`{name}`"), expected);
        let number = &self.reading.source.text()[value.span()];
        let is_number = matches!(value.get_ref(), DeValue::Integer(_));
        let with_unit = units.iter().map(|unit| format!("{number}{unit}"));
        let with_unit: Vec<_> = with_unit
            .filter(|text| is_number && fits(text))
            .take(2)
            .map(|text| format!("`\"{text}\"`"))
            .collect();
        self.reading.report(match with_unit.is_empty() {
            false => error.help(format!("give it a unit: {}", with_unit.join(" or "))),
            true => error.help(format!("write `{name} = \"{example}\"`")),
        });
        None
    }

    /// A value that a key can have: the usual one, its default, or its least.
    fn example(
        &self,
        name: &str,
        usual: &str,
        fits: &dyn Fn(&str) -> bool,
        least: String,
    ) -> String {
        match self.keys.key(name).default {
            _ if fits(usual) => usual.to_owned(),
            Some(default) => default.to_owned(),
            None => least,
        }
    }

    fn no_measure(&self, text: &Text, name: &str, kind: &str, why: &str, examples: &str) {
        let error = format!("`{}` is not {kind}: {why}", text.shown);
        let error =
            Diagnostic::error(text.span.clone(), error).label(format!("`{name}` is {kind}"));
        self.reading.report(error.help(format!("write it like `{examples}`")));
    }

    fn out_of_range(
        &self,
        span: Span,
        name: &str,
        shown: &str,
        min: impl std::fmt::Display,
        max: impl std::fmt::Display,
    ) {
        let error = format!("`{name}` is out of range: {shown}");
        self.reading.report(Diagnostic::error(span, error).label(format!("from {min} to {max}")));
    }
}
