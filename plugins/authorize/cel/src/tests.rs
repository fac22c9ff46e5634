//! The language: operators, macros, functions, and what is said of what is wrong.

use std::collections::BTreeMap;

use super::Reads;
use super::check::check;
use super::eval::Evaluator;
use super::parse::parse;
use super::value::Value;
use super::variables::Facts;
use super::{Condition, Fault};

/// A request of a consumer.
#[derive(Default)]
struct Told {
    attributes: BTreeMap<&'static str, &'static str>,
    headers: BTreeMap<&'static str, &'static [u8]>,
    query: Vec<(&'static str, &'static str)>,
}

impl Facts for Told {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        "/orders/7"
    }

    fn query(&self) -> Vec<(String, String)> {
        self.query.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    fn header(&self, name: &str) -> Option<Vec<u8>> {
        self.headers.get(name).map(|value| value.to_vec())
    }

    fn header_names(&self) -> Vec<String> {
        self.headers.keys().map(ToString::to_string).collect()
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).copied()
    }

    /// 2026-03-01T12:30:15.25Z, a Sunday.
    fn time(&self) -> u128 {
        1_772_368_215_250_000_000
    }
}

fn told() -> Told {
    Told {
        attributes: BTreeMap::from([
            ("client.address", "::ffff:10.1.2.3"),
            ("client.port", "4711"),
            ("consumer.id", "ada"),
            ("consumer.group", ""),
            ("consumer.scopes", "orders:read orders:write"),
            ("consumer.claim.tenant", "42"),
            ("consumer.claim.level", "7"),
            ("consumer.claim.admin", "true"),
            ("consumer.claim.roles", r#"["dev","ops"]"#),
            ("consumer.claim.org", r#"{"id":9,"tags":["a"]}"#),
            ("consumer.claim.realm.roles", r#"["x"]"#),
            ("capture.tenant", "42"),
            ("ip.matched", "10.0.0.0/8"),
        ]),
        headers: BTreeMap::from([("host", &b"api.example"[..]), ("x-bad", &b"\xff"[..])]),
        query: vec![("page", "2"), ("tag", "a"), ("tag", "b")],
    }
}

fn value(source: &str) -> Result<Value, Fault> {
    let mut expression = parse(source)?;
    let (_, faults) = check(&mut expression, &mut Reads::default());
    match faults.into_iter().next() {
        Some(fault) => Err(fault),
        None => Evaluator::new(&told()).value(&expression),
    }
}

fn wrong(source: &str) -> String {
    match value(source) {
        Ok(value) => panic!("{source} is {value:?}"),
        Err(fault) => fault.message,
    }
}

#[test]
fn operators_have_the_values_of_the_language() {
    let holds = [
        "1 + 2 * 3 == 7 && (1 + 2) * 3 == 9 && 7 / 2 == 3 && -7 / 2 == -3 && -7 % 3 == -1",
        "7.0 / 2.0 == 3.5 && 1u + 2u == 3u && 'a' + 'b' == \"ab\" && [1] + [2] == [1, 2]",
        "1 == 1.0 && 1u == 1 && 2 > 1.5 && 1 < 1u + 1u && 0x10 == 16 && 1e2 == 100.0",
        // Numbers of 64 bits are not rounded to compare them.
        "9223372036854775807 != 9223372036854775808.0 && 9007199254740993 > 9007199254740992.0",
        "-9223372036854775808 < 0 && 18446744073709551615u > 9223372036854775807",
        "dyn(1) != 'a' && dyn('1') != 1",
        "'a' < 'b' && 'B' < 'a' && 'ab' > 'a' && false < true",
        "'é' == '\\u00e9' && '\\x41\\101\\n' == \"AA\\n\" && r'\\d' == '\\\\d' && '''a'b''' == \"a'b\"",
        "size('é') == 1 && 'abc'.size() == 3 && size([1, 2]) == 2 && size({'a': 1}) == 1",
        "2 in [1, 2.0] && !(3 in [1]) && 'a' in {'a': 1} && {'a': 1}.a == 1 && {1: 'x'}[1u] == 'x'",
        "[1, 2, 3][1] == 2 && {'a': {'b': [5]}}.a.b[0] == 5 && {'a': 1} == {'a': 1.0}",
        "true ? 1 == 1 : 1 / 0 == 1",
        "null == null && !(dyn(null) == 1)",
        "has({'a': 1}.a) && !has({'a': 1}.b)",
        "[1, 2].all(it, it > 0) && [1, 2].exists(it, it == 2) && [1, 2, 2].exists_one(it, it == 1)",
        "![].exists(it, it) && [].all(it, it) && {'a': 1}.all(key, key == 'a')",
        "[1, 2, 3].filter(it, it > 1) == [2, 3] && [1, 2].map(it, it * 2) == [2, 4]",
        "[1, 2, 3].map(it, it > 1, it * 10) == [20, 30] && [[1], [2]].exists(a, a.exists(b, b == 2))",
        "1 == 1 // a remark\n && true",
    ];
    for source in holds {
        assert!(matches!(value(source), Ok(Value::Bool(true))), "{source}: {:?}", value(source));
    }
}

/// One operand can decide, whatever becomes of the other, on either side.
#[test]
fn what_decides_is_not_kept_from_it_by_an_error() {
    for source in [
        "true || 1 / 0 == 1",
        "1 / 0 == 1 || true",
        "!(false && 1 / 0 == 1)",
        "!(1 / 0 == 1 && false)",
        "[0, 1].exists(it, 1 / it == 1)",
        "![0, 1].all(it, 1 / it == 2)",
    ] {
        assert!(matches!(value(source), Ok(Value::Bool(true))), "{source}: {:?}", value(source));
    }
    for source in ["false || 1 / 0 == 1", "1 / 0 == 1 && true", "[0].all(it, 1 / it == 1)"] {
        assert_eq!(wrong(source), "nothing can be divided by zero", "{source}");
    }
}

#[test]
fn what_has_no_value_is_an_error_and_never_a_wrong_value() {
    let cases = [
        ("9223372036854775807 + 1 == 0", "the result does not fit"),
        ("-9223372036854775808 - 1 == 0", "the result does not fit"),
        ("0u - 1u == 0u", "the result does not fit"),
        ("1 % 0 == 0", "nothing can be divided by zero"),
        ("[1][1] == 1", "the list has no such place"),
        ("[1][-1] == 1", "the list has no such place"),
        ("{'a': 1}.b == 1", "there is no `b`"),
        ("{'a': 1, 'a': 2}.a == 1", "the map has this key already"),
        ("int('x') == 1", "it is no whole number that fits"),
        ("uint(-1) == 1u", "it is no unsigned number that fits"),
        ("int(1e30) == 1", "it is no whole number that fits"),
        ("'abc'.substring(2, 1) == ''", "the text has no such part"),
        (
            "timestamp('2026-02-29T00:00:00Z') == now",
            "the text is no time such as 2026-01-31T12:00:00Z",
        ),
        (
            "timestamp('2026-01-01T00:00:00UTC') == now",
            "the text is no time such as 2026-01-31T12:00:00Z",
        ),
        ("now + duration('300000000000s') > now", "the result does not fit"),
        ("dyn(1) + dyn('a') == 1", "`+` does not take a whole number and a text"),
        ("dyn('a') < dyn(1)", "`<` does not take a text and a whole number"),
        ("dyn(1).contains('a')", "`contains` does not take a whole number, a text"),
        ("[1, 2].exists_one(it, it / 0 == 1)", "nothing can be divided by zero"),
    ];
    for (source, message) in cases {
        assert_eq!(wrong(source), message, "{source}");
    }
    let deep = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    let long = format!("{0}.all(a, {0}.all(b, {0}.all(c, a + b + c > 0)))", deep(100));
    assert_eq!(wrong(&long), "it takes too many steps");
}

#[test]
fn functions_have_the_values_of_the_language() {
    let holds = [
        "'abc'.contains('b') && 'abc'.startsWith('ab') && 'abc'.endsWith('bc') && ''.size() == 0",
        "'abc'.matches('^a.c$') && matches('abc', 'b') && !'abc'.matches('^b')",
        "'AbÉ'.lowerAscii() == 'abÉ' && 'ab'.upperAscii() == 'AB' && ' a '.trim() == 'a'",
        "'a,b'.split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b' && 'aXbX'.replace('X', '') == 'ab'",
        "'héllo'.substring(1, 3) == 'él' && 'héllo'.substring(4) == 'o' && 'héllo'.indexOf('l') == 2",
        "'abc'.indexOf('x') == -1",
        "int('7') == 7 && int(7.9) == 7 && int(-7.9) == -7 && uint(7) == 7u && double('1.5') == 1.5",
        "string(7) == '7' && string(true) == 'true' && string(1.5) == '1.5' && bool('true')",
        "string(timestamp('2026-01-02T03:04:05.600+01:00')) == '2026-01-02T02:04:05.6Z'",
        "string(duration('1h0m1.5s')) == '3601.5s' && duration('-1.5h') == duration('-90m')",
        "timestamp(0) == timestamp('1970-01-01T00:00:00Z') && int(timestamp('1970-01-01T00:01:00Z')) == 60",
        "now == request.time && now.getFullYear() == 2026 && now.getMonth() == 2 && now.getDate() == 1",
        "now.getDayOfMonth() == 0 && now.getDayOfWeek() == 0 && now.getDayOfYear() == 59",
        "now.getHours() == 12 && now.getMinutes() == 30 && now.getSeconds() == 15",
        "now.getMilliseconds() == 250 && now.getHours('+02:00') == 14 && now.getHours('02:00') == 14 && now.getDate('-13:00') == 28",
        "now - timestamp('2026-03-01T12:00:00Z') > duration('30m') && duration('90m').getHours() == 1",
        "timestamp('9999-12-31T23:59:59.999999999Z').getFullYear() == 9999",
        "timestamp('0001-01-01T00:00:00Z').getDayOfWeek() == 1 && timestamp('2024-12-31T00:00:00Z').getDayOfYear() == 365",
        "cidr('10.0.0.0/8').contains(client.address) && client.address in cidr('10.0.0.0/8')",
        "!cidr('192.0.2.0/24').contains('192.0.3.1') && cidr('2001:db8::/32').contains('2001:db8::1%eth0')",
        "cidr('::ffff:10.0.0.0/104').contains('10.9.9.9') && cidr('10.0.0.0/8').contains(cidr('10.1.0.0/16'))",
        "['10.0.0.0/8', '192.0.2.0/24'].exists(it, client.address in cidr(it))",
    ];
    for source in holds {
        assert!(matches!(value(source), Ok(Value::Bool(true))), "{source}: {:?}", value(source));
    }
}

#[test]
fn a_request_is_read_by_names() {
    let holds = [
        "request.method == 'GET' && request.path.startsWith('/orders/') && client.port == 4711",
        "request.query.page[0] == '2' && request.query.tag == ['a', 'b'] && !has(request.query.x)",
        "'tag' in request.query && size(request.query) == 2",
        "request.headers.host == 'api.example' && request.headers['host'].endsWith('.example')",
        "!('x-none' in request.headers) && has(request.headers.host) && 'x-bad' in {'x-bad': 1}",
        "consumer.id == 'ada' && has(consumer.id) && !has(consumer.group) && !has(consumer.method)",
        "'orders:read' in consumer.scopes && consumer.scopes.all(it, it.startsWith('orders:'))",
        "captures.tenant == consumer.claims.tenant && attributes['ip.matched'] == '10.0.0.0/8'",
        // A claim is what it is used as.
        "consumer.claims.tenant == '42' && consumer.claims.tenant == 42 && consumer.claims.level >= 5",
        "consumer.claims.admin && consumer.claims.admin == true && !(consumer.claims.admin == false)",
        "'ops' in consumer.claims.roles && size(consumer.claims.roles) == 2",
        "consumer.claims.org.id == 9 && consumer.claims.org.tags[0] == 'a' && has(consumer.claims.org.id)",
        "consumer.claims['realm.roles'] == ['x'] && !has(consumer.claims.none)",
        "consumer.claims.roles.exists(it, it in ['ops']) && consumer.claims.tenant + '!' == '42!'",
        "{'ops': 1}.exists(it, it in consumer.claims.roles)",
    ];
    for source in holds {
        assert!(matches!(value(source), Ok(Value::Bool(true))), "{source}: {:?}", value(source));
    }
    let cases = [
        ("consumer.group == 'x'", "the request has no `consumer.group`"),
        ("request.headers['x-none'] == ''", "there is no header field `x-none`"),
        ("request.headers['x-bad'] == ''", "the header field `x-bad` is not UTF-8"),
        ("request.query.x[0] == ''", "the query has no `x`"),
        ("captures.x == ''", "the route's path has no capture `x`"),
        ("attributes.x == ''", "there is no attribute `x`"),
        (
            "consumer.claims.x == ''",
            "there is no claim `x`; `auth` passes on those of `claims_to_attributes`",
        ),
        ("'ops' in consumer.claims.tenant", "nothing is in a whole number"),
    ];
    for (source, message) in cases {
        assert_eq!(wrong(source), message, "{source}");
    }
}

#[test]
fn only_what_is_named_is_read() {
    let mut reads = Reads::default();
    let source = "request.headers.host == 'a' && 'x-b' in request.headers && has(captures.tenant) \
                  && consumer.claims['a.b'] == 1 && consumer.key_id == 'k' && attributes['own.x'] == ''";
    Condition::compile(source, &mut reads).unwrap();
    assert_eq!(reads.headers.iter().collect::<Vec<_>>(), ["host", "x-b"]);
    let names: Vec<_> = reads.attributes.iter().map(String::as_str).collect();
    assert_eq!(names, ["capture.tenant", "consumer.claim.a.b", "consumer.key-id", "own.x"]);
    let Reads { method, path, query, time, is_dynamic, .. } = reads;
    assert_eq!([method, path, query, time, is_dynamic], [false; 5]);
    let mut reads = Reads::default();
    let source = "request.headers.exists(it, it.startsWith('x-')) && request.method in request.query \
                  && now > timestamp(0) && request.path == '/'";
    Condition::compile(source, &mut reads).unwrap();
    let Reads { method, path, query, time, is_dynamic, .. } = reads;
    assert_eq!([method, path, query, time, is_dynamic], [true; 5]);
}

#[test]
fn what_is_wrong_is_found_without_a_request_and_told_with_its_place() {
    let cases = [
        ("", "column 1: there is no expression"),
        (
            "request.pth == '/'",
            "column 1: there is no variable `request.pth`; did you mean `request.path`?",
        ),
        (
            "true && reqest.path == ''",
            "column 9: there is no variable `reqest.path`; did you mean `request.path`?",
        ),
        ("true && user == ''", "column 9: there is no variable `user`"),
        (
            "route == 'a'",
            "column 1: `route` is no variable by itself; there are `route.name`, `route.pattern`",
        ),
        (
            "'a'.startWith('a')",
            "column 5: there is no function `startWith`; did you mean `startsWith`?",
        ),
        (
            "startsWith('a', 'a')",
            "column 1: `startsWith` is called on a value: `value.startsWith(...)`",
        ),
        ("request.method = 'GET'", "column 16: `=` is no operator; write `==` to compare"),
        (
            "request.method == 1",
            "column 16: `==` compares a text with a whole number: they never are the same",
        ),
        (
            "request.query.page == '1'",
            "column 20: `==` compares a list with a text: they never are the same; a list is read as `list[0]` or `x in list`",
        ),
        ("request.path", "column 9: the expression is a text; a rule wants true or false"),
        ("request.path && true", "column 9: `&&` wants true or false, not a text"),
        (
            "request.headers['X-A'] == ''",
            "column 17: names of header fields are in lower case: `x-a`",
        ),
        (
            "attributes.consumer.id == ''",
            "column 21: an attribute is a text; for this one write `attributes[\"consumer.id\"]`",
        ),
        (
            "size(attributes) > 0",
            "column 6: this map cannot be listed; read it by name: `map.name`, `map[\"name\"]` or `\"name\" in map`",
        ),
        (
            "has(request.headers['a'])",
            "column 1: `has` takes `has(map.key)`; for this key write `\"a\" in map`",
        ),
        (
            "client.address in cidr('10.0.0.1/8')",
            "column 24: 10.0.0.1/8 has bits beyond its prefix; the network is 10.0.0.0/8",
        ),
        (
            "now.getHours('Europe/Berlin') > 8",
            "column 14: `Europe/Berlin` is no time zone that is known here; write \"UTC\" or \"+02:00\"",
        ),
        (
            "'a'.matches(request.path)",
            "column 21: the pattern of `matches` is written here, as a text, so that it is checked now",
        ),
        ("'abc' == 'abc", "column 10: the text does not end; it wants '"),
        ("'\\d' == ''", "column 2: `\\d` is no escape; write `\\\\d`, or a raw text: r\"...\""),
        ("true\n  && 1 +", "line 2, column 9: the end is not expected here"),
        ("true true", "column 6: `true` is not expected here"),
        ("a.all(1, true)", "column 3: `all` names its variable first: `list.all(it, ...)`"),
        ("if == 1", "column 1: `if` is a word of the language, and no name"),
        ("99999999999999999999 == 1", "column 1: the number is too large"),
        (
            "duration('x') > duration('1s')",
            "column 10: the text is no duration such as 90s or 1h30m",
        ),
    ];
    for (source, message) in cases {
        let errors = Condition::compile(source, &mut Reads::default()).unwrap_err();
        assert_eq!(errors, [message], "{source}");
    }
    // Patterns that need to go back are no patterns here.
    let errors = Condition::compile("'a'.matches('(?=a)')", &mut Reads::default()).unwrap_err();
    assert!(errors[0].starts_with("column 13: `(?=a)` is no pattern: "), "{errors:?}");
    // All at once.
    let errors = Condition::compile("a.b == c && 'x' == 1", &mut Reads::default()).unwrap_err();
    assert_eq!(errors.len(), 3, "{errors:?}");
}

#[test]
fn what_is_nested_too_deep_is_refused_and_not_crashed_on() {
    for source in [
        "(".repeat(10_000),
        "!".repeat(10_000),
        "-".repeat(10_000),
        format!("{}1", "[".repeat(10_000)),
        format!("x{}", ".a".repeat(8_000)),
        format!("x{}", "[0]".repeat(5_000)),
        "a ? ".repeat(4_000),
        "9".repeat(16_000),
        "a".repeat(20_000),
    ] {
        assert!(Condition::compile(&source, &mut Reads::default()).is_err());
    }
    // Operators of one level lie side by side for the reader, and in each other for the machine.
    for (sign, many) in [("+", 101), ("==", 102)] {
        let long = format!("{}1 == 1", format!("1 {sign} ").repeat(many));
        let errors = Condition::compile(&long, &mut Reads::default()).unwrap_err();
        assert!(errors[0].contains("more than 100 operators"), "{errors:?}");
    }
    assert!(Condition::compile(&vec!["1 == 1"; 1_600].join("&&"), &mut Reads::default()).is_ok());
    let list = format!("'a' in [{}]", vec!["request.headers.b"; 500].join(","));
    assert!(Condition::compile(&list, &mut Reads::default()).is_ok());
}
