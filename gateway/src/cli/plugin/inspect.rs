//! `gateway plugin inspect`: what a component is, wants and takes.
//!
//! Owns how that is shown. What is found out is in the library.

use std::path::{Path, PathBuf};

use clap::Args;
use gateway::config::Component;
use gateway::{INTERFACE_VERSION, Inspection, Refusal, Requirement, first_party};
use serde_json::{Map, Value, json};

use super::{Wrong, bytes, schema};
use crate::cli::print;

#[derive(Debug, Args)]
pub(in crate::cli) struct Inspect {
    /// A component, or the name of a first-party plugin.
    #[arg(value_name = "FILE|NAME")]
    subject: PathBuf,
    /// Say also in which hooks it is called with this configuration, a JSON object.
    #[arg(long, value_name = "JSON", value_parser = object_text)]
    config: Option<String>,
    /// Print all of it as one JSON object, with the whole schema.
    #[arg(long)]
    json: bool,
}

fn object_text(text: &str) -> Result<String, String> {
    serde_json::from_str::<Map<String, Value>>(text)
        .map(|_| text.to_owned())
        .map_err(|error| format!("a configuration is a JSON object: {error}"))
}

/// Looks into a component and says what is there.
pub(super) fn inspect(inspect: &Inspect) -> Result<(), Vec<Wrong>> {
    let component = component(&inspect.subject).map_err(|wrong| vec![wrong])?;
    let found = gateway::inspect(&component).map_err(wrongs)?;
    let requirements =
        inspect.config.as_deref().map(|config| gateway::requirements(&component, config));
    let requirements = requirements.transpose().map_err(wrongs)?;
    let compile_time = gateway::compile_time(&component).map_err(|refusal| vec![refusal.into()])?;
    let milliseconds = u64::try_from(compile_time.as_millis()).unwrap_or(u64::MAX);
    let schema = match found.config_schema.as_str() {
        "" => Value::Null,
        text => serde_json::from_str(text).map_err(|error| {
            vec![Wrong::new(format!("the schema of its configuration is no JSON: {error}"))]
        })?,
    };
    let text = if inspect.json {
        format!("{:#}\n", object(&found, requirements.as_deref(), milliseconds, &schema))
    } else {
        portrait(&found, requirements.as_deref(), milliseconds, &schema)
    };
    print(&text);
    Ok(())
}

fn wrongs(refusals: Vec<Refusal>) -> Vec<Wrong> {
    refusals.into_iter().map(Wrong::from).collect()
}

/// A file where there is one, and otherwise a name.
fn component(subject: &Path) -> Result<Component, Wrong> {
    let names = first_party::names();
    let name = subject.to_str().filter(|name| names.contains(name));
    match name {
        Some(name) if !subject.is_file() => Ok(Component::BuiltIn(name.to_owned())),
        _ if subject.exists() => Ok(Component::File(subject.to_owned())),
        _ => {
            let message = format!("there is no file `{}`", subject.display());
            let help = format!("the first-party plugins are {}", names.join(", "));
            Err(Wrong::new(message).help(help))
        }
    }
}

fn portrait(
    found: &Inspection,
    requirements: Option<&[Requirement]>,
    milliseconds: u64,
    schema: &Value,
) -> String {
    let size = &found.size;
    let mut text = format!("plugin {} {}\n", found.name, found.version);
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<12}{value}\n"));
    line("built with", format!("{}, for gateway:plugin {INTERFACE_VERSION}", found.sdk));
    let other = size.total - (size.code + size.data + size.names + size.debug).min(size.total);
    line("size", bytes(size.total));
    for (name, part) in [
        ("code", size.code),
        ("data", size.data),
        ("names", size.names),
        ("debug information", size.debug),
        ("types and the rest", other),
    ] {
        line("", format!("{name:<20}{:>10}  {:>2} %", bytes(part), part * 100 / size.total.max(1)));
    }
    line("compiles to", format!("{} in {milliseconds} ms", bytes(found.compiled)));
    text.push_str(&hooks(found, requirements));
    text.push_str(&imports(found));
    text.push_str("\nconfiguration:\n");
    match schema {
        Value::Null => text.push_str("  none\n"),
        schema => text.push_str(&schema::render(schema)),
    }
    text
}

