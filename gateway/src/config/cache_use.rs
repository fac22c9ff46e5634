//! Plugins that keep responses, and where they stand.
//!
//! Owns the warnings of a cache that can keep nothing, that answers before it is known who asks, or whose settings say two
//! things. What a plugin refuses by itself is its own. Must not know what is kept.

use serde_json::Value as Json;

use super::diagnostic::Diagnostic;
use super::only_if::may_set;
use super::reader::Reading;
use super::{Action, Component, Plugin, PluginId, Route, plugin};

/// The first-party plugins that keep responses.
const CACHE: &str = "cache";
const PREDICTIONS: &str = "predictions";
/// The one that writes values of flags into requests.
const FLAGS: &str = "flags";
/// Those that decide who may ask.
const ADMITTING: [&str; 6] = ["auth", "authorize", "forward-auth", "http-signature", "ip", "oidc"];
/// Settings that count for nothing beside another with this value.
const USELESS: [(&str, &str, &str); 3] = [
    ("collapse_waiters", "collapse_wait", "\"0s\""),
    ("heuristic_max", "heuristic_percent", "0"),
    ("name", "cache_status", "false"),
];

/// Warns of caches on routes where they do nothing, or more than is meant.
pub(super) fn warn(reading: &Reading<'_>, plugins: &[plugin::Read], routes: &[Option<Route>]) {
    let known = |id: &PluginId| plugins.get(id.0)?.as_ref().map(|(plugin, _)| plugin);
    for (index, read) in plugins.iter().enumerate() {
        let Some((cache, _)) = read else { continue };
        if !keeps_responses(cache) {
            continue;
        }
        let config: Json = serde_json::from_str(&cache.config).unwrap_or_default();
        let mut says_who_asks = None;
        for route in routes.iter().flatten() {
            let Some(place) = route.plugins.iter().position(|id| id.0 == index) else { continue };
            let (before, from) = route.plugins.split_at(place);
            // One that could not be read may do anything.
            let Some(before) = before.iter().map(known).collect::<Option<Vec<_>>>() else {
                continue;
            };
            let behind = from.iter().skip(1).zip(place + 1..);
            let behind = behind.filter_map(|(id, at)| Some((known(id)?, at))).collect();
            let here = Here { reading, cache, config: &config, route, place, before, behind };
            here.keeps_nothing();
            here.answers_before_it_is_known_who_asks();
            here.takes_flags_for_the_same();
            *says_who_asks.get_or_insert(false) |= here.says_who_asks();
        }
        if says_who_asks == Some(false) {
            warn_of_nobody(reading, cache, &config);
        }
        warn_of_contradictions(reading, cache, &config);
    }
}

fn keeps_responses(plugin: &Plugin) -> bool {
    let is_own = matches!(plugin.component, Component::BuiltIn(_));
    is_own && [CACHE, PREDICTIONS].contains(&&*plugin.component_text)
}

/// A cache on a route.
struct Here<'h> {
    reading: &'h Reading<'h>,
    cache: &'h Plugin,
    config: &'h Json,
    route: &'h Route,
    /// Which of the route's plugins it is.
    place: usize,
    before: Vec<&'h Plugin>,
    /// Each with its place.
    behind: Vec<(&'h Plugin, usize)>,
}

