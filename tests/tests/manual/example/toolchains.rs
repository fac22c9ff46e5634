//! The example plugins in JavaScript and Python, built as their READMEs say.
//!
//! Owns the search for the tools. One that is missing ends the test with what to install: a test
//! that was asked for is not left out silently.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::file::root;

/// `examples/plugins-js/orders` as a component.
pub(crate) fn javascript() -> PathBuf {
    let folder = root().join("examples/plugins-js/orders");
    need("node", "install Node.js 20.19 or newer");
    need("npm", "install it with Node.js");
    if !is_installed(&folder) {
        run(Command::new("npm").args(["install", "--no-audit", "--no-fund"]), &folder);
    }
    run(Command::new("npm").args(["run", "build", "--silent"]), &folder);
    folder.join("target/orders.wasm").canonicalize().unwrap()
}

/// `examples/plugins-py/orders` as a component.
pub(crate) fn python() -> PathBuf {
    let folder = root().join("examples/plugins-py/orders").canonicalize().unwrap();
    need("python3", "install Python 3.10 or newer, and its module venv (`python3-venv`)");
    run(&mut Command::new("./build.sh"), &folder);
    folder.join("target/orders.wasm")
}

/// Whether npm has installed what the lock file says, and nothing has changed there since.
fn is_installed(folder: &Path) -> bool {
    let changed = |file: &str| folder.join(file).metadata()?.modified();
    match (changed("node_modules/.package-lock.json"), changed("package-lock.json")) {
        (Ok(installed), Ok(locked)) => installed >= locked,
        _ => false,
    }
}

fn need(tool: &str, remedy: &str) {
    let found = Command::new(tool).arg("--version").output();
    let found = found.is_ok_and(|output| output.status.success());
    assert!(found, "`{tool}` is not on the PATH, and this test builds a plugin with it: {remedy}");
}

fn run(command: &mut Command, folder: &Path) {
    let output = command.current_dir(folder).output().unwrap();
    assert!(
        output.status.success(),
        "{command:?} in {}:\n{}{}",
        folder.display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
