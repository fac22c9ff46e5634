//! Operators of texts.

use serde_json::Value;

use super::Failure;
use super::javascript::{number, text};
use super::operator::Operator;

/// The longest text that is made, in bytes: an iteration could double it again and again.
const LONGEST: usize = 64 << 10;

/// Joins values. What is missing is left out only where all is known beforehand; flagd-core has it so.
pub(super) fn cat(values: &[Value], leaves_out: bool) -> Result<Value, Failure> {
    let kept = values.iter().filter(|value| !(leaves_out && value.is_null()));
    let text: String = kept.map(text).collect();
    if text.len() > LONGEST { Err(Failure::TooLong) } else { Ok(Value::String(text)) }
}

/// A part of a text, by UTF-16 units as JavaScript counts.
pub(super) fn substr(arguments: &[Value]) -> Result<Value, Failure> {
    let Some(Value::String(whole)) = arguments.first() else {
        return Err(Failure::Unfit("substr"));
    };
    let units: Vec<u16> = whole.encode_utf16().collect();
    let whole = |value: &Value| {
        let number = number(value);
        if number.is_nan() { 0 } else { number.trunc() as i64 }
    };
    let length = units.len() as i64;
    let from = arguments.get(1).map_or(0, whole);
    let from = if from < 0 { (length + from).max(0) } else { from.min(length) };
    let end = match arguments.get(2) {
        None => length,
        Some(count) => match whole(count) {
            count if count < 0 => length.saturating_add(count).max(from),
            count => from.saturating_add(count).min(length),
        },
    };
    let part = units.get(from as usize..end as usize).unwrap_or_default();
    Ok(Value::String(String::from_utf16_lossy(part)))
}

/// `starts_with` and `ends_with`: null where one is no text.
pub(super) fn has_end(operator: Operator, arguments: &[Value]) -> Value {
    let [Value::String(text), Value::String(part)] = arguments else { return Value::Null };
    Value::Bool(match operator {
        Operator::StartsWith => text.starts_with(part.as_str()),
        _ => text.ends_with(part.as_str()),
    })
}
