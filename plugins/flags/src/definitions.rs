//! The document of definitions: what was read last without a fault is in force.

use std::rc::Rc;

use gateway_flags::{Fault, Flags};
use gateway_plugin_sdk::documents::Parsed;
use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::ConfigError;

/// The most faults that the log has of one document.
const MOST_TOLD: usize = 10;

/// The definitions.
pub(crate) struct Definitions(Parsed<Flags>);

impl Definitions {
    /// From the document of this name.
    pub(crate) fn new(document: &str, is_strict: bool) -> Result<Self, ConfigError> {
        Parsed::new(document, move |content: &[u8]| read(content, is_strict)).map(Self)
    }

    /// What is in force; `None` before there was a document that could be read.
    pub(crate) fn get(&self) -> Option<Rc<Flags>> {
        self.0.get()
    }
}

fn read(content: &[u8], is_strict: bool) -> Result<Flags, String> {
    let text = std::str::from_utf8(content).map_err(|error| error.to_string())?;
    if is_strict {
        return Flags::parse(text).map_err(|faults| told(&faults));
    }
    let (flags, faults) = Flags::parse_each(text).map_err(|faults| told(&faults))?;
    if !faults.is_empty() {
        log::warn!("flags of the document have a targeting that is wrong: {}", told(&faults));
    }
    Ok(flags)
}

fn told(faults: &[Fault]) -> String {
    let mut lines: Vec<String> = faults.iter().take(MOST_TOLD).map(Fault::to_string).collect();
    if faults.len() > MOST_TOLD {
        lines.push(format!("and {} more", faults.len() - MOST_TOLD));
    }
    lines.join("; ")
}
