//! Examples in the documentation: each key of upstreams and of what routes do with them has one.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::super::keys::{Keys, Kind, ROOT};

const DOCUMENTS: [&str; 4] = [
    include_str!("../../../../docs/upstreams.md"),
    include_str!("../../../../docs/splits.md"),
    include_str!("../../../../docs/tls.md"),
    include_str!("../../../../docs/routing.md"),
];

fn blocks() -> impl Iterator<Item = Table> {
    let blocks = DOCUMENTS.iter().flat_map(|it| it.split("```toml\n").skip(1));
    blocks.map(|rest| {
        let text = rest.split_once("```").unwrap().0;
        text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"))
    })
}

/// Names of keys with those of the tables in which they are, as far as the file has them.
fn used(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                let path = format!("{path}.{name}");
                used(value, &path, found);
                found.insert(path);
            }
        }
        Value::Array(all) => all.iter().for_each(|value| used(value, path, found)),
        _ => {}
    }
}

/// The same of all keys that there are.
fn known(keys: &'static Keys, path: &str, found: &mut Vec<String>) {
    for key in keys.keys {
        let path = format!("{path}.{}", key.name);
        let mut kind = &key.kind;
        while let Kind::List(of) = kind {
            kind = of;
        }
        if let Kind::Table(keys) | Kind::Tables(keys) | Kind::TextOrTable(keys) = kind {
            known(keys, &path, found);
        }
        found.push(path);
    }
}

#[test]
fn each_key_of_an_upstream_has_an_example() {
    let mut examples = BTreeSet::new();
    for block in blocks() {
        for upstream in block.get("upstreams").and_then(Value::as_table).into_iter().flatten() {
            used(upstream.1, "upstream", &mut examples);
        }
        for route in block.get("routes").and_then(Value::as_array).into_iter().flatten() {
            used(route, "route", &mut examples);
        }
    }
    let table = |name: &str| match ROOT.key(name).kind {
        Kind::Tables(keys) | Kind::NamedTables(keys) => keys,
        _ => panic!("{name}"),
    };
    let mut all = Vec::new();
    known(table("upstreams"), "upstream", &mut all);
    let upstreams = all.len();
    known(table("routes"), "route", &mut all);
    // Others of a route are no matter of upstreams.
    let of_route = ["split", "mirror", "retries", "timeouts"].map(|name| format!("route.{name}"));
    let is_meant = |(at, key): &(usize, &String)| {
        let is_of_route = of_route.iter().any(|of| key.starts_with(of.as_str()));
        *at < upstreams || is_of_route && !key.contains(".rewrite.")
    };
    let meant = all.iter().enumerate().filter(is_meant).map(|(_, key)| key);
    let without: Vec<_> = meant.filter(|key| !examples.contains(*key)).collect();
    assert_eq!(without, Vec::<&String>::new());
    assert!(upstreams > 60, "{upstreams}");
}
