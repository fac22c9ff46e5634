//! `only_if` of plugins: which requests pass them.
//!
//! Owns the conditions, the refusal of those that no request can meet, and the warnings of those that none will meet as far
//! as the file tells. Whether a request meets them is decided in the request path.

use serde_json::Value as Json;
use toml::de::DeValue;

use super::diagnostic::Diagnostic;
use super::fault::Fault;
use super::reader::{Reading, Table};
use super::split::{CERTIFICATE, OF_CERTIFICATE};
use super::{Component, Condition, Listener, Plugin, PluginId, Route, Segment, plugin, suggest};

/// Attributes that the gateway knows when a plugin's turn with a request comes.
const OWN: [&str; 13] = [
    "client.address",
    "client.port",
    "listener.name",
    "request.authority",
    "request.cache",
    "request.has-body",
    "request.has-upgrade",
    "request.host",
    "request.id",
    "request.scheme",
    "request.waited-ms",
    "route.name",
    "route.pattern",
];
/// Beginnings of attributes that plugins cannot set, but for captures.
const RESERVED: [&str; 5] = ["client.", "request.", "listener.", "route.", "upstream."];
const CAPTURE: &str = "capture.";
const EXPERIMENT: &str = "experiment.";
const EXPERIMENTS: &str = "experiments";
const CLAIM: &str = "consumer.claim.";
const CONSUMER: &[&str] =
    &["consumer.group", "consumer.id", "consumer.key-id", "consumer.method", "consumer.scopes"];
// Some of these are there only when the response is.
const A2A: &[&str] = &[
    "a2a.context",
    "a2a.error",
    "a2a.method",
    "a2a.operation",
    "a2a.outcome",
    "a2a.task",
    "a2a.version",
];
const MCP: &[&str] = &[
    "mcp.affinity",
    "mcp.calls",
    "mcp.client",
    "mcp.error",
    "mcp.message",
    "mcp.method",
    "mcp.name",
    "mcp.outcome",
    "mcp.prompt",
    "mcp.resource",
    "mcp.session",
    "mcp.tool",
    "mcp.version",
];
const MODEL: &[&str] = &[
    "model.cost",
    "model.cost.estimate",
    "model.deployment",
    "model.error",
    "model.group",
    "model.name",
    "model.tokens.cache-write",
    "model.tokens.cached",
    "model.tokens.estimate",
    "model.tokens.input",
    "model.tokens.output",
    "model.tokens.reasoning",
    "model.tokens.total",
    "model.tool-calls",
];
const PREDICTIONS: &[&str] = &[
    "model.cached",
    "model.cost",
    "model.deployment",
    "model.name",
    "model.similarity",
    "model.tokens.input",
    "model.tokens.output",
    "model.tokens.total",
];
const GUARDRAILS: &[&str] = &[
    "guardrails.action",
    "guardrails.input",
    "guardrails.moderation",
    "guardrails.output",
    "guardrails.unreadable",
];
/// First-party plugins that are there to refuse requests.
const PROTECTING: [&str; 9] = [
    "auth",
    "authorize",
    "forward-auth",
    "guardrails",
    "http-signature",
    "ip",
    "oidc",
    "rate-limit",
    "validate",
];

/// Reads the conditions of a plugin.
pub(super) fn read(table: &Table<'_, '_>) -> Vec<Condition> {
    let Some(given) = table.value("only_if") else { return Vec::new() };
    let entries = table.texts("only_if");
    if matches!(given.get_ref(), DeValue::Table(entries) if entries.is_empty()) {
        let error = Diagnostic::error(given.span(), "`only_if` is empty");
        let help = "leave it out where every request shall pass the plugin, or name an attribute with its value";
        table.reading.report(error.help(help));
    }
    let read = entries.into_iter().filter_map(|(name, value)| {
        let attribute = table.reading.parsed(&name, "an attribute", attribute);
        let value = value?;
        if value.value.is_empty() {
            let error = format!("`{}` has no value that it must have", name.shown);
            let error = Diagnostic::error(value.span.clone(), error);
            let example = format!("write the value, such as `\"{}\" = \"VALUE\"`", name.shown);
            table.reading.report(error.help(example));
            return None;
        }
        let (name_span, value_span) = (name.span, value.span);
        Some(Condition { attribute: attribute?, value: value.value, name_span, value_span })
    });
    read.collect()
}