impl Here<'_> {
    fn keeps_nothing(&self) {
        let Self { reading, cache, route, .. } = self;
        let may_choose = self.before.iter().any(|plugin| !plugin.forward_to.is_empty());
        let is_for_all = self.config["across_variants"] == Json::Bool(true);
        if !matches!(route.action, Action::Split(_)) || may_choose || is_for_all {
            return;
        }
        let (component, route_name) = (&cache.component_text, reading.shown(&route.name));
        let warning = format!("`{component}` keeps nothing on the route `{route_name}`");
        let Some(span) = route.plugin_spans.get(self.place) else { return };
        let warning = Diagnostic::warning(span.clone(), warning)
            .label("behind it, `split` chooses the variant that answers");
        let mut help =
            "choose the variant before it: by `experiments`, with `upstream` in its variants"
                .to_owned();
        if &**component == PREDICTIONS {
            help.push_str(
                ", or write `across_variants = true` where an answer of any variant will do",
            );
        }
        reading.report_absence(warning.help(help));
    }

    fn answers_before_it_is_known_who_asks(&self) {
        let Self { reading, cache, route, .. } = self;
        let admits = |(plugin, _): &&(&Plugin, usize)| ADMITTING.contains(&&*plugin.component_text);
        let Some((admits, at)) = self.behind.iter().find(admits) else { return };
        let (component, its) = (&cache.component_text, &admits.component_text);
        let warning = format!(
            "on the route `{}` what `{component}` keeps is given to who does not pass `{its}`",
            reading.shown(&route.name)
        );
        let spans = (route.plugin_spans.get(self.place), route.plugin_spans.get(*at));
        let (Some(span), Some(other)) = spans else { return };
        let warning = Diagnostic::warning(span.clone(), warning).label("it answers first");
        let warning = warning.related(other.clone(), "this is not asked then");
        reading
            .report_absence(warning.help(format!("put `{component}` behind `{its}` in `plugins`")));
    }

    fn takes_flags_for_the_same(&self) {
        let own = match &*self.cache.component_text {
            CACHE => &self.config["key"]["headers"],
            _ => &self.config["headers"],
        };
        let is_in_key = |name: &str| {
            let mut names = own.as_array().into_iter().flatten().filter_map(Json::as_str);
            names.any(|known| known.eq_ignore_ascii_case(name))
        };
        for flags in self.before.iter().filter(|plugin| plugin.component_text == FLAGS) {
            let config: Json = serde_json::from_str(&flags.config).unwrap_or_default();
            let set = config["set"].as_array().cloned().unwrap_or_default();
            let mut written =
                set.iter().enumerate().filter_map(|(at, it)| Some((at, it["header"].as_str()?)));
            let Some((at, name)) = written.find(|(_, name)| !is_in_key(name)) else { continue };
            let Some(span) = self.route.plugin_spans.get(self.place) else { continue };
            let (component, key) = match &*self.cache.component_text {
                CACHE => (CACHE, "key.headers"),
                _ => (PREDICTIONS, "headers"),
            };
            let name = self.reading.shown(name);
            let warning = format!(
                "`{component}` takes requests for the same that `{}` has made different",
                flags.name
            );
            let label = format!("the field `{name}` is not in its key");
            let warning = Diagnostic::warning(span.clone(), warning).label(label);
            let place = flags.config_spans.get(&format!("/set/{at}/header"));
            let warning = place
                .into_iter()
                .fold(warning, |it, place| it.related(place.clone(), "it is set here"));
            self.reading.report_absence(
                warning.help(format!("add `\"{name}\"` to `{key}` of `{component}`")),
            );
        }
    }

    /// Whether a plugin before may say who asks.
    fn says_who_asks(&self) -> bool {
        let says = |plugin: &&Plugin| {
            ["consumer.id", "consumer.group"].iter().any(|name| may_set(plugin, name))
        };
        self.before.iter().any(says)
    }
}

/// Settings about consumers, where nothing says which there are.
fn warn_of_nobody(reading: &Reading<'_>, cache: &Plugin, config: &Json) {
    let is_list = |key: &str| config[key].as_array().is_some_and(|names| !names.is_empty());
    let told = [
        ("credentials", config["credentials"] == "by-consumer", "nobody has a key of its own"),
        ("shared_with", config["shared_with"] == "group", "there is no group to share with"),
        ("may_bypass", is_list("may_bypass"), "nobody may"),
        ("may_revalidate", is_list("may_revalidate"), "nobody may"),
    ];
    for (key, is_set, what) in told {
        let Some(span) = cache.config_spans.get(&format!("/{key}")).filter(|_| is_set) else {
            continue;
        };
        let warning = format!("{what}: no plugin before `{}` says who asks", cache.component_text);
        let warning = Diagnostic::warning(span.clone(), warning);
        let help = "put a plugin that sets `consumer.id` before it, such as `auth`";
        reading.report_absence(warning.help(help));
    }
}

fn warn_of_contradictions(reading: &Reading<'_>, cache: &Plugin, config: &Json) {
    for (key, other, value) in USELESS {
        // As it is written in TOML and in JSON.
        let written = config[other].to_string();
        let is_so = !config[other].is_null() && written == value;
        let span = cache.config_keys.get(&format!("/{key}")).filter(|_| is_so);
        let Some(span) = span else { continue };
        let warning = format!("`{key}` counts for nothing beside `{other} = {value}`");
        let warning = Diagnostic::warning(span.clone(), warning);
        let warning = match cache.config_keys.get(&format!("/{other}")) {
            Some(place) => warning.related(place.clone(), "it says that there is none"),
            None => warning,
        };
        reading.report(warning.help(format!("leave one of `{key}` and `{other}` out")));
    }
    let (longest, kept_in) = (config["max_response"].as_u64(), &cache.cache);
    if let Some(span) = cache.config_spans.get("/max_response")
        && longest.is_some_and(|longest| longest > kept_in.max_object)
    {
        let warning = "an answer of this length is not kept";
        let label =
            format!("`max_object` of its cache `{}` is {} bytes", kept_in.name, kept_in.max_object);
        let help =
            format!("raise `max_object` of `[caches.{}]`, or lower `max_response`", kept_in.name);
        reading.report(Diagnostic::warning(span.clone(), warning).label(label).help(help));
    }
}
