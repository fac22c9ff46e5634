//! Makes what the binary embeds: the first-party plugins as components, packed, and the sources of the
//! SDK and of `wit/`, which `gateway plugin` writes.
//!
//! Each folder under `plugins/` is a crate. They are built with their own cargo, into a
//! target folder of their own, so that flags and wrappers meant for the host do not reach them.

#[path = "build/guests.rs"]
mod guests;
#[path = "build/packed.rs"]
mod packed;
#[path = "build/sources.rs"]
mod sources;

use std::path::{Path, PathBuf};
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
    guests::require_target(TARGET, "the first-party plugins");
    let folder = build(&root, &names);
    let out = PathBuf::from(variable("OUT_DIR"));
    let is_optimized = variable("PROFILE") == "release";
    let table = packed::table(&names, &folder, &out, is_optimized);
    fs::write(out.join("first_party.rs"), table).expect("OUT_DIR is writable");
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

fn build(root: &Path, names: &[String]) -> PathBuf {
    let out = PathBuf::from(variable("OUT_DIR"));
    // target/<profile>/build/<package>/out: the folder is shared by all profiles of the host.
    let target = out.ancestors().nth(4).expect("OUT_DIR lies in a target folder").join("guests");
    let mut cargo = guests::cargo_build();
    cargo.current_dir(root).args(["--quiet", "--lib", "--profile", PROFILE]);
    cargo.args(["--target", TARGET, "--target-dir"]).arg(&target);
    for name in names {
        cargo.args(["--package", name]);
    }
    let status = cargo.status().expect("cargo can be started");
    assert!(status.success(), "the first-party plugins do not build; the reason is above");
    target.join(TARGET).join(PROFILE)
}
