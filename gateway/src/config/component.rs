//! `[components.NAME]`, and the components that routes name by their file or write inline.
//!
//! Owns everything about a component that answers requests which can be known without loading it.

use super::diagnostic::Diagnostic;
use super::keys::COMPONENT;
use super::names::Names;
use super::reader::{Reading, Table, Text};
use super::{HttpComponent, plugin, upstream};

/// Reads a component under its own name or the name of its place.
pub(super) fn read(name: &str, table: &Table<'_, '_>, known: &Names) -> Option<HttpComponent> {
    let file = table.word("file");
    let environment = environment(table);
    let upstreams = upstream::granted(table, "upstreams", known).unwrap_or_default();
    let component = component(name, table, file.as_ref())?;
    Some(HttpComponent { environment, upstreams: upstreams.into(), ..component })
}

/// The component of a file, with the defaults of everything else.
pub(super) fn of_file<'a>(reading: &Reading<'a>, file: &Text) -> Option<HttpComponent> {
    let table = Table::defaults(reading, file.span.clone(), &COMPONENT);
    component(&file.shown, &table, Some(file))
}

/// Whether a word means a file and not a name.
pub(super) fn is_file(word: &Text) -> bool {
    word.value.contains('/') || word.value.ends_with(".wasm")
}

fn component(name: &str, table: &Table<'_, '_>, file: Option<&Text>) -> Option<HttpComponent> {
    let path = file.and_then(|text| plugin::component_file(table.reading, text));
    let (limits, timeouts) = (table.table("limits"), table.table("timeouts"));
    let deadline = limits.duration("deadline").unwrap_or_default();
    let memory = limits.size("memory").unwrap_or_default() as usize;
    let instances = limits.integer("instances").unwrap_or_default() as usize;
    let queue = limits.integer("queue").unwrap_or_default() as usize;
    let first_byte = timeouts.duration("first_byte").unwrap_or_default();
    let idle = timeouts.duration("idle").unwrap_or_default();
    Some(HttpComponent {
        name: name.to_owned(),
        file: path?,
        file_span: file?.span.clone(),
        environment: Vec::new(),
        upstreams: Vec::new().into(),
        deadline,
        memory,
        instances,
        queue,
        first_byte,
        idle,
    })
}

/// Names and values that a process could have.
fn environment(table: &Table<'_, '_>) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    for (name, value) in table.text_map("environment") {
        if name.value.is_empty() || name.value.contains(['=', '\0']) {
            let error = format!("`{}` is no name of a variable", name.shown.escape_debug());
            table.reading.report(Diagnostic::error(name.span, error));
        } else if value.value.contains('\0') {
            let error = format!("the value of `{}` holds a zero byte", name.shown);
            table.reading.report(Diagnostic::error(value.span, error));
        } else {
            variables.push((name.value, value.value));
        }
    }
    variables
}
