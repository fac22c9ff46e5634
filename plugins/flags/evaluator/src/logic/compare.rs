//! Equality and order.

use std::cmp::Ordering;

use serde_json::Value;

use super::Failure;
use super::javascript::{number, operand};
use super::operator::Operator;

/// Compares two values.
pub(super) fn holds(operator: Operator, one: &Value, other: &Value) -> Result<bool, Failure> {
    match operator {
        Operator::StrictEqual => return Ok(is_same(one, other)),
        Operator::StrictNotEqual => return Ok(!is_same(one, other)),
        _ => {}
    }
    let is_text = |value: &Value| matches!(value, Value::String(_) | Value::Null);
    if !(is_text(one) && is_text(other)) {
        let (one, other) = (operand(one)?, operand(other)?);
        return Ok(by_order(operator, one.partial_cmp(&other)));
    }
    Ok(match (operator, one, other) {
        (Operator::Equal, ..) => one == other,
        (Operator::NotEqual, ..) => one != other,
        (_, Value::String(one), Value::String(other)) => {
            by_order(operator, Some(one.encode_utf16().cmp(other.encode_utf16())))
        }
        _ => by_order(operator, number(one).partial_cmp(&number(other))),
    })
}

/// As [`holds`] with a variable on the right, whose type flagd-core does not compare with that of the left: what cannot be
/// compared is not equal, and neither less nor greater. So is it in JavaScript itself.
pub(super) fn holds_of_var(
    operator: Operator,
    one: &Value,
    other: &Value,
) -> Result<bool, Failure> {
    if matches!(operator, Operator::StrictEqual | Operator::StrictNotEqual) {
        return holds(operator, one, other);
    }
    if !matches!(other, Value::String(_)) {
        operand(other)?;
    }
    let is_equality = matches!(operator, Operator::Equal | Operator::NotEqual);
    let list = match one {
        Value::Array(_) | Value::Object(_) => Some(Value::String(super::javascript::text(one))),
        _ => None,
    };
    let one = list.as_ref().unwrap_or(one);
    Ok(match (one, other) {
        (Value::String(_), Value::String(_)) | (Value::Null, Value::Null) => {
            return holds(operator, one, other);
        }
        (Value::Null, _) | (_, Value::Null) if is_equality => operator == Operator::NotEqual,
        _ => by_order(operator, number(one).partial_cmp(&number(other))),
    })
}

fn by_order(operator: Operator, order: Option<Ordering>) -> bool {
    let Some(order) = order else { return operator == Operator::NotEqual };
    match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        _ => order.is_ge(),
    }
}

/// `===`: two lists or objects are never the same one.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(_) | Value::Object(_), _) => false,
        _ => one == other,
    }
}

/// Whether a list has an element, or a text a part.
pub(super) fn contains(all: &Value, one: &Value) -> Result<bool, Failure> {
    match all {
        Value::Array(items) => Ok(items.iter().any(|item| is_same(item, one))),
        Value::String(text) if text.is_empty() => Ok(false),
        Value::String(text) => Ok(text.contains(&super::javascript::text(one))),
        other if super::javascript::is_true(other) || matches!(other, Value::Object(_)) => {
            Err(Failure::Unfit("in"))
        }
        _ => Ok(false),
    }
}
