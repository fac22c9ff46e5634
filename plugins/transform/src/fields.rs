//! Changes to the fields of a head, of a request or a response.
//!
//! Owns their order (remove, rename, set, add, default) and the care that no invalid field goes
//! out. Their checks at configuration are in `rules`.

use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

use crate::encode;
use crate::template::Template;
use crate::values::Values;

/// The changes to one head.
#[derive(Debug, Default)]
pub(crate) struct FieldEdits {
    pub(crate) remove: Vec<HeaderName>,
    /// Old names and new ones; no name is twice.
    pub(crate) rename: Vec<(HeaderName, HeaderName)>,
    /// In the order in which they are applied.
    pub(crate) write: Vec<FieldWrite>,
}

/// Values that are written to a field.
#[derive(Debug)]
pub(crate) struct FieldWrite {
    pub(crate) kind: WriteKind,
    pub(crate) name: HeaderName,
    /// One for each line.
    pub(crate) values: Vec<Template>,
}

/// How values are written to a field or a query parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteKind {
    /// In place of what is there.
    Set,
    /// Behind what is there.
    Add,
    /// If nothing is there.
    Default,
}

/// An edit that is the same for every head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Constant<'a> {
    Set(&'a HeaderName, &'a str),
    Add(&'a HeaderName, &'a str),
    Remove(&'a HeaderName),
}

/// As many constant edits of one head as the gateway takes.
const MAX_CONSTANTS: usize = 64;

/// A head whose fields can be changed.
pub(crate) trait Head {
    fn has(&self, name: &HeaderName) -> bool;
    /// All lines of a field.
    fn lines(&self, name: &HeaderName) -> Vec<Vec<u8>>;
    fn set(&mut self, name: &HeaderName, value: &[u8]);
    fn add(&mut self, name: &HeaderName, value: &[u8]);
    fn remove(&mut self, name: &HeaderName);
}

impl FieldEdits {
    pub(crate) fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.rename.is_empty() && self.write.is_empty()
    }

    /// The edits, if none depends on anything that an exchange brings along.
    pub(crate) fn constants(&self) -> Option<Vec<Constant<'_>>> {
        if !self.rename.is_empty() {
            return None;
        }
        let mut constants: Vec<_> = self.remove.iter().map(Constant::Remove).collect();
        for write in &self.write {
            let mut replaces = match write.kind {
                WriteKind::Set => true,
                WriteKind::Add => false,
                WriteKind::Default => return None,
            };
            for template in &write.values {
                let value = template.constant().filter(|value| encode::is_field_value(value))?;
                let value = value.trim_matches([' ', '\t']);
                let edit = if replaces { Constant::Set } else { Constant::Add };
                constants.push(edit(&write.name, value));
                replaces = false;
            }
        }
        (constants.len() <= MAX_CONSTANTS).then_some(constants)
    }

    /// The fields that are read when the edits are applied.
    pub(crate) fn reads(&self) -> impl Iterator<Item = &HeaderName> {
        let defaults = self.write.iter().filter(|write| write.kind == WriteKind::Default);
        self.rename.iter().map(|(from, _)| from).chain(defaults.map(|write| &write.name))
    }

    pub(crate) fn apply(&self, head: &mut impl Head, values: &Values) {
        for name in &self.remove {
            head.remove(name);
        }
        self.apply_renames(head);
        for write in &self.write {
            write.apply(head, values);
        }
    }

    fn apply_renames(&self, head: &mut impl Head) {
        // All are read before one is written, so that two names can be swapped.
        let moved: Vec<_> = self
            .rename
            .iter()
            .filter(|(from, _)| head.has(from))
            .map(|(from, to)| (from, to, head.lines(from)))
            .collect();
        for (from, ..) in &moved {
            head.remove(from);
        }
        for (_, to, lines) in &moved {
            for (position, line) in lines.iter().enumerate() {
                if position == 0 {
                    head.set(to, line);
                } else {
                    head.add(to, line);
                }
            }
        }
    }
}

impl FieldWrite {
    fn apply(&self, head: &mut impl Head, values: &Values) {
        if self.kind == WriteKind::Default && head.has(&self.name) {
            return;
        }
        let mut replaces = self.kind != WriteKind::Add;
        for template in &self.values {
            let Some(value) = template.fill(values) else {
                continue;
            };
            if !encode::is_field_value(&value) {
                log::warn!(
                    "`{}` is left as it is: its new value has control characters",
                    self.name
                );
                continue;
            }
            // The gateway would fail the exchange.
            if self.name.as_str() == "host" && !encode::is_authority(&value) {
                log::warn!("`host` is left as it is: its new value is not a host");
                continue;
            }
            let value = value.trim_matches([' ', '\t']).as_bytes();
            if replaces {
                head.set(&self.name, value);
                replaces = false;
            } else {
                head.add(&self.name, value);
            }
        }
    }
}

impl Head for Request {
    fn has(&self, name: &HeaderName) -> bool {
        self.header_bytes(name).is_some()
    }

    fn lines(&self, name: &HeaderName) -> Vec<Vec<u8>> {
        match self.header_bytes(name) {
            Some(value) if is_one_line(value) => vec![value.to_vec()],
            _ => self.header_lines(name).into_iter().map(<[u8]>::to_vec).collect(),
        }
    }

    fn set(&mut self, name: &HeaderName, value: &[u8]) {
        self.set_header(name, value);
    }

    fn add(&mut self, name: &HeaderName, value: &[u8]) {
        self.add_header(name, value);
    }

    fn remove(&mut self, name: &HeaderName) {
        self.remove_header(name);
    }
}

/// The answer to a request, before there is one: it can be written to, not read.
pub(crate) struct Answer<'a>(pub(crate) &'a mut Request);

impl Head for Answer<'_> {
    fn has(&self, _: &HeaderName) -> bool {
        false
    }

    fn lines(&self, _: &HeaderName) -> Vec<Vec<u8>> {
        Vec::new()
    }

    fn set(&mut self, name: &HeaderName, value: &[u8]) {
        self.0.set_response_header(name, value);
    }

    fn add(&mut self, name: &HeaderName, value: &[u8]) {
        self.0.add_response_header(name, value);
    }

    fn remove(&mut self, name: &HeaderName) {
        self.0.remove_response_header(name);
    }
}

impl Head for ResponseHead {
    fn has(&self, name: &HeaderName) -> bool {
        self.header_bytes(name).is_some()
    }

    fn lines(&self, name: &HeaderName) -> Vec<Vec<u8>> {
        match self.header_bytes(name) {
            Some(value) if is_one_line(value) => vec![value.to_vec()],
            _ => self.header_lines(name).into_iter().map(<[u8]>::to_vec).collect(),
        }
    }

    fn set(&mut self, name: &HeaderName, value: &[u8]) {
        self.set_header(name, value);
    }

    fn add(&mut self, name: &HeaderName, value: &[u8]) {
        self.add_header(name, value);
    }

    fn remove(&mut self, name: &HeaderName) {
        self.remove_header(name);
    }
}

/// Several lines arrive joined by commas: a value without one saves asking for the lines.
fn is_one_line(value: &[u8]) -> bool {
    !value.contains(&b',')
}
