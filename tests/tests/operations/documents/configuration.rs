//! What is said of a configuration whose documents are wrong, each in its place.

use gateway::config::{self, Known, Source};

fn said(text: &str) -> String {
    let text = format!(
        "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n\
         [[routes]]\nname = \"r\"\npaths = [\"/\"]\nplugins = [\"p\"]\nrespond = {{}}\n\
         [upstreams.issuer]\ntargets = [\"http://127.0.0.1:1\"]\n\
         [plugins.p]\ncomponent = \"auth\"\ndocuments = [\"keys\"]\n{text}\n"
    );
    let folder = std::env::temp_dir();
    let source = Source::new(folder.join("test.toml"), &text);
    match config::read(source, &|_| None, &Known { built_in: &["auth"] }) {
        Ok(loaded) => loaded.warnings.render(false),
        Err(diagnostics) => diagnostics.render(false),
    }
}

#[test]
fn each_wrong_option_is_explained_in_its_place() {
    let remote = "upstream = \"issuer\"\npath = \"/jwks\"";
    for (text, words) in [
        (
            "[documents.kyes]\nfile = \"x\"",
            vec!["there is no document `keys`", "did you mean `kyes`"],
        ),
        ("", vec!["there is no document `keys`", "add a `[documents.keys]` table"]),
        ("[documents.keys]", vec!["comes from nowhere", "`file = \"PATH\"`"]),
        (
            "[documents.keys]\nupstream = \"isuer\"\npath = \"/jwks\"",
            vec!["there is no upstream `isuer`", "did you mean `issuer`"],
        ),
        ("[documents.keys]\nupstream = \"issuer\"", vec!["has no `path`"]),
        (
            "[documents.keys]\nupstream = \"issuer\"\npath = \"https://a.example/jwks\"",
            vec!["this is a URL", "write the path alone"],
        ),
        (
            "[documents.keys]\nupstream = \"issuer\"\npath = \"jwks\"",
            vec!["a path begins with `/`", "write `/jwks`"],
        ),
        (
            "[documents.keys]\nupstream = \"issuer\"\npath = \"/\"\nfile = \"x\"",
            vec!["this one has both"],
        ),
        (
            "[documents.keys]\nfile = \"/etc/hostname\"\nrefresh = \"5m\"",
            vec!["`refresh` is for a remote document"],
        ),
        (
            &format!("[documents.keys]\n{remote}\nrefresh = \"10s\"\nmin_refresh = \"20s\""),
            vec!["`min_refresh` is longer than `refresh`"],
        ),
        (&format!("[documents.keys]\n{remote}\nrefresh = 60"), vec!["give it a unit", "`\"60s\"`"]),
        (&format!("[documents.keys]\n{remote}\nsize = \"1GiB\""), vec!["`size` is out of range"]),
        (
            &format!("[documents.keys]\n{remote}\nfollow = {{ pointer = \"jwks_uri\" }}"),
            vec!["is not a JSON Pointer", "`pointer = \"/jwks_uri\"`"],
        ),
        (
            &format!("[documents.keys]\n{remote}\n[documents.other]\n{remote}"),
            vec!["no plugin uses the document `other`"],
        ),
    ] {
        let said = said(text);
        for words in words {
            assert!(said.contains(words), "{text}\n{said}");
        }
    }
    let fine = said(&format!("[documents.keys]\n{remote}\nrefresh = \"10s\""));
    assert_eq!(fine, "");
}
