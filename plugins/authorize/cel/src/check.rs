//! Resolves the names and calls of an expression, finds its types, and notes what it reads.
//!
//! What is wrong is found here, when the configuration is read, as far as it can be known without a
//! request; all of it at once.

use std::collections::BTreeSet;
use std::mem;

use regex_lite::RegexBuilder;

use super::Fault;
use super::ast::{Expr, Fold, FoldKind, Kind, Operator};
use super::functions::{FUNCTIONS, Function, zone};
use super::operators;
use super::types::Type;
use super::value::Value;
use super::variables::{Source, VARIABLES, Variable};

/// What expressions read of a request.
#[derive(Debug, Default)]
pub struct Reads {
    /// The method.
    pub method: bool,
    /// The path.
    pub path: bool,
    /// The query.
    pub query: bool,
    /// The time.
    pub time: bool,
    /// Header fields, in lower case.
    pub headers: BTreeSet<String>,
    /// Attributes.
    pub attributes: BTreeSet<String>,
    /// Whether it is known with the request only what else is read.
    pub is_dynamic: bool,
}

/// Bytes of a compiled pattern, at most.
const MAX_PATTERN: usize = 256 << 10;

/// Checks an expression; all that is wrong is told.
pub(crate) fn check(expression: &mut Expr, reads: &mut Reads) -> (Type, Vec<Fault>) {
    let mut checker = Checker { reads, faults: Vec::new(), locals: Vec::new() };
    let found = checker.value(expression);
    (found, checker.faults)
}

struct Checker<'a> {
    reads: &'a mut Reads,
    faults: Vec<Fault>,
    /// The names that macros give, the innermost last.
    locals: Vec<String>,
}

