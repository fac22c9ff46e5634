//! Operators of lists, and what is read of the context by a path.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::evaluate::Evaluator;
use super::javascript::{is_true, text};
use super::operator::Operator;
use super::{Failure, Node};

/// What is in a value at a path such as `a.b.0`; a backslash before a dot makes it a part of a name.
pub(super) fn at_path<'v>(value: &'v Value, path: &str) -> Option<Cow<'v, Value>> {
    let mut found = Cow::Borrowed(value);
    for step in steps(path) {
        found = match found {
            Cow::Borrowed(value) => member(value, &step)?,
            Cow::Owned(value) => Cow::Owned(member(&value, &step)?.into_owned()),
        };
    }
    Some(found)
}

fn member<'v>(value: &'v Value, step: &str) -> Option<Cow<'v, Value>> {
    match value {
        Value::Object(members) => members.get(step).map(Cow::Borrowed),
        Value::Array(items) if step == "length" => Some(Cow::Owned(items.len().into())),
        Value::Array(items) => index(step).and_then(|index| items.get(index)).map(Cow::Borrowed),
        Value::String(text) if step == "length" => {
            Some(Cow::Owned(text.encode_utf16().count().into()))
        }
        Value::String(text) => {
            let unit = text.encode_utf16().nth(index(step)?)?;
            Some(Cow::Owned(String::from_utf16_lossy(&[unit]).into()))
        }
        _ => None,
    }
}

fn index(step: &str) -> Option<usize> {
    step.parse().ok().filter(|index: &usize| index.to_string() == step)
}

fn steps(path: &str) -> Vec<String> {
    let (mut steps, mut step, mut letters) = (Vec::new(), String::new(), path.chars().peekable());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                step.push(letters.next_if(|next| matches!(next, '.' | '/' | '\\')).unwrap_or('\\'))
            }
            '.' => steps.push(std::mem::take(&mut step)),
            other => step.push(other),
        }
    }
    // A path of dots alone has as many steps as dots.
    if steps.len() != path.chars().count() {
        steps.push(step);
    }
    steps
}

/// Those of these paths at which there is nothing.
pub(super) fn missing(paths: &[Value], context: &Value) -> Vec<Value> {
    let is_missing = |path: &&Value| {
        let mut found = Cow::Borrowed(context);
        for step in steps(&text(path)) {
            // Nothing is looked for in what is nothing.
            if !(is_true(&found) || matches!(*found, Value::Array(_) | Value::Object(_))) {
                return true;
            }
            match member(&found, &step).map(Cow::into_owned) {
                Some(inner) => found = Cow::Owned(inner),
                None => return true,
            }
        }
        false
    };
    paths.iter().filter(is_missing).cloned().collect()
}

/// The longest list that is made.
const LONGEST: usize = 32 << 10;

/// Lists are taken apart, once.
pub(super) fn merge(values: Vec<Value>) -> Result<Value, Failure> {
    let mut all = Vec::new();
    for value in values {
        match value {
            Value::Array(items) => all.extend(items),
            other => all.push(other),
        }
    }
    if all.len() > LONGEST { Err(Failure::TooLong) } else { Ok(Value::Array(all)) }
}

impl Evaluator {
    /// `map`, `filter`, `some`, `all`, `none` and `reduce`.
    pub(super) fn iterate(
        &mut self,
        operator: Operator,
        nodes: &[Node],
        context: &Value,
    ) -> Result<Value, Failure> {
        let [selector, mapper, rest @ ..] = nodes else {
            return Err(Failure::Unfit(operator.name()));
        };
        let selected = self.value(selector, context)?;
        let is_asked = matches!(operator, Operator::Some | Operator::None | Operator::All);
        let letters: Vec<Value>;
        let items = match &*selected {
            Value::Array(items) => items.as_slice(),
            // By their length, as flagd-core has it: a text is its letters, and anything else is empty.
            Value::String(text) if self.is_plain && is_asked => {
                letters = text.chars().map(|letter| letter.to_string().into()).collect();
                &letters
            }
            _ if self.is_plain && is_asked => &[],
            // Only where all is known beforehand nothing is not all; flagd-core has it so.
            other if !is_true(other) && !matches!(other, Value::Object(_)) => &[],
            _ => return Err(Failure::Unfit(operator.name())),
        };
        match operator {
            Operator::Map => {
                let mapped = items.iter().map(|item| self.value(mapper, item).map(Cow::into_owned));
                mapped.collect::<Result<Vec<_>, _>>().map(Value::Array)
            }
            Operator::Filter => {
                let mut kept = Vec::new();
                for item in items {
                    if is_true(&*self.value(mapper, item)?) {
                        kept.push(item.clone());
                    }
                }
                Ok(Value::Array(kept))
            }
            Operator::Reduce => {
                let start = rest.first().map(|start| self.value(start, context)).transpose()?;
                self.reduce(items, mapper, start.map(Cow::into_owned))
            }
            Operator::All => {
                let is_nothing = selected.is_array() || !is_true(&selected);
                if items.is_empty() && (selected.is_array() || (self.is_plain && is_nothing)) {
                    return Ok(Value::Bool(false));
                }
                for item in items {
                    if !is_true(&*self.value(mapper, item)?) {
                        return Ok(Value::Bool(false));
                    }
                }
                Ok(Value::Bool(true))
            }
            _ => {
                for item in items {
                    if is_true(&*self.value(mapper, item)?) {
                        return Ok(Value::Bool(operator == Operator::Some));
                    }
                }
                Ok(Value::Bool(operator != Operator::Some))
            }
        }
    }

    fn reduce(
        &mut self,
        items: &[Value],
        mapper: &Node,
        start: Option<Value>,
    ) -> Result<Value, Failure> {
        let mut items = items.iter();
        let mut accumulator = match start {
            Some(start) => flat(start)?,
            None => items.next().cloned().ok_or(Failure::Unfit("reduce"))?,
        };
        for item in items {
            let mut scope = Map::new();
            scope.insert("accumulator".to_owned(), accumulator);
            scope.insert("current".to_owned(), item.clone());
            let scope = Value::Object(scope);
            accumulator = flat(self.value(mapper, &scope)?.into_owned())?;
        }
        Ok(accumulator)
    }
}

/// What is accumulated does not grow inwards.
fn flat(value: Value) -> Result<Value, Failure> {
    let is_nested = |inner: &Value| matches!(inner, Value::Array(_) | Value::Object(_));
    let is_deep = match &value {
        Value::Array(items) => items.iter().any(is_nested),
        Value::Object(members) => members.values().any(is_nested),
        _ => false,
    };
    if is_deep { Err(Failure::Unfit("reduce")) } else { Ok(value) }
}
