//! What people see, to the letter.

use super::*;

#[test]
fn shows_five_unrelated_errors_at_once() {
    let text = "\
[[listeners]]
name = \"public\"
adress = \"127.0.0.1:8080\"

[upstreams.orders]
targets = [\"10.0.0.1:9000\"]

[plugins.keys]
component = \"lock\"
limits = { deadline = 20 }

[[routes]]
name = orders
paths = [\"/orders/{id}\"]
plugins = [\"kesy\"]
redirect = { to = \"/new/{idd}\" }
";
    assert_eq!(
        check(&text.replace("= orders", "= \"orders\"")).unwrap_err().render(false),
        "\
error: unknown key `adress` in `[[listeners]]`
 --> gateway.toml:3:1
  |
3 | adress = \"127.0.0.1:8080\"
  | ^^^^^^
  |
  = help: did you mean `address`?

warning: no route uses the upstream `orders`
 --> gateway.toml:5:12
  |
5 | [upstreams.orders]
  |            ^^^^^^

error: `10.0.0.1:9000` is not a URL
 --> gateway.toml:6:13
  |
6 | targets = [\"10.0.0.1:9000\"]
  |             ^^^^^^^^^^^^^
  |
  = help: add a scheme: `http://10.0.0.1:9000`

error: `deadline` must be a duration, but this is an integer
  --> gateway.toml:10:23
   |
10 | limits = { deadline = 20 }
   |                       ^^ expected a duration
   |
   = help: give it a unit: `\"20s\"` or `\"20ms\"`

error: there is no plugin `kesy`
  --> gateway.toml:15:12
   |
15 | plugins = [\"kesy\"]
   |            ^^^^^^
   |
   = help: did you mean `keys`?

error: `{idd}` has no value
  --> gateway.toml:16:25
   |
14 | paths = [\"/orders/{id}\"]
   |          -------------- `/orders/{id}` does not capture it
15 | plugins = [\"kesy\"]
16 | redirect = { to = \"/new/{idd}\" }
   |                         ^^^^^
   |
   = help: did you mean `id`?

gateway.toml: 5 errors, 1 warning"
    );
    let with_broken_line: Vec<_> = findings(text).into_iter().map(|found| found.1).collect();
    assert_eq!(
        with_broken_line,
        [
            "unknown key `adress` in `[[listeners]]`",
            "`10.0.0.1:9000` is not a URL",
            "`deadline` must be a duration, but this is an integer",
            "a string must be quoted",
            "`{idd}` has no value",
        ]
    );
}

#[test]
fn a_broken_line_hides_only_what_may_follow_from_it() {
    let text = "[[listeners]]\nname = public\naddress = \"127.0.0.1:0\"\n\
                [plugins.p]\ncomponent = \"lock\"\n\
                [[routes]]\nname = \"r\"\nlisteners = [\"public\"]\npaths = [\"/\"]\n\
                plugins = [\"q\"]\nupstream = \"nowhere\"\n\
                [[routes]]\nname = \"s\"\nrespond = {}\n";
    let messages =
        |text: &str| -> Vec<_> { findings(text).into_iter().map(|found| found.1).collect() };
    let all = [
        "a string must be quoted",
        "there is no plugin `q`",
        "there is no upstream `nowhere`",
        "`[[routes]]` has no `paths`",
    ];
    assert_eq!(messages(text), all);
    // Where a header is broken, or a value has no end, nobody knows what is there.
    let header = text.replace("[plugins.p]", "[plugins.p");
    assert!(
        !messages(&header).iter().any(|it| it.contains("there is no")),
        "{:?}",
        messages(&header)
    );
    let endless = text.replace("= public", "= \"public\"").replace("\"/\"]", "\"/\"");
    assert!(
        !messages(&endless).iter().any(|it| it.contains("there is no")),
        "{:?}",
        messages(&endless)
    );
}

#[test]
fn shows_both_places_of_a_name_that_is_taken() {
    let text = "\
[[listeners]]\r
name = \"l\"\r
address = \"127.0.0.1:80\"\r
[[listeners]]\r
\tname = \"l\" # täken\r
address = \"127.0.0.1:81\"\r
[[routes]]\r
name = \"r\"\r
paths = [\"/\"]\r
respond = {}\r
";
    assert_eq!(
        check(text).unwrap_err().render(false),
        "\
error: two listeners are named `l`
 --> gateway.toml:5:9
  |
2 | name = \"l\"
  |        --- the first
...
5 |     name = \"l\" # täken
  |            ^^^ the second

gateway.toml: 1 error"
    );
}

#[test]
fn tells_several_syntax_errors_at_once() {
    let text = "\
[[listeners]]
name \"l\"
address = localhost
address = \"127.0.0.1:0\"
foo = 07
[[routes]
= 1
";
    let found: Vec<_> =
        findings(text).into_iter().map(|(_, message, under, _)| (message, under)).collect();
    let expected = [
        ("key with no value, expected `=`", "\""),
        ("a string must be quoted", "localhost"),
        ("the key `address` is set twice in this table", "address"),
        ("unexpected leading zero, expected nothing", "0"),
        ("unclosed array table, expected `]`", ""),
        ("unquoted keys cannot be empty, expected letters, numbers, `-`, `_`", "="),
    ];
    assert_eq!(found, expected.map(|(message, under)| (message.to_owned(), under.to_owned())));
}

#[test]
fn points_at_the_beginning_of_what_has_no_end() {
    for (value, what, under, help) in [
        ("[\"http://a\",", "array", "[", "add the missing `]`"),
        ("{ a = 1,", "inline table", "{", "add the missing `}`"),
        ("\"\"\"abc", "string", "\"\"\"", "add the missing `\"\"\"`"),
    ] {
        let text =
            in_upstream(&format!("targets = {value}\nhost = \"target\"\nprotocol = \"http1\""));
        refuses(&text, &format!("this {what} has no end"), under, help);
    }
}

#[test]
fn survives_truncations_and_missing_characters() {
    let text = files::EVERYTHING;
    for (index, (cut, c)) in text.char_indices().enumerate() {
        let damaged = match index % 3 {
            0 => text[..cut].to_owned(),
            1 => format!("{}{}", &text[..cut], &text[cut + c.len_utf8()..]),
            _ => continue,
        };
        if let Err(found) = check(&damaged) {
            assert!(found.has_errors() && found.render(false).contains("error: "), "{damaged}");
        }
    }
}

#[test]
fn tells_binary_rubbish_from_a_configuration_in_bounded_time() {
    let rubbish = "what is this\n".repeat(5_000);
    assert!(check(&rubbish).unwrap_err().has_errors());
}
