//! What happens to a JSON body.
//!
//! Owns the operations and their order. Their notation in the configuration is `config`'s.

use std::fmt;

use gateway_plugin_sdk::log;

use super::document::{NoPlace, Node};
use super::pointer::Pointer;
use super::value::{ValueTemplate, WrongType};
use crate::values::Values;

/// One edit.
#[derive(Debug)]
pub(crate) struct Edit {
    /// Where the values are whose inside is edited, one by one; `None` is the whole document.
    pub(crate) each: Option<Pointer>,
    pub(crate) operation: Operation,
}

/// What an [`Edit`] does.
#[derive(Debug)]
pub(crate) enum Operation {
    /// Puts a value at a place; with `only_missing` only where there is none.
    Set { pointer: Pointer, value: ValueTemplate, only_missing: bool },
    /// Removes the value at a place.
    Remove { pointer: Pointer },
    /// Gives a member another name in its place.
    Rename { pointer: Pointer, to: String },
    /// Takes a value from one place to another.
    Move { pointer: Pointer, to: Pointer },
    /// Puts a value into an object as its only member.
    Wrap { pointer: Pointer, name: String },
    /// Replaces an object by one of its members.
    Unwrap { pointer: Pointer, name: String },
}

/// Why an edit was left out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Skipped {
    NoPlace,
    WrongType(WrongType),
}

/// Makes edits one after the other in a document. `Ok(None)` means that there was nothing to change,
/// an error that it is not JSON. `place` is what names the list of edits in the log.
pub(crate) fn apply_all(
    edits: &[Edit],
    body: &[u8],
    values: &Values,
    place: &str,
) -> Result<Option<String>, String> {
    if edits.is_empty() {
        return Ok(None);
    }
    let mut document = Node::parse(without_bom(body))?;
    let mut changed = false;
    for (index, edit) in edits.iter().enumerate() {
        match edit.apply(&mut document, values) {
            Ok(hit) => changed |= hit,
            Err(reason) => log::warn!("{place}json[{index}] is left out: {reason}"),
        }
    }
    Ok(changed.then(|| {
        let mut out = String::with_capacity(body.len() + body.len() / 8);
        document.write(&mut out);
        out
    }))
}

/// Appends the indices of the references in these edits.
pub(crate) fn references(edits: &[Edit], indices: &mut Vec<usize>) {
    for edit in edits {
        if let Operation::Set { value, .. } = &edit.operation {
            value.references(indices);
        }
    }
}

/// A reader may leave a byte order mark out of account, a writer must not write one (RFC 8259 section
/// 8.1).
pub(crate) fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)
}

impl Edit {
    /// Applies the edit, and says whether anything was there to be changed.
    pub(crate) fn apply<'a>(
        &'a self,
        document: &mut Node<'a>,
        values: &Values,
    ) -> Result<bool, Skipped> {
        let Some(each) = &self.each else {
            return self.operation.apply(document, values);
        };
        let Some(list) = document.find(each.tokens()) else {
            return Ok(false);
        };
        let mut changed = false;
        let mut skipped = None;
        for element in list.children() {
            match self.operation.apply(element, values) {
                Ok(hit) => changed |= hit,
                Err(reason) => skipped = Some(reason),
            }
        }
        // An edit that had a place in some of the values is no fault in the others.
        match skipped {
            Some(reason) if !changed => Err(reason),
            _ => Ok(changed),
        }
    }
}

impl Operation {
    fn apply<'a>(&'a self, root: &mut Node<'a>, values: &Values) -> Result<bool, Skipped> {
        match self {
            Self::Set { pointer, value, only_missing } => {
                if *only_missing && root.find(pointer.tokens()).is_some() {
                    return Ok(false);
                }
                match value.fill(values).map_err(Skipped::WrongType)? {
                    Some(value) => {
                        root.set(pointer.tokens(), value)?;
                        Ok(true)
                    }
                    None => Ok(false),
                }
            }
            Self::Remove { pointer } => Ok(remove(root, pointer)),
            Self::Rename { pointer, to } => {
                Ok(pointer.split_last().is_some_and(|(parent, name)| {
                    root.find(parent).is_some_and(|parent| parent.rename(name, to))
                }))
            }
            Self::Move { pointer, to } => move_value(root, pointer, to),
            Self::Wrap { pointer, name } => {
                Ok(root.find(pointer.tokens()).map(|node| node.wrap(name)).is_some())
            }
            Self::Unwrap { pointer, name } => {
                Ok(root.find(pointer.tokens()).is_some_and(|node| node.unwrap_member(name)))
            }
        }
    }
}

