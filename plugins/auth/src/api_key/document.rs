//! API keys in a document, one JSON object a line, as `gateway keys import` reads them.
//!
//! Owns what such a document says, and what is wrong in it. One wrong line refuses the whole, so that what was
//! made of the document before stays in force: who is left out by a mistake is no less a fault than who is let in.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use gateway_plugin_identity::problems::{Pointer, Problems};
use gateway_plugin_sdk::documents::{self, Fault, Parsed};
use serde_json::Value;

use super::check;
use super::table::{Table, Tagger};
use crate::config::ApiKeySpec;

/// More would not be read within the time that a hook has when the document changes.
pub(super) const MAX_KEYS: usize = 1000;
/// Faults that are told: of a text that is no list of keys each line is wrong.
const MAX_FAULTS: usize = 20;
/// As in the configuration, where the schema says so.
const MAX_GROUP: usize = 64;

/// A key that somebody serves.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) spec: ApiKeySpec,
    /// Since 1970.
    pub(super) expires: Option<Duration>,
}

/// The keys in the document of this name.
pub(super) fn of(
    name: &str,
    tagger: &Rc<Tagger>,
    at: &Pointer,
    problems: &mut Problems,
) -> Option<Parsed<Table<Served>>> {
    if documents::version(name).is_none() {
        let message = format!(
            "is no document that the plugin was granted: write `documents = [{name:?}]` beside `component`"
        );
        problems.add(at, message);
        return None;
    }
    let tagger = Rc::clone(tagger);
    Parsed::new(name, move |content| read(content, &tagger)).ok()
}

fn read(content: &[u8], tagger: &Tagger) -> Result<Table<Served>, Vec<Fault>> {
    let (mut keys, mut faults) = (Vec::new(), Vec::new());
    let (mut ids, mut digests) = (BTreeMap::new(), BTreeMap::new());
    // Without its place, of which the line would be shown: a key may stand where its digest belongs.
    let fault = |number: usize, message: String| Fault::new(format!("line {number}: {message}"));
    for (number, line) in lines(content) {
        if faults.len() >= MAX_FAULTS {
            break;
        }
        if keys.len() == MAX_KEYS {
            let message = format!("there are more than {MAX_KEYS} keys");
            let help = "keep so many in a set: `[keys.NAME]`, and `gateway keys import`";
            faults.push(fault(number, message).help(help));
            break;
        }
        let (digest, served) = match key(line) {
            Ok(key) => key,
            Err(wrong) => {
                faults.extend(wrong.into_iter().map(|message| fault(number, message)));
                continue;
            }
        };
        if let Some(first) = ids.insert(served.spec.id.clone(), number) {
            faults.push(fault(number, format!("`id` is that of the key in line {first}")));
        }
        if let Some(first) = digests.insert(digest, number) {
            faults.push(fault(number, format!("`digest` is that of the key in line {first}")));
        }
        keys.push((digest, served));
    }
    if faults.is_empty() { Ok(Table::new(keys, tagger)) } else { Err(faults) }
}

/// What serde says of a member, without its value: it may be a secret in the wrong place.
fn without_values(said: &str) -> String {
    match said.split_once(", expected ") {
        Some((what, expected)) if what.starts_with("invalid ") => {
            format!("the value of a member is not {expected}")
        }
        _ => said.to_owned(),
    }
}

/// The number of each line that is not empty, and what it says.
fn lines(content: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let content = content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(content);
    let lines = content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
    lines.filter(|(_, line)| !line.is_empty()).map(|(index, line)| (index + 1, line))
}

/// The key of a line, or all that is wrong with it.
fn key(line: &[u8]) -> Result<([u8; 32], Served), Vec<String>> {
    let wrong = |message: String| vec![message];
    let Ok(Value::Object(mut members)) = serde_json::from_slice::<Value>(line) else {
        return Err(wrong("this is no JSON object with one key".to_owned()));
    };
    // It is for people.
    members.remove("note");
    let spec = serde_json::from_value::<ApiKeySpec>(members.into());
    let spec = spec.map_err(|error| wrong(without_values(&error.to_string())))?;
    let mut problems = Problems::default();
    let checked = check(&spec, &Pointer::default(), &mut problems);
    if spec.group.as_ref().is_some_and(|group| group.chars().count() > MAX_GROUP) {
        let message = format!("has more than {MAX_GROUP} characters");
        problems.add(&Pointer::default().key("group"), message);
    }
    let said = problems.finish().err();
    let issues = said.iter().flat_map(|error| error.issues());
    let named = issues.map(|it| format!("`{}` {}", it.pointer.trim_start_matches('/'), it.message));
    match (checked, named.collect::<Vec<_>>()) {
        (Some((digest, expires)), wrong) if wrong.is_empty() => {
            Ok((digest, Served { spec, expires }))
        }
        (_, wrong) => Err(wrong),
    }
}
