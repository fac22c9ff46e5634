//! Normal forms and refusals, as cases and over every path of a few awkward pieces.

use super::*;

#[track_caller]
fn becomes(raw: &str, normal: &str) {
    assert_eq!(normalise(raw).as_deref(), Ok(normal), "{raw:?}");
}

#[track_caller]
fn refuses(raw: &str, error: PathError) {
    assert_eq!(normalise(raw), Err(error), "{raw:?}");
}

#[test]
fn borrows_a_path_that_is_normal_already() {
    for path in [
        "/",
        "/a",
        "/a/",
        "/a/b.c",
        "/.well-known/x",
        "/...",
        "/..a/b",
        "/a;v=1/b;x",
        "/%C3%A9",
        "/a%20b",
        "/@me/a:b",
        "/~x/$!'()*+,=&",
        "/%25",
        "/a/.b/..c",
        "/%3B",
        "/%E9",
        "/.%20",
        "/..%3A",
    ] {
        let normal = normalise(path);
        assert!(matches!(normal, Ok(Cow::Borrowed(same)) if same == path), "{normal:?}");
    }
}

#[test]
fn decodes_unreserved_characters_and_writes_other_escapes_in_upper_case() {
    becomes("/%61%2d%2E%5f%7e%41%30", "/a-._~A0");
    becomes("/%c3%a9", "/%C3%A9");
    becomes("/a%3ab%40", "/a%3Ab%40");
    becomes("/%2561", "/%2561");
}

#[test]
fn escapes_printable_characters_that_no_path_may_hold() {
    becomes("/a|b[0]{x}", "/a%7Cb%5B0%5D%7Bx%7D");
    becomes("/\"<>^`", "/%22%3C%3E%5E%60");
}

#[test]
fn merges_slashes() {
    becomes("//a///b", "/a/b");
    becomes("//", "/");
    becomes("/a//", "/a/");
}

#[test]
fn resolves_dot_segments_however_they_are_written() {
    becomes("/a/./b", "/a/b");
    becomes("/a/../b", "/b");
    becomes("/a/%2e%2E/b", "/b");
    becomes("/a/.%2e/b", "/b");
    becomes("/a/b/..", "/a/");
    becomes("/a/.", "/a/");
    becomes("/a/..", "/");
    becomes("/.", "/");
    becomes("/a//../b", "/b");
    becomes("/a/b/../../c/", "/c/");
}

#[test]
fn refuses_to_climb_above_the_root() {
    for raw in ["/..", "/../a", "/a/../..", "/%2e%2e/a", "//../a", "/./../a"] {
        refuses(raw, PathError::AboveRoot);
    }
}

#[test]
fn refuses_what_two_servers_could_read_differently() {
    refuses("", PathError::NotAbsolute);
    refuses("a/b", PathError::NotAbsolute);
    refuses("*", PathError::NotAbsolute);
    for raw in ["/%", "/%4", "/%zz", "/%4g", "/%%41", "/a%2", "/%+1"] {
        refuses(raw, PathError::Escape);
    }
    for raw in ["/a%2fb", "/a%2Fb", "/%5c", "/%5C..", "/..%2f..%2fetc"] {
        refuses(raw, PathError::EncodedSeparator);
    }
    for raw in ["/%00", "/%0d%0aX", "/%1f", "/%7F"] {
        refuses(raw, PathError::EncodedControl);
    }
    for raw in ["/%c0%af", "/%C0%AE", "/%c1%9c", "/%E0%80%AF", "/%f0%80%80%af"] {
        refuses(raw, PathError::Overlong);
    }
    refuses("/a\\b", PathError::Backslash);
    refuses("/a\tb", PathError::Control);
    refuses("/a b", PathError::Control);
    refuses("/é", PathError::NonAscii);
    refuses("/a#b", PathError::Delimiter);
    refuses("/a?b", PathError::Delimiter);
}

#[test]
fn refuses_dot_segments_with_parameters() {
    for raw in ["/a/..;/b", "/..;x=1/b", "/a/.;", "/a/%2e%2e;/b", "/a/..%3b/b", "/a/..%3B"] {
        refuses(raw, PathError::DotParameter);
    }
}

/// Every path of a few awkward pieces: what comes out is stable and holds nothing ambiguous.
#[test]
fn is_idempotent_and_leaves_nothing_ambiguous() {
    const PIECES: [&str; 19] = [
        "/", "//", ".", "..", "%2e", "%2E", "a", "%61", "%2f", "%5C", ";", "%3b", "%c3%a9", "|",
        "%", "%25", "2e", "%c0%af", "@",
    ];
    let mut accepted = 0;
    for number in 0..PIECES.len().pow(5) {
        let mut rest = number;
        let mut raw = String::from("/");
        while rest > 0 {
            raw.push_str(PIECES[rest % PIECES.len()]);
            rest /= PIECES.len();
        }
        let Ok(normal) = normalise(&raw) else {
            continue;
        };
        accepted += 1;
        assert!(matches!(normalise(&normal), Ok(Cow::Borrowed(same)) if same == normal), "{raw}");
        assert!(normal.starts_with('/'));
        let bounded = format!("{normal}/");
        for never in ["//", "/./", "/../", "%2f", "%2F", "%5C", "%2E", "/..;", "/.;", "/..%3B"] {
            let whole = if never == "//" { &*normal } else { &*bounded };
            assert!(!whole.contains(never), "{raw} became {normal}");
        }
        if let Cow::Borrowed(same) = &normal {
            assert_eq!(*same, raw);
        }
    }
    assert!(accepted > 100_000, "only {accepted} were accepted");
}
