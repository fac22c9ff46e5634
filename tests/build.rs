//! Compiles the guests of the tests to components, and the texts of those that are no plugins.
//!
//! The guests are their own workspace, built with their own cargo into a target folder
//! of their own, so that flags and wrappers meant for the host do not reach them. What comes out
//! is in one folder, `NAME.wasm` for each guest, whose path the crate has as `GUESTS`.

#[path = "../gateway/build/guests.rs"]
mod guests;

use std::path::{Path, PathBuf};
use std::{env, fs};

const TARGET: &str = "wasm32-wasip2";
/// Makes core modules. Some guests are built for it too, as `NAME-wasip1.wasm`.
const OLD_TARGET: &str = "wasm32-wasip1";
const OLD_GUESTS: [&str; 3] = ["tagger", "prints", "serves"];

fn main() {
    let tests = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    for input in ["guests", "../plugin-sdk/src", "../plugin-sdk/Cargo.toml", "../wit"] {
        println!("cargo::rerun-if-changed={input}");
    }
    println!("cargo::rerun-if-changed=../gateway/build/guests.rs");
    let sources = tests.join("guests");
    let out = PathBuf::from(variable("OUT_DIR"));
    // target/<profile>/build/<package>/out: the folder is shared by all profiles of the host.
    let target = out.ancestors().nth(4).expect("OUT_DIR lies in a target folder");
    let target = target.join("test-guests");
    let components = target.join("components");
    fs::create_dir_all(&components).expect("the target folder is writable");
    for target in [TARGET, OLD_TARGET] {
        guests::require_target(target, "the guests of the tests");
    }
    build(&sources, &target, TARGET, &[]);
    build(&sources, &target, OLD_TARGET, &OLD_GUESTS);
    for name in OLD_GUESTS {
        let from = target.join(OLD_TARGET).join("release").join(format!("{name}.wasm"));
        let to = components.join(format!("{name}-wasip1.wasm"));
        fs::copy(&from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
    gather(&sources, &target.join(TARGET).join("release"), &components);
    assemble(&sources.join("wrong-world"), &components);
    println!("cargo::rustc-env=GUESTS={}", components.display());
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}

/// Builds these guests, or all of them.
fn build(sources: &Path, folder: &Path, target: &str, names: &[&str]) {
    let mut cargo = guests::cargo_build();
    cargo.current_dir(sources).args(["--quiet", "--release", "--locked"]);
    cargo.args(["--target", target, "--target-dir"]).arg(folder);
    for name in names {
        cargo.args(["--package", name]);
    }
    let status = cargo.status().expect("cargo can be started");
    assert!(status.success(), "the guests do not build for {target}; the reason is above");
}

/// Copies each guest to where the tests look for it, under the name of its crate.
fn gather(guests: &Path, built: &Path, components: &Path) {
    for entry in fs::read_dir(guests).expect("the guests are there") {
        let path = entry.expect("a readable folder").path();
        if !path.join("Cargo.toml").is_file() {
            continue;
        }
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8");
        let from = built.join(format!("{}.wasm", name.replace('-', "_")));
        let to = components.join(format!("{name}.wasm"));
        fs::copy(&from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
}

/// Turns each text into bytes.
fn assemble(texts: &Path, components: &Path) {
    for entry in fs::read_dir(texts).expect("the texts are there") {
        let path = entry.expect("a readable folder").path();
        if path.extension().is_none_or(|extension| extension != "wat") {
            continue;
        }
        let bytes = wat::parse_file(&path).unwrap_or_else(|error| panic!("{error}"));
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name in UTF-8");
        fs::write(components.join(format!("{name}.wasm")), bytes).expect("a writable folder");
    }
}
