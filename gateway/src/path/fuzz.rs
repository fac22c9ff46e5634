//! Paths that nobody meant to send.
//!
//! Owns what holds of every path that is accepted, no matter who wrote it.

use gateway_fuzz::Target;

use super::{PathParameters, PathRules, normalise};

/// Nothing is refused or taken away for its parameters.
const KEEP: PathRules = PathRules { parameters: PathParameters::Keep, keep_encoded_slashes: false };

const TOKENS: &[&str] = &[
    "/",
    "//",
    "/.",
    "/..",
    "/./",
    "/../",
    "..;",
    ".;x=1",
    "%2e",
    "%2E%2e",
    "%2f",
    "%5C",
    "\\",
    "%",
    "%0",
    "%00",
    "%25",
    "%c0%ae",
    "%e0%80%af",
    "%f0%80%80%af",
    "é",
    "#",
    "?",
    ";",
    ":",
    "@",
    " ",
    "\t",
];

#[test]
fn an_accepted_path_is_in_normal_form() {
    let mut accepted = 0;
    Target::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/paths"), TOKENS).check(|input| {
        let Ok(raw) = std::str::from_utf8(input) else { return };
        let strict = normalise(raw, PathRules::default());
        let Ok(path) = normalise(raw, KEEP) else {
            assert!(strict.is_err(), "{raw} is taken by the stricter rules alone");
            return;
        };
        if let Ok(strict) = strict {
            assert_eq!(strict, path);
            assert!(!decoded(&strict).contains(&b';'), "{strict}");
        }
        accepted += 1;
        assert!(path.starts_with('/'), "{path}");
        assert!(!path.contains("//"), "{path}");
        assert!(path.bytes().all(|byte| matches!(byte, b'!'..=b'~')), "{path}");
        assert!(!path.contains(['\\', '#', '?', '"', '<', '>']), "{path}");
        assert_eq!(normalise(&path, KEEP).as_deref(), Ok(&*path), "again");
        for segment in path.split('/') {
            assert!(!is_dot_segment(&decoded(segment)), "{path}");
        }
        assert_eq!(resolved(raw), decoded(&path), "it means another path");
    });
    assert!(accepted > 5, "only {accepted} were accepted");
}

/// What a server may take for a dot segment that removes what it calls parameters first.
fn is_dot_segment(segment: &[u8]) -> bool {
    let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
    matches!(name, b"." | b"..")
}

fn decoded(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}

/// Another way to the same path: all is decoded first, which may be done because no escape of a
/// separator was accepted; then segments are taken one by one.
fn resolved(raw: &str) -> Vec<u8> {
    let raw = decoded(raw);
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut ends_in_slash = false;
    for segment in raw[1..].split(|byte| *byte == b'/') {
        ends_in_slash = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    let mut path: Vec<u8> = segments.iter().flat_map(|name| [b"/", *name].concat()).collect();
    if ends_in_slash || path.is_empty() {
        path.push(b'/');
    }
    path
}
