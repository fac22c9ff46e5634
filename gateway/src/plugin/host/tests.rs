//! The table of interfaces against `wit/` and against the reference for people.

use std::fs;
use std::path::Path;

use wasmtime::Engine;
use wasmtime::component::Linker;

use super::functions::Functions;
use super::{HostState, INTERFACES};
use crate::plugin::load::key_of;

/// An interface of `wit/`: its name, and the name of everything that is declared in it.
struct Declared {
    name: String,
    items: Vec<String>,
}

/// The first word of a line that declares something, and what stands behind it.
fn word(line: &str) -> Option<(&str, &str)> {
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '-')?;
    (end > 0).then(|| line.split_at(end))
}

fn declared() -> Vec<Declared> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the interface is there") {
        let text = fs::read_to_string(entry.expect("a file").path()).expect("text");
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
        let mut current: Option<Declared> = None;
        for line in lines {
            let Some((first, rest)) = word(line) else { continue };
            let named = word(rest.trim_start()).map_or("", |(name, _)| name);
            match (first, &mut current) {
                ("interface", _) => {
                    found.extend(current.take());
                    current = Some(Declared { name: named.to_owned(), items: Vec::new() });
                }
                ("record" | "variant" | "enum" | "flags" | "resource" | "type", Some(it)) => {
                    it.items.push(named.to_owned());
                }
                ("use" | "package" | "world" | "import" | "export", _) | (_, None) => {}
                // A function, a field or a case.
                (name, Some(it)) if rest.starts_with([':', ',', '(']) => {
                    it.items.push(name.to_owned());
                }
                _ => {}
            }
        }
        found.extend(current);
    }
    found
}

#[test]
fn the_gateway_serves_every_interface_that_is_declared() {
    let mut declared: Vec<_> = declared().into_iter().map(|it| it.name).collect();
    // Those that plugins export, and the types.
    declared.retain(|name| !["hooks", "arguments", "types"].contains(&name.as_str()));
    declared.sort();
    let mut served: Vec<_> = INTERFACES.iter().map(|it| it.name.to_owned()).collect();
    served.sort();
    assert_eq!(declared, served);
}

#[test]
fn the_reference_names_everything_that_is_declared() {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/plugins/reference.md");
    let reference = fs::read_to_string(reference).expect("the reference is there");
    let declared = declared();
    assert!(declared.iter().map(|it| it.items.len()).sum::<usize>() > 150, "they are found");
    let mut missing = Vec::new();
    for Declared { name, items } in declared {
        let heading = format!("\n## `{name}`\n");
        let Some((_, section)) = reference.split_once(&heading) else {
            missing.push(name);
            continue;
        };
        let section = section.split("\n## ").next().unwrap_or_default();
        let names = |item: &str| {
            section.contains(&format!("`{item}`")) || section.contains(&format!(".{item}`"))
        };
        missing.extend(items.iter().filter(|item| !names(item)).map(|it| format!("{name}.{it}")));
        let grant = INTERFACES.iter().find(|known| known.name == name);
        let granted = match grant.map(|known| known.grant) {
            None => continue,
            Some(None) => "Always there".to_owned(),
            Some(Some(grant)) => match key_of(grant) {
                Some(key) => format!("Granted by `{key} = [\"NAME\"]`"),
                None => format!("Granted by `grants = [\"{name}\"]`"),
            },
        };
        assert!(section.contains(&granted), "`{name}`: {granted}");
    }
    assert_eq!(missing, Vec::<String>::new());
}

/// A change is made again after no calls but these.
#[test]
fn every_function_is_known_whose_result_is_the_same_each_time() {
    let mut linker = Linker::<HostState>::new(&Engine::default());
    let mut same = Vec::new();
    for interface in &INTERFACES {
        let mut instance = linker.instance(interface.name).expect("it is new");
        let mut functions = Functions::new(&mut instance);
        (interface.link)(&mut functions).expect("it can be linked");
        same.extend(functions.same.iter().map(|name| format!("{}.{name}", interface.name)));
    }
    same.sort();
    let expected = [
        "cache.lookup",
        "cache.serve",
        "clock.monotonic",
        "clock.now",
        "digest.sha256",
        "documents.get",
        "documents.version",
        "events.is-granted",
        "http-client.is-granted",
        "keys.find",
        "limiter.check-time-zone",
        "metrics.count-alike",
        "metrics.counted",
        "metrics.record-amount",
        "metrics.record-end",
        "secrets.get",
        "signature.[method]verifying-key.verify",
        "signature.[static]verifying-key.parse",
        "signature.[static]verifying-key.parse-named",
        "usage.added",
    ];
    assert_eq!(same, expected);
}
