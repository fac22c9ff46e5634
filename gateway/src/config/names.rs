//! Names that the user gives to listeners, upstreams, plugins and routes.
//!
//! Owns their uniqueness, the look-up with "did you mean", and who was never asked for.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::Span;
use super::diagnostic::Diagnostic;
use super::reader::{Reading, Text};
use super::suggest;

/// The names of one kind of thing, by index.
pub(super) struct Names {
    kind: &'static str,
    names: Vec<Option<Text>>,
    used: RefCell<HashSet<usize>>,
}

impl Names {
    /// Takes the names in; one that is twice is an error with both places.
    pub(super) fn new(reading: &Reading<'_>, kind: &'static str, names: Vec<Option<Text>>) -> Self {
        let mut first: HashMap<&str, &Text> = HashMap::new();
        for name in names.iter().flatten() {
            if let Some(unusable) = unusable(&name.value) {
                let error = format!("the name of a {kind} {unusable}");
                reading.report(Diagnostic::error(name.span.clone(), error));
            }
            match first.get(&*name.value) {
                Some(earlier) => reading.report(
                    Diagnostic::error(
                        name.span.clone(),
                        format!("two {kind}s are named `{}`", name.shown),
                    )
                    .label("the second")
                    .related(earlier.span.clone(), "the first"),
                ),
                None => drop(first.insert(&name.value, name)),
            }
        }
        Self { kind, names, used: RefCell::default() }
    }

    /// Whether there is such a name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.iter().flatten().any(|known| known.value == name)
    }

    /// The index of a name that something refers to; an unknown one is an error.
    ///
    /// `declaration` says how such a thing is written, with `NAME` for its name.
    pub(super) fn find(
        &self,
        reading: &Reading<'_>,
        wanted: &Text,
        declaration: &str,
    ) -> Option<usize> {
        let known = |name: &str| {
            let is = |text: &Option<Text>| text.as_ref().is_some_and(|text| text.value == name);
            self.names.iter().position(is)
        };
        if let Some(found) = known(&wanted.value) {
            self.used.borrow_mut().insert(found);
            return Some(found);
        }
        let names = || self.names.iter().flatten().map(|name| &*name.shown);
        let suggestion = suggest::closest(&wanted.shown, names());
        self.used.borrow_mut().extend(suggestion.and_then(known));
        let error = format!("there is no {} `{}`", self.kind, wanted.shown);
        let error = Diagnostic::error(wanted.span.clone(), error).did_you_mean(suggestion);
        reading.report_absence(match suggestion {
            Some(_) => error,
            None => error.help(format!("add {}", declaration.replace("NAME", &wanted.shown))),
        });
        None
    }

    /// Warns of everything that nothing referred to.
    pub(super) fn warn_of_unused(
        &self,
        reading: &Reading<'_>,
        user: &str,
        place: impl Fn(usize) -> Span,
    ) {
        for (index, name) in self.names.iter().enumerate() {
            let Some(name) = name else { continue };
            if !self.used.borrow().contains(&index) {
                let warning = format!("no {user} uses the {} `{}`", self.kind, name.shown);
                reading.report_absence(Diagnostic::warning(place(index), warning));
            }
        }
    }
}

fn unusable(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.chars().any(char::is_control) {
        Some("has control characters")
    } else {
        None
    }
}
