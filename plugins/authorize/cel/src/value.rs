//! Values, when they are equal, and which is less.

use std::cmp::Ordering;
use std::rc::Rc;

use ipnet::IpNet;

use super::types::Type;
use super::variables::Source;

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Rc<str>),
    List(Rc<[Value]>),
    /// In the order in which it was written; keys are unique.
    Map(Rc<[(Value, Value)]>),
    /// Nanoseconds since 1970.
    Time(i128),
    /// Nanoseconds.
    Duration(i128),
    Network(IpNet),
    /// A claim as `auth` passes it on: a text as it is, anything else as JSON. Which of the two it is
    /// follows from what it is used as.
    Claim(Rc<str>),
    /// A map of the request that is looked up key by key.
    Source(Source),
}

impl Value {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn found_type(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Uint(_) => Type::Uint,
            Self::Double(_) => Type::Double,
            Self::Text(_) => Type::Text,
            Self::List(_) => Type::List,
            Self::Map(_) | Self::Source(_) => Type::Map,
            Self::Time(_) => Type::Time,
            Self::Duration(_) => Type::Duration,
            Self::Network(_) => Type::Network,
            Self::Claim(_) => Type::Any,
        }
    }

    /// The value that is no claim: what the JSON of one says, or else its text.
    pub(crate) fn plain(self) -> Self {
        match self {
            Self::Claim(text) => match serde_json::from_str(&text) {
                Ok(json) => from_json(json),
                Err(_) => Self::Text(text),
            },
            other => other,
        }
    }

    /// The value that is no claim, in an operation with another one: a text beside a text.
    pub(crate) fn plain_beside(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Claim(text), Self::Text(_) | Self::Claim(_)) => Self::Text(Rc::clone(text)),
            _ => self.clone().plain(),
        }
    }

    /// The value as one of this type, if it is one.
    pub(crate) fn fit(&self, wanted: Type) -> Option<Self> {
        match (self, wanted) {
            (_, Type::Any) => Some(self.clone()),
            (Self::Claim(text), Type::Text) => Some(Self::Text(Rc::clone(text))),
            (Self::Claim(_), _) => {
                Some(self.clone().plain()).filter(|it| it.found_type() == wanted)
            }
            _ => (self.found_type() == wanted).then(|| self.clone()),
        }
    }

    /// Whether two values are the same; values of different types never are, but for numbers.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Claim(left) | Self::Text(left), Self::Claim(right) | Self::Text(right)) => {
                left == right
            }
            (Self::Claim(_), _) => self.clone().plain().equals(other),
            (_, Self::Claim(_)) => self.equals(&other.clone().plain()),
            (Self::Null, Self::Null) => true,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::Time(left), Self::Time(right))
            | (Self::Duration(left), Self::Duration(right)) => left == right,
            (Self::Network(left), Self::Network(right)) => left == right,
            (Self::List(left), Self::List(right)) => {
                left.len() == right.len() && left.iter().zip(right.iter()).all(|(a, b)| a.equals(b))
            }
            (Self::Map(left), Self::Map(right)) => {
                let has = |(key, value): &(Self, Self)| {
                    lookup(right, key).is_some_and(|other| value.equals(other))
                };
                left.len() == right.len() && left.iter().all(has)
            }
            _ => compare_numbers(self, other) == Some(Ordering::Equal),
        }
    }

    /// Which of two values is less; `None` if that is not known of their types.
    pub(crate) fn order(&self, other: &Self) -> Option<Ordering> {
        let (left, right) = match (self, other) {
            (Self::Claim(left), Self::Text(_) | Self::Claim(_)) => {
                return Self::Text(Rc::clone(left)).order(other);
            }
            (Self::Text(_), Self::Claim(right)) => {
                return self.order(&Self::Text(Rc::clone(right)));
            }
            (Self::Claim(_), _) => (self.clone().plain(), other.clone()),
            (_, Self::Claim(_)) => (self.clone(), other.clone().plain()),
            (left, right) => (left.clone(), right.clone()),
        };
        match (&left, &right) {
            (Self::Bool(left), Self::Bool(right)) => Some(left.cmp(right)),
            (Self::Text(left), Self::Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
            (Self::Time(left), Self::Time(right))
            | (Self::Duration(left), Self::Duration(right)) => Some(left.cmp(right)),
            _ => compare_numbers(&left, &right),
        }
    }
}

/// The value of a key.
pub(crate) fn lookup<'a>(entries: &'a [(Value, Value)], key: &Value) -> Option<&'a Value> {
    entries.iter().find(|(other, _)| other.equals(key)).map(|(_, value)| value)
}

/// Compares numbers of all kinds by what they are worth; `None` where one is no number.
fn compare_numbers(left: &Value, right: &Value) -> Option<Ordering> {
    let whole = |value: &Value| match value {
        Value::Int(number) => Some(i128::from(*number)),
        Value::Uint(number) => Some(i128::from(*number)),
        _ => None,
    };
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        (Some(left), None) => match right {
            Value::Double(right) => compare_whole(left, *right),
            _ => None,
        },
        (None, Some(right)) => match left {
            Value::Double(left) => compare_whole(right, *left).map(Ordering::reverse),
            _ => None,
        },
        (None, None) => match (left, right) {
            (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
            _ => None,
        },
    }
}

/// Whole numbers have up to 64 bits, of which a `f64` keeps 53: rounding would make different numbers equal.
fn compare_whole(whole: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Numbers beyond are beyond all that have 64 bits.
    #[expect(clippy::cast_possible_truncation, reason = "the conversion saturates, as is wanted")]
    let floor = double.floor() as i128;
    let order = whole.cmp(&floor);
    Some(if order == Ordering::Equal && double.fract() != 0.0 { Ordering::Less } else { order })
}

/// A value of JSON. What is no whole number of 64 bits is one with a fraction.
pub(crate) fn from_json(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(flag) => Value::Bool(flag),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(number)) => Value::Uint(number),
            (None, None) => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::Text(text.into()),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(from_json).collect()),
        serde_json::Value::Object(members) => Value::Map(
            members
                .into_iter()
                .map(|(key, value)| (Value::Text(key.into()), from_json(value)))
                .collect(),
        ),
    }
}
