//! Makes what the binary embeds: the first-party plugins as components, and the sources of the
//! SDK and of `wit/`, which `gateway plugin` writes.
//!
//! Each folder under `plugins/` is a crate. They are built with a cargo of their own, into a
//! target folder of their own, so that flags and wrappers meant for the host do not reach them.

#[path = "build/sources.rs"]
mod sources;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const TARGET: &str = "wasm32-wasip2";
const PROFILE: &str = "guest";

fn main() {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("..");
    for input in ["plugins", "plugin-sdk", "wit", "Cargo.toml", "Cargo.lock", "LICENSE"] {
        println!("cargo::rerun-if-changed=../{input}");
    }
    println!("cargo::rerun-if-changed=build");
    let names = plugins(&root.join("plugins"));
    require_target();
    let folder = build(&root, &names);
    let out = PathBuf::from(variable("OUT_DIR"));
    fs::write(out.join("first_party.rs"), table(&names, &folder)).expect("OUT_DIR is writable");
    sources::write(&root, &out);
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}

/// The names of the crates under `plugins/`: those of their folders.
fn plugins(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("`plugins/` stands beside `gateway/`");
    let mut names: Vec<_> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let is_crate = path.join("Cargo.toml").is_file();
            is_crate.then(|| path.file_name()?.to_str().map(str::to_owned))?
        })
        .collect();
    names.sort();
    names
}

/// Sees to it that the toolchain can compile for the guests. rustup installs the targets of
/// `rust-toolchain.toml` by itself only where that is switched on.
fn require_target() {
    if has_target() {
        return;
    }
    let _added_or_not = Command::new("rustup").args(["target", "add", TARGET]).status();
    assert!(
        has_target(),
        "the first-party plugins need the Rust target {TARGET}: run `rustup target add {TARGET}`"
    );
}

fn has_target() -> bool {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let printed = Command::new(rustc).args(["--print", "sysroot"]).output();
    let sysroot = printed.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    sysroot.is_ok_and(|sysroot| Path::new(&sysroot).join("lib/rustlib").join(TARGET).is_dir())
}

fn build(root: &Path, names: &[String]) -> PathBuf {
    let out = PathBuf::from(variable("OUT_DIR"));
    // target/<profile>/build/<package>/out: the folder is shared by all profiles of the host.
    let target = out.ancestors().nth(4).expect("OUT_DIR lies in a target folder").join("guests");
    let mut cargo = Command::new(variable("CARGO"));
    cargo.current_dir(root).args(["build", "--quiet", "--lib", "--profile", PROFILE]);
    cargo.args(["--target", TARGET, "--target-dir"]).arg(&target);
    for name in names {
        cargo.args(["--package", name]);
    }
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let is_meant_for_the_host = text.starts_with("CARGO_") && text != "CARGO_HOME"
            || text.starts_with("RUSTFLAGS")
            || text.starts_with("RUSTC")
            || text.starts_with("RUSTDOC");
        if is_meant_for_the_host {
            cargo.env_remove(&name);
        }
    }
    let status = cargo.status().expect("cargo can be started");
    assert!(status.success(), "the first-party plugins do not build; the reason stands above");
    target.join(TARGET).join(PROFILE)
}

/// A Rust expression: the name and the bytes of each component.
fn table(names: &[String], folder: &Path) -> String {
    let rows = names.iter().map(|name| {
        let path = folder.join(format!("{}.wasm", name.replace('-', "_")));
        format!("    ({name:?}, include_bytes!({path:?}).as_slice()),\n")
    });
    format!("&[\n{}]\n", rows.collect::<String>())
}
