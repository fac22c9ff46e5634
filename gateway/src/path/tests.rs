//! Normal forms and refusals, as cases and over every path of a few awkward pieces.

use super::*;

const REFUSE: PathRules =
    PathRules { parameters: PathParameters::Refuse, keep_encoded_slashes: false };
const KEEP: PathRules = PathRules { parameters: PathParameters::Keep, keep_encoded_slashes: false };
const STRIP: PathRules =
    PathRules { parameters: PathParameters::Strip, keep_encoded_slashes: false };
const SLASHES: PathRules =
    PathRules { parameters: PathParameters::Refuse, keep_encoded_slashes: true };

#[track_caller]
fn becomes(raw: &str, normal: &str) {
    becomes_with(KEEP, raw, normal);
}

#[track_caller]
fn becomes_with(rules: PathRules, raw: &str, normal: &str) {
    assert_eq!(normalise(raw, rules).as_deref(), Ok(normal), "{raw:?}");
}

#[track_caller]
fn refuses(raw: &str, error: PathError) {
    refuses_with(KEEP, raw, error);
}

#[track_caller]
fn refuses_with(rules: PathRules, raw: &str, error: PathError) {
    assert_eq!(normalise(raw, rules), Err(error), "{raw:?}");
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
        let normal = normalise(path, KEEP);
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
    for raw in ["/a%2fb", "/a%2Fb", "/..%2f..%2fetc"] {
        refuses(raw, PathError::EncodedSlash);
    }
    for raw in ["/%5c", "/%5C.."] {
        refuses(raw, PathError::EncodedBackslash);
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
    refuses("/a#b", PathError::Delimiter);
    refuses("/a?b", PathError::Delimiter);
}

#[test]
fn refuses_dot_segments_with_parameters() {
    for raw in ["/a/..;/b", "/..;x=1/b", "/a/.;", "/a/%2e%2e;/b", "/a/..%3b/b", "/a/..%3B"] {
        refuses(raw, PathError::DotParameter);
    }
}

#[test]
fn refuses_path_parameters_unless_they_are_kept_or_stripped() {
    for raw in ["/admin;x=1/secret", "/a;", "/;a", "/a%3Bb", "/a%3b", "/a/;jsessionid=1"] {
        refuses_with(PathRules::default(), raw, PathError::Parameter);
    }
    becomes_with(KEEP, "/admin;x=1/secret", "/admin;x=1/secret");
    becomes_with(KEEP, "/a%3bb", "/a%3Bb");
    becomes_with(STRIP, "/admin;x=1/secret;y;z", "/admin/secret");
    becomes_with(STRIP, "/;x/a;/;/b;", "/a/b");
    becomes_with(STRIP, "/a/;x", "/a/");
    becomes_with(STRIP, "/a;x=/b", "/a/b");
    // Who reads the escape as a delimiter does it after the gateway, where nothing strips.
    refuses_with(STRIP, "/a%3Bx", PathError::Parameter);
    refuses_with(STRIP, "/a/..;/b", PathError::DotParameter);
    refuses_with(STRIP, "/a/%2e;x", PathError::DotParameter);
}

#[test]
fn keeps_encoded_slashes_where_it_shall_but_none_beside_a_dot_segment() {
    becomes_with(SLASHES, "/projects/group%2Fname", "/projects/group%2Fname");
    becomes_with(SLASHES, "/projects/group%2fn%61me", "/projects/group%2Fname");
    becomes_with(SLASHES, "/a%2F.b/..c%2Fd", "/a%2F.b/..c%2Fd");
    for raw in ["/a%2F..", "/a%2f../b", "/..%2Fa", "/.%2fa", "/a%2F%2e%2e%2Fb", "/a/%2E%2F"] {
        refuses_with(SLASHES, raw, PathError::DotSlash);
    }
    refuses_with(SLASHES, "/a%5Cb", PathError::EncodedBackslash);
    refuses_with(SLASHES, "/a%2F;b", PathError::Parameter);
    let both = PathRules { parameters: PathParameters::Keep, keep_encoded_slashes: true };
    refuses_with(both, "/a%2F..;b", PathError::DotSlash);
}

/// Every path of a few awkward pieces: what comes out is stable and holds nothing ambiguous.
#[test]
fn is_idempotent_and_leaves_nothing_ambiguous() {
    let both = PathRules { parameters: PathParameters::Keep, keep_encoded_slashes: true };
    for (rules, never, pieces, at_least) in [
        (KEEP, &["%2F"][..], 5, 100_000),
        (REFUSE, &["%2F", ";", "%3B"], 4, 2_000),
        (STRIP, &["%2F", ";", "%3B"], 4, 2_000),
        (both, &["/..%2F", "%2F../", "%2F..;"], 4, 5_000),
    ] {
        let accepted = is_stable(rules, never, pieces);
        assert!(accepted > at_least, "only {accepted} were accepted by {rules:?}");
    }
}

fn is_stable(rules: PathRules, never_by_rules: &[&str], pieces: u32) -> usize {
    const PIECES: [&str; 19] = [
        "/", "//", ".", "..", "%2e", "%2E", "a", "%61", "%2f", "%5C", ";", "%3b", "%c3%a9", "|",
        "%", "%25", "2e", "%c0%af", "@",
    ];
    const NEVER: [&str; 9] = ["//", "/./", "/../", "%2f", "%5C", "%2E", "/..;", "/.;", "/..%3B"];
    let mut accepted = 0;
    for number in 0..PIECES.len().pow(pieces) {
        let mut rest = number;
        let mut raw = String::from("/");
        while rest > 0 {
            raw.push_str(PIECES[rest % PIECES.len()]);
            rest /= PIECES.len();
        }
        let Ok(normal) = normalise(&raw, rules) else {
            continue;
        };
        accepted += 1;
        let again = normalise(&normal, rules);
        assert!(matches!(again, Ok(Cow::Borrowed(same)) if same == normal), "{raw}");
        assert!(normal.starts_with('/'));
        let bounded = format!("{normal}/");
        for never in NEVER.iter().chain(never_by_rules) {
            let whole = if *never == "//" { &*normal } else { &*bounded };
            assert!(!whole.contains(never), "{raw} became {normal}");
        }
        if let Cow::Borrowed(same) = &normal {
            assert_eq!(*same, raw);
        }
    }
    accepted
}
