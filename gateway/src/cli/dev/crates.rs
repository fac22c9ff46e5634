//! Which crates the components of a configuration are built from.
//!
//! Owns the rule by which they are found: the folder that `source` names; else the folder beside
//! the component that is called as it is; else the nearest folder with a `Cargo.toml`, from the
//! component's own upwards, if a crate of its workspace makes a component of that name. A component
//! without one is served as it is. Owns as well which files decide what comes out of a crate.
//! Must not build.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::cli::plugin::Wrong;
use crate::cli::plugin::cargo::Crate;

/// A component that a configuration names, and its crate.
#[derive(Debug)]
pub(super) struct Origin {
    /// The component, as the configuration has it.
    pub(super) component: PathBuf,
    pub(super) crate_: Crate,
}

/// Finds the crates of the components of a configuration. One that cannot be read has none: what
/// is wrong with it is reported when it is loaded.
pub(super) fn find(file: &Path) -> Result<Vec<Origin>, Wrong> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let config: Table = text.parse().unwrap_or_default();
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut origins: Vec<Origin> = Vec::new();
    for plugin in plugins(&config) {
        let text = |key| plugin.get(key).and_then(Value::as_str);
        let Some(component) = text("component") else { continue };
        let is_file = component.contains('/') || component.ends_with(".wasm");
        // The path of the file as the configuration's own reader puts it together.
        let component = file.parent().unwrap_or(Path::new("")).join(component);
        if !is_file || origins.iter().any(|origin| origin.component == component) {
            continue;
        }
        let found = match text("source") {
            Some(source) => Some(Crate::find(&folder.join(source))?),
            None => near(&component)?,
        };
        origins.extend(found.map(|crate_| Origin { component, crate_ }));
    }
    Ok(origins)
}

/// The tables of plugins, by name and in routes.
fn plugins(config: &Table) -> impl Iterator<Item = &Table> {
    let named = config.get("plugins").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let routes = config.get("routes").and_then(Value::as_array).into_iter().flatten();
    let inline = routes.filter_map(|route| route.get("plugins")?.as_array()).flatten();
    named.chain(inline).filter_map(Value::as_table)
}

fn near(component: &Path) -> Result<Option<Crate>, Wrong> {
    let Some(stem) = component.file_stem().and_then(|stem| stem.to_str()) else { return Ok(None) };
    let Ok(component) = std::path::absolute(component) else { return Ok(None) };
    let beside = component.with_file_name(stem);
    if has_manifest(&beside) {
        return Crate::making(stem, &beside);
    }
    match component.ancestors().skip(1).find(|folder| has_manifest(folder)) {
        Some(folder) => Crate::making(stem, folder),
        None => Ok(None),
    }
}

fn has_manifest(folder: &Path) -> bool {
    folder.join("Cargo.toml").is_file()
}

/// What is watched of a crate: its manifest, and its sources with their folders, in which new ones
/// appear; the same of the crates that it depends on by their paths; and what the compiler read
/// besides, if it came so far (`component` is what it made).
pub(super) fn watched(crate_: &Crate, component: Option<&Path>) -> Vec<PathBuf> {
    let mut files = vec![crate_.root_manifest.clone()];
    for folder in std::iter::once(&crate_.folder).chain(&crate_.dependencies) {
        for name in ["Cargo.toml", "build.rs", "rust-toolchain.toml", ".cargo/config.toml"] {
            files.push(folder.join(name));
        }
        tree(&folder.join("src"), &mut files);
    }
    if let Some(component) = component {
        let told = std::fs::read_to_string(component.with_extension("d")).unwrap_or_default();
        files.extend(read_by_compiler(&told));
    }
    let mut files: Vec<_> = files.iter().filter_map(|file| file.canonicalize().ok()).collect();
    files.sort();
    files.dedup();
    files
}

/// A folder, all in it, and so on.
fn tree(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    files.push(folder.to_owned());
    for entry in entries.filter_map(Result::ok) {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => tree(&entry.path(), files),
            // Not what editors keep beside a file while it is open.
            Ok(_) if entry.file_name().to_string_lossy().starts_with(['.', '#']) => {}
            Ok(_) => files.push(entry.path()),
            Err(_) => {}
        }
    }
}

/// The files in cargo's list for `make`: `OUTPUT: FILE FILE`, a space in a name being `\ `.
fn read_by_compiler(list: &str) -> Vec<PathBuf> {
    let Some((_, files)) = list.lines().next().and_then(|line| line.split_once(": ")) else {
        return Vec::new();
    };
    let files = files.replace("\\ ", "\0");
    files.split_ascii_whitespace().map(|file| PathBuf::from(file.replace('\0', " "))).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn crate_in(folder: &Path, name: &str) {
        fs::create_dir_all(folder.join("src")).unwrap();
        fs::write(folder.join("src/lib.rs"), "").unwrap();
        let manifest = format!(
            "[package]\nname = \"{name}\"\nedition = \"2024\"\n[workspace]\n[lib]\ncrate-type = [\"cdylib\"]\n"
        );
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    }

    /// The crates that are found for a component, by name.
    fn found(folder: &Path, plugin: &str) -> Vec<String> {
        let file = folder.join("gateway.toml");
        fs::write(&file, format!("[plugins.a]\n{plugin}\n")).unwrap();
        find(&file).unwrap().into_iter().map(|origin| origin.crate_.name).collect()
    }

    #[test]
    fn finds_the_crate_beside_above_or_named() {
        let folder = tempfile::TempDir::new().unwrap();
        let folder = folder.path();
        crate_in(&folder.join("plugins/my-one"), "my-one");
        crate_in(&folder.join("elsewhere"), "two");
        assert_eq!(found(folder, "component = \"./plugins/my-one.wasm\""), ["my-one"]);
        let named = "component = \"./x.wasm\"\nsource = \"elsewhere\"";
        assert_eq!(found(folder, named), ["two"]);
        let inside = folder.join("plugins/my-one");
        assert_eq!(found(&inside, "component = \"./my-one.wasm\""), ["my-one"]);
        let product = "component = \"./target/wasm32-wasip2/release/my_one.wasm\"";
        assert_eq!(found(&inside, product), ["my-one"]);
    }

    #[test]
    fn takes_no_crate_of_another_name_and_none_for_first_party() {
        let folder = tempfile::TempDir::new().unwrap();
        crate_in(folder.path(), "one");
        assert_eq!(found(folder.path(), "component = \"./other.wasm\""), [""; 0]);
        assert_eq!(found(folder.path(), "component = \"one\""), [""; 0]);
        let inline =
            "component = \"auth\"\n[[routes]]\nplugins = [\"a\", { component = \"./one.wasm\" }]";
        assert_eq!(found(folder.path(), inline), ["one"]);
    }

    #[test]
    fn reads_names_with_spaces_in_cargos_list() {
        let list = "/t/a.wasm: /s/lib.rs /s/with\\ space.txt\n\n/s/lib.rs:\n";
        assert_eq!(
            read_by_compiler(list),
            [Path::new("/s/lib.rs"), Path::new("/s/with space.txt")]
        );
        assert_eq!(read_by_compiler(""), Vec::<PathBuf>::new());
    }
}
