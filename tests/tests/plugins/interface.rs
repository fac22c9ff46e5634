//! The plugin interface is a promise: what changes in `wit/` is written down in its CHANGELOG.
//!
//! The digest of the interface is there. It is that of the files without their comments, so that
//! only what a plugin can see counts, and needs no history to compare with.

use std::fmt::Write as _;
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};

#[test]
fn every_change_of_the_interface_is_noted_in_its_changelog() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wit"));
    files.sort();
    assert!(files.len() > 10, "{files:?}");
    let mut context = Context::new(&SHA256);
    for file in &files {
        let name = file.file_name().unwrap().to_str().unwrap();
        context.update(
            format!("{name}\n{}", without_comments(&std::fs::read_to_string(file).unwrap()))
                .as_bytes(),
        );
    }
    let digest = context.finish().as_ref()[..16].iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let changelog = std::fs::read_to_string(folder.join("CHANGELOG.md")).unwrap();
    assert!(
        changelog.contains(&format!("`{digest}`")),
        "the interface is not the one that wit/CHANGELOG.md speaks of. Note there what changed, and \
         put the digest `{digest}` in the place of the old one"
    );
}

/// The lines with words in them, without what is behind `//`, each with single blanks.
fn without_comments(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let words = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    words.filter(|line| !line.is_empty()).map(|line| line + "\n").collect()
}

#[test]
fn only_what_a_plugin_can_see_counts() {
    let text = "/// What it is.\ninterface a {\n\n    f: func();  // why\n}\n";
    assert_eq!(without_comments(text), "interface a {\nf: func();\n}\n");
    assert_ne!(without_comments("f: func() -> u8;"), without_comments("f: func() -> u16;"));
}
