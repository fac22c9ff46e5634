//! Checks values, and tells every place that is wrong.
//!
//! Time and depth are bounded for any schema and value: a check that takes too long fails.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Id, Node, Schemas, Side, TYPE_NAMES, Types, type_of};
use crate::json::{Json, escape};

/// How deep schemas may be applied in each other.
const MAX_DEPTH: u32 = 256;
/// How many schemas are applied for one value, at most.
const MAX_STEPS: u32 = 500_000;
/// The longest pointer that is told, in bytes.
const MAX_POINTER: usize = 256;

/// A place that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// A JSON Pointer into the value.
    pub(crate) pointer: String,
    /// What it has to be. The value itself is never repeated.
    pub(crate) detail: String,
}

/// What other keywords looked at.
#[derive(Default)]
struct Seen {
    names: BTreeSet<String>,
    first: usize,
    items: BTreeSet<usize>,
}

impl Seen {
    fn join(&mut self, other: Self) {
        self.names.extend(other.names);
        self.first = self.first.max(other.first);
        self.items.extend(other.items);
    }
}

/// Checks one value.
pub(crate) struct Checker<'a> {
    schemas: &'a Schemas,
    side: Side,
    most: usize,
    path: Vec<Step<'a>>,
    problems: Vec<Problem>,
    /// Above zero where it matters only whether a value fits.
    quiet: u32,
    depth: u32,
    steps: u32,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

impl<'a> Checker<'a> {
    /// Tells up to so many places.
    pub(crate) fn new(schemas: &'a Schemas, side: Side, most: usize) -> Self {
        Self {
            schemas,
            side,
            most,
            path: Vec::new(),
            problems: Vec::new(),
            quiet: 0,
            depth: 0,
            steps: 0,
        }
    }

    /// What is wrong with a value; nothing if it fits.
    pub(crate) fn problems(mut self, id: Id, value: &'a Json) -> Vec<Problem> {
        let fits = self.fits(id, value, None);
        if !fits && self.problems.is_empty() {
            self.tell("is not as the schema says");
        }
        self.problems
    }

    fn tell(&mut self, detail: impl Into<String>) -> bool {
        if self.quiet > 0 || self.problems.len() >= self.most {
            return false;
        }
        let mut pointer = String::new();
        for step in &self.path {
            pointer.push('/');
            match step {
                Step::Name(name) => pointer.push_str(&escape(name)),
                Step::Index(index) => pointer.push_str(&index.to_string()),
            }
            if pointer.len() > MAX_POINTER {
                let end = (0..=MAX_POINTER).rev().find(|it| pointer.is_char_boundary(*it));
                pointer.truncate(end.unwrap_or(0));
                pointer.push_str("...");
                break;
            }
        }
        self.problems.push(Problem { pointer, detail: detail.into() });
        false
    }

    fn fits(&mut self, id: Id, value: &'a Json, seen: Option<&mut Seen>) -> bool {
        self.steps += 1;
        if self.depth >= MAX_DEPTH || self.steps > MAX_STEPS {
            // A `not` must not make it right.
            self.quiet = 0;
            self.steps = MAX_STEPS;
            return self.tell("cannot be checked: it takes too long, or lies too deep");
        }
        let schemas = self.schemas;
        let Some(node) = schemas.nodes.get(id) else { return false };
        self.depth += 1;
        let fits = if node.has_unevaluated {
            let mut own = Seen::default();
            let fits = self.all(node, value, Some(&mut own));
            if let Some(seen) = seen {
                seen.join(own);
            }
            fits
        } else {
            self.all(node, value, seen)
        };
        self.depth -= 1;
        fits && self.steps < MAX_STEPS
    }

    fn all(&mut self, node: &'a Node, value: &'a Json, mut seen: Option<&mut Seen>) -> bool {
        let mut fits = true;
        for check in &node.checks {
            fits &= self.check(check, value, seen.as_deref_mut());
            if !fits && (self.quiet > 0 || self.problems.len() >= self.most) {
                return false;
            }
        }
        fits
    }

    /// Whether a value fits, with what was looked at if it does.
    fn tries(&mut self, id: Id, value: &'a Json, seen: Option<&mut Seen>) -> bool {
        self.quiet += 1;
        let fits = self.branch(id, value, seen);
        self.quiet = self.quiet.saturating_sub(1);
        fits
    }

    fn branch(&mut self, id: Id, value: &'a Json, seen: Option<&mut Seen>) -> bool {
        let Some(seen) = seen else { return self.fits(id, value, None) };
        let mut own = Seen::default();
        let fits = self.fits(id, value, Some(&mut own));
        if fits {
            seen.join(own);
        }
        fits
    }

    /// Tells what is wrong with the one alternative that has the type of a value, such as the one beside
    /// `null`. Where there are several, which is meant is not known.
    fn tell_of_likely(&mut self, ids: &[Id], value: &'a Json, otherwise: &str) -> bool {
        let found = type_of(value);
        let mut likely = ids.iter().filter(|id| {
            let types = self.schemas.types(**id, 16);
            types == 0 || types & found != 0
        });
        match (likely.next(), likely.next()) {
            (Some(id), None) if self.quiet == 0 => {
                let before = self.problems.len();
                self.fits(*id, value, None);
                if self.problems.len() > before { false } else { self.tell(otherwise) }
            }
            _ => self.tell(otherwise),
        }
    }