impl Checker<'_> {
    fn fault(&mut self, at: usize, message: impl Into<String>) -> Type {
        self.faults.push(Fault::new(at, message));
        Type::Any
    }

    /// Checks a part whose whole value is used.
    fn value(&mut self, expr: &mut Expr) -> Type {
        let found = self.place(expr);
        if let Kind::Variable(Variable::Source(source)) = expr.kind {
            if source.prefix().is_some() {
                let message = "this map cannot be listed; read it by name: `map.name`, `map[\"name\"]` \
                               or `\"name\" in map`";
                return self.fault(expr.at, message);
            }
            self.note_key(source, None, expr.at);
        }
        found
    }

    /// Checks a part of which a key may be looked up.
    fn place(&mut self, expr: &mut Expr) -> Type {
        let at = expr.at;
        let kind = mem::replace(&mut expr.kind, Kind::Literal(Value::Null));
        let (found, kind) = self.kind(at, kind);
        expr.kind = kind;
        found
    }

    fn kind(&mut self, at: usize, kind: Kind) -> (Type, Kind) {
        match kind {
            Kind::Literal(value) => (value.found_type(), Kind::Literal(value)),
            Kind::Name(name) => self.name(at, name),
            Kind::Select(operand, field) => self.select(at, operand, field),
            Kind::Has(operand, field) => self.has(at, operand, field),
            Kind::Index(operand, index) => self.index(at, operand, index),
            Kind::Call { name, is_member, arguments } => self.call(at, name, is_member, arguments),
            Kind::Not(mut operand) => {
                self.truth(&mut operand, "!");
                (Type::Bool, Kind::Not(operand))
            }
            Kind::Negate(mut operand) => {
                let found = self.value(&mut operand);
                let fits = matches!(found, Type::Int | Type::Double | Type::Any);
                let found = if fits {
                    found
                } else {
                    self.fault(at, format!("`-` takes a number, not {found}"))
                };
                (found, Kind::Negate(operand))
            }
            Kind::And(mut operands) => {
                operands.iter_mut().for_each(|it| self.truth(it, "&&"));
                (Type::Bool, Kind::And(operands))
            }
            Kind::Or(mut operands) => {
                operands.iter_mut().for_each(|it| self.truth(it, "||"));
                (Type::Bool, Kind::Or(operands))
            }
            Kind::Choose(mut parts) => {
                let [condition, chosen, other] = &mut *parts;
                self.truth(condition, "?");
                let (chosen, other) = (self.value(chosen), self.value(other));
                (if chosen == other { chosen } else { Type::Any }, Kind::Choose(parts))
            }
            Kind::Binary(operator, operands) => self.binary(at, operator, operands),
            Kind::List(mut items) => {
                items.iter_mut().for_each(|item| {
                    self.value(item);
                });
                (Type::List, Kind::List(items))
            }
            Kind::Map(mut entries) => {
                for (key, value) in &mut entries {
                    let found = self.value(key);
                    if !matches!(
                        found,
                        Type::Any | Type::Bool | Type::Int | Type::Uint | Type::Text
                    ) {
                        self.fault(key.at, format!("{found} is no key of a map"));
                    }
                    self.value(value);
                }
                (Type::Map, Kind::Map(entries))
            }
            Kind::Fold(fold) => self.fold(at, fold),
            Kind::Local(_)
            | Kind::Variable(_)
            | Kind::HasVariable(_)
            | Kind::Apply(..)
            | Kind::Matches(..) => (Type::Any, kind),
        }
    }

    fn truth(&mut self, expr: &mut Expr, operator: &str) {
        let found = self.value(expr);
        if !found.may_be(Type::Bool) {
            self.fault(expr.at, format!("`{operator}` wants true or false, not {found}"));
        }
    }

    fn name(&mut self, at: usize, name: String) -> (Type, Kind) {
        if let Some(index) = self.locals.iter().rposition(|local| *local == name) {
            return (Type::Any, Kind::Local(index));
        }
        match VARIABLES.iter().find(|(known, ..)| *known == name) {
            Some((_, variable, found)) => (*found, self.variable(*variable)),
            None => (self.fault(at, unknown(&name)), Kind::Name(name)),
        }
    }

    fn variable(&mut self, variable: Variable) -> Kind {
        match variable {
            Variable::Method => self.reads.method = true,
            Variable::Path => self.reads.path = true,
            Variable::Time => self.reads.time = true,
            Variable::Text(name) | Variable::Number(name) | Variable::Words(name) => {
                self.reads.attributes.insert(name.to_owned());
            }
            // Its keys are noted where they are named.
            Variable::Source(_) => {}
        }
        Kind::Variable(variable)
    }

    /// The name that a chain of selections spells, if it is one of a variable.
    fn spelled(&self, operand: &Expr, field: &str) -> Option<String> {
        let name = match &operand.kind {
            Kind::Name(name) if !self.locals.contains(name) => name.clone(),
            Kind::Select(operand, field) => self.spelled(operand, field)?,
            _ => return None,
        };
        Some(format!("{name}.{field}"))
    }

    fn select(&mut self, at: usize, mut operand: Box<Expr>, field: String) -> (Type, Kind) {
        if let Some(name) = self.spelled(&operand, &field) {
            if let Some((_, variable, found)) = VARIABLES.iter().find(|(it, ..)| *it == name) {
                return (*found, self.variable(*variable));
            }
            let is_within =
                |known: &str| name.strip_prefix(known).is_some_and(|rest| rest.starts_with('.'));
            if !VARIABLES.iter().any(|(known, ..)| is_within(known)) {
                let start = root_of(&operand).at;
                return (self.fault(start, unknown(&name)), Kind::Select(operand, field));
            }
        }
        let found = self.place(&mut operand);
        let found = self.key(at, &operand, found, Some(&field));
        (found, Kind::Select(operand, field))
    }

    fn has(&mut self, at: usize, operand: Box<Expr>, field: String) -> (Type, Kind) {
        let (_, kind) = self.select(at, operand, field);
        let kind = match kind {
            Kind::Select(operand, field) => Kind::Has(operand, field),
            Kind::Variable(variable) => Kind::HasVariable(variable),
            other => other,
        };
        (Type::Bool, kind)
    }

    fn index(&mut self, at: usize, mut operand: Box<Expr>, mut index: Box<Expr>) -> (Type, Kind) {
        let place = self.place(&mut operand);
        let key = self.value(&mut index);
        let found = match (&index.kind, place) {
            (Kind::Literal(Value::Text(key)), Type::Map | Type::Any) => {
                self.key(index.at, &operand, place, Some(key))
            }
            (_, Type::Map) => self.key(index.at, &operand, place, None),
            (_, Type::List)
                if !matches!(key, Type::Int | Type::Uint | Type::Double | Type::Any) =>
            {
                self.fault(index.at, format!("a list is read by number, and not by {key}"))
            }
            (_, Type::List | Type::Any) => Type::Any,
            _ => self.fault(at, format!("{place} has no parts to read by `[...]`")),
        };
        (found, Kind::Index(operand, index))
    }

    /// Checks that a key can be looked up, and notes it.
    fn key(&mut self, at: usize, operand: &Expr, place: Type, key: Option<&str>) -> Type {
        if !matches!(place, Type::Map | Type::Any) {
            let message = match &operand.kind {
                Kind::Select(inner, first)
                    if matches!(
                        inner.kind,
                        Kind::Variable(Variable::Source(Source::Attributes))
                    ) =>
                {
                    let rest = key.unwrap_or_default();
                    format!(
                        "an attribute is a text; for this one write `attributes[\"{first}.{rest}\"]`"
                    )
                }
                _ => format!("{place} has no fields"),
            };
            return self.fault(at, message);
        }
        match operand.kind {
            Kind::Variable(Variable::Source(source)) => {
                self.note_key(source, key, at);
                source.values()
            }
            _ => Type::Any,
        }
    }

    fn note_key(&mut self, source: Source, key: Option<&str>, at: usize) {
        if source == Source::Query {
            self.reads.query = true;
            return;
        }
        let Some(key) = key else {
            self.reads.is_dynamic = true;
            return;
        };
        match source.prefix() {
            Some(prefix) => {
                self.reads.attributes.insert(format!("{prefix}{key}"));
            }
            None => {
                let lower = key.to_ascii_lowercase();
                if lower != key {
                    let message = format!("names of header fields are in lower case: `{lower}`");
                    self.fault(at, message);
                }
                self.reads.headers.insert(lower);
            }
        }
    }

    fn binary(
        &mut self,
        at: usize,
        operator: Operator,
        mut operands: Box<[Expr; 2]>,
    ) -> (Type, Kind) {
        let [left, right] = &mut *operands;
        let left_type = self.value(left);
        let right_type =
            if operator == Operator::In { self.place(right) } else { self.value(right) };
        if operator == Operator::In
            && let Kind::Variable(Variable::Source(source)) = right.kind
        {
            match &left.kind {
                Kind::Literal(Value::Text(key)) => self.note_key(source, Some(key), left.at),
                _ => self.note_key(source, None, left.at),
            }
        }
        let text = operator.text();
        let found = operators::result(operator, left_type, right_type).unwrap_or_else(|| {
            let message = match operator {
                Operator::Equal | Operator::NotEqual => {
                    let hint = if left_type == Type::List || right_type == Type::List {
                        "; a list is read as `list[0]` or `x in list`"
                    } else {
                        ""
                    };
                    format!("`{text}` compares {left_type} with {right_type}: they never are the same{hint}")
                }
                Operator::In => format!("`in` looks for {left_type} in {right_type}"),
                _ => format!("`{text}` does not take {left_type} and {right_type}"),
            };
            self.fault(at, message)
        });
        (found, Kind::Binary(operator, operands))
    }

    fn call(
        &mut self,
        at: usize,
        name: String,
        is_member: bool,
        mut arguments: Vec<Expr>,
    ) -> (Type, Kind) {
        let types: Vec<Type> = arguments.iter_mut().map(|it| self.value(it)).collect();
        if name == "matches" {
            return self.matches(at, arguments, &types);
        }
        let named: Vec<_> = FUNCTIONS.iter().filter(|it| it.name == name).collect();
        let written: Vec<_> = named.iter().filter(|it| it.is_member == is_member).collect();
        let fits = |wanted: &[Type]| {
            wanted.len() == types.len() && wanted.iter().zip(&types).all(|(a, b)| a.may_be(*b))
        };
        let candidates: Vec<_> =
            written.iter().filter(|it| fits(it.arguments)).map(|it| **it).collect();
        if candidates.is_empty() {
            let message = match (named.is_empty(), written.is_empty()) {
                (true, _) => unknown_function(&name),
                (false, true) if is_member => format!("`{name}` is called as `{name}(...)`"),
                (false, true) => format!("`{name}` is called on a value: `value.{name}(...)`"),
                (false, false) => {
                    let told: Vec<_> = types.iter().map(ToString::to_string).collect();
                    format!("`{name}` does not take {}", told.join(", "))
                }
            };
            let found = self.fault(at, message);
            return (found, Kind::Call { name, is_member, arguments });
        }
        if let [time, Expr { at: place, kind: Kind::Literal(Value::Text(text)) }] = &arguments[..]
            && literal(time).is_none()
            && name.starts_with("get")
            && let Err(message) = zone(text)
        {
            self.fault(*place, message);
        }
        let found = candidates[0].result;
        let found = if candidates.iter().all(|it| it.result == found) { found } else { Type::Any };
        // What is known now is found now, so that a network with a slip is found now too.
        let literals: Option<Vec<Value>> = arguments.iter().map(literal).collect();
        let fitting = literals.and_then(|literals| {
            let fits = |function: &&&Function| {
                function.arguments.iter().zip(&literals).all(|(a, b)| b.fit(*a).is_some())
            };
            candidates.iter().find(fits).map(|function| (function.call)(&literals))
        });
        match fitting {
            Some(Ok(value)) => return (found, Kind::Literal(value)),
            Some(Err(message)) => {
                let place = arguments.first().map_or(at, |it| it.at);
                return (self.fault(place, message), Kind::Literal(Value::Null));
            }
            None => {}
        }
        (found, Kind::Apply(candidates, arguments))
    }

    fn matches(&mut self, at: usize, mut arguments: Vec<Expr>, types: &[Type]) -> (Type, Kind) {
        let pattern = arguments.pop();
        let (Some(pattern), Some(text), true) = (pattern, arguments.pop(), arguments.is_empty())
        else {
            let found = self.fault(at, "`matches` takes a text and a pattern");
            return (found, Kind::Literal(Value::Null));
        };
        if !types.iter().all(|it| it.may_be(Type::Text)) {
            self.fault(at, format!("`matches` takes a text and a pattern, not {}", types[0]));
        }
        let Kind::Literal(Value::Text(written)) = &pattern.kind else {
            let message =
                "the pattern of `matches` is written here, as a text, so that it is checked now";
            return (self.fault(pattern.at, message), Kind::Literal(Value::Null));
        };
        match RegexBuilder::new(written).size_limit(MAX_PATTERN).build() {
            Ok(regex) => (Type::Bool, Kind::Matches(Box::new(text), Box::new(regex))),
            Err(error) => {
                let message = format!("`{written}` is no pattern: {error}");
                (self.fault(pattern.at, message), Kind::Literal(Value::Null))
            }
        }
    }

    fn fold(&mut self, at: usize, mut fold: Box<Fold>) -> (Type, Kind) {
        let over = self.value(&mut fold.over);
        if !matches!(over, Type::List | Type::Map | Type::Any) {
            self.fault(at, format!("a list or a map is gone through, not {over}"));
        }
        self.locals.push(fold.name.clone());
        if let Some(which) = &mut fold.which {
            self.truth(which, "map");
        }
        let found = match fold.kind {
            FoldKind::Map => {
                self.value(&mut fold.body);
                Type::List
            }
            FoldKind::Filter => {
                self.truth(&mut fold.body, "filter");
                Type::List
            }
            FoldKind::All | FoldKind::Exists | FoldKind::ExistsOne => {
                let name = if fold.kind == FoldKind::All { "all" } else { "exists" };
                self.truth(&mut fold.body, name);
                Type::Bool
            }
        };
        self.locals.pop();
        (found, Kind::Fold(fold))
    }
}

