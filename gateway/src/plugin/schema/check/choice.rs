//! Types and listed values.
//!
//! Owns what is said to a value that is of none of the types, or none of the values, that are
//! wanted.

use serde_json::Value;

use super::scalar::same;
use super::{Done, Exhausted, Keywords, Walk};
use crate::config::closest_value;
use crate::plugin::schema::messages::{Fault, kind, list, one_of, shown, type_name};
use crate::plugin::schema::peek;

/// Keys of a table that are listed where something else is in its place.
const FEW: usize = 8;

/// The number that a text with a unit of bytes means, as in `32MiB`.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim() {
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// How to write a table of these keys, where a text or a number is in its place.
pub(in crate::plugin::schema) fn table_of(
    wanted: &[&str],
    keys: Option<&Value>,
    value: &Value,
) -> Option<String> {
    let is_table = wanted.iter().all(|name| matches!(*name, "object" | "null"));
    let keys = keys.and_then(Value::as_object)?;
    let is_plain = value.is_string() || value.is_number();
    if !is_table || !is_plain || !(1..=FEW).contains(&keys.len()) {
        return None;
    }
    let keys = keys.keys().map(|key| format!("`{key}`")).collect();
    Some(format!("write a table, `{{ ... }}`, with {}", one_of(keys)))
}

impl<'s> Walk<'s, '_> {
    pub(super) fn type_fits(
        &mut self,
        keywords: &'s Keywords,
        value: &Value,
    ) -> Result<bool, Exhausted> {
        let wanted: Vec<&str> = match keywords.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => return Ok(true),
        };
        if wanted.iter().any(|name| peek::admits(name, value)) {
            return Ok(true);
        }
        let is_duration = match keywords.get("pattern").and_then(Value::as_str) {
            Some(pattern) if value.is_number() => self.is_duration(pattern)?,
            _ => false,
        };
        let more = match value {
            Value::Number(number) if is_duration => {
                Some(format!("write it with its unit, as in `\"{number}s\"`"))
            }
            _ => table_of(&wanted, keywords.get("properties"), value),
        };
        self.wrong_type_with(&wanted, value, more)?;
        Ok(false)
    }

    /// Says which types were wanted and what is there.
    /// `help` goes before what the types alone say.
    pub(in crate::plugin::schema) fn wrong_type_with(
        &mut self,
        wanted: &[&str],
        value: &Value,
        help: Option<String>,
    ) -> Done {
        let names: Vec<_> = wanted.iter().filter(|name| **name != "null").collect();
        let expected = one_of(names.iter().map(|name| type_name(name).to_owned()).collect());
        let found = kind(value);
        let message = format!("{} must be {expected}, but this is {found}", self.name());
        let text = value.as_str().filter(|_| !self.is_filled());
        let help = help.or_else(|| match (text, value) {
            (Some(text), _) if wanted.contains(&"integer") && text.parse::<i64>().is_ok() => {
                Some(format!("write `{text}` without quotes"))
            }
            (Some(text @ ("true" | "false")), _) if wanted.contains(&"boolean") => {
                Some(format!("write `{text}` without quotes"))
            }
            (Some(text), _) if names == [&"integer"] && bytes(text).is_some() => {
                bytes(text).map(|bytes| format!("write `{bytes}`"))
            }
            (Some("yes" | "no" | "on" | "off"), _) if names == [&"boolean"] => {
                Some("write `true` or `false`".to_owned())
            }
            (None, Value::Number(number)) if names == [&"string"] => {
                Some(format!("write `\"{number}\"`"))
            }
            (_, Value::String(_) | Value::Number(_)) if names == [&"array"] => {
                Some("put it into `[` and `]`".to_owned())
            }
            _ => None,
        });
        let fault = Fault::new(self.pointer(), message).label(format!("expected {expected}"));
        self.tell(fault.help(help))
    }

    pub(super) fn is_listed(
        &mut self,
        keywords: &'s Keywords,
        value: &Value,
    ) -> Result<bool, Exhausted> {
        let choices: Vec<&Value> = match (keywords.get("const"), keywords.get("enum")) {
            (Some(choice), _) => vec![choice],
            (None, Some(choices)) => choices.as_array().into_iter().flatten().collect(),
            (None, None) => return Ok(true),
        };
        self.spend(choices.len())?;
        if choices.iter().any(|choice| same(choice, value)) {
            return Ok(true);
        }
        self.no_choice(&choices, value, &[])?;
        Ok(false)
    }

    /// Says which values were wanted; some are described in words.
    pub(in crate::plugin::schema) fn no_choice(
        &mut self,
        choices: &[&Value],
        value: &Value,
        described: &[(&Value, &str)],
    ) -> Done {
        let choices: Vec<_> = choices.iter().filter(|choice| !choice.is_null()).collect();
        self.spend(choices.len())?;
        let what = match value {
            Value::Array(_) | Value::Object(_) => "this".to_owned(),
            Value::String(_) if self.is_filled() => "this".to_owned(),
            other => format!("`{}`", shown(other)),
        };
        let names: Vec<_> = choices.iter().map(|choice| shown(choice)).collect();
        let fault = Fault::new(self.pointer(), format!("{what} is no value of {}", self.name()));
        let fault = match &names[..] {
            [only] => fault.note(Some(format!("its only value is `{only}`"))),
            names => fault.note(list(names).map(|names| format!("its values are {names}"))),
        };
        let described: Vec<_> =
            described.iter().filter_map(|(value, about)| Some((value.as_str()?, *about))).collect();
        let suggestion = match value.as_str() {
            Some(text) if !self.is_filled() => {
                closest_value(text, choices.iter().filter_map(|choice| choice.as_str()), &described)
            }
            _ => None,
        };
        self.tell(fault.did_you_mean(suggestion))
    }
}