/// An attribute that a request may have when a plugin's turn comes.
fn attribute(text: &str) -> Result<String, Fault> {
    let fault = |what: &str| Fault::new(0..text.len(), what.to_owned());
    if text.is_empty() {
        return Err(fault("an attribute of `only_if` has no name")
            .help("write its name, such as `consumer.group`"));
    }
    if let Some(part) = text.strip_prefix(CERTIFICATE) {
        if OF_CERTIFICATE.contains(&part) {
            return Ok(text.to_owned());
        }
        let error = fault("nothing of a certificate has this name");
        return Err(match suggest::closest(part, OF_CERTIFICATE) {
            Some(meant) => error.help(format!("did you mean `{CERTIFICATE}{meant}`?")),
            None => error.help(format!("there are `{}`", OF_CERTIFICATE.join("`, `"))),
        });
    }
    let is_reserved = RESERVED.iter().any(|prefix| text.starts_with(prefix));
    if !is_reserved || OWN.contains(&text) {
        return Ok(text.to_owned());
    }
    let error = fault("no request has this attribute before it is sent on");
    Err(match (text, suggest::closest(text, OWN)) {
        ("route.variant", _) => error.help(
            "the variant of a `split` is chosen after the plugins: use an experiment, or `rewrite` of the variant",
        ),
        (_, Some(meant)) => error.help(format!("did you mean `{meant}`?")),
        (_, None) => error.help(format!("there are `{}`", OWN.join("`, `"))),
    })
}

/// Warns of conditions that no request meets as far as is known, and of plugins that protect some requests alone.
pub(super) fn warn(
    reading: &Reading<'_>,
    plugins: &[plugin::Read],
    routes: &[Option<Route>],
    listeners: &[Option<Listener>],
) {
    let plugin = |id: &PluginId| plugins.get(id.0)?.as_ref().map(|(plugin, _)| plugin);
    for (index, read) in plugins.iter().enumerate() {
        let Some((conditional, _)) = read else { continue };
        let on = |route: &&Route| route.plugins.contains(&PluginId(index));
        let its_routes: Vec<&Route> = routes.iter().flatten().filter(on).collect();
        for condition in &conditional.only_if {
            let warning = its_routes.iter().find_map(|route| {
                let place = route.plugins.iter().position(|id| id.0 == index)?;
                let (before, from) = route.plugins.split_at(place);
                // One that could not be read may set anything.
                let before: Option<Vec<&Plugin>> = before.iter().map(plugin).collect();
                let behind: Vec<&Plugin> = from.iter().filter_map(plugin).collect();
                let context = Context { reading, route, before: before?, behind, listeners };
                context.never_met(condition)
            });
            warning.into_iter().for_each(|warning| reading.report_absence(warning));
        }
        let protects = PROTECTING.contains(&&*conditional.component_text);
        if let Some(first) = conditional.only_if.first().filter(|_| protects) {
            let same = |other: &Plugin| other.component_text == conditional.component_text;
            let for_all = |other: &Plugin| same(other) && other.only_if.is_empty();
            let bare = its_routes
                .iter()
                .find(|route| !route.plugins.iter().filter_map(plugin).any(for_all));
            if let Some(route) = bare {
                let component = &conditional.component_text;
                let warning = format!(
                    "on the route `{}` whoever has another value, or none, passes without `{component}`",
                    reading.shown(&route.name)
                );
                let warning = Diagnostic::warning(first.name_span.clone(), warning);
                reading.report_absence(warning.help(format!(
                    "give the route a `{component}` without `only_if` too, for all requests"
                )));
            }
        }
    }
}

/// Where a plugin stands on a route.
struct Context<'c> {
    reading: &'c Reading<'c>,
    route: &'c Route,
    before: Vec<&'c Plugin>,
    behind: Vec<&'c Plugin>,
    listeners: &'c [Option<Listener>],
}