fn remove(root: &mut Node<'_>, pointer: &Pointer) -> bool {
    pointer
        .split_last()
        .is_some_and(|(parent, name)| root.find(parent).is_some_and(|parent| parent.remove(name)))
}

fn move_value(root: &mut Node<'_>, from: &Pointer, to: &Pointer) -> Result<bool, Skipped> {
    let Some(value) = root.find(from.tokens()).cloned() else {
        return Ok(false);
    };
    // The new place is known to be there or not only after the old one is gone, which may shift
    // an array; so a move without a place is undone as a whole.
    let before = root.clone();
    remove(root, from);
    if let Err(reason) = root.set(to.tokens(), value) {
        *root = before;
        return Err(reason.into());
    }
    Ok(true)
}

impl From<NoPlace> for Skipped {
    fn from(_: NoPlace) -> Self {
        Self::NoPlace
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPlace => formatter.write_str("the body has no place for it"),
            Self::WrongType(reason) => reason.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ValueType;
    use crate::json::value::ConfigValue;
    use crate::template::{Direction, References};

    fn at(pointer: &str) -> Pointer {
        Pointer::parse(pointer).unwrap()
    }

    fn set(pointer: &str, json: &str, only_missing: bool) -> Operation {
        let value: ConfigValue = serde_json::from_str(json).unwrap();
        let mut references = References::default();
        let value =
            ValueTemplate::parse(&value, ValueType::String, Direction::Request, &mut references);
        Operation::Set { pointer: at(pointer), value: value.unwrap(), only_missing }
    }

    fn applied_each(
        each: Option<&str>,
        operation: Operation,
        body: &str,
    ) -> Result<Option<String>, Skipped> {
        let edit = Edit { each: each.map(at), operation };
        let mut document = Node::parse(body.as_bytes()).unwrap();
        let changed = edit.apply(&mut document, &Values::default())?;
        let mut out = String::new();
        document.write(&mut out);
        Ok(changed.then_some(out))
    }

    #[track_caller]
    fn becomes(operation: Operation, before: &str, after: &str) {
        assert_eq!(applied_each(None, operation, before), Ok(Some(after.to_owned())));
    }

    #[track_caller]
    fn changes_nothing(operation: Operation, body: &str) {
        assert_eq!(applied_each(None, operation, body), Ok(None));
    }

    #[test]
    fn set_replaces_adds_appends_and_makes_missing_parents() {
        becomes(set("/a", "1", false), r#"{"a":0,"b":2}"#, r#"{"a":1,"b":2}"#);
        becomes(set("/c/d/e", "1", false), r#"{"a":0}"#, r#"{"a":0,"c":{"d":{"e":1}}}"#);
        becomes(set("/a/b", "1", false), r#"{"a":null}"#, r#"{"a":{"b":1}}"#);
        becomes(set("/l/-", "3", false), r#"{"l":[1,2]}"#, r#"{"l":[1,2,3]}"#);
        becomes(set("/l/2", "3", false), r#"{"l":[1,2]}"#, r#"{"l":[1,2,3]}"#);
        becomes(set("/l/0", "3", false), r#"{"l":[1,2]}"#, r#"{"l":[3,2]}"#);
        becomes(set("/l/-/x", "3", false), r#"{"l":[]}"#, r#"{"l":[{"x":3}]}"#);
        becomes(set("", r#"{"x":1}"#, false), "[1]", r#"{"x":1}"#);
        becomes(set("/-", "1", false), "{}", r#"{"-":1}"#);
        becomes(set("/", "1", false), "{}", r#"{"":1}"#);
    }

    #[test]
    fn set_has_no_place_inside_scalars_or_past_the_end() {
        for (pointer, body) in
            [("/a/b", r#"{"a":1}"#), ("/3", "[1]"), ("/x", "[1]"), ("/a", "\"s\"")]
        {
            let result = applied_each(None, set(pointer, "1", false), body);
            assert_eq!(result, Err(Skipped::NoPlace), "{pointer}");
        }
    }

    #[test]
    fn default_sets_only_what_is_missing() {
        changes_nothing(set("/a", "1", true), r#"{"a":null}"#);
        becomes(set("/a", "1", true), "{}", r#"{"a":1}"#);
    }

    #[test]
    fn remove_takes_members_and_elements_and_a_missing_one_is_no_error() {
        becomes(Operation::Remove { pointer: at("/a/0") }, r#"{"a":[1,2]}"#, r#"{"a":[2]}"#);
        becomes(Operation::Remove { pointer: at("/a") }, r#"{"a":[1,2]}"#, "{}");
        changes_nothing(Operation::Remove { pointer: at("/b/c") }, r#"{"a":1}"#);
        changes_nothing(Operation::Remove { pointer: at("/a/-") }, r#"{"a":[1]}"#);
        changes_nothing(Operation::Remove { pointer: at("/a/b") }, r#"{"a":1}"#);
    }

    #[test]
    fn rename_keeps_the_place_and_replaces_a_member_of_the_new_name() {
        let rename = || Operation::Rename { pointer: at("/a"), to: "x".to_owned() };
        becomes(rename(), r#"{"a":1,"b":2}"#, r#"{"x":1,"b":2}"#);
        becomes(rename(), r#"{"x":0,"a":1}"#, r#"{"x":1}"#);
        changes_nothing(rename(), r#"{"b":2}"#);
        changes_nothing(rename(), "[1]");
    }

    #[test]
    fn move_makes_parents_and_is_undone_when_there_is_no_place() {
        let moved = |from, to| Operation::Move { pointer: at(from), to: at(to) };
        becomes(moved("/a", "/b/c"), r#"{"a":[1]}"#, r#"{"b":{"c":[1]}}"#);
        becomes(moved("/l/0", "/l/-"), r#"{"l":[1,2]}"#, r#"{"l":[2,1]}"#);
        becomes(moved("/data", ""), r#"{"data":{"x":1}}"#, r#"{"x":1}"#);
        changes_nothing(moved("/b", "/c"), r#"{"a":1}"#);
        let body = r#"{"a":1,"b":2}"#;
        assert_eq!(applied_each(None, moved("/a", "/b/c"), body), Err(Skipped::NoPlace));
        let mut document = Node::parse(body.as_bytes()).unwrap();
        assert!(move_value(&mut document, &at("/a"), &at("/b/c")).is_err());
        let mut out = String::new();
        document.write(&mut out);
        assert_eq!(out, body);
    }

    #[test]
    fn wrap_and_unwrap_are_each_others_inverse() {
        let name = || "data".to_owned();
        let wrap = Operation::Wrap { pointer: at(""), name: name() };
        becomes(wrap, r#"[1, 2]"#, r#"{"data":[1, 2]}"#);
        let unwrap = || Operation::Unwrap { pointer: at(""), name: name() };
        becomes(unwrap(), r#"{"data":[1, 2],"meta":0}"#, "[1, 2]");
        changes_nothing(unwrap(), r#"{"meta":0}"#);
        changes_nothing(Operation::Wrap { pointer: at("/a"), name: name() }, "{}");
    }

    #[test]
    fn each_edits_the_inside_of_every_element() {
        let remove = || Operation::Remove { pointer: at("/secret") };
        assert_eq!(
            applied_each(Some("/items"), remove(), r#"{"items":[{"secret":1,"a":1},{"a":2},3]}"#),
            Ok(Some(r#"{"items":[{"a":1},{"a":2},3]}"#.to_owned()))
        );
        assert_eq!(
            applied_each(Some(""), remove(), r#"{"x":{"secret":1},"y":{}}"#),
            Ok(Some(r#"{"x":{},"y":{}}"#.to_owned()))
        );
        assert_eq!(applied_each(Some("/none"), remove(), "{}"), Ok(None));
    }
}
