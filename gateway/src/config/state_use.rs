//! First-party plugins that count requests or note them, and the state that they do it in.
//!
//! Owns the warnings of limits, and of models, that nobody has as they are written: by attributes that nothing sets, and of
//! settings of a store that do not do what they seem to. What a plugin refuses by itself is its own. Must not count anything.

use serde_json::Value as Json;

use super::diagnostic::Diagnostic;
use super::only_if::{Meant, is_unset};
use super::reader::Reading;
use super::{Component, OnStoreError, Plugin, PluginId, Route, Span, plugin};

const RATE_LIMIT: &str = "rate-limit";
const MODELS: &str = "models";
/// A lease is at most this part of what a bucket holds.
const LARGEST_LEASE: u64 = 10;

/// Warns of plugins whose state is not what it seems.
pub(super) fn warn(reading: &Reading<'_>, plugins: &[plugin::Read], routes: &[Option<Route>]) {
    for (index, read) in plugins.iter().enumerate() {
        let Some((plugin, doubts)) = read else { continue };
        if !matches!(plugin.component, Component::BuiltIn(_)) {
            continue;
        }
        warn_of_memories_apart(reading, plugin);
        if !doubts.values.is_empty() {
            continue;
        }
        let config: Json = serde_json::from_str(&plugin.config).unwrap_or_default();
        let read_here = match &*plugin.component_text {
            RATE_LIMIT => {
                warn_of_leases(reading, plugin, &config);
                reads(&config)
            }
            MODELS => reads_of_models(&config),
            _ => continue,
        };
        let routes: Vec<_> = routes
            .iter()
            .flatten()
            .filter_map(|route| {
                let place = route.plugins.iter().position(|id| *id == PluginId(index))?;
                let known = |id: &PluginId| Some(&plugins.get(id.0)?.as_ref()?.0);
                // One that could not be read may set anything.
                let all: Vec<&Plugin> = route.plugins.iter().map(known).collect::<Option<_>>()?;
                Some(On { route, all, place })
            })
            .collect();
        for read in read_here {
            warn_of_unset(reading, plugin, &routes, &read);
        }
    }
}

/// A route with a plugin on it.
struct On<'a> {
    route: &'a Route,
    all: Vec<&'a Plugin>,
    place: usize,
}

/// An attribute that a configuration reads.
struct Reads {
    attribute: String,
    /// Where it stands; the name of a key where `is_key`.
    pointer: String,
    is_key: bool,
    /// Whether a request without it is meant to be left alone.
    is_skipped: bool,
    /// Whether plugins behind may set it too: it is read when all is over.
    is_late: bool,
}

/// What a configuration of `rate-limit` reads.
fn reads(config: &Json) -> Vec<Reads> {
    let mut found = Vec::new();
    let mut add = |text: &Json, pointer: String, is_skipped: bool, is_late: bool| {
        let Some(text) = text.as_str() else { return };
        let attribute = match text.split_once(':') {
            None => text.to_owned(),
            Some(("claim", name)) => format!("consumer.claim.{name}"),
            Some(_) => return,
        };
        found.push(Reads { attribute, pointer, is_key: false, is_skipped, is_late });
    };
    for table in ["policies", "concurrency"] {
        for (index, spec) in config[table].as_array().into_iter().flatten().enumerate() {
            let at = format!("/{table}/{index}");
            let is_skipped = spec["missing"] == "skip";
            for list in ["key", "share"] {
                for (part, text) in spec[list].as_array().into_iter().flatten().enumerate() {
                    add(text, format!("{at}/{list}/{part}"), is_skipped, false);
                }
            }
            add(&spec["plan"], format!("{at}/plan"), false, false);
            add(&spec["cost"]["attribute"], format!("{at}/cost/attribute"), false, false);
            add(&spec["priority"]["attribute"], format!("{at}/priority/attribute"), false, false);
            add(&spec["settle"]["attribute"], format!("{at}/settle/attribute"), false, true);
        }
    }
    for name in config["exempt"].as_object().into_iter().flatten().map(|(name, _)| name) {
        let pointer = format!("/exempt/{}", name.replace('~', "~0").replace('/', "~1"));
        add(&Json::String(name.clone()), pointer, true, false);
    }
    found.iter_mut().for_each(|it| it.is_key = it.pointer.starts_with("/exempt/"));
    found
}