impl Context<'_> {
    fn never_met(&self, condition: &Condition) -> Option<Diagnostic> {
        let attribute = &*condition.attribute;
        if let Some(values) = self.own_values(attribute) {
            let what = format!("`{attribute}` is never");
            return self.no_value(condition, &what, &values);
        }
        let is_own = OWN.contains(&attribute) || attribute.starts_with(CERTIFICATE);
        if is_own || self.captures(attribute) {
            return None;
        }
        if self.before.iter().any(|it| !is_experiment(it, attribute) && may_set(it, attribute)) {
            return None;
        }
        let experiments: Vec<_> = self.before.iter().flat_map(|it| experiments(it)).collect();
        if let Some(name) = attribute.strip_prefix(EXPERIMENT) {
            let own: Vec<_> = experiments.iter().filter(|(known, _)| known == name).collect();
            if !own.is_empty() {
                let variants: Vec<_> =
                    own.iter().flat_map(|(_, it)| it).map(String::as_str).collect();
                let what = format!("the experiment `{}` has no variant", self.reading.shown(name));
                return self.no_value(condition, &what, &variants);
            }
        }
        let warning = format!(
            "no plugin before this one on the route `{}` sets the attribute `{attribute}`",
            self.reading.shown(&self.route.name)
        );
        let warning = Diagnostic::warning(condition.name_span.clone(), warning)
            .label("so no request passes the plugin");
        let setter = self.behind.iter().find(|it| may_set(it, attribute));
        if let Some(setter) = setter {
            return Some(warning.help(format!("put it behind `{}` in `plugins`", setter.name)));
        }
        let named = experiments.iter().map(|(name, _)| format!("{EXPERIMENT}{name}"));
        let set = self.before.iter().flat_map(|it| attributes(&it.component_text));
        let known: Vec<String> =
            named.chain(set.chain(&OWN).map(|name| (*name).to_owned())).collect();
        Some(match suggest::closest(attribute, known.iter().map(String::as_str)) {
            Some(meant) => warning.did_you_mean(Some(&self.reading.shown(meant))),
            None => warning.help("put the plugin that sets it before this one in `plugins`"),
        })
    }

    /// The values that an attribute of the gateway may have, if they are few and known.
    fn own_values(&self, attribute: &str) -> Option<Vec<&str>> {
        match attribute {
            "request.scheme" => Some(vec!["http", "https"]),
            "request.has-body" | "request.has-upgrade" => Some(vec!["true", "false"]),
            "route.name" => Some(vec![&self.route.name]),
            "listener.name" => {
                let own = |id: &super::ListenerId| self.listeners.get(id.0)?.as_ref();
                let names = |id| own(id).map(|listener| &*listener.name);
                self.route.listeners.iter().map(names).collect()
            }
            _ => None,
        }
    }

    /// A warning if the wanted value is none of these.
    fn no_value(&self, condition: &Condition, what: &str, known: &[&str]) -> Option<Diagnostic> {
        let wanted = &*condition.value;
        if known.contains(&wanted) {
            return None;
        }
        let warning = format!("{what} `{}`", self.reading.shown(wanted));
        let warning = Diagnostic::warning(condition.value_span.clone(), warning)
            .label("so no request passes the plugin");
        Some(match suggest::closest(wanted, known.iter().copied()) {
            Some(meant) => warning.did_you_mean(Some(&self.reading.shown(meant))),
            None => {
                let known: Vec<_> = known.iter().map(|it| self.reading.shown(it)).collect();
                warning.help(format!("there are `{}`", known.join("`, `")))
            }
        })
    }

    fn captures(&self, attribute: &str) -> bool {
        let Some(wanted) = attribute.strip_prefix(CAPTURE) else { return false };
        captures_of(self.route).any(|name| name == wanted)
    }
}

