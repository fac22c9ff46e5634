//! What is found, what is not, and that a text that grows gives the same as a whole one.

use std::ops::Range;

use crate::{Builtin, Detector, Pattern, PatternError, Set, nearest};

fn set(builtin: &[Builtin]) -> Set {
    Set::new(builtin.iter().map(|it| Detector::Builtin(*it)).collect())
}

fn found(set: &Set, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let until = set.read(None, text, true, |_, range| found.push(text[range].to_owned()));
    assert_eq!(until, text.len());
    found
}

/// Each detector with what it finds and what it does not.
fn cases() -> Vec<(Builtin, Vec<String>, Vec<&'static str>)> {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let pem =
        |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----");
    // Put together, so that nobody takes them for real ones that leaked.
    let key = |prefix: &str, body: &str| format!("{prefix}{body}");
    vec![
        (
            Builtin::Email,
            texts(&[
                "ada@b\u{fc}cher.de",
                "ada@\u{43f}\u{440}.\u{440}\u{444}",
                "ada@example.com",
                "a.b-c+d@x.co.uk",
                "1@2.de",
                "o_k@sub.example.museum",
            ]),
            vec!["ada@localhost", "@example.com", "a@b.c", "a@b..de", "a b@", "x@1.2"],
        ),
        (
            Builtin::Card,
            texts(&[
                "4111 1111 1111 1111",
                "378282246310005",
                "5555-5555-5555-4444",
                "6011111111111117",
                "3530111333300000",
                "2223003122003222",
                "4111\u{a0}1111\u{a0}1111\u{a0}1111",
                "4111\u{202f}1111\u{202f}1111\u{202f}1111",
                "4111\u{2011}1111\u{2011}1111\u{2011}1111",
                "4111.1111.1111.1111",
                "3782.822463.10005",
            ]),
            vec![
                "4111 1111 1111 1112",
                "1234567812345670",
                "14111111111111111",
                "4111111111111111a",
                "0.4111111111111111",
                "4.111111111111111",
                "41.11.1111.1111.1111",
                "4111..1111.1111.1111",
            ],
        ),
        (
            Builtin::Iban,
            texts(&[
                "DE89370400440532013000",
                "GB82 WEST 1234 5698 7654 32",
                "NO9386011117947",
                "de89370400440532013000",
                "gb82 west 1234 5698 7654 32",
                "GB82-WEST-1234-5698-7654-32",
                "GB82\u{a0}WEST\u{a0}1234\u{a0}5698\u{a0}7654\u{a0}32",
                "De89\u{202f}3704\u{202f}0044\u{202f}0532\u{202f}0130\u{202f}00",
                "FR1420041010050500013M02606",
            ]),
            vec![
                "DE89370400440532013001",
                "de89370400440532013001",
                "GB82--WEST-1234-5698-7654-32",
                "XX89370400440532013000",
                "DE89370400440532013000A",
                "DE8937040044",
            ],
        ),
        (
            Builtin::Phone,
            texts(&[
                "+49 30 1234567",
                "+14155550100",
                "(415) 555-0100",
                "415-555-2671",
                "+44 (0) 20 7946 0958",
            ]),
            vec![
                "+1 23",
                "4155550100",
                "115-555-2671",
                "1+14155550100",
                "2024-10-21",
                "415-555-26711",
            ],
        ),
        (
            Builtin::IpAddress,
            texts(&["192.0.2.7", "2001:db8::1", "::1", "fe80::1:2"]),
            vec!["1.2.3", "1.2.3.400", "12:30", "v1.2.3.4", "a::b::c", "1.2.3.4.5"],
        ),
        (
            Builtin::UsSsn,
            texts(&["123-45-6789", "001 02 0003"]),
            vec![
                "000-45-6789",
                "666-45-6789",
                "912-45-6789",
                "123-00-6789",
                "123-45-0000",
                "123-45 6789",
                "123-45-67890",
            ],
        ),
        (
            Builtin::BrCpf,
            texts(&["529.982.247-25", "52998224725"]),
            vec!["529.982.247-26", "11111111111", "529-982-247-25"],
        ),
        (
            Builtin::EsDni,
            texts(&["12345678Z", "X1234567L", "12345678-Z"]),
            vec!["12345678A", "X1234567A", "1234567Z"],
        ),
        (
            Builtin::FrNir,
            texts(&["255081416802538", "2 55 08 14 168 025 38"]),
            vec!["255081416802539", "955081416802538"],
        ),
        (
            Builtin::ItFiscalCode,
            texts(&["RSSMRA85T10A562S"]),
            vec!["RSSMRA85T10A562T", "RSSMRA85Z10A562S"],
        ),
        (Builtin::PlPesel, texts(&["44051401359"]), vec!["44051401358", "44991401359"]),
        (
            Builtin::ApiKey,
            vec![
                // An example that GitHub's own documentation has.
                key("ghp_", "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"),
                key("sk-ant-", &"a1B2".repeat(12)),
                key("AIza", &"Sy0_-".repeat(7)),
                key("glpat-", &"x9".repeat(10)),
                key("sk_live_", &"4eC3".repeat(6)),
            ],
            vec![
                "ghp_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq18",
                "ghp_short",
                "AIza",
                "sk-ant-12",
                "task-ant-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            ],
        ),
        (
            Builtin::AwsKey,
            vec![key("AKIA", "IOSFODNN7EXAMPLE")],
            vec!["AKIAIOSFODNN7EXAMPL", "AKIAIOSFODNN7EXAMPLEX", "aws_secret"],
        ),
        (
            Builtin::PrivateKey,
            vec![
                pem("RSA PRIVATE KEY", "MIIB+/=\nabc"),
                pem("PRIVATE KEY", "MIIB\\nAA"),
                "-----BEGIN EC PRIVATE KEY-----\nMIIB".to_owned(),
            ],
            vec!["-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----", "PRIVATE KEY"],
        ),
        (
            Builtin::Jwt,
            vec!["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl".to_owned()],
            vec![
                "eyJhbGciOiJIUzI1NiJ9",
                "eyJhbGci.eyJ",
                "xeyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
            ],
        ),
        (
            Builtin::HighEntropy,
            texts(&["q7Fz2LpX9vKd4RtW8mNs"]),
            vec!["aaaaaaaaaaaaaaaaaaaaA1", "internationalisation", "q7Fz2LpX9v"],
        ),
    ]
}

#[test]
fn each_detector_finds_what_it_says_and_nothing_near_it() {
    for (detector, matches, others) in cases() {
        let set = set(&[detector]);
        for text in matches {
            for around in [
                text.clone(),
                format!("it is {text}, I think"),
                format!("\u{e9}({text})\u{e9}"),
                format!("{text}."),
            ] {
                assert_eq!(
                    found(&set, &around),
                    [text.as_str()],
                    "{} in {around:?}",
                    detector.name()
                );
            }
            assert!(text.len() <= detector.longest());
        }
        for text in others {
            assert_eq!(found(&set, text), [""; 0], "{} in {text:?}", detector.name());
        }
    }
    let secret = format!("aws_secret_access_key = {}", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    assert_eq!(
        found(&set(&[Builtin::AwsKey]), &secret),
        ["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"]
    );
}

/// What is found in a text that comes in pieces.
fn grown(set: &Set, pieces: &[&str]) -> (Vec<Range<usize>>, usize) {
    let (mut found, mut kept, mut start, mut before, mut most) =
        (Vec::new(), String::new(), 0, None, 0);
    for (index, piece) in pieces.iter().enumerate() {
        kept.push_str(piece);
        let is_end = index + 1 == pieces.len();
        let until = set.read(before, &kept, is_end, |_, range| {
            found.push(start + range.start..start + range.end)
        });
        before = kept[..until].chars().next_back().or(before);
        kept.drain(..until);
        start += until;
        most = most.max(kept.len());
    }
    assert!(kept.is_empty());
    (found, most)
}

#[test]
fn a_text_that_grows_gives_the_same_wherever_it_is_cut() {
    let all = set(&Builtin::ALL);
    for (_, matches, others) in cases() {
        for text in matches.iter().map(String::as_str).chain(others) {
            let text = format!("so {text} \u{1f600}x {text}");
            let mut whole = Vec::new();
            all.read(None, &text, true, |_, range| whole.push(range));
            for cut in (0..=text.len()).filter(|cut| text.is_char_boundary(*cut)) {
                let (front, back) = text.split_at(cut);
                assert_eq!(grown(&all, &[front, back]).0, whole, "{front:?} | {back:?}");
            }
            let letters: Vec<String> = text.chars().map(String::from).collect();
            let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
            let (found, most) = grown(&all, &letters);
            assert_eq!(found, whole, "{text:?}");
            assert!(most <= all.longest(), "{most}");
        }
    }
}

#[test]
fn a_domain_ends_where_other_scripts_and_quotes_begin() {
    let set = set(&[Builtin::Email]);
    for behind in ["\u{201d}", "\u{307e}\u{3067}", "\u{a0}x", "\u{bb}", "\u{1f600}"] {
        assert_eq!(found(&set, &format!("ada@example.com{behind}")), ["ada@example.com"]);
    }
    // Cut where the longest domain ends, not within a letter.
    found(&set, &format!("a@{}", "\u{fc}".repeat(300)));
    found(&set, &format!("a@x{}", "\u{fc}".repeat(300)));
    found(&set, &format!("a@{}.de{}", "ab.".repeat(83), "\u{fc}".repeat(9)));
}

#[test]
fn nothing_waits_for_more_than_the_longest_match() {
    let all = set(&Builtin::ALL);
    for letter in [
        "a",
        "1",
        "-",
        "A",
        "+",
        " 1",
        "a.",
        "e",
        "eyJ",
        "-----BEGIN PRIVATE KEY-----",
        "4 ",
        ":",
        "(2",
    ] {
        let pieces = vec![letter; 40_000 / letter.len()];
        let (_, most) = grown(
            &set(&[Builtin::Email, Builtin::Card, Builtin::Phone]),
            &pieces[..2000.min(pieces.len())],
        );
        assert!(most <= 400, "{letter}: {most}");
        let (_, most) = grown(&all, &pieces[..pieces.len().min(1500)]);
        assert!(most <= all.longest() + letter.len(), "{letter}: {most}");
    }
}

#[test]
fn patterns_are_bounded_and_find_the_same_in_pieces() {
    let error = |text: &str| Pattern::new(text).err();
    assert_eq!(error("a+"), Some(PatternError::TooLong(None)));
    assert_eq!(error("a{2000}"), Some(PatternError::TooLong(Some(2000))));
    assert_eq!(error("a?"), Some(PatternError::Empty));
    assert_eq!(error(r"\bab\b"), Some(PatternError::UnicodeWord));
    assert!(matches!(error("(a"), Some(PatternError::Syntax(_))));
    for (expression, text, wanted) in [
        (r"EMP-\d{6}", "so EMP-123456 and EMP-12345", vec!["EMP-123456"]),
        (
            r"(?i)project (?:blue|red)bird",
            "PROJECT Bluebird, project redbird",
            vec!["PROJECT Bluebird", "project redbird"],
        ),
        (r"(?-u:\b)id[0-9]{1,4}(?-u:\b)", "id12 xid12 id12345 id7", vec!["id12", "id7"]),
        (r"a{1,3}", "aaaaa", vec!["aaa", "aa"]),
        (r"[\u{e4}\u{f6}]{2}", "\u{e4}\u{f6} \u{e4}", vec!["\u{e4}\u{f6}"]),
    ] {
        let set = Set::new(vec![Detector::Pattern(Box::new(Pattern::new(expression).unwrap()))]);
        assert_eq!(found(&set, text), wanted, "{expression}");
        let mut whole = Vec::new();
        set.read(None, text, true, |_, range| whole.push(range));
        for cut in (0..=text.len()).filter(|cut| text.is_char_boundary(*cut)) {
            let (front, back) = text.split_at(cut);
            assert_eq!(grown(&set, &[front, back]).0, whole, "{expression}: {front:?} | {back:?}");
        }
    }
}

#[test]
fn a_name_that_is_nearly_right_is_known() {
    let names = || Builtin::ALL.iter().map(|it| it.name());
    assert_eq!(nearest("emial", names()), Some("email"));
    assert_eq!(nearest("credit", names()), None);
    assert_eq!(nearest("privat-key", names()), Some("private-key"));
}

#[test]
fn texts_put_together_by_lot_give_the_same_in_any_pieces() {
    let fragments = [
        "a",
        "@",
        ".de",
        " ",
        "-",
        "4111 1111",
        " 1111-",
        "DE89 3704",
        "0044 0532 0130 00",
        "+49 ",
        "30 1234567",
        "(415) ",
        "555-0100",
        "::",
        "2001:db8",
        "1.2.",
        "3.4",
        "123-45-",
        "6789",
        "529.982.",
        "247-25",
        "eyJhbGciOi",
        "JIUzI1NiJ9.eyJz",
        "dWIi.x_",
        "ghp_",
        "sk-ant-",
        "AKIA",
        "IOSFODNN7EXAMPLE",
        "-----BEGIN ",
        "PRIVATE KEY-----",
        "\n",
        "-----END PRIVATE KEY-----",
        "aws_secret_",
        "access_key=",
        "RSSMRA85T10A562S",
        "\u{e9}",
        "\u{1f600}",
        "12345678Z",
        "x1Y2z3W4v5U6t7S8r9Q0",
    ];
    let all = set(&Builtin::ALL);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut lot = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap_or(0)
    };
    for _ in 0..1500 {
        let text: String = (0..2 + lot(9)).map(|_| fragments[lot(fragments.len())]).collect();
        let mut whole = Vec::new();
        all.read(None, &text, true, |detector, range| whole.push((detector, range)));
        let mut pieces = Vec::new();
        let mut from = 0;
        while from < text.len() {
            let mut to = (from + 1 + lot(6)).min(text.len());
            while !text.is_char_boundary(to) {
                to += 1;
            }
            pieces.push(&text[from..to]);
            from = to;
        }
        let (found, most) = grown(&all, &pieces);
        let whole: Vec<_> = whole.into_iter().map(|(_, range)| range).collect();
        assert_eq!(found, whole, "{pieces:?}");
        assert!(most <= all.longest());
    }
}
