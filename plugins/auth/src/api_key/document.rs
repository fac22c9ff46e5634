//! API keys in a document, one JSON object a line, as `gateway keys import` reads them.
//!
//! Owns which lines there are, and that no two have an `id` or a secret in common. One wrong line refuses the whole, so
//! that what was made of the document before stays in force: who is left out by a mistake is no less a fault than who is
//! let in. What a line says is in `line`.

use std::collections::BTreeMap;
use std::rc::Rc;

use gateway_plugin_identity::problems::{Pointer, Problems};
use gateway_plugin_sdk::documents::{self, Fault, FirstFaults, Parsed};

use super::line::{Served, key};
use super::table::{Table, Tagger};

/// More would not be read within the time that a hook has when the document changes.
pub(super) const MAX_KEYS: usize = 1000;
/// Faults that are told: of a text that is no list of keys each line is wrong.
const MAX_FAULTS: usize = 20;

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
    let (mut keys, mut faults) = (Vec::new(), FirstFaults::new(MAX_FAULTS));
    let (mut ids, mut digests) = (BTreeMap::new(), BTreeMap::new());
    // Without its place, of which the line would be shown: a key may stand where its digest belongs.
    let fault = |number: usize, message: &str| Fault::new(format!("line {number}: {message}"));
    let mut too_many = None;
    for (index, (number, line)) in lines(content).enumerate() {
        if index == MAX_KEYS {
            let help = "keep so many in a set: `[keys.NAME]`, and `gateway keys import`";
            too_many =
                Some(fault(number, &format!("there are more than {MAX_KEYS} keys")).help(help));
            break;
        }
        let read = match key(line) {
            Ok(read) => read,
            Err(message) => {
                faults.push(|| fault(number, &message));
                continue;
            }
        };
        for message in &read.wrong {
            faults.push(|| fault(number, message));
        }
        // Whatever else is wrong with the line.
        if let Some(first) = read.id.and_then(|id| ids.insert(id, number)) {
            faults.push(|| fault(number, &format!("`id` is that of the key in line {first}")));
        }
        if let Some(first) = read.digest.and_then(|digest| digests.insert(digest, number)) {
            faults.push(|| fault(number, &format!("`digest` is that of the key in line {first}")));
        }
        keys.extend(read.digest.zip(read.served));
    }
    if faults.is_empty() && too_many.is_none() {
        return Ok(Table::new(keys, tagger));
    }
    Err(faults.finish().into_iter().chain(too_many).collect())
}

/// The number of each line that is not empty, and what it says.
fn lines(content: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let content = content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(content);
    let lines = content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
    lines.filter(|(_, line)| !line.is_empty()).map(|(index, line)| (index + 1, line))
}