fn literal(expr: &Expr) -> Option<Value> {
    match &expr.kind {
        Kind::Literal(value) => Some(value.clone()),
        _ => None,
    }
}

fn root_of(expr: &Expr) -> &Expr {
    match &expr.kind {
        Kind::Select(operand, _) => root_of(operand),
        _ => expr,
    }
}

/// What is said of a name that is no variable's.
fn unknown(name: &str) -> String {
    let names = VARIABLES.iter().map(|(known, ..)| *known);
    let group = format!("{name}.");
    if names.clone().any(|known| known.starts_with(&group)) {
        let members: Vec<_> =
            names.filter(|it| it.starts_with(&group)).map(|it| format!("`{it}`")).collect();
        return format!("`{name}` is no variable by itself; there are {}", members.join(", "));
    }
    let short: String = name.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    let near = nearest(&short, names);
    let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    format!("there is no variable `{short}`{hint}")
}

fn unknown_function(name: &str) -> String {
    let names = FUNCTIONS
        .iter()
        .map(|it| it.name)
        .chain(["matches", "has", "all", "exists", "filter", "map"]);
    let hint =
        nearest(name, names).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    format!("there is no function `{name}`{hint}")
}

/// The name that is most like another, if any is like it.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likely = names.map(|known| (distance(name, known), known)).min()?;
    (likely.0 <= 1 + name.len() / 4).then_some(likely.1)
}

/// How many letters are to be changed, added or removed.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, letter) in left.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in right.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