/// What a configuration of `models` reads.
fn reads_of_models(config: &Json) -> Vec<Reads> {
    let mut found = Vec::new();
    let mut add = |attribute: &str, pointer: String, is_key: bool| {
        let attribute = attribute.to_owned();
        found.push(Reads { attribute, pointer, is_key, is_skipped: true, is_late: false });
    };
    for key in ["model_attribute", "region_attribute"] {
        if let Some(name) = config[key].as_str() {
            add(name, format!("/{key}"), false);
        }
    }
    let named = config["consumer_attributes"].as_array();
    for (index, name) in named.into_iter().flatten().enumerate() {
        add(name.as_str().unwrap_or_default(), format!("/consumer_attributes/{index}"), false);
    }
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    for (table, member) in ["groups", "models"].into_iter().flat_map(|table| {
        config[table].as_object().into_iter().flatten().map(move |member| (table, member))
    }) {
        let (name, member) = member;
        let at = format!("/{table}/{}", escaped(name));
        // Who sets the one sets the other.
        if named.is_none() && member["consumers"].is_array() {
            add("consumer.id", format!("{at}/consumers"), false);
        }
        for (attribute, _) in member["attributes"].as_object().into_iter().flatten() {
            add(attribute, format!("{at}/attributes/{}", escaped(attribute)), true);
        }
        let affinity = member["affinity"].as_str().and_then(|it| it.strip_prefix("attribute:"));
        if let Some(attribute) = affinity {
            add(attribute, format!("{at}/affinity"), false);
        }
    }
    found
}

fn warn_of_unset(reading: &Reading<'_>, plugin: &Plugin, routes: &[On<'_>], read: &Reads) {
    let unset = |on: &On<'_>| -> Option<Meant> {
        let visible = if read.is_late { &on.all[..] } else { &on.all[..on.place] };
        is_unset(on.route, visible, &read.attribute)
    };
    let unset: Vec<_> = routes.iter().map(|on| (on, unset(on))).collect();
    let is_capture = read.attribute.starts_with("capture.");
    // One limit for routes with and without consumers is common; a capture is meant for its route.
    let all = unset.iter().all(|(_, meant)| meant.is_some());
    if !(all || (is_capture && !read.is_skipped)) {
        return;
    }
    let Some((on, meant)) = unset.iter().find_map(|(on, meant)| Some((on, meant.as_ref()?))) else {
        return;
    };
    let places = if read.is_key { &plugin.config_keys } else { &plugin.config_spans };
    let Some(span) = places.get(&read.pointer) else { return };
    let (attribute, route) = (reading.shown(&read.attribute), reading.shown(&on.route.name));
    let warning = match is_capture {
        true => format!("the route `{route}` has no path with the capture `{attribute}`"),
        false => format!("nothing on the route `{route}` sets the attribute `{attribute}`"),
    };
    let warning = Diagnostic::warning(span.clone(), warning).label("no request has a value of it");
    reading.report_absence(match meant {
        Some(meant) => warning.did_you_mean(Some(&reading.shown(meant))),
        None if is_capture => {
            let name = attribute.trim_start_matches("capture.");
            warning.help(format!("write a path with `{{{name}}}`, or another attribute"))
        }
        None => warning.help("put the plugin that sets it before this one in `plugins`"),
    });
}

