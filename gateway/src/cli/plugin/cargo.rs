//! What is asked of cargo and its toolchain.
//!
//! Owns how a crate is found, what is required of the toolchain, and how a component comes out.
//! cargo's own words go to standard error as they are: nobody says better what a crate has wrong.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::Wrong;

const TARGET: &str = "wasm32-wasip2";

/// How components are compiled: fast, small, and without unwinding, which Wasm turns into a trap
/// anyway.
const PROFILE: &[(&str, &str)] = &[
    ("opt-level", "3"),
    ("lto", "true"),
    ("codegen-units", "1"),
    ("panic", "\"abort\""),
    ("strip", "true"),
];

/// Keeps the names of functions, and not the rest of what debuggers want.
const KEEP_NAMES: &[(&str, &str)] = &[("strip", "\"debuginfo\"")];

/// Compiles again soon after a change, and keeps names, files and lines for backtraces. As fast as
/// what ships nearly, so that times and deadlines mean something.
const AGAIN_SOON: &[(&str, &str)] = &[
    ("lto", "false"),
    ("codegen-units", "16"),
    ("incremental", "true"),
    ("strip", "\"none\""),
    ("debug", "\"line-tables-only\""),
];

/// What a component is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Purpose {
    /// To be served.
    Ship,
    /// To be served, with the names of functions.
    ShipNames,
    /// To be tried, changed and compiled again.
    Develop,
}

/// A crate that makes a component.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Crate {
    pub(in crate::cli) name: String,
    pub(in crate::cli) folder: PathBuf,
    /// The folder of cargo's own products.
    pub(in crate::cli) target: PathBuf,
    /// Folders of crates that it depends on by their paths.
    pub(in crate::cli) dependencies: Vec<PathBuf>,
    manifest: PathBuf,
    /// The manifest of its workspace, which is its own where it has none.
    pub(in crate::cli) root_manifest: PathBuf,
}

impl Crate {
    /// Finds the crate of a folder.
    pub(in crate::cli) fn find(folder: &Path) -> Result<Self, Wrong> {
        let shown = folder.display();
        let manifest = fs::canonicalize(folder.join("Cargo.toml")).map_err(|_| {
            Wrong::new(format!("`{shown}` is no crate: there is no Cargo.toml in it"))
                .help("`gateway plugin new NAME` makes a crate")
        })?;
        let metadata = metadata(folder)?;
        let packages = array(&metadata["packages"]);
        let is_it =
            |package: &&Value| text(&package["manifest_path"]) == manifest.to_string_lossy();
        let Some(package) = packages.iter().find(is_it) else {
            let names: Vec<_> = packages.iter().map(|package| text(&package["name"])).collect();
            let message = format!("`{shown}` is a workspace and no crate");
            let help = format!("name the folder of one of its crates: {}", names.join(", "));
            return Err(Wrong::new(message).help(help));
        };
        let name = text(&package["name"]).to_owned();
        if !array(&package["targets"]).iter().any(is_component) {
            let message = format!("the crate `{name}` makes no component");
            let help =
                "write `crate-type = [\"cdylib\", \"rlib\"]` under `[lib]` in its Cargo.toml";
            return Err(Wrong::new(message).help(help));
        }
        Ok(Self::of(&metadata, package, folder))
    }

    /// Finds the crate that makes a component of this file name, in the workspace of a folder: the
    /// one whose library is called so, `-` and `_` being the same.
    pub(in crate::cli) fn making(file_stem: &str, folder: &Path) -> Result<Option<Self>, Wrong> {
        let metadata = metadata(folder)?;
        let alike = |name: &str| name.replace('-', "_") == file_stem.replace('-', "_");
        let makes_it = |target: &Value| is_component(target) && alike(text(&target["name"]));
        let packages = array(&metadata["packages"]);
        let package = packages.iter().find(|it| array(&it["targets"]).iter().any(makes_it));
        Ok(package.map(|package| {
            let manifest = Path::new(text(&package["manifest_path"]));
            Self::of(&metadata, package, manifest.parent().unwrap_or(folder))
        }))
    }

    fn of(metadata: &Value, package: &Value, folder: &Path) -> Self {
        let depends = array(&package["dependencies"]).iter().map(|it| text(&it["path"]));
        Self {
            name: text(&package["name"]).to_owned(),
            folder: folder.to_owned(),
            target: PathBuf::from(text(&metadata["target_directory"])),
            dependencies: depends.filter(|path| !path.is_empty()).map(PathBuf::from).collect(),
            manifest: PathBuf::from(text(&package["manifest_path"])),
            root_manifest: Path::new(text(&metadata["workspace_root"])).join("Cargo.toml"),
        }
    }

    /// Compiles it. Returns where the component is.
    pub(super) fn build(&self, purpose: Purpose) -> Result<PathBuf, Wrong> {
        require_target(&self.folder)?;
        self.component(&output(self.command(purpose))?)
    }

    /// cargo, as it is to be run for a component. Its words for people go to standard error, and
    /// those for [`component`](Self::component) to standard output.
    pub(in crate::cli) fn command(&self, purpose: Purpose) -> Command {
        let mut command = cargo(&self.folder);
        command.args(["build", "--lib", "--release", "--target", TARGET]);
        command.args(["--message-format", "json-render-diagnostics"]);
        for (key, value) in self.profile(purpose) {
            command.args(["--config", &format!("profile.release.{key}={value}")]);
        }
        command
    }

