//! The sources that `gateway plugin` writes: the SDK, ready to stand by itself, and `wit/`.
//!
//! Owns what has to be different in a copy of the SDK that no workspace surrounds: its manifest
//! names every value itself, and the interface lies inside of its folder.

use std::fs;
use std::path::Path;

/// Writes the tables `sdk.rs` and `wit.rs`: path and text of each file.
pub(crate) fn write(root: &Path, out: &Path) {
    let interface = files(&root.join("wit"));
    let mut sdk = vec![("Cargo.toml".to_owned(), manifest(root))];
    for name in ["README.md", "LICENSE"] {
        let folder = if name == "LICENSE" { root.to_owned() } else { root.join("plugin-sdk") };
        sdk.push((name.to_owned(), read(&folder.join(name))));
    }
    for (path, text) in files(&root.join("plugin-sdk/src")) {
        let text = if path == "bindings.rs" { interface_inside(&text) } else { text };
        sdk.push((format!("src/{path}"), text));
    }
    sdk.extend(interface.iter().map(|(path, text)| (format!("wit/{path}"), text.clone())));
    fs::write(out.join("sdk.rs"), table(&sdk)).expect("OUT_DIR is writable");
    fs::write(out.join("wit.rs"), table(&interface)).expect("OUT_DIR is writable");
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Path and text of each file below a folder, by path.
fn files(folder: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8");
        if path.is_dir() {
            let inside = files(&path).into_iter();
            found.extend(inside.map(|(below, text)| (format!("{name}/{below}"), text)));
        } else {
            found.push((name.to_owned(), read(&path)));
        }
    }
    found.sort();
    found
}

/// In the repository the interface is beside the SDK.
fn interface_inside(bindings: &str) -> String {
    const BESIDE: &str = "path: \"../wit\"";
    assert!(bindings.contains(BESIDE), "the SDK's bindings are made from `../wit`");
    bindings.replace(BESIDE, "path: \"wit\"")
}

/// The manifest of the SDK, with all that it has from the workspace written out.
fn manifest(root: &Path) -> String {
    let (workspace, own) =
        (read(&root.join("Cargo.toml")), read(&root.join("plugin-sdk/Cargo.toml")));
    let mut text =
        String::from("# A copy of the gateway's SDK, as `gateway plugin new` wrote it.\n\n");
    for line in own.lines() {
        if let Some(key) = line.strip_suffix(".workspace = true") {
            let value = value(table_of(&workspace, "workspace.package"), key);
            text.push_str(&format!("{key} = {value}\n"));
        } else if line == "[lints]" || line == "workspace = true" {
            // Their tables follow at the end.
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    for group in ["rust", "clippy"] {
        let lints = table_of(&workspace, &format!("workspace.lints.{group}"));
        text = format!("{}\n\n[lints.{group}]\n{}\n", text.trim_end(), lints.trim());
    }
    assert!(!text.contains("workspace"), "the SDK's manifest has more from the workspace:\n{text}");
    text
}

/// The text of a table, up to the next or what is said of it.
fn table_of<'a>(manifest: &'a str, name: &str) -> &'a str {
    let head = format!("[{name}]\n");
    let (_, after) = manifest.split_once(&head).unwrap_or_else(|| panic!("there is no {head}"));
    let end = ["\n[", "\n\n#"].iter().filter_map(|next| after.find(next)).min();
    &after[..end.unwrap_or(after.len())]
}

fn value<'a>(table: &'a str, key: &str) -> &'a str {
    let mut pairs = table.lines().filter_map(|line| line.split_once(" = "));
    let found = pairs.find(|(known, _)| *known == key);
    found.unwrap_or_else(|| panic!("the workspace has no {key}")).1
}

/// A Rust expression: path and text of each.
fn table(files: &[(String, String)]) -> String {
    let rows = files.iter().map(|(path, text)| format!("    ({path:?}, {text:?}),\n"));
    format!("&[\n{}]\n", rows.collect::<String>())
}