fn hooks(found: &Inspection, requirements: Option<&[Requirement]>) -> String {
    let Some(requirements) = requirements else {
        let rows: Vec<_> = found.exports.chunks(3).map(|names| names.join(", ")).collect();
        let rows = rows.join(",\n  ");
        return format!(
            "\nexports, of which its configuration decides what is called (`--config JSON` asks it):\n  \
             {rows}\n"
        );
    };
    let mut text = String::from("\nhooks that this configuration has it called in:\n");
    let (called, done): (Vec<&Requirement>, Vec<&Requirement>) =
        requirements.iter().partition(|requirement| requirement.is_called());
    list(&called, &mut text);
    if called.is_empty() {
        text.push_str("  none\n");
    }
    if !done.is_empty() {
        text.push_str("\nwhat the gateway does for it without a call:\n");
        list(&done, &mut text);
    }
    text
}

fn list(requirements: &[&Requirement], text: &mut String) {
    for requirement in requirements {
        let line = format!("  {:<18}{}", requirement.hook, requirement.with.join(", "));
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

fn imports(found: &Inspection) -> String {
    let mut text = String::from("\nimports:\n");
    let ours = |name: &str| name.starts_with("gateway:plugin/");
    for import in found.imports.iter().filter(|import| ours(&import.interface)) {
        if import.functions.is_empty() {
            continue;
        }
        let name = import.interface.trim_start_matches("gateway:plugin/");
        let name = name.split('@').next().unwrap_or(name);
        let need = match (import.grant, import.key) {
            (Some(grant), _) => format!("must be granted: \"{grant}\""),
            (None, Some(key)) => format!("must be granted by name: `{key}`"),
            (None, None) => "always there".to_owned(),
        };
        text.push_str(&format!("  {name:<12}{need}\n"));
        text.push_str(&format!("  {:<12}{}\n", "", import.functions.join(", ")));
    }
    let system: Vec<_> =
        found.imports.iter().map(|import| &*import.interface).filter(|name| !ours(name)).collect();
    if !system.is_empty() {
        let count = system.len();
        text.push_str(&format!(
            "  {:<12}{count} interfaces, for its standard library: without files, sockets and environment\n",
            "wasi"
        ));
    }
    if text.ends_with("imports:\n") {
        text.push_str("  nothing\n");
    }
    let grants = grants(found);
    let quoted: Vec<_> = grants.iter().map(|grant| format!("\"{grant}\"")).collect();
    let line = (!grants.is_empty()).then(|| format!("grants = [{}]", quoted.join(", ")));
    // Which upstream a request goes to is a part of what a hook returns, and no import shows it.
    let chooses = "forward_to = [\"NAME\"], for upstreams that it chooses instead of the route's";
    let keys = keys(found).into_iter().map(|key| format!("{key} = [\"NAME\"]"));
    let keys = keys.chain([chooses.to_owned()]);
    for line in line.into_iter().chain(keys) {
        text.push_str(&format!("  in a configuration: {line}\n"));
    }
    text
}

fn grants(found: &Inspection) -> Vec<&'static str> {
    found.imports.iter().filter_map(|import| import.grant).collect()
}

/// The keys that list what the plugin may reach.
fn keys(found: &Inspection) -> Vec<&'static str> {
    found.imports.iter().filter_map(|import| import.key).collect()
}

fn object(
    found: &Inspection,
    requirements: Option<&[Requirement]>,
    milliseconds: u64,
    schema: &Value,
) -> Value {
    let called = requirements.map(|requirements| {
        let called = requirements.iter().filter(|requirement| requirement.is_called());
        called
            .map(|requirement| json!({ "hook": requirement.hook, "with": requirement.with }))
            .collect::<Vec<_>>()
    });
    let done = requirements.map(|requirements| {
        let done = requirements.iter().filter(|requirement| !requirement.is_called());
        done.map(|requirement| (requirement.hook.to_owned(), json!(requirement.with)))
            .collect::<Map<_, _>>()
    });
    let imports: Vec<_> = found
        .imports
        .iter()
        .map(|import| {
            json!({
                "interface": import.interface,
                "grant": import.grant,
                "key": import.key,
                "functions": import.functions,
            })
        })
        .collect();
    let size = &found.size;
    json!({
        "name": found.name,
        "version": found.version,
        "sdk": found.sdk,
        "interface": format!("gateway:plugin@{INTERFACE_VERSION}"),
        "size": {
            "total": size.total,
            "code": size.code,
            "data": size.data,
            "names": size.names,
            "debug": size.debug,
        },
        "compiled_size": found.compiled,
        "compile_ms": milliseconds,
        "exports": found.exports,
        "hooks": called,
        "without_a_call": done,
        "imports": imports,
        "grants": grants(found),
        "keys": keys(found),
        "config_schema": schema,
    })
}