    /// Where the component is, by what cargo said.
    pub(in crate::cli) fn component(&self, said: &str) -> Result<PathBuf, Wrong> {
        let built = said.lines().find_map(|line| {
            let message: Value = serde_json::from_str(line).ok()?;
            let is_it = message["reason"] == "compiler-artifact"
                && text(&message["manifest_path"]) == self.manifest.to_string_lossy()
                && is_component(&message["target"]);
            let files = message["filenames"].as_array().filter(|_| is_it)?;
            files.iter().map(text).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
        });
        built.ok_or_else(|| Wrong::new(format!("cargo made no component of `{}`", self.name)))
    }

    /// What is added to the release profile: nothing that the manifest decides itself.
    fn profile(&self, purpose: Purpose) -> Vec<(&'static str, &'static str)> {
        let manifest = fs::read_to_string(&self.root_manifest).unwrap_or_default();
        let manifest: toml::Table = manifest.parse().unwrap_or_default();
        let release = manifest.get("profile").and_then(|profile| profile.get("release"));
        let decides = |key: &str| release.is_some_and(|release| release.get(key).is_some());
        let mut profile: Vec<_> =
            PROFILE.iter().copied().filter(|(key, _)| !decides(key)).collect();
        // What is asked for by name counts more than the manifest.
        let asked = match purpose {
            Purpose::Ship => &[],
            Purpose::ShipNames => KEEP_NAMES,
            Purpose::Develop => AGAIN_SOON,
        };
        profile.retain(|(key, _)| asked.iter().all(|(other, _)| other != key));
        profile.extend(asked);
        profile
    }
}

/// What cargo knows of the workspace of a folder.
fn metadata(folder: &Path) -> Result<Value, Wrong> {
    let mut command = cargo(folder);
    command.args(["metadata", "--format-version", "1", "--no-deps"]);
    serde_json::from_str(&output(command)?)
        .map_err(|error| Wrong::new(format!("what cargo says of the crate is no JSON: {error}")))
}

fn is_component(target: &Value) -> bool {
    array(&target["kind"]).iter().any(|kind| kind == "cdylib")
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[][..], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// cargo, without the flags and wrappers that are meant for the host.
fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(folder).stdin(Stdio::null()).stderr(Stdio::inherit());
    for name in [
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTFLAGS",
    ] {
        cargo.env_remove(name);
    }
    cargo
}

/// Runs a command and returns what it wrote to standard output.
fn output(mut command: Command) -> Result<String, Wrong> {
    let output = command.output().map_err(|error| not_started(&error))?;
    if !output.status.success() {
        return Err(Wrong::new("cargo failed; the reason is above"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Why cargo does not run.
pub(in crate::cli) fn not_started(error: &io::Error) -> Wrong {
    match error.kind() {
        io::ErrorKind::NotFound => Wrong::new("cargo is not on the PATH")
            .help("install Rust by https://rustup.rs, and then `rustup target add wasm32-wasip2`"),
        _ => Wrong::new(format!("cargo cannot be started: {error}")),
    }
}

/// Sees to it that the toolchain can compile components.
pub(in crate::cli) fn require_target(folder: &Path) -> Result<(), Wrong> {
    if has_target(folder) {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    rustup.current_dir(folder).args(["target", "add", TARGET]).stdin(Stdio::null());
    let _added_or_not = rustup.stdout(Stdio::null()).status();
    if has_target(folder) {
        return Ok(());
    }
    let message = format!("the Rust toolchain has no target {TARGET}, which components need");
    Err(Wrong::new(message).help(format!("run `rustup target add {TARGET}`")))
}

fn has_target(folder: &Path) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut rustc = Command::new(rustc);
    let printed = rustc.current_dir(folder).args(["--print", "sysroot"]).output();
    let sysroot = printed.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    sysroot.is_ok_and(|sysroot| Path::new(&sysroot).join("lib/rustlib").join(TARGET).is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_leaves_what_the_manifest_decides() {
        let folder = tempfile::TempDir::new().unwrap();
        let manifest = folder.path().join("Cargo.toml");
        let crate_ = Crate {
            name: "x".to_owned(),
            folder: folder.path().to_owned(),
            target: folder.path().join("target"),
            dependencies: Vec::new(),
            manifest: manifest.clone(),
            root_manifest: manifest.clone(),
        };
        fs::write(&manifest, "[package]\nname = \"x\"").unwrap();
        assert_eq!(crate_.profile(Purpose::Ship), PROFILE);
        fs::write(&manifest, "[profile.release]\nopt-level = \"s\"\nstrip = false").unwrap();
        let keys = |purpose| {
            let profile = crate_.profile(purpose);
            profile.iter().map(|(key, _)| *key).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(keys(Purpose::Ship), "lto codegen-units panic");
        // What is asked for by name counts more.
        assert_eq!(keys(Purpose::ShipNames), "lto codegen-units panic strip");
        assert_eq!(keys(Purpose::Develop), "panic lto codegen-units incremental strip debug");
    }
}
