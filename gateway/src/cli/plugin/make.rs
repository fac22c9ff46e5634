//! `gateway plugin new`: the crate of a plugin, ready to build, test and run.
//!
//! Owns its name and its place. What is in it is in `templates/plugin/`. It appears whole or
//! not at all.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use clap::Args;

use super::Wrong;
use super::sources::{LIBRARY, NAME, SDK, SDK_FOLDER, TEMPLATE, TYPE};
use crate::cli::print;

#[derive(Debug, Args)]
pub(in crate::cli) struct New {
    /// The name of the crate and of its folder: lower-case letters, digits, `-` and `_`.
    #[arg(value_parser = name)]
    name: String,
    /// The folder to make it in.
    #[arg(long, value_name = "DIR", default_value = ".")]
    path: PathBuf,
    /// Use the SDK in this folder, instead of a copy of the one that belongs to this gateway.
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

/// Checks that cargo and the compiler take it for the name of a crate.
fn name(text: &str) -> Result<String, String> {
    const LONGEST: usize = 64;
    /// Those of Rust, of its own crates, of folders that cargo makes, and of what the crate needs.
    const TAKEN: &[&str] = &[
        "abstract",
        "alloc",
        "as",
        "async",
        "await",
        "become",
        "box",
        "break",
        "build",
        "const",
        "continue",
        "core",
        "crate",
        "deps",
        "do",
        "dyn",
        "else",
        "enum",
        "examples",
        "extern",
        "false",
        "final",
        "fn",
        "for",
        "gateway_plugin_sdk",
        "gen",
        "if",
        "impl",
        "in",
        "incremental",
        "let",
        "loop",
        "macro",
        "match",
        "mod",
        "move",
        "mut",
        "override",
        "priv",
        "proc_macro",
        "pub",
        "ref",
        "return",
        "schemars",
        "self",
        "serde",
        "serde_json",
        "static",
        "std",
        "struct",
        "super",
        "test",
        "trait",
        "true",
        "try",
        "type",
        "typeof",
        "unsafe",
        "unsized",
        "use",
        "virtual",
        "where",
        "while",
        "yield",
    ];
    let is_known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err("a name begins with a lower-case letter".to_owned());
    }
    if let Some(other) = text.chars().find(|c| !is_known(*c)) {
        let rule = "a name has lower-case letters, digits, `-` and `_`";
        return Err(format!("{rule}, and this one has {other:?}"));
    }
    if text.len() > LONGEST {
        return Err(format!("a name has at most {LONGEST} characters"));
    }
    if TAKEN.contains(&text.replace('-', "_").as_str()) {
        return Err("Rust, cargo or the SDK has this name already".to_owned());
    }
    Ok(text.to_owned())
}

