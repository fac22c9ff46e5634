//! The fields of a head as a plugin sees them: what arrived, what was fetched, what it changed.

use std::rc::Rc;

use crate::arrived::Values;
use crate::declared::Declared;
use crate::memo::Memo;
use crate::names::same_field;
use crate::wire::{Field, FieldEdit};

/// Which head the fields belong to: where declared names stand, and where others are fetched.
/// Static, so that a component imports only the side that it reads.
pub(crate) trait Side {
    fn declared(declared: &Declared) -> &[String];
    fn fetch(name: &str) -> Vec<Vec<u8>>;
    fn fetch_all() -> Vec<Field>;
}

pub(crate) struct Fields<S> {
    declared: Rc<Declared>,
    /// By position in the declaration; empty in hooks that no values arrive with.
    values: Values,
    edits: Vec<FieldEdit>,
    fetched: Memo<Lines>,
    /// What edits and what was there make together; forgotten with each edit.
    merged: Memo<Vec<u8>>,
    side: std::marker::PhantomData<S>,
}

/// The lines of one field, and their one value (RFC 9110 section 5.3).
struct Lines {
    lines: Vec<Vec<u8>>,
    joined: Option<Vec<u8>>,
}

/// What the edits leave of a field.
struct Edited<'a> {
    /// Whether the lines that arrived are still there.
    kept: bool,
    /// The first line that the plugin wrote.
    first: Option<&'a [u8]>,
    /// Whether it wrote more than one.
    more: bool,
}

impl<S: Side> Fields<S> {
    pub(crate) fn new(declared: Rc<Declared>, values: Values) -> Self {
        Self {
            declared,
            values,
            edits: Vec::new(),
            fetched: Memo::default(),
            merged: Memo::default(),
            side: std::marker::PhantomData,
        }
    }

    pub(crate) fn value(&self, name: &str) -> Option<&[u8]> {
        if self.edits.is_empty() {
            return self.arrived(name);
        }
        let edited = self.edited(name);
        match (edited.kept, edited.first, edited.more) {
            (true, None, _) => self.arrived(name),
            (false, first, false) => first,
            _ => Some(self.merged.value_or(name, || join(&self.lines(name)))),
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        text(self.value(name)?)
    }

    /// The lines of a field, in order.
    pub(crate) fn lines(&self, name: &str) -> Vec<&[u8]> {
        let mut lines: Vec<&[u8]> = if self.edited(name).kept {
            self.fetched(name).lines.iter().map(Vec::as_slice).collect()
        } else {
            Vec::new()
        };
        for edit in self.edits.iter().filter(|edit| edit.name().eq_ignore_ascii_case(name)) {
            match edit {
                FieldEdit::Set(field) => {
                    lines.clear();
                    lines.push(&field.value);
                }
                FieldEdit::Append(field) => lines.push(&field.value),
                FieldEdit::Remove(_) => lines.clear(),
            }
        }
        lines
    }

    pub(crate) fn text_lines(&self, name: &str) -> Vec<&str> {
        self.lines(name).into_iter().filter_map(|line| std::str::from_utf8(line).ok()).collect()
    }

    pub(crate) fn all(&self) -> Vec<Field> {
        let mut fields = S::fetch_all();
        apply(&mut fields, &self.edits);
        fields
    }

    pub(crate) fn set(&mut self, name: String, value: Vec<u8>) {
        self.forget(&name);
        self.edits.push(FieldEdit::Set(Field { name, value }));
    }

    pub(crate) fn append(&mut self, name: String, value: Vec<u8>) {
        self.merged.clear();
        self.edits.push(FieldEdit::Append(Field { name, value }));
    }

    pub(crate) fn remove(&mut self, name: String) {
        self.forget(&name);
        self.edits.push(FieldEdit::Remove(name));
    }

    pub(crate) fn take_edits(&mut self) -> Vec<FieldEdit> {
        std::mem::take(&mut self.edits)
    }

    /// Drops earlier edits of a name, which a new one makes void.
    fn forget(&mut self, name: &str) {
        if !self.edits.is_empty() {
            self.edits.retain(|edit| !edit.name().eq_ignore_ascii_case(name));
        }
        self.merged.clear();
    }

    fn edited(&self, name: &str) -> Edited<'_> {
        let mut edited = Edited { kept: true, first: None, more: false };
        for edit in self.edits.iter().filter(|edit| edit.name().eq_ignore_ascii_case(name)) {
            match edit {
                FieldEdit::Set(field) => {
                    edited = Edited { kept: false, first: Some(&field.value), more: false };
                }
                FieldEdit::Append(field) if edited.first.is_none() => {
                    edited.first = Some(&field.value);
                }
                FieldEdit::Append(_) => edited.more = true,
                FieldEdit::Remove(_) => {
                    edited = Edited { kept: false, first: None, more: false };
                }
            }
        }
        edited
    }

    fn arrived(&self, name: &str) -> Option<&[u8]> {
        if !self.values.is_empty() {
            let mut names = S::declared(&self.declared).iter();
            if let Some(position) = names.position(|declared| same_field(declared, name)) {
                return self.values.get(position);
            }
        }
        let lines = self.fetched(name);
        lines.joined.as_deref().or(lines.lines.first().map(Vec::as_slice))
    }

    fn fetched(&self, name: &str) -> &Lines {
        self.fetched.value_or(name, || {
            let lines = S::fetch(name);
            let joined = (lines.len() > 1).then(|| {
                let borrowed: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
                join(&borrowed)
            });
            Lines { lines, joined }
        })
    }
}

/// As `str::from_utf8`, quicker for what nearly all values are.
#[expect(unsafe_code, reason = "checked a line before")]
fn text(value: &[u8]) -> Option<&str> {
    if value.is_ascii() {
        // SAFETY: ASCII is UTF-8.
        return Some(unsafe { std::str::from_utf8_unchecked(value) });
    }
    std::str::from_utf8(value).ok()
}

fn join(lines: &[&[u8]]) -> Vec<u8> {
    lines.join(b", ".as_slice())
}

/// Applies edits to the fields of a head, in order.
pub(crate) fn apply(fields: &mut Vec<Field>, edits: &[FieldEdit]) {
    for edit in edits {
        let name = edit.name();
        match edit {
            FieldEdit::Set(field) => {
                fields.retain(|existing| !existing.name.eq_ignore_ascii_case(name));
                fields.push(lower(field));
            }
            FieldEdit::Append(field) => fields.push(lower(field)),
            FieldEdit::Remove(_) => {
                fields.retain(|existing| !existing.name.eq_ignore_ascii_case(name));
            }
        }
    }
}

fn lower(field: &Field) -> Field {
    Field { name: field.name.to_ascii_lowercase(), value: field.value.clone() }
}

/// The fields of the request.
pub(crate) struct RequestSide;

impl Side for RequestSide {
    fn declared(declared: &Declared) -> &[String] {
        &declared.request_fields
    }

    fn fetch(name: &str) -> Vec<Vec<u8>> {
        crate::host::request_field(name)
    }

    fn fetch_all() -> Vec<Field> {
        crate::host::request_fields()
    }
}

/// The fields of the response.
pub(crate) struct ResponseSide;

impl Side for ResponseSide {
    fn declared(declared: &Declared) -> &[String] {
        &declared.response_fields
    }

    fn fetch(name: &str) -> Vec<Vec<u8>> {
        crate::host::response_field(name)
    }

    fn fetch_all() -> Vec<Field> {
        crate::host::response_fields()
    }
}
