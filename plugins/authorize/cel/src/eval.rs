//! Finds the value of an expression for a request.

use super::Fault;
use super::ast::{Expr, Fold, FoldKind, Kind, Operator};
use super::functions::{Function, contains};
use super::operators;
use super::types::Type;
use super::value::{Value, lookup};
use super::variables::{Facts, Known, Source};

/// How many parts are looked at for one request, at most: macros in macros take long.
const MAX_STEPS: u32 = 200_000;

/// Evaluates expressions for one request.
pub struct Evaluator<'a> {
    known: Known<'a>,
    locals: Vec<Value>,
    steps: u32,
}

impl<'a> Evaluator<'a> {
    /// For the facts of a request.
    pub fn new(facts: &'a dyn Facts) -> Self {
        Self { known: Known::new(facts), locals: Vec::new(), steps: 0 }
    }

    /// Whether an expression is true.
    pub(crate) fn condition(&mut self, expr: &Expr) -> Result<bool, Fault> {
        let value = self.value(expr)?;
        match value.fit(Type::Bool) {
            Some(Value::Bool(flag)) => Ok(flag),
            _ => {
                let found = value.plain().found_type();
                Err(Fault::new(expr.at, format!("it is {found}, and neither true nor false")))
            }
        }
    }

    /// A part whose whole value is used.
    pub(crate) fn value(&mut self, expr: &Expr) -> Result<Value, Fault> {
        match self.place(expr)? {
            Value::Source(source) => {
                let keys = self.known.keys(source).unwrap_or_default();
                let mut entries = Vec::new();
                for key in keys {
                    let value = self.look_up(source, &key, expr.at)?;
                    entries.extend(value.map(|value| (key, value)));
                }
                Ok(Value::Map(entries.into()))
            }
            value => Ok(value),
        }
    }