    fn within(&mut self, step: Step<'a>, id: Id, value: &'a Json) -> bool {
        self.path.push(step);
        let fits = self.fits(id, value, None);
        self.path.pop();
        fits
    }

    fn check(&mut self, check: &'a Check, value: &'a Json, mut seen: Option<&mut Seen>) -> bool {
        match (check, value) {
            (Check::Never, _) => self.tell("is not allowed"),
            (Check::Types(types), _) => {
                let found = type_of(value);
                types & found != 0 || self.tell(wanted(*types))
            }
            (Check::Enum(values, told), _) => {
                values.contains(value)
                    || self.tell(if values.len() == 1 {
                        format!("must be {told}")
                    } else {
                        format!("must be one of {told}")
                    })
            }
            (Check::MultipleOf(divisor), Json::Number(number)) => {
                number.is_multiple_of(divisor)
                    || self.tell(format!("must be a multiple of {divisor}"))
            }
            (Check::Bound { bound, is_least, is_exclusive }, Json::Number(number)) => {
                let (less, more) = if *is_least { (bound, number) } else { (number, bound) };
                let fits = less < more || less == more && !is_exclusive;
                let sign = match (is_least, is_exclusive) {
                    (true, true) => "more than",
                    (true, false) => "at least",
                    (false, true) => "less than",
                    (false, false) => "at most",
                };
                fits || self.tell(format!("must be {sign} {bound}"))
            }
            (Check::Length { least, most }, Json::Text(text)) => {
                self.size(text.chars().count(), *least, *most, "character")
            }
            (Check::Pattern(pattern), Json::Text(text)) => {
                let (regex, example) = &**pattern;
                let such_as = || example.as_ref().map(|text| format!(", such as {text:?}"));
                regex.is_match(text)
                    || self.tell(format!(
                        "must match the pattern {}{}",
                        short(regex.as_str()),
                        such_as().unwrap_or_default()
                    ))
            }
            (Check::Format(format), _) => {
                format.holds(value) || self.tell(format!("must have the format {}", format.name()))
            }
            (Check::Items { first, rest }, Json::Array(items)) => {
                let mut fits = true;
                for (index, item) in items.iter().enumerate() {
                    let id = first.get(index).copied().or(*rest);
                    fits &= id.is_none_or(|id| self.within(Step::Index(index), id, item));
                    if !fits && self.quiet > 0 {
                        return false;
                    }
                }
                if let Some(seen) = seen {
                    let all = if rest.is_some() { items.len() } else { first.len() };
                    seen.first = seen.first.max(all);
                }
                fits
            }
            (Check::Contains { schema, least, most }, Json::Array(items)) => {
                let mut found = 0_u64;
                for (index, item) in items.iter().enumerate() {
                    if self.tries(*schema, item, None) {
                        found += 1;
                        if let Some(seen) = &mut seen {
                            seen.items.insert(index);
                        }
                    }
                }
                let fits = found >= *least && most.is_none_or(|most| found <= most);
                fits || self
                    .tell("has too few or too many items of the kind that `contains` asks for")
            }
            (Check::Count { least, most }, Json::Array(items)) => {
                self.size(items.len(), *least, *most, "item")
            }
            (Check::Unique, Json::Array(items)) => {
                let mut known = BTreeSet::new();
                items.iter().all(|item| known.insert(item))
                    || self.tell("must not have an item twice")
            }
            (Check::Properties { named, patterns, rest }, Json::Object(members)) => {
                self.properties(members, named, patterns, *rest, seen)
            }
            (Check::Names(id), Json::Object(members)) => {
                let mut fits = true;
                for name in members.keys() {
                    let is_name = Json::Text(name.clone());
                    // The name lives no longer than this, so that it is checked apart.
                    let mut checker = Checker::new(self.schemas, self.side, 1);
                    (checker.depth, checker.steps, checker.quiet) = (self.depth, self.steps, 1);
                    let is_fine = checker.fits(*id, &is_name, None);
                    self.steps = checker.steps;
                    fits &= is_fine || self.tell("has a property whose name is not allowed");
                }
                fits
            }
            (Check::Required(names), Json::Object(members)) => {
                let mut fits = true;
                for (name, only) in names {
                    // What is only read is not asked of who writes.
                    let is_asked = only.is_none_or(|only| only == self.side);
                    if is_asked && !members.contains_key(name) {
                        fits = self.tell(format!("must have the property {}", short(name)));
                    }
                }
                fits
            }
            (Check::Members { least, most }, Json::Object(members)) => {
                self.size(members.len(), *least, *most, "propert")
            }
            (Check::DependentRequired(lists), Json::Object(members)) => {
                let mut fits = true;
                for (_, names) in lists.iter().filter(|(name, _)| members.contains_key(name)) {
                    for name in names.iter().filter(|name| !members.contains_key(*name)) {
                        fits = self.tell(format!("must have the property {}", short(name)));
                    }
                }
                fits
            }
            (Check::DependentSchemas(schemas), Json::Object(members)) => {
                let mut fits = true;
                for (_, id) in schemas.iter().filter(|(name, _)| members.contains_key(name)) {
                    fits &= self.branch(*id, value, seen.as_deref_mut());
                }
                fits
            }
            (Check::AllOf(ids), _) => {
                let mut fits = true;
                for id in ids {
                    fits &= self.branch(*id, value, seen.as_deref_mut());
                }
                fits
            }
            (Check::AnyOf(ids), _) => {
                let mut fits = false;
                for id in ids {
                    // Others are looked at only where it matters what they look at.
                    if !fits || seen.is_some() {
                        fits |= self.tries(*id, value, seen.as_deref_mut());
                    }
                }
                fits || self.tell_of_likely(
                    ids,
                    value,
                    "is none of the alternatives that `anyOf` allows",
                )
            }
            (Check::OneOf(ids), _) => {
                let fitting = ids.iter().filter(|id| self.tries(**id, value, seen.as_deref_mut()));
                match fitting.count() {
                    0 => self.tell_of_likely(
                        ids,
                        value,
                        "is none of the alternatives that `oneOf` allows",
                    ),
                    1 => true,
                    _ => self.tell("is more than one of the alternatives of `oneOf`"),
                }
            }
            (Check::Not(id), _) => {
                !self.tries(*id, value, None) && self.steps < MAX_STEPS
                    || self.tell("is what `not` excludes")
            }
            (Check::If { condition, then, otherwise }, _) => {
                let holds = self.tries(*condition, value, seen.as_deref_mut());
                let next = if holds { then } else { otherwise };
                next.is_none_or(|id| self.branch(id, value, seen))
            }
            (Check::Reference(id), _) => self.branch(*id, value, seen),
            (Check::UnevaluatedItems(id), Json::Array(items)) => {
                let Some(seen) = seen else { return true };
                let mut fits = true;
                for (index, item) in items.iter().enumerate().skip(seen.first) {
                    if !seen.items.contains(&index) {
                        fits &= self.within(Step::Index(index), *id, item);
                    }
                }
                seen.first = items.len();
                fits
            }
            (Check::UnevaluatedProperties(id), Json::Object(members)) => {
                let Some(seen) = seen else { return true };
                let mut fits = true;
                for (name, member) in members {
                    if seen.names.insert(name.clone()) {
                        fits &= self.within(Step::Name(name), *id, member);
                    }
                }
                fits
            }
            _ => true,
        }
    }

