//! Networks in documents, one a line.
//!
//! Owns how such a list is written and what is wrong in one, and which of several lists decides. One wrong line refuses
//! the whole list, so that the one before stays in force.

use std::ops::Range;

use gateway_plugin_sdk::documents::{Fault, FirstFaults, Parsed};
use gateway_plugin_sdk::prelude::ConfigError;

use crate::networks::{Builder, EXAMPLES, Found, Networks, Wrong, network};

/// Behind these is what a line says to people.
const COMMENTS: [char; 2] = ['#', ';'];

/// Faults of one list that are told.
const MAX_FAULTS: usize = 20;

/// All lists: those that refuse before those that let in, so that of two networks alike the former decides.
#[derive(Debug)]
pub(crate) struct Lists(Vec<Parsed<Networks>>);

impl Lists {
    /// Reads what there is. `errors` has each name that is no document of the plugin.
    pub(crate) fn new(allow: &[String], deny: &[String], errors: &mut Vec<ConfigError>) -> Self {
        let (mut lists, mut names) = (Vec::new(), Vec::new());
        for (key, of_key, allows) in
            [("deny_documents", deny, false), ("allow_documents", allow, true)]
        {
            for (index, name) in of_key.iter().enumerate() {
                let pointer = format!("/{key}/{index}");
                if names.contains(&name) {
                    errors.push(ConfigError::at(&pointer, format!("`{name}` is named twice")));
                }
                names.push(name);
                match Parsed::new(name, move |content| read(content, allows)) {
                    Ok(list) => lists.push(list),
                    Err(_) => errors.push(
                        ConfigError::at(pointer, "is no document that the plugin was granted")
                            .help(format!("write `documents = [{name:?}]` beside `component`")),
                    ),
                }
            }
        }
        Self(lists)
    }

    pub(crate) fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts the network of a list in the place of what was found, if it is more specific. Returns whether each list was
    /// had.
    pub(crate) fn add_to(&self, found: &mut Found, address: &str) -> bool {
        let mut is_whole = true;
        for list in &self.0 {
            let Some(networks) = list.get() else {
                is_whole = false;
                continue;
            };
            let other = networks.find(address);
            if other.length() > found.length() {
                *found = other;
            }
        }
        is_whole
    }
}

impl Found {
    /// How specific it is.
    fn length(&self) -> Option<u8> {
        match self {
            Self::Network { network, .. } => Some(network.prefix_len()),
            Self::None | Self::NotAnAddress => None,
        }
    }
}

fn read(content: &[u8], allows: bool) -> Result<Networks, Vec<Fault>> {
    let text = std::str::from_utf8(content)
        .map_err(|_| vec![Fault::new("it is no text, but a list has one network a line")])?;
    let (mut known, mut faults) = (Builder::default(), FirstFaults::new(MAX_FAULTS));
    for (place, entry) in entries(text) {
        match network(entry) {
            Ok(network) => known.add(network, allows),
            // Without the text, which the line has: a list of something else may have secrets.
            Err(wrong) => faults.push(|| match wrong {
                Wrong::NoNetwork => {
                    Fault::at(place, format!("this is no address or network; {EXAMPLES}"))
                }
                Wrong::BeyondPrefix(_) => Fault::at(place, wrong.words(entry)),
            }),
        }
    }
    if faults.is_empty() { Ok(known.finish()) } else { Err(faults.finish()) }
}

/// What each line says, and where.
fn entries(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let text_begin = text.as_ptr() as usize;
    text.lines().filter_map(move |line| {
        let said = line.split(COMMENTS).next().unwrap_or_default();
        let said = said.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        let begin = said.as_ptr() as usize - text_begin;
        (!said.is_empty()).then(|| (begin..begin + said.len(), said))
    })
}
