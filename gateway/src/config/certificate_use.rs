//! Certificates of clients that a route relies on.
//!
//! Owns one finding: what reads a client's certificate, where no listener asks for one.

use super::diagnostic::Diagnostic;
use super::reader::Reading;
use super::{Action, Listener, Plugin, PluginId, Route, Span, StickyKey, plugin};

/// The attributes of a certificate begin so; and so is the table of `auth` called that admits clients by theirs.
const ATTRIBUTE: &str = "client.certificate.";
const METHOD: &str = "/client_certificate";

/// Warns of plugins and splits that read certificates on routes of which no listener asks for them.
pub(super) fn warn_of_nobody_asked(
    reading: &Reading<'_>,
    listeners: &[Option<Listener>],
    plugins: &[plugin::Read],
    routes: &[Option<Route>],
) {
    // A listener that could not be read may well ask.
    let asks = |listener: &Option<Listener>| {
        let Some(listener) = listener else { return true };
        listener.tls.as_ref().is_some_and(|tls| tls.clients.is_some())
    };
    let asked =
        |route: &Route| route.listeners.iter().any(|id| listeners.get(id.0).is_none_or(asks));
    for (index, read) in plugins.iter().enumerate() {
        let Some((plugin, _)) = read else { continue };
        let Some(span) = place(plugin) else { continue };
        let mut its_routes =
            routes.iter().flatten().filter(|route| route.plugins.contains(&PluginId(index)));
        if let Some(first) = its_routes.next()
            && !asked(first)
            && !its_routes.any(asked)
        {
            let what = format!("the plugin `{}` reads certificates of clients", plugin.name);
            warn(reading, span, &what);
        }
    }
    for route in routes.iter().flatten().filter(|route| !asked(route)) {
        let Action::Split(split) = &route.action else { continue };
        let reads = |key: &StickyKey| matches!(key, StickyKey::Attribute(name) if name.starts_with(ATTRIBUTE));
        if split.by.iter().any(reads) {
            let what =
                format!("`split.by` of the route `{}` reads certificates of clients", route.name);
            warn(reading, route.span.clone(), &what);
        }
    }
}

fn warn(reading: &Reading<'_>, span: Span, what: &str) {
    let warning = Diagnostic::warning(span, format!("{what}, and no listener asks for any"));
    let help = "give a listener of its routes `client_certificates = { ca = \"clients.pem\" }`, beside `tls`";
    reading.report_absence(warning.help(help));
}

/// Where a plugin's configuration says that it reads one.
fn place(plugin: &Plugin) -> Option<Span> {
    if let Some(span) = plugin.config_keys.get(METHOD).or_else(|| plugin.config_spans.get(METHOD)) {
        return Some(span.clone());
    }
    let config: serde_json::Value = serde_json::from_str(&plugin.config).ok()?;
    let pointer = mentions(&config, String::new())?;
    plugin.config_spans.get(&pointer).or(Some(&plugin.component_span)).cloned()
}

/// The pointer to the first text that names such an attribute.
fn mentions(value: &serde_json::Value, pointer: String) -> Option<String> {
    match value {
        serde_json::Value::String(text) => text.contains(ATTRIBUTE).then_some(pointer),
        serde_json::Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(index, item)| mentions(item, format!("{pointer}/{index}")))
        }
        serde_json::Value::Object(members) => members.iter().find_map(|(name, member)| {
            let name = name.replace('~', "~0").replace('/', "~1");
            mentions(member, format!("{pointer}/{name}"))
        }),
        _ => None,
    }
}
