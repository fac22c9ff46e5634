//! `[gateway]`.
//!
//! Owns the settings of the process.

use super::diagnostic::Diagnostic;
use super::fault::Fault;
use super::names::Names;
use super::reader::Table;
use super::{AccessLog, Process, access_log};

/// Reads `[gateway]`, or its defaults.
pub(super) fn read(table: &Table<'_, '_>, logs: &Names) -> Process {
    let via = table.text("via");
    let via = via.and_then(|via| table.reading.parsed(&via, "a pseudonym", pseudonym));
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    Process {
        workers: table.integer("workers").map_or_else(cores, |workers| workers as usize),
        via: via.unwrap_or_else(|| table.default("via").to_owned()),
        shutdown_grace: table.duration("shutdown_grace").unwrap_or_default(),
        access_log: access_log::named(table, logs).unwrap_or(AccessLog::Errors),
        cache_dir: cache_dir(table),
        compile_memory: table.size("compile_memory").unwrap_or_default() as usize,
        compile_time: table.duration("compile_time").unwrap_or_default(),
        retry_after_ceiling: table.duration("retry_after_ceiling").unwrap_or_default(),
        buffered_bodies: table.size("buffered_bodies").unwrap_or_default() as usize,
    }
}

fn cache_dir(table: &Table<'_, '_>) -> Option<std::path::PathBuf> {
    let text = table.word("cache_dir")?;
    let path = table.reading.source.folder().join(&text.value);
    if path.exists() && !path.is_dir() {
        let error = format!("`{}` is a file, not a folder", text.shown);
        table.reading.report(Diagnostic::error(text.span, error));
    }
    Some(path)
}

/// A token (RFC 9110 section 5.6.2), as `Via` wants for a pseudonym.
fn pseudonym(text: &str) -> Result<String, Fault> {
    let in_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    match text.char_indices().find(|(_, c)| !in_token(*c)) {
        _ if text.is_empty() => Err(Fault::new(0..0, "`via` is empty")),
        Some((at, c)) => {
            let fault = format!("`{}` is not allowed in a pseudonym", c.escape_default());
            Err(Fault::new(at..at + c.len_utf8(), fault)
                .help("letters, digits and `!#$%&'*+-.^_`|~` can"))
        }
        None => Ok(text.to_owned()),
    }
}