    fn properties(
        &mut self,
        members: &'a BTreeMap<String, Json>,
        named: &BTreeMap<String, Id>,
        patterns: &[(regex_lite::Regex, Id)],
        rest: Option<Id>,
        mut seen: Option<&mut Seen>,
    ) -> bool {
        let mut fits = true;
        for (name, member) in members {
            let matching =
                patterns.iter().filter(|(regex, _)| regex.is_match(name)).map(|(_, id)| *id);
            let mut ids: Vec<Id> = named.get(name).copied().into_iter().chain(matching).collect();
            if ids.is_empty() {
                ids.extend(rest);
            }
            if let Some(seen) = &mut seen
                && !ids.is_empty()
            {
                seen.names.insert(name.clone());
            }
            for id in ids {
                fits &= self.within(Step::Name(name), id, member);
            }
            if !fits && self.quiet > 0 {
                return false;
            }
        }
        fits
    }

    fn size(&mut self, size: usize, least: Option<u64>, most: Option<u64>, unit: &str) -> bool {
        let size = size as u64;
        let units = |count: u64| match (unit, count) {
            ("propert", 1) => "property".to_owned(),
            ("propert", _) => "properties".to_owned(),
            (unit, 1) => unit.to_owned(),
            (unit, _) => format!("{unit}s"),
        };
        match (least, most) {
            (Some(least), _) if size < least => {
                self.tell(format!("must have at least {least} {}", units(least)))
            }
            (_, Some(most)) if size > most => {
                self.tell(format!("must have at most {most} {}", units(most)))
            }
            _ => true,
        }
    }
}

/// What a value of these types is called.
fn wanted(types: Types) -> String {
    let names: Vec<&str> =
        TYPE_NAMES.iter().filter(|(_, bit)| types & bit != 0).map(|(name, _)| *name).collect();
    match names.as_slice() {
        [] => "is not allowed".to_owned(),
        ["null"] => "must be null".to_owned(),
        [name] => {
            let article = if name.starts_with(['a', 'i', 'o']) { "an" } else { "a" };
            format!("must be {article} {name}")
        }
        names => format!("must be one of {}", names.join(", ")),
    }
}

/// A text of the schema, as far as it is told.
fn short(text: &str) -> String {
    if text.chars().count() > 100 {
        return format!("{}...", text.chars().take(100).collect::<String>());
    }
    text.to_owned()
}