    /// A part of which a key may be looked up.
    fn place(&mut self, expr: &Expr) -> Result<Value, Fault> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(Fault::new(expr.at, "it takes too many steps"));
        }
        let at = expr.at;
        match &expr.kind {
            Kind::Literal(value) => Ok(value.clone()),
            Kind::Variable(variable) => {
                self.known.value(*variable).map_err(|message| Fault::new(at, message))
            }
            Kind::Local(index) => Ok(self.locals.get(*index).cloned().unwrap_or(Value::Null)),
            Kind::Select(operand, field) => {
                let operand = self.place(operand)?;
                self.member(operand, &Value::text(field), at)
            }
            Kind::Index(operand, index) => {
                let operand = self.place(operand)?;
                let index = self.value(index)?;
                self.member(operand, &index, at)
            }
            Kind::Has(operand, field) => {
                let operand = self.place(operand)?;
                self.has(operand, &Value::text(field), at).map(Value::Bool)
            }
            Kind::HasVariable(variable) => Ok(Value::Bool(self.known.value(*variable).is_ok())),
            Kind::Apply(candidates, arguments) => self.call(candidates, arguments, at),
            Kind::Matches(text, regex) => {
                let value = self.value(text)?;
                match value.fit(Type::Text) {
                    Some(Value::Text(text)) => Ok(Value::Bool(regex.is_match(&text))),
                    _ => Err(Fault::new(
                        at,
                        format!("`matches` takes a text, not {}", value.found_type()),
                    )),
                }
            }
            Kind::Not(operand) => Ok(Value::Bool(!self.condition(operand)?)),
            Kind::Negate(operand) => match self.value(operand)?.plain() {
                Value::Int(number) => number
                    .checked_neg()
                    .map(Value::Int)
                    .ok_or_else(|| Fault::new(at, "the result does not fit")),
                Value::Double(number) => Ok(Value::Double(-number)),
                other => {
                    Err(Fault::new(at, format!("`-` takes a number, not {}", other.found_type())))
                }
            },
            Kind::And(operands) => self.either(operands, false),
            Kind::Or(operands) => self.either(operands, true),
            Kind::Choose(parts) => {
                let [condition, chosen, other] = &**parts;
                let taken = if self.condition(condition)? { chosen } else { other };
                self.value(taken)
            }
            Kind::Binary(Operator::In, operands) => {
                let [item, place] = &**operands;
                let item = self.value(item)?;
                let place = self.place(place)?;
                self.is_in(&item, place, at).map(Value::Bool)
            }
            Kind::Binary(operator, operands) => {
                let [left, right] = &**operands;
                let (left, right) = (self.value(left)?, self.value(right)?);
                operators::apply(*operator, left, right).map_err(|message| Fault::new(at, message))
            }
            Kind::List(items) => {
                let items: Result<Vec<_>, _> = items.iter().map(|item| self.value(item)).collect();
                Ok(Value::List(items?.into()))
            }
            Kind::Map(parts) => {
                let mut entries: Vec<(Value, Value)> = Vec::new();
                for (key, value) in parts {
                    let (at, key) = (key.at, self.value(key)?.plain());
                    if lookup(&entries, &key).is_some() {
                        return Err(Fault::new(at, "the map has this key already"));
                    }
                    let value = self.value(value)?;
                    entries.push((key, value));
                }
                Ok(Value::Map(entries.into()))
            }
            Kind::Fold(fold) => {
                let depth = self.locals.len();
                let result = self.fold(fold, at);
                self.locals.truncate(depth);
                result
            }
            // Neither is left in an expression that was checked.
            Kind::Name(_) | Kind::Call { .. } => Err(Fault::new(at, "the name is not known")),
        }
    }

    /// `&&` and `||`: one operand can decide, whatever becomes of the others.
    fn either(&mut self, operands: &[Expr], deciding: bool) -> Result<Value, Fault> {
        let mut failed = None;
        for operand in operands {
            match self.condition(operand) {
                Ok(value) if value == deciding => return Ok(Value::Bool(deciding)),
                Ok(_) => {}
                Err(fault) => failed = failed.or(Some(fault)),
            }
        }
        failed.map_or(Ok(Value::Bool(!deciding)), Err)
    }

    fn look_up(&self, source: Source, key: &Value, at: usize) -> Result<Option<Value>, Fault> {
        let Some(Value::Text(key)) = key.fit(Type::Text) else { return Ok(None) };
        self.known.look_up(source, &key).map_err(|message| Fault::new(at, message))
    }

    /// The value of a key, or of a place in a list.
    fn member(&mut self, operand: Value, key: &Value, at: usize) -> Result<Value, Fault> {
        match operand.plain() {
            Value::Source(source) => {
                let found = self.look_up(source, key, at)?;
                found.ok_or_else(|| Fault::new(at, missing(source, key)))
            }
            Value::Map(entries) => {
                let found = lookup(&entries, key).cloned();
                found.ok_or_else(|| Fault::new(at, format!("there is no {}", told(key))))
            }
            Value::List(items) => {
                let index = match key.clone().plain() {
                    Value::Int(index) => usize::try_from(index).ok(),
                    Value::Uint(index) => usize::try_from(index).ok(),
                    other => {
                        let found = other.found_type();
                        return Err(Fault::new(
                            at,
                            format!("a list is read by number, not by {found}"),
                        ));
                    }
                };
                let item = index.and_then(|index| items.get(index)).cloned();
                item.ok_or_else(|| Fault::new(at, "the list has no such place"))
            }
            other => Err(Fault::new(at, format!("{} has no parts", other.found_type()))),
        }
    }

    fn has(&mut self, operand: Value, key: &Value, at: usize) -> Result<bool, Fault> {
        match operand.plain() {
            Value::Source(source) => Ok(self.look_up(source, key, at)?.is_some()),
            Value::Map(entries) => Ok(lookup(&entries, key).is_some()),
            other => Err(Fault::new(at, format!("{} has no fields", other.found_type()))),
        }
    }

    fn is_in(&mut self, item: &Value, place: Value, at: usize) -> Result<bool, Fault> {
        match place.plain() {
            Value::List(items) => Ok(items.iter().any(|other| item.equals(other))),
            Value::Network(network) => match item.fit(Type::Text) {
                Some(Value::Text(address)) => {
                    let held = contains(&Value::Network(network), &address);
                    held.map(|held| matches!(held, Value::Bool(true)))
                        .map_err(|message| Fault::new(at, message))
                }
                _ => Err(Fault::new(at, "an address is a text")),
            },
            map @ (Value::Map(_) | Value::Source(_)) => self.has(map, item, at),
            other => Err(Fault::new(at, format!("nothing is in {}", other.found_type()))),
        }
    }

    fn call(
        &mut self,
        candidates: &[&'static Function],
        arguments: &[Expr],
        at: usize,
    ) -> Result<Value, Fault> {
        let values: Result<Vec<_>, _> = arguments.iter().map(|it| self.value(it)).collect();
        let values = values?;
        let fitted = |function: &Function| -> Option<Vec<Value>> {
            function.arguments.iter().zip(&values).map(|(wanted, it)| it.fit(*wanted)).collect()
        };
        for function in candidates {
            if let Some(values) = fitted(function) {
                return (function.call)(&values).map_err(|message| Fault::new(at, message));
            }
        }
        let name = candidates.first().map_or("", |it| it.name);
        let types: Vec<_> =
            values.into_iter().map(|it| it.plain().found_type().to_string()).collect();
        Err(Fault::new(at, format!("`{name}` does not take {}", types.join(", "))))
    }

    fn fold(&mut self, fold: &Fold, at: usize) -> Result<Value, Fault> {
        let items = match self.value(&fold.over)?.plain() {
            Value::List(items) => items,
            Value::Map(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
            other => {
                let found = other.found_type();
                return Err(Fault::new(
                    at,
                    format!("a list or a map is gone through, not {found}"),
                ));
            }
        };
        let depth = self.locals.len();
        let (mut kept, mut count, mut failed) = (Vec::new(), 0_usize, None);
        for item in items.iter() {
            self.locals.truncate(depth);
            self.locals.push(item.clone());
            match fold.kind {
                // One item can decide, whatever becomes of the others.
                FoldKind::All | FoldKind::Exists => {
                    let deciding = fold.kind == FoldKind::Exists;
                    match self.condition(&fold.body) {
                        Ok(value) if value == deciding => return Ok(Value::Bool(deciding)),
                        Ok(_) => {}
                        Err(fault) => failed = failed.or(Some(fault)),
                    }
                }
                FoldKind::ExistsOne => count += usize::from(self.condition(&fold.body)?),
                FoldKind::Filter => {
                    if self.condition(&fold.body)? {
                        kept.push(item.clone());
                    }
                }
                FoldKind::Map => {
                    let is_wanted = match &fold.which {
                        Some(which) => self.condition(which)?,
                        None => true,
                    };
                    if is_wanted {
                        let value = self.value(&fold.body)?;
                        kept.push(value);
                    }
                }
            }
        }
        match (fold.kind, failed) {
            (_, Some(fault)) => Err(fault),
            (FoldKind::All, None) => Ok(Value::Bool(true)),
            (FoldKind::Exists, None) => Ok(Value::Bool(false)),
            (FoldKind::ExistsOne, None) => Ok(Value::Bool(count == 1)),
            (FoldKind::Filter | FoldKind::Map, None) => Ok(Value::List(kept.into())),
        }
    }
}

/// A key as it is told of.
fn told(key: &Value) -> String {
    match key {
        Value::Text(text) if text.len() <= 64 => format!("`{text}`"),
        _ => "such key".to_owned(),
    }
}

fn missing(source: Source, key: &Value) -> String {
    let key = told(key);
    match source {
        Source::Query => format!("the query has no {key}"),
        Source::Headers => format!("there is no header field {key}"),
        Source::Claims => {
            format!("there is no claim {key}; `auth` passes on those of `claims_to_attributes`")
        }
        Source::Captures => format!("the route's path has no capture {key}"),
        Source::Attributes => format!("there is no attribute {key}"),
    }
}
