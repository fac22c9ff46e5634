//! The modules of the gateway form layers: each imports from those below it alone, so that the request
//! path can be read from top to bottom, and a new room has one place where it belongs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// From the top to the bottom. Modules of one line do not import each other.
const LAYERS: [&[&str]; 18] = [
    &["gateway", "bench"],
    &["admin", "proxy", "server"],
    &["exchange"],
    &["snapshot"],
    &["outbound"],
    &["chain", "component"],
    &["respond", "plugin"],
    &["access_log", "share", "state", "trace"],
    &["checks", "documents", "events"],
    &["body"],
    &["recorder", "spans", "usage"],
    &["conn", "explain", "heads", "telemetry"],
    &["error", "connection_slots", "route"],
    &["experiments", "first_party", "memory_quota", "models", "upstream"],
    &["health", "http2", "names", "timer", "tls", "trailers"],
    &["config"],
    &["path", "tcp"],
    &["allocator", "held_files", "json", "memory_file", "program_pages", "small_pages"],
];

/// The binary's own, on top of the library.
const BINARY: [&str; 2] = ["cli", "main"];

#[test]
fn modules_import_from_the_layers_below_alone() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules = BTreeMap::new();
    read(&sources, &sources, &mut modules);
    let layer = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    let mut wrong = Vec::new();
    for (module, imports) in &modules {
        if ["lib"].iter().chain(&BINARY).any(|known| known == module) {
            continue;
        }
        let Some(own) = layer(module) else {
            wrong.push(format!("`{module}` is in no layer: add it to LAYERS"));
            continue;
        };
        for (import, file) in imports {
            match layer(import) {
                Some(other) if other > own || import == module => {}
                Some(_) => wrong.push(format!("{file}: `{module}` must not import `{import}`")),
                // A macro, or an item of the root.
                None if !modules.contains_key(import) => {}
                None => wrong.push(format!("{file}: `{import}` is in no layer")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(modules["proxy"].len() > 10 && modules["exchange"].contains_key("body"), "all is read");
}

/// By module, what it imports and one file that does.
type Imports = BTreeMap<String, BTreeMap<String, String>>;

fn read(folder: &Path, sources: &Path, modules: &mut Imports) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        // Tests may look at anything.
        if ["tests", "fuzz", "fixture"].contains(&name) {
            continue;
        }
        if path.is_dir() {
            read(&path, sources, modules);
            continue;
        }
        let file = path.strip_prefix(sources).unwrap().to_str().unwrap().to_owned();
        let module = file.split(['/', '.']).next().unwrap().to_owned();
        let imports = modules.entry(module).or_default();
        for import in imported(&fs::read_to_string(&path).unwrap()) {
            imports.entry(import).or_insert_with(|| file.clone());
        }
    }
}

/// The first segments behind `crate::`, outside of comments and of the tests at the end of a file.
fn imported(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code.lines().map(|line| line.split("//").next().unwrap());
    let code: String = lines.collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => found.push(segment(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut begins = true;
                for (at, c) in group.char_indices() {
                    match c {
                        '}' if depth == 0 => break,
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 0 => begins = true,
                        c if begins && c.is_ascii_alphabetic() => {
                            found.push(segment(&group[at..]));
                            begins = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

fn segment(path: &str) -> String {
    path.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

#[test]
fn imports_are_read_in_all_their_forms() {
    let source = "use crate::body::{self, Body};\nuse crate::{heads, route::{Found, Query}, tls};\n\
                  // crate::comment\nfn f() { crate::state::of() }\n\
                  #[cfg(test)]\nmod tests {\n    use crate::cli;\n}\n";
    assert_eq!(imported(source), ["body", "heads", "route", "tls", "state"]);
}