/// Whether no request of the route has the attribute behind these plugins, as far as is known; and what was meant.
pub(super) fn is_unset(route: &Route, before: &[&Plugin], attribute: &str) -> Option<Meant> {
    let is_own = OWN.contains(&attribute) || attribute.starts_with(CERTIFICATE);
    let is_upstream = attribute == "upstream.name";
    if is_own
        || is_upstream
        || captures_of(route).any(|name| attribute == format!("{CAPTURE}{name}"))
    {
        return None;
    }
    if before.iter().any(|plugin| may_set(plugin, attribute)) {
        return None;
    }
    let captures = captures_of(route).map(|name| format!("{CAPTURE}{name}"));
    let set = before.iter().flat_map(|it| attributes(&it.component_text)).chain(&OWN);
    let set = set.chain(CONSUMER.iter()).map(|name| (*name).to_owned());
    let named = before.iter().flat_map(|it| experiments(it));
    let named = named.map(|(name, _)| format!("{EXPERIMENT}{name}"));
    let known: Vec<String> = captures.chain(set).chain(named).collect();
    Some(suggest::closest(attribute, known.iter().map(String::as_str)).map(str::to_owned))
}

/// The attribute that was meant, if one is near.
pub(super) type Meant = Option<String>;

/// The names of what the path patterns of a route capture.
fn captures_of(route: &Route) -> impl Iterator<Item = &str> {
    let segments = route.matcher.paths.iter().flat_map(|path| &path.segments);
    segments.filter_map(|segment| match segment {
        Segment::Literal(_) => None,
        Segment::Verb(name, _) | Segment::Param(name) | Segment::Rest(name) => Some(&**name),
    })
}

/// Whether the attribute, of this plugin, is that of an experiment by its name.
fn is_experiment(plugin: &Plugin, attribute: &str) -> bool {
    plugin.component_text == EXPERIMENTS
        && attribute.strip_prefix(EXPERIMENT).is_some_and(|_| !mentions_in(plugin, attribute))
}

/// The experiments of a plugin, each with its variants.
fn experiments(plugin: &Plugin) -> Vec<(String, Vec<String>)> {
    if plugin.component_text != EXPERIMENTS {
        return Vec::new();
    }
    let config: Json = serde_json::from_str(&plugin.config).unwrap_or_default();
    let name = |of: &Json| of["name"].as_str().map(str::to_owned);
    let list = |of: &Json| of.as_array().cloned().unwrap_or_default();
    let read =
        |of: &Json| Some((name(of)?, list(&of["variants"]).iter().filter_map(name).collect()));
    list(&config["experiments"]).iter().filter_map(read).collect()
}

/// Whether a plugin may set an attribute in a request, as far as is known.
pub(super) fn may_set(plugin: &Plugin, attribute: &str) -> bool {
    let component = &*plugin.component_text;
    if matches!(plugin.component, Component::File(_)) {
        return !attribute.starts_with(CAPTURE);
    }
    let sets_claims = attributes(component).contains(&"consumer.id");
    attributes(component).contains(&attribute)
        || sets_claims && attribute.starts_with(CLAIM)
        || experiments(plugin)
            .iter()
            .any(|(name, _)| attribute.strip_prefix(EXPERIMENT) == Some(&**name))
        || mentions_in(plugin, attribute)
}

/// What a first-party plugin sets in requests, but for what its configuration names.
fn attributes(component: &str) -> &'static [&'static str] {
    match component {
        "a2a" => A2A,
        "auth" | "http-signature" | "oidc" => CONSUMER,
        "authorize" => &["authorize.decision", "authorize.rule"],
        EXPERIMENTS => &["experiment-holdout", "experiment-variants"],
        "guardrails" => GUARDRAILS,
        "ip" => &["ip.matched"],
        "mcp" => MCP,
        "models" => MODEL,
        "predictions" => PREDICTIONS,
        "rate-limit" => &["rate-limit.violated"],
        _ => &[],
    }
}

/// Whether a configuration names an attribute, such as in `attributes` of a variant.
fn mentions_in(plugin: &Plugin, attribute: &str) -> bool {
    fn mentions(value: &Json, wanted: &str) -> bool {
        match value {
            Json::String(text) => text == wanted,
            Json::Array(items) => items.iter().any(|item| mentions(item, wanted)),
            Json::Object(members) => {
                members.iter().any(|(name, member)| name == wanted || mentions(member, wanted))
            }
            _ => false,
        }
    }
    // What reads an attribute names it too; only these can be told to set one.
    let sets = ["experiments", "flags", "forward-auth"].contains(&&*plugin.component_text);
    sets && serde_json::from_str(&plugin.config).is_ok_and(|config| mentions(&config, attribute))
}