/// Makes the crate and says what to do with it.
pub(super) fn make(new: &New) -> Result<(), Wrong> {
    let folder = new.path.join(&new.name);
    let is_taken = folder.symlink_metadata().is_ok() && !is_empty(&folder);
    if is_taken {
        let message = format!("`{}` is there already", folder.display());
        return Err(Wrong::new(message).help("choose another name, or another folder by `--path`"));
    }
    let sdk = new.sdk.as_deref().map(sdk_in).transpose()?;
    fs::create_dir_all(&new.path).map_err(|error| unwritable(&new.path, &error))?;
    let place = fs::canonicalize(&new.path).map_err(|error| unwritable(&new.path, &error))?;
    let files = files(&new.name, sdk.as_deref().map(|sdk| from(&place.join(&new.name), sdk)));
    let begun = place.join(format!(".{}.{}", new.name, std::process::id()));
    let made = write(&begun, &files).and_then(|()| fs::rename(&begun, place.join(&new.name)));
    made.map_err(|error| {
        let _nothing_was_written = fs::remove_dir_all(&begun);
        unwritable(&folder, &error)
    })?;
    print(&next(&new.name, &folder));
    Ok(())
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

fn unwritable(folder: &Path, error: &io::Error) -> Wrong {
    Wrong::new(format!("`{}` cannot be made: {error}", folder.display()))
}

/// The whole path of an SDK.
fn sdk_in(folder: &Path) -> Result<PathBuf, Wrong> {
    let is_sdk = |folder: &Path| {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok();
        let manifest = manifest.and_then(|text| text.parse::<toml::Table>().ok());
        manifest.is_some_and(|it| {
            let name = it.get("package").and_then(|package| package.get("name"));
            name.and_then(toml::Value::as_str) == Some("gateway-plugin-sdk")
        })
    };
    if !is_sdk(folder) {
        let wrong = Wrong::new(format!("`{}` is not the folder of the SDK", folder.display()));
        let below = folder.join("plugin-sdk");
        return Err(match is_sdk(&below) {
            true => wrong.help(format!("write `--sdk {}`", below.display())),
            false => wrong.help("it is the folder with the manifest of `gateway-plugin-sdk`"),
        });
    }
    fs::canonicalize(folder).map_err(|error| Wrong::new(format!("{}: {error}", folder.display())))
}

/// How one folder names another, so that both can move together. Both are whole paths.
fn from(folder: &Path, other: &Path) -> PathBuf {
    let shared = folder.components().zip(other.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(other.components().skip(shared)).collect()
}

/// Path and text of each file of the crate.
fn files(name: &str, sdk: Option<PathBuf>) -> Vec<(String, String)> {
    let library = name.replace('-', "_");
    let fill = |text: &str| {
        text.replace(LIBRARY, &library).replace(NAME, name).replace(TYPE, &type_name(name))
    };
    let template = TEMPLATE.iter().map(|(path, text)| ((*path).to_owned(), fill(text)));
    let mut files: Vec<_> = template.collect();
    match sdk {
        None => {
            let copy =
                SDK.iter().map(|(path, text)| (format!("{SDK_FOLDER}/{path}"), (*text).to_owned()));
            files.extend(copy);
        }
        Some(sdk) => {
            let manifest = files.iter_mut().find(|(path, _)| path == "Cargo.toml");
            if let Some((_, manifest)) = manifest {
                let path = toml::Value::String(sdk.to_string_lossy().into_owned());
                *manifest = manifest
                    .replace(&format!("path = \"{SDK_FOLDER}\""), &format!("path = {path}"))
                    .replace(&format!("exclude = [\"{SDK_FOLDER}\"]\n"), "");
            }
        }
    }
    files
}

/// `refuse-agents` is made of `RefuseAgentsPlugin`: no name of the SDK can be meant by that.
fn type_name(name: &str) -> String {
    let words = name.split(['-', '_']).map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{}{rest}", first.to_ascii_uppercase())
    });
    let words: String = words.collect();
    if words.ends_with("Plugin") && words != "Plugin" { words } else { format!("{words}Plugin") }
}

fn write(folder: &Path, files: &[(String, String)]) -> io::Result<()> {
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, text)?;
    }
    Ok(())
}

fn next(name: &str, folder: &Path) -> String {
    let folder = folder.strip_prefix(".").unwrap_or(folder).display();
    format!(
        "made {folder}: a plugin with its tests and a route\n\n    \
         cd {folder}\n    \
         cargo test              # natively, and end to end through a gateway\n    \
         gateway plugin build    # {name}.wasm\n    \
         gateway run             # gateway.toml: a route through it\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_that_cargo_takes_and_no_others() {
        for fine in ["a", "refuse-agents", "x2", "my_plugin", "plugin"] {
            assert_eq!(name(fine).as_deref(), Ok(fine));
        }
        for (wrong, why) in [
            ("", "begins with"),
            ("2fast", "begins with"),
            ("-x", "begins with"),
            ("Hello", "begins with"),
            ("helLo", "and this one has 'L'"),
            ("a/b", "and this one has '/'"),
            ("..", "begins with"),
            ("é", "begins with"),
            ("fn", "has this name already"),
            ("serde-json", "has this name already"),
            ("gateway-plugin-sdk", "has this name already"),
        ] {
            let said = name(wrong).unwrap_err();
            assert!(said.contains(why), "{wrong}: {said}");
        }
        assert!(name(&"a".repeat(65)).unwrap_err().contains("at most 64"));
    }

    #[test]
    fn the_type_has_the_name_of_the_crate_and_none_of_the_sdk() {
        for (name, ty) in [
            ("my-plugin", "MyPlugin"),
            ("refuse-agents", "RefuseAgentsPlugin"),
            ("request", "RequestPlugin"),
            ("plugin", "PluginPlugin"),
            ("a--b_2c", "AB2cPlugin"),
        ] {
            assert_eq!(type_name(name), ty);
        }
    }

    #[test]
    fn folders_name_each_other_by_the_shortest_way() {
        let path = |folder: &str, other: &str| from(Path::new(folder), Path::new(other));
        assert_eq!(path("/a/b/c", "/a/sdk"), Path::new("../../sdk"));
        assert_eq!(path("/a/b", "/a/b/sdk"), Path::new("sdk"));
        assert_eq!(path("/a", "/x/sdk"), Path::new("../x/sdk"));
    }
}
