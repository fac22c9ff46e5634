//! Values are kept as written; what is not JSON is refused where it stops being so.

use super::{Raw, Writer, scan};

#[test]
fn values_are_slices_of_the_text() {
    let body =
        br#" { "a\u0062" : 1.50e+3 , "b":["x\ny", {"c":null}, true], "n":18446744073709551616 } "#;
    let root = Raw::parse(body).expect("JSON");
    assert_eq!(root.get("ab").map(Raw::text), Some("1.50e+3"));
    assert_eq!(root.get("n").map(Raw::text), Some("18446744073709551616"));
    let list: Vec<_> = root.get("b").expect("a member").elements().map(Raw::text).collect();
    assert_eq!(list, [r#""x\ny""#, r#"{"c":null}"#, "true"]);
    let b = root.get("b").expect("a member");
    assert_eq!(&body[b.range_in(body)], b.text().as_bytes());
    assert_eq!(b.elements().next().and_then(Raw::str).as_deref(), Some("x\ny"));
}

#[test]
fn strings_decode_pairs_and_halves_of_pairs() {
    let text =
        |json: &str| Raw::parse(json.as_bytes()).expect("JSON").str().expect("text").into_owned();
    assert_eq!(text(r#""\ud83d\ude00\u00e9\/""#), "\u{1f600}\u{e9}/");
    assert_eq!(text(r#""\ud83dx""#), "\u{fffd}x");
    assert_eq!(text(r#""\ud83d""#), "\u{fffd}");
}

#[test]
fn what_is_not_json_is_refused_at_its_place() {
    for (text, at) in [
        ("", 0),
        ("{", 1),
        ("{\"a\"}", 4),
        ("[1,]", 3),
        ("01", 1),
        ("1.", 2),
        ("\"\\x\"", 1),
        ("\"\n\"", 1),
        ("tru", 0),
        ("[1 2]", 3),
        ("{} {}", 3),
        ("\"abcdefghijkl\u{1}\"", 13),
    ] {
        assert_eq!(Raw::parse(text.as_bytes()).map_err(|fault| fault.at), Err(at), "{text}");
    }
    assert!(Raw::parse("[".repeat(100_000).as_bytes()).is_err());
    assert!(Raw::parse(b"\"\xff\"").is_err());
}

#[test]
fn whole_numbers_only() {
    let number = |text: &str| Raw::parse(text.as_bytes()).expect("JSON").u64();
    assert_eq!(number("12"), Some(12));
    assert_eq!(number("12.0"), Some(12));
    assert_eq!(number("12.5"), None);
    assert_eq!(number("-1"), None);
    assert_eq!(number("1e3"), None);
}

#[test]
fn what_is_written_is_read_again() {
    let mut writer = Writer::new();
    writer.object(|w| {
        w.key("a").str("\u{1}\"\\\n").key("b").array(|w| {
            w.u64(0).u64(u64::MAX).null().bool(true).raw("1.0").str("").object(|_| {});
        });
    });
    let expected = r#"{"a":"\u0001\"\\\n","b":[0,18446744073709551615,null,true,1.0,"",{}]}"#;
    assert_eq!(writer.out, expected);
    assert!(Raw::parse(writer.out.as_bytes()).is_ok());
}

#[test]
fn a_scan_sees_members_at_any_depth_but_not_what_is_inside_strings() {
    let mut names = Vec::new();
    scan(br#"{"a":{"usage" : null},"b":"\"usage\":{}","c":["usage"]}"#, |name, value, length| {
        names.push((String::from_utf8_lossy(name).into_owned(), value[0], length));
    });
    let expected =
        [("a", b'{', None), ("usage", b'n', None), ("b", b'"', Some(12)), ("c", b'[', None)];
    assert_eq!(names, expected.map(|(name, first, length)| (name.to_owned(), first, length)));
}
