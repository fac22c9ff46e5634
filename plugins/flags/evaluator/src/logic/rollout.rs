//! What flagd adds: `fractional` and `sem_ver`.

use serde_json::Value;

use super::javascript::text;
use super::{FLAGD, Node};
use crate::hash::murmur3;
use crate::version::Version;

/// How versions are compared.
pub(super) const COMPARISONS: [&str; 8] = ["=", "!=", "<", "<=", ">", ">=", "^", "~"];

/// The largest sum of weights.
const MOST_WEIGHT: u64 = i32::MAX as u64;

/// The variant of who is evaluated for. The hash of its key, as a part of all hashes, is a place on the row of weights.
/// Null where it cannot be told.
pub(super) fn fractional(arguments: &[Value], context: &Value) -> Value {
    assigned(arguments, context).unwrap_or(Value::Null)
}

fn assigned(arguments: &[Value], context: &Value) -> Option<Value> {
    let flagd = context.get(FLAGD)?;
    let (key, buckets) = match arguments {
        [Value::String(key), buckets @ ..] => (key.clone(), buckets),
        buckets => {
            let who = context.get("targetingKey").filter(|key| super::javascript::is_true(key))?;
            (format!("{}{}", text(flagd.get("flagKey")?), text(who)), buckets)
        }
    };
    let buckets: Vec<(Value, u64)> = buckets.iter().map(bucket).collect::<Option<_>>()?;
    let sum = buckets.iter().try_fold(0_u64, |sum, (_, weight)| sum.checked_add(*weight))?;
    if sum > MOST_WEIGHT {
        return None;
    }
    let place = (u64::from(murmur3(key.as_bytes(), 0)) * sum) >> 32;
    let mut end = 0;
    buckets.into_iter().find_map(|(variant, weight)| {
        end += weight;
        (end > place).then_some(variant)
    })
}

fn bucket(entry: &Value) -> Option<(Value, u64)> {
    let entry = entry.as_array()?;
    let variant = match entry.first()? {
        Value::Array(_) | Value::Object(_) => return None,
        variant => variant.clone(),
    };
    let weight = match entry.get(1) {
        None => 1,
        Some(weight) => whole(weight)?,
    };
    (entry.len() <= 2).then_some((variant, weight))
}

/// A whole number; one below zero is zero, since weights may be computed.
fn whole(weight: &Value) -> Option<u64> {
    let number = weight.as_f64().filter(|_| weight.is_number())?;
    (number.fract() == 0.0).then(|| number.max(0.0) as u64)
}

/// What is wrong with buckets that are written.
pub(super) fn wrong(nodes: &[Node]) -> Option<String> {
    let mut sum = Some(0_u64);
    let first = nodes.first()?;
    let is_bucket = |node: &Node| matches!(node, Node::List(_) | Node::Value(Value::Array(_)));
    let buckets = if is_bucket(first) { nodes } else { &nodes[1..] };
    if buckets.is_empty() {
        return Some("\"fractional\" has no buckets such as [\"on\", 50]".to_owned());
    }
    for node in buckets {
        match node {
            Node::Value(Value::Array(entry)) => {
                let Some((_, weight)) = bucket(&Value::Array(entry.clone())) else {
                    let written = Value::Array(entry.clone());
                    return Some(format!(
                        "{written} is no bucket such as [\"on\", 50], with a whole number"
                    ));
                };
                sum = sum.and_then(|sum| sum.checked_add(weight));
            }
            Node::Value(other) => {
                return Some(format!("{other} is no bucket such as [\"on\", 50]"));
            }
            Node::List(_) | Node::Call(_) => return None,
        }
    }
    match sum {
        Some(0) => {
            Some("the weights of \"fractional\" sum to 0: nobody would have a variant".to_owned())
        }
        Some(sum) if sum <= MOST_WEIGHT => None,
        _ => Some(format!("the weights of \"fractional\" sum to more than {MOST_WEIGHT}")),
    }
}

/// Whether the first version is to the second as is said. Null where one is no version.
pub(super) fn sem_ver(arguments: &[Value]) -> Value {
    let [one, comparison, other] = arguments else { return Value::Null };
    let (Some(one), Some(other)) = (Version::parse(&text(one)), Version::parse(&text(other)))
    else {
        return Value::Null;
    };
    let order = one.order(&other);
    Value::Bool(match text(comparison).as_str() {
        "=" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        "^" => one.major == other.major,
        "~" => (one.major, one.minor) == (other.major, other.minor),
        _ => return Value::Null,
    })
}