/// A lease is for buckets that hold much more than it.
fn warn_of_leases(reading: &Reading<'_>, plugin: &Plugin, config: &Json) {
    let lease = plugin.limiter_use.lease;
    if lease == 0 {
        return;
    }
    let whole = |pointer: &str| plugin.config_spans.get(pointer).cloned();
    let policies = config["policies"].as_array().map_or(&[][..], Vec::as_slice);
    let is_calendar = |spec: &Json| {
        let window = spec["window"].as_str().unwrap_or_default();
        ["hour", "day", "week", "month", "year"].contains(&window)
    };
    for (index, spec) in policies.iter().enumerate() {
        let at = format!("/policies/{index}");
        let is_window = spec["algorithm"].as_str().is_some_and(|it| it != "bucket");
        let (key, what) = match () {
            () if is_calendar(spec) => ("window", "a window of the calendar"),
            () if is_window => ("algorithm", "a window that is no bucket"),
            () if spec["settle"].is_object() => ("settle", "a cost that is settled"),
            () => continue,
        };
        let Some(span) = whole(&format!("{at}/{key}")) else { continue };
        let warning =
            format!("`lease = {lease}` does nothing: beside {what} each check asks the store");
        let help = "give buckets a plugin of their own, with the lease, and take it out here";
        // One is enough: all policies are asked together.
        return reading.report_absence(Diagnostic::warning(span, warning).help(help));
    }
    for (index, spec) in policies.iter().enumerate() {
        let at = format!("/policies/{index}");
        let plans = spec["plans"].as_object().into_iter().flatten();
        let plans = plans.map(|(name, plan)| {
            (format!("{at}/plans/{}", name.replace('~', "~0").replace('/', "~1")), plan)
        });
        for (at, limit) in std::iter::once((at.clone(), spec)).chain(plans) {
            warn_of_small(reading, lease, limit, |key| whole(&format!("{at}/{key}")));
        }
    }
}

fn warn_of_small(
    reading: &Reading<'_>,
    lease: u64,
    limit: &Json,
    place: impl Fn(&str) -> Option<Span>,
) {
    let key = if limit["burst"].is_u64() { "burst" } else { "limit" };
    let Some(holds) = limit[key].as_u64() else { return };
    let most = holds / LARGEST_LEASE;
    let (Some(span), true) = (place(key), most < lease) else { return };
    let warning = match most {
        0 => format!("`lease = {lease}` does nothing for a {key} below {LARGEST_LEASE}"),
        most => format!("of `lease = {lease}` only {most} are taken at once"),
    };
    let label = format!("a lease is at most a tenth of the {key}");
    let help = match most {
        0 => "leave `lease` out, or give this policy a plugin of its own".to_owned(),
        most => format!("write `lease = {most}`"),
    };
    reading.report_absence(Diagnostic::warning(span, warning).label(label).help(help));
}

/// What was noted in a store that is out of reach is not known in the memory of a gateway.
fn warn_of_memories_apart(reading: &Reading<'_>, plugin: &Plugin) {
    let is_local = plugin.on_key_value_error == OnStoreError::Local;
    let store = plugin.key_value_store.as_ref().filter(|it| it.redis().is_some() && is_local);
    let Some(store) = store else { return };
    let config: Json = serde_json::from_str(&plugin.config).unwrap_or_default();
    let what = match &*plugin.component_text {
        "http-signature" if config["once"] != Json::Bool(false) => {
            "a signed request that was admitted is admitted again"
        }
        "oidc" => "a session that was ended is accepted again",
        _ => return,
    };
    let name = reading.shown(&store.name);
    let warning =
        format!("while the store `{name}` is out of reach {what}, by another gateway or this one");
    let warning = Diagnostic::warning(plugin.component_span.clone(), warning)
        .label("it goes by its own memory then, since `on_store_error` is `\"local\"`");
    reading.report_absence(warning.help(format!(
        "write `key_value = {{ store = \"{name}\", on_store_error = \"closed\" }}`, which refuses meanwhile"
    )));
}
